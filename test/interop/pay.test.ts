import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { forgeInvoice, UNKNOWN_HASH } from './forge.ts'
import { hold, refuse, refused } from './held.ts'
import { World } from './world.ts'

const SEED = '11'.repeat(32)

let w: World
beforeAll(async () => {
  w = await World.start({ seed: SEED })
})
afterAll(() => w.stop())

describe.each(['anchors', 'static_remotekey'] as const)('BOLT 2 and 4: payments with LDK, %s', (type) => {
  let id: string
  beforeAll(async () => {
    id = (await w.openToLdk(type, 10_000_000, 5_000_000)).id
  })
  afterAll(() => w.close(id))
  afterEach(async () => {
    await w.quiet(id)
    expect(w.us.events.filter((e) => e.type === 'node.alert')).toEqual([])
  })
  const balance = async () => (await w.us.service.channel(id)).localMsat

  it('by invoice, to LDK', async () => {
    const had = await balance()
    const payment = await w.payLdk(12_345)
    expect(payment).toMatchObject({ status: 'succeeded', amountMsat: 12_345n, feeMsat: 0n })
    await w.ldk.waitFor('PaymentClaimed')
    expect((await w.quiet(id)).localMsat).toBe(had - 12_345n)
  })

  it('by invoice, to us', async () => {
    const had = await balance()
    expect(await w.payUs(100_000_001)).toMatchObject({ status: 'settled', receivedMsat: 100_000_001n })
    expect((await w.quiet(id)).localMsat).toBe(had + 100_000_001n)
  })

  it('an invoice without an amount, both ways', async () => {
    const { invoice } = await w.ldk.cmd('create_invoice', {})
    const paid = await w.settledPayment((await w.us.service.pay({ bolt11: invoice, amountMsat: msat(777) })).id)
    expect(paid.status).toBe('succeeded')
    const { bolt11, id: ours } = await w.us.service.createInvoice({})
    await w.ldk.cmd('pay', { invoice: bolt11, msat: 888 })
    expect((await w.settledInvoice(ours)).receivedMsat).toBe(888n)
  })

  it('without invoice, both ways', async () => {
    const sent = await w.us.service.pay({ nodeId: w.ldk.nodeId, amountMsat: msat(2_000_000) })
    expect((await w.settledPayment(sent.id)).status).toBe('succeeded')
    await w.ldk.cmd('keysend', { pubkey: w.us.nodeId, msat: 3_000_000 })
    await w.ldk.waitFor('PaymentSent')
  })

  it('fifty in flight each way at once, trimmed and not', async () => {
    const had = await balance()
    const amounts = Array.from({ length: 50 }, (_, i) => (i % 2 ? 1_000 + i : 5_000_000 + i))
    const invoices = await Promise.all(amounts.map((m) => w.us.service.createInvoice({ amountMsat: msat(m) })))
    const theirs = await Promise.all(amounts.map((m) => w.ldk.cmd('create_invoice', { msat: 2 * m })))
    const [payments] = await Promise.all([
      Promise.all(theirs.map(({ invoice }) => w.us.service.pay({ bolt11: invoice }))),
      Promise.all(invoices.map(({ bolt11 }) => w.ldk.cmd('pay', { invoice: bolt11 }))),
    ])
    const paid = await Promise.all(payments.map((p) => w.settledPayment(p.id)))
    expect(new Set(paid.map((p) => p.status))).toEqual(new Set(['succeeded']))
    await Promise.all(invoices.map((i) => w.settledInvoice(i.id)))
    const sum = amounts.reduce((a, b) => a + b, 0)
    expect((await w.quiet(id)).localMsat).toBe(had - BigInt(sum))
  })

  it('fails to LDK when the hash or the amount is not what it asked for, and nothing is lost', async () => {
    const had = await balance()
    const { invoice } = await w.ldk.cmd('create_invoice', { msat: 5_000_000 })
    const wrong = [
      { paymentHash: UNKNOWN_HASH },
      { amountMsat: msat(1_000) },
      { paymentSecret: new Uint8Array(32).fill(9) },
    ]
    for (const changes of wrong) {
      const bolt11 = forgeInvoice(SEED, invoice, changes)
      const payment = await w.settledPayment((await w.us.service.pay({ bolt11 })).id)
      expect(payment.status).toBe('failed')
      expect(payment.failure!.detail).toContain('incorrect_or_unknown_payment_details')
    }
    expect((await w.quiet(id)).localMsat).toBe(had)
  })

  it('fails to us likewise, and LDK takes the answer as ours', async () => {
    const had = await balance()
    const { bolt11, id: ours } = await w.us.service.createInvoice({ amountMsat: msat(5_000_000) })
    const { paymentHash, paymentSecret } = decodeInvoice(bolt11)
    const right = { payee: w.us.nodeId, hash: paymentHash, secret: toHex(paymentSecret), msat: 5_000_000 }
    for (const wrong of [{ hash: UNKNOWN_HASH }, { msat: 1_000 }, { secret: '09'.repeat(32) }, { msat: 11_000_000 }]) {
      const { payment_id } = await w.ldk.cmd('pay', { ...right, ...wrong })
      const failed = await w.ldk.waitFor('PaymentFailed', (e) => e.payment_id === payment_id)
      expect(failed.reason).toBe('RecipientRejected')
    }
    expect((await w.us.service.invoice(ours)).status).toBe('open')
    expect((await w.quiet(id)).localMsat).toBe(had)
  })

  it('LDK holds and fails, we hold and cancel', async () => {
    const had = await balance()
    const held = await hold(w, [5_000_000])
    await refuse(w, held)
    await refused(w, held)
    await w.ldk.cmd('autoclaim', { on: true })
    expect((await w.quiet(id)).localMsat).toBe(had)
  })
})

describe('BOLT 4 §basic-multi-part-payments with LDK', () => {
  it('what no channel can carry alone goes by two of them, both ways', async () => {
    const ids = [
      await w.openToLdk('anchors', 2_000_000, 1_000_000),
      await w.openFromLdk('anchors', 2_000_000, 1_000_000),
    ]
    const payment = await w.payLdk(1_500_000_000)
    expect(payment.status).toBe('succeeded')
    expect(payment.parts).toHaveLength(2)
    expect(await w.payUs(1_700_000_000)).toMatchObject({ status: 'settled', receivedMsat: 1_700_000_000n })
    for (const { id } of ids) {
      await w.quiet(id)
      await w.close(id)
    }
  })
})
