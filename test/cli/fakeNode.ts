import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest'
import { startApi } from '../../src/api/start.ts'
import { FakeNode } from '../api/fakeNode.ts'
import { type Ran, run, withoutVariables } from './run.ts'

/* A node that is made up behind a real API, and the command line that finds it by its data directory. */

export let dataDir: string
export let node: FakeNode
export let api: Awaited<ReturnType<typeof startApi>>
export const fulmen = (...args: readonly string[]): Promise<Ran> => run('--data-dir', dataDir, ...args)

/** One such node for all tests of the file. */
export function setNode(): void {
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'fulmen-cli-'))
    node = new FakeNode()
    api = await startApi(node, { host: '127.0.0.1', port: 0, dataDir })
    await writeFile(join(dataDir, 'api.url'), `${api.url}\n`)
  })
  afterAll(async () => {
    await api.stop()
    await rm(dataDir, { recursive: true })
  })
  beforeEach(withoutVariables)
  afterEach(() => {
    vi.unstubAllEnvs()
    node.beforeAct = async () => {}
  })
}
