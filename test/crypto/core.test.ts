import * as secp from '@noble/secp256k1'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes, toHex, utf8 } from '../../src/base/bytes.ts'
import { createCoreProvider } from '../../src/crypto/core.ts'
import { loadCore } from '../../src/crypto/coreModule.ts'
import { nobleProvider as noble } from '../../src/crypto/noble.ts'
import { bytes32, edgeInteger, edgeScalar, inverse, mod, N, P, SPECIAL_SCALARS, toInteger } from './edges.ts'

const core = createCoreProvider()
const { BASE: G, ZERO } = secp.Point
type Point = secp.Point
/** More cases: FUZZ=100 npx vitest run test/crypto. */
const TIMES = Number(process.env.FUZZ ?? 1)

const multiple = (p: Point, k: bigint): Point => (k === 0n ? ZERO : p.multiplyUnsafe(k))
const compressed = (p: Point): string | null => (p.is0() ? null : p.toHex(true))
const hexOrNull = (b: Uint8Array | null): string | null => b && toHex(b)
const check = <A>(arbitrary: fc.Arbitrary<A>, numRuns: number, f: (a: A) => void): void =>
  fc.assert(fc.property(arbitrary, f), { numRuns: numRuns * TIMES })
const damaged = (bytes: Uint8Array, bit: number): Uint8Array => {
  const b = Uint8Array.from(bytes)
  b[(bit >> 3) % b.length]! ^= 1 << (bit & 7)
  return b
}

/** A signature that makes the verifier compute u1·G + u2·Q with Q = q·G. */
const crafted = (u1: bigint, u2: bigint, q: bigint) => {
  const R = multiple(G, mod(u1 + u2 * q))
  const r = R.is0() ? 7n : mod(R.toAffine().x)
  const s = mod(r * inverse(u2))
  const signature = concatBytes(bytes32(r), bytes32(s > N / 2n ? N - s : s)) // -s: the same but for the sign of R
  return { signature, hash: bytes32(mod(u1 * s)), key: multiple(G, q).toBytes(true), valid: !R.is0() }
}

describe('multiplication by secret scalars', () => {
  it('is right where its formulas would have an exception and at every edge, without blinding', () => {
    const { core: raw, u8, io } = loadCore() // blinded with 1: it computes (k + 1)·G - G
    const Q = multiple(G, 0xc0ffeen)
    for (const k of SPECIAL_SCALARS) {
      u8.set(bytes32(mod(k - 1n) || 1n), io + 128)
      expect(raw.publicKey(io, io + 128)).toBe(1)
      expect(toHex(u8.slice(io, io + 33))).toBe(compressed(multiple(G, mod(k - 1n) || 1n)))
      u8.set(bytes32(k), io + 128)
      u8.set(Q.toBytes(true), io + 256)
      expect(raw.multiplySecret(io, io + 256, 33, io + 128)).toBe(1)
      expect(toHex(u8.slice(io, io + 33))).toBe(compressed(multiple(Q, k)))
    }
    u8.set(bytes32(N - 1n), io + 128) // the blinded scalar is 0
    raw.publicKey(io, io + 128)
    expect(toHex(u8.slice(io, io + 33))).toBe(compressed(G.negate()))
  })

  it('agrees with noble on public keys, ECDH and products of any scalars', () => {
    check(fc.tuple(edgeScalar, edgeScalar), 100, ([k, q]) => {
      const Q = multiple(G, q)
      const want = multiple(Q, k).toBytes(true)
      expect(toHex(core.publicKey(bytes32(q)))).toBe(compressed(Q))
      expect(hexOrNull(core.ecdh(bytes32(k), Q.toBytes(true)))).toBe(toHex(noble.sha256(want)))
      expect(hexOrNull(core.pointMul(Q.toBytes(true), bytes32(k)))).toBe(toHex(want))
    })
  })

  it('computes with secrets modulo n', () => {
    check(fc.tuple(edgeInteger, edgeInteger), 300, ([a, b]) => {
      const valid = a > 0n && a < N && b > 0n && b < N
      const sum = mod(a + b)
      expect(hexOrNull(core.secretAdd(bytes32(a), bytes32(b)))).toBe(valid && sum > 0n ? toHex(bytes32(sum)) : null)
      expect(hexOrNull(core.secretMul(bytes32(a), bytes32(b)))).toBe(valid ? toHex(bytes32(mod(a * b))) : null)
    })
  })
})

