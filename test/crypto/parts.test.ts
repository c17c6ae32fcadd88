import { readFileSync } from 'node:fs'
import * as secp from '@noble/secp256k1'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCoreProvider } from '../../src/crypto/core.ts'
import { type CoreExports, instantiateCore } from '../../src/crypto/coreModule.ts'
import { bytes32, edgeInteger, edgeScalar, inverse, LAMBDA, mod, N, P, SPECIAL_SCALARS, toInteger } from './edges.ts'

/** What src/crypto/core/testing.ts exports beside the module: its parts, on addresses, with their bounds checked. */
type Unary = (r: number, a: number) => void
type Binary = (r: number, a: number, b: number) => void
interface Parts extends CoreExports {
  readonly feMul: Binary
  readonly feSqr: Unary
  readonly feSqrSub: Binary
  readonly feSqrSub2: Binary
  readonly feSqrSubSub2: (r: number, a: number, s: number, t: number) => void
  readonly feMulSub: (r: number, a: number, b: number, s: number) => void
  readonly feThreeHalves: Unary
  readonly feNormalize: (a: number) => void
  readonly feZeroMask: (a: number) => number
  readonly feIsZero: (a: number) => number
  readonly feInverse: Unary
  readonly feInverseVar: Unary
  readonly feSqrt: (r: number, a: number) => number
  readonly scMul: Binary
  readonly scAdd: Binary
  readonly scReduce: Unary
  readonly scNegate: Unary
  readonly scHalve: Unary
  readonly scInverse: Unary
  readonly scInverseVar: Unary
  readonly scIsHighMask: (a: number) => number
  readonly scValidMask: (a: number) => number
  readonly glvSplit: (k1: number, k2: number, k: number) => void
  readonly pointAddComplete: (r: number, p: number, x: number, y: number) => void
  readonly pointAddVar: (r: number, p: number, x: number, y: number) => void
  readonly pointDouble: Unary
  readonly mulTwo: (r: number, a: number, p: number, b: number, q: number) => void
}
const loaded = instantiateCore(readFileSync(new URL('../../build/checked/core.wasm', import.meta.url)))
const core = loaded.core as Parts
const { u8, io } = loaded
const view = new DataView(u8.buffer)
const TIMES = Number(process.env.FUZZ ?? 1)
const check = <A>(arbitrary: fc.Arbitrary<A>, numRuns: number, f: (a: A) => void): void =>
  fc.assert(fc.property(arbitrary, f), { numRuns: numRuns * TIMES })

const [R, A, B, S, T] = [io, io + 128, io + 256, io + 384, io + 512]
const LIMB = 2 ** 29
type Limbs = readonly number[]
const writeLimbs = (at: number, limbs: Limbs): void => {
  for (const [i, limb] of limbs.entries()) view.setInt32(at + 4 * i, limb, true)
}
const readLimbs = (at: number): Limbs => Array.from({ length: 9 }, (_, i) => view.getInt32(at + 4 * i, true))
const integerOf = (limbs: Limbs): bigint => limbs.reduceRight((v, l) => v * 2n ** 29n + BigInt(l), 0n)
const modP = (x: bigint): bigint => mod(x, P)
const limbsOf = (x: bigint): Limbs =>
  Array.from({ length: 9 }, (_, i) => Number((x >> BigInt(29 * i)) & (2n ** 29n - 1n)))

