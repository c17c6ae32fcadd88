import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Channel, Payment } from '../../src/api/schemas.ts'
import { startChain } from '../../src/cli/demo/network.ts'
import { fund, mine, untilRoute } from '../../src/cli/demo/steps.ts'
import { until } from '../../src/cli/demo/wait.ts'
import { readAdminKey, type Spawned, spawnFulmen } from '../../src/cli/processes.ts'
import { ApiError, ConnectionError } from '../../src/client/errors.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { freePorts } from '../freePorts.ts'
import { buildProgram } from './program.ts'

/** FULMEN_KILLS=200 FULMEN_SEED=7 npx vitest run test/e2e/kill.test.ts is the whole drill. */
const KILLS = Number(process.env.FULMEN_KILLS ?? 12)
const SEED = Number(process.env.FULMEN_SEED ?? 1)
vi.setConfig({ testTimeout: 120_000 + KILLS * 5_000, hookTimeout: 120_000 })

const NAMES = ['alice', 'bob', 'carol'] as const
type Name = (typeof NAMES)[number]
const CAPACITY_SAT = 16_000_000
/** Payments under way at any time. */
const AT_ONCE = 6
const { signal } = new AbortController()

/** Mulberry32: what happens next follows from the seed. */
function random(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A node that is killed and started again: the same directory and ports. */
class Victim {
  readonly name: Name
  readonly #args: readonly string[]
  readonly #main: string
  readonly dataDir: string
  readonly listen: string
  nodeId = ''
  client!: FulmenClient
  process: Spawned | null = null

  constructor(name: Name, place: { main: string; dataDir: string; chain: string; api: number; listen: number }) {
    const { main, dataDir, chain, api, listen } = place
    this.name = name
    this.dataDir = dataDir
    this.#main = main
    this.listen = `127.0.0.1:${listen}`
    const ports = ['--api', `127.0.0.1:${api}`, '--listen', this.listen]
    const options = [
      '--network',
      'regtest',
      '--chain',
      chain,
      '--alias',
      name,
      '--log-level',
      'warn',
      '--data-dir',
      dataDir,
    ]
    this.#args = ['start', ...options, ...ports]
  }

  async start(): Promise<void> {
    const logFile = join(this.dataDir, 'log')
    this.process = await spawnFulmen({ name: this.name, args: this.#args, main: this.#main, logFile })
    const { api, nodeId, blockHeight } = this.process.ready
    // It says where it stands in the chain; coins had to mature before the first kill.
    expect(blockHeight).toBeGreaterThanOrEqual(this.client ? 100 : 0)
    this.nodeId = nodeId!
    this.client = new FulmenClient({ url: api!, key: await readAdminKey(this.dataDir) })
  }

  /** A second process where one runs already. */
  another(): Promise<Spawned> {
    const ports = ['--api', '127.0.0.1:0', '--listen', '127.0.0.1:0']
    return spawnFulmen({ name: 'another', args: [...this.#args, ...ports], main: this.#main })
  }

  get uri(): string {
    return `${this.nodeId}@${this.listen}`
  }
}

let directory = ''
const spawned: Spawned[] = []
const nodes = {} as Record<Name, Victim>
const all = (): readonly Victim[] => NAMES.map((n) => nodes[n])
const LINKS = [
  ['alice', 'bob'],
  ['bob', 'carol'],
] as const

beforeAll(async () => {
  const main = buildProgram('kill')
  process.env.FULMEN_MAIN = main
  directory = await mkdtemp(join(tmpdir(), 'fulmen-kill-'))
  const chain = await startChain(directory, spawned)
  for (const name of NAMES) {
    const dataDir = join(directory, name)
    await mkdir(dataDir)
    const [api, listen] = (await freePorts(2)) as [number, number]
    nodes[name] = new Victim(name, { main, dataDir, chain, api, listen })
  }
  await Promise.all(all().map((n) => n.start()))
  await openChannels()
})
afterAll(async () => {
  await Promise.all([...all().map((n) => n.process), ...spawned].map((p) => p?.stop()))
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

/** Half of each channel on either side, announced, and both ends know how to reach the other. */
async function openChannels(): Promise<void> {
  await fund(all(), all(), 2, signal)
  const request = { capacitySat: CAPACITY_SAT, pushMsat: CAPACITY_SAT * 500, announce: true }
  for (const [from, to] of LINKS) {
    await nodes[from].client.channels.open({ ...request, peer: nodes[to].uri })
    await nodes[to].client.peers.connect(nodes[from].uri)
  }
  await mine(all(), 6, { signal })
  for (const node of all()) await untilUsable(node)
  await untilRoute(nodes.alice, nodes.carol, 1_000_000, signal)
  await untilRoute(nodes.carol, nodes.alice, 1_000_000, signal)
}

async function untilUsable({ name, client }: Victim): Promise<void> {
  const usable = async (): Promise<true | null> =>
    (await client.channels.list()).items.every((c) => c.usable) ? true : null
  await until(`the channels of ${name} to be usable`, usable, { signal })
}

// ---------------------------------------------------------------- payments, without end

interface Attempt {
  readonly from: Name
  readonly to: Name
  readonly hash: string
  readonly amountMsat: number
}

/** Invoices and payments one after the other, whatever answers; until it is told to stop. */
async function payOn(next: () => number, attempts: Attempt[], stopped: () => boolean): Promise<void> {
  while (!stopped()) {
    const from = NAMES[Math.floor(next() * 3)]!
    const to = NAMES[(NAMES.indexOf(from) + 1 + Math.floor(next() * 2)) % 3]!
    const amountMsat = Math.ceil(next() ** 3 * 2_000_000)
    try {
      const { bolt11, paymentHash } = await nodes[to].client.invoices.create({ amountMsat })
      attempts.push({ from, to, hash: paymentHash, amountMsat })
      await nodes[from].client.payments.send({ bolt11 }, { wait: 2 })
    } catch (e) {
      // Whoever was asked is dead, or has no way: what became of it is seen at the end.
      if (!(e instanceof ApiError) && !(e instanceof ConnectionError)) throw e
      await until('a moment to pass', async () => (next() < 0.5 ? true : null), { signal })
    }
  }
}

/** What the payer says became of it; null when it never had it on disk. */
async function paymentOf({ from, hash }: Attempt): Promise<Payment | null> {
  try {
    return await nodes[from].client.payments.get(hash)
  } catch (e) {
    if (e instanceof ApiError && e.code === 'NOT_FOUND') return null
    throw e
  }
}

const untilOver = (attempt: Attempt): Promise<{ payment: Payment | null }> =>
  until(
    `the payment ${attempt.hash} to end`,
    async () => {
      const payment = await paymentOf(attempt)
      return payment?.status === 'pending' ? null : { payment }
    },
    { signal },
  )

// ---------------------------------------------------------------- the account

const channelsOf = async (name: Name): Promise<readonly Channel[]> => (await nodes[name].client.channels.list()).items
const localMsat = async (name: Name): Promise<number> =>
  (await channelsOf(name)).reduce((sum, c) => sum + c.localMsat, 0)

/** Both ends of each channel say the same, and no HTLC is left in it. */
async function expectAgreement(): Promise<void> {
  for (const [a, b] of LINKS) {
    const [mine] = (await channelsOf(a)).filter((c) => c.peer === nodes[b].nodeId)
    const [theirs] = (await channelsOf(b)).filter((c) => c.peer === nodes[a].nodeId)
    const view = (c: Channel | undefined) => [c?.state, c?.usable, c?.htlcs.length]
    expect([view(mine), view(theirs)]).toEqual([
      ['normal', true, 0],
      ['normal', true, 0],
    ])
    expect([mine!.localMsat, mine!.remoteMsat]).toEqual([theirs!.remoteMsat, theirs!.localMsat])
  }
}

describe(`three nodes killed ${KILLS} times under payments (FULMEN_SEED=${SEED})`, () => {
  it('start again and go on: every payment ends, none is lost or made twice, no msat is missing', async () => {
    const next = random(SEED)
    const before = new Map<Name, number>()
    for (const name of NAMES) before.set(name, await localMsat(name))
    const attempts: Attempt[] = []
    let over = false
    const workers = Array.from({ length: AT_ONCE }, (_, i) => payOn(random(SEED + i), attempts, () => over))
    for (let kill = 0; kill < KILLS; kill++) {
      const victim = nodes[(['alice', 'bob', 'bob', 'carol'] as const)[Math.floor(next() * 4)]!]
      const paid = attempts.length + Math.floor(next() * 12)
      await until('payments to go on', async () => (attempts.length > paid ? true : null), { signal })
      await victim.process!.kill()
      await victim.start()
    }
    for (const node of all()) await untilUsable(node)
    over = true
    await Promise.all(workers)

    const gained = new Map<Name, number>(NAMES.map((n) => [n, 0]))
    const add = (name: Name, msat: number): void => void gained.set(name, gained.get(name)! + msat)
    let succeeded = 0
    for (const attempt of attempts) {
      const { payment } = await untilOver(attempt)
      const invoice = await nodes[attempt.to].client.invoices.get(attempt.hash)
      expect([attempt, payment?.status === 'succeeded']).toEqual([attempt, invoice.status === 'settled'])
      if (payment?.status !== 'succeeded') continue
      succeeded++
      expect([payment.amountMsat, invoice.receivedMsat]).toEqual([attempt.amountMsat, attempt.amountMsat])
      add(attempt.from, -payment.amountMsat - payment.feeMsat)
      add(attempt.to, payment.amountMsat)
      if (attempt.from !== 'bob' && attempt.to !== 'bob') add('bob', payment.feeMsat)
    }
    await until(
      'the last HTLCs to be gone',
      async () => {
        const lists = await Promise.all(NAMES.map(channelsOf))
        return lists.flat().every((c) => c.htlcs.length === 0) ? true : null
      },
      { signal },
    )
    await expectAgreement()
    for (const name of NAMES)
      expect([name, (await localMsat(name)) - before.get(name)!]).toEqual([name, gained.get(name)])
    expect(succeeded).toBeGreaterThan(KILLS)
  })

  it('a second process on the same directory is refused', async () => {
    const { alice } = nodes
    await expect(alice.another()).rejects.toThrow(/another process has .* open/)
  })

  it('a process whose port is taken ends, and names the option', async () => {
    const { alice } = nodes
    const args = ['start', '--data-dir', join(directory, 'late'), '--api', '127.0.0.1:0', '--listen', alice.listen]
    await expect(spawnFulmen({ name: 'late', args })).rejects.toThrow(
      /ended with code 1.*another address with --listen/s,
    )
  })
})
