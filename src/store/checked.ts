import { crc32 } from 'node:zlib'
import { pack, unpack, unpackIfWhole } from '../base/pack.ts'
import { StoreError } from './errors.ts'
import { keys, SEALED_SINCE } from './schema.ts'
import type { Driver, Op, Range } from './types.ts'

/**
 * What stands in for a value whose bytes are not those that were written: it decodes to nothing. Compared by reference, since a value
 * may be empty, too.
 */
const DAMAGED = new Uint8Array(0)
export const isDamaged = (value: Uint8Array): boolean => value === DAMAGED

const SUM_BYTES = 4
/** Migrations go by these, before it is known whether there are checksums. */
const isBare = (key: string): boolean => key === keys.schema || key === keys.sealing

/** CRC-32 of the value, begun with a number that each character of the key decides (FNV-1a): a value under another's key is noticed, too. */
function sumOf(key: string, value: Uint8Array): number {
  let start = key.length
  for (let i = 0; i < key.length; i++) start = Math.imul(start ^ key.charCodeAt(i), 0x01000193)
  return crc32(value, start >>> 0)
}

const isSealed = (op: Op): op is Required<Op> => op.value !== undefined && !isBare(op.key)

/**
 * Values as they lie on disk: each with its checksum, 4 B big-endian, at the end. All are in one piece of memory: one for each would
 * cost more than the checksums.
 */
export function sealed(ops: readonly Op[]): readonly Op[] {
  let length = 0
  for (const op of ops) if (isSealed(op)) length += op.value.length + SUM_BYTES
  const all = new Uint8Array(length)
  let at = 0
  return ops.map((op) => {
    if (!isSealed(op)) return op
    const { key, value } = op
    const sum = sumOf(key, value)
    const begin = at
    all.set(value, at)
    at += value.length
    for (let shift = 24; shift >= 0; shift -= 8) all[at++] = sum >>> shift
    return { key, value: all.subarray(begin, at) }
  })
}

function opened(key: string, bytes: Uint8Array): Uint8Array {
  const end = bytes.length - SUM_BYTES
  if (end < 0) return DAMAGED
  const value = bytes.subarray(0, end)
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(end) === sumOf(key, value) ? value : DAMAGED
}

/**
 * Gives each value a checksum and looks at it whenever the value is read. LevelDB has checksums of its blocks, but looks at them in no
 * read that its binding offers, and what has changed is given a new one when tables are merged: an amount with another bit in it would
 * be taken for what was written. A value that has changed comes back as one that cannot be read (`isDamaged`).
 * @source docs/decisions/0009-checksums.md
 */
export class CheckedDriver implements Driver {
  readonly #driver: Driver
  readonly #known = new Set<string>()
  #news: string[] = []

  constructor(driver: Driver) {
    this.#driver = driver
  }

  /** Keys of values that were found damaged since the last call, each once. */
  takeDamaged(): readonly string[] {
    const news = this.#news
    this.#news = []
    return news
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const bytes = await this.#driver.get(key)
    return bytes && this.#look(key, bytes)
  }

  getNow(key: string): Uint8Array | undefined {
    const bytes = this.#driver.getNow(key)
    return bytes && this.#look(key, bytes)
  }

  async *entries(range: Range): AsyncIterable<readonly [string, Uint8Array]> {
    for await (const [key, bytes] of this.#driver.entries(range)) yield [key, this.#look(key, bytes)]
  }

  batch(ops: readonly Op[]): Promise<void> {
    return this.#driver.batch(sealed(ops))
  }

  close(): Promise<void> {
    return this.#driver.close()
  }

  #look(key: string, bytes: Uint8Array): Uint8Array {
    if (isBare(key)) return bytes
    const value = opened(key, bytes)
    if (isDamaged(value) && !this.#known.has(key)) {
      this.#known.add(key)
      this.#news.push(key)
    }
    return value
  }
}

/**
 * A database that may not have been migrated, as it is.
 * @throws StoreError STORE_HALF_MIGRATED
 */
export async function checkedIfSealed(driver: Driver): Promise<Driver> {
  if (await driver.get(keys.sealing)) {
    const message =
      'the database is on its way to a newer schema: start the node, which goes on from where that was cut short'
    throw new StoreError('STORE_HALF_MIGRATED', message)
  }
  const schema = await driver.get(keys.schema)
  return schema && (unpackIfWhole<number>(schema) ?? SEALED_SINCE) >= SEALED_SINCE ? new CheckedDriver(driver) : driver
}

/** How far the migration to checksums has come: values since this start, and whether these were all. */
export type Sealing = (values: number, done: boolean) => void

/** Values in one batch of the migration. */
const PAGE = 1_000

/**
 * The migration to it: page by page, and after a crash from where it had come. The first page has the number of the new schema with it: to
 * an older program the values that have their checksums would be damaged, channels among them.
 */
export async function sealAll(driver: Driver, tell: Sealing = () => {}): Promise<readonly Op[]> {
  const place = await driver.get(keys.sealing)
  // What was read for the schema's number may itself have been damaged: nothing gets a second checksum.
  const identity = await driver.get(keys.identity)
  if (!place && identity && !isDamaged(opened(keys.identity, identity))) return []
  let values = 0
  for (let after = place ? unpack<string>(place) : ''; ; ) {
    tell(values, false)
    const ops: Op[] = []
    const range = { ...(after !== '' && { gt: after }), limit: PAGE }
    const before = after
    for await (const [key, value] of driver.entries(range)) {
      after = key
      if (!isBare(key)) ops.push({ key, value })
    }
    if (after === before) {
      tell(values, true)
      return [{ key: keys.sealing }]
    }
    const marks = [
      { key: keys.schema, value: pack(SEALED_SINCE) },
      { key: keys.sealing, value: pack(after) },
    ]
    await driver.batch([...sealed(ops), ...marks])
    values += ops.length
  }
}
