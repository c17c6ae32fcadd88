import type { BlockHash } from '../base/ids.ts'
import { backOff, type Clock, realClock } from './clock.ts'
import { ChainError } from './errors.ts'
import type { ChainBlock, ChainSource, ChainTip } from './source.ts'

/** How deep a reorganisation can be followed: as many hashes are remembered. */
export const MAX_REORG = 100

/** Where in the chain the consumer stands: plain data, stored by it together with what it made of the block. */
export interface FollowerState {
  readonly height: number
  readonly hash: BlockHash
  /** Hashes of the last blocks up to and with this one, oldest first; at most MAX_REORG + 1. */
  readonly recent: readonly BlockHash[]
}

export type FollowerEvent =
  | { readonly tag: 'block'; readonly block: ChainBlock }
  /** All blocks above `height` are undone; others follow. */
  | { readonly tag: 'reorg'; readonly height: number; readonly hash: BlockHash }

export interface FollowerStatus {
  /** The consumer has every block that the backend has, and the backend is not catching up itself. */
  readonly synced: boolean
  readonly height: number
  /** Of the backend; null while it has not been reached. */
  readonly tipHeight: number | null
  /** The backend itself knows of more blocks than it has; absent where it has not been reached. */
  readonly syncing?: boolean
  /** Of its header, Unix seconds; absent where that says nothing, or is not known. */
  readonly tipTime?: number
  /** Why the backend cannot be followed at the moment. */
  readonly error: ChainError | null
}

export interface FollowerOptions {
  readonly source: ChainSource
  readonly state: FollowerState
  /** Called for one event at a time, in order; the next waits until it resolves. `next` is the state after the event. */
  readonly onEvent: (event: FollowerEvent, next: FollowerState) => Promise<void> | void
  /** Called when something in it changed. */
  readonly onStatus: (status: FollowerStatus) => void
  /** The consumer failed: following has ended, the event was not handled. */
  readonly onFatal: (error: unknown) => void
  readonly signal: AbortSignal
  readonly clock?: Clock
}

/** How long one wait for a new block may take. */
const WAIT_MS = 10_000
const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 30_000

/**
 * The state of a consumer that has everything up to `height`, by default the tip.
 * @throws ChainError
 */
export async function followFrom(source: ChainSource, height?: number): Promise<FollowerState> {
  const at = height ?? (await source.tip()).height
  const from = Math.max(0, at - MAX_REORG)
  const heights = Array.from({ length: at - from + 1 }, (_, i) => from + i)
  const recent = await Promise.all(heights.map((h) => source.blockHash(h)))
  return { height: at, hash: recent[recent.length - 1]!, recent }
}

/** Follows the chain until the signal aborts or the consumer fails. Failures of the source are retried for ever. Never rejects. */
export async function follow(options: FollowerOptions): Promise<void> {
  return new Follower(options).run()
}

/**
 * Reads the blocks of the chain that `state` stands in, in order.
 * @param range both ends included, at most up to state.height
 * @throws ChainError, and whatever `onBlock` throws
 */
export async function readBlocks(
  source: ChainSource,
  state: FollowerState,
  range: { readonly fromHeight: number; readonly toHeight: number },
  onBlock: (block: ChainBlock) => Promise<void> | void,
): Promise<void> {
  const oldest = state.height - state.recent.length + 1
  for (let height = Math.max(0, range.fromHeight); height <= range.toHeight; height++) {
    // What is deeper than we remember is taken as settled.
    const hash = height >= oldest ? state.recent[height - oldest]! : await source.blockHash(height)
    await onBlock(atHeight(await source.block(hash), height))
  }
}

/** What its chain of hashes does not show is checked here: every deadline is reckoned by it. @throws ChainError BAD_RESPONSE */
function atHeight(block: ChainBlock, height: number): ChainBlock {
  if (block.height === height) return block
  const what = `block ${block.hash} is at height ${height}, and the Bitcoin node says ${block.height}`
  throw new ChainError('BAD_RESPONSE', `${what}: check that it is the right one, and its database`)
}

class ConsumerFailure {
  readonly error: unknown
  constructor(error: unknown) {
    this.error = error
  }
}

