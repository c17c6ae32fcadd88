import type { ChannelId } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import type { Edge } from './graph.ts'
import { capacityOf, relayFee } from './links.ts'
import type { DirectedChannel, LocalChannel, Route, RouteHop } from './types.ts'

/** What parts of a payment carry already, msat: over directions, and over channels of ours by their id. */
export type Taken = ReadonlyMap<DirectedChannel | ChannelId, number>

/** What a route goes over, whatever it carries. */
export interface Way {
  readonly channel: LocalChannel
  /** From our peer to the payee; empty when our peer is the payee. */
  readonly edges: readonly Edge[]
  readonly finalCltvExpiry: number
}

/** What a channel of ours can still send. */
export const roomOf = (c: LocalChannel, taken: Taken | undefined): number =>
  Number(c.sendableMsat) - (taken?.get(c.channelId) ?? 0)

/** The most that one more HTLC over a direction may carry. */
const roomIn = (edge: Edge, taken: Taken | undefined): number =>
  Math.min(edge.policy.htlcMaximumMsat, capacityOf(edge) - (taken?.get(edge.key) ?? 0))

/**
 * The route that brings an amount along a way. What an htlc_minimum_msat asks beyond the need is sent and given away as fee,
 * except on the last hop, where the amount is fixed.
 * @param amountMsat below 2^53
 * @returns null where some channel takes no such amount
 */
export function routeAlong({ channel, edges, finalCltvExpiry }: Way, amountMsat: number, taken?: Taken): Route | null {
  const hops: RouteHop[] = []
  let amount = amountMsat
  let cltvExpiry = finalCltvExpiry
  for (const edge of edges.toReversed()) {
    const { shortChannelId, to, policy } = edge
    const sent = Math.max(amount, policy.htlcMinimumMsat)
    if (sent > roomIn(edge, taken) || (hops.length === 0 && sent > amountMsat)) return null
    hops.push({ nodeId: to, shortChannelId, amountMsat: BigInt(sent) as Msat, cltvExpiry })
    amount = sent + relayFee(policy, sent)
    cltvExpiry += policy.cltvExpiryDelta
  }
  const { channelId, remoteNodeId, shortChannelId, htlcMinimumMsat } = channel
  const sent = Math.max(amount, Number(htlcMinimumMsat))
  if (sent > roomOf(channel, taken) || (hops.length === 0 && sent > amountMsat)) return null
  hops.push({ nodeId: remoteNodeId, shortChannelId, amountMsat: BigInt(sent) as Msat, cltvExpiry })
  return { channelId, hops: hops.reverse() }
}
