import { printable } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import { MAX_MSAT, type Sat } from '../base/units.ts'
import type { NetworkAddress } from '../wire/address.ts'
import { unknownEvenBits } from '../wire/features.ts'
import type { ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { Links } from './links.ts'
import { type DirectedChannel, directedChannel } from './types.ts'

/** What one end of a channel asks for relaying out over it (BOLT 7 §the-channel_update-message). Numbers: the path finder adds millions of them. */
export interface EdgePolicy {
  readonly feeBaseMsat: number
  readonly feeProportionalMillionths: number
  readonly cltvExpiryDelta: number
  readonly htlcMinimumMsat: number
  readonly htlcMaximumMsat: number
  readonly enabled: boolean
  /** Unix seconds. */
  readonly timestamp: number
}

/** One direction of a channel that payments can take. */
export interface Edge {
  readonly key: DirectedChannel
  readonly shortChannelId: ShortChannelId
  readonly from: NodeId
  readonly to: NodeId
  readonly policy: EdgePolicy
  /** null where it is not known. */
  readonly capacityMsat: number | null
}

export interface GraphChannel {
  readonly shortChannelId: ShortChannelId
  /** The lesser node id first. */
  readonly nodeId1: NodeId
  readonly nodeId2: NodeId
  /** null when the chain was not asked. */
  readonly capacitySat: Sat | null
  /** Of node 1, of node 2; null until one is heard. */
  readonly policies: readonly [EdgePolicy | null, EdgePolicy | null]
}

export interface GraphNode {
  readonly nodeId: NodeId
  /** Cleaned for showing; empty until announced. */
  readonly alias: string
  readonly addresses: readonly NetworkAddress[]
  readonly features: Uint8Array
  /** Unix seconds; 0 until announced. */
  readonly timestamp: number
}

export interface NewChannel extends Pick<GraphChannel, 'shortChannelId' | 'nodeId1' | 'nodeId2' | 'capacitySat'> {
  /** Of the announcement: with an unknown even bit, nothing is routed over the channel (BOLT 7 §the-channel_announcement-message). */
  readonly features: Uint8Array
}

const NO_BYTES = new Uint8Array(0)

/**
 * The network as gossip tells it, in memory. It believes what it is given: signatures and the chain are the gossip part's to
 * check. A node lives as long as it has a channel.
 */
export class Graph {
  readonly #channels = new Map<ShortChannelId, GraphChannel>()
  readonly #nodes = new Map<NodeId, GraphNode>()
  readonly #channelsOf = new Map<NodeId, Set<ShortChannelId>>()
  /** What the search reads. */
  readonly links = new Links()
  readonly #unroutableChannels = new Set<ShortChannelId>()
  readonly #unroutableNodes = new Set<NodeId>()

  get channelCount(): number {
    return this.#channels.size
  }
  get nodeCount(): number {
    return this.#channelsOf.size
  }
  channel(id: ShortChannelId): GraphChannel | undefined {
    return this.#channels.get(id)
  }
  channels(): Iterable<GraphChannel> {
    return this.#channels.values()
  }
  /** A node with a channel, announced or not. */
  node(id: NodeId): GraphNode | undefined {
    if (!this.#channelsOf.has(id)) return undefined
    return this.#nodes.get(id) ?? { nodeId: id, alias: '', addresses: [], features: NO_BYTES, timestamp: 0 }
  }
  *nodes(): Iterable<GraphNode> {
    for (const id of this.#channelsOf.keys()) yield this.node(id)!
  }
  channelsOf(id: NodeId): readonly GraphChannel[] {
    return [...(this.#channelsOf.get(id) ?? [])].map((scid) => this.#channels.get(scid)!)
  }
  /** The directions that lead to a node and are enabled. */
  edgesTo(id: NodeId): readonly Edge[] {
    return this.links.into(this.links.numberOf(id)).edges
  }

  /** false: the node asks for features that we do not have (BOLT 7 §the-node_announcement-message). */
  mayRelay(id: NodeId): boolean {
    return !this.#unroutableNodes.has(id)
  }
  /** Those that may not. */
  get unroutableNodes(): ReadonlySet<NodeId> {
    return this.#unroutableNodes
  }

  /** @returns false for a channel that is known */
  addChannel(channel: NewChannel): boolean {
    const { shortChannelId: id, capacitySat } = channel
    if (this.#channels.has(id)) return false
    const [nodeId1, nodeId2] =
      channel.nodeId1 < channel.nodeId2 ? [channel.nodeId1, channel.nodeId2] : [channel.nodeId2, channel.nodeId1]
    this.#channels.set(id, { shortChannelId: id, nodeId1, nodeId2, capacitySat, policies: [null, null] })
    if (unknownEvenBits(channel.features).length > 0) this.#unroutableChannels.add(id)
    for (const node of [nodeId1, nodeId2]) {
      const set = this.#channelsOf.get(node)
      if (set) set.add(id)
      else this.#channelsOf.set(node, new Set([id]))
    }
    return true
  }

  /**
   * The newest of a direction's updates counts.
   * @returns false for an unknown channel or an update that is not newer
   * @source BOLT 7 §the-channel_update-message
   */
  applyUpdate(update: ChannelUpdate): boolean {
    const channel = this.#channels.get(update.shortChannelId)
    if (!channel) return false
    const direction = update.channelFlags & 1
    const known = channel.policies[direction]
    if (known && known.timestamp >= update.timestamp) return false
    const policy = policyOf(update, channel.capacitySat)
    const policies =
      direction === 0 ? ([policy, channel.policies[1]] as const) : ([channel.policies[0], policy] as const)
    this.#channels.set(channel.shortChannelId, { ...channel, policies })
    this.#setEdge(channel, direction, policy)
    return true
  }

  /** @returns false for a node without channels or an announcement that is not newer */
  applyNode(announcement: NodeAnnouncement): boolean {
    const { nodeId, features, addresses, timestamp } = announcement
    if (!this.#channelsOf.has(nodeId) || (this.#nodes.get(nodeId)?.timestamp ?? 0) >= timestamp) return false
    const end = announcement.alias.findLastIndex((b) => b !== 0) + 1
    const alias = printable(announcement.alias.subarray(0, end), 32)
    if (unknownEvenBits(features).length > 0) this.#unroutableNodes.add(nodeId)
    else this.#unroutableNodes.delete(nodeId)
    this.#nodes.set(nodeId, { nodeId, alias, features, addresses, timestamp })
    return true
  }

  /** Forgets a channel that is closed, and its nodes when it was their last. */
  removeChannel(id: ShortChannelId): void {
    const channel = this.#channels.get(id)
    if (!channel) return
    this.#channels.delete(id)
    this.#unroutableChannels.delete(id)
    for (const direction of [0, 1]) this.#setEdge(channel, direction, null)
    for (const node of [channel.nodeId1, channel.nodeId2]) {
      const set = this.#channelsOf.get(node)!
      set.delete(id)
      if (set.size > 0) continue
      this.#channelsOf.delete(node)
      this.#nodes.delete(node)
      this.#unroutableNodes.delete(node)
      this.links.forget(node)
    }
  }

  #setEdge(channel: GraphChannel, direction: number, policy: EdgePolicy | null): void {
    const [from, to] = direction === 0 ? [channel.nodeId1, channel.nodeId2] : [channel.nodeId2, channel.nodeId1]
    const into = this.links.into(this.links.number(to))
    const { shortChannelId } = channel
    // Looked for only where it is: a hub has thousands, and at a start each comes anew.
    const at = channel.policies[direction]?.enabled
      ? into.edges.findIndex((e) => e.shortChannelId === shortChannelId && e.from === from)
      : -1
    if (!policy?.enabled || this.#unroutableChannels.has(shortChannelId)) {
      if (at >= 0) into.remove(at)
      return
    }
    const { capacitySat } = channel
    const capacityMsat = capacitySat === null ? null : Number(capacitySat) * 1000
    const edge = { key: directedChannel(shortChannelId, from, to), shortChannelId, from, to, policy, capacityMsat }
    if (at >= 0) into.replace(at, edge)
    else into.add(edge, this.links.number(from))
  }
}

/** @param capacitySat null where it is not known */
export function policyOf(u: ChannelUpdate, capacitySat: Sat | null): EdgePolicy {
  const capacity = capacitySat === null ? MAX_MSAT : capacitySat * 1000n
  return {
    feeBaseMsat: u.feeBaseMsat,
    feeProportionalMillionths: u.feeProportionalMillionths,
    cltvExpiryDelta: u.cltvExpiryDelta,
    htlcMinimumMsat: Number(u.htlcMinimumMsat),
    htlcMaximumMsat: Number(u.htlcMaximumMsat < capacity ? u.htlcMaximumMsat : capacity),
    enabled: (u.channelFlags & 2) === 0,
    timestamp: u.timestamp,
  }
}
