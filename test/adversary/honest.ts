import { pino } from 'pino'
import { equalBytes, toHex } from '../../src/base/bytes.ts'
import { type NodeId, outpointKey, type PaymentHash } from '../../src/base/ids.ts'
import type { Msat, Sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import {
  connectBlock,
  createWatcher,
  disconnectBlocks,
  removeOwner,
  rescanBlock,
  setWatches,
} from '../../src/chain/watcher.ts'
import { buildLocal, obscuringFactorOf } from '../../src/channel/commitments.ts'
import { channelOf, rebroadcasts, watches } from '../../src/channel/describe.ts'
import { loadChannel, REVOKED_PREFIX } from '../../src/channel/persist.ts'
import { decodeRevoked, stoodIn } from '../../src/channel/revokedRecord.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import type {
  ChainEvent,
  ChannelCommand,
  ChannelContext,
  ChannelPolicy,
  Effect,
  OpenParams,
} from '../../src/channel/types.ts'
import { type Broadcast, Bumper, isOfChannel } from '../../src/node/bumper.ts'
import { type ChannelEntry, type ChannelMeta, Channels } from '../../src/node/channels.ts'
import { anchorChannels, watchedFrom } from '../../src/node/holdings.ts'
import { MempoolWatch } from '../../src/node/mempoolWatch.ts'
import type { NodeParts } from '../../src/node/parts.ts'
import { relayPolicy } from '../../src/node/policy.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import { WalletShell } from '../../src/node/wallet.ts'
import type { ForwardRecord } from '../../src/payment/types.ts'
import type { Op } from '../../src/store/types.ts'
import { InsufficientFundsError } from '../../src/wallet/errors.ts'
import { unconfirmed } from '../../src/wallet/status.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage, MessageNamed } from '../../src/wire/registry.ts'
import type { Book } from './book.ts'
import type { Chain } from './chain.ts'
import { Deeds } from './deeds.ts'
import { CHAIN_HASH, nodeIdOf, START, signerOf } from './keys.ts'
import { Outlet } from './outlet.ts'
import { type HonestName, purseOf } from './purse.ts'
import { type Ledger, ONION, Till } from './till.ts'

// ---------------------------------------------------------------- the node

export interface SavedChannel {
  readonly meta: ChannelMeta
  readonly state: ChannelState
}
export interface SavedNode {
  readonly channels: readonly SavedChannel[]
  readonly records: ReadonlyMap<string, Uint8Array>
  readonly forwards: ReadonlyMap<string, ForwardRecord>
  readonly holds: readonly string[]
  readonly ledger: Ledger
  readonly outboxes: ReadonlyMap<string, readonly ChannelMessage[]>
}

export interface Who {
  readonly name: HonestName
  /** In its wallet. */
  readonly coins: number
  readonly policy: ChannelPolicy
}

/** What a node has stored, but for its wallet, which finds its coins in the chain again. */
interface Disk {
  readonly records: ReadonlyMap<string, Uint8Array>
  readonly forwards: ReadonlyMap<string, ForwardRecord>
  readonly holds: ReadonlySet<string>
}
function refill<T>(map: Map<string, T>, by: ReadonlyMap<string, T>): void {
  map.clear()
  for (const [key, value] of by) map.set(key, value)
}

const SEND = 'send'
const ELSEWHERE = p2wsh(Uint8Array.of(1))

const silent = pino({ level: 'silent' })

/**
 * The node under attack: the channels, watcher, wallet and fee bumper of the real one, with its rules for forwarding; without the
 * sockets, the disk and the payments of people. Everything happens at once.
 */
export class Honest {
  readonly name: HonestName
  readonly policy: ChannelPolicy
  readonly chain: Chain
  readonly book: Book
  readonly channels: Channels
  readonly wallet: WalletShell
  readonly watcher = createWatcher()
  readonly till: Till
  readonly records = new Map<string, Uint8Array>()
  readonly outboxes = new Map<string, ChannelMessage[]>()
  readonly hangUps = new Set<string>()
  /** Whatever must not happen. */
  readonly complaints = new Set<string>()
  /** Penalties that waited for something else when they were urgent. */
  readonly heldUp = new Set<string>()
  /** Every transaction that it made. */
  readonly #deeds = new Deeds()
  readonly #outlet: Outlet
  feerates: ChannelContext['feerates'] = { commitment: 1000, closing: 1000, claim: 1000, slow: 500 }
  height = START
  /** It was put back to an older state of its channels. */
  hasLost = false
  /** Its wallet has nothing but the reserve. */
  hasSpent = false
  readonly #revealed = new Map<string, number>()
  readonly #sweepScripts: readonly Uint8Array[]
  readonly #startSat: bigint
  #bumper: Bumper
  #posted: ((scope: TurnScope) => void)[] = []
  #requests = 1

