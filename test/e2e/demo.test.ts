import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type DemoNode, startChain, startOne } from '../../src/cli/demo/network.ts'
import type { Spawned } from '../../src/cli/processes.ts'
import { buildProgram } from './program.ts'
import { BITCOIND, startBitcoind } from './realNode.ts'

const PAYMENTS = 60
/** Three nodes and a chain start, and several hundred blocks are mined: on a busy machine that takes a while. */
vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 })

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}
interface Running {
  readonly ended: Promise<Ended>
  /** Resolves when standard error has the text. */
  said(text: string): Promise<void>
  interrupt(): void
}

/** Everything that the program writes goes below `temp`. */
function runDemo(main: string, temp: string, args: readonly string[]): Running {
  const env = { ...process.env, TMPDIR: temp }
  const child = spawn(process.execPath, [main, 'demo', '--json', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  const looking = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk
      for (const look of looking) look()
    })
  }
  return {
    ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, ...text }))),
    said: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (text.stderr.includes(wanted)) resolve()
        }
        looking.add(look)
        child.once('close', () => reject(new Error(`the demo ended before it said "${wanted}":\n${text.stderr}`)))
        look()
      }),
    interrupt: () => void child.kill('SIGINT'),
  }
}

function expectWholeAccount({ code, stdout, stderr }: Ended): void {
  expect(code, stderr).toBe(0)
  const report = JSON.parse(stdout)
  expect(Object.keys(report)).toEqual([
    ...['channelsOpened', 'payments', 'closes', 'allConfirmed', 'conserved', 'nodes'],
  ])
  expect(report).toMatchObject({
    channelsOpened: 2,
    payments: { succeeded: PAYMENTS, failed: 0 },
    closes: { cooperative: 1, force: 1 },
    allConfirmed: true,
    conserved: true,
  })
  const { perSecond, p50Ms, p99Ms } = report.payments
  expect(perSecond).toBeGreaterThan(0)
  expect(p99Ms).toBeGreaterThanOrEqual(p50Ms)
  expect(report.nodes.map((node: { name: string }) => node.name)).toEqual(['alice', 'bob', 'carol'])
}

let main = ''
beforeAll(() => {
  main = buildProgram('demo')
})

describe('fulmen demo', () => {
  let temp = ''
  beforeAll(() => {
    temp = mkdtempSync(join(tmpdir(), 'fulmen-test-'))
  })
  afterAll(() => rmSync(temp, { recursive: true, force: true }))

  it('opens, pays, closes both ways, accounts for every satoshi, and leaves no file', async () => {
    expectWholeAccount(await runDemo(main, temp, ['--payments', String(PAYMENTS)]).ended)
    expect(readdirSync(temp)).toEqual([])
  })

  it('interrupted, it stops its processes, deletes its folder and says so', async () => {
    const demo = runDemo(main, temp, [])
    await demo.said('up: alice, bob, carol')
    demo.interrupt()
    const { code, stdout, stderr } = await demo.ended
    expect(code).toBe(130)
    expect(stdout).toBe('')
    expect(stderr).toContain('interrupted')
    expect(readdirSync(temp)).toEqual([])
  })

  if (!BITCOIND) {
    console.warn('LEFT OUT: the demo was not run on a real Bitcoin node, because FULMEN_BITCOIND names no bitcoind')
  }
  it.skipIf(!BITCOIND)('does the same on a real Bitcoin node (left out unless FULMEN_BITCOIND names one)', async () => {
    const node = await startBitcoind(BITCOIND!)
    try {
      expectWholeAccount(await runDemo(main, temp, ['--payments', String(PAYMENTS), '--chain', node.url]).ended)
    } finally {
      await node.stop()
    }
  })
})

describe('fulmen setup', () => {
  it('funds, connects and opens what is missing, and the second time changes nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'fulmen-test-'))
    const spawned: Spawned[] = []
    try {
      const chain = await startChain(directory, spawned, main)
      const nodes: DemoNode[] = []
      for (const name of ['alice', 'bob']) nodes.push(await startOne({ name, directory, chain, spawned, main }))
      const [alice, bob] = nodes as [DemoNode, DemoNode]
      const args = nodes.map(({ name, url }) => `--node=${name}=${url}=${join(directory, name)}`)
      const run = () =>
        JSON.parse(execFileSync(process.execPath, [main, 'setup', '--json', ...args], { encoding: 'utf8' }))

      const first = run()
      expect(first).toMatchObject({ changed: true, funded: ['alice', 'bob'], opened: ['alice → bob'] })
      const { height } = await alice.client.chain.get()
      const second = run()
      expect(second).toMatchObject({ changed: false, funded: [], opened: [] })
      expect((await alice.client.chain.get()).height).toBe(height)
      expect((await alice.client.channels.list()).items).toHaveLength(1)

      const { bolt11 } = await bob.client.invoices.create({ amountMsat: 25_000_000, description: 'hello' })
      expect((await alice.client.payments.send({ bolt11 }, { wait: 20 })).status).toBe('succeeded')
    } finally {
      for (const child of spawned.toReversed()) await child.stop()
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
