import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Pair, type Running, startPair } from './pair.ts'

/* The examples of docs/examples against real nodes over real sockets, word for word. */

const EXAMPLES = new URL('../../docs/examples/', import.meta.url)
const LINES = 10
let pair: Pair
let alice: Running
let bob: Running

beforeAll(async () => {
  pair = await startPair()
  ;({ alice, bob } = pair)
})
afterAll(() => pair.stop())

const ran = new Set<string>()
/** Runs one example as Alice; `onLine` hears what it prints while it runs. @returns all of it */
async function run(
  name: string,
  args: readonly string[] = [],
  onLine: (line: string) => Promise<unknown> = async () => {},
) {
  ran.add(`${name}.ts`)
  const lines: string[] = []
  const heard: Promise<unknown>[] = []
  const log = vi.spyOn(console, 'log').mockImplementation((...parts) => {
    lines.push(parts.join(' '))
    heard.push(onLine(lines.at(-1)!))
  })
  const argv = vi.spyOn(process, 'argv', 'get').mockReturnValue([process.execPath, name, ...args])
  vi.stubEnv('FULMEN_URL', alice.url)
  vi.stubEnv('FULMEN_KEY', alice.key)
  try {
    await import(new URL(`${name}.ts`, EXAMPLES).pathname)
    await Promise.all(heard)
  } finally {
    log.mockRestore()
    argv.mockRestore()
    vi.unstubAllEnvs()
  }
  return lines
}

describe('docs/examples', () => {
  it('openChannel.ts', async () => {
    const lines = await run('openChannel', [bob.uri], async (line) => {
      if (line.startsWith('waiting')) await alice.client.chain.mine(6)
    })
    expect(lines).toEqual([
      expect.stringMatching(/^waiting for [0-9a-f]{64}:\d$/),
      expect.stringMatching(/^\d{9} msat can be sent$/),
    ])
  })

  it('pay.ts', async () => {
    const invoice = () => bob.client.invoices.create({ amountMsat: 20_000_000, description: 'x' })
    expect(await run('pay', [(await invoice()).bolt11])).toEqual(['paid 20000000 msat for 0 msat'])
  })

  it('listPayments.ts', async () => {
    expect(await run('listPayments')).toEqual([expect.stringMatching(/Z 20000000$/), 'fees 0 msat'])
  })

  it('receive.ts', async () => {
    const lines = await run('receive', [], async (line) => {
      if (line.startsWith('ln')) await bob.client.payments.send({ bolt11: line }, { wait: 60 })
    })
    expect(lines).toEqual([expect.stringMatching(/^lnbcrt/), 'paid'])
  })

  it('keyForShop.ts', async () => {
    expect(await run('keyForShop')).toEqual([expect.stringMatching(/^from now on \d\d other/), 'open'])
  })

  it('sendOnChain.ts', async () => {
    const { address } = await bob.client.wallet.newAddress()
    const lines = await run('sendOnChain', [address, '30000'])
    expect(lines).toEqual([
      expect.stringMatching(/ pays \d+ sat$/),
      expect.stringMatching(/ pays \d+ sat in its place$/),
    ])
    const [before, after] = lines.map((line) => Number(/pays (\d+)/.exec(line)?.[1]))
    expect(after).toBeGreaterThan(before! * 4)
  })

  it('are all run here, and short', async () => {
    const files = await readdir(EXAMPLES)
    expect(files.filter((name) => name.endsWith('.ts')).sort()).toEqual([...ran].sort())
    for (const name of ran) {
      const code = (await readFile(new URL(name, EXAMPLES), 'utf8'))
        .split('\n')
        .filter((line) => /^[^/\s]|^\s+\S/.test(line))
      expect(code.length, name).toBeLessThanOrEqual(LINES)
    }
  })
})
