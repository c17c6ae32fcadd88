import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startApi } from '../../src/api/start.ts'
import { createEmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { startRpcServer } from '../../src/chain/embedded/rpc.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { resolveConfig } from '../../src/node/config.ts'
import { startNode } from '../../src/node/start.ts'

/* The examples of docs/examples against real nodes over real sockets, word for word. */

const EXAMPLES = new URL('../../docs/examples/', import.meta.url)
const LINES = 10
const closing: (() => unknown)[] = []
let directory: string
let alice: Running
let bob: Running

interface Running {
  readonly client: FulmenClient
  readonly url: string
  readonly key: string
  readonly uri: string
}
async function start(name: string, chain: string): Promise<Running> {
  const dataDir = join(directory, name)
  const flags = {
    'data-dir': dataDir,
    chain,
    api: '127.0.0.1:0',
    listen: '127.0.0.1:0',
    alias: name,
    'log-level': 'silent',
  }
  const node = await startNode(resolveConfig({ flags, env: {} }).config)
  closing.push(() => node.stop())
  const { url, stop, adminKey } = await startApi(node.service, { host: '127.0.0.1', port: 0, dataDir })
  closing.push(stop)
  const key = adminKey.created!
  return { client: new FulmenClient({ url, key }), url, key, uri: `${node.service.info().nodeId}@${node.listen}` }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fulmen-examples-'))
  const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
  const rpc = await startRpcServer(chain, { host: '127.0.0.1', port: 0 })
  closing.push(
    () => chain.close(),
    () => rpc.close(),
  )
  const url = `http://u:p@127.0.0.1:${rpc.port}`
  ;[alice, bob] = [await start('alice', url), await start('bob', url)]
  await alice.client.chain.mine(3, (await alice.client.wallet.newAddress()).address)
  await alice.client.chain.mine(100)
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
  await rm(directory, { recursive: true })
})

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
