import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import type { Finding } from '../../../src/api/checks/finding.ts'
import { startApi } from '../../../src/api/start.ts'
import { apiPinFile, apiUrlFile } from '../../../src/cli/remote.ts'
import type { ApiAccess } from '../../../src/node/access.ts'
import { resolveConfig } from '../../../src/node/config.ts'
import { type RunningNode, startNode } from '../../../src/node/start.ts'
import { ballastPath } from '../../../src/store/files.ts'
import { run, withoutVariables } from '../run.ts'

/* Real nodes, and what the doctor says of them. */

let healthy: string
/** Of the node that is looked at. */
export let dataDir: string
/** What ends with the test. */
export const open: (() => Promise<unknown>)[] = []

interface Running {
  readonly node: RunningNode
  readonly url: string
  readonly key: string
}
/** A node on that directory, with its API. */
export async function start(directory: string, access?: ApiAccess): Promise<Running> {
  const flags = { 'data-dir': directory, listen: 'none', api: '127.0.0.1:0', 'log-level': 'silent' }
  const { config } = resolveConfig({ flags, env: {} })
  const node = await startNode(config)
  open.push(() => node.stop())
  const onPin = (pin: string) => writeFile(apiPinFile(directory), `${pin}\n`)
  const serving = { host: '127.0.0.1', port: 0, dataDir: directory, onPin, ...(access && { access }) }
  const api = await startApi(node.service, serving)
  open.push(() => api.stop())
  await writeFile(apiUrlFile(directory), `${api.url}\n`)
  open.push(() => rm(apiUrlFile(directory), { force: true }))
  return { node, url: api.url, key: (await readFile(join(directory, 'admin.key'), 'utf8')).trim() }
}
const stopAll = async () => {
  for (const close of open.splice(0).toReversed()) await close()
}

/** A directory of a healthy node before each test, a copy that it may break. */
export function setDirectory(): void {
  beforeAll(async () => {
    healthy = await mkdtemp(join(tmpdir(), 'fulmen-doctor-'))
    const { node } = await start(healthy)
    await node.service.newAddress()
    await node.service.newAddress()
    await stopAll()
    await rm(ballastPath(healthy)) // 32 MiB that every test would copy
  })
  afterAll(() => rm(healthy, { recursive: true }))
  beforeEach(async () => {
    withoutVariables()
    dataDir = await mkdtemp(join(tmpdir(), 'fulmen-doctor-'))
    await cp(healthy, dataDir, { recursive: true, preserveTimestamps: true })
  })
  afterEach(async () => {
    await stopAll()
    vi.unstubAllEnvs()
    await rm(dataDir, { recursive: true, force: true })
  })
}

export const IDLE = ['--listen', 'none', '--api', '127.0.0.1:0']

/** What the doctor says, and the code that it ends with. */
export async function doctor(...args: string[]): Promise<{ code: number; findings: readonly Finding[] }> {
  const { code, out, err } = await run('--data-dir', dataDir, 'doctor', ...IDLE, ...args, '--json')
  expect(out, err).not.toBe('')
  const { healthy: isHealthy, findings } = JSON.parse(out)
  expect(code).toBe(isHealthy ? 0 : 1)
  return { code, findings }
}
export const worse = (findings: readonly Finding[]) => findings.filter((f) => f.level !== 'ok')

/** An HTTP server until the test ends. @returns its port */
export async function listener(answer?: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}
