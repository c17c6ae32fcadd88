import type { Htlc } from './htlc.ts'

const CHUNK = 32

/**
 * The HTLCs of one direction in the order of their ids: an immutable sequence in chunks, so that adding, changing or dropping one
 * HTLC among hundreds copies a few dozen references instead of the whole collection, and what did not change keeps its reference.
 */
export interface HtlcTable {
  readonly size: number
  /** None is empty; ids rise within and across chunks. */
  readonly chunks: readonly (readonly Htlc[])[]
}

export const EMPTY_TABLE: HtlcTable = { size: 0, chunks: [] }

/** The first chunk whose last id is ≥ id; chunks.length when there is none. */
function chunkOf(chunks: HtlcTable['chunks'], id: bigint): number {
  let low = 0
  let high = chunks.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const chunk = chunks[middle]!
    if (chunk[chunk.length - 1]!.add.id < id) low = middle + 1
    else high = middle
  }
  return low
}

/** By binary search over the chunks. @returns undefined when there is none of this id */
export function getHtlc(table: HtlcTable, id: bigint): Htlc | undefined {
  return table.chunks[chunkOf(table.chunks, id)]?.find((h) => h.add.id === id)
}

/** @throws RangeError unless the id is above all others */
export function appendHtlc(table: HtlcTable, htlc: Htlc): HtlcTable {
  const chunks = table.chunks.slice()
  const last = chunks[chunks.length - 1]
  if (last && last[last.length - 1]!.add.id >= htlc.add.id) throw new RangeError(`HTLC id ${htlc.add.id} does not rise`)
  if (last && last.length < CHUNK) chunks[chunks.length - 1] = [...last, htlc]
  else chunks.push([htlc])
  return { size: table.size + 1, chunks }
}

/** @throws RangeError when there is no HTLC with its id */
export function replaceHtlc(table: HtlcTable, htlc: Htlc): HtlcTable {
  const chunks = table.chunks.slice()
  const at = chunkOf(chunks, htlc.add.id)
  const chunk = chunks[at]?.slice() ?? []
  const i = chunk.findIndex((h) => h.add.id === htlc.add.id)
  if (i < 0) throw new RangeError(`no HTLC with id ${htlc.add.id}`)
  chunk[i] = htlc
  chunks[at] = chunk
  return { size: table.size, chunks }
}

/** Every HTLC through `change`, where null drops it; chunks in which nothing changed keep their reference, as does the table. */
export function mapHtlcs(table: HtlcTable, change: (htlc: Htlc) => Htlc | null): HtlcTable {
  let touched = false
  let size = 0
  const chunks: (readonly Htlc[])[] = []
  for (const chunk of table.chunks) {
    const next = mapChunk(chunk, change)
    if (next !== chunk) touched = true
    size += next.length
    const last = chunks[chunks.length - 1]
    if (next.length === 0) continue
    // Chunks thin out as HTLCs leave: neighbours that fit into one are joined.
    if (last && last.length + next.length <= CHUNK / 2) {
      chunks[chunks.length - 1] = [...last, ...next]
      touched = true
    } else chunks.push(next)
  }
  return touched ? { size, chunks } : table
}

function mapChunk(chunk: readonly Htlc[], change: (htlc: Htlc) => Htlc | null): readonly Htlc[] {
  let next: Htlc[] | null = null
  for (let i = 0; i < chunk.length; i++) {
    const before = chunk[i]!
    const after = change(before)
    if (after === before) next?.push(before)
    else {
      next ??= chunk.slice(0, i)
      if (after !== null) next.push(after)
    }
  }
  return next ?? chunk
}

export function* eachHtlc(table: HtlcTable): Generator<Htlc> {
  for (const chunk of table.chunks) yield* chunk
}

export function someHtlc(table: HtlcTable, test: (htlc: Htlc) => boolean): boolean {
  for (const chunk of table.chunks) if (chunk.some(test)) return true
  return false
}

/** From HTLCs in the order of their ids. */
export function htlcTable(htlcs: readonly Htlc[]): HtlcTable {
  const chunks: Htlc[][] = []
  for (let i = 0; i < htlcs.length; i += CHUNK) chunks.push(htlcs.slice(i, i + CHUNK))
  return { size: htlcs.length, chunks }
}
