import { fromHex, toHex } from '../base/bytes.ts'
import type { ChannelId, NodeId, PaymentHash, ShortChannelId, Txid } from '../base/ids.ts'
import { txidFromBytes, txidToBytes } from '../base/ids.ts'
import { MAX_MSAT, MAX_SAT, type Msat, type Sat } from '../base/units.ts'
import { WireReader, type WireWriter, written } from './buffer.ts'
import { WireError, wireErrorAt } from './errors.ts'

/** How one field looks on the wire. Decoding copies: nothing aliases the input. */
export interface Codec<T> {
  readonly shape: Shape
  /** The fewest bytes that a value takes. */
  readonly least: number
  /** @throws WireError ('unencodable') when the field cannot carry the value */
  encode(w: WireWriter, value: T): void
  /** @throws WireError */
  decode(r: WireReader): T
}
export type ValueOf<C> = C extends Codec<infer T> ? T : never

/** What a codec carries, for programs that walk declarations (generators of test values, documentation). */
export type Shape =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'bytes'; readonly length: number }
  | { readonly kind: 'bytesU16' | 'rest' }
  | { readonly kind: 'listU16' | 'listRest'; readonly item: Shape }
  | { readonly kind: 'prefixedU16' | 'uncompressed'; readonly inner: Shape }
  | { readonly kind: 'struct'; readonly fields: Readonly<Record<string, Shape>> }
export type ScalarKind =
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 's8'
  | 's16'
  | 's32'
  | 's64'
  | 'tu16'
  | 'tu32'
  | 'tu64'
  | 'bigsize'
  | 'sat'
  | 'msat'
  | 'point'
  | 'nodeId'
  | 'channelId'
  | 'txid'
  | 'paymentHash'
  | 'scid'
  | 'flag'
  | 'address'

/** The bytes of one value. */
export const encodeWith = <T>(codec: Codec<T>, value: T): Uint8Array => written((w) => codec.encode(w, value))

/** One value that takes all the bytes. @throws WireError */
export function decodeWith<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const r = new WireReader(bytes)
  const value = codec.decode(r)
  r.finish()
  return value
}

const refuse = (what: string, value: unknown): never => {
  throw new WireError('unencodable', `not ${what}: ${String(value)}`)
}

// ---------------------------------------------------------------- integers

const uint = (kind: 'u8' | 'u16' | 'u32', size: 1 | 2 | 4): Codec<number> => {
  const max = 2 ** (8 * size) - 1
  return {
    shape: { kind },
    least: size,
    encode: (w, n) => {
      if (!(Number.isInteger(n) && n >= 0 && n <= max)) refuse(`a ${kind}`, n)
      if (size === 1) w.u8(n)
      else if (size === 2) w.u16(n)
      else w.u32(n)
    },
    decode: size === 1 ? (r) => r.u8() : size === 2 ? (r) => r.u16() : (r) => r.u32(),
  }
}
export const u8 = uint('u8', 1)
export const u16 = uint('u16', 2)
export const u32 = uint('u32', 4)

const MAX_U64 = 0xffff_ffff_ffff_ffffn
const encodeU64 = (w: WireWriter, n: bigint): void => {
  if (n < 0n || n > MAX_U64) refuse('a u64', n)
  w.u64(n)
}
export const u64: Codec<bigint> = { shape: { kind: 'u64' }, least: 8, encode: encodeU64, decode: (r) => r.u64() }

/** BOLT 1 §fundamental-types: two's complement. */
const sint = (kind: 's8' | 's16' | 's32', size: 1 | 2 | 4): Codec<number> => {
  const half = 2 ** (8 * size - 1)
  const unsigned = size === 1 ? u8 : size === 2 ? u16 : u32
  return {
    shape: { kind },
    least: size,
    encode: (w, n) => {
      if (!(Number.isInteger(n) && n >= -half && n < half)) refuse(`an ${kind}`, n)
      unsigned.encode(w, n < 0 ? n + 2 * half : n)
    },
    decode: (r) => {
      const n = unsigned.decode(r)
      return n < half ? n : n - 2 * half
    },
  }
}
export const s8 = sint('s8', 1)
export const s16 = sint('s16', 2)
export const s32 = sint('s32', 4)
export const s64: Codec<bigint> = {
  shape: { kind: 's64' },
  least: 8,
  encode: (w, n) => {
    if (BigInt.asIntN(64, n) !== n) refuse('an s64', n)
    w.u64(BigInt.asUintN(64, n))
  },
  decode: (r) => BigInt.asIntN(64, r.u64()),
}

