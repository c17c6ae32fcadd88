import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import type { ChannelView } from '../../src/node/service.ts'
import { BITCOIND } from '../e2e/realNode.ts'
import { ECLAIR, NAMED } from './eclair/eclair.ts'
import { EclairWorld } from './eclair/world.ts'
import type { OurNode } from './ourNode.ts'

if (!BITCOIND || !ECLAIR) console.warn(`LEFT OUT: nothing was tried with a real eclair ${NAMED}`)

const MINUTES = 60_000
/** update_add_htlc on the wire. */
const ADD_BYTES = 1_486
/** Less than other messages of a payment. */
const STRIDE = 100

describe.skipIf(!BITCOIND || !ECLAIR)(`channels and payments with eclair ${NAMED}`, { timeout: 10 * MINUTES }, () => {
  let w: EclairWorld
  /** Nodes of ours with one channel each: carol's is with us, dave's with eclair. */
  let carol: OurNode
  let dave: OurNode
  let channel: ChannelView
  beforeAll(async () => {
    w = await EclairWorld.start(BITCOIND!, ECLAIR!, {
      'features.keysend': 'optional',
      // Otherwise it goes on for ten minutes with the fee before the last.
      'relay.fees.enforcement-delay': '0 seconds',
    })
  }, 5 * MINUTES)
  afterAll(() => w?.stop())
  afterEach(() => expect(w.alerts()).toEqual([]))
  const balance = async () => (await w.us.service.channel(channel.id)).localMsat

  it('opens channels both ways', async () => {
    channel = await w.openToEclair(10_000_000)
    expect(channel).toMatchObject({ type: 'anchors', localMsat: 5_000_000_000n })
    const theirs = await w.openFromEclair(2_000_000)
    expect(theirs).toMatchObject({ type: 'anchors', isOpener: false, localMsat: 1_000_000_000n })
    await w.close(theirs)
  })

  it('pays both ways: with and without an amount, trimmed or not, without an invoice', async () => {
    const had = await balance()
    for (const amount of [1_000, 20_000_000]) {
      expect((await w.payEclair(amount)).status).toBe('succeeded')
      expect((await w.payUs(2 * amount)).receivedMsat).toBe(2n * BigInt(amount))
    }
    const { serialized } = await w.invoiceOfEclair()
    const { id } = await w.us.service.pay({ bolt11: serialized, amountMsat: msat(777) })
    expect((await w.paid(id)).status).toBe('succeeded')
    const keysend = await w.us.service.pay({ nodeId: w.eclair.nodeId, amountMsat: msat(3_000_000) })
    expect((await w.paid(keysend.id)).status).toBe('succeeded')
    await w.eclair.call('sendtonode', { nodeId: w.us.nodeId, amountMsat: 2_000_000 })
    await w.until('the keysend of eclair', async () => (await balance()) === had + 20_001_000n - 777n - 1_000_000n)
    await w.quiet(channel.id)
  })

  it('what no channel can carry alone goes by two of them, both ways', async () => {
    const second = await w.openFromEclair(10_000_000)
    expect((await w.payEclair(6_000_000_000)).parts).toHaveLength(2)
    expect((await w.payUs(7_000_000_000)).receivedMsat).toBe(7_000_000_000n)
    await w.quiet(channel.id)
    await w.close(await w.quiet(second.id))
  })

  it('fails both ways, and each understands why', async () => {
    const had = await balance()
    const { serialized, paymentHash } = await w.invoiceOfEclair(5_000_000)
    await w.eclair.call('deleteinvoice', { paymentHash })
    const ours = await w.paid((await w.us.service.pay({ bolt11: serialized })).id)
    expect(ours.failure!.detail).toContain('incorrect_or_unknown_payment_details')
    const { bolt11, id } = await w.us.service.createInvoice({ amountMsat: msat(5_000_000) })
    await w.us.service.cancelInvoice(id)
    const e = { originNode: w.us.nodeId, failureMessage: 'incorrect payment details or unknown payment hash' }
    expect(await w.failure(bolt11)).toMatchObject(e)
    await w.quiet(channel.id)
    expect(await balance()).toBe(had)
  })

  it('forwards through each, by the channels’ aliases', async () => {
    ;[carol, dave] = [await w.another(), await w.another()]
    await dave.service.connectPeer({ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.eclair.port })
    await w.openBetween(carol, w.us)
    const daves = await w.openToEclair(4_000_000, 2_000_000, dave)
    for (const { service } of [carol, dave])
      await w.until('a way', async () => decodeInvoice((await service.createInvoice({})).bolt11).routeHints.length > 0)

    expect((await w.payUs(30_000_000, carol)).receivedMsat).toBe(30_000_000n)
    const { serialized } = await w.invoiceOfEclair(20_000_000, [channel])
    const hop = decodeInvoice(serialized).routeHints[0]![0]!
    expect([hop.nodeId, hop.shortChannelId >> 63n]).toEqual([w.us.nodeId, 1n])
    expect((await w.paid((await carol.service.pay({ bolt11: serialized })).id, carol)).status).toBe('succeeded')
    for (const [payer, payee] of [
      [w.us, dave],
      [dave, w.us],
    ] as const) {
      const { bolt11 } = await payee.service.createInvoice({ amountMsat: msat(15_000_000) })
      const sent = await w.paid((await payer.service.pay({ bolt11 })).id, payer)
      expect(sent).toMatchObject({ status: 'succeeded', feeMsat: 2_500n })
    }
    await w.quiet(channel.id)
    await w.quiet(daves.id, dave)
  })

  it('failures further on come back through each', async () => {
    const [toCarol, toDave] = [carol, dave].map(({ service }) =>
      service.createInvoice({ amountMsat: msat(5_000_000) }),
    ) as [ReturnType<OurNode['service']['createInvoice']>, ReturnType<OurNode['service']['createInvoice']>]
    await carol.service.cancelInvoice((await toCarol).id)
    expect(await w.failure((await toCarol).bolt11)).toMatchObject({
      ...{ originNode: carol.nodeId, failureMessage: 'incorrect payment details or unknown payment hash' },
    })
    await dave.service.cancelInvoice((await toDave).id)
    const pay = async (bolt11: string) => (await w.paid((await w.us.service.pay({ bolt11 })).id)).failure!.detail
    expect(await pay((await toDave).bolt11)).toContain('incorrect_or_unknown_payment_details')

    const others = await Promise.all([carol, dave].map((n) => n.service.createInvoice({ amountMsat: msat(6_000_000) })))
    await Promise.all([carol, dave].map((n) => n.stop()))
    expect(await w.failure(others[0]!.bolt11)).toMatchObject({ originNode: w.us.nodeId })
    await Promise.all([carol, dave].map((n) => n.restart()))
    await w.until('dave', async () => (await dave.channels())[0]!.usable)
    await w.quiet(channel.id)
  })

  it('a fee that eclair has raised since the invoice is paid by the next attempt, by the channel_update in its failure', async () => {
    const invoice = () => dave.service.createInvoice({ amountMsat: msat(10_000_000) })
    const { bolt11 } = await invoice()
    const hint = async () => decodeInvoice((await invoice()).bolt11).routeHints[0]?.[0]
    const policy = async (feeBaseMsat: number, feeProportionalMillionths: number) => {
      await w.eclair.call('updaterelayfee', { nodeId: dave.nodeId, feeBaseMsat, feeProportionalMillionths })
      await w.until('dave to know', async () => (await hint())?.feeBaseMsat === feeBaseMsat)
    }
    await policy(7_000, 2_000)
    // The old one is good for the second of the change.
    const changed = Date.now()
    await w.until('the next second', () => Date.now() > changed + 2_000)
    const sent = await w.paid((await w.us.service.pay({ bolt11 })).id)
    await policy(1_000, 100)
    expect(sent).toMatchObject({ status: 'succeeded', feeMsat: 27_000n })
    expect(sent.parts.map((p) => p.failure)).toEqual([expect.stringContaining('fee_insufficient'), null])
    await w.quiet(channel.id)
  })

  it('HTLCs both ways outlive a restart of each', async () => {
    const ours = async () => {
      await w.us.stop()
      await w.us.restart()
    }
    const theirs = async () => {
      await w.eclair.stop()
      await w.eclair.restart()
      await dave.service.connectPeer({ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.eclair.port })
    }
    for (const restart of [ours, theirs]) {
      const held = []
      for (const amount of [2_000, 40_000_000])
        held.push(await w.holdFromEclair(amount), await w.holdThroughEclair(amount, dave))
      await restart()
      await w.connect()
      await w.usable(channel.id)
      await w.settleAll(held)
      await w.quiet(channel.id)
    }
  })

  it.each(['us', 'eclair'] as const)('a payment of %s survives a cut between any two messages', async (payer) => {
    for (const direction of ['out', 'in'] as const) {
      for (let bytes = 0, cut = true; cut; ) {
        const had = await balance()
        const over = payer === 'us' ? await w.beginOurs(2_000_000) : await w.beginTheirs(2_000_000)
        w.link.cutAfter(direction, bytes)
        await w.until(
          'the cut, or the end',
          async () => !(await w.peerConnected()) || ((await over()) && w.isQuiet(channel.id)),
        )
        cut = w.link.disarm()
        if (cut) {
          await w.lost()
          await w.connect()
          await w.usable(channel.id)
        }
        await w.until('the payment', over)
        await w.quiet(channel.id)
        expect([bytes, (await balance()) - had]).toEqual([bytes, payer === 'us' ? -2_000_000n : 2_000_000n])
        bytes += bytes === 0 && (direction === 'out') === (payer === 'us') ? ADD_BYTES : STRIDE
      }
    }
  })

  it('feerates: we raise ours, eclair its own, HTLCs in flight', async () => {
    const theirs = await w.openFromEclair(10_000_000)
    const held = [await w.holdFromEclair(40_000_000), await w.holdThroughEclair(30_000_000, dave)]
    const feerate = (c: ChannelView, perKw: number) =>
      w.until(`a feerate of ${perKw}`, async () => {
        const { commitTxFeerate } = await w.spec(c)
        return commitTxFeerate === perKw && (await w.us.service.channel(c.id)).feeratePerKw === perKw
      })
    await w.us.stop()
    w.chain.changes.set('estimatesmartfee', () => ({ feerate: (2_400 * 4) / 1e8, blocks: 2 }))
    await w.us.restart()
    await w.connect()
    await feerate(channel, 2_400)
    await w.eclair.stop()
    await w.eclair.restart({ 'on-chain-fees.default-feerates.fast': 6, 'on-chain-fees.default-feerates.medium': 4 })
    await dave.service.connectPeer({ nodeId: w.eclair.nodeId, host: '127.0.0.1', port: w.eclair.port })
    await w.connect()
    await feerate(theirs, 1_500)
    await w.settleAll(held)
    for (const c of [channel, theirs]) await w.quiet(c.id)
    await w.close(theirs)
  })

  it('announces a channel, and each has it in its graph', async () => {
    const open = await w.openFromEclair(2_000_000, 1_000_000, { announceChannel: true })
    await w.until('the announcement', async () => (await w.us.service.channel(open.id)).announced)
    await w.until('our graph', async () => (await w.us.service.graphChannels({ limit: 9 })).items.length === 1)
    await w.until('eclair’s name', async () =>
      (await w.us.service.graphNodes({ limit: 9 })).items.some((n) => n.alias === 'eclair'),
    )
    await w.until('eclair’s graph', async () => {
      const updates = await w.eclair.call<{ shortChannelId: string }[]>('allupdates', { nodeId: w.us.nodeId })
      return updates.length > 0
    })
    const names = await w.eclair.call<{ alias: string }[]>('nodes')
    expect(names.map((n) => n.alias)).toContain('fulmen')
  })
})
