import { equalBytes } from '../base/bytes.ts'
import { type NodeId, type Outpoint, outpointKey, type ShortChannelId } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import type { RelayPolicy } from '../channel/types.ts'
import { updateChecksum } from '../gossip/checksum.ts'
import { type OwnNode, ownChannelUpdate, ownNodeAnnouncement } from '../gossip/own.ts'
import { heightOf, STALE_AFTER } from '../gossip/validate.ts'
import type { NetworkAddress } from '../wire/address.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { encodeMessage, type Message } from '../wire/registry.ts'
import type { GossipRecords } from './gossipRecords.ts'
import type { Link } from './outbox.ts'
import type { TurnScope } from './reactor.ts'

/** Seconds after which an update of ours is made anew, so that no one takes the channel for gone (BOLT 7 §recommendation-on-pruning-stale-entries). */
const RENEW_AFTER = STALE_AFTER / 2

export interface OwnGossipOptions {
  readonly own: OwnNode
  readonly push: (link: Link, message: Message) => void
  readonly links: () => readonly Link[]
  /** Unix milliseconds. */
  readonly now: () => number
  readonly alias: string
  readonly features: Uint8Array
  readonly addresses: readonly NetworkAddress[]
}

/** One of our channels, as far as others may know. */
export interface OwnChannel {
  /** Of a private channel the alias that its peer gave it, if any. */
  readonly shortChannelId: ShortChannelId
  readonly remoteNodeId: NodeId
  readonly funding: Outpoint
  readonly capacitySat: Sat
  readonly relay: RelayPolicy
  readonly disabled: boolean
  /** Complete once both sides' signatures are there; null for a private channel. */
  readonly announcement: ChannelAnnouncement | null
}

/** Speaks for our own channels and our node: to everyone at once, whatever filters they sent, and nothing twice. */
export class OwnGossip {
  readonly #options: OwnGossipOptions
  readonly #records: GossipRecords
  /** Our last update per channel. */
  readonly #last = new Map<string, ChannelUpdate>()
  /** Channels of ours that we have announced. */
  readonly #announced = new Set<ShortChannelId>()

  constructor(options: OwnGossipOptions, records: GossipRecords) {
    this.#options = options
    this.#records = records
  }

  /** Once the records are there: what others have heard. */
  load(): void {
    for (const message of this.#records.ours())
      if (message.type === 'channel_update') this.#announced.add(message.shortChannelId)
  }

  /** Blocks above this height are undone, and with them these announced channels. */
  onReorg(height: number, undone: readonly ShortChannelId[]): void {
    for (const scid of undone) this.#announced.delete(scid)
    for (const [key, { shortChannelId }] of this.#last) if (heightOf(shortChannelId) > height) this.#last.delete(key)
  }

  /** Says what others should know of a channel of which something changed. It is in the table if it is an announced one. */
  announce(channel: OwnChannel, peer: Link | null, scope: TurnScope): void {
    const { announcement, shortChannelId, remoteNodeId } = channel
    if (announcement && !this.#announced.has(shortChannelId)) {
      this.#announced.add(shortChannelId)
      this.#broadcast(announcement, remoteNodeId)
    }
    const update = this.#newUpdate(channel)
    if (update) {
      if (announcement) {
        this.#records.acceptUpdate(update, scope)
        this.#broadcast(update)
      } else if (peer) this.#options.push(peer, update)
    }
    if (announcement) this.#announceNode(scope)
  }

  /**
   * The peer has told its end of a channel of ours for the first time, so it has announced the channel itself. It is told of our end
   * again: before, it may have dropped that as the update of an unknown channel, and of a node without any.
   */
  onPeersFirstUpdate(link: Link, scid: ShortChannelId): void {
    const { own, push } = this.#options
    for (const message of [this.publicUpdate(scid), this.#records.table.node(own.nodeId)])
      if (message) push(link, message)
  }

  /** Our own update of an announced channel, as all the network has it. */
  publicUpdate(scid: ShortChannelId): ChannelUpdate | null {
    const updates = this.#records.table.channel(scid)?.updates ?? []
    return updates.find((u) => u !== null && this.#records.isOurs(u)) ?? null
  }

  /** A new update of ours when something that it says changed, else null. */
  #newUpdate(channel: OwnChannel): ChannelUpdate | null {
    const { own, now } = this.#options
    const { shortChannelId, remoteNodeId, relay, disabled, announcement } = channel
    const key = outpointKey(channel.funding)
    const last = this.#last.get(key) ?? this.publicUpdate(shortChannelId)
    const timestamp = Math.max(Math.floor(now() / 1000), (last?.timestamp ?? 0) + 1)
    const dontForward = announcement === null
    const next = ownChannelUpdate(own, {
      shortChannelId,
      remoteNodeId,
      policy: relay,
      disabled,
      dontForward,
      timestamp,
    })
    this.#last.set(key, next)
    if (last && updateChecksum(last) === updateChecksum(next) && last.timestamp > timestamp - RENEW_AFTER) {
      this.#last.set(key, last)
      return dontForward ? last : null
    }
    return next
  }

  #announceNode(scope: TurnScope): void {
    const { own, alias, features, addresses, now } = this.#options
    const last = this.#records.table.node(own.nodeId)
    const timestamp = Math.max(Math.floor(now() / 1000), (last?.timestamp ?? 0) + 1)
    const m = ownNodeAnnouncement(own, { alias, features, addresses, timestamp })
    if (last && saysTheSame(last, m)) return
    if (this.#records.acceptNode(m, scope).ok) this.#broadcast(m)
  }

  /** @param maker has made the same message itself */
  #broadcast(message: Message, maker?: NodeId): void {
    for (const link of this.#options.links()) if (link.nodeId !== maker) this.#options.push(link, message)
  }
}

/** But for when it says it. */
const saysTheSame = (a: NodeAnnouncement, b: NodeAnnouncement): boolean =>
  equalBytes(encodeMessage({ ...a, timestamp: b.timestamp, signature: b.signature }), encodeMessage(b))
