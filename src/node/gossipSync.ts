import type { NodeId } from '../base/ids.ts'
import { type Listed, type SyncOutcome, SyncSession, type SyncStep } from '../gossip/sync.ts'
import { hasFeature } from '../wire/features.ts'
import type { GossipTimestampFilter, ReplyChannelRange, ReplyShortChannelIdsEnd } from '../wire/messages/gossip.ts'
import type { Message } from '../wire/registry.ts'
import type { Link } from './outbox.ts'

/**
 * Peers that are asked for everything in each round: one alone could leave out what it likes. Of those that the operator chose as many,
 * whatever strangers have said, who could come first each time and know of nothing.
 */
const PEERS_PER_ROUND = 2
/** Peers that are known to have been asked: who comes to talk nonsense can come under another name each time. */
const REMEMBERED = 1_000
const ROUND_MS = 24 * 3600 * 1000
/** News may take this long to come to us, in seconds. */
const SLACK = 3600
const EVER = 0xffffffff

export interface GossipSyncOptions {
  readonly chainHash: Uint8Array
  readonly push: (link: Link, message: Message) => void
  /** Tells the peer what it did wrong; the connection stays. */
  readonly warn: (link: Link, reason: string) => void
  /** The chain is followed to its tip: before that, no channel could be checked. */
  readonly ready: () => boolean
  /** Announcements of this peer that come now find room. */
  readonly room: (from: NodeId) => boolean
  readonly want: (listed: Listed) => number
  /** A peer that the operator connected to, or has a channel with; nobody when left out. */
  readonly isChosen?: (peer: NodeId) => boolean
  /** Unix seconds of what we knew when the node started, 0 when we knew nothing. */
  readonly knownUntil: () => number
  readonly patienceMs: number
  /** Unix milliseconds. */
  readonly now: () => number
}

interface Known {
  readonly link: Link
  readonly offers: boolean
  readonly extended: boolean
  readonly isChosen: boolean
}

/**
 * Learns the network from peers: asks two of them, one after the other, for all that they know, and all for news from then on. Another
 * takes the place of one that goes away, falls silent or talks nonsense.
 * @source BOLT 7 §query-messages, §the-gossip_timestamp_filter-message
 */
export class GossipSync {
  readonly #options: GossipSyncOptions
  readonly #peers = new Map<NodeId, Known>()
  /** Asked in this round, whatever came of it. */
  readonly #asked = new Set<NodeId>()
  #completed = 0
  #completedOfChosen = 0
  /** What was missed while the node was away is asked for. */
  #isCurrent = false
  #roundAt: number
  #active: { readonly peer: Known; readonly session: SyncSession; readonly startedAt: number } | null = null
  /** Waits for its turn: its first filter comes after it, as some nodes look at no other. */
  #next: Known | null = null

  constructor(options: GossipSyncOptions) {
    this.#options = options
    this.#roundAt = options.now()
  }

  /** Whether `advance` may have something to do because time has passed. */
  get isWaiting(): boolean {
    return this.#active !== null || this.#next !== null || this.#options.now() - this.#roundAt > ROUND_MS
  }

