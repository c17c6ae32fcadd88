import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { hold, settle, settled } from './held.ts'
import type { OurNode } from './ourNode.ts'
import { World } from './world.ts'

/** Our policy for a forward: 1,000 msat and 100 millionths. */
const fee = (amount: number) => 1_000 + amount / 10_000

describe('BOLT 4 and 7 with LDK: forwarded payments', () => {
  let w: World
  let carol: OurNode
  let toLdk: string
  beforeAll(async () => {
    w = await World.start()
    carol = await w.another()
    toLdk = (await w.openToLdk('anchors', 2_000_000, 1_000_000)).id
    await w.openBetween(carol, w.us)
    await reachable()
  })
  afterAll(() => w.stop())
  afterEach(async () => {
    await w.quiet(toLdk)
    expect(w.us.events.filter((e) => e.type === 'node.alert')).toEqual([])
  })

  /** Nobody else knows the channels: an invoice has to show the way, which the last hop tells carol when they connect. */
  const reachable = () =>
    w.until('a way to carol', async () => decodeInvoice((await invoice(1)).bolt11).routeHints.length > 0)
  const forwards = (type: string) => w.us.events.filter((e) => e.type === type).map((e) => e.data)
  const invoice = (amount: number) => carol.service.createInvoice({ amountMsat: msat(amount) })
  const isSettled = (id: string) => async () => (await carol.service.invoice(id)).status === 'settled'

  it('LDK pays our other node through us', async () => {
    const { bolt11, id, paymentHash } = await invoice(50_000_000)
    await w.ldk.cmd('pay', { invoice: bolt11 })
    const sent = await w.ldk.waitFor('PaymentSent', (e) => e.hash === paymentHash)
    expect(sent.fee_msat).toBe(fee(50_000_000))
    await w.until('the invoice', isSettled(id))
    await w.until('the forward', () => forwards('forward.settled').length === 1)
    const about = { amountOutMsat: 50_000_000, feeMsat: fee(50_000_000) }
    expect(forwards('forward.settled')[0]).toMatchObject(about)
  })

  it('our other node pays LDK through us', async () => {
    const { invoice, hash } = await w.ldk.cmd('create_invoice', { msat: 70_000_000 })
    const { id } = await carol.service.pay({ bolt11: invoice })
    await w.ldk.waitFor('PaymentClaimed', (e) => e.hash === hash)
    await w.until('the payment', async () => (await carol.service.payment(id)).status === 'succeeded')
    expect((await carol.service.payment(id)).feeMsat).toBe(BigInt(fee(70_000_000)))
  })

  it('LDK names our channel by the alias that we gave it, to whoever is to pay it through us', async () => {
    const { invoice } = await w.ldk.cmd('create_invoice', { msat: 1_000_000 })
    const hop = decodeInvoice(invoice).routeHints[0]![0]!
    expect(hop.nodeId).toBe(w.us.nodeId)
    expect(hop.shortChannelId >> 63n).toBe(1n)
    expect((await w.us.service.channel(toLdk)).shortChannelId).not.toBe(hop.shortChannelId)
    const { id } = await carol.service.pay({ bolt11: invoice })
    await w.until('the payment', async () => (await carol.service.payment(id)).status === 'succeeded')
  })

  it('twenty each way at once', async () => {
    const amounts = Array.from({ length: 20 }, (_, i) => (i % 2 ? 2_000 + i : 3_000_000 + i))
    const invoices = await Promise.all(amounts.map(invoice))
    const theirs = await Promise.all(amounts.map((amount) => w.ldk.cmd('create_invoice', { msat: amount })))
    const [payments] = await Promise.all([
      Promise.all(theirs.map((i) => carol.service.pay({ bolt11: i.invoice }))),
      Promise.all(invoices.map((i) => w.ldk.cmd('pay', { invoice: i.bolt11 }))),
    ])
    for (const { paymentHash } of invoices) await w.ldk.waitFor('PaymentSent', (e) => e.hash === paymentHash)
    for (const { id } of payments)
      await w.until('a payment', async () => (await carol.service.payment(id)).status === 'succeeded')
  })

  it('a failure at the end comes back to LDK as the end’s own', async () => {
    const { bolt11, id, paymentHash } = await invoice(5_000_000)
    await carol.service.cancelInvoice(id)
    await w.ldk.cmd('pay', { invoice: bolt11 })
    const failed = await w.ldk.waitFor('PaymentFailed', (e) => e.hash === paymentHash)
    expect(failed.reason).toBe('RecipientRejected')
  })

  it('a failure of ours comes back to LDK as ours, to be tried another way', async () => {
    const { bolt11, paymentHash } = await invoice(5_000_000)
    await carol.stop()
    await w.ldk.cmd('pay', { invoice: bolt11 })
    const path = await w.ldk.waitFor('PaymentPathFailed', (e) => e.hash === paymentHash)
    expect(path).toMatchObject({ permanent: 0, failure: 'OnPath' })
    expect((await w.ldk.waitFor('PaymentFailed', (e) => e.hash === paymentHash)).reason).toBe('RouteNotFound')
    await carol.restart()
    await reachable()
  })

  it('a forward outlives a restart of ours, and both cuts', async () => {
    const held = await hold(w, [4_000_000], carol)
    await w.us.stop()
    await w.ldk.waitFor('socket_closed')
    await w.us.restart()
    await w.connect()
    await carol.service.connectPeer({ nodeId: w.us.nodeId, host: '127.0.0.1', port: w.us.port })
    await settle(w, held, carol)
    await settled(w, held, carol)
  })
})
