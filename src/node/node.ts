import { randomBytes, randomInt } from 'node:crypto'
import type { Logger } from 'pino'
import { toHex } from '../base/bytes.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import type { FeeEstimates } from '../chain/fees.ts'
import type { ChainSource } from '../chain/source.ts'
import { watches } from '../channel/describe.ts'
import { secpSigner } from '../channel/signer.ts'
import type { ChannelState } from '../channel/state.ts'
import type { ChannelContext, ChannelPolicy } from '../channel/types.ts'
import type { OwnNode } from '../gossip/own.ts'
import { Graph } from '../routing/graph.ts'
import type { LocalChannel } from '../routing/types.ts'
import type { Journal } from '../store/journal.ts'
import type { Driver } from '../store/types.ts'
import { channelSeed, type MasterKey } from '../wallet/keys.ts'
import type { Message } from '../wire/registry.ts'
import { acrossChannels } from './acrossChannels.ts'
import type { KnownBackup } from './adopt.ts'
import { BalanceHistory } from './analytics/balances.ts'
import { Ledger } from './analytics/ledger.ts'
import { apart, unhandled } from './apart.ts'
import { chainOptions, createClaimRoom, createGossip, createPayments, createPeers, createStorage } from './assembly.ts'
import { type ChannelBackup, isBackedUp, type StaticBackup } from './backup.ts'
import { BackupWriter } from './backupWriter.ts'
import { ChainShell } from './chain.ts'
import { Changes } from './changes.ts'
import { ChannelNumbers } from './channelNumbers.ts'
import { type ChannelEntry, type ChannelMeta, Channels } from './channels.ts'
import type { ClaimRoom } from './claimRoom.ts'
import type { NodeConfig } from './config.ts'
import { Effects } from './effects.ts'
import { EventLog } from './events.ts'
import { FeeRates } from './feeRates.ts'
import type { GossipPace, GossipShell } from './gossip.ts'
import { LocalChannels, routeHintsOf, watchedFrom } from './holdings.ts'
import type { Logs } from './logs.ts'
import { backupBeside } from './lostChannels.ts'
import { DEFAULT_MARGINS, type ExpiryMargins } from './margins.ts'
import { MempoolWatch } from './mempoolWatch.ts'
import { Metrics } from './metrics.ts'
import { Orphans } from './orphans.ts'
import { type Link, Outbox } from './outbox.ts'
import { announce, isOpenForRelay } from './ownAnnouncements.ts'
import type { NodeParts } from './parts.ts'
import type { Payments } from './payments.ts'
import type { PeerStorage, StoragePace } from './peerStorage.ts'
import type { ConnectionsFactory, Peers } from './peers.ts'
import { peersFirst } from './peersFirst.ts'
import { channelPolicy } from './policy.ts'
import { Reactor, type TurnScope } from './reactor.ts'
import { loadChannels, recover, reportUnreadable } from './recovery.ts'
import { Reserves } from './reserves.ts'
import { dropLeftOver, dropRevoked, isBeyondPunishing } from './revokedHtlcs.ts'
import { aside, Rounds } from './rounds.ts'
import { ShownPreimages } from './shownPreimages.ts'
import { holdForwards } from './standings.ts'
import { closeOnceMore } from './unseenCloses.ts'
import { WalletShell } from './wallet.ts'
import { workAhead } from './workAhead.ts'

/** A scan for the wallet's coins takes minutes: its last blocks may be others by its end, and are read once more. */
const SCAN_UNSURE = 6

