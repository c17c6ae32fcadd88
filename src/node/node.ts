import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { toHex } from '../base/bytes.ts'
import type { NodeId } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import { channelFeerates, type FeeEstimates, followFees, initialEstimates } from '../chain/fees.ts'
import type { ChainBlock, ChainSource } from '../chain/source.ts'
import { channelAnnouncement } from '../channel/announcement.ts'
import { channelOf, watches } from '../channel/describe.ts'
import { loadChannel } from '../channel/persist.ts'
import { secpSigner } from '../channel/signer.ts'
import type { ChannelState } from '../channel/state.ts'
import type { ChainEvent, ChannelContext, ChannelPolicy } from '../channel/types.ts'
import type { OwnNode } from '../gossip/own.ts'
import { noiseKey } from '../noise/handshake.ts'
import type { NextHop, OutgoingChannel } from '../payment/types.ts'
import { Graph } from '../routing/graph.ts'
import type { LocalChannel } from '../routing/types.ts'
import type { Journal } from '../store/journal.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import { channelSeed, type MasterKey } from '../wallet/keys.ts'
import { networkAddress } from '../wire/address.ts'
import { ourInitFeatures, ourNodeFeatures } from '../wire/features.ts'
import { ChainShell } from './chain.ts'
import { Changes } from './changes.ts'
import { type ChannelEntry, type ChannelMeta, Channels } from './channels.ts'
import type { NodeConfig } from './config.ts'
import { Dispatch } from './dispatch.ts'
import { Effects, fundingOwner } from './effects.ts'
import { EventLog } from './events.ts'
import { GossipShell } from './gossip.ts'
import {
  findIncoming,
  holdingsOf,
  isAnnounced,
  localChannel,
  outgoingChannel,
  routeHintsOf,
  scidOf,
} from './holdings.ts'
import { Outbox } from './outbox.ts'
import type { NodeParts } from './parts.ts'
import { Payments } from './payments.ts'
import { Peers } from './peers.ts'
import { channelPolicy } from './policy.ts'
import { Reactor, type TurnScope } from './reactor.ts'
import { MIN_FINAL_CLTV_EXPIRY_DELTA } from './services/invoices.ts'
import { WalletShell } from './wallet.ts'

/** How often payments and invoices that asked for it are looked at. */
const TICK_MS = 1_000
const REVIEW_EVERY = 60

export interface NodeResources {
  readonly config: NodeConfig
  readonly log: Logger
  readonly driver: Driver
  readonly journal: Journal
  readonly source: ChainSource
  readonly master: MasterKey
  readonly own: OwnNode
  readonly storageLow: () => boolean
  /** Nothing more may be said: the process must stop. */
  readonly onFatal: (error: unknown) => void
  /** The set of channels, or something that the static backup holds, changed. */
  readonly onBackupDue: (entries: readonly ChannelEntry[]) => void
}

/** The composition root: joins the pure core to the disk, the chain and the sockets. Read this first. */
export class Node implements NodeParts {
  readonly network
  readonly backend
  readonly own: OwnNode
  readonly driver: Driver
  readonly reactor: Reactor
  readonly events: EventLog
  readonly changes = new Changes()
  readonly source: ChainSource
  readonly chain: ChainShell
  readonly wallet: WalletShell
  readonly graph = new Graph()
  readonly gossip: GossipShell
  readonly peers: Peers
  readonly channels: Channels
  readonly payments: Payments
  readonly effects: Effects
  readonly policy: ChannelPolicy
  readonly log: Logger
  readonly #resources: NodeResources
  readonly #outbox: Outbox
  readonly #stop = new AbortController()
  readonly #contexts = new WeakMap<ChannelEntry, ChannelContext>()
  #fees: FeeEstimates = initialEstimates()
  #nextKeyIndex = 1
  #nextSeq = 1
  #timer: NodeJS.Timeout | null = null
  #ticks = 0
  #localChannels: { readonly states: readonly ChannelState[]; readonly list: readonly LocalChannel[] } | null = null

