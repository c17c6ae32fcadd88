import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { paymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { ChannelType } from './world.ts'
import { World } from './world.ts'

const AMOUNTS = [3_000, 20_000_000]

describe.each(['anchors', 'static_remotekey'] satisfies ChannelType[])('HTLCs in flight with LDK, %s', (type) => {
  let w: World
  let id: string
  beforeAll(async () => {
    w = await World.start()
    id = (await w.openFromLdk(type, 10_000_000, 5_000_000)).id
  })
  afterAll(() => w.stop())
  afterEach(() => expect(w.us.events.filter((e) => e.type === 'node.alert')).toEqual([]))

  const preimageOf = (n: number) => new Uint8Array(32).fill(n)
  let next = 1

  /** HTLCs both ways that nobody settles yet, trimmed ones and others. */
  async function hold() {
    await w.ldk.cmd('autoclaim', { on: false })
    const theirs = await Promise.all(
      AMOUNTS.map(async (amount) => {
        const { invoice, hash } = await w.ldk.cmd('create_invoice', { msat: amount })
        const { id } = await w.us.service.pay({ bolt11: invoice })
        await w.ldk.waitFor('PaymentClaimable', (e) => e.hash === hash)
        return { id, hash }
      }),
    )
    const ours = await Promise.all(
      AMOUNTS.map(async (amount) => {
        const preimage = preimageOf(next++)
        const hash = paymentHash(toHex(crypto.sha256(preimage)))
        const { id, bolt11 } = await w.us.service.createInvoice({ amountMsat: msat(amount), paymentHash: hash })
        await w.ldk.cmd('pay', { invoice: bolt11 })
        await w.until('the HTLC to be held', async () => (await w.us.service.invoice(id)).status === 'accepted')
        return { id, hash, preimage }
      }),
    )
    expect((await w.us.service.channel(id)).htlcs).toHaveLength(4)
    return { theirs, ours }
  }
  type Held = Awaited<ReturnType<typeof hold>>

  async function settle({ theirs, ours }: Held) {
    for (const { hash } of theirs) await w.ldk.cmd('claim', { hash })
    for (const { id, preimage } of ours) await w.us.service.settleInvoice(id, preimage)
  }
  async function settled({ theirs, ours }: Held) {
    for (const { id } of theirs) expect((await w.settledPayment(id)).status).toBe('succeeded')
    for (const { hash } of ours) await w.ldk.waitFor('PaymentSent', (e) => e.hash === hash)
    await w.quiet(id)
  }

  it('go on after a lost connection', async () => {
    const held = await hold()
    await w.cut()
    await w.connect()
    await w.usable(id)
    await settle(held)
    await settled(held)
  })

  it('are settled while the connection is gone', async () => {
    const held = await hold()
    await w.cut()
    await settle(held)
    await w.connect()
    await settled(held)
  })

  it('fail while the connection is gone', async () => {
    const { theirs, ours } = await hold()
    const had = (await w.us.service.channel(id)).localMsat
    await w.cut()
    for (const { hash } of theirs) await w.ldk.cmd('fail', { hash })
    for (const { id } of ours) await w.us.service.cancelInvoice(id)
    await w.connect()
    for (const { id } of theirs) {
      expect((await w.settledPayment(id)).failure!.detail).toContain('incorrect_or_unknown_payment_details')
    }
    for (const { hash } of ours) await w.ldk.waitFor('PaymentFailed', (e) => e.hash === hash)
    expect((await w.quiet(id)).localMsat).toBe(had + 20_003_000n)
  })

  it('outlive a restart of ours, and are settled after it', async () => {
    const held = await hold()
    await w.us.stop()
    await w.us.restart()
    await w.ldk.waitFor('socket_closed')
    await w.connect()
    await w.usable(id)
    await settle(held)
    await settled(held)
  })

  it('are settled by LDK while our node is stopped, and by us before it connects', async () => {
    const held = await hold()
    await w.us.stop()
    await w.ldk.waitFor('socket_closed')
    for (const { hash } of held.theirs) await w.ldk.cmd('claim', { hash })
    await w.us.restart()
    for (const { id, preimage } of held.ours) await w.us.service.settleInvoice(id, preimage)
    await w.connect()
    await settled(held)
  })
})