  constructor({ name, coins, policy }: Who, chain: Chain, book: Book) {
    this.name = name
    this.policy = policy
    this.chain = chain
    this.book = book
    this.#outlet = new Outlet(chain, this.complaints)
    const { signer, state, sweepScripts, worthSat } = purseOf(name, chain.hash(START), coins)
    this.#startSat = worthSat
    this.#sweepScripts = sweepScripts
    const Shell = WalletShell as unknown as new (...parts: unknown[]) => WalletShell
    this.wallet = new Shell(signer, state, state, () => 0)
    this.channels = new Channels({
      context: (entry) => this.context(entry),
      onEffect: (entry, effect, scope) => this.#effect(entry, effect, scope),
      onRelay: (entry, event) => this.till.relay(entry, event),
      onChanged: (entry, _before, scope) => this.#watch(entry, scope),
      onForgotten: () => {},
      onQuarantine: (entry, error) =>
        this.complaints.add(`quarantine of ${entry.meta.localId}: ${(error as Error).stack}`),
    })
    this.till = new Till({ name, book, channels: () => this.channels, height: () => this.height })
    this.#bumper = this.#newBumper()
    this.#mempoolWatch = new MempoolWatch({
      channels: this.channels,
      source: { mempoolSpends: async (outpoints) => this.#outlet.spendsOf(outpoints) },
      reactor: { post: (task) => void this.#posted.push(task) },
      onRelay: (event) => {
        if (event.tag === 'fulfilled') this.till.result(event)
      },
      now: () => 0,
    })
  }
  readonly #mempoolWatch: MempoolWatch

  get made(): Deeds['made'] {
    return this.#deeds.made
  }

  context(entry: ChannelEntry): ChannelContext {
    return {
      blockHeight: this.height,
      chainHash: CHAIN_HASH,
      nodeId: nodeIdOf(this.name),
      feerates: this.feerates,
      signer: entry.signer,
      policy: this.policy,
      sweepScriptPubKey: entry.meta.sweepScriptPubKey,
    }
  }

  entry(localId: string): ChannelEntry {
    return this.channels.get(localId)!
  }

  // -------------------------------------------------------------- turns

  /** One turn of the reactor, with all that follows from it at once. */
  turn(task: (scope: TurnScope) => void): void {
    const acts: (() => void)[] = []
    const first: (() => void)[] = []
    const scope: TurnScope = {
      write: (op: Op) => this.#write(op),
      after: (act) => void acts.push(act),
      first: (act) => void first.push(act),
      meanwhile: (work) => work(),
      hold: () => {},
    }
    task(scope)
    this.channels.drain(scope)
    this.channels.endOfTurn(scope)
    for (const act of [...first, ...acts]) act()
  }

