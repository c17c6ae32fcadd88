import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import type { ChannelView } from '../../src/node/service.ts'
import type { OurNode } from '../interop/ourNode.ts'
import { invoiceOf, newSecret } from './held.ts'
import { type Lnd, withLnd } from './lnd.ts'
import { base64 } from './rest.ts'
import { World } from './world.ts'

/** Our policy for a forward: 1,000 msat and 100 millionths. */
const fee = (amount: number) => 1_000 + amount / 10_000

/** Blocks that an invoice of LND's asks for; LND lets no less than 18 pass. */
const FINAL_BLOCKS = 24

/** dave (LND) – us – erin (LND) – carol (ours), all announced but for erin's channel with carol. */
withLnd('gossip and forwards with real LNDs', () => {
  let w: World
  let dave: Lnd
  let erin: Lnd
  let carol: OurNode
  let toErin: ChannelView
  let toCarol: ChannelView
  beforeAll(async () => {
    w = await World.start([['--alias=dave'], ['--alias=erin']], 2)
    ;[dave, erin] = w.lnds as [Lnd, Lnd]
    carol = w.ours[1]!
    await w.connect(dave)
    await w.connect(erin)
    await w.connect(erin, carol)
    const size = { capacity: 2_000_000, push: 1_000_000 }
    await w.openFrom(dave, { ...size, announce: true })
    toErin = await w.openTo(erin, { ...size, announce: true })
    toCarol = await w.openFrom(erin, size, carol)
  })
  afterAll(() => w?.stop())
  afterEach(() => expect(w.alerts()).toEqual([]))

  /** Channels in the graph of an LND of which it knows both ends. */
  const wholeIn = ({ edges }: { edges: readonly { node1_policy: unknown; node2_policy: unknown }[] }): number =>
    edges.filter((e) => e.node1_policy && e.node2_policy).length

  it('each learns of the others’ channels and nodes', async () => {
    for (const lnd of [dave, erin]) {
      await w.until('LND’s graph', async () => {
        const graph = await lnd.rest.get('/v1/graph')
        const names = graph.nodes.map((n: { alias: string }) => n.alias)
        return wholeIn(graph) === 2 && ['dave', 'erin', 'fulmen'].every((name) => names.includes(name))
      })
    }
    await w.until('our graph', async () => {
      const { items } = await w.us.service.graphChannels({ limit: 10 })
      return items.length === 2 && items.every((c) => c.policies.every((p) => p !== null))
    })
    await w.until('our nodes', async () => {
      const { items } = await w.us.service.graphNodes({ limit: 10 })
      return ['dave', 'erin'].every((name) => items.some((n) => n.alias === name))
    })
    await w.until('carol’s graph', async () => (await carol.service.graphChannels({ limit: 10 })).items.length === 2)
  })

  it('an LND pays another through us', async () => {
    const { payment_request } = await erin.rest.post('/v1/invoices', { value_msat: 50_000_000 })
    const end = await w.lndPays(dave, { payment_request })
    expect(end).toMatchObject({ status: 'SUCCEEDED', fee_msat: String(fee(50_000_000)) })
    await w.until('the forward', () => w.us.events.some((e) => e.type === 'forward.settled'))
  })

  it('ours pays ours through an LND, by a route hint', async () => {
    await w.until('a hint', async () => {
      const { bolt11 } = await carol.service.createInvoice({ amountMsat: msat(1) })
      return decodeInvoice(bolt11).routeHints.length > 0
    })
    const { bolt11, id } = await carol.service.createInvoice({ amountMsat: msat(60_000_000) })
    const paid = await w.settledPayment((await w.us.service.pay({ bolt11 })).id)
    expect(paid.status).toBe('succeeded')
    expect(paid.feeMsat).toBeGreaterThan(0n)
    expect((await carol.service.invoice(id)).status).toBe('settled')
  })

  it('and back: the way to us is known from gossip', async () => {
    const { bolt11 } = await w.us.service.createInvoice({ amountMsat: msat(5_000_000) })
    const { id } = await carol.service.pay({ bolt11 })
    expect((await w.settledPayment(id, carol)).status).toBe('succeeded')
  })

  it('an LND pays ours through us and an LND, by a route hint', async () => {
    const { bolt11, id } = await carol.service.createInvoice({ amountMsat: msat(20_000_000) })
    expect((await w.lndPays(dave, { payment_request: bolt11 })).status).toBe('SUCCEEDED')
    expect((await carol.service.invoice(id)).status).toBe('settled')
  })

  it('an LND that wants a higher fee gets what the next invoice says', async () => {
    const { funding } = toCarol
    const chan_point = { funding_txid_str: funding!.txid, output_index: funding!.index }
    const policy = { base_fee_msat: 5_000, fee_rate: 0.001, time_lock_delta: 100 }
    await erin.rest.post('/v1/chanpolicy', { chan_point, ...policy })
    let bolt11 = ''
    await w.until('carol to know', async () => {
      bolt11 = (await carol.service.createInvoice({ amountMsat: msat(10_000_000) })).bolt11
      return decodeInvoice(bolt11).routeHints[0]?.[0]?.feeBaseMsat === 5_000
    })
    const { id } = await w.us.service.pay({ bolt11 })
    expect(await w.settledPayment(id)).toMatchObject({ status: 'succeeded', feeMsat: 15_000n })
  })

  it('and of an invoice that does not say it yet in the next attempt, which goes by the channel_update in its failure', async () => {
    const { bolt11, id } = await carol.service.createInvoice({ amountMsat: msat(10_000_000) })
    const { funding } = toCarol
    const chan_point = { funding_txid_str: funding!.txid, output_index: funding!.index }
    const policy = { base_fee_msat: 7_000, fee_rate: 0.002, time_lock_delta: 120, min_htlc_msat: 2_000 }
    await erin.rest.post('/v1/chanpolicy', { chan_point, ...policy, min_htlc_msat_specified: true })
    const paid = await w.settledPayment((await w.us.service.pay({ bolt11 })).id)
    expect(paid).toMatchObject({ status: 'succeeded', feeMsat: 27_000n })
    expect(paid.parts.map((p) => [p.status, p.failure])).toEqual([
      ['failed', expect.stringContaining('fee_insufficient')],
      ['succeeded', null],
    ])
    expect((await carol.service.invoice(id)).receivedMsat).toBe(10_000_000n)
  })

  it('a failure on the way is told by who has it, both ways', async () => {
    const { bolt11 } = await carol.service.createInvoice({ amountMsat: msat(5_000_000) })
    await carol.stop()
    await w.until('erin to notice', async () => (await w.lndChannel(erin, toCarol))?.active !== true)
    const { id } = await w.us.service.pay({ bolt11, timeoutSeconds: 3 })
    const paid = await w.settledPayment(id)
    expect(paid.status).toBe('failed')
    expect(paid.parts.map((p) => p.failure).join()).toMatch(/unknown_next_peer|temporary_channel_failure/)
    const byDave = await w.lndPays(dave, { payment_request: bolt11, timeout_seconds: 3 })
    expect(byDave.status).toBe('FAILED')
    expect(byDave.htlcs[0].failure).toMatchObject({ failure_source_index: 2 })
    await carol.restart()
    await w.connect(erin, carol)
    await w.usable(toCarol.id, erin, carol)

    const own = await erin.rest.post('/v1/invoices', { value_msat: 5_000_000 })
    await w.cut(erin)
    const failed = await w.lndPays(dave, { payment_request: own.payment_request, timeout_seconds: 3 })
    expect(failed.htlcs[0].failure).toMatchObject({ code: 'TEMPORARY_CHANNEL_FAILURE', failure_source_index: 1 })
    await w.connect(erin)
    await w.usable(toErin.id, erin)
    await dave.rest.post('/v2/router/mc/reset', {}) // dave goes that way again at once
  })

  /** dave pays erin through us, and erin holds it. */
  const heldByErin = async (amount: number) => {
    const secret = newSecret()
    const invoice = { hash: base64(secret.hash), value_msat: amount, cltv_expiry: FINAL_BLOCKS }
    const { payment_request } = await erin.rest.post('/v2/invoices/hodl', invoice)
    const payment = w.lndBegins(dave, { payment_request })
    await w.until('erin to hold it', async () => (await invoiceOf(erin, secret.hash)).state === 'ACCEPTED')
    const settle = () => erin.rest.post('/v2/invoices/settle', { preimage: base64(toHex(secret.preimage)) })
    return { payment, settle, preimage: toHex(secret.preimage) }
  }
  const isClosedBy = (how: string) => async () => (await w.us.service.channel(toErin.id)).closing?.how === how

  it('a forward outlives a restart of ours', async () => {
    const { payment, settle, preimage } = await heldByErin(4_000_000)
    await w.us.stop()
    await w.us.restart()
    await w.connect(dave)
    await w.connect(erin)
    await settle()
    const end = await payment.find((p) => p.status === 'SUCCEEDED')
    expect(end).toMatchObject({ payment_preimage: preimage, fee_msat: String(fee(4_000_000)) })
  })

  it('the payee takes it on chain: the payer has paid', async () => {
    const { payment, settle, preimage } = await heldByErin(30_000_000)
    await w.cut(erin)
    await settle()
    await w.mineUntil(FINAL_BLOCKS, isClosedBy('remote-force'))
    await w.mine(2)
    const end = await payment.find((p) => p.status === 'SUCCEEDED')
    expect(end.payment_preimage).toBe(preimage)
  })

  it('the payee is gone for good: what we take back on chain, the payer has back', async () => {
    await w.connect(erin)
    toErin = await w.openTo(erin, { capacity: 2_000_000, push: 1_000_000, announce: true })
    await w.until('dave’s graph', async () => wholeIn(await dave.rest.get('/v1/graph')) === 2)
    const { payment } = await heldByErin(30_000_000)
    await erin.halt('SIGKILL')
    await w.mineUntil(2 * FINAL_BLOCKS, isClosedBy('local-force'))
    let isBack = false
    payment
      .find((p) => p.status === 'FAILED')
      .then(() => {
        isBack = true
      })
    await w.mineUntil(20, async () => isBack)
    expect(w.alerts().map((e) => e.data.code)).toEqual(['EXPIRY_TOO_SOON'])
    const { channels } = await dave.rest.get('/v1/channels')
    expect(channels).toMatchObject([{ active: true, pending_htlcs: [] }])
  })
})
