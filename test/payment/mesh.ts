import type { Msat } from '../../src/base/units.ts'
import type { Fault } from '../../src/channel/types.ts'
import { type PaymentContext, startPayment } from '../../src/payment/outgoing.ts'
import type { PaymentAttempt, PaymentRecord, PaymentTarget, PaymentTurn } from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import type { LocalChannel } from '../../src/routing/types.ts'
import { channelId, type Policy, scid, update } from '../routing/network.ts'
import { HEIGHT, hashOf, IDS, NOW, paymentTarget, preimageOf } from './world.ts'

const policy: Policy = { base: 1000, rate: 100, delta: 40, min: 1, max: 10 ** 12 }
export const PREIMAGE = preimageOf(3)
export const HASH = hashOf(PREIMAGE)
export const M = 1_000_000n

/** Node 0 pays; every pair of the other nodes has a channel, so that a payment has many ways to go. */
function meshGraph(nodes: number): Graph {
  const graph = new Graph()
  let id = 100
  for (let a = 1; a < nodes; a++) {
    for (let b = a + 1; b < nodes; b++) {
      const [nodeId1, nodeId2] = [IDS[a]!, IDS[b]!].sort() as [
        PaymentAttempt['hops'][0]['nodeId'],
        PaymentAttempt['hops'][0]['nodeId'],
      ]
      graph.addChannel({ shortChannelId: scid(++id), nodeId1, nodeId2, capacitySat: null, features: new Uint8Array(0) })
      for (const direction of [0, 1] as const)
        graph.applyUpdate(update(id, direction, { ...policy, base: 1000 * a + b }))
    }
  }
  return graph
}
const GRAPH = meshGraph(6)
export const local = (n: number, peer: number, sendable: bigint): LocalChannel => ({
  channelId: channelId(n),
  shortChannelId: scid(n),
  remoteNodeId: IDS[peer]!,
  sendableMsat: sendable as Msat,
  htlcMinimumMsat: 1n as Msat,
})
export const context = (more: Partial<PaymentContext> = {}): PaymentContext => ({
  now: NOW,
  blockHeight: HEIGHT,
  nodeId: IDS[0]!,
  graph: GRAPH,
  localChannels: [local(1, 1, 2n * M), local(2, 2, 2n * M), local(3, 3, M)],
  entropy: new Uint8Array(32).fill(0xab),
  ...more,
})
export const target = (more: Partial<PaymentTarget> = {}): PaymentTarget => paymentTarget(IDS[5]!, more)
export const start = (t = target(), ctx = context()): PaymentTurn<PaymentRecord> => {
  const started = startPayment(undefined, { paymentHash: HASH, target: t }, ctx)
  if (!started.ok) throw new Error(started.error.detail)
  return started.value
}
export const fault: Fault = {
  code: 'TOO_MANY_HTLCS',
  response: 'reject-command',
  requirement: '',
  detail: 'no slot is free',
}