export const bigsize: Codec<bigint> = {
  shape: { kind: 'bigsize' },
  least: 1,
  encode: (w, n) => {
    if (n < 0n || n > MAX_U64) refuse('a BigSize', n)
    w.bigsize(n)
  },
  decode: (r) => r.bigsize(),
}

/** BOLT 1 §fundamental-types: no leading zeros, so only as the last thing in a TLV record, whose length ends it. */
const truncated = (kind: 'tu16' | 'tu32' | 'tu64', size: number): Codec<bigint> => ({
  shape: { kind },
  least: 0,
  encode: (w, n) => {
    if (n < 0n || n >> BigInt(8 * size) !== 0n) refuse(`a ${kind}`, n)
    let bytes = 0
    while (n >> BigInt(8 * bytes) !== 0n) bytes++
    while (bytes-- > 0) w.u8(Number((n >> BigInt(8 * bytes)) & 0xffn))
  },
  decode: (r) => {
    const length = r.remaining
    if (length > size) throw new WireError('excess', `${length} bytes are too many for a ${kind}`)
    let n = 0n
    for (let i = 0; i < length; i++) {
      const byte = r.u8()
      if (i === 0 && byte === 0) throw new WireError('value', `${kind} starts with a zero byte`)
      n = (n << 8n) | BigInt(byte)
    }
    return n
  },
})
/** Another TypeScript type for the same bytes. */
const mapped = <T, U>(codec: Codec<T>, from: (value: T) => U, to: (value: U) => T): Codec<U> => ({
  shape: codec.shape,
  least: codec.least,
  encode: (w, value) => codec.encode(w, to(value)),
  decode: (r) => from(codec.decode(r)),
})
const toInteger = (n: number): bigint => (Number.isInteger(n) ? BigInt(n) : refuse('an integer', n))
export const tu16: Codec<number> = mapped(truncated('tu16', 2), Number, toInteger)
export const tu32: Codec<number> = mapped(truncated('tu32', 4), Number, toInteger)
export const tu64: Codec<bigint> = truncated('tu64', 8)

// ---------------------------------------------------------------- amounts

const amount = <T extends bigint>(kind: 'sat' | 'msat', max: bigint, from: Codec<bigint>): Codec<T> => ({
  shape: { kind },
  least: from.least,
  encode: (w, n) => from.encode(w, n),
  decode: (r) => {
    const n = from.decode(r)
    if (n > max) throw new WireError('value', `${n} ${kind} is more than all bitcoin`)
    return n as T
  },
})
/** BOLT 1 §fundamental-types: at most 21 million BTC. */
export const sat64 = amount<Sat>('sat', MAX_SAT, u64)
export const msat64 = amount<Msat>('msat', MAX_MSAT, u64)
/** In TLV records whose last field is a truncated amount. */
export const tuMsat = amount<Msat>('msat', MAX_MSAT, tu64)
/** An upper limit that a peer sets: some nodes send 2^64 − 1 for "none", which reads as all bitcoin. */
export const msatLimit: Codec<Msat> = {
  shape: { kind: 'msat' },
  least: 8,
  encode: encodeU64,
  decode: (r) => {
    const n = r.u64()
    if (n > MAX_MSAT) return MAX_MSAT as Msat
    return n as Msat
  },
}

// ---------------------------------------------------------------- bytes and ids

/** Exactly n bytes. */
export const bytes = (n: number): Codec<Uint8Array> => ({
  shape: { kind: 'bytes', length: n },
  least: n,
  encode: (w, b) => {
    if (b.length !== n) refuse(`${n} bytes`, `${b.length} bytes`)
    w.bytes(b)
  },
  decode: (r) => r.bytes(n),
})
/** 64 B compact ECDSA signature. */
export const signature = bytes(64)
export const bytes32 = bytes(32)
/** Genesis block hash in wire order. */
export const chainHash = bytes32

/** A u16 length, then that many bytes. */
export const bytesU16: Codec<Uint8Array> = {
  shape: { kind: 'bytesU16' },
  least: 2,
  encode: (w, b) => {
    u16.encode(w, b.length)
    w.bytes(b)
  },
  decode: (r) => r.bytes(r.u16()),
}
/** A u16 byte count, then a value that takes exactly so many bytes. */
export const prefixedU16 = <T>(inner: Codec<T>): Codec<T> => ({
  shape: { kind: 'prefixedU16', inner: inner.shape },
  least: 2,
  encode: (w, value) => {
    const at = w.length
    w.u16(0)
    inner.encode(w, value)
    w.patchU16(at, w.length - at - 2)
  },
  decode: (r) => r.within(r.u16(), (part) => inner.decode(part)),
})
/** All bytes that are left. */
export const rest: Codec<Uint8Array> = {
  shape: { kind: 'rest' },
  least: 0,
  encode: (w, b) => w.bytes(b),
  decode: (r) => r.bytes(r.remaining),
}

