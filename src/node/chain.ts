import type { BlockHash } from '../base/ids.ts'
import { pack, unpack } from '../base/pack.ts'
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
  readonly onBlock: (block: ChainBlock, scope: TurnScope) => void
  readonly onReorg: (height: number, scope: TurnScope) => void
  readonly onStatus: (status: FollowerStatus) => void
  readonly onFatal: (error: unknown) => void
}

const RESCAN_RETRY_MS = 1_000

/** Joins the chain to the reactor: each block is one task whose writes include the new position in the chain. */
export class ChainShell {
  readonly #options: ChainShellOptions
  readonly #watcher = createWatcher()
  readonly #stop = new AbortController()
  #state: FollowerState
  #status: FollowerStatus
  #following: Promise<void> = Promise.resolve()
  readonly #reaching = new Set<() => void>()
  #reorgs = 0

  private constructor(options: ChainShellOptions, state: FollowerState) {
    this.#options = options
    this.#state = state
    this.#watcher.tip = { height: state.height, hash: state.hash }
    this.#status = { synced: false, height: state.height, tipHeight: null, error: null }
  }

  /**
   * Stands where the last session stood in the chain.
   * @param newAt height at which a new node begins; the tip when left out
   * @throws ChainError when the backend cannot be reached
   */
  static async open(options: ChainShellOptions, newAt?: number): Promise<ChainShell> {
    await options.source.check()
    const stored = await options.driver.get(keys.chain)
    const state = stored ? unpack<FollowerState>(stored) : await followFrom(options.source, newAt)
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

  start(): void {
    const { source, onFatal } = this.#options
    this.#following = follow({
      source,
      state: this.#state,
      signal: this.#stop.signal,
      onEvent: (event, next) => this.#onEvent(event, next),
      onStatus: (status) => {
        this.#status = status
        this.#options.onStatus(status)
      },
      onFatal,
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#following
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
    const { events, rescan } = setWatches(this.#watcher, owner, watches, fromHeight)
    // In this turn, so that what was found is stored together with the position in the chain.
    if (events.length > 0) this.#options.onEvents(owner, events, scope)
    if (rescan) scope.after(() => this.#rescan(rescan))
  }

  unwatch(owner: string): void {
    removeOwner(this.#watcher, owner)
  }

  /** Looks for new watches in blocks that were connected before; tried again until it has been done on an unchanged chain. */
  #rescan(rescan: Rescan): void {
    const { source, reactor, onEvents } = this.#options
    const { owner, watches, fromHeight, toHeight } = rescan
    const reorgs = this.#reorgs
    const found: ChainEvent[] = []
    readBlocks(source, this.#state, { fromHeight, toHeight }, (block) => {
      found.push(...rescanBlock(watches, block))
    }).then(
      () => {
        if (reorgs !== this.#reorgs) this.#rescan(rescan)
        else if (found.length > 0) reactor.post((scope) => onEvents(owner, found, scope))
      },
      () => {
        if (!this.#stop.signal.aborted) setTimeout(() => this.#rescan(rescan), RESCAN_RETRY_MS).unref()
      },
    )
  }

  async #onEvent(event: FollowerEvent, next: FollowerState): Promise<void> {
    const { reactor, onBlock, onReorg, onEvents } = this.#options
    await reactor.run((scope) => {
      this.#state = next
      const found =
        event.tag === 'block'
          ? connectBlock(this.#watcher, event.block)
          : disconnectBlocks(this.#watcher, event.height, event.hash)
      if (event.tag === 'reorg') {
        this.#reorgs++
        onReorg(event.height, scope)
      }
      for (const { owner, events } of found) onEvents(owner, events, scope)
      if (event.tag === 'block') onBlock(event.block, scope)
      scope.write({ key: keys.chain, value: pack(next) })
    })
    for (const waiter of [...this.#reaching]) waiter()
  }
}
