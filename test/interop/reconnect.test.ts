import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { Direction } from './link.ts'
import { World } from './world.ts'

/** Less than any message of the commitment dance on the wire, so that every gap between two messages is cut at least once. */
const STRIDE = 100
/** update_add_htlc: BOLT 8 length and two tags, type, channel_id, id, amount_msat, payment_hash, cltv_expiry, onion. */
const ADD_BYTES = 18 + 16 + 2 + 32 + 8 + 8 + 32 + 4 + 1366

interface Paying {
  isOver(): Promise<boolean>
  check(): Promise<void>
}

describe('BOLT 2 §message-retransmission with LDK', () => {
  let w: World
  let id: string
  beforeAll(async () => {
    w = await World.start()
    id = (await w.openToLdk('anchors', 10_000_000, 5_000_000)).id
  })
  afterAll(() => w.stop())
  afterEach(() => expect(w.us.events.filter((e) => e.type === 'node.alert')).toEqual([]))

  const toLdk = async (amount = 2_000_000): Promise<Paying> => {
    const { invoice } = await w.ldk.cmd('create_invoice', { msat: amount })
    const { id } = await w.us.service.pay({ bolt11: invoice })
    const status = async () => (await w.us.service.payment(id)).status
    return {
      isOver: async () => (await status()) !== 'pending',
      check: async () => expect(await status()).toBe('succeeded'),
    }
  }
  const toUs = async (amount = 2_000_000): Promise<Paying> => {
    const { bolt11, id } = await w.us.service.createInvoice({ amountMsat: msat(amount) })
    const { payment_id } = await w.ldk.cmd('pay', { invoice: bolt11 })
    const payment = async () => (await w.ldk.cmd('list_payments')).find((p) => p.payment_id === payment_id)!
    return {
      isOver: async () => (await payment()).status !== 'pending',
      check: async () => {
        expect(await payment()).toMatchObject({ status: 'sent' })
        expect((await w.us.service.invoice(id)).status).toBe('settled')
      },
    }
  }

  /** Makes the payment with the link cut once; brings the link back with `recover`. @returns false when the cut came too late */
  async function payCutAt(direction: Direction, bytes: number, pay: () => Promise<Paying>, recover = reconnect) {
    w.link.cutAfter(direction, bytes)
    const paying = await pay()
    await w.until('the cut, or the end of the payment', async () => {
      if (!(await w.peer()).connected) return true
      return (await paying.isOver()) && (await w.isQuiet(id))
    })
    const cut = w.link.disarm()
    if (cut) {
      await w.lost()
      await recover()
    }
    await w.until('the payment', () => paying.isOver())
    await paying.check()
    await w.quiet(id)
    return cut
  }
  const reconnect = async () => {
    await w.connect()
    await w.usable(id)
  }
  const restart = async () => {
    await w.us.stop()
    await w.us.restart()
    await reconnect()
  }

  describe.each([
    { who: 'a payment of ours', pay: toLdk, payer: 'out' },
    { who: 'a payment of LDK’s', pay: toUs, payer: 'in' },
  ] as const)('$who', ({ pay, payer }) => {
    it.each(['out', 'in'] as const)('survives a cut between any two messages that go %s', async (direction) => {
      const balance = async () => (await w.us.service.channel(id)).localMsat
      const had = await balance()
      const step = payer === 'out' ? -2_000_000n : 2_000_000n
      let paid = 1n
      for (let bytes = 0; await payCutAt(direction, bytes, pay); paid++)
        bytes += direction === payer && bytes === 0 ? ADD_BYTES : STRIDE
      expect(paid).toBeGreaterThanOrEqual(5n)
      expect(await balance()).toBe(had + paid * step)
    })
    it('survives a restart of ours between messages', async () => {
      for (let bytes = 0; await payCutAt('in', bytes, pay, restart); bytes += 2 * STRIDE);
    })
  })

  it('loses nothing in the middle of forty payments that cross each other', async () => {
    const amounts = Array.from({ length: 20 }, (_, i) => (i % 2 ? 1_000 + i : 3_000_000 + i))
    const balance = async () => (await w.us.service.channel(id)).localMsat
    /** What was not signed for when the link was cut is forgotten, and fails. */
    const forgotten = 'the connection was lost before the HTLC was signed for'
    /** The link may be cut before all have begun: then there is no way to go for the rest. */
    const begun = async <T>(payments: readonly Promise<T>[]): Promise<readonly T[]> => {
      const results = await Promise.allSettled(payments)
      return results.flatMap((r) => {
        if (r.status === 'rejected') expect(String(r.reason)).toMatch(/can send 0 msat|RouteNotFound/)
        return r.status === 'fulfilled' ? [r.value] : []
      })
    }
    const all = async (): Promise<Paying> => {
      const had = await balance()
      const invoices = await Promise.all(amounts.map((amount) => w.ldk.cmd('create_invoice', { msat: amount })))
      const [ids, theirs] = await Promise.all([
        begun(invoices.map(async ({ invoice }) => (await w.us.service.pay({ bolt11: invoice })).id)),
        begun(amounts.map(async (amount) => ({ amount, ...(await toUs(amount)) }))),
      ])
      const ours = () => Promise.all(ids.map((i) => w.us.service.payment(i)))
      return {
        isOver: async () =>
          (await ours()).every((p) => p.status !== 'pending') &&
          (await Promise.all(theirs.map((p) => p.isOver()))).every(Boolean),
        check: async () => {
          await w.quiet(id)
          await Promise.all(theirs.map((p) => p.check()))
          const failed = (await ours()).filter((p) => p.status === 'failed')
          for (const p of failed) expect(p.failure!.detail).toContain(forgotten)
          const spent = (await ours()).filter((p) => p.status === 'succeeded').map((p) => p.amountMsat)
          const got = theirs.map((p) => BigInt(p.amount))
          expect(await balance()).toBe([...got, ...spent.map((v) => -v)].reduce((a, b) => a + b, had))
        },
      }
    }
    for (const bytes of [5_000, 20_000]) {
      expect(await payCutAt('in', bytes, all)).toBe(true)
      expect(await payCutAt('out', bytes, all)).toBe(true)
    }
  })
})
