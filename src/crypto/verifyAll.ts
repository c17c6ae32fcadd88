import type { LoadedCore } from './coreModule.ts'
import { type Batch, createPool, MOST_IN_BATCH, type Pool, type VerifyRange } from './pool.ts'
import type { Composites } from './provider.ts'

/** From so many signatures on, waking threads (tens of µs) is little beside the work (50 µs each). */
const POOL_FROM = 12

/** Signatures that the exchange buffer takes at once. */
const AT_ONCE = 128

/** The index of a signature or hash of a wrong length, or −1. */
const malformed = ({ signatures, hashes, keys }: Batch): number =>
  hashes.findIndex(
    (hash, i) =>
      hash.length !== 32 ||
      signatures[i]?.length !== 64 ||
      (keys instanceof Uint8Array ? keys : keys[i])?.length !== 33,
  )

/**
 * Verifies many signatures, with the help of threads when there are enough of them. The threads are started by the first large
 * batch; where they cannot be, this one does all itself.
 * @param startPool for tests
 */
export function batchVerifier(
  { core, u8, io, module }: LoadedCore,
  startPool: (module: object) => Pool = createPool,
): Composites['ecdsaVerifyAll'] {
  const KEY = io
  const SIGNATURES = io + 1024
  const HASHES = SIGNATURES + 64 * AT_ONCE
  let pool: Pool | null = null
  let tried = false

  function theirHelp(): Pool | null {
    if (tried) return pool
    tried = true
    try {
      pool = startPool(module)
    } catch {
      pool = null
    }
    return pool
  }

  /** Verifies what lies in the exchange buffer, `count` signatures of the batch from an index on. */
  function verifyPlaced({ hashes, keys }: Batch, from: number, count: number): number {
    if (keys instanceof Uint8Array) {
      u8.set(keys, KEY)
      return core.verifyAll(count, hashes.length, SIGNATURES, HASHES, KEY)
    }
    for (let i = 0; i < count; i++) {
      u8.set(keys[from + i]!, KEY)
      if (core.verify(SIGNATURES + 64 * i, HASHES + 32 * i, KEY, 33, 1) === 0) return i
    }
    return -1
  }
  /** On this thread. */
  const verifyHere =
    (batch: Batch): VerifyRange =>
    (from, count) => {
      for (let start = 0; start < count; start += AT_ONCE) {
        const some = Math.min(AT_ONCE, count - start)
        for (let i = 0; i < some; i++) {
          u8.set(batch.signatures[from + start + i]!, SIGNATURES + 64 * i)
          u8.set(batch.hashes[from + start + i]!, HASHES + 32 * i)
        }
        const wrong = verifyPlaced(batch, from + start, some)
        if (wrong >= 0) return start + wrong
      }
      return -1
    }

  return (signatures, hashes, keys) => {
    const bad = malformed({ signatures, hashes, keys })
    if (bad >= 0) return bad
    for (let from = 0; from < hashes.length; from += MOST_IN_BATCH) {
      const part = <T>(all: readonly T[]): readonly T[] =>
        all.length <= MOST_IN_BATCH ? all : all.slice(from, from + MOST_IN_BATCH)
      const batch = {
        signatures: part(signatures),
        hashes: part(hashes),
        keys: keys instanceof Uint8Array ? keys : part(keys),
      }
      const here = verifyHere(batch)
      const count = batch.hashes.length
      const helpers = count >= POOL_FROM ? theirHelp() : null
      const wrong = helpers ? helpers.verify(batch, here) : here(0, count)
      if (wrong >= 0) return from + wrong
    }
    return -1
  }
}
