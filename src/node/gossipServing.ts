import type { NodeId } from '../base/ids.ts'
import { type Announcement, newsFor, Outgoing } from '../gossip/outgoing.ts'
import { Answers } from '../gossip/serve.ts'
import type { GossipTable } from '../gossip/table.ts'
import type { GossipTimestampFilter, QueryChannelRange, QueryShortChannelIds } from '../wire/messages/gossip.ts'
import type { Link } from './outbox.ts'
import { PeerBudget } from './peerBudget.ts'
import type { Reactor, TurnScope } from './reactor.ts'

/** What goes out in one write. */
const CHUNK_BYTES = 32 * 1024
/** A peer that has not read this much gets no more gossip until it has: payments stand in the same line. */
const QUEUE_BYTES = 64 * 1024
/** In chunks: a peer may have today's network at once, then 256 kB a second; all peers four times that. */
const BUDGET = { perPeer: { burst: 2_048, refillMs: 125 }, total: { burst: 8_192, refillMs: 31 } }

export interface ServingOptions {
  readonly table: GossipTable
  readonly reactor: Reactor
  readonly send: (link: Link, messages: readonly Uint8Array[]) => void
  /** Who is served whatever strangers have taken; nobody when left out. */
  readonly isChosen?: (peer: NodeId) => boolean
  /** Bytes that the peer has not taken yet. */
  readonly queuedBytes: (link: Link) => number
  /** The sender broke a rule: warn and close. */
  readonly blame: (link: Link, reason: string) => void
  /** How often others' announcements are passed on, in milliseconds; 0: at once. */
  readonly flushMs: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

interface Peer {
  readonly link: Link
  readonly answers: Answers
  /** posted: a step is on its way; waiting: for the peer to read, or for budget. */
  step: 'none' | 'posted' | 'waiting'
}

/**
 * Gives peers what they ask for and the news that their filters let through: as fast as each reads, within a budget, in small steps
 * between which everything else has its turn.
 */
export class GossipServing {
  readonly #options: ServingOptions
  readonly #peers = new Map<NodeId, Peer>()
  readonly #outgoing = new Outgoing()
  readonly #budget: PeerBudget
  #flushAt: number

  constructor(options: ServingOptions) {
    this.#options = options
    this.#budget = new PeerBudget(BUDGET, options.now)
    this.#flushAt = options.now() + options.flushMs
  }

  /** @param own what the peer is told unasked, made as it reads: who connects again and again gets no more of it than of anything else */
  connected(link: Link, own: Iterable<Uint8Array> = []): void {
    const peer: Peer = { link, answers: new Answers(this.#options.table), step: 'none' }
    this.#peers.set(link.nodeId, peer)
    peer.answers.relay(own, 0)
    this.#go(peer)
  }
  disconnected(link: Link): void {
    if (this.#peers.get(link.nodeId)?.link.epoch === link.epoch) this.#peers.delete(link.nodeId)
  }

  onQuery(link: Link, m: QueryChannelRange | QueryShortChannelIds | GossipTimestampFilter): void {
    const peer = this.#peers.get(link.nodeId)
    if (!peer || peer.link.epoch !== link.epoch) return
    const fault = peer.answers.ask(m)
    if (fault !== null) return this.#options.blame(link, fault)
    this.#go(peer)
  }

  /** Passes an accepted announcement of others on, with the next flush. */
  relay(message: Announcement, from: NodeId): void {
    this.#outgoing.add(message, from)
    if (this.#options.flushMs === 0) this.#flush()
  }

  hasDue(): boolean {
    if (!this.#outgoing.isEmpty && this.#options.now() >= this.#flushAt) return true
    for (const peer of this.#peers.values()) if (!peer.answers.isIdle) return true
    return false
  }
  tick(): void {
    if (this.#options.now() >= this.#flushAt) this.#flush()
    for (const peer of this.#peers.values()) this.#resume(peer)
  }
  /** The peer has read everything. */
  drained({ nodeId, epoch }: Link): void {
    const peer = this.#peers.get(nodeId)
    if (peer?.link.epoch === epoch) this.#resume(peer)
  }

  #flush(): void {
    const { table, now, flushMs } = this.#options
    this.#flushAt = now() + flushMs
    const news = this.#outgoing.take(table).map((n) => ({ ...n }))
    if (news.length === 0) return
    for (const peer of this.#peers.values()) {
      const { filter } = peer.answers
      if (!filter) continue
      peer.answers.relay(newsFor(peer.link.nodeId, filter, news, table), news.length)
      this.#go(peer)
    }
  }

  #resume(peer: Peer): void {
    if (peer.step === 'waiting') peer.step = 'none'
    this.#go(peer)
  }
  #go(peer: Peer): void {
    if (peer.step !== 'none' || peer.answers.isIdle) return
    peer.step = 'posted'
    this.#options.reactor.post((scope) => this.#step(peer, scope))
  }

  #step(peer: Peer, scope: TurnScope): void {
    const { link, answers } = peer
    if (this.#peers.get(link.nodeId) !== peer) return
    const { queuedBytes, isChosen } = this.#options
    if (queuedBytes(link) > QUEUE_BYTES || !this.#budget.take(link.nodeId, isChosen?.(link.nodeId))) {
      peer.step = 'waiting' // until drained or tick
      return
    }
    const messages = answers.take(CHUNK_BYTES)
    scope.after(() => {
      if (messages.length > 0) this.#options.send(link, messages)
      peer.step = 'none'
      this.#go(peer)
    })
  }
}
