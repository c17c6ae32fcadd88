import { equalBytes } from '../base/bytes.ts'
import type { NodeId, Outpoint, ShortChannelId } from '../base/ids.ts'
import { formatScid, scidParts } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
import type { Sat } from '../base/units.ts'
import type { ChainBlock, ChainSource } from '../chain/source.ts'
import type { RelayPolicy } from '../channel/types.ts'
import { type OwnNode, ownChannelUpdate, ownNodeAnnouncement } from '../gossip/own.ts'
import { GossipTable } from '../gossip/table.ts'
import { checkChannelAnnouncement, directionOf, fundingOutputOf, type GossipFault } from '../gossip/validate.ts'
import type { Graph } from '../routing/graph.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { NetworkAddress } from '../wire/address.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { decodeMessage, encodeMessage, type GossipMessage, type Message } from '../wire/registry.ts'
import type { Link } from './outbox.ts'
import type { Reactor, TurnScope } from './reactor.ts'

/** Announcements whose funding output is being looked up, and updates held back for them: more are dropped. */
const MAX_PENDING = 1_000

export interface GossipShellOptions {
  readonly own: OwnNode
  readonly graph: Graph
  readonly source: ChainSource
  readonly driver: Driver
  readonly reactor: Reactor
  readonly push: (link: Link, message: Message) => void
  readonly links: () => readonly Link[]
  /** The sender broke a rule: warn and close. */
  readonly blame: (link: Link, reason: string) => void
  /** Unix milliseconds. */
  readonly now: () => number
  readonly blockHeight: () => number
  readonly alias: string
  readonly features: Uint8Array
  readonly addresses: readonly NetworkAddress[]
}

/** One of our channels, as far as others may know. */
export interface OwnChannel {
  readonly shortChannelId: ShortChannelId
  readonly remoteNodeId: NodeId
  readonly funding: Outpoint
  readonly capacitySat: Sat
  readonly relay: RelayPolicy
  readonly disabled: boolean
  /** Complete once both sides' signatures are there; null for a private channel. */
  readonly announcement: ChannelAnnouncement | null
}

interface StoredChannel {
  readonly announcement: Uint8Array
  readonly outpoint: Outpoint
  readonly capacitySat: Sat
}

/** Keeps the table of announcements, feeds the routing graph from it, and speaks for our own channels. */
export class GossipShell {
  readonly #options: GossipShellOptions
  readonly #table: GossipTable
  readonly #pending = new Map<ShortChannelId, (readonly [Link, ChannelUpdate])[]>()
  /** Announcements of nodes that came before their first channel was taken in: the newest of each. */
  readonly #early = new Map<NodeId, readonly [Link, NodeAnnouncement]>()
  /** Our last update per channel. */
  readonly #own = new Map<ShortChannelId, ChannelUpdate>()
  /** The peers' updates of private channels: what an invoice's route hint says. */
  readonly #private = new Map<ShortChannelId, ChannelUpdate>()

  constructor(options: GossipShellOptions) {
    this.#options = options
    this.#table = new GossipTable(options.own.chainHash)
  }