/** The bounds of field.ts: every limb at the edges more often than not. */
const most = Math.floor(1.019 * LIMB)
const looseLimb = fc.oneof(
  fc.constantFrom(most, -most, LIMB - 1, 1 - LIMB, 0, 1, -1),
  fc.integer({ min: -most, max: most }),
)
const carriedLimb = fc.oneof(fc.constantFrom(LIMB - 1, 0, 1), fc.integer({ min: 0, max: LIMB - 1 }))
const slackLimb = fc.oneof(fc.constantFrom(LIMB + 2 ** 20 - 1, 1 - 2 ** 20), fc.integer({ min: 0, max: LIMB - 1 }))
const nine = (limb: fc.Arbitrary<number>) => fc.array(limb, { minLength: 9, maxLength: 9 })
const loose = fc.oneof(
  nine(looseLimb),
  fc.constantFrom(most, -most).map((l) => new Array<number>(9).fill(l)),
)
const carried = fc.tuple(nine(carriedLimb), slackLimb).map(([l, slack]) => l.with(2, slack))
/** Multiples of p and what is near, in limbs that are not reduced. */
const nearMultiples = fc.tuple(fc.integer({ min: -31, max: 31 }), fc.integer({ min: -2, max: 2 })).map(([m, d]) => {
  const limbs = limbsOf(P).map((l) => l * Math.sign(m))
  const value = BigInt(m) * P + BigInt(d)
  let rest = value < 0n ? -value : value
  for (let i = 0; i < 9; i++) {
    const part = i === 8 ? rest : rest & (2n ** 29n - 1n)
    limbs[i] = Number(part) * (value < 0n ? -1 : 1)
    rest >>= 29n
  }
  return limbs
})
const isCarried = (limbs: Limbs): boolean =>
  limbs.every((l, i) => (i === 2 ? l > -(2 ** 20) && l < LIMB + 2 ** 20 : l >= 0 && l < LIMB))

describe('the field at the limits of its limbs', () => {
  it('multiplies, squares and subtracts: right modulo p, and carried', () => {
    check(fc.tuple(loose, loose, loose, carried), 300, ([a, b, s, t]) => {
      const [x, y, u, v] = [a, b, s, t].map(integerOf) as [bigint, bigint, bigint, bigint]
      const operations: readonly (readonly [() => void, bigint])[] = [
        [() => core.feMul(R, A, B), x * y],
        [() => core.feSqr(R, A), x * x],
        [() => core.feSqrSub(R, A, S), x * x - u],
        [() => core.feSqrSub2(R, A, S), x * x - 2n * u],
        [() => core.feSqrSubSub2(R, A, S, T), x * x - u - 2n * v],
        [() => core.feMulSub(R, A, B, S), x * y - u],
      ]
      for (const [run, want] of operations) {
        for (const [at, limbs] of [
          [A, a],
          [B, b],
          [S, s],
          [T, t],
        ] as const)
          writeLimbs(at, limbs)
        run()
        expect(isCarried(readLimbs(R))).toBe(true)
        expect(modP(integerOf(readLimbs(R)))).toBe(modP(want))
      }
      writeLimbs(A, a)
      core.feMul(A, A, A) // the result may lie on both operands
      expect(modP(integerOf(readLimbs(A)))).toBe(modP(x * x))
    })
  })

  it('takes three halves of what is carried', () => {
    check(carried, 300, (a) => {
      writeLimbs(A, a)
      core.feThreeHalves(R, A)
      expect(modP(integerOf(readLimbs(R)) * 2n)).toBe(modP(integerOf(a) * 3n))
      expect(readLimbs(R).every((l) => l > -LIMB && l < most)).toBe(true)
    })
  })

  it('reduces to one form, and knows zero', () => {
    check(fc.oneof(loose, carried, nearMultiples), 400, (a) => {
      const want = modP(integerOf(a))
      writeLimbs(A, a)
      expect(core.feZeroMask(A)).toBe(want === 0n ? -1 : 0)
      expect(core.feIsZero(A)).toBe(want === 0n ? 1 : 0)
      core.feNormalize(A)
      expect(readLimbs(A)).toEqual(limbsOf(want))
    })
  })

  it('inverts and takes square roots', () => {
    check(fc.oneof(loose, nearMultiples, edgeInteger.map(limbsOf)), 150, (a) => {
      const x = modP(integerOf(a))
      for (const invert of [core.feInverse, core.feInverseVar]) {
        writeLimbs(A, a)
        invert(R, A)
        expect(modP(integerOf(readLimbs(R)))).toBe(x === 0n ? 0n : inverse(x, P))
      }
      writeLimbs(A, a)
      const found = core.feSqrt(R, A)
      const root = modP(integerOf(readLimbs(R)))
      expect(modP(root * root) === x).toBe(found === 1)
      if (found === 0) expect(modP(root * root)).toBe(modP(-x)) // p = 3 mod 4: either x or -x is a square
    })
  })

  it('has its bounds checked in this build', () => {
    for (const limb of [LIMB * 1.03, -LIMB * 1.03]) {
      writeLimbs(A, limbsOf(1n).with(4, Math.floor(limb)))
      writeLimbs(B, limbsOf(1n))
      expect(() => core.feMul(R, A, B)).toThrow('unreachable')
      expect(() => core.feSqr(R, A)).toThrow('unreachable')
    }
  })
})

