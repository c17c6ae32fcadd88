import type { BlockHash } from '../base/ids.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import {
  type FollowerEvent,
  type FollowerState,
  type FollowerStatus,
  follow,
  followFrom,
  readBlocks,
} from '../chain/follower.ts'
import type { ChainBlock, ChainSource } from '../chain/source.ts'
import {
  connectBlock,
  createWatcher,
  disconnectBlocks,
  type Rescan,
  removeOwner,
  rescanBlock,
  setWatches,
} from '../chain/watcher.ts'
import type { ChainEvent, Watch } from '../channel/types.ts'
import { keys } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { Reactor, TurnScope } from './reactor.ts'

export interface ChainShellOptions {
  readonly source: ChainSource
  readonly driver: Driver
  readonly reactor: Reactor
  /** An owner's events, in the order of the chain, before `onBlock` of the same block. */
  readonly onEvents: (owner: string, events: readonly ChainEvent[], scope: TurnScope) => void
  /** All that an owner began to watch has been looked for from this height on, and what was found has been told. */
  readonly onSearched: (owner: string, fromHeight: number, scope: TurnScope) => void
  readonly onBlock: (block: ChainBlock, scope: TurnScope) => void
  readonly onReorg: (height: number, scope: TurnScope) => void
  readonly onStatus: (status: FollowerStatus) => void
  /** Older blocks cannot be looked through for what channels wait for; it is tried again. Once for each reason. */
  readonly onUnread?: (error: unknown) => void
  /** The backend answers again after it could not be reached. */
  readonly onBack: (scope: TurnScope) => void
  readonly onFatal: (error: unknown) => void
  /** Unix milliseconds; Date.now when left out. */
  readonly now?: () => number
}

const RESCAN_RETRY_MS = 1_000
/** For so long after the last look at the backend's tip, and no further behind it, the height is good enough to judge expiries by. */
const CURRENT_MS = 10 * 60_000
const CURRENT_BLOCKS = 3
/**
 * A tip of this age is believed to be old: the backend hears of no blocks, or of late ones alone, and calls itself in step all the same,
 * as it does at a start until a peer has told it otherwise. One block in 160,000 takes so long.
 */
const OLD_MS = 2 * 3_600_000
/** Blocks come twice as fast as they should, for the sake of safety. */
const FAST_BLOCK_MS = 5 * 60_000

/**
 * Joins the chain to the reactor: each block is one task. The position in the chain goes forward once all that came of the block is
 * on disk, and back before anything is undone: so no part of the node is ever behind the position, however a crash cuts a batch
 * apart. What is ahead of it is taken back at the next start (recovery.ts), and comes again with its block.
 */
export class ChainShell {
  readonly #options: ChainShellOptions
  readonly #watcher = createWatcher()
  readonly #stop = new AbortController()
  #state: FollowerState
  #status: FollowerStatus
  /** Of a clock that never goes back: when the backend's tip was last known to be ours. */
  #syncedAt = Number.NEGATIVE_INFINITY
  #following: Promise<void> = Promise.resolve()
  readonly #reaching = new Set<() => void>()
  #reorgs = 0
  #rescans: Rescan[] = []
  /** Why the last look back failed. */
  #unread: string | null = null

  private constructor(options: ChainShellOptions, state: FollowerState) {
    this.#options = options
    this.#state = state
    this.#watcher.tip = { height: state.height, hash: state.hash }
    this.#status = { synced: false, height: state.height, tipHeight: null, error: null }
  }

  /**
   * Stands where the last session stood in the chain, or before the last block that it took in.
   * @param newAt height at which a new node begins; the tip when left out @param before it begins so many blocks below
   * @throws ChainError when the backend cannot be reached
   */
  static async open(options: ChainShellOptions, newAt?: number, before = 0): Promise<ChainShell> {
    await options.source.check()
    const { driver, source } = options
    const stored = await driver.get(keys.chain)
    const place = stored && unpackIfWhole<FollowerState>(stored)
    if (Array.isArray(place?.recent)) return new ChainShell(options, place)
    const state = await followFrom(source, newAt === undefined ? newAt : Math.max(0, newAt - before))
    await driver.batch([{ key: keys.chain, value: pack(state) }])
    return new ChainShell(options, state)
  }

