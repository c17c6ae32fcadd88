import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DemoNode, startChain, startOne } from '../../src/cli/demo/network.ts'
import { mine } from '../../src/cli/demo/steps.ts'
import { until } from '../../src/cli/demo/wait.ts'
import { table } from '../../src/cli/output.ts'
import { type Spawned, spawnFulmen } from '../../src/cli/processes.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { round } from '../harness.ts'
import { machine } from '../machine.ts'
import { type Answers, type Quantiles, Questions, quantiles } from './answers.ts'
import { fill, timeScan } from './fill.ts'
import { giveWay } from './priority.ts'

export interface ListOptions {
  readonly payments: number
  readonly json: boolean
}

/** What is asked of a node with a million payments. */
const TARGETS = { pageMs: 50, startMs: 3_000, nodeP99Ms: 5 } as const
const PAGE = 100
const TRIES = 30
/** The payments and what is to be copied of them. */
const TO_COPY_MS = 1_000
const CAPACITY_SAT = 100_000_000
const { signal } = new AbortController()

interface Figure extends Quantiles {
  readonly name: string
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

interface Scene {
  readonly directory: string
  readonly spawned: Spawned[]
  readonly payments: number
  readonly chain: string
  readonly payee: DemoNode
  readonly first: DemoNode
}

async function measure(directory: string, spawned: Spawned[], payments: number) {
  const chain = await startChain(directory, spawned)
  const payee = await startOne({ name: 'payee', directory, chain, spawned })
  const load = spawned.map(({ pid }) => giveWay(pid))
  const first = await startOne({ name: 'payer', directory, chain, spawned })
  const questions = await Questions.start(await first.client.node())
  try {
    const loadGivesWay = load.every((givesWay) => givesWay) && questions.payersGiveWay
    return { loadGivesWay, ...(await measureWith(questions, { directory, spawned, payments, chain, payee, first })) }
  } finally {
    questions.stop()
  }
}

async function measureWith(questions: Questions, scene: Scene) {
  const { directory, spawned, payments, chain, payee, first } = scene
  await openChannel(first, payee)
  await questions.pay({ payer: first, payee, inFlight: 1, forMs: TO_COPY_MS })
  await first.client.invoices.create({ amountMsat: 1_000, description: 'an invoice to copy', expirySeconds: 1 })
  await first.client.invoices.list().then(({ items }) => first.client.invoices.cancel(items[0]!.paymentHash))
  const dataDir = join(directory, 'payer')
  const fresh = await restart(spawned, dataDir, chain, first.key)
  await until('the channel', usableOver(fresh.client), { signal })
  const before = await questions.ask(fresh, payee)
  await spawned.pop()!.stop()
  await fill(dataDir, payments)
  const scanMs = await timeScan(dataDir, PAGE)
  // Once before: events that were put there all at once are news to what makes alerts and sums of them.
  await restart(spawned, dataDir, chain, first.key)
  const full = await restart(spawned, dataDir, chain, first.key)
  await until('the channel', usableOver(full.client), { signal })
  const pages = await timePages(full.client, payments)
  const answers = await questions.ask(full, payee)
  const withoutHistory = { startMs: fresh.startMs, answers: before }
  return { startMs: full.startMs, scanMs, pages, answers, withoutHistory }
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
  return { startMs, url, key, client: new FulmenClient({ url, key }) }
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
  for (const [name, ask] of lists) figures.push({ name, ...quantiles(await times(TRIES, ask)) })
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

const text = (payments: number, { pages, answers, scanMs, startMs, withoutHistory, loadGivesWay }: Result) =>
  [
    `Lists with ${payments} payments, as many events, and ${Math.ceil(payments / 10)} invoices`,
    table(
      ['', 'median ms', 'p99 ms', 'target ms'],
      [
        ...pages.map((f) => [f.name, f.medianMs, f.p99Ms, TARGETS.pageMs]),
        ['a list that scans', round(scanMs, 0), round(scanMs, 0), TARGETS.pageMs],
        ['start', startMs, startMs, TARGETS.startMs],
        ['start without a history', withoutHistory.startMs, withoutHistory.startMs, TARGETS.startMs],
      ],
    ),
    `GET /v1/node of a node that pays as fast as it goes; in turn with it a bare node:http server, idle otherwise, is asked.
${loadGivesWay ? 'Payee, chain and client give way to both' : 'NOTHING GIVES WAY to both: the priority of payee, chain and client could not be lowered here'}`,
    table(
      [
        'in flight',
        'per second',
        'median ms',
        'p99 ms',
        'bare: median ms',
        'p99 ms',
        'p99 over it: ms',
        '×',
        'target ms',
      ],
      [
        ...answers.map((a) => answersRow(a)),
        ...withoutHistory.answers.map((a) => answersRow(a, ', without a history')),
      ],
    ),
  ].join('\n')

const answersRow = ({ inFlight, paidPerSecond, node, bare }: Answers, what = '') => [
  `${inFlight}${what}`,
  paidPerSecond,
  ...[node.medianMs, node.p99Ms, bare.medianMs, bare.p99Ms],
  round(node.p99Ms - bare.p99Ms, 1),
  round(node.p99Ms / bare.p99Ms, 1),
  TARGETS.nodeP99Ms,
]
