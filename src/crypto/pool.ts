import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/**
 * Threads that help to verify large batches of signatures. A batch lies in shared memory, cut into chunks; whoever is free takes the
 * next one, the calling thread among them, and it never waits: when no chunk is left to take, it does those again that a thread has
 * taken and not finished, until that thread is done or it is. So a batch takes no longer than without the threads, whatever else the
 * machine is busy with.
 *
 * control: Int32. A batch has a generation, which is part of each ticket and each status: what a thread finds out about an earlier
 * batch, though it may read this one's data, cannot be taken for an answer to this one.
 */
export const LAYOUT = {
  /** Threads sleep until this changes. */
  GENERATION: 0,
  /** generation << 10 | number of the next chunk to take. */
  NEXT: 1,
  /** Signatures in the batch. */
  COUNT: 2,
  /** 1 when all are of one key. */
  ONE_KEY: 3,
  /** One of each chunk: generation << 10 | 0 while it is not done, 1 when all are right, 2 + i when the one at i is wrong. */
  STATUS: 8,
  /** Signatures of one chunk. */
  CHUNK: 8,
  /** In `data`, byte offsets: 64, 32 and 33 B each. */
  SIGNATURES: 0,
  HASHES: 64 * 512,
  KEYS: 96 * 512,
} as const
const { GENERATION, NEXT, COUNT, ONE_KEY, STATUS, CHUNK, SIGNATURES, HASHES, KEYS } = LAYOUT

/** The most signatures of one batch, one commitment's 483 among them. */
export const MOST_IN_BATCH = 512
const CHUNKS = MOST_IN_BATCH / CHUNK
const GENERATIONS = 2 ** 21

export interface Batch {
  /** 64 B each. */
  readonly signatures: readonly Uint8Array[]
  /** 32 B each, as many. */
  readonly hashes: readonly Uint8Array[]
  /** 33 B: one for all, or as many. */
  readonly keys: Uint8Array | readonly Uint8Array[]
}

/** How far behind `from` a wrong one is, or −1. */
export type VerifyRange = (from: number, count: number) => number

export interface Pool {
  /**
   * @param verifyHere verifies `count` signatures of the batch from an index on, on the calling thread
   * @returns the index of one that is wrong, or −1
   */
  verify(batch: Batch, verifyHere: VerifyRange): number
  /** How many chunks were done by threads, for measurements and tests. */
  readonly helped: () => number
  close(): void
}

/** The memory that a batch lies in. */
export const createShared = () => ({
  control: new Int32Array(new SharedArrayBuffer(4 * (STATUS + CHUNKS))),
  data: new Uint8Array(new SharedArrayBuffer((96 + 33) * MOST_IN_BATCH)),
})
export type Shared = ReturnType<typeof createShared>

/**
 * Starts threads, which take part as soon as they are ready. They keep no process alive.
 * @param module the compiled core
 * @param threads at most; 0 for none
 * @throws when threads are not to be had
 */
export function createPool(module: object, threads = Math.min(availableParallelism() - 1, 3)): Pool {
  const shared = createShared()
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL('../../build/worker.mjs', import.meta.url), {
      workerData: { module, layout: LAYOUT, ...shared },
      execArgv: [],
    })
    worker.on('error', () => undefined) // without it the calling thread does all itself
    worker.unref()
    return worker
  })
  let helped = 0
  const verify = batchRunner(shared, (chunks) => {
    helped += chunks
  })
  return {
    verify,
    helped: () => helped,
    close: () => {
      for (const worker of workers) void worker.terminate()
    },
  }
}

/** The calling thread's part. */
export function batchRunner(
  { control, data }: Shared,
  onHelped: (chunks: number) => void = () => undefined,
): Pool['verify'] {
  let generation = 0

  function open({ signatures, hashes, keys }: Batch): void {
    const count = hashes.length
    generation = (generation + 1) % GENERATIONS
    // first of all, chunks of the old batch can be taken no more
    Atomics.store(control, COUNT, 0)
    for (let i = 0; i < count; i++) {
      data.set(signatures[i]!, SIGNATURES + 64 * i)
      data.set(hashes[i]!, HASHES + 32 * i)
    }
    if (keys instanceof Uint8Array) data.set(keys, KEYS)
    else for (const [i, key] of keys.entries()) data.set(key, KEYS + 33 * i)
    for (let chunk = 0; chunk * CHUNK < count; chunk++) Atomics.store(control, STATUS + chunk, generation << 10)
    Atomics.store(control, ONE_KEY, keys instanceof Uint8Array ? 1 : 0)
    Atomics.store(control, COUNT, count)
    Atomics.store(control, NEXT, generation << 10)
    Atomics.store(control, GENERATION, generation)
    Atomics.notify(control, GENERATION)
  }

  return (batch, verifyHere) => {
    const count = batch.hashes.length
    const chunks = Math.ceil(count / CHUNK)
    let own = 0
    open(batch)
    for (;;) {
      const chunk = Atomics.add(control, NEXT, 1) & 1023
      if (chunk >= chunks) break
      const from = chunk * CHUNK
      const wrong = verifyHere(from, Math.min(CHUNK, count - from))
      if (wrong >= 0) return from + wrong
      Atomics.store(control, STATUS + chunk, (generation << 10) | 1)
      own++
    }
    onHelped(chunks - own)
    for (let chunk = 0; chunk < chunks; chunk++) {
      // one by one, until the thread that has taken the chunk is done with it or we are
      let status = Atomics.load(control, STATUS + chunk) & 1023
      const end = Math.min(count, (chunk + 1) * CHUNK)
      for (let i = chunk * CHUNK; status === 0 && i < end; i++) {
        if (verifyHere(i, 1) >= 0) return i
        status = Atomics.load(control, STATUS + chunk) & 1023
      }
      if (status > 1) return chunk * CHUNK + status - 2
    }
    return -1
  }
}