class Follower {
  readonly #options: FollowerOptions
  readonly #clock: Clock
  #state: FollowerState
  #status: FollowerStatus
  /** The block after the consumer's, fetched while it handles this one. */
  #ahead: Promise<ChainBlock | null> = Promise.resolve(null)

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#clock = options.clock ?? realClock
    this.#state = options.state
    this.#status = { synced: false, height: options.state.height, tipHeight: null, error: null }
  }

  async run(): Promise<void> {
    const { signal, onFatal } = this.#options
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#step()
        failures = 0
      } catch (e) {
        if (e instanceof ConsumerFailure) return onFatal(e.error)
        if (signal.aborted) return
        const error = e instanceof ChainError ? e : new ChainError('BAD_RESPONSE', String(e), { cause: e })
        this.#report({ synced: false, error })
        await this.#clock.sleep(backOff(failures++, FIRST_RETRY_MS, MAX_RETRY_MS), signal)
      }
    }
  }

  /** Brings the consumer to the tip, then waits until there may be another. */
  async #step(): Promise<void> {
    const { source, signal } = this.#options
    const tip = await source.tip()
    // At once: until the consumer is there, its height is not that of now. What failed before is told again if it still does.
    const { error } = this.#status
    const about = { tipHeight: tip.height, syncing: tip.syncing, ...(tip.time !== undefined && { tipTime: tip.time }) }
    if (error === null) this.#report(about)
    while (!signal.aborted && this.#state.hash !== tip.hash) {
      const next = this.#state.height < tip.height ? await this.#nextBlock() : null
      if (next && next.previousHash === this.#state.hash) await this.#connect(next, tip)
      else if (!(await this.#disconnect(tip))) break
    }
    const caughtUp = this.#state.hash === tip.hash
    this.#report({ synced: caughtUp && !tip.syncing, ...about, error: null })
    if (!signal.aborted) await source.waitForChange(tip.hash, WAIT_MS, signal)
  }

  async #nextBlock(): Promise<ChainBlock> {
    const ahead = await this.#ahead
    this.#ahead = Promise.resolve(null)
    return ahead?.previousHash === this.#state.hash ? ahead : this.#fetch(this.#state.height + 1)
  }

  async #fetch(height: number): Promise<ChainBlock> {
    const { source } = this.#options
    return source.block(await source.blockHash(height))
  }

  async #connect(block: ChainBlock, tip: ChainTip): Promise<void> {
    atHeight(block, this.#state.height + 1)
    if (block.height < tip.height) this.#ahead = this.#fetch(block.height + 1).catch(() => null)
    const { height, hash } = block
    const recent = [...this.#state.recent.slice(-MAX_REORG), hash]
    await this.#emit({ tag: 'block', block }, { height, hash, recent })
    // One new block is no reason to call the node out of step.
    const synced = this.#status.synced && tip.height - height <= 1
    this.#report({ synced, tipHeight: Math.max(tip.height, height), error: null })
  }

  /**
   * Goes back to the last block that the backend's chain shares with ours.
   * @returns false when there is nothing to undo: the backend is merely behind us, or its chain changed while we looked
   */
  async #disconnect(tip: ChainTip): Promise<boolean> {
    const { recent, height } = this.#state
    for (let back = 0; back < recent.length; back++) {
      const at = height - back
      const hash = recent[recent.length - 1 - back]!
      if (at > tip.height || (await this.#options.source.blockHash(at)) !== hash) continue
      if (hash === tip.hash || back === 0) return false
      await this.#emit({ tag: 'reorg', height: at, hash }, { height: at, hash, recent: recent.slice(0, -back) })
      return true
    }
    throw new ChainError(
      'DIVERGED',
      `the Bitcoin node's chain has none of the ${recent.length} blocks that we know up to height ${height}: ` +
        'it is behind, on another chain, or was reset; check that it is the right one',
    )
  }

  async #emit(event: FollowerEvent, next: FollowerState): Promise<void> {
    try {
      await this.#options.onEvent(event, next)
    } catch (e) {
      throw new ConsumerFailure(e)
    }
    this.#state = next
  }

  #report(change: Partial<FollowerStatus>): void {
    const before = this.#status
    const next = { ...before, height: this.#state.height, ...change }
    this.#status = next
    const same =
      before.synced === next.synced &&
      before.height === next.height &&
      before.tipHeight === next.tipHeight &&
      before.syncing === next.syncing &&
      before.tipTime === next.tipTime &&
      before.error?.message === next.error?.message
    if (!same) this.#options.onStatus(next)
  }
}
