import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { Direction } from '../interop/link.ts'
import { type Held, hold, refuse, refused, settle, settled } from './held.ts'
import { type Lnd, withLnd } from './lnd.ts'
import { World } from './world.ts'

/** About two messages of the commitment dance. */
const STRIDE = 300
/** update_add_htlc: BOLT 8 length and two tags, type, channel_id, id, amount_msat, payment_hash, cltv_expiry, onion. */
const ADD_BYTES = 18 + 16 + 2 + 32 + 8 + 8 + 32 + 4 + 1366
/** One that no commitment gives an output, and one that both do. */
const AMOUNTS = [2_000, 20_000_000]

withLnd('connections to a real LND that break, and nodes that start again', () => {
  let w: World
  let lnd: Lnd
  let id: string
  beforeAll(async () => {
    w = await World.start([[]])
    lnd = w.lnds[0]!
    await w.connect(lnd)
    id = (await w.openTo(lnd, { capacity: 10_000_000, push: 5_000_000 })).id
  })
  afterAll(() => w?.stop())
  afterEach(() => expect(w.alerts()).toEqual([]))

  interface Paying {
    isOver(): Promise<boolean>
    check(): Promise<void>
  }
  const toLnd = async (): Promise<Paying> => {
    const { payment_request } = await lnd.rest.post('/v1/invoices', { value_msat: 2_000_000, private: true })
    const { id } = await w.us.service.pay({ bolt11: payment_request })
    const status = async () => (await w.us.service.payment(id)).status
    return {
      isOver: async () => (await status()) !== 'pending',
      check: async () => expect(await status()).toBe('succeeded'),
    }
  }
  const toUs = async (): Promise<Paying> => {
    const { bolt11, id } = await w.us.service.createInvoice({ amountMsat: msat(2_000_000) })
    let end: string | undefined
    const done = w.lndPays(lnd, { payment_request: bolt11 }).then((p) => {
      end = p.status
    })
    return {
      isOver: async () => end !== undefined,
      check: async () => {
        await done
        expect(end).toBe('SUCCEEDED')
        expect((await w.us.service.invoice(id)).status).toBe('settled')
      },
    }
  }
  const back = async () => {
    await w.connect(lnd)
    await w.usable(id, lnd)
  }
  async function payCutAt(direction: Direction, bytes: number, pay: () => Promise<Paying>) {
    const link = w.links.get(lnd)!
    link.cutAfter(direction, bytes, 'down')
    const paying = await pay()
    await w.until('the cut, or the end of the payment', async () => {
      return !(await w.isConnected(lnd)) || ((await paying.isOver()) && (await w.isQuiet(id, lnd)))
    })
    const cut = link.disarm()
    if (cut) {
      await w.lost(lnd)
      await back()
    }
    await w.until('the payment', () => paying.isOver())
    await paying.check()
    await w.quiet(id, lnd)
    return cut
  }

  describe.each([
    { who: 'a payment of ours', pay: toLnd, payer: 'out' },
    { who: 'a payment of LND’s', pay: toUs, payer: 'in' },
  ] as const)('$who', ({ pay, payer }) => {
    it.each(['out', 'in'] as const)('survives a cut between messages that go %s', async (direction) => {
      const balance = async () => (await w.us.service.channel(id)).localMsat
      const had = await balance()
      const step = payer === 'out' ? -2_000_000n : 2_000_000n
      let paid = 1n
      for (let bytes = 0; await payCutAt(direction, bytes, pay); paid++) {
        bytes += direction === payer && bytes === 0 ? ADD_BYTES : STRIDE
      }
      expect(await balance()).toBe(had + paid * step)
    })
  })

  describe('HTLCs both ways', () => {
    let held: Held
    beforeEach(async () => {
      held = await hold(w, lnd, AMOUNTS)
      expect((await w.us.service.channel(id)).htlcs).toHaveLength(4)
    })
    afterEach(() => w.quiet(id, lnd))

    it('are settled while the connection is gone', async () => {
      await w.cut(lnd)
      await settle(lnd, held, w.us)
      await back()
      await settled(w, held)
    })

    it('fail while the connection is gone', async () => {
      await w.cut(lnd)
      await refuse(lnd, held, w.us)
      await back()
      await refused(w, held)
    })

    it('outlive a restart of ours, and a feerate that has risen meanwhile', async () => {
      const { feeratePerKw } = await w.us.service.channel(id)
      await w.us.stop()
      w.estimates.feerate = feeratePerKw + 1_000
      await w.us.restart()
      await back()
      await w.until('update_fee', async () => {
        const [ours, theirs] = [await w.us.service.channel(id), await w.lndChannel(lnd, await w.us.service.channel(id))]
        return ours.feeratePerKw === feeratePerKw + 1_000 && Number(theirs?.fee_per_kw) === ours.feeratePerKw
      })
      await settle(lnd, held, w.us)
      await settled(w, held)
    })

    it('outlive an LND that is killed', async () => {
      await lnd.halt('SIGKILL')
      await lnd.restart()
      await back()
      await settle(lnd, held, w.us)
      for (const { id } of held.toLnd) expect((await w.settledPayment(id)).status).toBe('succeeded')
      for (const { id } of held.toUs) expect((await w.us.service.invoice(id)).status).toBe('settled')
    })
  })
})
