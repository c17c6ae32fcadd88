import { pack } from '../base/pack.ts'
import { isDamaged } from './checked.ts'
import { StoreError } from './errors.ts'
import { keys, prefixRange } from './schema.ts'
import type { Driver, Op } from './types.ts'

/** How many of the contiguous numbers stay in the database. */
const JOURNAL_KEPT = 100_000

export interface JournalCheck {
  /** Number of the last batch, 0 for a new database. */
  readonly last: number
  /** Numbers that are missing, at most a thousand: LevelDB may drop a corrupt log record without a word. */
  readonly missing: readonly number[]
}

const MISSING_SHOWN = 1_000

/** Reads the journal's numbers: a gap means that stored states may be older than what was said to peers. */
export async function checkJournal(driver: Driver): Promise<JournalCheck> {
  let last = 0
  const missing: number[] = []
  for await (const n of numbersIn(driver)) {
    for (let lost = last + 1; last !== 0 && lost < n && missing.length < MISSING_SHOWN; lost++) missing.push(lost)
    last = n
  }
  return { last, missing }
}

/**
 * Once the channels are marked: what lies before the last gap is deleted, so that the next start does not ask again. Filled in, it would
 * come back: what the lost batches had deleted is still there, and everything after that is deleted in its time.
 */
export async function closeGaps(driver: Driver): Promise<readonly Op[]> {
  const before: number[] = []
  let since: number[] = []
  for await (const n of numbersIn(driver)) {
    if (since.length > 0 && n !== since.at(-1)! + 1) {
      for (const old of since) before.push(old)
      since = []
    }
    since.push(n)
  }
  return before.map((n) => ({ key: keys.journal(n) }))
}

async function* numbersIn(driver: Driver): AsyncIterable<number> {
  let last = 0
  for await (const [key, value] of driver.entries(prefixRange('journal/'))) {
    const n = Number(key.slice('journal/'.length))
    // Where it is the key that has changed on disk, it may be any number, or none.
    if (isDamaged(value) && n !== last + 1) continue
    last = n
    yield n
  }
}

/** Hears how many seconds a batch of so many operations took to be on disk, and when it began (performance.now()). */
export type BatchObserver = (seconds: number, operations: number, begun: number) => void

/**
 * Group commit: every caller while a batch is being synced shares the next one. Each batch writes the next number of the journal.
 * A failed write is final: memory runs ahead of the disk, so the owner must stop the process (nothing has been said yet).
 */
export class Journal {
  readonly #driver: Driver
  readonly #onBatch: BatchObserver
  readonly #kept: number
  #pending: Op[] = []
  #next: Promise<number> | null = null
  #tail: Promise<unknown> = Promise.resolve()
  #number: number
  #durable: number
  #skip = 0
  #failed: StoreError | null = null

  constructor(driver: Driver, last: number, onBatch: BatchObserver = () => {}, kept = JOURNAL_KEPT) {
    this.#driver = driver
    this.#kept = kept
    this.#onBatch = onBatch
    this.#number = last
    this.#durable = last
  }

  /** Number of the last batch that is on disk. */
  get durable(): number {
    return this.#durable
  }

  /**
   * Resolves with the batch's number when everything given so far is on disk.
   * @throws StoreError STORE_WRITE_FAILED, now and ever after
   */
  commit(ops: readonly Op[]): Promise<number> {
    if (this.#failed) return Promise.reject(this.#failed)
    for (const op of ops) this.#pending.push(op)
    this.#next ??= this.#tail.then(() => this.#write())
    this.#tail = this.#next
    return this.#next
  }

  /**
   * Goes on beyond a number that a newer copy of the database had reached. The numbers up to now are deleted by the same batch, lest
   * the leap be taken for lost writes: whoever calls this has put the channels in doubt already.
   */
  skipTo(n: number): void {
    this.#skip = Math.max(this.#skip, n)
  }

  /** Resolves when nothing is waiting to be written. */
  async drain(): Promise<void> {
    await this.#tail
  }

  async #write(): Promise<number> {
    const ops = this.#pending
    this.#pending = []
    this.#next = null
    if (this.#skip > this.#number) {
      for (let old = Math.max(1, this.#number - this.#kept); old <= this.#number; old++)
        ops.push({ key: keys.journal(old) })
      this.#number = this.#skip
    }
    const n = ++this.#number
    ops.push({ key: keys.journal(n), value: pack(ops.length) })
    if (n > this.#kept) ops.push({ key: keys.journal(n - this.#kept) })
    const begun = performance.now()
    try {
      await this.#driver.batch(ops)
    } catch (e) {
      this.#failed = e instanceof StoreError ? e : new StoreError('STORE_WRITE_FAILED', String(e), { cause: e })
      throw this.#failed
    }
    this.#durable = n
    this.#onBatch((performance.now() - begun) / 1000, ops.length, begun)
    return n
  }
}
