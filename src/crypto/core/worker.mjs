// One thread of the pool (src/crypto/pool.ts, which describes the shared memory): it verifies chunks of signatures on an instance of
// its own. It holds no secrets. `npm run build` copies it beside the module.
import { setPriority } from 'node:os'
import { workerData } from 'node:worker_threads'

const { module, control, data, layout } = workerData
const { GENERATION, NEXT, COUNT, ONE_KEY, STATUS, CHUNK, SIGNATURES, HASHES, KEYS } = layout

// Only what nobody else wants: Linux gives each thread its own niceness; elsewhere it would be the whole program's.
if (process.platform === 'linux') setPriority(19)

const core = new WebAssembly.Instance(module, {}).exports
core.init()
const own = new Uint8Array(core.memory.buffer)
const io = core.io()
const [SIGNATURE_AT, HASH_AT, KEY_AT] = [io + 1024, io + 1024 + 64 * CHUNK, io]

/** The place in the chunk of a wrong signature, or −1. */
function verify(from, count) {
  own.set(data.subarray(SIGNATURES + 64 * from, SIGNATURES + 64 * (from + count)), SIGNATURE_AT)
  own.set(data.subarray(HASHES + 32 * from, HASHES + 32 * (from + count)), HASH_AT)
  if (Atomics.load(control, ONE_KEY)) {
    own.set(data.subarray(KEYS, KEYS + 33), KEY_AT)
    return core.verifyAll(count, Atomics.load(control, COUNT), SIGNATURE_AT, HASH_AT, KEY_AT)
  }
  for (let i = 0; i < count; i++) {
    own.set(data.subarray(KEYS + 33 * (from + i), KEYS + 33 * (from + i + 1)), KEY_AT)
    if (!core.verify(SIGNATURE_AT + 64 * i, HASH_AT + 32 * i, KEY_AT, 33, 1)) return i
  }
  return -1
}

let seen = 0
for (;;) {
  Atomics.wait(control, GENERATION, seen)
  seen = Atomics.load(control, GENERATION)
  for (;;) {
    const ticket = Atomics.add(control, NEXT, 1)
    const [generation, chunk] = [ticket >>> 10, ticket & 1023]
    const from = chunk * CHUNK
    const count = Math.min(CHUNK, Atomics.load(control, COUNT) - from)
    if (count <= 0) break
    const wrong = verify(from, count)
    // taken only if the batch is still open: a new one has other statuses
    Atomics.compareExchange(control, STATUS + chunk, generation << 10, (generation << 10) | (wrong + 2))
  }
}
