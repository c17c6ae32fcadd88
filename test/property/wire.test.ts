import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes, toHex, u16be } from '../../src/base/bytes.ts'
import { WireError } from '../../src/wire/errors.ts'
import { signedBytes } from '../../src/wire/messages/gossip.ts'
import { type Decoded, decodeMessage, definitions, encodeMessage, type Message } from '../../src/wire/registry.ts'
import { encodeTlvRecords } from '../../src/wire/tlv.ts'
import { anyMessage, messageNamed } from '../arbitraries.ts'

const decodeOrError = (bytes: Uint8Array): Decoded | WireError => {
  try {
    return decodeMessage(bytes)
  } catch (e) {
    if (e instanceof WireError) return e
    throw e
  }
}
const encodeDecoded = (m: Decoded): Uint8Array =>
  m.type === 'unknown' ? concatBytes(u16be(m.typeNumber), m.payload) : encodeMessage(m)
const same = (a: unknown, b: unknown): void => {
  if (!isDeepStrictEqual(a, b)) expect(a).toEqual(b)
}
const signed = fc.oneof(
  messageNamed('channel_announcement'),
  messageNamed('node_announcement'),
  messageNamed('channel_update'),
)
/** An extension is free bytes in the messages that are signed, a TLV stream in all others. */
const isExtensible = (m: Message): boolean => !('extension' in m)

describe('wire messages', () => {
  it.each(definitions.map((d) => d.name))('%s: decodes to what was encoded', (name) => {
    fc.assert(
      fc.property(messageNamed(name), (m) => same(decodeMessage(encodeMessage(m)), m)),
      { numRuns: 60 },
    )
  })

  it('any byte string decodes or fails with WireError, never otherwise', () => {
    const type = fc.oneof(fc.constantFrom(...definitions.map((d) => d.typeNumber)), fc.nat(0xffff))
    fc.assert(
      fc.property(type, fc.uint8Array({ maxLength: 1600 }), (t, tail) => {
        decodeOrError(concatBytes(u16be(t), tail))
      }),
      { numRuns: 3000 },
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 4 }), (b) => void decodeOrError(b)))
  })

  it('a damaged message decodes or fails with WireError; what decodes has one encoding, which decodes to the same', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(anyMessage, damage, (m, changes) => {
        const bytes = encodeMessage(m)
        for (const [at, value] of changes) bytes[2 + (at % (bytes.length - 2))] = value
        const decoded = decodeOrError(bytes)
        if (!(decoded instanceof WireError)) same(decodeMessage(encodeDecoded(decoded)), decoded)
      }),
      { numRuns: 3000 },
    )
  })

  it('a message that is cut short fails, or is the shorter message that those bytes are', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), (m, cut) => {
        const bytes = encodeMessage(m)
        const prefix = bytes.subarray(0, cut % bytes.length)
        const decoded = decodeOrError(prefix)
        if (!(decoded instanceof WireError)) expect(toHex(encodeDecoded(decoded))).toBe(toHex(prefix))
      }),
      { numRuns: 3000 },
    )
  })

  it('nothing decoded aliases the input, be it a Uint8Array or a Buffer', () => {
    fc.assert(
      fc.property(anyMessage, fc.boolean(), (m, asBuffer) => {
        const bytes = encodeMessage(m)
        const input = asBuffer ? Buffer.from(bytes) : bytes
        const decoded = decodeMessage(input)
        input.fill(0xee)
        same(decoded, m)
      }),
      { numRuns: 500 },
    )
  })

  it('BOLT 1 §lightning-message-format: an unknown odd TLV in the extension changes nothing, an unknown even one fails', () => {
    fc.assert(
      fc.property(
        anyMessage.filter(isExtensible),
        fc.bigInt({ min: 2n ** 16n, max: 2n ** 63n - 1n }),
        fc.uint8Array({ maxLength: 300 }),
        (m, half, value) => {
          const extended = (type: bigint): Uint8Array =>
            concatBytes(encodeMessage(m), encodeTlvRecords([{ type, value }]))
          same(decodeMessage(extended(2n * half + 1n)), m)
          const even = decodeOrError(extended(2n * half))
          expect(even instanceof WireError && even.reason).toBe('tlv')
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('BOLT 1 §lightning-message-format: unknown odd types are to be ignored, unknown even types fail', () => {
    const known = new Set<number>(definitions.map((d) => d.typeNumber))
    const unknown = fc.nat(0xffff).filter((t) => !known.has(t))
    fc.assert(
      fc.property(unknown, fc.uint8Array({ maxLength: 50 }), (typeNumber, payload) => {
        const decoded = decodeOrError(concatBytes(u16be(typeNumber), payload))
        if (typeNumber % 2 === 1) same(decoded, { type: 'unknown', typeNumber, payload })
        else expect(decoded instanceof WireError && decoded.reason).toBe('unknown-type')
      }),
    )
  })
})

describe('BOLT 7: signed messages', () => {
  it('whatever bytes decode, the same bytes come out again, unknown trailing ones included', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 })
    let decodable = 0
    fc.assert(
      fc.property(signed, damage, fc.uint8Array({ maxLength: 60 }), (m, changes, tail) => {
        const bytes = concatBytes(encodeMessage(m), tail)
        for (const [at, value] of changes) bytes[2 + (at % (bytes.length - 2))] = value
        const decoded = decodeOrError(bytes)
        if (decoded instanceof WireError) return
        decodable++
        if (!equalBytes(encodeDecoded(decoded), bytes)) expect(toHex(encodeDecoded(decoded))).toBe(toHex(bytes))
      }),
      { numRuns: 3000 },
    )
    expect(decodable).toBeGreaterThan(1000)
  })

  it('the signatures cover every byte after themselves, and not themselves', () => {
    const blank = new Uint8Array(64)
    fc.assert(
      fc.property(signed, (m) => {
        const isChannel = m.type === 'channel_announcement'
        const unsigned = isChannel
          ? { ...m, nodeSignature1: blank, nodeSignature2: blank, bitcoinSignature1: blank, bitcoinSignature2: blank }
          : { ...m, signature: blank }
        const covered = encodeMessage(m).subarray(2 + 64 * (isChannel ? 4 : 1))
        expect(toHex(signedBytes(unsigned))).toBe(toHex(covered))
      }),
      { numRuns: 200 },
    )
  })
})
