import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildProgram } from './program.ts'
import { BITCOIND, startBitcoind } from './realNode.ts'

const PAYMENTS = 60

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

describe('fulmen demo', () => {
  let main = ''
  let temp = ''
  beforeAll(() => {
    main = buildProgram('demo')
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
