import type { Driver, Op, Range } from './types.ts'

/**
 * A driver in memory, for tests: what `batch` resolved is what a restart finds. `onBatch` may throw, as a full or broken disk would,
 * or change the operations, as a crash in the middle of a non-atomic store would.
 */
export class MemoryDriver implements Driver {
  #data: Map<string, Uint8Array>
  #onBatch: (ops: readonly Op[]) => readonly Op[]

  constructor(
    data: ReadonlyMap<string, Uint8Array> = new Map(),
    onBatch: (ops: readonly Op[]) => readonly Op[] = (ops) => ops,
  ) {
    this.#data = new Map(data)
    this.#onBatch = onBatch
  }

  /** What is durable now. */
  snapshot(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.#data)
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.getNow(key)
  }

  getNow(key: string): Uint8Array | undefined {
    const value = this.#data.get(key)
    return value && Uint8Array.from(value)
  }

  async *entries(range: Range): AsyncIterable<readonly [string, Uint8Array]> {
    const keys = [...this.#data.keys()].filter((k) => inRange(k, range)).sort()
    if (range.reverse) keys.reverse()
    for (const key of keys.slice(0, range.limit)) {
      const value = this.#data.get(key)
      if (value) yield [key, Uint8Array.from(value)]
    }
  }

  async batch(ops: readonly Op[]): Promise<void> {
    for (const op of this.#onBatch(ops)) {
      if (op.value) this.#data.set(op.key, Uint8Array.from(op.value))
      else this.#data.delete(op.key)
    }
  }

  async close(): Promise<void> {}
}

function inRange(key: string, range: Range): boolean {
  return (
    (range.gte === undefined || key >= range.gte) &&
    (range.gt === undefined || key > range.gt) &&
    (range.lt === undefined || key < range.lt) &&
    (range.lte === undefined || key <= range.lte)
  )
}
