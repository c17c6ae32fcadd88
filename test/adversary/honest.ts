import type { NodeId, PaymentHash } from '../../src/base/ids.ts'
import type { Msat } from '../../src/base/units.ts'
import type { ChainBlock } from '../../src/chain/source.ts'
import {
  connectBlock,
  createWatcher,
  disconnectBlocks,
  removeOwner,
  rescanBlock,
  setWatches,
} from '../../src/chain/watcher.ts'
import { channelOf, rebroadcasts, watches } from '../../src/channel/describe.ts'
import type {
  ChainEvent,
  ChannelCommand,
  ChannelContext,
  ChannelPolicy,
  Effect,
  OpenParams,
} from '../../src/channel/types.ts'
import { acrossChannels } from '../../src/node/acrossChannels.ts'
import { type ChannelEntry, type ChannelMeta, Channels } from '../../src/node/channels.ts'
import { channelOfLabel } from '../../src/node/claimLabels.ts'
import { ClaimRoom } from '../../src/node/claimRoom.ts'
import { watchedFrom } from '../../src/node/holdings.ts'
import { MempoolWatch } from '../../src/node/mempoolWatch.ts'
import { Orphans } from '../../src/node/orphans.ts'
import type { NodeParts } from '../../src/node/parts.ts'
import { relayPolicy } from '../../src/node/policy.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import { Reserves } from '../../src/node/reserves.ts'
import { WalletShell } from '../../src/node/wallet.ts'
import { unconfirmed, walletBalance } from '../../src/wallet/status.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage, MessageNamed } from '../../src/wire/registry.ts'
import type { Book } from './book.ts'
import type { Chain } from './chain.ts'
import { Disk } from './disk.ts'
import { Hasty } from './hasty.ts'
import { CHAIN_HASH, nodeIdOf, START, signerOf } from './keys.ts'
import { Publisher } from './publisher.ts'
import { type HonestName, purseOf } from './purse.ts'
import { ONION, Till } from './till.ts'
import { SEND, Wealth } from './wealth.ts'

// ---------------------------------------------------------------- the node

