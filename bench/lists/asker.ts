import { parentPort, workerData } from 'node:worker_threads'
import { FulmenClient } from '../../src/client/index.ts'

/** What the thread is given: where the node is, and for how long to ask. */
export interface Asking {
  readonly url: string
  readonly key: string
  readonly forMs: number
}

// A thread of its own: what keeps the payers busy is not to be taken for the node's time.
const { url, key, forMs } = workerData as Asking
const client = new FulmenClient({ url, key })
const taken: number[] = []
for (const until = performance.now() + forMs; performance.now() < until; ) {
  const begun = performance.now()
  await client.node()
  taken.push(performance.now() - begun)
  await new Promise((resolve) => setTimeout(resolve, 5))
}
parentPort?.postMessage(taken)
