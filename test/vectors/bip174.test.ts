import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { BitcoinFormatError } from '../../src/bitcoin/errors.ts'
import { decodePsbt, encodePsbt, extractTransaction } from '../../src/bitcoin/psbt.ts'
import { encodeTransaction } from '../../src/bitcoin/transaction.ts'

const vectors = JSON.parse(readFileSync(new URL('./fixtures/bip174.json', import.meta.url), 'utf8')) as {
  readonly valid: readonly string[]
  readonly invalid: readonly string[]
  readonly life: readonly string[]
  readonly unknown: readonly string[]
  readonly final: string
  readonly extracted: string
}

describe('BIP 174 §test-vectors', () => {
  it('reads every valid PSBT and writes it again byte for byte, what it does not know included', () => {
    const all = [...vectors.valid, ...vectors.life, ...vectors.unknown, vectors.final]
    expect(all.length).toBe(20)
    for (const hex of all) expect(toHex(encodePsbt(decodePsbt(fromHex(hex))))).toBe(hex)
  })

  it.each(vectors.invalid.map((hex, i) => [i, hex] as const))('refuses invalid PSBT %i', (_i, hex) => {
    expect(() => decodePsbt(fromHex(hex))).toThrow(BitcoinFormatError)
  })

  it('extracts the transaction of a final one, and none of one that is not', () => {
    expect(toHex(encodeTransaction(extractTransaction(decodePsbt(fromHex(vectors.final)))!))).toBe(vectors.extracted)
    for (const hex of vectors.life) expect(extractTransaction(decodePsbt(fromHex(hex)))).toBeNull()
  })

  it('any bytes are a PSBT or a BitcoinFormatError, never anything else', () => {
    const good = vectors.life.map(fromHex)
    const damaged = fc
      .tuple(fc.constantFrom(...good), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat())
      .map(([bytes, at, value, cut]) => {
        const changed = Uint8Array.from(bytes)
        changed[at % changed.length] = value
        return changed.subarray(0, cut % 3 === 0 ? cut % changed.length : changed.length)
      })
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        try {
          decodePsbt(bytes)
        } catch (e) {
          expect(e).toBeInstanceOf(BitcoinFormatError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
