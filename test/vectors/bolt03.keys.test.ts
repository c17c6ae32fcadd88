import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import {
  derivePrivateKey,
  derivePublicKey,
  deriveRevocationPrivateKey,
  deriveRevocationPublicKey,
} from '../../src/crypto/channelKeys.ts'
import { EMPTY_SECRETS, insertSecret, secretFromSeed, storedSecret } from '../../src/crypto/shachain.ts'
import vectors from './fixtures/bolt03.json' with { type: 'json' }

const LAST_INDEX = 2 ** 48 - 1

describe('BOLT 3 appendix D: generation of per-commitment secrets', () => {
  for (const v of vectors.per_commitment_secrets.generation) {
    it(v.name, () => {
      expect(toHex(secretFromSeed(fromHex(v.seed), LAST_INDEX - v.index))).toBe(v.secret)
    })
  }
})

describe('BOLT 3 appendix D: storage of per-commitment secrets', () => {
  for (const v of vectors.per_commitment_secrets.storage) {
    it(v.name, () => {
      let store = EMPTY_SECRETS
      for (const insert of v.inserts) {
        expect(LAST_INDEX - insert.index).toBe(store.count)
        const next = insertSecret(store, fromHex(insert.secret))
        expect(next !== null).toBe(insert.ok)
        store = next ?? store
      }
      v.inserts.slice(0, store.count).forEach((insert, n) => {
        expect(toHex(storedSecret(store, n)!)).toBe(insert.secret)
      })
    })
  }
})

describe('BOLT 3 appendix E: key derivation', () => {
  const d = vectors.key_derivation
  const basePoint = fromHex(d.base_point)
  const point = fromHex(d.per_commitment_point)
  const compute: Record<string, () => Uint8Array> = {
    localpubkey: () => derivePublicKey(basePoint, point),
    localprivkey: () => derivePrivateKey(fromHex(d.base_secret), point),
    revocationpubkey: () => deriveRevocationPublicKey(basePoint, point),
    revocationprivkey: () => deriveRevocationPrivateKey(fromHex(d.base_secret), fromHex(d.per_commitment_secret)),
  }
  for (const v of d.cases) {
    it(v.name, () => {
      expect(toHex(compute[v.result_name]!())).toBe(v.result)
    })
  }
})
