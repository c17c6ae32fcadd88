import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { beforeEach, expect, it, vi } from 'vitest'
import { createEmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { rpcHandler } from '../../src/chain/embedded/rpc.ts'
import { sealBackup } from '../../src/node/backup.ts'
import { backupKey, masterKey } from '../../src/wallet/keys.ts'
import { run, withoutVariables } from './run.ts'

beforeEach(withoutVariables)

/** Words and backup of a node without channels, as options. */
async function lostNode(dir: string): Promise<string[]> {
  const words = 'legal winner thank year wave sausage worth useful legal winner thank yellow'
  const empty = { version: 2 as const, nodeId: '02'.repeat(33) as never, journal: 7, channels: [], nextKeyIndex: 3 }
  const files = { words: join(dir, 'words'), backup: join(dir, 'backup') }
  await writeFile(files.words, words)
  await writeFile(files.backup, sealBackup(empty, backupKey(masterKey(words, 'regtest'))))
  return ['--words-file', files.words, '--backup', files.backup]
}

it.each(['start', 'restore'])(
  'a node that waits for its Bitcoin node to load ends at the first signal: %s',
  async (command) => {
    const dir = await mkdtemp(join(tmpdir(), 'fulmen-stopping-'))
    const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
    const handler = rpcHandler(chain)
    let [asked, isWarm] = [0, false]
    const server = createServer((request, response) => {
      const answer = async (): Promise<object> => {
        const { id, method, params } = (await json(request)) as { id: number; method: string; params: unknown[] }
        asked++
        if (!isWarm) return { result: null, error: { code: -28, message: 'Loading block index…' }, id }
        return { result: await handler(method, params), error: null, id }
      }
      void answer().then((body) => response.end(JSON.stringify(body)))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const exits: unknown[] = []
    const others = process.listeners('SIGTERM')
    const exit = vi.spyOn(process, 'exit').mockImplementation(((code: unknown) => void exits.push(code)) as never)
    const backend = `http://u:p@127.0.0.1:${(server.address() as AddressInfo).port}`
    const at = ['--chain', backend, '--api', '127.0.0.1:0', '--listen', '127.0.0.1:0', '--log-level', 'silent']
    const lost = command === 'restore' ? await lostNode(dir) : []
    const running = run('--data-dir', join(dir, 'node'), command, ...at, ...lost)
    await vi.waitFor(() => expect(asked).toBeGreaterThan(0), 20_000)
    process.emit('SIGTERM')
    await vi.waitFor(() => expect(exits).toEqual([0]))
    // Here the process goes on: up at last, it stops in good order.
    isWarm = true
    expect(await running).toMatchObject({ code: 0, err: expect.stringContaining('before the node was up') })
    expect(exits).toEqual([0])
    for (const own of process.listeners('SIGTERM')) if (!others.includes(own)) process.off('SIGTERM', own)
    exit.mockRestore()
    server.closeAllConnections()
    server.close()
    chain.close()
    await rm(dir, { recursive: true })
  },
)
