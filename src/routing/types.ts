import type { ChannelId, NodeId, ShortChannelId } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'

/** A channel of ours that can carry an HTLC now. */
export interface LocalChannel {
  readonly channelId: ChannelId
  /** The real one or an alias: routes are shown with it, peers never see it from us. */
  readonly shortChannelId: ShortChannelId
  readonly remoteNodeId: NodeId
  /** The largest HTLC that we could add now: balance less reserve and fees, in-flight and size limits. */
  readonly sendableMsat: Msat
  /** The smallest HTLC that the peer takes. */
  readonly htlcMinimumMsat: Msat
}

/** One HTLC of a route: over shortChannelId to nodeId. */
export interface RouteHop {
  readonly nodeId: NodeId
  readonly shortChannelId: ShortChannelId
  readonly amountMsat: Msat
  /** Block height. */
  readonly cltvExpiry: number
}

export interface Route {
  /** Ours, for the first hop. */
  readonly channelId: ChannelId
  /** From our peer to the payee; never empty. The last amount is what arrives. */
  readonly hops: readonly RouteHop[]
}

/** What arrives at the last node. */
export const routeAmount = (r: Route): Msat => r.hops.at(-1)!.amountMsat
/** What the nodes between take together. */
export const routeFee = (r: Route): Msat => (r.hops[0]!.amountMsat - routeAmount(r)) as Msat

export interface RouteFault {
  readonly code: 'NO_ROUTE' | 'INSUFFICIENT_BALANCE'
  readonly detail: string
}

/** One direction of a channel, as a key: `956478557028089856/0`; 0 is from the lesser node id to the greater. */
export type DirectedChannel = string
export const directedChannel = (shortChannelId: ShortChannelId, from: NodeId, to: NodeId): DirectedChannel =>
  `${shortChannelId}/${from < to ? 0 : 1}`

/** null for what is no key of a direction, such as the id of a channel of ours. */
export function channelOfKey(
  key: string,
): { readonly shortChannelId: ShortChannelId; readonly direction: 0 | 1 } | null {
  const at = key.indexOf('/')
  if (at < 0) return null
  return { shortChannelId: BigInt(key.slice(0, at)) as ShortChannelId, direction: key.endsWith('/0') ? 0 : 1 }
}