  async load(): Promise<void> {
    const { driver, graph } = this.#options
    for await (const [, value] of driver.entries(prefixRange(keys.gossip('1-channel/')))) {
      const { announcement, outpoint, capacitySat } = unpack<StoredChannel>(value)
      const message = decodeMessage(announcement) as ChannelAnnouncement
      this.#table.addChannel(message, { outpoint, capacitySat })
      graph.addChannel({ ...message, capacitySat })
    }
    const nowSeconds = Math.floor(this.#options.now() / 1000)
    for await (const [, value] of driver.entries(prefixRange(keys.gossip('2-update/')))) {
      const message = decodeMessage(value) as ChannelUpdate
      if (this.#table.acceptUpdate(message, nowSeconds).ok) graph.applyUpdate(message)
    }
    for await (const [, value] of driver.entries(prefixRange(keys.gossip('3-node/')))) {
      const message = decodeMessage(value) as NodeAnnouncement
      if (this.#table.acceptNode(message).ok) graph.applyNode(message)
    }
  }

  /** Tells a new peer everything that we know of the public network. */
  onConnected(link: Link): void {
    const { push } = this.#options
    for (const { announcement, updates } of this.#table.channels()) {
      push(link, announcement)
      for (const update of updates) if (update) push(link, update)
    }
    for (const node of this.#table.nodes()) push(link, node)
  }

  onMessage(link: Link, message: GossipMessage, scope: TurnScope): void {
    switch (message.type) {
      case 'channel_announcement':
        return this.#onChannel(link, message)
      case 'channel_update':
        return this.#onUpdate(link, message, scope)
      case 'node_announcement':
        return this.#onNode(link, message, scope)
      default: // queries: the feature is not offered, so nothing is owed (BOLT 7 §query-messages)
    }
  }

  /** A funding output of an announced channel is spent: the channel is gone. */
  onBlock(block: ChainBlock, scope: TurnScope): void {
    for (const tx of block.transactions) {
      for (const input of tx.inputs) {
        const scid = this.#table.scidOfFunding({ txid: input.txid, index: input.index })
        if (scid !== undefined) this.#forget(scid, scope)
      }
    }
  }

  /** Something about one of our channels changed: says what others should know, and nothing twice. */
  announceOwn(channel: OwnChannel, peer: Link | null, scope: TurnScope): void {
    const { announcement, shortChannelId } = channel
    if (announcement && !this.#table.channel(shortChannelId)) {
      this.#addChannel(announcement, { outpoint: channel.funding, capacitySat: channel.capacitySat }, scope)
      this.#broadcast(announcement, null)
      this.#takeEarly(announcement, scope)
    }
    const update = this.#ownUpdate(channel)
    if (update) {
      if (announcement) {
        this.#keepUpdate(update, scope)
        this.#broadcast(update, null)
      } else if (peer) this.#options.push(peer, update)
    }
    if (announcement) this.#announceNode(scope)
  }

  /** What the peer asks for relaying over our private channel to us. */
  privateUpdate(scid: ShortChannelId): ChannelUpdate | undefined {
    return this.#private.get(scid)
  }

  channelOf(scid: ShortChannelId): { readonly capacitySat: Sat } | undefined {
    return this.#table.channel(scid)
  }

  #onChannel(link: Link, m: ChannelAnnouncement): void {
    const { own, reactor, source, blockHeight } = this.#options
    const scid = m.shortChannelId
    if (this.#table.channel(scid) || this.#pending.has(scid) || this.#pending.size >= MAX_PENDING) return
    if (scidParts(scid).blockHeight > blockHeight()) return
    const checked = checkChannelAnnouncement(m, own.chainHash)
    if (!checked.ok) return this.#refuse(link, checked.error)
    this.#pending.set(scid, [])
    const done = (then: (scope: TurnScope, held: readonly (readonly [Link, ChannelUpdate])[]) => void): void =>
      reactor.post((scope) => {
        const held = this.#pending.get(scid) ?? []
        this.#pending.delete(scid)
        then(scope, held)
      })
    lookUpFunding(source, m).then(
      (found) =>
        done((scope, held) => {
          if (!found) return
          this.#addChannel(m, found, scope)
          this.#broadcast(m, link)
          for (const [from, update] of held) this.#onUpdate(from, update, scope)
          this.#takeEarly(m, scope)
        }),
      () => done(() => {}), // the backend is away: the announcement will come again
    )
  }

  #onUpdate(link: Link, m: ChannelUpdate, scope: TurnScope): void {
    const held = this.#pending.get(m.shortChannelId)
    if (held) {
      if (held.length < 4) held.push([link, m])
      return
    }
    if (!this.#table.channel(m.shortChannelId)) {
      this.#private.set(m.shortChannelId, m)
      if (this.#private.size > MAX_PENDING) this.#private.delete(this.#private.keys().next().value!)
      return
    }
    const checked = this.#table.acceptUpdate(m, Math.floor(this.#options.now() / 1000))
    if (!checked.ok) return this.#refuse(link, checked.error)
    this.#storeUpdate(m, scope)
    this.#broadcast(m, link)
  }

  #onNode(link: Link, m: NodeAnnouncement, scope: TurnScope): void {
    if (!this.#table.hasChannels(m.nodeId)) {
      this.#early.delete(m.nodeId)
      this.#early.set(m.nodeId, [link, m])
      if (this.#early.size > MAX_PENDING) this.#early.delete(this.#early.keys().next().value!)
      return
    }
    const checked = this.#table.acceptNode(m)
    if (!checked.ok) return this.#refuse(link, checked.error)
    this.#storeNode(m, scope)
    this.#broadcast(m, link)
  }

  /** A node announces itself once, right behind its channel: the channel's funding is still being looked up then. */
  #takeEarly({ nodeId1, nodeId2 }: ChannelAnnouncement, scope: TurnScope): void {
    for (const id of [nodeId1, nodeId2]) {
      const early = this.#early.get(id)
      this.#early.delete(id)
      if (early) this.#onNode(early[0], early[1], scope)
    }
  }

  #refuse(link: Link, fault: GossipFault): void {
    if (fault.blame) this.#options.blame(link, fault.reason)
  }

  #addChannel(m: ChannelAnnouncement, funding: { outpoint: Outpoint; capacitySat: Sat }, scope: TurnScope): void {
    this.#table.addChannel(m, funding)
    this.#options.graph.addChannel({ ...m, capacitySat: funding.capacitySat })
    const stored: StoredChannel = { announcement: encodeMessage(m), ...funding }
    scope.write({ key: keys.gossip(`1-channel/${formatScid(m.shortChannelId)}`), value: pack(stored) })
  }

  #keepUpdate(m: ChannelUpdate, scope: TurnScope): void {
    if (this.#table.acceptUpdate(m, Math.floor(this.#options.now() / 1000)).ok) this.#storeUpdate(m, scope)
  }
  #storeUpdate(m: ChannelUpdate, scope: TurnScope): void {
    this.#options.graph.applyUpdate(m)
    const key = keys.gossip(`2-update/${formatScid(m.shortChannelId)}/${directionOf(m)}`)
    scope.write({ key, value: encodeMessage(m) })
  }
  #storeNode(m: NodeAnnouncement, scope: TurnScope): void {
    this.#options.graph.applyNode(m)
    scope.write({ key: keys.gossip(`3-node/${m.nodeId}`), value: encodeMessage(m) })
  }

  #forget(scid: ShortChannelId, scope: TurnScope): void {
    this.#table.removeChannel(scid)
    this.#options.graph.removeChannel(scid)
    const name = formatScid(scid)
    for (const key of [`1-channel/${name}`, `2-update/${name}/0`, `2-update/${name}/1`]) {
      scope.write({ key: keys.gossip(key) })
    }
  }

  /** A new update of ours when something that it says changed, else null. */
  #ownUpdate(channel: OwnChannel): ChannelUpdate | null {
    const { own, now } = this.#options
    const { shortChannelId, remoteNodeId, relay, disabled, announcement } = channel
    const last =
      this.#own.get(shortChannelId) ??
      this.#table.channel(shortChannelId)?.updates[own.nodeId < remoteNodeId ? 0 : 1] ??
      null
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
    this.#own.set(shortChannelId, next)
    if (last && sameContent(last, next)) {
      this.#own.set(shortChannelId, last)
      return dontForward ? last : null
    }
    return next
  }

  #announceNode(scope: TurnScope): void {
    const { own, alias, features, addresses, now } = this.#options
    const last = this.#table.node(own.nodeId)
    const timestamp = Math.max(Math.floor(now() / 1000), (last?.timestamp ?? 0) + 1)
    const m = ownNodeAnnouncement(own, { alias, features, addresses, timestamp })
    if ((last && saysTheSame(last, m)) || !this.#table.acceptNode(m).ok) return
    this.#storeNode(m, scope)
    this.#broadcast(m, null)
  }

  #broadcast(message: Message, except: Link | null): void {
    for (const link of this.#options.links()) {
      if (link.nodeId !== except?.nodeId) this.#options.push(link, message)
    }
  }
}