  private constructor(resources: NodeResources, events: EventLog) {
    const { config, own, driver, source, log, journal, onFatal } = resources
    this.#resources = resources
    this.network = config.network
    this.backend = config.chain.kind
    this.own = own
    this.driver = driver
    this.source = source
    this.log = log
    this.events = events
    this.policy = channelPolicy(config.network)
    const now = (): number => performance.now()
    this.reactor = new Reactor({ journal, onFatal, now, endOfTurn: (scope) => this.#endOfTurn(scope) })
    this.#outbox = new Outbox((link, messages) => this.peers.send(link, messages))
    this.channels = new Channels({
      context: (entry) => this.#context(entry),
      onEffect: (entry, effect, scope) => this.effects.apply(entry, effect, scope),
      onRelay: (_entry, event, scope) => this.payments.onRelay(event, scope),
      onChanged: (entry, before, scope) => this.#channelChanged(entry, before, scope),
      onQuarantine: (entry, error, scope) => this.#quarantine(entry, error, scope),
    })
    this.effects = new Effects({
      parts: () => this,
      channels: this.channels,
      outbox: this.#outbox,
      log,
      context: (entry) => this.#context(entry),
      onGossip: (entry, scope) => this.#announce(entry, scope),
    })
    this.peers = this.#createPeers()
    this.gossip = this.#createGossip()
    this.payments = this.#createPayments()
    // Opened by `open`, which is the only caller of this constructor, before anything can use them.
    this.chain = undefined as unknown as ChainShell
    this.wallet = undefined as unknown as WalletShell
  }

  /** Loads everything and brings the records in line; nothing is sent, listened to or followed before `start`. */
  static async open(resources: NodeResources): Promise<Node> {
    const { driver, master } = resources
    const node = new Node(resources, await EventLog.open(driver, Date.now))
    const chain = await ChainShell.open(node.#chainOptions())
    const wallet = await WalletShell.open(driver, master, chain.tip, Date.now)
    Object.assign(node, { chain, wallet })
    await Promise.all([node.peers.load(), node.gossip.load(), node.payments.load(), node.#loadChannels()])
    await node.#recover()
    return node
  }

  /** @returns the port listened on for peers, or null */
  async start(): Promise<number | null> {
    const { listen } = this.#resources.config
    const port = listen ? await this.peers.listen(listen.host, listen.port) : null
    this.chain.start()
    this.peers.start()
    const { source } = this
    const onEstimates = (fees: FeeEstimates): void => this.#setFees(fees)
    void followFees({ source, onEstimates, signal: this.#stop.signal })
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    return port
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    if (this.#timer) clearInterval(this.#timer)
    await this.chain.stop()
    await this.peers.close()
    await this.reactor.stop()
  }

  // -------------------------------------------------------------- what the services ask

  fees(): FeeEstimates {
    return this.#fees
  }
  now(): number {
    return Date.now()
  }
  newId(): string {
    return toHex(randomBytes(12))
  }
  storageLow(): boolean {
    return this.#resources.storageLow()
  }
  anchorChannels(): number {
    return this.channels.all().filter(({ state }) => {
      const channel = channelOf(state)
      return channel !== null && state.tag !== 'closed' && channel.params.channelType === 'anchors'
    }).length
  }

  /** Asked for at every payment: made again only when a channel has changed. */
  localChannels(): readonly LocalChannel[] {
    const states = this.channels.all().map((c) => c.state)
    const known = this.#localChannels
    if (known && known.states.length === states.length && states.every((s, i) => s === known.states[i]))
      return known.list
    const list = this.channels.all().flatMap((c) => localChannel(c) ?? [])
    this.#localChannels = { states, list }
    return list
  }

  routeHints() {
    return routeHintsOf(this.channels.all(), (scid) => this.gossip.privateUpdate(scid))
  }

  async broadcast(tx: Transaction, purpose: string): Promise<void> {
    const result = await this.source.broadcast(tx)
    if (!result.accepted) this.log.warn({ purpose, reason: result.reason }, 'transaction refused')
  }

  /** A channel's place among the others and the keys that are its own alone. */
  newChannelMeta(peer: NodeId, localId = this.newId()): ChannelMeta {
    const { scriptPubKey } = this.wallet.newAddress()
    const createdAt = new Date(this.now()).toISOString()
    const keyIndex = this.#nextKeyIndex++
    return { localId, seq: this.#nextSeq++, createdAt, keyIndex, peer, sweepScriptPubKey: scriptPubKey }
  }
  /** What a channel's summary and claims depend on. */
  claimContext(entry: ChannelEntry): ChannelContext {
    return this.#context(entry)
  }
  signerFor(meta: ChannelMeta) {
    return secpSigner(channelSeed(this.#resources.master, meta.keyIndex), this.own.nodeSecret)
  }

  // -------------------------------------------------------------- making the parts

  #createPeers(): Peers {
    const { driver, reactor } = this
    const dispatch = new Dispatch({
      parts: () => this,
      log: this.log,
      newMeta: (peer) => this.newChannelMeta(peer),
      signer: (meta) => this.signerFor(meta),
    })
    return new Peers({
      driver,
      reactor,
      key: noiseKey(this.own.nodeSecret),
      features: ourInitFeatures(),
      chainHash: this.own.chainHash,
      onConnected: (link, session, scope) => dispatch.connected(link, session, scope),
      onMessage: (link, message, scope) => dispatch.message(link, message, scope),
      onDisconnected: (link, reason, scope) => dispatch.disconnected(link, reason, scope),
    })
  }

  #createGossip(): GossipShell {
    const { own, graph, source, driver, reactor } = this
    const { config } = this.#resources
    return new GossipShell({
      own,
      graph,
      source,
      driver,
      reactor,
      push: (link, message) => this.#outbox.push(link, message),
      links: () => this.peers.links(),
      blame: (link, reason) => {
        this.log.info({ peer: link.nodeId, reason }, 'bad gossip')
        this.peers.disconnect(link.nodeId, reason)
      },
      now: () => this.now(),
      blockHeight: () => this.chain.height,
      alias: config.alias,
      features: ourNodeFeatures(),
      addresses: config.announce.map(({ host, port }) => networkAddress(host, port)),
    })
  }

  #createPayments(): Payments {
    const { driver, changes, events, graph, own } = this
    return new Payments({
      driver,
      changes,
      events,
      graph,
      nodeId: own.nodeId,
      nodeSecret: own.nodeSecret,
      minFinalCltvExpiryDelta: MIN_FINAL_CLTV_EXPIRY_DELTA,
      newId: () => this.newId(),
      now: () => this.now(),
      blockHeight: () => this.chain.height,
      localChannels: () => this.localChannels(),
      channelsTo: (next) => this.#channelsTo(next),
      command: (channelId, command) => {
        const entry = this.channels.byChannelId(channelId)
        if (entry) this.channels.command(entry, command)
        return entry !== undefined
      },
      incomingHtlc: (channelId, id) => {
        const entry = this.channels.byChannelId(channelId)
        return entry ? findIncoming(entry.state, channelId, id) : null
      },
    })
  }

  #chainOptions() {
    const { driver, reactor, source } = this
    return {
      source,
      driver,
      reactor,
      onEvents: (owner: string, events: readonly ChainEvent[], scope: TurnScope) => {
        const entry = this.channels.get(owner)
        if (!entry) return
        for (const event of events) this.channels.deliver(entry, { tag: 'chain', event })
        this.channels.drain(scope)
      },
      onBlock: (block: ChainBlock, scope: TurnScope) => {
        this.wallet.applyBlock(block)
        this.gossip.onBlock(block, scope)
        this.payments.review(scope)
        this.channels.drain(scope)
        for (const entry of this.channels.all()) this.effects.republish(entry, scope)
        this.channels.drain(scope)
        this.events.emit(scope, 'chain.block', { height: block.height, hash: block.hash })
      },
      onReorg: (height: number, scope: TurnScope) => {
        this.wallet.rollback(height, this.chain.tip.hash)
        this.events.emit(scope, 'chain.reorg', { height })
        for (const tx of this.wallet.unconfirmed()) scope.after(() => void this.broadcast(tx, 'wallet').catch(() => {}))
      },
      onStatus: (status: { readonly error: Error | null }) => {
        if (status.error) this.log.warn({ err: status.error.message }, 'the chain cannot be followed')
      },
      onFatal: this.#resources.onFatal,
    }
  }

  // -------------------------------------------------------------- start

  async #loadChannels(): Promise<void> {
    const { driver } = this
    for await (const [, value] of driver.entries(prefixRange(keys.channelMeta('')))) {
      const meta = unpack<ChannelMeta>(value)
      const prefix = keys.channel(meta.localId, '')
      const records: [string, Uint8Array][] = []
      for await (const [key, record] of driver.entries(prefixRange(prefix)))
        records.push([key.slice(prefix.length), record])
      const state = loadChannel(records)
      this.channels.restore({ meta, signer: this.signerFor(meta), state, stored: state, quarantined: null })
      this.#nextKeyIndex = Math.max(this.#nextKeyIndex, meta.keyIndex + 1)
      this.#nextSeq = Math.max(this.#nextSeq, meta.seq + 1)
    }
    const reserved = await driver.get(keys.keyIndex)
    if (reserved) this.#nextKeyIndex = Math.max(this.#nextKeyIndex, unpack<number>(reserved))
  }

  async #recover(): Promise<void> {
    const entries = this.channels.all()
    const holdings = holdingsOf(entries)
    await this.payments.recall(holdings)
    await this.reactor.run((scope) => {
      for (const entry of entries) {
        this.channels.deliver(entry, { tag: 'disconnected' })
        this.chain.watch(entry.meta.localId, watches(entry.state), scope)
      }
      this.channels.drain(scope)
      this.channels.replayResults(scope)
      this.payments.recover(holdings, scope)
      this.channels.drain(scope)
      this.channels.replayResults(scope)
      this.channels.replayIncoming(scope)
      for (const entry of entries) this.effects.republish(entry, scope)
      this.wallet.releaseUnless((owner) => entries.some((e) => fundingOwner(e) === owner))
      for (const tx of this.wallet.unconfirmed()) scope.after(() => void this.broadcast(tx, 'wallet').catch(() => {}))
    })
  }

  // -------------------------------------------------------------- turns

  #endOfTurn(scope: TurnScope): void {
    const keyIndex = this.#nextKeyIndex
    this.channels.endOfTurn(scope)
    this.payments.endOfTurn(scope)
    this.wallet.endOfTurn(scope, (tx) => {
      this.events.emit(scope, 'wallet.transaction', {
        txid: tx.txid,
        netSat: Number(tx.netSat),
        blockHeight: tx.height,
      })
    })
    if (keyIndex !== this.#storedKeyIndex) {
      this.#storedKeyIndex = keyIndex
      scope.write({ key: keys.keyIndex, value: pack(keyIndex) })
    }
    this.#outbox.flush(scope)
  }
  #storedKeyIndex = 1

  #tick(): void {
    this.#ticks++
    const review = this.#ticks % REVIEW_EVERY === 0
    if (!review && !this.payments.hasDue()) return
    this.reactor.post((scope) => {
      if (review) this.payments.review(scope)
      else this.payments.tick(scope)
      this.channels.drain(scope)
    })
  }

  #setFees(fees: FeeEstimates): void {
    this.reactor.post((scope) => {
      this.#fees = fees
      for (const entry of this.channels.all()) {
        const feeratePerKw = channelFeerates(fees).commitment
        if (entry.state.tag === 'normal' && entry.state.channel.params.isOpener) {
          this.channels.command(entry, { tag: 'updateFee', feeratePerKw })
        }
      }
      this.channels.drain(scope)
    })
  }

  #context(entry: ChannelEntry): ChannelContext {
    const known = this.#contexts.get(entry)
    const blockHeight = this.chain.height
    const feerates = channelFeerates(this.#fees)
    if (
      known &&
      known.blockHeight === blockHeight &&
      known.feerates.claim === feerates.claim &&
      known.feerates.commitment === feerates.commitment
    ) {
      return known
    }
    const { nodeId, chainHash } = this.own
    const { signer, meta } = entry
    const context = {
      blockHeight,
      chainHash,
      nodeId,
      feerates,
      signer,
      policy: this.policy,
      sweepScriptPubKey: meta.sweepScriptPubKey,
    }
    this.#contexts.set(entry, context)
    return context
  }

  #channelsTo(next: NextHop): readonly OutgoingChannel[] {
    const meant = next.tag === 'channel' ? this.channels.byScid(next.shortChannelId) : undefined
    const peer = next.tag === 'node' ? next.nodeId : meant?.meta.peer
    if (peer === undefined) return []
    const others = this.channels.ofPeer(peer).filter((entry) => entry !== meant)
    return [...(meant ? [meant] : []), ...others].flatMap((entry) => outgoingChannel(entry) ?? [])
  }

  #channelChanged(entry: ChannelEntry, before: ChannelState | null, scope: TurnScope): void {
    const { localId } = entry.meta
    const channel = channelOf(entry.state)
    this.chain.watch(localId, watches(entry.state), scope, channel?.params.openedAt)
    scope.after(() => this.changes.notify(`channel:${localId}`))
    const wasUsable = before?.tag === 'normal'
    if (wasUsable !== (entry.state.tag === 'normal')) this.#announce(entry, scope)
    const fundedBefore = before && channelOf(before)
    if (channel && (!fundedBefore || entry.state.tag === 'closed')) {
      scope.after(() => this.#resources.onBackupDue(this.channels.all()))
    }
  }

  /** Tells others, or the peer alone, how payments are forwarded over the channel. */
  #announce(entry: ChannelEntry, scope: TurnScope): void {
    const channel = channelOf(entry.state)
    const shortChannelId = scidOf(entry.state)
    if (channel === null || shortChannelId === null || !channel.localReady || !channel.remoteReady) return
    const { funding, capacitySat } = channel.commitments.active[0]!
    const announcement = isAnnounced(channel) ? channelAnnouncement(channel, this.#context(entry)) : null
    const peer = this.peers.link(entry.meta.peer)
    const own = {
      shortChannelId,
      remoteNodeId: entry.meta.peer,
      funding,
      capacitySat,
      relay: channel.relay,
      announcement,
    }
    this.gossip.announceOwn({ ...own, disabled: entry.state.tag !== 'normal' }, peer, scope)
  }

  #quarantine(entry: ChannelEntry, error: unknown, scope: TurnScope): void {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.log.error(
      { channel: entry.meta.localId, message },
      'a bug in this channel: it is set aside, its state is kept',
    )
    this.events.emit(scope, 'node.alert', {
      id: entry.meta.localId,
      peer: entry.meta.peer,
      code: 'CHANNEL_QUARANTINED',
      message: message.slice(0, 500),
      byPeer: false,
    })
  }
}
