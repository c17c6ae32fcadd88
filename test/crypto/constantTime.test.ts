import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { concatBytes, utf8 } from '../../src/base/bytes.ts'
import { type CoreExports, instantiateCore } from '../../src/crypto/coreModule.ts'
import { nobleProvider as noble } from '../../src/crypto/noble.ts'
import { bytes32, LAMBDA, mod, N } from './edges.ts'
import { instrument } from './instrument.ts'

const FILE = new URL('../../build/core.wasm', import.meta.url)
const { bytes, sites } = instrument(readFileSync(FILE))

/** A running hash of all that is reported, and the first events, to say where two runs part. */
class Trace {
  hash = 0
  count = 0
  #on = false
  readonly kept: number[] = []
  readonly report = (value: number, site: number): number => {
    if (!this.#on) return value
    this.hash = Math.imul(this.hash ^ value, 0x01000193) ^ (this.hash >>> 15)
    this.hash = Math.imul(this.hash ^ site, 0x01000193) ^ (this.hash >>> 13)
    this.count++
    if (this.kept.length < 1_000_000) this.kept.push(site, value)
    return value
  }
  of(run: () => void): Trace {
    this.hash = this.count = this.kept.length = 0
    this.#on = true
    run()
    this.#on = false
    return this
  }
}
const trace = new Trace()
const { core, u8, io } = instantiateCore(bytes, { e: { f: trace.report } })
const [A, B, C, D, DATA] = [io + 128, io + 256, io + 384, io + 512, io + 1024]

/** Unlike in every bit pattern that matters: tiny, huge, even, odd, sparse, dense, and with a half of the endomorphism at 0. */
const SECRETS = [
  1n,
  2n,
  3n,
  N - 1n,
  N - 2n,
  LAMBDA,
  mod(-LAMBDA),
  15n * 2n ** 253n - N,
  2n ** 255n,
  2n ** 128n - 1n,
  0x5555555555555555555555555555555555555555555555555555555555555555n,
  0x123456789abcdef0fedcba98765432100123456789abcdef0fedcba987654321n,
].map(bytes32)
const PUBLIC = noble.publicKey(bytes32(0xabcdefn))
const HASH = new Uint8Array(32).fill(0x5a)
const LONG = SECRETS.map((s, i) => Uint8Array.from({ length: 700 }, (_, j) => s[31]! * j + i))

/** Where the trace of one secret first parts from that of the first one, or null. */
function difference(run: (secret: Uint8Array, i: number) => void, secrets = SECRETS): string | null {
  let first: { hash: number; count: number; kept: number[] } | null = null
  for (const [i, secret] of secrets.entries()) {
    const { hash, count, kept } = trace.of(() => run(secret, i))
    first ??= { hash, count, kept: [...kept] }
    if (first.hash === hash && first.count === count) continue
    const at = first.kept.findIndex((v, j) => v !== kept[j])
    const site = sites[first.kept[at - (at % 2)]!]
    return `secret ${i}: ${site?.kind} in ${site?.at}`
  }
  expect(first?.count).toBeGreaterThan(20)
  return null
}
const put = (at: number, data: Uint8Array): number => {
  u8.set(data, at)
  return at
}

core.isPoint(put(B, PUBLIC), 33) // now its square root is remembered, as public keys are

const PAYLOADS = Uint8Array.from({ length: 300 }, (_, i) => i * 7)
/** The HMAC that goes with each secret. */
const PEELS = new Map(
  SECRETS.map((s) => [
    s,
    noble.hmacSha256(noble.hmacSha256(utf8('mu'), noble.ecdh(s, PUBLIC)!), concatBytes(PAYLOADS, HASH)),
  ]),
)
const peel = (c: CoreExports, secret: Uint8Array, hmac: Uint8Array): number => {
  put(DATA, PAYLOADS)
  put(DATA + 300, HASH)
  return c.peelLayer(io, put(A, PUBLIC), put(B, secret), DATA, 300, 32, put(C, hmac))
}

type Operation = readonly [name: string, run: (c: CoreExports, secret: Uint8Array, i: number) => void]
const OPERATIONS: readonly Operation[] = [
  ['public key', (c, s) => c.publicKey(io, put(A, s))],
  ['ECDSA signature', (c, s) => c.sign(io, put(B, HASH), put(A, s), 0, 0)],
  ['ECDSA signature with extra entropy', (c, s) => c.sign(io, put(B, HASH), put(A, s), put(C, s), 0)],
  ['ECDH', (c, s) => c.ecdh(io, put(B, PUBLIC), 33, put(A, s))],
  ['secret multiple of a point', (c, s) => c.multiplySecret(io, put(B, PUBLIC), 33, put(A, s))],
  ['validity of a secret', (c, s) => c.isScalar(put(A, s))],
  ['sum of secrets', (c, s) => c.secretAdd(io, put(A, s), put(B, bytes32(5n)))],
  ['product of secrets', (c, s) => c.secretMul(io, put(A, s), put(B, bytes32(5n)))],
  ['x-only public key', (c, s) => c.schnorrKey(io, put(A, s))],
  ['Schnorr signature', (c, s) => c.signSchnorr(io, put(DATA, HASH), 32, put(A, s), put(B, s))],
  ['blinding', (c, s) => c.blind(put(A, concatBytes(s, s)))],
  ['secret chain', (c, s) => c.chainSecret(put(io, s), 48, 0xa5a5, 0x12345678)],
  ['SHA-256', (c, _, i) => c.sha256(io, put(DATA, LONG[i]!), 100)],
  ['double SHA-256', (c, _, i) => c.sha256d(io, put(DATA, LONG[i]!), 100)],
  ['RIPEMD-160', (c, _, i) => c.ripemd160(io, put(DATA, LONG[i]!), 100)],
  ['HMAC', (c, s, i) => c.hmac(io, put(A, s), 32, put(DATA, LONG[i]!), 77)],
  ['ChaCha20', (c, s, i) => c.chacha20(put(DATA, LONG[i]!), 700, put(A, s), put(B, HASH), 0)],
  ['a layer of an onion', (c, s) => expect(peel(c, s, PEELS.get(s)!)).toBe(1)],
  ['a layer of an onion with a wrong HMAC', (c, s) => expect(peel(c, s, HASH)).toBe(0)],
  ['ChaCha20-Poly1305', (c, s, i) => c.aeadSeal(put(DATA, LONG[i]!), 500, put(D, s), 20, put(A, s), put(B, HASH))],
]

describe('operations on secrets: no timing leaks', () => {
  it.each(OPERATIONS)('%s: takes the same branches and touches the same memory whatever the secret', (_, run) => {
    expect(difference((secret, i) => run(core, secret, i))).toBeNull()
  })
})

describe('the instrument itself', () => {
  it('answers as the module does that it rewrites', () => {
    core.publicKey(io, put(A, bytes32(7n)))
    expect(u8.slice(io, io + 33)).toEqual(noble.publicKey(bytes32(7n)))
  })

  it('sees the difference where time does depend on the value', () => {
    expect(difference((s) => core.multiplyPublic(io, put(B, PUBLIC), 33, put(A, s)))).toMatch(/branch|load|store/)
    expect(difference((s) => core.addTweak(io, put(B, PUBLIC), 33, put(A, s)), SECRETS.slice(9))).toMatch(/load|branch/)
  })
})
