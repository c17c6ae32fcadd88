import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startApi } from '../../src/api/start.ts'
import { FakeNode } from '../api/fakeNode.ts'
import { type Ran, run } from './run.ts'

/** A node that is made up behind a real API, and the command line that finds it by its data directory. */
export interface CliNode {
  readonly dataDir: string
  readonly node: FakeNode
  readonly api: Awaited<ReturnType<typeof startApi>>
  fulmen(...args: readonly string[]): Promise<Ran>
  stop(): Promise<void>
}

export async function startCliNode(): Promise<CliNode> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fulmen-cli-'))
  const node = new FakeNode()
  const api = await startApi(node, { host: '127.0.0.1', port: 0, dataDir })
  await writeFile(join(dataDir, 'api.url'), `${api.url}\n`)
  return {
    dataDir,
    node,
    api,
    fulmen: (...args) => run('--data-dir', dataDir, ...args),
    stop: async () => {
      await api.stop()
      await rm(dataDir, { recursive: true })
    },
  }
}