  connected(link: Link, theirFeatures: Uint8Array): void {
    const offers = hasFeature(theirFeatures, 'gossip_queries')
    const isChosen = this.#options.isChosen?.(link.nodeId) === true
    const peer = { link, offers, extended: hasFeature(theirFeatures, 'gossip_queries_ex'), isChosen }
    this.#forget(link.nodeId) // an older connection, of whose end we hear nothing any more
    this.#peers.set(link.nodeId, peer)
    // BOLT 7 §the-gossip_timestamp_filter-message: nothing but its own from a peer that is not worth asking.
    if (!offers) return this.#filter(peer, { firstTimestamp: EVER, timestampRange: 0 })
    const mayAsk = this.#mayAsk(peer, this.#active ? 1 : 0)
    const isBefore = isChosen && !this.#next?.isChosen
    if (!mayAsk || (this.#next && !isBefore)) return this.#filterNow(peer)
    if (this.#next) this.#filterNow(this.#next)
    this.#next = peer
    this.#makeWay(peer)
    this.advance()
  }

  disconnected(link: Link): void {
    if (this.#peers.get(link.nodeId)?.link.epoch !== link.epoch) return
    this.#forget(link.nodeId)
    this.advance()
  }

  onReply(link: Link, m: ReplyChannelRange | ReplyShortChannelIdsEnd): void {
    const { now, room } = this.#options
    if (this.#active?.peer.link.epoch !== link.epoch) return
    const { session } = this.#active
    const hasRoom = room(link.nodeId)
    this.#take(m.type === 'reply_channel_range' ? session.onRange(m, now(), hasRoom) : session.onEnd(m, now(), hasRoom))
  }

  /** Time has passed, there is room again, or the chain is followed now. */
  advance(): void {
    const { now, room, ready } = this.#options
    if (now() - this.#roundAt > ROUND_MS) {
      this.#roundAt = now()
      this.#completed = 0
      this.#completedOfChosen = 0
      this.#asked.clear()
    }
    if (this.#active) {
      const { session, peer } = this.#active
      return this.#take(session.advance(now(), room(peer.link.nodeId)))
    }
    if (!ready()) return
    const peer = this.#next ?? this.#another()
    this.#next = null
    if (peer) this.#begin(peer)
  }

  #forget(nodeId: NodeId): void {
    this.#peers.delete(nodeId)
    if (this.#next?.link.nodeId === nodeId) this.#next = null
    if (this.#active?.peer.link.nodeId !== nodeId) return
    this.#active = null
    this.#asked.delete(nodeId) // it may be asked again: connections break
  }

  /** A chosen peer does not wait for a stranger, who can take half an hour over its answers. */
  #makeWay(peer: Known): void {
    if (!this.#active || this.#active.peer.isChosen || !peer.isChosen) return
    const { peer: stranger } = this.#active
    this.#active = null
    this.#filterNow(stranger)
  }

  /** @param more are being asked already */
  #mayAsk({ link, offers, isChosen }: Known, more: number): boolean {
    const completed = isChosen ? this.#completedOfChosen : this.#completed
    return offers && completed + more < PEERS_PER_ROUND && !this.#asked.has(link.nodeId)
  }

  #another(): Known | undefined {
    const able = [...this.#peers.values()].filter((p) => this.#mayAsk(p, 0))
    return able.find((p) => p.isChosen) ?? able[0]
  }

  #begin(peer: Known): void {
    const { chainHash, patienceMs, want, now, push } = this.#options
    const session = new SyncSession({ chainHash, extended: peer.extended, patienceMs, want })
    this.#asked.add(peer.link.nodeId)
    if (this.#asked.size > REMEMBERED) this.#asked.delete(this.#asked.values().next().value!)
    this.#active = { peer, session, startedAt: this.#seconds() }
    push(peer.link, session.begin(now()))
  }

  #take({ send, over }: SyncStep): void {
    const { peer, startedAt } = this.#active!
    if (send) this.#options.push(peer.link, send)
    if (!over) return
    this.#active = null
    if (over.outcome === 'malformed') this.#options.warn(peer.link, over.reason)
    this.#filterFrom(peer, this.#newsSince(over.outcome, startedAt))
    if (over.outcome === 'complete') {
      this.#completed++
      if (peer.isChosen) this.#completedOfChosen++
      this.#isCurrent = true
    }
    this.advance()
  }

  /** Unix seconds. Some nodes do not answer queries for channels, but a filter that reaches back brings all that they have. */
  #newsSince(outcome: SyncOutcome, startedAt: number): number {
    if (outcome === 'unanswered') return 0
    const known = this.#isCurrent ? 0 : this.#options.knownUntil()
    return Math.max(0, (known > 0 ? Math.min(known, startedAt) : startedAt) - SLACK)
  }

  /** Of a peer that is not asked now. */
  #filterNow(peer: Known): void {
    this.#filterFrom(peer, this.#completed > 0 ? this.#seconds() - SLACK : 0)
  }
  #filterFrom(peer: Known, firstTimestamp: number): void {
    this.#filter(peer, { firstTimestamp, timestampRange: EVER })
  }
  #filter({ link }: Known, range: Pick<GossipTimestampFilter, 'firstTimestamp' | 'timestampRange'>): void {
    const { chainHash, push } = this.#options
    push(link, { type: 'gossip_timestamp_filter', chainHash, ...range })
  }
  #seconds(): number {
    return Math.floor(this.#options.now() / 1000)
  }
}
