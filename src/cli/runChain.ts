import { join } from 'node:path'
import { createEmbeddedChain } from '../chain/embedded/chain.ts'
import { type RpcServer, type RpcServerOptions, startRpcServer } from '../chain/embedded/rpc.ts'
import { dataDirOf } from '../node/config.ts'
import { isLoopback, readEndpoint } from '../node/configOptions.ts'
import { mineEvery } from '../node/localChain.ts'
import { makeDataDirectory } from '../store/files.ts'
import { CliError, EXIT } from './errors.ts'
import { notice, show } from './output.ts'
import type { GlobalOptions } from './remote.ts'
import { stopSignal } from './signals.ts'

export interface ChainOptions extends GlobalOptions {
  /** host:port */
  readonly rpc: string
  /** user:password */
  readonly rpcAuth?: string
  readonly mineEvery: number
}

/** Runs the embedded chain alone until SIGTERM or Ctrl-C, with its blocks in the data directory. */
export async function runChain(options: ChainOptions): Promise<void> {
  const stopped = stopSignal()
  const dataDir = dataDirOf(options.dataDir, process.env)
  await makeDataDirectory(dataDir)
  const chain = createEmbeddedChain({ dir: join(dataDir, 'chain'), clock: () => Math.floor(Date.now() / 1000) })
  const timer = mineEvery(chain, options.mineEvery)
  try {
    let onStop = (): void => {}
    const asked = new Promise<void>((resolve) => {
      onStop = resolve
    })
    const server = await serve(chain, { ...rpcOptions(options), onStop })
    announce(server, options)
    await Promise.race([stopped, asked])
    await server.close()
  } finally {
    clearInterval(timer)
    chain.close()
  }
}

function rpcOptions({ rpc, rpcAuth }: ChainOptions): RpcServerOptions {
  const { host, port } = readEndpoint(rpc)
  if (rpcAuth === undefined) {
    if (!isLoopback(host)) {
      throw new CliError(
        `--rpc ${rpc} can be reached from other machines: ask for a password with --rpc-auth`,
        EXIT.usage,
      )
    }
    return { host, port }
  }
  const colon = rpcAuth.indexOf(':')
  if (colon < 1) throw new CliError('--rpc-auth: expected user:password', EXIT.usage)
  return { host, port, user: rpcAuth.slice(0, colon), password: rpcAuth.slice(colon + 1) }
}

async function serve(chain: Parameters<typeof startRpcServer>[0], options: RpcServerOptions): Promise<RpcServer> {
  try {
    return await startRpcServer(chain, options)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    throw new CliError(`--rpc: port ${options.port} is taken by another program; choose another`)
  }
}

function announce({ host, port }: RpcServer, options: ChainOptions): void {
  const rpc = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  show(options.json === true, { rpc }, () => `the embedded chain is ready: JSON-RPC at ${rpc}`)
  if (options.json !== true && options.rpcAuth === undefined) {
    notice('Without --rpc-auth every user and password is accepted.')
  }
}