  /** What was posted meanwhile by things that take their time. @returns whether there was any */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#posted.length === 0) return
      for (const task of this.#posted.splice(0)) this.turn(task)
      this.#deeds.noteChildren(this.wallet.state)
    }
  }

  #write({ key, value }: Op): void {
    if (value) this.records.set(key, value)
    else this.records.delete(key)
  }

  #newBumper(): Bumper {
    const parts = {
      wallet: this.wallet,
      chain: this.chain,
      source: this.#outlet.source(),
      reactor: { post: (task: (scope: TurnScope) => void) => void this.#posted.push(task) },
      events: { emit: () => {} },
      anchorChannels: () => anchorChannels(this.channels.all()),
      broadcast: async (tx: Transaction, purpose: string) => this.#outlet.broadcast(tx, purpose),
    }
    const options = { parts: () => parts as unknown as NodeParts, log: silent }
    return new Bumper(options, (entry, scope) => this.#republish(entry, scope, true))
  }

  // -------------------------------------------------------------- channels

  open(localId: string, params: OpenParams, owner: string): void {
    this.turn((scope) => this.channels.open(this.#meta(localId, params.remoteNodeId), signerOf(owner), params, scope))
  }
  accept(localId: string, open: MessageNamed<'open_channel'>, peer: NodeId, owner: string): void {
    const relay = relayPolicy(open.fundingSatoshis * 1000n)
    const params = { remoteNodeId: peer, theirFeatures: ourInitFeatures(), relay, keyIndex: 0 }
    this.turn((scope) => this.channels.accept(this.#meta(localId, peer), signerOf(owner), { open, params }, scope))
  }
  #meta(localId: string, peer: NodeId): ChannelMeta {
    const seq = this.channels.all().length + 1
    return { localId, seq, createdAt: '', keyIndex: 0, peer, sweepScriptPubKey: this.#sweepScripts[seq - 1]! }
  }

  receive(localId: string, message: ChannelMessage): void {
    this.turn(() => this.channels.deliver(this.entry(localId), { tag: 'message', message }))
  }
  connected(localId: string): void {
    this.turn(() => this.channels.deliver(this.entry(localId), { tag: 'connected', theirFeatures: ourInitFeatures() }))
  }
  disconnected(localId: string): void {
    this.outboxes.set(localId, [])
    this.hangUps.delete(localId)
    this.turn(() => this.channels.deliver(this.entry(localId), { tag: 'disconnected' }))
    this.outboxes.set(localId, [])
  }
  command(localId: string, command: ChannelCommand): void {
    this.turn(() => this.channels.command(this.entry(localId), command))
  }
  forceClose(localId: string): void {
    this.command(localId, { tag: 'forceClose', requestId: this.#requests++ })
  }
  close(localId: string): void {
    this.command(localId, { tag: 'close', requestId: this.#requests++ })
  }
  outbox(localId: string): ChannelMessage[] {
    const box = this.outboxes.get(localId) ?? []
    this.outboxes.set(localId, box)
    return box
  }

  #effect(entry: ChannelEntry, effect: Exclude<Effect, { tag: 'relay' }>, scope: TurnScope): void {
    const { localId } = entry.meta
    switch (effect.tag) {
      case 'send': {
        const { message } = effect
        if (message.type === 'revoke_and_ack') {
          const revealed = channelOf(entry.state)!.commitments.local.number - 1
          this.#revealed.set(localId, Math.max(revealed, this.#revealed.get(localId) ?? -1))
        }
        scope.after(() => void this.outbox(localId).push(message))
        return
      }
      case 'broadcast':
        return this.#toChain(entry, effect, scope)
      case 'disconnect':
        scope.after(() => void this.hangUps.add(localId))
        return
      case 'loadRevokedHtlcs': {
        const prefix = `channel/${localId}/${REVOKED_PREFIX}`
        const htlcs = [...this.records]
          .filter(([key]) => key.startsWith(prefix))
          .map(([, value]) => decodeRevoked(value))
          .filter((h) => stoodIn(h, effect.commitmentNumber))
        const { commitmentNumber } = effect
        scope.after(() =>
          this.#posted.push(() => this.channels.deliver(entry, { tag: 'revokedHtlcs', commitmentNumber, htlcs })),
        )
        return
      }
      case 'fund':
        this.funding = effect
        return
      default:
        return
    }
  }
  funding: Extract<Effect, { tag: 'fund' }> | null = null

  #toChain(entry: ChannelEntry, effect: Broadcast, scope: TurnScope): void {
    if (effect.purpose === 'funding') return
    this.#checkNotRevoked(entry, effect.tx)
    if (effect.anchor) {
      this.#deeds.plans(entry.meta.localId, [effect.anchor, ...(effect.rivals ?? [])])
      this.#bumper.commitment(entry, { ...effect, anchor: effect.anchor }, scope)
      this.#deeds.note(effect.tx, effect.purpose, null)
      this.#deeds.noteChildren(this.wallet.state)
      return
    }
    if (effect.addFees !== undefined) {
      const tx = this.#bumper.htlc(entry, effect, effect.addFees, scope)
      if (tx) this.#deeds.note(tx, effect.purpose, effect.budgetSat ?? 0n)
      return
    }
    this.#deeds.note(effect.tx, effect.purpose, null)
    scope.after(() => this.#outlet.broadcast(effect.tx, effect.purpose))
  }

  #checkNotRevoked(entry: ChannelEntry, tx: Transaction): void {
    const channel = channelOf(entry.state)
    const funding = channel?.commitments.active[0]?.funding
    if (!channel || !funding || !tx.inputs.some((i) => outpointKey(i) === outpointKey(funding))) return
    const n = commitmentNumberOf(tx, obscuringFactorOf(channel.params))
    if (n === null || txidOf(tx) !== buildLocal(channel, channel.commitments.active[0]!, entry.signer).txid) return
    if (n <= (this.#revealed.get(entry.meta.localId) ?? -1))
      this.complaints.add(`${this.name} publishes its revoked commitment ${n}`)
  }

  // -------------------------------------------------------------- the chain

  #watch(entry: ChannelEntry, scope: TurnScope, from = watchedFrom(entry.state)): void {
    const { localId } = entry.meta
    const { events, rescan } = setWatches(this.watcher, localId, watches(entry.state), from)
    for (const event of events) this.channels.deliver(entry, { tag: 'chain', event })
    if (!rescan) return
    scope.after(() =>
      this.#posted.push(() => {
        for (const block of this.chain.from(rescan.fromHeight)) {
          if (block.height > rescan.toHeight) break
          for (const event of rescanBlock(rescan.watches, block)) this.channels.deliver(entry, { tag: 'chain', event })
        }
      }),
    )
  }

  /** A block, in the order of the real node (assembly.ts). */
  block(block: ChainBlock): void {
    this.height = block.height
    this.turn((scope) => {
      const found = connectBlock(this.watcher, block)
      for (const { owner, events } of found) this.#deliver(owner, events, scope)
      this.wallet.applyBlock(block)
      this.till.reviewHolds()
      this.channels.drain(scope)
      for (const tx of this.wallet.unconfirmed((label) => !isOfChannel(label)))
        scope.after(() => this.chain.broadcast(tx))
      for (const entry of this.channels.all()) this.#republish(entry, scope)
      scope.after(() => this.#mempoolWatch.tick(true))
    })
  }

  reorg(height: number): void {
    this.height = height
    this.turn((scope) => {
      const found = disconnectBlocks(this.watcher, height, this.chain.hash(height))
      this.wallet.rollback(height, this.chain.hash(height))
      for (const tx of unconfirmed(this.wallet.state)) scope.after(() => this.chain.broadcast(tx))
      for (const { owner, events } of found) this.#deliver(owner, events, scope)
    })
  }

  #deliver(owner: string, events: readonly ChainEvent[], scope: TurnScope): void {
    const entry = this.channels.get(owner)
    if (!entry) return
    for (const event of events) this.channels.deliver(entry, { tag: 'chain', event })
    this.channels.drain(scope)
  }

  #republish(entry: ChannelEntry, scope: TurnScope, isStart = false): void {
    this.#bumper.tidy(entry, scope)
    // The block itself has made it publish the same already.
    if (!isStart && entry.state.tag === 'closing' && !this.#bumper.isPoor(entry)) return
    for (const effect of rebroadcasts(entry.state, this.context(entry))) {
      if (effect.tag !== 'relay') this.#effect(entry, effect, scope)
    }
  }

  /** People send as much as the node lets them; what it keeps is for channels with anchors (services/wallet.ts). */
  spendAll(): void {
    let amountSat = this.#startSat as Sat
    for (let tries = 0; tries < 4 && amountSat > 1_000n; tries++) {
      const outputs = [{ amountSat, scriptPubKey: ELSEWHERE }]
      try {
        const reserve = { anchorChannels: anchorChannels(this.channels.all()) }
        const { tx, feeSat } = this.wallet.fund({ outputs, feeratePerKw: this.feerates.slow!, owner: SEND, ...reserve })
        this.wallet.sent(tx, { feeSat, label: SEND })
        this.wallet.release(SEND)
        this.#deeds.note(tx, SEND, null)
        this.hasSpent = true
        return void this.#outlet.hand(tx)
      } catch (e) {
        if (!(e instanceof InsufficientFundsError)) throw e
        amountSat = (amountSat - e.missingSat) as Sat
      }
    }
  }

  settleHold(pick: number): void {
    this.turn(() => this.till.settleHold(pick))
  }
  pay(localId: string, amountMsat: Msat, cltvExpiry: number, hash: PaymentHash, attempt: number): void {
    const origin = { tag: 'payment', paymentHash: hash, attempt } as const
    this.command(localId, { tag: 'addHtlc', amountMsat, paymentHash: hash, cltvExpiry, onion: ONION, origin })
  }

  // -------------------------------------------------------------- restarts and copies

  save(): SavedNode {
    return {
      channels: this.channels.all().map(({ meta, state }) => ({ meta, state })),
      records: new Map(this.records),
      forwards: new Map(this.till.forwards),
      holds: [...this.till.holds],
      ledger: this.till.ledger,
      outboxes: new Map([...this.outboxes].map(([k, v]) => [k, [...v]])),
    }
  }
  load(saved: SavedNode, owners: ReadonlyMap<string, string>): void {
    for (const [k, v] of saved.records) this.records.set(k, v)
    for (const [k, v] of saved.forwards) this.till.forwards.set(k, v)
    for (const k of saved.holds) this.till.holds.add(k)
    for (const part of ['paid', 'owed', 'failed'] as const)
      for (const [k, v] of saved.ledger[part]) this.till.ledger[part].set(k, v)
    for (const [k, v] of saved.outboxes) this.outboxes.set(k, [...v])
    for (const { meta, state } of saved.channels) {
      const entry = { meta, signer: signerOf(owners.get(meta.localId)!), state, stored: state, quarantined: null }
      this.channels.restore(entry)
      this.#revealed.set(meta.localId, channelOf(state)!.commitments.local.number - 1)
      setWatches(this.watcher, meta.localId, watches(state))
    }
    this.watcher.tip = { height: this.height, hash: this.chain.hash(this.height) }
  }

  /** The process ends and starts anew on what its disk has (recovery.ts). */
  restart(isInDoubt = false): void {
    this.#posted = []
    this.#bumper = this.#newBumper()
    for (const entry of this.channels.all()) {
      const prefix = `channel/${entry.meta.localId}/`
      const live = [...this.records].flatMap(([key, value]): [string, Uint8Array][] =>
        key.startsWith(prefix) && !key.startsWith(prefix + REVOKED_PREFIX) ? [[key.slice(prefix.length), value]] : [],
      )
      entry.state = loadChannel(live)
      entry.stored = entry.state
      this.outboxes.set(entry.meta.localId, [])
    }
    this.turn((scope) => {
      for (const entry of this.channels.all()) {
        this.channels.deliver(entry, { tag: 'disconnected' })
        if (isInDoubt) this.channels.deliver(entry, { tag: 'doubted' })
        this.channels.deliver(entry, { tag: 'chain', event: { tag: 'reorg', height: this.height } })
        removeOwner(this.watcher, entry.meta.localId)
        this.#watch(entry, scope, isInDoubt ? channelOf(entry.state)?.params.openedAt : undefined)
      }
      this.channels.drain(scope)
      this.channels.replayResults(scope)
      this.channels.replayIncoming(scope)
      for (const entry of this.channels.all()) this.#republish(entry, scope, true)
    })
  }

  copyDisk(): Disk {
    const { forwards, holds } = this.till
    return { records: new Map(this.records), forwards: new Map(forwards), holds: new Set(holds) }
  }
  /**
   * The process ends, and starts anew on what its disk once had. `isNoticed`: its numbers show that (recovery.ts), so that all channels
   * are in doubt.
   */
  putBack(disk: Disk, isNoticed: boolean): void {
    this.hasLost = true
    refill(this.records, disk.records)
    refill(this.till.forwards, disk.forwards)
    this.till.holds.clear()
    for (const key of disk.holds) this.till.holds.add(key)
    this.restart(isNoticed)
  }

  /** Up to which of its commitments a peer can punish. */
  hasRevealed(localId: string, number: number): void {
    this.#revealed.set(localId, number)
  }

  /** Everything is resolved. */
  isDone(): boolean {
    return this.channels.all().every((e) => e.state.tag === 'closed')
  }
  /** And nothing is watched any more. */
  isIrrevocable(): boolean {
    return this.isDone() && this.channels.all().every((e) => watches(e.state).length === 0)
  }
  /** sat that it has more in its wallet than at the start, what people sent with it included. */
  earned(): bigint {
    let sum = -this.#startSat
    const scripts = this.wallet.state.scripts
    for (const { output } of this.chain.coins().values())
      if (scripts.has(toHex(output.scriptPubKey)) || equalBytes(output.scriptPubKey, ELSEWHERE)) sum += output.amountSat
    return sum
  }
  /** Coins that nothing will ever set free. */
  loose(): readonly string[] {
    const { state } = this.wallet
    const waiting = unconfirmed(state).filter((tx) => tx.inputs.some((i) => state.coins.has(outpointKey(i))))
    const locked = [...state.locks.keys()].map((key) => `${key} is locked`)
    return [...waiting.map((tx) => `${txidOf(tx)} waits in the wallet`), ...locked]
  }
}