/** But for when it says it. */
const saysTheSame = (a: NodeAnnouncement, b: NodeAnnouncement): boolean =>
  equalBytes(encodeMessage({ ...a, timestamp: b.timestamp, signature: b.signature }), encodeMessage(b))

const sameContent = (a: ChannelUpdate, b: ChannelUpdate): boolean =>
  a.messageFlags === b.messageFlags &&
  a.channelFlags === b.channelFlags &&
  a.cltvExpiryDelta === b.cltvExpiryDelta &&
  a.htlcMinimumMsat === b.htlcMinimumMsat &&
  a.htlcMaximumMsat === b.htlcMaximumMsat &&
  a.feeBaseMsat === b.feeBaseMsat &&
  a.feeProportionalMillionths === b.feeProportionalMillionths

/** The announced funding output when it exists, pays to the announced keys and is unspent; else null. */
async function lookUpFunding(
  source: ChainSource,
  m: ChannelAnnouncement,
): Promise<{ outpoint: Outpoint; capacitySat: Sat } | null> {
  const block = await source.block(await source.blockHash(scidParts(m.shortChannelId).blockHeight))
  const found = fundingOutputOf(
    m,
    block.transactions.map((tx, i) => ({ txid: block.txids[i]!, tx })),
  )
  if (!found.ok) return null
  return (await source.utxo(found.value.outpoint)) ? found.value : null
}