export interface Who {
  readonly name: HonestName
  /** In its wallet. */
  readonly coins: number
  readonly policy: ChannelPolicy
}

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
  readonly wealth: Wealth
  readonly watcher = createWatcher()
  readonly claims: ClaimRoom
  readonly reserves: Reserves
  readonly till: Till
  readonly disk = new Disk()
  readonly outboxes = new Map<string, ChannelMessage[]>()
  readonly hangUps = new Set<string>()
  /** Whatever must not happen. */
  readonly complaints = new Set<string>()
  /** Penalties that waited for something else when they were urgent. */
  readonly heldUp = new Set<string>()
  readonly hasty = new Hasty(this)
  readonly publisher: Publisher
  feerates: ChannelContext['feerates'] = { commitment: 1000, closing: 1000, claim: 1000, slow: 500 }
  height = START
  /** It was put back to an older state of its channels. */
  hasLost = false
  /** Its wallet has nothing but the reserve. */
  hasSpent = false
  readonly #sweepScripts: readonly Uint8Array[]
  /** What the wallet was asked to fund. */
  funding: Extract<Effect, { tag: 'fund' }> | null = null
  readonly #mempoolWatch: MempoolWatch
  readonly #orphans: Orphans
  #posted: ((scope: TurnScope) => void)[] = []
  #requests = 1

  constructor({ name, coins, policy }: Who, chain: Chain, book: Book) {
    this.name = name
    this.policy = policy
    this.chain = chain
    this.book = book
    const { signer, state, sweepScripts, worthSat } = purseOf(name, chain.hash(START), coins)
    this.#sweepScripts = sweepScripts
    const Shell = WalletShell as unknown as new (...parts: unknown[]) => WalletShell
    this.wallet = new Shell(signer, state, state, () => 0)
    this.wealth = new Wealth(this.wallet, worthSat)
    this.channels = new Channels({
      context: (entry) => this.context(entry),
      onEffect: (entry, effect, scope) => this.#effect(entry, effect, scope),
      onRelay: (entry, event) => {
        if (event.tag === 'failed') this.hasty.failed(entry, event)
        this.till.relay(entry, event)
      },
      onChanged: (entry, _before, scope) => this.#watch(entry, scope),
      onSettled: () => {},
      onForgotten: () => {},
      onQuarantine: (entry, error) =>
        this.complaints.add(`quarantine of ${entry.meta.localId}: ${(error as Error).stack}`),
    })
    this.claims = new ClaimRoom({
      stateOf: (channelId) => this.channels.byChannelId(channelId)?.state,
      feerates: () => this.feerates,
      coinsSat: () => walletBalance(this.wallet.state).spendableSat,
      exposureMsat: policy.maxDustExposureMsat,
      onShort: () => {},
    })
    const { claims } = this
    this.reserves = new Reserves(this)
    this.till = new Till({ name, book, channels: () => this.channels, height: () => this.height, claims })
    this.publisher = new Publisher(this, {
      post: (task) => this.post(task),
      republish: (entry, scope) => this.#republish(entry, scope, true),
    })
    const reactor = { post: (task: (scope: TurnScope) => void) => this.post(task) }
    const parts = { wallet: this.wallet, chain, reactor } as unknown as NodeParts
    this.#orphans = new Orphans(() => parts)
    this.#mempoolWatch = new MempoolWatch({
      channels: this.channels,
      source: { mempoolSpends: async (outpoints) => this.publisher.outlet.spendsOf(outpoints) },
      reactor,
      onRelay: (event) => {
        if (event.tag === 'fulfilled') this.till.result(event)
      },
      now: () => 0,
    })
  }

  get made(): Publisher['deeds']['made'] {
    return this.publisher.deeds.made
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
      ...acrossChannels({ channels: this.channels, chain: this }),
    }
  }

  entry(localId: string): ChannelEntry {
    return this.channels.get(localId)!
  }

  /** In a turn that comes, like what takes its time in the real node. */
  post(task: (scope: TurnScope) => void): void {
    this.#posted.push(task)
  }

  // -------------------------------------------------------------- turns

  /** One turn of the reactor, with all that follows from it at once. */
  turn(task: (scope: TurnScope) => void): void {
    const acts: (() => void)[] = []
    const first: (() => void)[] = []
    const scope: TurnScope = {
      write: (op) => this.disk.write(op),
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
    }
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
          this.publisher.reveals(localId, channelOf(entry.state)!.commitments.local.number - 1)
        }
        scope.after(() => void this.outbox(localId).push(message))
        return
      }
      case 'broadcast':
        return this.publisher.publish(entry, effect, scope)
      case 'disconnect':
        scope.after(() => void this.hangUps.add(localId))
        return
      case 'loadRevokedHtlcs': {
        const { commitmentNumber } = effect
        const htlcs = this.disk.revokedHtlcs(localId, commitmentNumber)
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
      for (const tx of this.wallet.unconfirmed((label) => channelOfLabel(label) === null))
        scope.after(() => this.#orphans.told(tx, this.chain.broadcast(tx)))
      for (const entry of this.channels.all()) {
        this.#republish(entry, scope)
        this.publisher.free(entry, scope)
      }
      scope.after(() => this.#mempoolWatch.tick(true))
    })
  }

  reorg(height: number): void {
    this.height = height
    this.hasty.reorg(height)
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
    this.publisher.tidy(entry, scope)
    // The block itself has made it publish the same already.
    if (!isStart && entry.state.tag === 'closing' && !this.publisher.isPoor(entry)) return
    for (const effect of rebroadcasts(entry.state, this.context(entry))) {
      if (effect.tag !== 'relay') this.#effect(entry, effect, scope)
    }
  }

  /** People send as much as the node lets them. */
  spendAll(): void {
    const tx = this.wealth.spendAll(this.feerates.slow!, this.reserves.inAll())
    if (!tx) return
    this.publisher.deeds.note(tx, SEND, null)
    this.hasSpent = true
    this.publisher.outlet.hand(tx)
  }

  settleHold(pick: number): void {
    this.turn(() => this.till.settleHold(pick))
  }
  pay(localId: string, amountMsat: Msat, cltvExpiry: number, hash: PaymentHash, attempt: number): void {
    const origin = { tag: 'payment', paymentHash: hash, attempt } as const
    this.command(localId, { tag: 'addHtlc', amountMsat, paymentHash: hash, cltvExpiry, onion: ONION, origin })
  }

  // -------------------------------------------------------------- restarts and copies

  /** The process ends and starts anew on what its disk has (recovery.ts). */
  restart(isInDoubt = false): void {
    this.#posted = []
    this.publisher.restart()
    for (const entry of this.channels.all()) {
      entry.state = this.disk.channel(entry.meta.localId)
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

  /** What it knows of the chain is that of an older copy: blocks since then come again. */
  goBack(height: number): void {
    this.height = height
    const hash = this.chain.hash(height)
    Object.assign(this.watcher, { tip: { height, hash }, recent: [] })
    this.wallet.rollback(height, hash)
  }
  /** The blocks that it lacks. */
  async catchUp(): Promise<void> {
    for (const block of this.chain.from(this.height + 1)) this.block(block)
    await this.settle()
  }
  /** Everything is resolved. */
  isDone(): boolean {
    return this.channels.all().every((e) => e.state.tag === 'closed')
  }
  /** And nothing is watched any more. */
  isIrrevocable(): boolean {
    return this.isDone() && this.channels.all().every((e) => watches(e.state).length === 0)
  }
}