describe('sums of points', () => {
  it('agree with noble, also when points are equal, opposite or sum to infinity', () => {
    const pair = fc.tuple(edgeScalar, edgeScalar, fc.integer({ min: 0, max: 3 }))
    check(pair, 100, ([a, b, kind]) => {
      const other = kind === 0 ? a : kind === 1 ? N - a : b
      const A = multiple(G, a)
      const B = multiple(G, other)
      const want = compressed(multiple(G, mod(a + other)))
      expect(hexOrNull(core.pointAdd(A.toBytes(true), B.toBytes(true)))).toBe(want)
      expect(hexOrNull(core.pointAddTweak(A.toBytes(true), bytes32(other)))).toBe(want)
    })
  })
})

describe('ECDSA', () => {
  it('signs as noble does, also hashes from n on', () => {
    check(fc.tuple(edgeInteger, edgeScalar), 150, ([h, d]) => {
      const [hash, secret] = [bytes32(h), bytes32(d)]
      const own = core.ecdsaSignRecoverable(hash, secret)
      expect(own).toEqual(noble.ecdsaSignRecoverable(hash, secret))
      const publicKey = core.publicKey(secret)
      expect(core.ecdsaVerify(own.signature, hash, publicKey)).toBe(true)
      expect(hexOrNull(core.ecdsaRecover(own.signature, own.recoveryId, hash))).toBe(toHex(publicKey))
    })
  })

  it('signs with extra entropy and with low R as noble does', () => {
    check(fc.tuple(edgeInteger, edgeScalar, edgeInteger), 60, ([h, d, e]) => {
      const [hash, secret, extraEntropy] = [bytes32(h), bytes32(d), bytes32(e)]
      const signature = core.ecdsaSign(hash, secret, { extraEntropy })
      expect(signature).toEqual(noble.ecdsaSign(hash, secret, { extraEntropy }))
      expect(core.ecdsaVerify(signature, hash, core.publicKey(secret))).toBe(true)
      const low = core.ecdsaSign(hash, secret, { lowR: true })
      expect(low).toEqual(noble.ecdsaSign(hash, secret, { lowR: true }))
      expect(low[0]).toBeLessThan(0x80)
    })
  })

  it('judges damaged signatures, keys and hashes as noble does', () => {
    const part = fc.constantFrom('none', 'signature', 'hash', 'key', 'r', 's', 'x', 'prefix')
    check(fc.tuple(edgeScalar, edgeInteger, part, edgeInteger, fc.nat(511)), 100, ([d, h, what, value, bit]) => {
      let [hash, key]: [Uint8Array, Uint8Array] = [bytes32(h), multiple(G, d).toBytes(true)]
      let signature = noble.ecdsaSign(hash, bytes32(d))
      if (what === 'signature') signature = damaged(signature, bit)
      if (what === 'hash') hash = damaged(hash, bit)
      if (what === 'key') key = damaged(key, bit)
      if (what === 'r') signature = concatBytes(bytes32(value), signature.subarray(32))
      if (what === 's') signature = concatBytes(signature.subarray(0, 32), bytes32(value))
      if (what === 'x') key = concatBytes(key.subarray(0, 1), bytes32(value))
      if (what === 'prefix') key = concatBytes(Uint8Array.of(bit & 7), key.subarray(1))
      expect(core.ecdsaVerify(signature, hash, key)).toBe(noble.ecdsaVerify(signature, hash, key))
      expect(core.ecdsaRecover(signature, bit & 3, hash)).toEqual(noble.ecdsaRecover(signature, bit & 3, hash))
      expect(core.isValidPublicKey(key)).toBe(noble.isValidPublicKey(key))
    })
  })

  it('verifies when both halves meet: equal, opposite, near infinity, or no G at all', () => {
    const kinds = fc.integer({ min: 0, max: 4 })
    check(fc.tuple(kinds, edgeScalar, edgeScalar, edgeScalar), 150, ([kind, u, u2, q]) => {
      const u1 = [u, mod(-u2 * q), mod(u2 * q), 0n, mod(-u2 * q + (u % 9n) - 4n)][kind]!
      const c = crafted(u1, u2, q)
      expect(core.ecdsaVerify(c.signature, c.hash, c.key)).toBe(c.valid)
    })
  })

  it('accepts x(R) from n on, for r = x - n, and only then', () => {
    let seen = 0
    for (let x = N + 1n; x < N + 60n; x++) {
      let R: Point
      try {
        R = secp.Point.fromBytes(concatBytes(Uint8Array.of(2), bytes32(x)))
      } catch {
        continue
      }
      const [r, s, m] = [x - N, 12345n, 6789n]
      const Q = multiple(R, mod(s * inverse(r))).add(multiple(G, mod(-m * inverse(r))))
      const signature = concatBytes(bytes32(r), bytes32(s))
      expect(core.ecdsaVerify(signature, bytes32(m), Q.toBytes(true))).toBe(true)
      expect(toHex(core.ecdsaRecover(signature, 2, bytes32(m))!)).toBe(Q.toHex(true))
      expect(core.ecdsaVerify(concatBytes(bytes32(r + 1n), bytes32(s)), bytes32(m), Q.toBytes(true))).toBe(false)
      seen++
    }
    expect(seen).toBeGreaterThan(10)
    expect(core.ecdsaRecover(concatBytes(bytes32(P - N), bytes32(1n)), 2, bytes32(1n))).toBeNull()
  })
})

