import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toHex } from '../../base/bytes.ts'
import { FulmenClient } from '../../client/index.ts'
import { readAdminKey, type Spawned, spawnFulmen } from '../processes.ts'
import { DemoError } from './wait.ts'

export const NAMES = ['alice', 'bob', 'carol'] as const
export type Name = (typeof NAMES)[number]

/** A node of the demo, as its operator has it: an address and a key. */
export interface DemoNode {
  readonly name: string
  readonly url: string
  readonly key: string
  readonly keyFile: string
  readonly nodeId: string
  /** nodeId@host:port */
  readonly uri: string
  readonly client: FulmenClient
}

export interface Network {
  /** Everything that it writes is in here. */
  readonly directory: string
  readonly nodes: Readonly<Record<Name, DemoNode>>
  readonly pids: readonly number[]
  /** Rejects when one of its processes ends by itself; never resolves. */
  readonly failed: Promise<never>
  /** Ends the processes and deletes the folder. */
  stop(): Promise<void>
  /** Lets the processes outlive this one and leaves the folder. */
  release(): void
}

export interface NetworkOptions {
  /** A Bitcoin node to use in place of the embedded chain: http://user:password@host:port */
  readonly chain?: string
  readonly signal: AbortSignal
}

/**
 * A chain and three nodes in processes of their own, on free loopback ports, in a fresh temporary folder.
 * @throws ProcessError when one does not start; nothing is left then
 */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const directory = await mkdtemp(join(tmpdir(), 'fulmen-demo-'))
  const spawned: Spawned[] = []
  const stop = async (): Promise<void> => {
    // The chain last: what a node is still asking it would be asked again and again.
    for (const group of [spawned.slice(1), spawned.slice(0, 1)]) await Promise.all(group.map((child) => child.stop()))
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const chain = options.chain ?? (await startChain(directory, spawned))
    options.signal.throwIfAborted()
    const started = await Promise.allSettled(NAMES.map((name) => startOne({ name, directory, chain, spawned })))
    const nodes = started.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
    options.signal.throwIfAborted()
    return {
      directory,
      nodes: Object.fromEntries(nodes.map((node) => [node.name, node])) as unknown as Record<Name, DemoNode>,
      pids: spawned.map((child) => child.pid),
      failed: firstToEnd(spawned),
      stop,
      release: () => {
        for (const child of spawned) child.release()
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function firstToEnd(spawned: readonly Spawned[]): Promise<never> {
  const failed = Promise.race(
    spawned.map(async (child): Promise<never> => {
      throw new DemoError(`${child.name} ${await child.ended}`)
    }),
  )
  failed.catch(() => {}) // whoever races it sees it; when nobody does, it is the end that we asked for
  return failed
}

/** An embedded chain in a process of its own. @returns the URL that nodes reach it by */
export async function startChain(directory: string, spawned: Spawned[], main?: string): Promise<string> {
  const dataDir = join(directory, 'chain')
  await mkdir(dataDir)
  const password = toHex(randomBytes(16))
  const chain = await spawnFulmen({
    name: 'the chain',
    args: ['chain', '--rpc', '127.0.0.1:0', '--rpc-auth', `fulmen:${password}`, '--data-dir', dataDir],
    logFile: join(dataDir, 'log'),
    ...(main !== undefined && { main }),
  })
  spawned.push(chain)
  const url = new URL(chain.ready.rpc ?? '')
  url.username = 'fulmen'
  url.password = password
  return url.href
}

export interface StartOne {
  readonly name: string
  /** What it calls itself; by default its name. */
  readonly alias?: string
  readonly directory: string
  readonly chain: string
  readonly spawned: Spawned[]
  /** The program; by default the one that this process runs. */
  readonly main?: string
  /** Further options of `fulmen start`. */
  readonly options?: readonly string[]
}

/** A node in a process of its own. */
export async function startOne(start: StartOne): Promise<DemoNode> {
  const { name, alias = name, directory, chain, spawned, main, options = [] } = start
  const dataDir = join(directory, name)
  await mkdir(dataDir)
  const rest = ['--data-dir', dataDir, '--api', '127.0.0.1:0', '--listen', '127.0.0.1:0', ...options]
  const child = await spawnFulmen({
    name,
    args: ['start', '--network', 'regtest', '--chain', chain, '--alias', alias, '--log-level', 'warn', ...rest],
    logFile: join(dataDir, 'log'),
    ...(main !== undefined && { main }),
  })
  spawned.push(child)
  const { api, listen, nodeId } = child.ready
  if (api === undefined || listen === undefined || nodeId === undefined) {
    throw new DemoError(`${name} did not say where it listens`)
  }
  const key = await readAdminKey(dataDir)
  const client = new FulmenClient({ url: api, key })
  return { name, url: api, key, keyFile: join(dataDir, 'admin.key'), nodeId, uri: `${nodeId}@${listen}`, client }
}
