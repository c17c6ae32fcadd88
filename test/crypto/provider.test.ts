import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex } from '../../src/base/bytes.ts'
import { createCoreProvider } from '../../src/crypto/core.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { nobleProvider as noble } from '../../src/crypto/noble.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { selfTest } from '../../src/crypto/selfTest.ts'

const core = createCoreProvider()
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const toBytes = (n: bigint): Uint8Array => fromHex(n.toString(16).padStart(64, '0'))

const secret = fc
  .oneof(
    fc.bigInt({ min: 1n, max: N - 1n }),
    fc.bigInt({ min: 1n, max: 20n }),
    fc.bigInt({ min: N - 20n, max: N - 1n }),
  )
  .map(toBytes)
/** Any 32 bytes, biased to the edges where a scalar stops being valid. */
const scalarLike = fc.oneof(
  secret,
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.constantFrom(0n, N, N + 1n, 2n ** 256n - 1n).map(toBytes),
)
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
const point = secret.map((s) => noble.publicKey(s))
const pointLike = fc.oneof(
  { weight: 4, arbitrary: point },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 0, max: 7 }), hash).map(([p, x]) => concatBytes(Uint8Array.of(p), x)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 66 }) },
)

/** Both providers give the same answer for the same arguments. */
const same = <A extends unknown[]>(
  args: fc.Arbitrary<A>,
  f: (c: CryptoProvider, ...a: A) => unknown,
  numRuns = 60,
): void =>
  fc.assert(
    fc.property(args, (a) => {
      const [x, y] = [f(core, ...a), f(noble, ...a)]
      if (!isDeepStrictEqual(x, y)) throw new Error(`core ${JSON.stringify(x)} noble ${JSON.stringify(y)}`)
    }),
    { numRuns },
  )

describe('crypto providers', () => {
  it('both pass the known-answer self-test, and the WASM core is the one chosen', () => {
    expect(selfTest(core)).toBeNull()
    expect(selfTest(noble)).toBeNull()
    expect(crypto.name).toBe('core')
  })

  it('the self-test names the operation that a broken provider gets wrong', () => {
    expect(selfTest({ ...core, pointAdd: core.pointMul })).toBe('pointAdd')
    expect(selfTest({ ...core, ecdsaVerify: () => true })).toBe('ecdsaVerify')
  })

  it('agree on hashes and MACs of every length', () => {
    const data = fc.uint8Array({ maxLength: 300 })
    same(fc.tuple(data), (c, d) => [c.sha256(d), c.sha256d(d), c.ripemd160(d), c.hash160(d)], 300)
    same(fc.tuple(fc.uint8Array({ maxLength: 100 }), data), (c, k, d) => c.hmacSha256(k, d), 300)
  })

  it('agree on which scalars and points are valid', () => {
    same(fc.tuple(scalarLike), (c, s) => c.isValidSecret(s))
    same(fc.tuple(pointLike), (c, p) => c.isValidPublicKey(p))
  })

  it('agree on signatures, and each verifies and recovers what the other signed', () => {
    same(fc.tuple(hash, secret), (c, h, s) => [c.publicKey(s), c.ecdsaSign(h, s), c.ecdsaSignRecoverable(h, s)])
    same(
      fc.tuple(hash, secret),
      (c, h, s) => {
        const { signature, recoveryId } = noble.ecdsaSignRecoverable(h, s)
        return [c.ecdsaVerify(signature, h, noble.publicKey(s)), c.ecdsaRecover(signature, recoveryId, h)]
      },
      20,
    )
  })

  it('agree on damaged and high-S signatures', () => {
    same(
      fc.tuple(hash, secret, fc.integer({ min: 0, max: 63 }), fc.boolean()),
      (c, h, s, at, high) => {
        const signature = noble.ecdsaSign(h, s)
        if (high) signature.set(toBytes(N - BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`)), 32)
        else signature[at]! ^= 1
        return c.ecdsaVerify(signature, h, noble.publicKey(s))
      },
      30,
    )
  })

  it('agree on ECDH, tweaks and sums, also of bad points', () => {
    same(fc.tuple(secret, pointLike), (c, s, p) => c.ecdh(s, p))
    same(fc.tuple(secret, secret), (c, a, b) => [c.secretAdd(a, b), c.secretMul(a, b)])
    same(fc.tuple(pointLike, scalarLike), (c, p, k) => [c.pointMul(p, k), c.pointAddTweak(p, k)])
    same(fc.tuple(pointLike, pointLike), (c, p, q) => c.pointAdd(p, q))
    same(fc.tuple(point), (c, p) => {
      const negated = Uint8Array.from(p)
      negated[0]! ^= 1
      return [c.pointAdd(p, p), c.pointAdd(p, negated)]
    })
  })
})
