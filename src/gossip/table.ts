import type { NodeId, Outpoint, ShortChannelId } from '../base/ids.ts'
import { outpointKey } from '../base/ids.ts'
import { err, type Result } from '../base/result.ts'
import type { Sat } from '../base/units.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { ScidIndex } from './scidIndex.ts'
import {
  checkChannelUpdate,
  checkNodeAnnouncement,
  directionOf,
  type FundingOutput,
  type GossipFault,
  isDontForward,
} from './validate.ts'

export interface KnownChannel {
  readonly announcement: ChannelAnnouncement
  readonly funding: Outpoint
  readonly capacitySat: Sat
  readonly updates: readonly [ChannelUpdate | null, ChannelUpdate | null]
}

/** All announced channels and nodes that we know, as their messages: what we relay and what the routing graph is made of. */
export class GossipTable {
  readonly chainHash: Uint8Array
  readonly #ordered = new ScidIndex()
  readonly #channels = new Map<ShortChannelId, KnownChannel>()
  readonly #byFunding = new Map<string, ShortChannelId>()
  readonly #nodes = new Map<NodeId, NodeAnnouncement>()
  readonly #channelsOfNode = new Map<NodeId, number>()

  constructor(chainHash: Uint8Array) {
    this.chainHash = chainHash
  }

  channels(): readonly KnownChannel[] {
    return [...this.#channels.values()]
  }
  channel(scid: ShortChannelId): KnownChannel | undefined {
    return this.#channels.get(scid)
  }
  /** The first `most` ids from `from` on, in ascending order, that are less than `before`. */
  scids(from: bigint, before: bigint, most: number): readonly ShortChannelId[] {
    return this.#ordered.range(from, before, most)
  }
  nodes(): readonly NodeAnnouncement[] {
    return [...this.#nodes.values()]
  }
  node(id: NodeId): NodeAnnouncement | undefined {
    return this.#nodes.get(id)
  }

  /** A channel whose announcement and funding output have been checked. @returns false when it was known */
  addChannel(announcement: ChannelAnnouncement, { outpoint, capacitySat }: FundingOutput): boolean {
    const { shortChannelId: scid } = announcement
    if (this.#channels.has(scid)) return false
    this.#channels.set(scid, { announcement, funding: outpoint, capacitySat, updates: [null, null] })
    this.#ordered.add(scid)
    this.#byFunding.set(outpointKey(outpoint), scid)
    for (const id of [announcement.nodeId1, announcement.nodeId2]) {
      this.#channelsOfNode.set(id, (this.#channelsOfNode.get(id) ?? 0) + 1)
    }
    return true
  }

  /** Checks an update of an announced channel and keeps it. */
  acceptUpdate(m: ChannelUpdate, nowSeconds: number): Result<null, GossipFault> {
    const channel = this.#channels.get(m.shortChannelId)
    if (!channel) return err({ blame: false, reason: 'channel_update of a channel that we do not know' })
    if (isDontForward(m)) return err({ blame: false, reason: 'channel_update is for the peer alone' })
    const direction = directionOf(m)
    const { announcement, updates } = channel
    const origin = direction === 0 ? announcement.nodeId1 : announcement.nodeId2
    const checked = checkChannelUpdate(m, origin, {
      chainHash: this.chainHash,
      previous: updates[direction],
      nowSeconds,
    })
    if (checked.ok) this.#keep(channel, m)
    return checked
  }

  /** Puts back what was checked before it was stored. @returns false when its channel, or the node's, is not known */
  restore(m: ChannelUpdate | NodeAnnouncement): boolean {
    if (m.type === 'node_announcement') {
      if (!this.hasChannels(m.nodeId)) return false
      this.#nodes.set(m.nodeId, m)
      return true
    }
    const channel = this.#channels.get(m.shortChannelId)
    if (channel) this.#keep(channel, m)
    return channel !== undefined
  }

  #keep(channel: KnownChannel, m: ChannelUpdate): void {
    const [first, second] = channel.updates
    const updates = directionOf(m) === 0 ? ([m, second] as const) : ([first, m] as const)
    this.#channels.set(m.shortChannelId, { ...channel, updates })
  }

  /** Whether a node has a channel that we know: others are ignored. */
  hasChannels(nodeId: NodeId): boolean {
    return this.#channelsOfNode.has(nodeId)
  }

  /** Checks a node's announcement and keeps it; nodes without a known channel are ignored. */
  acceptNode(m: NodeAnnouncement): Result<null, GossipFault> {
    if (!this.hasChannels(m.nodeId)) return err({ blame: false, reason: 'node has no channel that we know' })
    const checked = checkNodeAnnouncement(m, this.#nodes.get(m.nodeId) ?? null)
    if (checked.ok) this.#nodes.set(m.nodeId, m)
    return checked
  }

  /** The channel whose funding output is this one, if any: it is closed when that output is spent. */
  scidOfFunding(outpoint: Outpoint): ShortChannelId | undefined {
    return this.#byFunding.get(outpointKey(outpoint))
  }

  /** Forgets a channel, and its nodes when it was their last. */
  removeChannel(scid: ShortChannelId): KnownChannel | undefined {
    const channel = this.#channels.get(scid)
    if (!channel) return undefined
    this.#channels.delete(scid)
    this.#ordered.remove(scid)
    this.#byFunding.delete(outpointKey(channel.funding))
    for (const id of [channel.announcement.nodeId1, channel.announcement.nodeId2]) {
      const left = (this.#channelsOfNode.get(id) ?? 1) - 1
      if (left > 0) this.#channelsOfNode.set(id, left)
      else {
        this.#channelsOfNode.delete(id)
        this.#nodes.delete(id)
      }
    }
    return channel
  }
}