const writeWords = (at: number, x: bigint): void => u8.set(bytes32(x).reverse(), at)
const readWords = (at: number): bigint => toInteger(u8.slice(at, at + 32).reverse())

describe('scalars', () => {
  it('are added, multiplied, negated, reduced and judged', () => {
    check(fc.tuple(edgeInteger, edgeInteger), 400, ([a, b]) => {
      const [x, y] = [mod(a), mod(b)]
      writeWords(A, x)
      writeWords(B, y)
      core.scAdd(R, A, B)
      expect(readWords(R)).toBe(mod(x + y))
      core.scMul(R, A, B)
      expect(readWords(R)).toBe(mod(x * y))
      core.scNegate(R, A)
      expect(readWords(R)).toBe(N - x)
      core.scHalve(R, A)
      expect(mod(2n * readWords(R))).toBe(x)
      expect(readWords(R) < N).toBe(true)
      expect(core.scIsHighMask(A)).toBe(x > N / 2n ? -1 : 0)
      writeWords(A, a)
      expect(core.scValidMask(A)).toBe(a > 0n && a < N ? -1 : 0)
      core.scReduce(R, A)
      expect(readWords(R)).toBe(x)
    })
  })

  it('are inverted, 0 to 0', () => {
    check(fc.oneof(edgeScalar, fc.constant(0n)), 200, (x) => {
      writeWords(A, x)
      for (const invert of [core.scInverse, core.scInverseVar]) {
        invert(R, A)
        expect(readWords(R)).toBe(x === 0n ? 0n : inverse(x))
      }
    })
  })

  it('are split into halves below 2^128 in magnitude', () => {
    const signed = (at: number): bigint => BigInt.asIntN(192, readWords(at) & (2n ** 192n - 1n))
    check(fc.oneof(edgeScalar, fc.constantFrom(0n, ...SPECIAL_SCALARS)), 400, (k) => {
      writeWords(A, k)
      core.glvSplit(S, T, A)
      const [k1, k2] = [signed(S), signed(T)]
      expect(mod(k1 + k2 * LAMBDA)).toBe(k)
      const abs = (x: bigint): bigint => (x < 0n ? -x : x)
      expect(abs(k1) < 2n ** 128n && abs(k2) < 2n ** 128n).toBe(true)
    })
  })
})

describe('the lattice of the endomorphism', () => {
  it('has the basis and the determinant that secretMul.ts argues with', () => {
    const a1 = 0x3086d221a7d46bcde86c90e49284eb15n
    const minusB1 = 0xe4437ed6010e88286f547fa90abfe4c3n
    const a2 = 0x114ca50f7a8e2f3f657c1108d9d44cfd8n
    expect(mod(a1 - minusB1 * LAMBDA)).toBe(0n)
    expect(mod(a2 + a1 * LAMBDA)).toBe(0n)
    expect(a1 * a1 + minusB1 * a2).toBe(N)
    expect(2n ** 125n * (a2 + a1) * 6n < N && 2n ** 125n * (a1 + minusB1) * 7n < N).toBe(true)
  })
})

const G = secp.Point.BASE
const multiple = (k: bigint): secp.Point => (k === 0n ? secp.Point.ZERO : G.multiplyUnsafe(k))

