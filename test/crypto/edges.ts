import fc from 'fast-check'
import { fromHex, toHex } from '../../src/base/bytes.ts'

/** Order of the group, prime of the field, and the eigenvalue of the endomorphism: SEC 2 §2.4.1, GLV. */
export const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
export const P = 2n ** 256n - 2n ** 32n - 977n
export const LAMBDA = 0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72n

export const mod = (x: bigint, m = N): bigint => ((x % m) + m) % m
export const bytes32 = (n: bigint): Uint8Array => fromHex(n.toString(16).padStart(64, '0'))
export const toInteger = (b: Uint8Array): bigint => BigInt(`0x${toHex(b)}`)

export function inverse(a: bigint, m = N): bigint {
  let [r0, r1, s0, s1] = [m, mod(a, m), 0n, 1n]
  while (r1 !== 0n) {
    const q = r0 / r1
    ;[r0, r1] = [r1, r0 - q * r1]
    ;[s0, s1] = [s1, s0 - q * s1]
  }
  return mod(s0, m)
}

/** Where carries, digits, signs and the halves of the endomorphism change. */
export const SPECIAL_SCALARS: readonly bigint[] = [
  ...[1n, 2n, 3n, N - 1n, N - 2n, N - 3n, (N - 1n) / 2n, (N + 1n) / 2n, 2n ** 128n - 1n, 2n ** 128n, 2n ** 255n],
  // the only scalars whose last step in the comb doubles a point
  ...[15n * 2n ** 253n - N, 2n * N - 15n * 2n ** 253n],
  ...[-3n, -2n, -1n, 0n, 1n, 2n, 3n].flatMap((a) => [-3n, -1n, 1n, 2n].map((b) => mod(a + b * LAMBDA))),
]

const small = fc.bigInt({ min: 1n, max: 40n })
/** Runs of ones and zeros. */
const runs = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.boolean()), { minLength: 1, maxLength: 16 })
  .map((parts) => parts.reduce((x, [n, ones]) => (x << BigInt(n)) | (ones ? (1n << BigInt(n)) - 1n : 0n), 0n))

/** 1 … n − 1, biased to the edges. */
export const edgeScalar: fc.Arbitrary<bigint> = fc
  .oneof(
    { weight: 3, arbitrary: fc.bigInt({ min: 1n, max: N - 1n }) },
    small,
    small.map((k) => N - k),
    small.map((k) => mod(LAMBDA * k)),
    fc.tuple(small, small).map(([a, b]) => mod(a + LAMBDA * (b - 20n))),
    fc.tuple(fc.integer({ min: 0, max: 255 }), small).map(([e, k]) => mod(2n ** BigInt(e) + k - 20n)),
    small.map((k) => mod((N + k - 20n) / 2n)),
    runs.map((x) => mod(x)),
    fc.constantFrom(...SPECIAL_SCALARS),
  )
  .map((k) => (k === 0n ? 1n : k))

/** Any 256-bit integer, biased to the edges of the order and of the prime. */
export const edgeInteger: fc.Arbitrary<bigint> = fc.oneof(
  { weight: 3, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }) },
  edgeScalar,
  fc.constantFrom(0n, N - 1n, N, N + 1n, N / 2n, N / 2n + 1n, P - N, P - 1n, P, P + 1n, 2n ** 256n - 1n),
)