describe('BIP 340', () => {
  it('signs and judges as noble does, messages of every length', () => {
    const cases = fc.tuple(edgeScalar, edgeInteger, fc.uint8Array({ maxLength: 200 }), fc.nat(2000))
    check(cases, 60, ([d, a, message, bit]) => {
      const [secret, auxiliary] = [bytes32(d), bytes32(a)]
      const key = core.schnorrPublicKey(secret)
      const signature = core.schnorrSign(message, secret, auxiliary)
      expect(key).toEqual(noble.schnorrPublicKey(secret))
      expect(signature).toEqual(noble.schnorrSign(message, secret, auxiliary))
      expect(core.schnorrVerify(signature, message, key)).toBe(true)
      for (const [s, k] of [
        [damaged(signature, bit), key],
        [signature, damaged(key, bit)],
      ] as const) {
        expect(core.schnorrVerify(s, message, k)).toBe(noble.schnorrVerify(s, message, k))
      }
    })
  })
})

describe('public keys', () => {
  it('are converted between their forms and refused off the curve', () => {
    const { core: raw, u8, io } = loadCore()
    const convert = (key: Uint8Array): boolean => {
      u8.set(key, io + 256)
      return raw.convert(io, io + 64, io + 256, key.length) === 1
    }
    check(fc.tuple(edgeScalar, fc.nat(519)), 40, ([k, bit]) => {
      const Q = multiple(G, k)
      for (const form of [Q.toBytes(true), Q.toBytes(false)]) {
        expect(convert(form)).toBe(true)
        expect(toHex(u8.slice(io, io + 33))).toBe(Q.toHex(true))
        expect(toHex(u8.slice(io + 64, io + 129))).toBe(Q.toHex(false))
      }
      expect(convert(damaged(Q.toBytes(false), bit))).toBe(false)
    })
    for (const x of [P, P + 1n, 2n ** 256n - 1n]) {
      expect(convert(concatBytes(Uint8Array.of(2), bytes32(x)))).toBe(false)
      expect(convert(concatBytes(Uint8Array.of(4), bytes32(x), bytes32(1n)))).toBe(false)
      expect(convert(concatBytes(Uint8Array.of(4), bytes32(1n), bytes32(x)))).toBe(false)
    }
  })
})

