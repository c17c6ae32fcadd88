import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex, toHex } from '../../src/base/bytes.ts'
import { formatScid } from '../../src/base/ids.ts'
import {
  bigsize,
  type Codec,
  decodeWith,
  encodeWith,
  point,
  s8,
  s16,
  s32,
  s64,
  scid,
  struct,
  tu16,
  tu32,
  tu64,
  u16,
  u64,
} from '../../src/wire/codec.ts'
import { WireError } from '../../src/wire/errors.ts'
import { decodeMessage, encodeMessage } from '../../src/wire/registry.ts'
import { decodeTlvs, encodeTlvs, parseTlvRecords, tlvStream } from '../../src/wire/tlv.ts'
import vectors from './fixtures/bolt01.json' with { type: 'json' }

const namespaces = {
  n1: tlvStream({
    tlv1: [1n, struct({ amount_msat: tu64 })],
    tlv2: [2n, struct({ scid })],
    tlv3: [3n, struct({ node_id: point, amount_msat_1: u64, amount_msat_2: u64 })],
    tlv4: [254n, struct({ cltv_delta: u16 })],
  }),
  n2: tlvStream({
    tlv1: [0n, struct({ amount_msat: tu64 })],
    tlv2: [11n, struct({ cltv_expiry: tu32 })],
  }),
}
type Namespace = keyof typeof namespaces
const expand = (names: readonly string[]): readonly Namespace[] =>
  names.includes('any') ? ['n1', 'n2'] : (names as Namespace[])
const decodeIn = (name: Namespace, bytes: Uint8Array): Record<string, unknown> =>
  decodeTlvs<Record<string, unknown>>(namespaces[name] as never, bytes)
/** As the vectors write values: decimal, hex, or a short channel id. */
const asText = (field: string, v: unknown): string =>
  v instanceof Uint8Array ? toHex(v) : field === 'scid' ? formatScid(v as never) : String(v)

describe('BOLT 1 §appendix-a-bigsize-test-vectors', () => {
  it.each(vectors.bigsize.decode)('decodes: $name', ({ bytes, value, error }) => {
    if (error === undefined) expect(decodeWith(bigsize, fromHex(bytes))).toBe(BigInt(value!))
    else {
      const reason = error === 'not_canonical' ? 'value' : 'truncated'
      expect(() => decodeWith(bigsize, fromHex(bytes))).toThrow(expect.objectContaining({ reason }))
    }
  })

  it.each(vectors.bigsize.encode)('encodes: $name', ({ value, bytes }) => {
    expect(toHex(encodeWith(bigsize, BigInt(value)))).toBe(bytes)
  })
})

describe('BOLT 1 §appendix-b-type-length-value-test-vectors', () => {
  const invalid = vectors.tlv.invalid.flatMap((v) => expand(v.in).map((name) => ({ name, ...v })))
  const valid = vectors.tlv.valid.flatMap((v) => expand(v.in).map((name) => ({ name, ...v })))

  it.each(invalid)('$name fails: $why, $bytes', ({ name, bytes }) => {
    expect(() => decodeIn(name, fromHex(bytes))).toThrow(WireError)
  })

  it.each(valid)('$name decodes $bytes', ({ name, bytes, record, values }) => {
    const decoded = decodeIn(name, fromHex(bytes))
    if (record === undefined) {
      expect(decoded).toEqual({})
      return
    }
    const texts = Object.entries(decoded[record] as object).map(([field, v]) => [field, asText(field, v)])
    expect(Object.keys(decoded)).toEqual([record])
    expect(Object.fromEntries(texts)).toEqual(values)
    expect(toHex(encodeTlvs(namespaces[name] as never, decoded as never))).toBe(bytes)
  })

  it('an invalid stream after a valid one fails', () => {
    for (const v of valid) {
      for (const bad of invalid.filter((i) => i.name === v.name)) {
        expect(() => decodeIn(v.name, concatBytes(fromHex(v.bytes), fromHex(bad.bytes)))).toThrow(WireError)
      }
    }
  })

  it('two valid streams one after the other decode just when the second has the higher types', () => {
    for (const a of valid) {
      for (const b of valid.filter((other) => other.name === a.name && a.bytes !== '' && other.bytes !== '')) {
        const both = concatBytes(fromHex(a.bytes), fromHex(b.bytes))
        const [first, second] = [a, b].map((v) => parseTlvRecords(fromHex(v.bytes))[0]!.type)
        if (first! < second!) {
          expect(decodeIn(a.name, both)).toEqual({
            ...decodeIn(a.name, fromHex(a.bytes)),
            ...decodeIn(a.name, fromHex(b.bytes)),
          })
        } else expect(() => decodeIn(a.name, both)).toThrow(WireError)
      }
    }
  })
})

describe('BOLT 1 §fundamental-types: truncated integers', () => {
  const codecs: Readonly<Record<string, Codec<number> | Codec<bigint>>> = { tu16, tu32, tu64 }

  it.each(vectors.truncatedIntegers)('$encoding "$bytes"', ({ encoding, bytes, value, error }) => {
    const codec = codecs[encoding]! as Codec<unknown>
    if (error !== undefined) expect(() => decodeWith(codec, fromHex(bytes))).toThrow(WireError)
    else {
      const decoded = decodeWith(codec, fromHex(bytes))
      expect(String(decoded)).toBe(value)
      expect(toHex(encodeWith(codec, decoded))).toBe(bytes)
    }
  })
})

describe('BOLT 1 §appendix-c-message-extension: init', () => {
  const base = decodeMessage(fromHex(vectors.initExtensions.base))

  it.each(vectors.initExtensions.valid)('%s is the init without features', (bytes) => {
    expect(decodeMessage(fromHex(bytes))).toEqual(base)
    expect(base.type === 'init' && toHex(encodeMessage(base))).toBe(vectors.initExtensions.base)
  })

  it.each(vectors.initExtensions.invalid)('$bytes fails: $why', ({ bytes }) => {
    expect(() => decodeMessage(fromHex(bytes))).toThrow(expect.objectContaining({ reason: 'tlv' }))
  })
})

describe('BOLT 1 §appendix-d-signed-integers-test-vectors', () => {
  const codecs = { 8: s8, 16: s16, 32: s32, 64: s64 } as unknown as Readonly<Record<number, Codec<unknown>>>

  it.each(vectors.signedIntegers)('s$bits $value', ({ bits, value, bytes }) => {
    const codec = codecs[bits]!
    const decoded = decodeWith(codec, fromHex(bytes))
    expect(String(decoded)).toBe(value)
    expect(toHex(encodeWith(codec, decoded))).toBe(bytes)
  })
})