export interface NodeResources {
  readonly config: NodeConfig
  readonly logs: Logs
  readonly driver: Driver
  readonly journal: Journal
  readonly source: ChainSource
  readonly master: MasterKey
  readonly own: OwnNode
  /** The seed was made just now: nothing can be in the chain for it. */
  readonly isNewSeed: boolean
  readonly storageLow: () => boolean
  /** Nothing more may be said: the process must stop. */
  readonly onFatal: (error: unknown) => void
  /** The store may be older than what was said to peers, as where its journal lacks these numbers; null when it is whole. */
  readonly doubt: Doubt | null
  /** Writes the static backup; the turn that changed the set of channels says nothing before it is written. */
  readonly writeBackup: (channels: readonly ChannelBackup[], backup: StaticBackup) => Promise<void>
  /** What was last written, for channels of which a record is damaged; null when there is none. @throws BackupError */
  readonly readBackup?: () => Promise<StaticBackup | null>
  /** Keeps a newer backup than our own, which a peer gave back. @returns where */
  readonly keepBackup: (backup: StaticBackup) => Promise<string>
  /** Keys of records whose bytes have changed on disk, as they were found since the last call. */
  readonly takeDamaged?: () => readonly string[]
  /** How often peers' blobs are written and ours sent; once a minute when left out. */
  readonly storagePace?: StoragePace
  /** How fast gossip is passed on; that of the network when left out. */
  readonly gossipPace?: GossipPace
  /** Our limits for channels; those of the network when left out. */
  readonly policy?: ChannelPolicy
  /** Which the journal has, too; metrics of its own when left out. */
  readonly metrics?: Metrics
  /** For so long a node that was away waits for its peers before it follows the chain; 10 s when left out. */
  readonly peersFirstMs?: number
  /** What stands in for sockets in a test. */
  readonly connections?: ConnectionsFactory
}

export interface Doubt {
  readonly missing: readonly number[]
  /** Channels that the database has lost are taken from it. */
  readonly backup?: StaticBackup | null
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
  readonly claims: ClaimRoom
  readonly reserves: Reserves
  readonly shown = new ShownPreimages(() => this.channels)
  readonly effects: Effects
  readonly orphans = new Orphans(() => this)
  readonly mempoolWatch: MempoolWatch
  readonly policy: ChannelPolicy
  readonly margins: ExpiryMargins
  readonly logs: Logs
  readonly log: Logger
  readonly resources: NodeResources
  readonly outbox: Outbox
  readonly metrics: Metrics
  readonly ledger: Ledger
  readonly balances = new BalanceHistory(this)
  readonly backup = new BackupWriter(this)
  readonly storage: PeerStorage
  readonly numbers = new ChannelNumbers({
    newId: () => this.newId(),
    now: () => this.now(),
    newScript: () => this.wallet.newAddress().scriptPubKey,
  })
  /** By local id, channels of which a record is lost or damaged: they are neither loaded nor taken for unknown. */
  readonly damaged = new Map<string, Pick<ChannelMeta, 'keyIndex' | 'peer'> | null>()
  /** Local ids of channels for which all blocks since their opening are looked through, since a write was lost. */
  readonly lookingBack = new Set<string>()
  /** Of which a bug has been told in this run. */
  readonly failedParts = new Set<string>()
  /** The last channel backups of this database, oldest first. */
  backups: readonly KnownBackup[] = []
  readonly #stop = new AbortController()
  readonly #contexts = new WeakMap<ChannelEntry, ChannelContext>()
  readonly #across = acrossChannels(this)
  readonly #feeRates: FeeRates
  readonly #rounds = new Rounds(this)
  readonly #localChannels = new LocalChannels()

  private constructor(resources: NodeResources, events: EventLog) {
    const { config, own, driver, source, logs, journal, onFatal } = resources
    this.resources = resources
    this.network = config.network
    this.backend = config.chain.kind
    this.own = own
    this.driver = driver
    this.source = source
    this.logs = logs
    this.log = logs.of('node')
    this.events = events
    this.metrics = resources.metrics ?? new Metrics()
    events.subscribe(this.metrics.onEvent)
    events.subscribe(logs.onEvent)
    this.margins = config.margins ?? DEFAULT_MARGINS
    this.policy = resources.policy ?? channelPolicy(config.network, this.margins, config)
    const now = (): number => performance.now()
    this.reactor = new Reactor({
      journal,
      onFatal,
      now,
      endOfTurn: (scope) => this.#endOfTurn(scope),
      onTurn: this.metrics.onTurn,
      whenIdle: () => workAhead(this.channels.takeStirred(), own.nodeSecret),
    })
    this.outbox = new Outbox({
      send: (link, messages) => this.peers.sendEncoded(link, messages),
      onUnsendable: (link, message, error) => this.#unsendable(link, message, error),
    })
    this.channels = new Channels({
      context: (entry) => this.context(entry),
      onEffect: (entry, effect, scope) => this.effects.apply(entry, effect, scope),
      onRelay: (_entry, event, scope) => this.payments.onRelay(event, scope),
      onChanged: (entry, before, scope) => this.#channelChanged(entry, before, scope),
      onSettled: (entry, scope) => apart(this, 'payments', scope, () => holdForwards(this, entry, scope)),
      onQuarantine: (entry, error, scope) => this.#quarantine(entry, error, scope),
      onUnhandled: (entry, error, scope) => unhandled(this, entry, error, scope),
      onForgotten: ({ meta }, records, scope) => {
        this.chain.unwatch(meta.localId)
        this.numbers.giveBack(meta)
        if (records.length === 0) return
        const erase = (later: TurnScope): void => {
          for (const key of records) later.write({ key })
        }
        scope.after(() => this.reactor.post(erase))
      },
    })
    this.#feeRates = new FeeRates(this.channels, this.reactor, now)
    this.mempoolWatch = new MempoolWatch({
      channels: this.channels,
      source,
      reactor: this.reactor,
      onRelay: (event, scope) => this.payments.onRelay(event, scope),
      now,
    })
    this.effects = new Effects({
      parts: () => this,
      channels: this.channels,
      outbox: this.outbox,
      log: logs.of('channel'),
      context: (entry) => this.context(entry),
      onGossip: (entry, scope) => announce(this, entry, scope),
    })
    this.peers = createPeers(this)
    this.gossip = createGossip(this)
    this.claims = createClaimRoom(this)
    this.reserves = new Reserves(this, config.anchorReserveSat)
    this.payments = createPayments(this)
    this.storage = createStorage(this)
    // Opened by `open`, which is the only caller of this constructor, before anything can use them.
    this.chain = undefined as unknown as ChainShell
    this.wallet = undefined as unknown as WalletShell
    this.ledger = undefined as unknown as Ledger
  }

