import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { concatBytes, EMPTY, equalBytes, fromHex, toHex, utf8 } from '../../src/base/bytes.ts'
import { hasLowS, isStrictDer, parseDerLax } from '../../src/bitcoin/signature.ts'
import { createCoreProvider } from '../../src/crypto/core.ts'
import { loadCore } from '../../src/crypto/coreModule.ts'
import { hkdf } from '../../src/crypto/hkdf.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import bip340 from './fixtures/bip340.json' with { type: 'json' }
import wycheproof from './fixtures/wycheproof.json' with { type: 'json' }

const core = createCoreProvider()
const raw = loadCore()
/** The point in compressed form, or null when it is none. */
function compress(key: Uint8Array): Uint8Array | null {
  raw.u8.set(key, raw.io + 256)
  return raw.core.convert(raw.io, raw.io + 64, raw.io + 256, key.length) ? raw.u8.slice(raw.io, raw.io + 33) : null
}
/** The ids of the cases that come out otherwise than the file says. */
const wrong = <T extends readonly unknown[]>(cases: readonly T[], right: (c: T) => boolean): unknown[] =>
  cases.filter((c) => !right(c)).map((c) => c[0])
type Row<T extends unknown[]> = readonly [id: number, ...T]

describe.each([core, nobleProvider])('curve arithmetic and ciphers, Wycheproof: $name', (c) => {
  it('ChaCha20-Poly1305', () => {
    const cases = wycheproof.aead as unknown as Row<[string, string, string, string, string, string, string]>[]
    expect(cases.length).toBe(316)
    const bad = wrong(cases, ([, key, iv, aad, msg, ct, tag, result]) => {
      const [k, n, a, m] = [fromHex(key), fromHex(iv), fromHex(aad), fromHex(msg)]
      const sealed = concatBytes(fromHex(ct), fromHex(tag))
      const opened = c.aeadDecrypt(k, n, a, sealed)
      if (result !== 'valid') return opened === null
      return opened !== null && equalBytes(opened, m) && equalBytes(c.aeadEncrypt(k, n, a, m), sealed)
    })
    expect(bad).toEqual([])
  })

  it('HMAC-SHA256, whole and cut to 128 bits', () => {
    const cases = wycheproof.hmac as unknown as Row<[string, string, string, string]>[]
    const bad = wrong(cases, ([, key, msg, tag, result]) => {
      const mac = toHex(c.hmacSha256(fromHex(key), fromHex(msg)))
      return (mac.slice(0, tag.length) === tag) === (result === 'valid')
    })
    expect(bad).toEqual([])
  })

  it('ECDH', () => {
    const all = wycheproof.ecdh as unknown as Row<[string, string, string, string]>[]
    const cases = c === core ? all : all.filter((_, i) => i % 8 === 0) // noble takes milliseconds for each
    const bad = wrong(cases, ([, point, secret, shared, result]) => {
      const key = compress(fromHex(point))
      if (result === 'invalid') return key === null
      const product = key && c.pointMul(key, fromHex(secret))
      if (key === null || product === null || toHex(product.subarray(1)) !== shared) return false
      return equalBytes(c.ecdh(fromHex(secret), key)!, c.sha256(product))
    })
    expect(bad).toEqual([])
  })

  it('ECDSA, compact signatures, of which we want low S', () => {
    const bad = wycheproof.ecdsa.flatMap(([point, cases]) => {
      const key = compress(fromHex(point as string))!
      return wrong(cases as unknown as Row<[string, string, string]>[], ([, msg, sig, result]) => {
        const signature = fromHex(sig)
        const hash = c.sha256(fromHex(msg))
        const valid = c.ecdsaVerify(signature, hash, key)
        if (valid || result === 'invalid') return valid === (result === 'valid')
        return recovers(signature, hash, key) && signature[32]! >= 0x7f // valid but for its high S
      })
    })
    expect(bad).toEqual([])
  })
  const recovers = (signature: Uint8Array, hash: Uint8Array, key: Uint8Array): boolean =>
    [0, 1, 2, 3].some((id) => isDeepStrictEqual(c.ecdsaRecover(signature, id, hash), key))

  it('ECDSA, DER signatures as Bitcoin has them: strict, with low S', () => {
    const bad = wycheproof.ecdsaDer.flatMap(([point, cases]) => {
      const key = compress(fromHex(point as string))!
      return wrong(cases as unknown as Row<[string, string, string]>[], ([, msg, sig, result]) => {
        const withType = concatBytes(fromHex(sig), Uint8Array.of(1))
        const compact = isStrictDer(withType) && hasLowS(withType) ? parseDerLax(fromHex(sig)) : null
        const valid = compact !== null && c.ecdsaVerify(compact, c.sha256(fromHex(msg)), key)
        return valid === (result === 'valid')
      })
    })
    expect(bad).toEqual([])
  })

  it('BIP 340: signs and verifies', () => {
    const cases = bip340.cases as unknown as Row<[string, string, string, string, string, boolean, string]>[]
    expect(cases.length).toBe(19)
    const bad = wrong(cases, ([, secret, key, aux, message, signature, valid]) => {
      if (c.schnorrVerify(fromHex(signature), fromHex(message), fromHex(key)) !== valid) return false
      if (secret === '') return true
      const made = c.schnorrSign(fromHex(message), fromHex(secret), fromHex(aux))
      return toHex(made) === signature && toHex(c.schnorrPublicKey(fromHex(secret))) === key
    })
    expect(bad).toEqual([])
  })

  it('RFC 6979 on secp256k1, with values that many implementations share', () => {
    const cases: [string, string, string][] = [
      [
        '01',
        'Satoshi Nakamoto',
        '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5',
      ],
      [
        '01',
        'All those moments will be lost in time, like tears in rain. Time to die...',
        '8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21',
      ],
      [
        'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140',
        'Satoshi Nakamoto',
        'fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d06b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5',
      ],
      [
        'f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181',
        'Alan Turing',
        '7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea',
      ],
    ]
    for (const [secret, message, signature] of cases) {
      expect(toHex(c.ecdsaSign(c.sha256(utf8(message)), fromHex(secret.padStart(64, '0'))))).toBe(signature)
    }
  })
})

it('HKDF-SHA256: RFC 5869 and Wycheproof', () => {
  const cases = wycheproof.hkdf as unknown as Row<[string, string, string, number, string, string]>[]
  const bad = wrong(cases, ([, ikm, salt, info, size, okm, result]) => {
    if (result === 'invalid') return size > 255 * 32
    return toHex(hkdf(fromHex(salt), fromHex(ikm), fromHex(info), size)) === okm
  })
  expect(bad).toEqual([])
  expect(() => hkdf(EMPTY, EMPTY, EMPTY, 255 * 32 + 1)).toThrow('at most 8160 bytes')
})

// BOLT 8 §noise-protocol-instantiation: with the tag as Wycheproof has it above.
it('RFC 8439 §2.4.2: ChaCha20 from counter 1', () => {
  const { core: c, u8, io } = raw
  const key = Uint8Array.from({ length: 32 }, (_, i) => i)
  const text = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  )
  u8.set(key, io)
  u8.set(fromHex('000000000000004a00000000'), io + 32)
  u8.set(text, io + 1024)
  c.chacha20(io + 1024, text.length, io, io + 32, 1)
  expect(toHex(u8.slice(io + 1024, io + 1024 + text.length))).toBe(
    '6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74a35be6b40b8eedf2785e42874d',
  )
})
