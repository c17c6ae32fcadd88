import type { ChannelId, NodeId, ShortChannelId } from '../../src/base/ids.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import type { Graph } from '../../src/routing/graph.ts'
import { Heap } from '../../src/routing/heap.ts'
import { relayFee } from '../../src/routing/links.ts'
import { findRoute, type RouteRequest } from '../../src/routing/path.ts'
import { findRoutes } from '../../src/routing/split.ts'
import { type LocalChannel, routeAmount } from '../../src/routing/types.ts'
import { largeNetwork } from '../../test/routing/large.ts'
import { type Suite, task, timeSuite } from '../harness.ts'

const NODES = 20_000
const CHANNELS = 80_000
const HEIGHT = 800_000
const SOURCE = `03${'ab'.repeat(32)}` as NodeId
const ROOM = msat(3_000_000_000n)

/** What routing looks like in a textbook: nodes in maps, ways as objects. Limits on time and length are left out. */
function plainSearch(graph: Graph, r: RouteRequest): number | null {
  interface At {
    readonly node: NodeId
    readonly amount: number
  }
  const heap = new Heap<At>((a, b) => a.amount < b.amount)
  const settled = new Set<NodeId>()
  const reached = new Map<NodeId, number>()
  const peers = new Set(r.localChannels.map((c) => c.remoteNodeId))
  heap.push({ node: r.target, amount: Number(r.amountMsat) })
  for (let at = heap.pop(); at !== undefined; at = heap.pop()) {
    if (peers.has(at.node)) return at.amount
    if (settled.has(at.node)) continue
    settled.add(at.node)
    for (const { from, policy } of graph.edgesTo(at.node)) {
      if (at.node === r.target && at.amount < policy.htlcMinimumMsat) continue
      const sent = Math.max(at.amount, policy.htlcMinimumMsat)
      if (settled.has(from) || sent > policy.htlcMaximumMsat) continue
      const amount = sent + relayFee(policy, sent)
      if (amount >= (reached.get(from) ?? Number.POSITIVE_INFINITY)) continue
      reached.set(from, amount)
      heap.push({ node: from, amount })
    }
  }
  return null
}

/** Routes through a network as large as the real one: one search, and all of a payment that no channel carries at once. */
export function routingSuite(): Promise<Suite> {
  const { graph, nodes } = largeNetwork(NODES, CHANNELS)
  const localChannels = [3, 10, 50, 400, 5_000].map(
    (n, i): LocalChannel => ({
      channelId: i.toString(16).padStart(64, '0') as ChannelId,
      shortChannelId: BigInt(i + 1) as ShortChannelId,
      remoteNodeId: nodes[n]!,
      sendableMsat: ROOM,
      htlcMinimumMsat: msat(1n),
    }),
  )
  const requestOf = (target: NodeId, amount: bigint): RouteRequest => ({
    source: SOURCE,
    target,
    amountMsat: amount as Msat,
    finalCltvExpiry: HEIGHT + 18,
    maxFeeMsat: (amount / 100n + 5_000n) as Msat,
    maxCltvExpiry: HEIGHT + 2_016,
    localChannels,
  })
  const small = nodes.slice(1_000, 1_010).map((target) => requestOf(target, 100_000_000n))
  const large = nodes.slice(3, 6).map((target) => requestOf(target, 10_000_000_000n))
  const search = () =>
    small.map((r) => findRoute(graph, r)).map((r) => (r.ok ? Number(r.value.hops[0]!.amountMsat) : null))
  const plain = () => small.map((r) => plainSearch(graph, r))
  const expect = plain()
  return timeSuite(`Routes through ${NODES} nodes and ${CHANNELS} channels`, [
    task({ name: '100,000 sat: search', run: search, expect, operations: small.length }),
    task({ name: '100,000 sat: a plain search', run: plain, expect, operations: small.length }),
    task({
      name: '10,000,000 sat in up to 16 parts',
      run: () => large.map((r) => findRoutes(graph, r, 16)),
      expect: (all) =>
        all.every((r) => !r.ok || r.value.reduce((sum, x) => sum + routeAmount(x), 0n) === 10_000_000_000n) &&
        all.some((r) => r.ok),
      operations: large.length,
    }),
  ])
}
