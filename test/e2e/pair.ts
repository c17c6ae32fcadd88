import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startApi } from '../../src/api/start.ts'
import { createEmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { startRpcServer } from '../../src/chain/embedded/rpc.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { resolveConfig } from '../../src/node/config.ts'
import { startNode } from '../../src/node/start.ts'

/** A node of this process, with its API. */
export interface Running {
  readonly client: FulmenClient
  readonly url: string
  readonly key: string
  /** Where peers find it. */
  readonly uri: string
}

export interface Pair {
  readonly alice: Running
  readonly bob: Running
  stop(): Promise<void>
}

/** Two nodes over real sockets on one embedded chain, of which alice has coins to spend. */
export async function startPair(): Promise<Pair> {
  const directory = await mkdtemp(join(tmpdir(), 'fulmen-pair-'))
  const closing: (() => unknown)[] = [() => rm(directory, { recursive: true })]
  const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
  const rpc = await startRpcServer(chain, { host: '127.0.0.1', port: 0 })
  closing.push(
    () => chain.close(),
    () => rpc.close(),
  )

  const start = async (name: string): Promise<Running> => {
    const dataDir = join(directory, name)
    const flags = {
      'data-dir': dataDir,
      chain: `http://u:p@127.0.0.1:${rpc.port}`,
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

  const [alice, bob] = [await start('alice'), await start('bob')]
  await alice.client.chain.mine(3, (await alice.client.wallet.newAddress()).address)
  await alice.client.chain.mine(100)
  const stop = async (): Promise<void> => {
    for (const close of closing.toReversed()) await close()
  }
  return { alice, bob, stop }
}
