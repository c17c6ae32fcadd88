import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import type { ChannelView, GraphChannelView } from '../../src/node/service.ts'
import { startLdkPeer } from './ldk.ts'
import type { OurNode } from './ourNode.ts'
import { World } from './world.ts'

describe('BOLT 7 with LDK: announced channels', () => {
  let w: World
  let carol: OurNode
  let ours: ChannelView
  let carols: ChannelView
  beforeAll(async () => {
    w = await World.start()
    carol = await w.another()
    // Before there is anything to know: LDK tells news, and the past only to who asks for it.
    await carol.service.connectPeer({ nodeId: w.ldk.nodeId, host: '127.0.0.1', port: w.ldk.port })
    ours = await w.openAnnounced(w.us)
    carols = await w.openAnnounced(carol)
  })
  afterAll(() => w.stop())

  const known = async (node: OurNode) => (await node.service.graphChannels({ limit: 10 })).items
  const isComplete = (channel: GraphChannelView) => channel.policies.every((p) => p !== null)

  it('all three know both channels, with the policies of both ends', async () => {
    for (const node of [w.us, carol]) {
      await w.until('the graph', async () => (await known(node)).filter(isComplete).length === 2)
      const scids = (await known(node)).map((c) => c.shortChannelId)
      expect(new Set(scids)).toEqual(new Set([ours, carols].map((c) => c.shortChannelId!)))
    }
    await w.until('LDK’s graph', async () => (await w.ldk.cmd('graph')).channels === 2)
  })

  it('LDK’s node announcement reaches us', async () => {
    await w.ldk.cmd('announce_node')
    await w.until('the alias', async () => {
      const { items } = await w.us.service.graphNodes({ limit: 10 })
      return items.some((n) => n.nodeId === w.ldk.nodeId && n.alias === 'ldk-peer')
    })
  })

  it('we pay our other node through LDK, by what gossip told, and it pays us', async () => {
    for (const [payer, payee] of [
      [w.us, carol],
      [carol, w.us],
    ] as const) {
      const { bolt11, id } = await payee.service.createInvoice({ amountMsat: msat(90_000_000) })
      expect(decodeInvoice(bolt11).routeHints).toEqual([])
      const paid = await w.settledPayment((await payer.service.pay({ bolt11 })).id, payer)
      expect(paid).toMatchObject({ status: 'succeeded' })
      expect(paid.parts[0]!.route.map((hop) => hop.nodeId)).toEqual([w.ldk.nodeId, payee.nodeId])
      expect(paid.feeMsat).toBeGreaterThan(0n)
      await w.until('the invoice', async () => (await payee.service.invoice(id)).status === 'settled')
      await w.ldk.waitFor('PaymentForwarded')
    }
  })

  it('BOLT 7 §query-messages: a node of ours that comes late learns both channels from LDK, which answers no query for them', async () => {
    const late = await w.another()
    await late.service.connectPeer({ nodeId: w.ldk.nodeId, host: '127.0.0.1', port: w.ldk.port })
    await w.until('the graph', async () => (await known(late)).filter(isComplete).length === 2)
    const names = async () => (await late.service.graphNodes({ limit: 10 })).items.map((n) => n.alias)
    await w.until('the names', async () => (await names()).includes('fulmen'))
  })

  it('BOLT 7 §the-gossip_timestamp_filter-message: an LDK node that comes late learns both from us', async () => {
    const late = await startLdkPeer()
    try {
      await late.cmd('connect', { pubkey: w.us.nodeId, host: '127.0.0.1', port: w.us.port })
      await w.until('LDK’s graph', async () => (await late.cmd('graph')).channels === 2)
    } finally {
      await late.stop()
    }
  })

  it('a failure of LDK’s on the way is taken as LDK’s', async () => {
    const { bolt11 } = await carol.service.createInvoice({ amountMsat: msat(1_500_000) })
    await carol.stop()
    const paid = await w.settledPayment((await w.us.service.pay({ bolt11 })).id)
    expect(paid.parts[0]!.failure).toBe(`temporary_channel_failure at ${w.ldk.nodeId}`)
    expect(paid.failure!.code).toBe('NO_ROUTE')
  })
})