describe('points', () => {
  /** Jacobian coordinates of k·G on any Z, with the flag of pointAddVar. */
  const writeJacobian = (at: number, k: bigint, z: bigint): void => {
    const { x, y } = k === 0n ? { x: 1n, y: 1n } : multiple(k).toAffine()
    const Z = k === 0n ? 0n : z
    const scaled = k === 0n ? [5n, 7n, 0n] : [x * z * z, y * z * z * z, Z]
    for (const [i, v] of scaled.entries()) writeLimbs(at + 36 * i, limbsOf(modP(v)))
    view.setInt32(at + 108, k === 0n ? 1 : 0, true)
  }
  const readPoint = (at: number, byFlag: boolean): string => {
    const [X, Y, Z] = [0, 36, 72].map((i) => modP(integerOf(readLimbs(at + i)))) as [bigint, bigint, bigint]
    if (byFlag ? view.getInt32(at + 108, true) === 1 : Z === 0n) return 'infinity'
    const i = inverse(Z, P)
    return `${modP(X * i * i)},${modP(Y * i * i * i)}`
  }
  const want = (k: bigint): string => {
    if (k === 0n) return 'infinity'
    const { x, y } = multiple(k).toAffine()
    return `${x},${y}`
  }
  const z = edgeScalar
  const kinds = fc.integer({ min: 0, max: 4 })

  it('are added in constant time whatever they are: equal, opposite, or the first at infinity', () => {
    check(fc.tuple(edgeScalar, edgeScalar, z, kinds), 80, ([p, q, z, kind]) => {
      const first = [p, q, N - q, 0n, p][kind]!
      const second = multiple(q).toAffine()
      for (const [add, byFlag] of [
        [core.pointAddComplete, false],
        [core.pointAddVar, true],
      ] as const) {
        writeJacobian(R, first, z)
        writeLimbs(S, limbsOf(second.x))
        writeLimbs(T, limbsOf(second.y))
        add(R, R, S, T)
        expect(readPoint(R, byFlag)).toBe(want(mod(first + q)))
        // the same with a negated y, as tables give it
        writeJacobian(R, first, z)
        writeLimbs(
          T,
          limbsOf(second.y).map((l) => -l),
        )
        add(R, R, S, T)
        expect(readPoint(R, byFlag)).toBe(want(mod(first - q)))
      }
    })
  })

  it('are doubled, and combined from two multiples', () => {
    check(fc.tuple(edgeScalar, edgeScalar, edgeScalar, edgeScalar, kinds), 60, ([a, b, p, q, kind]) => {
      writeJacobian(R, p, q)
      core.pointDouble(R, R)
      expect(readPoint(R, true)).toBe(want(mod(2n * p)))
      const second = [q, p, N - p, mod(-a * p * inverse(b)), mod(p * LAMBDA)][kind]!
      writeWords(A, a)
      writeWords(B, b)
      for (const [at, k] of [
        [S, p],
        [T, second],
      ] as const) {
        const { x, y } = multiple(k).toAffine()
        writeLimbs(at, limbsOf(x))
        writeLimbs(at + 36, limbsOf(y))
      }
      core.mulTwo(R, A, S, B, T)
      expect(readPoint(R, true)).toBe(want(mod(a * p + b * second)))
    })
  })
})

it('whole operations keep every bound, and agree with the build that does not check', () => {
  const [checked, fast] = [createCoreProvider(loaded), createCoreProvider()]
  check(fc.tuple(edgeScalar, edgeScalar, edgeInteger), 40, ([d, q, h]) => {
    const [secret, other, hash] = [bytes32(d), bytes32(q), bytes32(h)]
    const results = [checked, fast].map((c) => {
      const [key, otherKey] = [c.publicKey(secret), c.publicKey(other)]
      const { signature, recoveryId } = c.ecdsaSignRecoverable(hash, secret)
      const schnorr = c.schnorrSign(hash, secret, other)
      return [
        key,
        signature,
        recoveryId,
        schnorr,
        c.ecdsaVerify(signature, hash, key),
        c.ecdsaVerifyAll([signature, signature, signature], [hash, hash, hash], key),
        c.ecdsaRecover(signature, recoveryId, hash),
        c.ecdh(secret, otherKey),
        c.pointMul(otherKey, secret),
        c.pointAdd(key, otherKey),
        c.pointAddTweak(key, other),
        c.commitmentKeys(key, [otherKey, key], otherKey),
        c.schnorrVerify(schnorr, hash, key.subarray(1)),
      ]
    })
    expect(results[0]).toEqual(results[1])
  })
})
