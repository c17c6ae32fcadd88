import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type DemoNode, startChain, startOne } from '../../src/cli/demo/network.ts'
import { mine } from '../../src/cli/demo/steps.ts'
import { until } from '../../src/cli/demo/wait.ts'
import { table } from '../../src/cli/output.ts'
import { type Spawned, spawnFulmen } from '../../src/cli/processes.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { round } from '../harness.ts'
import { machine } from '../machine.ts'
import type { Asking } from './asker.ts'
import { fill, timeScan } from './fill.ts'

export interface ListOptions {
  readonly payments: number
  readonly json: boolean
}

/** What is asked of a node with a million payments. */
const TARGETS = { pageMs: 50, startMs: 3_000, nodeP99Ms: 5 } as const
const PAGE = 100
const TRIES = 30
/** Payments under way at a time: what a quiet shop has, and as many as the node can take. */
const LOADS = [1, 20] as const
const LOAD_MS = 15_000
const CAPACITY_SAT = 16_000_000
/** Enough for an output of its own: channels keep a record of it for good. */
const AMOUNT_MSAT = 1_000_000
const ASKER = fileURLToPath(new URL('./asker.js', import.meta.url))
const { signal } = new AbortController()

interface Figure {
  readonly name: string
  readonly medianMs: number
  readonly p99Ms: number
}

