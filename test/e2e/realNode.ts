import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { httpTransport, type RpcTransport } from '../../src/chain/rpc.ts'
import { freePorts } from '../freePorts.ts'

/** Path of a bitcoind (Core 29 or Knots); undefined: tests that need one are left out, and say so. */
export const BITCOIND = process.env.FULMEN_BITCOIND

/** A bitcoind of its own on regtest, with an empty chain. */
export interface RealNode {
  /** http://user:password@host:port */
  readonly url: string
  readonly transport: RpcTransport
  /** Where peers of its own kind find it. */
  readonly port: number
  /** Ends it and starts it again on its data; resolves when it answers. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** @param more options of bitcoind's own, e.g. `-maxmempool=5` */
export async function startBitcoind(path: string, more: readonly string[] = []): Promise<RealNode> {
  const dir = mkdtempSync(join(tmpdir(), 'fulmen-bitcoind-'))
  const [rpcPort, port] = await freePorts(2)
  const knots = execFileSync(path, ['--version'], { encoding: 'utf8' }).includes('Knots')
  const options = [
    ...['-regtest', `-datadir=${dir}`, '-server', '-rpcuser=u', '-rpcpassword=p', `-rpcport=${rpcPort}`],
    ...[`-bind=127.0.0.1:${port}`, '-dnsseed=0', '-fixedseeds=0', '-listenonion=0', '-discover=0', '-txindex'],
    ...['-minrelaytxfee=0.00001', '-incrementalrelayfee=0.00001'],
    ...(knots ? ['-corepolicy', '-mempooltruc=enforce'] : []),
    ...more,
  ]
  const url = `http://u:p@127.0.0.1:${rpcPort}`
  const transport = httpTransport({ url })
  let child: ChildProcess
  const start = async (): Promise<void> => {
    child = spawn(path, options, { stdio: 'ignore' })
    for (;;) {
      const up = await transport.call('getblockcount', [], { timeoutMs: 5_000 }).then(
        () => true,
        () => false,
      )
      if (up) return
      if (child.exitCode !== null) throw new Error('bitcoind ended at once')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  const end = async (): Promise<void> => {
    const exited = new Promise<void>((resolve) => child.on('exit', () => resolve()))
    child.kill()
    if (child.exitCode === null && child.signalCode === null) await exited
  }
  await start()
  return {
    url,
    transport,
    port: port!,
    async restart() {
      await end()
      await start()
    },
    async stop() {
      transport.close()
      await end()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
