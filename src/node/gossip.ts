import { EMPTY } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import type { ChainBlock, ChainSource } from '../chain/source.ts'
import { BATCH, type Listed, wantedOf } from '../gossip/sync.ts'
import {
  checkChannelAnnouncement,
  directionOf,
  type FundingOutput,
  type GossipFault,
  heightOf,
  isPassedOn,
  isTooLong,
} from '../gossip/validate.ts'
import { warningOf } from '../peer/session.ts'
import type { Graph } from '../routing/graph.ts'
import type { Driver } from '../store/types.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { encodeMessage, type GossipMessage } from '../wire/registry.ts'
import { FundingLookups } from './fundingLookups.ts'
import { HeldGossip } from './gossipHeld.ts'
import { type OwnChannel, OwnGossip, type OwnGossipOptions } from './gossipOwn.ts'
import { GossipRecords } from './gossipRecords.ts'
import { GossipServing } from './gossipServing.ts'
import { GossipSync } from './gossipSync.ts'
import type { Link } from './outbox.ts'
import type { Reactor, TurnScope } from './reactor.ts'
import { UpdateLimit } from './updateLimit.ts'

/** Updates of channels that nobody has announced and that are remembered: the oldest go. */
const REMEMBERED = 5_000
/** Blocks that a funding is deep before its channel is taken: peers announce it at six, and may be three ahead of us. */
const MIN_DEPTH = 3
/** How often stale channels are looked for, and updates of ours that would soon be. */
const MAINTAIN_MS = 3600 * 1000
const FIRST_MAINTAIN_MS = 60 * 1000
/** Clocks of others may be this much ahead, in seconds. */
const AHEAD = 24 * 3600

export interface GossipPace {
  /** How often others' announcements are passed on (BOLT 7 §rebroadcasting); 0: at once. */
  readonly flushMs: number
  /** Within which a peer is to answer a query. */
  readonly patienceMs: number
}

export const DEFAULT_PACE: GossipPace = { flushMs: 60_000, patienceMs: 30_000 }
/** Nobody's traffic is to be spared there. */
export const REGTEST_PACE: GossipPace = { flushMs: 1_000, patienceMs: 10_000 }

export interface GossipShellOptions extends OwnGossipOptions {
  readonly graph: Graph
  readonly source: ChainSource
  readonly driver: Driver
  readonly reactor: Reactor
  /** Encoded messages that stand in no order to others. */
  readonly send: (link: Link, messages: readonly Uint8Array[]) => void
  readonly queuedBytes: (link: Link) => number
  /** Whether this peer may call a channel of ours with it so. */
  readonly isOurs: (peer: NodeId, scid: ShortChannelId) => boolean
  /** A peer that the operator connected to, or has a channel with: strangers can be as many as they like. */
  readonly isChosen: (peer: NodeId) => boolean
  /** The sender broke a rule: warn and close. */
  readonly blame: (link: Link, reason: string) => void
  /** The chain is followed to its tip. */
  readonly synced: () => boolean
  /** Calls announceOwn for all of our channels. */
  readonly renewOwn: (scope: TurnScope) => void
  readonly pace: GossipPace
  readonly blockHeight: () => number
}

/** Keeps the table of announcements, feeds the routing graph from it, asks and answers peers, and speaks for our own channels. */
export class GossipShell {
  readonly #options: GossipShellOptions
  readonly #records: GossipRecords
  readonly #lookups: FundingLookups
  readonly #serving: GossipServing
  readonly #sync: GossipSync
  readonly #limit = new UpdateLimit(() => performance.now())
  readonly #held: HeldGossip
  /** Reorganisations so far: what was looked up before one may be wrong after it. */
  #reorgs = 0
  readonly #own: OwnGossip
  /** The peers' updates of our private channels: what an invoice's route hint says. */
  readonly #private = new Map<string, ChannelUpdate>()
  /** Updates of channels that nobody has announced: one may turn out to be ours. Strangers push out none of a chosen peer's. */
  readonly #unknown = { chosen: new Map<string, ChannelUpdate>(), strangers: new Map<string, ChannelUpdate>() }
  /** Unix seconds of the newest update of others that was stored. */
  #knownUntil = 0
  #maintainAt: number