const checkPoint = (b: Uint8Array): Uint8Array => {
  if (b[0] !== 2 && b[0] !== 3)
    throw new WireError('value', `a compressed point starts with 02 or 03, not ${toHex(b.subarray(0, 1))}`)
  return b
}
/**
 * 33 B compressed point. Its form is checked, not that it lies on the curve (that costs more than decoding the rest of a
 * message): every operation of CryptoProvider does that where the point is used.
 */
export const point: Codec<Uint8Array> = {
  shape: { kind: 'point' },
  least: 33,
  encode: bytes(33).encode,
  decode: (r) => checkPoint(r.bytes(33)),
}
const hexId = <T extends string>(kind: ScalarKind, length: number): Codec<T> => ({
  shape: { kind },
  least: length,
  encode: (w, id) => {
    if (id.length !== 2 * length) refuse(`${2 * length} hex characters`, id)
    w.bytes(fromHex(id))
  },
  decode: (r) => r.hex(length) as T,
})
/** A node's public key; checked like `point`. */
export const nodeIdBytes: Codec<NodeId> = {
  ...hexId<NodeId>('nodeId', 33),
  decode: (r) => {
    const id = r.hex(33)
    if (!/^0[23]/.test(id))
      throw new WireError('value', `a compressed point starts with 02 or 03, not ${id.slice(0, 2)}`)
    return id as NodeId
  },
}
export const channelId = hexId<ChannelId>('channelId', 32)
export const paymentHash = hexId<PaymentHash>('paymentHash', 32)
/** In wire order on the wire, in display order in the message. */
export const txid: Codec<Txid> = {
  shape: { kind: 'txid' },
  least: 32,
  encode: (w, id) => w.bytes(txidToBytes(id)),
  decode: (r) => txidFromBytes(r.bytes(32)),
}
export const scid: Codec<ShortChannelId> = {
  shape: { kind: 'scid' },
  least: 8,
  encode: encodeU64,
  decode: (r) => r.u64() as ShortChannelId,
}

/** A TLV record without a value: its presence says it all. */
export const flag: Codec<true> = { shape: { kind: 'flag' }, least: 0, encode: () => undefined, decode: () => true }

// ---------------------------------------------------------------- compounds

/** A u16 count, then that many items; the count is refused before memory is allocated for it. */
export const listU16 = <T>(item: Codec<T>): Codec<readonly T[]> => ({
  shape: { kind: 'listU16', item: item.shape },
  least: 2,
  encode: (w, items) => {
    u16.encode(w, items.length)
    for (const one of items) item.encode(w, one)
  },
  decode: (r) => {
    const count = r.u16()
    if (count * item.least > r.remaining) {
      throw new WireError('truncated', `${count} items do not fit the ${r.remaining} bytes left`)
    }
    const items: T[] = []
    for (let i = 0; i < count; i++) items.push(item.decode(r))
    return items
  },
})

/** Items up to the end. An item takes at least one byte. */
export const listRest = <T>(item: Codec<T>): Codec<readonly T[]> => ({
  shape: { kind: 'listRest', item: item.shape },
  least: 0,
  encode: (w, items) => {
    for (const one of items) item.encode(w, one)
  },
  decode: (r) => {
    const items: T[] = []
    while (r.remaining > 0) items.push(item.decode(r))
    return items
  },
})

export type Fields = { readonly [name: string]: Codec<never> | Codec<unknown> }
export type FieldValues<F> = { readonly [K in keyof F]: ValueOf<F[K]> }

/** Named fields one after the other. */
export function struct<const F extends Fields>(fields: F): Codec<FieldValues<F>> {
  const entries = Object.entries(fields) as [string, Codec<unknown>][]
  return {
    shape: { kind: 'struct', fields: Object.fromEntries(entries.map(([name, c]) => [name, c.shape])) },
    least: entries.reduce((sum, [, c]) => sum + c.least, 0),
    encode: (w, value) => {
      for (const [name, c] of entries) c.encode(w, (value as Record<string, unknown>)[name])
    },
    decode: (r) => {
      const value: Record<string, unknown> = {}
      for (const [name, c] of entries) {
        try {
          value[name] = c.decode(r)
        } catch (e) {
          throw wireErrorAt(name, e)
        }
      }
      return value as FieldValues<F>
    },
  }
}
