import { WireReader as Reader, type WireReader, type WireWriter, written } from './buffer.ts'
import type { Codec, ValueOf } from './codec.ts'
import { WireError, wireErrorAt } from './errors.ts'

/** The records of a TLV stream that we know: name → [type, encoding of the value]. */
export type TlvRecords = { readonly [name: string]: readonly [bigint, Codec<never> | Codec<unknown>] }
/** Every record is optional: absent means undefined. */
export type TlvValues<T> = {
  readonly [K in keyof T]?: T[K] extends readonly [bigint, infer C] ? ValueOf<C> : never
}

/** A TLV stream that reads to the end of what it is given. */
export interface TlvStream<T> {
  encode(w: WireWriter, values: T): void
  /** Adds the records found to `into`. @throws WireError */
  decode(r: WireReader, into: Record<string, unknown>): void
}

/**
 * Unknown odd records are dropped, unknown even ones refused; types rise strictly; types, lengths and truncated integers are
 * in their shortest form; a known record uses exactly its length.
 * @source BOLT 1 §type-length-value-format
 */
export function tlvStream<const T extends TlvRecords>(records: T): TlvStream<TlvValues<T>> {
  const entries = Object.entries(records)
    .map(([name, [type, codec]]) => ({ name, type, codec: codec as Codec<unknown> }))
    .sort((a, b) => (a.type < b.type ? -1 : 1))
  const byType = new Map(entries.map((e) => [e.type, e]))

  return {
    encode: (w, values) => {
      for (const { name, type, codec } of entries) {
        const value = (values as Record<string, unknown>)[name]
        if (value === undefined) continue
        w.bigsize(type)
        const start = w.length
        codec.encode(w, value)
        w.prefixLength(start)
      }
    },
    decode: (r, into) => {
      forEachRecord(r, (type, length) => {
        const known = byType.get(type)
        if (known) {
          try {
            into[known.name] = r.within(length, (value) => known.codec.decode(value))
          } catch (e) {
            throw wireErrorAt(`TLV ${known.name}`, e)
          }
        } else if (type % 2n === 0n) throw new WireError('tlv', `unknown even TLV type ${type}`)
        else r.skip(length)
      })
    },
  }
}

/** Reads types and lengths, checks their form and order, and lets `visit` consume each value. */
function forEachRecord(r: WireReader, visit: (type: bigint, length: number) => void): void {
  let previous = -1n
  while (r.remaining > 0) {
    const type = r.bigsize()
    if (type <= previous) throw new WireError('tlv', `TLV type ${type} follows ${previous}: types must rise`)
    previous = type
    visit(type, r.bigsizeLength())
  }
}

/** The bytes of a stream on its own (onion payloads, invoices). */
export const encodeTlvs = <T>(stream: TlvStream<T>, values: T): Uint8Array => written((w) => stream.encode(w, values))

/** @throws WireError */
export function decodeTlvs<T>(stream: TlvStream<T>, bytes: Uint8Array): T {
  const values: Record<string, unknown> = {}
  stream.decode(new Reader(bytes), values)
  return values as T
}

export interface TlvRecord {
  readonly type: bigint
  readonly value: Uint8Array
}

/** All records as they are, whether we know their types or not. @throws WireError when form or order is wrong */
export function parseTlvRecords(bytes: Uint8Array): readonly TlvRecord[] {
  const r = new Reader(bytes)
  const records: TlvRecord[] = []
  forEachRecord(r, (type, length) => {
    records.push({ type, value: r.bytes(length) })
  })
  return records
}

/** @throws WireError ('unencodable') unless the types rise strictly */
export const encodeTlvRecords = (records: readonly TlvRecord[]): Uint8Array =>
  written((w) => {
    let previous = -1n
    for (const { type, value } of records) {
      if (type <= previous) throw new WireError('unencodable', `TLV type ${type} follows ${previous}: types must rise`)
      previous = type
      w.bigsize(type)
      w.bigsizeNumber(value.length)
      w.bytes(value)
    }
  })