describe('composites', () => {
  it('derive the keys of a commitment as its single steps do, whatever the points', () => {
    const keys = fc.array(edgeScalar, { minLength: 1, maxLength: 4 })
    check(fc.tuple(edgeScalar, keys, edgeScalar, fc.integer({ min: 0, max: 3 })), 40, ([c, ks, r, kind]) => {
      const point = multiple(G, c).toBytes(true)
      const basepoints = ks.map((k) => multiple(G, k).toBytes(true))
      const revocation = kind === 0 ? null : multiple(G, kind === 1 ? c : kind === 2 ? N - c : r).toBytes(true)
      const derived = core.commitmentKeys(point, basepoints, revocation)
      expect(derived).toEqual(noble.commitmentKeys(point, basepoints, revocation))
      const bad = Uint8Array.from(point).fill(255, 1)
      expect(core.commitmentKeys(bad, basepoints, point)).toBeNull()
      expect(core.commitmentKeys(point, [...basepoints.slice(1), bad], revocation)).toBeNull()
      expect(core.commitmentKeys(point, basepoints, bad)).toBeNull()
    })
  })

  it('verify many signatures of one key, and find the wrong one', () => {
    const secret = bytes32(0xdecafn)
    const key = core.publicKey(secret)
    const hashes = Array.from({ length: 300 }, (_, i) => core.sha256(Uint8Array.of(i & 255, i >> 8)))
    const signatures = hashes.map((h) => core.ecdsaSign(h, secret))
    for (const count of [0, 1, 2, 3, 24, 25, 300]) {
      expect(core.ecdsaVerifyAll(signatures.slice(0, count), hashes.slice(0, count), key)).toBe(-1)
    }
    for (const at of [0, 1, 100, 128, 299]) {
      const some = signatures.with(at, damaged(signatures[at]!, at))
      expect(core.ecdsaVerifyAll(some, hashes, key)).toBe(at)
      expect(core.ecdsaVerifyAll(signatures.with(at, new Uint8Array(63)), hashes, key)).toBe(at)
    }
    expect(core.ecdsaVerifyAll(signatures.slice(0, 2), hashes.slice(0, 2), damaged(key, 5))).toBe(0)
  })

  it('verify many with halves that meet, as one does', () => {
    const q = 77n
    const scalars = [1n, 2n, N - 1n, mod(-q), q, mod(3n * q), inverse(q)]
    const cases = scalars.flatMap((u1) => scalars.map((u2) => crafted(u1, u2, q)))
    const all = cases.flatMap((c) => [c, c, c]) // three of each make the larger table
    for (let i = 0; i < all.length; i += 3) {
      const three = all.slice(i, i + 3)
      const wrong = core.ecdsaVerifyAll(
        three.map((c) => c.signature),
        three.map((c) => c.hash),
        three[0]!.key,
      )
      expect(wrong).toBe(three[0]!.valid ? -1 : 0)
    }
  })

  it('peel a layer of an onion as its single steps do, whatever its lengths', () => {
    const layer = fc.record({
      payloads: fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 1290, maxLength: 1310 })),
      associatedData: fc.uint8Array({ maxLength: 70 }),
      spoilt: fc.boolean(),
    })
    check(fc.tuple(edgeScalar, edgeScalar, layer), 60, ([s, e, { spoilt, ...rest }]) => {
      const secret = bytes32(s)
      const ephemeralKey = multiple(G, e).toBytes(true)
      const mu = noble.hmacSha256(utf8('mu'), noble.ecdh(secret, ephemeralKey)!)
      const right = noble.hmacSha256(mu, concatBytes(rest.payloads, rest.associatedData))
      const hmac = spoilt ? damaged(right, Number(e % 256n)) : right
      const peeled = core.peelLayer(secret, { ...rest, ephemeralKey, hmac })
      expect(peeled).toEqual(noble.peelLayer(secret, { ...rest, ephemeralKey, hmac }))
      expect(peeled!.unwrapped === null).toBe(spoilt)
      expect(core.peelLayer(secret, { ...rest, ephemeralKey: bytes32(e), hmac })).toBeNull()
      const bad = Uint8Array.from(ephemeralKey).fill(255, 1)
      expect(core.peelLayer(secret, { ...rest, ephemeralKey: bad, hmac })).toBeNull()
      expect(() => core.peelLayer(new Uint8Array(32), { ...rest, ephemeralKey, hmac })).toThrow()
    })
  })

  it('walk the secret chain as single hashes do', () => {
    check(
      fc.tuple(edgeInteger, fc.integer({ min: 0, max: 48 }), fc.bigInt({ min: 0n, max: 2n ** 48n - 1n })),
      60,
      ([s, bits, i]) => {
        expect(core.chainSecret(bytes32(s), bits, Number(i))).toEqual(noble.chainSecret(bytes32(s), bits, Number(i)))
      },
    )
  })
})

