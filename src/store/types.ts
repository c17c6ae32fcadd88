/** One write: a put, or a delete when value is absent. Keys and values are opaque bytes to a driver. */
export interface Op {
  readonly key: string
  readonly value?: Uint8Array
}

export interface Range {
  /** Keys from `gte` (or after `gt`) up to before `lt`, in ascending order, or descending with `reverse`. */
  readonly gte?: string
  readonly gt?: string
  readonly lt?: string
  readonly lte?: string
  readonly reverse?: boolean
  readonly limit?: number
}

/**
 * Ordered keys, atomic durable batches, range reads: what a storage driver must offer (docs/architecture.md §Store). One with checksums gives
 * a value that has changed as one that cannot be read (`isDamaged`).
 */
export interface Driver {
  get(key: string): Promise<Uint8Array | undefined>
  /** The same within a turn, for what must be said in it: everything else waits meanwhile. */
  getNow(key: string): Uint8Array | undefined
  entries(range: Range): AsyncIterable<readonly [string, Uint8Array]>
  /** All or nothing, and on disk (fsync) when it resolves. */
  batch(ops: readonly Op[]): Promise<void>
  close(): Promise<void>
}