  /** Loads everything and brings the records in line; nothing is sent, listened to or followed before `start`. */
  static async open(resources: NodeResources): Promise<Node> {
    const { driver, master, source, isNewSeed, doubt } = resources
    const log = resources.logs.of('node')
    const onError = (err: unknown): void => log.error({ err }, 'a bug: something that hears of events has failed')
    const node = new Node(resources, await EventLog.open(driver, Date.now, onError))
    const stored = await WalletShell.load(driver, master, Date.now)
    // A lost write may have been of a block that paid us, or that took what we had.
    const damagedCoins = stored?.damaged ?? 0
    const addresses = (doubt?.backup ?? (damagedCoins > 0 ? await backupBeside(node) : null))?.addresses
    if (stored && (damagedCoins > 0 || doubt?.missing.length)) await stored.refresh(source, addresses)
    const scanned = stored || isNewSeed ? null : await WalletShell.restore(source, master, Date.now, addresses)
    const known = stored ?? scanned
    const chain = await ChainShell.open(chainOptions(node), known?.state.height, scanned ? SCAN_UNSURE : 0)
    const wallet = known ?? WalletShell.create(chain.tip, master, Date.now)
    const ledger = await Ledger.open({ driver, reactor: node.reactor, events: node.events })
    Object.assign(node, { chain, wallet, ledger })
    const unreadable = await node.gossip.load()
    if (unreadable > 0) node.log.warn({ unreadable }, 'records of gossip that cannot be read: peers bring them again')
    const [peers, payments] = await Promise.all([node.peers.load(), node.payments.load(), node.storage.load()])
    const damaged = await loadChannels(node)
    node.numbers.leap(isNewSeed, randomInt)
    await recover(node, damaged)
    await closeOnceMore(node)
    await reportUnreadable(node, { peers, payments, wallet: damagedCoins }, damaged)
    return node
  }

  /** @returns the port listened on for peers, or null */
  async start(): Promise<number | null> {
    const { listen } = this.resources.config
    const port = listen ? await this.peers.listen(listen.host, listen.port) : null
    this.peers.start()
    const { signal } = this.#stop
    const isTime = peersFirst(this, signal, this.resources.peersFirstMs)
    void isTime.then(() => signal.aborted || this.chain.start())
    this.#feeRates.follow(this.source, this.#stop.signal)
    aside(this.log, dropLeftOver(this, this.channels.all()))
    this.#rounds.start()
    return port
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#rounds.stop()
    await this.chain.stop()
    await this.peers.close()
    this.reactor.post((scope) => this.storage.flush(scope))
    await this.reactor.stop()
  }

  // -------------------------------------------------------------- what the services ask

