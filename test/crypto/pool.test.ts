import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { createCoreProvider } from '../../src/crypto/core.ts'
import { loadCore } from '../../src/crypto/coreModule.ts'
import { type Batch, batchRunner, createPool, createShared, LAYOUT, type Pool } from '../../src/crypto/pool.ts'
import { batchVerifier } from '../../src/crypto/verifyAll.ts'
import { bytes32 } from './edges.ts'

const core = createCoreProvider()
const secrets = Array.from({ length: 40 }, (_, i) => bytes32(BigInt(i) + 1000n))
const keys = secrets.map((s) => core.publicKey(s))
const hashes = Array.from({ length: 600 }, (_, i) => core.sha256(Uint8Array.of(i & 255, i >> 8)))
const oneKey = hashes.map((h) => core.ecdsaSign(h, secrets[0]!))
const manyKeys = hashes.map((h, i) => core.ecdsaSign(h, secrets[i % 40]!))
const damaged = (all: readonly Uint8Array[], wrong: readonly number[]): Uint8Array[] =>
  all.map((s, i) => (wrong.includes(i) ? s.with(40, s[40]! ^ 1) : s))

/** Right when nothing is wrong, else one of the wrong ones. */
function judge(answer: number, wrong: readonly number[]): void {
  if (wrong.length === 0) expect(answer).toBe(-1)
  else expect(wrong).toContain(answer)
}

describe('batches in shared memory, with two threads', () => {
  const loaded = loadCore()
  let pool: Pool | null = null
  const verifyAll = batchVerifier(loaded, (module) => {
    pool = createPool(module, 2)
    return pool
  })
  afterAll(() => pool?.close())

  it('find what is wrong, wherever, whoever verifies it', async () => {
    verifyAll(oneKey, hashes, keys[0]!)
    while (pool!.helped() === 0) {
      verifyAll(oneKey, hashes, keys[0]!) // until the threads are there
      await new Promise((resolve) => setImmediate(resolve))
    }
    const cases = fc.tuple(fc.integer({ min: 12, max: 600 }), fc.array(fc.nat(599), { maxLength: 3 }), fc.boolean())
    fc.assert(
      fc.property(cases, ([count, places, same]) => {
        const wrong = places.filter((i) => i < count)
        const signatures = damaged(same ? oneKey : manyKeys, wrong).slice(0, count)
        const of = same ? keys[0]! : Array.from({ length: count }, (_, i) => keys[i % 40]!)
        judge(verifyAll(signatures, hashes.slice(0, count), of), wrong)
      }),
      { numRuns: 60 },
    )
    expect(pool!.helped()).toBeGreaterThan(0)
  })

  it('are refused when something has a wrong length', () => {
    expect(verifyAll(oneKey.with(7, oneKey[7]!.subarray(1)), hashes, keys[0]!)).toBe(7)
    expect(verifyAll(oneKey, hashes.with(599, hashes[0]!.subarray(1)), keys[0]!)).toBe(599)
    expect(verifyAll(oneKey, hashes, keys[0]!.subarray(1))).toBe(0)
    expect(verifyAll(oneKey, hashes, keys)).toBe(40)
  })

  it('are done by this thread when no others can be started', () => {
    const alone = batchVerifier(loaded, () => {
      throw new Error('no threads')
    })
    expect(alone(oneKey, hashes, keys[0]!)).toBe(-1)
    expect(alone(damaged(oneKey, [599]), hashes, keys[0]!)).toBe(599)
  })
})

describe('threads that are slow, dead or behind', () => {
  const { GENERATION, NEXT, STATUS, CHUNK } = LAYOUT
  const batch: Batch = { signatures: oneKey.slice(0, 64), hashes: hashes.slice(0, 64), keys: keys[0]! }

  it('take chunks and never finish: the batch is finished without them', () => {
    const shared = createShared()
    let calls = 0
    const verify = batchRunner(shared)
    const answer = verify(batch, (_, count) => {
      calls += count
      Atomics.add(shared.control, NEXT, 1) // a thread takes the next chunk
      return -1
    })
    expect(answer).toBe(-1)
    expect(calls).toBe(64)
  })

  it('report on an earlier batch: the report is not taken for one on this', () => {
    const shared = createShared()
    const { control } = shared
    const verify = batchRunner(shared)
    verify(batch, () => -1)
    const earlier = Atomics.load(control, GENERATION)
    const late = (status: number): void => {
      for (let chunk = 0; chunk * CHUNK < 64; chunk++) {
        Atomics.compareExchange(control, STATUS + chunk, earlier << 10, (earlier << 10) | status)
      }
    }
    const verified = new Set<number>()
    const answer = verify(batch, (from, count) => {
      late(1) // "all right"
      late(2) // "the first is wrong"
      for (let i = from; i < from + count; i++) verified.add(i)
      return -1
    })
    expect(answer).toBe(-1)
    expect(verified.size).toBe(64)
  })

  it('report a wrong signature in a chunk that they took', () => {
    const shared = createShared()
    const { control } = shared
    const verify = batchRunner(shared)
    const answer = verify(batch, (from) => {
      if (from === 0) {
        const ticket = Atomics.add(control, NEXT, 1)
        const generation = ticket >>> 10
        Atomics.compareExchange(control, STATUS + (ticket & 1023), generation << 10, (generation << 10) | (3 + 2))
      }
      return -1
    })
    expect(answer).toBe(CHUNK + 3)
  })
})