  constructor(options: GossipShellOptions) {
    const { own, reactor, source, pace, now } = options
    const { chainHash } = own
    this.#options = options
    this.#maintainAt = now() + FIRST_MAINTAIN_MS
    this.#records = new GossipRecords({ ...options, chainHash, nodeId: own.nodeId })
    this.#own = new OwnGossip(options, this.#records)
    this.#lookups = new FundingLookups(source, options.isChosen)
    this.#held = new HeldGossip(options.isChosen)
    this.#serving = new GossipServing({
      ...options,
      table: this.#records.table,
      reactor,
      flushMs: pace.flushMs,
      now: () => performance.now(),
    })
    this.#sync = new GossipSync({
      chainHash,
      push: options.push,
      warn: (link, reason) => options.push(link, warningOf(reason)),
      isChosen: options.isChosen,
      ready: options.synced,
      room: (from) => this.#lookups.hasRoom(from, BATCH),
      want: (listed) => this.#want(listed),
      knownUntil: () => this.#knownUntil,
      patienceMs: pace.patienceMs,
      now,
    })
  }

  /** @returns how many records could not be read and were left out */
  async load(): Promise<number> {
    const records = this.#records
    const unreadable = await records.load()
    this.#own.load()
    this.#knownUntil = Math.max(0, records.newest() - AHEAD)
    return unreadable
  }

  /** Tells a new peer what is our own, and asks it for the rest. */
  onConnected(link: Link, theirFeatures: Uint8Array): void {
    this.#serving.connected(link, this.#ours())
    this.#sync.connected(link, theirFeatures)
  }
  onDisconnected(link: Link): void {
    this.#serving.disconnected(link)
    this.#sync.disconnected(link)
  }
  /** The peer has read all that was sent. */
  onDrained(link: Link): void {
    this.#serving.drained(link)
  }

  onMessage(link: Link, message: GossipMessage, scope: TurnScope): void {
    if ('extension' in message && isTooLong(message)) return
    switch (message.type) {
      case 'channel_announcement':
        return this.#onChannel(link, message)
      case 'channel_update':
        return this.#onUpdate(link, message, scope)
      case 'node_announcement':
        return this.#onNode(link, message, scope)
      case 'reply_channel_range':
      case 'reply_short_channel_ids_end':
        return this.#sync.onReply(link, message)
      default:
        return this.#serving.onQuery(link, message)
    }
  }

  /** Whether `tick` has something to do. */
  hasDue(): boolean {
    return this.#options.now() >= this.#maintainAt || this.#sync.isWaiting || this.#serving.hasDue()
  }
  tick(scope: TurnScope): void {
    if (this.#options.now() >= this.#maintainAt) {
      this.#maintainAt = this.#options.now() + MAINTAIN_MS
      this.#options.renewOwn(scope)
      this.#records.prune(scope)
    }
    this.#serving.tick()
    this.#sync.advance()
  }

  onBlock(block: ChainBlock, scope: TurnScope): void {
    this.#records.onBlock(block, scope)
  }
  /** Blocks above this height are undone. Channels of theirs, ours too, are announced anew when they are in the chain again. */
  onReorg(height: number, scope: TurnScope): void {
    this.#reorgs++
    this.#own.onReorg(height, this.#records.onReorg(height, scope))
  }

  /** Something about one of our channels changed: says what others should know. */
  announceOwn(channel: OwnChannel, peer: Link | null, scope: TurnScope): void {
    const { announcement } = channel
    const funding = { outpoint: channel.funding, capacitySat: channel.capacitySat }
    if (announcement && this.#records.addChannel(announcement, funding, scope)) this.#takeEarly(announcement, scope)
    this.#own.announce(channel, peer, scope)
  }

  /** Our own update of an announced channel, encoded, as all the network has it; empty where there is none. */
  publicUpdate(scid: ShortChannelId): Uint8Array {
    const update = this.#own.publicUpdate(scid)
    return update ? encodeMessage(update) : EMPTY
  }

  /** What the peer asks for relaying over our private channel to us. */
  privateUpdate(peer: NodeId, scid: ShortChannelId): ChannelUpdate | undefined {
    const key = `${peer} ${scid}`
    const { chosen, strangers } = this.#unknown
    return this.#private.get(key) ?? chosen.get(key) ?? strangers.get(key)
  }

  channelOf(scid: ShortChannelId): { readonly capacitySat: Sat } | undefined {
    return this.#records.table.channel(scid)
  }

  #onChannel(link: Link, m: ChannelAnnouncement): void {
    const { own, reactor } = this.#options
    const { table } = this.#records
    const { shortChannelId: scid } = m
    if (table.channel(scid) || !this.#isDeep(scid) || !this.#lookups.hasRoom(link.nodeId, 1)) return
    if (!this.#held.begin(m)) return
    const reorgs = this.#reorgs
    const isGenuine = (): boolean => {
      if (table.channel(scid)) return false
      const checked = checkChannelAnnouncement(m, own.chainHash)
      if (!checked.ok) this.#refuse(link, checked.error)
      return checked.ok
    }
    const done = (found: FundingOutput | null): void =>
      reactor.post((scope) => {
        // Our own is taken from the channel itself, which may have been quicker.
        const isNew = found !== null && reorgs === this.#reorgs && this.#records.addChannel(m, found, scope)
        if (isNew) this.#serving.relay(m, link.nodeId)
        const isKnown = table.channel(scid) !== undefined
        for (const [from, update] of this.#held.end(m, isKnown)) this.#onUpdate(from, update, scope)
        if (isKnown) this.#takeEarly(m, scope)
        this.#sync.advance()
      })
    // The backend is away: the announcement will come again.
    this.#lookups.find(link.nodeId, m, isGenuine).then(done, () => done(null))
  }

  /** A channel between us and this peer. */
  #isOfBoth({ nodeId }: Link, { nodeId1, nodeId2 }: ChannelAnnouncement): boolean {
    const us = this.#options.own.nodeId
    return (us === nodeId1 && nodeId === nodeId2) || (us === nodeId2 && nodeId === nodeId1)
  }

  #isDeep(scid: ShortChannelId): boolean {
    return heightOf(scid) + MIN_DEPTH - 1 <= this.#options.blockHeight()
  }

  #onUpdate(link: Link, m: ChannelUpdate, scope: TurnScope): void {
    const channel = this.#records.table.channel(m.shortChannelId)
    if (!channel) {
      if (!this.#held.update(link, m)) this.#remember(link.nodeId, m)
      return
    }
    const limited = [m, channel.updates[directionOf(m)], this.#records.nowSeconds()] as const
    if (!this.#limit.allows(...limited)) return
    const checked = this.#records.acceptUpdate(m, scope)
    if (!checked.ok) return this.#refuse(link, checked.error)
    if (!channel.updates[directionOf(m)] && this.#isOfBoth(link, channel.announcement)) {
      this.#own.onPeersFirstUpdate(link, m.shortChannelId)
    }
    this.#limit.count(...limited)
    this.#serving.relay(m, link.nodeId)
  }

  /** What the peer says of its own end; what it tells of other channels, however much, pushes nothing of that out. */
  #remember(peer: NodeId, m: ChannelUpdate): void {
    const { own, isOurs, isChosen } = this.#options
    if (directionOf(m) !== (peer < own.nodeId ? 0 : 1)) return
    const key = `${peer} ${m.shortChannelId}`
    if (isOurs(peer, m.shortChannelId)) {
      if (!this.#private.has(key)) this.#forgetFormer(peer)
      this.#private.set(key, m)
    } else {
      const unknown = this.#unknown[isChosen(peer) ? 'chosen' : 'strangers']
      unknown.set(key, m)
      if (unknown.size > REMEMBERED) unknown.delete(unknown.keys().next().value!)
    }
  }

  /** A peer may give its end of a channel another alias as often as it likes. */
  #forgetFormer(peer: NodeId): void {
    for (const [key, { shortChannelId }] of this.#private)
      if (key.startsWith(peer) && !this.#options.isOurs(peer, shortChannelId)) this.#private.delete(key)
  }

  #onNode(link: Link, m: NodeAnnouncement, scope: TurnScope): void {
    const { table } = this.#records
    if (!table.hasChannels(m.nodeId)) return this.#held.node(link, m)
    const limited = [m, table.node(m.nodeId) ?? null, this.#records.nowSeconds()] as const
    if (!this.#limit.allows(...limited)) return
    const checked = this.#records.acceptNode(m, scope)
    if (!checked.ok) return this.#refuse(link, checked.error)
    this.#limit.count(...limited)
    if (isPassedOn(m)) this.#serving.relay(m, link.nodeId)
  }

  /** A node announces itself once, right behind its channel: the channel's funding is still being looked up then. */
  #takeEarly({ nodeId1, nodeId2 }: ChannelAnnouncement, scope: TurnScope): void {
    for (const [link, m] of this.#held.takeNodes([nodeId1, nodeId2])) this.#onNode(link, m, scope)
  }

  #refuse(link: Link, fault: GossipFault): void {
    if (fault.blame) this.#options.blame(link, fault.reason)
  }

  *#ours(): Generator<Uint8Array> {
    for (const message of this.#records.ours()) yield encodeMessage(message)
  }

  #want(listed: Listed): number {
    if (!this.#isDeep(listed.shortChannelId)) return 0
    return wantedOf(this.#records.table, listed, this.#records.nowSeconds())
  }
}