  get height(): number {
    return this.#state.height
  }
  get tip(): { readonly height: number; readonly hash: BlockHash } {
    return this.#state
  }
  get status(): FollowerStatus {
    return this.#status
  }
  /** All blocks of the backend are here, and that is no old chain. */
  get isSynced(): boolean {
    return this.#status.synced && !this.isOld
  }
  /** The backend has had no new block for hours. */
  get isOld(): boolean {
    return this.#age > OLD_MS
  }
  /** The backend has blocks that are not here yet, more than come at a time. */
  get isBehind(): boolean {
    return (this.#status.tipHeight ?? this.height) - this.height > CURRENT_BLOCKS
  }
  /** The same, or the backend does so itself: a block that comes may be followed by others within seconds. */
  get isCatchingUp(): boolean {
    return this.isBehind || this.#status.syncing === true
  }
  /** Whether the height is that of now: while blocks are caught up with, or the backend is away for long, HTLCs look younger than they are. */
  get isCurrent(): boolean {
    if (this.isOld || this.isBehind) return false
    return this.#status.synced || performance.now() - this.#syncedAt < CURRENT_MS
  }
  /** The most that the height of now may be; null where nothing says. */
  get highest(): number | null {
    const { tipHeight, tipTime } = this.#status
    if (this.isCurrent) return this.height
    if (tipHeight === null || tipTime === undefined) return null
    return Math.max(this.height, tipHeight) + Math.ceil(this.#age / FAST_BLOCK_MS)
  }
  /** Milliseconds since the backend's newest block; 0 where it does not say. */
  get #age(): number {
    const { tipTime } = this.#status
    const { now = Date.now } = this.#options
    return tipTime === undefined ? 0 : Math.max(0, now() - tipTime * 1000)
  }

  start(): void {
    const { source, reactor, onFatal, onBack } = this.#options
    source.onBack(() => reactor.post(onBack))
    this.#following = follow({
      source,
      state: this.#state,
      signal: this.#stop.signal,
      onEvent: (event, next) => this.#onEvent(event, next),
      onStatus: (status) => {
        if (this.#status.synced) this.#syncedAt = performance.now()
        this.#status = status
        this.#options.onStatus(status)
      },
      onFatal,
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.race([this.#following, this.#options.reactor.failed])
  }

  /** Resolves once blocks up to this height are taken in and on disk, or when the time is over. */
  reach(height: number, timeoutMs: number): Promise<void> {
    if (this.height >= height) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#reaching.delete(waiter)
        resolve()
      }
      const timer = setTimeout(done, timeoutMs)
      const waiter = (): void => {
        if (this.height >= height) done()
      }
      this.#reaching.add(waiter)
    })
  }

  /** @param fromHeight the lowest block in which something newly watched may have happened */
  watch(owner: string, watches: readonly Watch[], scope: TurnScope, fromHeight?: number): void {
    const isNew = !this.#watcher.owners.has(owner)
    const { events, rescan } = setWatches(this.#watcher, owner, watches, fromHeight)
    // In this turn, so that what was found is stored together with the position in the chain.
    if (events.length > 0) this.#options.onEvents(owner, events, scope)
    if (rescan) scope.after(() => this.#rescan(rescan))
    else if (isNew && fromHeight !== undefined) this.#options.onSearched(owner, fromHeight, scope)
  }

  /** Blocks that were gone through before are looked through again for what an owner watches. */
  lookBack(owner: string, watches: readonly Watch[], scope: TurnScope, fromHeight: number): void {
    scope.after(() => this.#rescan({ owner, watches, fromHeight, toHeight: this.height }))
  }

  unwatch(owner: string): void {
    removeOwner(this.#watcher, owner)
  }

  /** Those of one turn are looked for together: a node that was restored would else read the chain once for every channel. */
  #rescan(rescan: Rescan): void {
    if (this.#rescans.push(rescan) === 1) queueMicrotask(() => this.#readAgain(this.#rescans.splice(0)))
  }

  /** Looks for new watches in blocks that were connected before; tried again until it has been done on an unchanged chain. */
  #readAgain(rescans: readonly Rescan[]): void {
    const { source, reactor, onEvents, onSearched, onUnread } = this.#options
    const fromHeight = Math.min(...rescans.map((r) => r.fromHeight))
    const toHeight = Math.max(...rescans.map((r) => r.toHeight))
    const reorgs = this.#reorgs
    const found = new Map<string, ChainEvent[]>()
    readBlocks(source, this.#state, { fromHeight, toHeight }, (block) => {
      for (const { owner, watches, fromHeight: from, toHeight: to } of rescans) {
        if (block.height < from || block.height > to) continue
        const events = rescanBlock(watches, block)
        if (events.length > 0) found.set(owner, [...(found.get(owner) ?? []), ...events])
      }
    }).then(
      () => {
        this.#unread = null
        // In its turn, since a reorganisation may wait for its own before it: what was found would be told as true after that.
        reactor.post((scope) => {
          if (reorgs !== this.#reorgs) return this.#readAgain(rescans)
          for (const [owner, events] of found) onEvents(owner, events, scope)
          for (const { owner, fromHeight: from } of rescans) onSearched(owner, from, scope)
        })
      },
      (e: unknown) => {
        if (this.#stop.signal.aborted) return
        setTimeout(() => this.#readAgain(rescans), RESCAN_RETRY_MS).unref()
        const why = e instanceof Error ? e.message : String(e)
        if (why !== this.#unread) onUnread?.(e)
        this.#unread = why
      },
    )
  }

  async #onEvent(event: FollowerEvent, next: FollowerState): Promise<void> {
    const { reactor } = this.#options
    const place = (scope: TurnScope): void => scope.write({ key: keys.chain, value: pack(next) })
    if (event.tag === 'reorg') await reactor.run(place)
    await reactor.run((scope) => this.#take(event, next, scope))
    if (event.tag === 'block') reactor.post(place)
    for (const waiter of [...this.#reaching]) waiter()
  }

  #take(event: FollowerEvent, next: FollowerState, scope: TurnScope): void {
    const { onBlock, onReorg, onEvents } = this.#options
    this.#state = next
    if (event.tag === 'reorg') {
      const found = disconnectBlocks(this.#watcher, event.height, event.hash)
      this.#reorgs++
      onReorg(event.height, scope)
      for (const { owner, events } of found) onEvents(owner, events, scope)
      return
    }
    const found = connectBlock(this.#watcher, event.block)
    for (const { owner, events } of found) onEvents(owner, events, scope)
    onBlock(event.block, scope)
  }
}