describe('hashes and ciphers', () => {
  it('agree with noble at every length, and open what they seal', () => {
    const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
    const exactly = (n: number) => fc.uint8Array({ minLength: n, maxLength: n })
    const arguments_ = fc.tuple(exactly(32), exactly(12), bytes(40), bytes(1400), fc.nat(11_000))
    check(arguments_, 150, ([key, nonce, ad, data, bit]) => {
      expect(equalBytes(core.chacha20(key, nonce, data), noble.chacha20(key, nonce, data))).toBe(true)
      const sealed = core.aeadEncrypt(key, nonce, ad, data)
      expect(equalBytes(sealed, noble.aeadEncrypt(key, nonce, ad, data))).toBe(true)
      expect(equalBytes(core.aeadDecrypt(key, nonce, ad, sealed)!, data)).toBe(true)
      expect(core.aeadDecrypt(key, nonce, ad, damaged(sealed, bit))).toBeNull()
      for (const f of ['sha256', 'sha256d', 'ripemd160', 'hash160'] as const) {
        expect(equalBytes(core[f](data), noble[f](data))).toBe(true)
      }
      expect(equalBytes(core.hmacSha256(data, ad), noble.hmacSha256(data, ad))).toBe(true)
      expect(equalBytes(core.hmacSha256(ad, data), noble.hmacSha256(ad, data))).toBe(true)
    })
  })

  it('take every length around a block', () => {
    const key = new Uint8Array(32).fill(1)
    const nonce = new Uint8Array(12).fill(2)
    for (let n = 0; n < 600; n++) {
      const data = Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 255)
      expect(equalBytes(core.sha256(data), noble.sha256(data))).toBe(true)
      expect(equalBytes(core.ripemd160(data), noble.ripemd160(data))).toBe(true)
      expect(equalBytes(core.hmacSha256(key, data), noble.hmacSha256(key, data))).toBe(true)
      expect(
        equalBytes(
          core.aeadEncrypt(key, nonce, data.subarray(0, n % 33), data),
          noble.aeadEncrypt(key, nonce, data.subarray(0, n % 33), data),
        ),
      ).toBe(true)
    }
  })
})

describe('secrets', () => {
  it('that are out of range are refused', () => {
    for (const k of [0n, N, N + 1n, 2n ** 256n - 1n]) {
      expect(core.isValidSecret(bytes32(k))).toBe(false)
      expect(() => core.publicKey(bytes32(k))).toThrow('not a valid secret key')
      expect(() => core.ecdsaSign(bytes32(1n), bytes32(k))).toThrow('not a valid secret key')
      expect(() => core.ecdh(bytes32(k), G.toBytes(true))).toThrow('not a valid secret key')
    }
    expect(toInteger(bytes32(N))).toBe(N)
  })
})
