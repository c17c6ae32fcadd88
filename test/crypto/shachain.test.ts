import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import {
  EMPTY_SECRETS,
  insertSecret,
  type SecretStore,
  secretFromSeed,
  secretGenerator,
  storedSecret,
} from '../../src/crypto/shachain.ts'

const seed = new Uint8Array(32).fill(7)

function filled(count: number): SecretStore {
  let store = EMPTY_SECRETS
  for (let n = 0; n < count; n++) store = insertSecret(store, secretFromSeed(seed, n))!
  return store
}

describe('BOLT 3 §per-commitment-secret-requirements', () => {
  it('gives the same secrets in any order of asking', () => {
    const generate = secretGenerator(seed)
    fc.assert(
      fc.property(
        fc.oneof(
          fc.nat(300),
          fc.maxSafeNat().map((n) => n % 2 ** 48),
        ),
        (n) => {
          expect(generate(n)).toEqual(secretFromSeed(seed, n))
        },
      ),
    )
  })

  it('refuses numbers outside 0 – 2^48 − 1', () => {
    expect(() => secretFromSeed(seed, -1)).toThrow(RangeError)
    expect(() => secretFromSeed(seed, 2 ** 48)).toThrow(RangeError)
    expect(() => secretFromSeed(seed, 1.5)).toThrow(RangeError)
  })
})

describe('BOLT 3 §efficient-per-commitment-secret-storage', () => {
  it('derives every secret received and no other', () => {
    const store = filled(300)
    for (let n = 0; n < 300; n++) expect(storedSecret(store, n)).toEqual(secretFromSeed(seed, n))
    expect(storedSecret(store, 300)).toBeNull()
  })

  it('keeps one secret per power of two', () => {
    expect(filled(1).secrets.length).toBe(32)
    expect(filled(256).secrets.length).toBe(32 * 9)
  })

  it('is plain data', () => {
    const store = filled(37)
    expect(unpack(pack(store))).toEqual(store)
  })

  it('leaves the older store as it was', () => {
    const before = filled(5)
    const copy = before.secrets.slice()
    insertSecret(before, secretFromSeed(seed, 5))
    expect(before.secrets).toEqual(copy)
  })

  it('refuses a secret from another seed wherever an earlier one can show it', () => {
    const other = new Uint8Array(32).fill(8)
    for (let n = 1; n < 64; n += 2) expect(insertSecret(filled(n), secretFromSeed(other, n))).toBeNull()
  })
})