/** Lists, start and answers of a node with a long history, beside a list that scans. */
export async function measureLists({ payments, json }: ListOptions): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'fulmen-lists-'))
  const spawned: Spawned[] = []
  try {
    const result = await measure(directory, spawned, payments)
    if (json) console.log(JSON.stringify({ machine: machine(), payments, targets: TARGETS, ...result }))
    else console.log(text(payments, result))
  } finally {
    for (const child of spawned.toReversed()) await child.stop()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

type Result = Awaited<ReturnType<typeof measure>>

async function measure(directory: string, spawned: Spawned[], payments: number) {
  const chain = await startChain(directory, spawned)
  const payee = await startOne({ name: 'payee', directory, chain, spawned })
  const first = await startOne({ name: 'payer', directory, chain, spawned })
  await openChannel(first, payee)
  for (let n = 0; n < 5; n++) await payOne(first.client, payee)
  await first.client.invoices.create({ amountMsat: 1_000, description: 'an invoice to copy', expirySeconds: 1 })
  await first.client.invoices.list().then(({ items }) => first.client.invoices.cancel(items[0]!.paymentHash))
  const dataDir = join(directory, 'payer')
  const fresh = await restart(spawned, dataDir, chain, first.key)
  await until('the channel', usableOver(fresh.client), { signal })
  const before = await underLoads(fresh.client, payee, { url: fresh.url, key: first.key })
  await spawned.pop()!.stop()
  await fill(dataDir, payments)
  const scanMs = await timeScan(dataDir, PAGE)
  // Once before: events that were put there all at once are news to what makes alerts and sums of them.
  await restart(spawned, dataDir, chain, first.key)
  const { client, startMs, url } = await restart(spawned, dataDir, chain, first.key)
  await until('the channel', usableOver(client), { signal })
  const pages = await timePages(client, payments)
  const loads = await underLoads(client, payee, { url, key: first.key })
  return { startMs, scanMs, pages, loads, withoutHistory: { startMs: fresh.startMs, loads: before } }
}

async function openChannel(payer: DemoNode, payee: DemoNode): Promise<void> {
  const { address } = await payer.client.wallet.newAddress()
  await mine([payee, payer], 5, { signal, address })
  await mine([payee, payer], 100, { signal })
  await payer.client.peers.connect(payee.uri)
  await payer.client.channels.open({ peer: payee.nodeId, capacitySat: CAPACITY_SAT })
  await mine([payee, payer], 6, { signal })
  await until('a usable channel', usableOver(payer.client), { signal })
}

const usableOver = (client: FulmenClient) => async () =>
  (await client.channels.list()).items.some((c) => c.usable) ? true : null

async function payOne(client: FulmenClient, payee: DemoNode): Promise<void> {
  const { bolt11 } = await payee.client.invoices.create({ amountMsat: AMOUNT_MSAT, description: 'bench' })
  const { status, failure } = await client.payments.send({ bolt11 }, { wait: 30 })
  if (status !== 'succeeded') throw new Error(`a payment ${status}: ${failure?.detail}`)
}

/** Ends the node that was started last, if it is the payer, and starts it again. @returns how long the start took, until it says it is ready */
async function restart(spawned: Spawned[], dataDir: string, chain: string, key: string) {
  if (spawned.at(-1)?.name === 'payer') await spawned.pop()!.stop()
  const begun = performance.now()
  const places = ['--data-dir', dataDir, '--api', '127.0.0.1:0', '--listen', '127.0.0.1:0']
  const args = ['start', '--network', 'regtest', '--chain', chain, '--log-level', 'warn', ...places]
  const child = await spawnFulmen({ name: 'payer', args, logFile: join(dataDir, 'log') })
  spawned.push(child)
  const startMs = round(performance.now() - begun, 0)
  const url = child.ready.api!
  return { startMs, url, client: new FulmenClient({ url, key }) }
}

async function timePages(client: FulmenClient, payments: number): Promise<readonly Figure[]> {
  const at = (seq: number) => ({ limit: PAGE, cursor: String(seq).padStart(16, '0') })
  const [middle, end] = [at(Math.floor(payments / 2)), at(PAGE + 1)]
  const full = async (list: Promise<{ readonly items: readonly unknown[] }>): Promise<void> => {
    const { items } = await list
    if (items.length !== PAGE) throw new Error(`a page of ${items.length} where ${PAGE} were asked for`)
  }
  const lists: readonly (readonly [string, () => Promise<void>])[] = [
    ['payments, first page', () => full(client.payments.list({ limit: PAGE }))],
    ['payments, in the middle', () => full(client.payments.list(middle))],
    ['payments, last page', () => full(client.payments.list(end))],
    ['payments that succeeded, in the middle', () => full(client.payments.list({ ...middle, status: 'succeeded' }))],
    ['invoices, first page', () => full(client.invoices.list({ limit: PAGE }))],
  ]
  const figures: Figure[] = []
  for (const [name, ask] of lists) figures.push(figure(name, await times(TRIES, ask)))
  return figures
}

async function times(count: number, ask: () => Promise<unknown>): Promise<number[]> {
  const taken: number[] = []
  for (let n = 0; n < count; n++) {
    const begun = performance.now()
    await ask()
    taken.push(performance.now() - begun)
  }
  return taken
}

function figure(name: string, taken: readonly number[]): Figure {
  const sorted = taken.toSorted((a, b) => a - b)
  const quantile = (q: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!, 1)
  return { name, medianMs: quantile(0.5), p99Ms: quantile(0.99) }
}

type Load = Awaited<ReturnType<typeof underLoad>>

async function underLoads(client: FulmenClient, payee: DemoNode, where: Omit<Asking, 'forMs'>) {
  const loads: Load[] = []
  for (const inFlight of LOADS) loads.push(await underLoad(client, payee, where, inFlight))
  return loads
}

/** Pays as fast as it goes, and asks for the node meanwhile. */
async function underLoad(client: FulmenClient, payee: DemoNode, where: Omit<Asking, 'forMs'>, inFlight: number) {
  const end = performance.now() + LOAD_MS
  let paid = 0
  const payer = async (): Promise<void> => {
    while (performance.now() < end) {
      await payOne(client, payee)
      paid++
    }
  }
  const asker = new Worker(ASKER, { workerData: { ...where, forMs: LOAD_MS } satisfies Asking })
  const [[taken]] = await Promise.all([
    once(asker, 'message') as Promise<[number[]]>,
    ...Array.from({ length: inFlight }, payer),
  ])
  const paidPerSecond = round(paid / (LOAD_MS / 1000), 0)
  return figure(`GET /v1/node, ${inFlight} payments in flight, ${paidPerSecond} per second`, taken)
}

const text = (payments: number, { pages, loads, scanMs, startMs, withoutHistory }: Result) =>
  [
    `Lists with ${payments} payments, as many events, and ${Math.ceil(payments / 10)} invoices`,
    table(
      ['', 'median ms', 'p99 ms', 'target ms'],
      [
        ...pages.map((f) => [f.name, f.medianMs, f.p99Ms, TARGETS.pageMs]),
        ['a list that scans', round(scanMs, 0), round(scanMs, 0), TARGETS.pageMs],
        ...loads.map((f) => [f.name, f.medianMs, f.p99Ms, TARGETS.nodeP99Ms]),
        ...withoutHistory.loads.map((f) => [`${f.name}, without a history`, f.medianMs, f.p99Ms, TARGETS.nodeP99Ms]),
        ['start', startMs, startMs, TARGETS.startMs],
        ['start without a history', withoutHistory.startMs, withoutHistory.startMs, TARGETS.startMs],
      ],
    ),
  ].join('\n')