  fees(): FeeEstimates {
    return this.#feeRates.estimates
  }
  /** Of the estimates, what channels go by. */
  feerates(): ChannelContext['feerates'] {
    return this.#feeRates.ofChannels
  }
  now(): number {
    return Date.now()
  }
  newId(): string {
    return toHex(randomBytes(12))
  }
  storageLow(): boolean {
    return this.resources.storageLow()
  }

  localChannels(): readonly LocalChannel[] {
    return this.#localChannels.of(this.channels.all())
  }

  routeHints() {
    return routeHintsOf(this.channels.all(), (peer, scid) => this.gossip.privateUpdate(peer, scid))
  }

  async broadcast(tx: Transaction, purpose: string): Promise<void> {
    const result = await this.source.broadcast(tx)
    if (result.accepted) return
    // Of two closing transactions that both sides signed, the chain takes the better one: nothing is wrong.
    const isRival = purpose === 'mutual-close' && result.reason?.startsWith('insufficient fee')
    this.logs.of('chain')[isRival ? 'info' : 'warn']({ purpose, reason: result.reason }, 'transaction refused')
  }

  /** What a channel's decisions depend on: made again only when height or fees have changed. */
  context(entry: ChannelEntry): ChannelContext {
    const known = this.#contexts.get(entry)
    const blockHeight = this.chain.height
    const isBehind = this.chain.isCatchingUp
    const feerates = this.feerates()
    if (known?.blockHeight === blockHeight && known.isBehind === isBehind && known.feerates === feerates) return known
    const { nodeId, chainHash } = this.own
    const { signer, meta } = entry
    const { sweepScriptPubKey } = meta
    const { policy } = this
    const own = { chainHash, nodeId, signer, policy, sweepScriptPubKey }
    const context = { blockHeight, isBehind, feerates, ...own, ...this.#across }
    this.#contexts.set(entry, context)
    return context
  }
  signerFor(meta: ChannelMeta) {
    return secpSigner(channelSeed(this.resources.master, meta.keyIndex), this.own.nodeSecret)
  }

  // -------------------------------------------------------------- turns

  #endOfTurn(scope: TurnScope): void {
    this.shown.tell(scope)
    if (this.channels.endOfTurn(scope)) this.payments.makeRoom()
    this.payments.endOfTurn(scope)
    this.wallet.endOfTurn(scope, (tx) => {
      this.events.emit(scope, 'wallet.transaction', {
        txid: tx.txid,
        netSat: Number(tx.netSat),
        blockHeight: tx.height,
      })
    })
    this.numbers.endOfTurn(scope)
    this.outbox.flush(scope)
  }
  #channelChanged(entry: ChannelEntry, before: ChannelState | null, scope: TurnScope): void {
    const { localId } = entry.meta
    this.chain.watch(localId, watches(entry.state), scope, watchedFrom(entry.state))
    scope.after(() => this.changes.notify(`channel:${localId}`))
    const isBack = before?.tag === 'syncing' && entry.state.tag === 'normal'
    // Only the peer knows a private channel's policy from us: it may have forgotten it. Others are told of changes alone.
    if (isBack || (before !== null && isOpenForRelay(before) !== isOpenForRelay(entry.state)))
      this.channels.apart(entry, scope, () => announce(this, entry, scope))
    if (before?.tag !== 'normal') this.#feeRates.consider(entry)
    if (isBeyondPunishing(entry.state)) scope.after(() => aside(this.log, dropRevoked(this, localId)))
    if (isBackedUp(before) !== isBackedUp(entry.state)) scope.hold(() => this.backUp())
  }

  backUp(): Promise<void> {
    return this.backup.write()
  }

  #unsendable(link: Link, message: Message, error: unknown): void {
    this.log.error({ err: error, peer: link.nodeId, type: message.type }, 'a bug: this message could not be made')
    if (!('channelId' in message)) return
    const entry = this.channels.ofPeerById(link.nodeId, message.channelId)
    if (entry) this.reactor.post((scope) => this.channels.setAside(entry, error, scope))
  }

  #quarantine(entry: ChannelEntry, error: unknown, scope: TurnScope): void {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.logs
      .of('channel')
      .error({ channel: entry.meta.localId, message }, 'a bug in this channel: it is set aside, its state is kept')
    this.events.emit(scope, 'node.alert', {
      id: entry.meta.localId,
      peer: entry.meta.peer,
      code: 'CHANNEL_QUARANTINED',
      message: message.slice(0, 500),
      byPeer: false,
    })
  }
}
