import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type NodeId, nodeId } from '../../../src/base/ids.ts'
import { freePorts } from '../../freePorts.ts'

/** An unpacked eclair-node distribution, the folder with `lib`; undefined: the test that needs it is left out, and says so. */
export const ECLAIR = process.env.FULMEN_ECLAIR
export const NAMED = '(left out unless FULMEN_ECLAIR and FULMEN_BITCOIND name one)'

/** A real eclair on loopback, driven by its HTTP API. */
export interface Eclair {
  readonly nodeId: NodeId
  /** For peers. */
  readonly port: number
  /** One call of its API. Rejects with eclair's own words. */
  call<T = unknown>(method: string, parameters?: Readonly<Record<string, unknown>>): Promise<T>
  /** Ends the process. */
  stop(): Promise<void>
  /** Ends it at once, whatever it does. */
  kill(): Promise<void>
  /** After stop() or kill(), on the same data. @param more lines of eclair.conf, from now on */
  restart(more?: EclairOptions['config']): Promise<void>
  /** What eclair wrote to its log so far. */
  log(): string
  readonly dataDir: string
  /** Ends the process, and removes its data. */
  destroy(): Promise<void>
}

export interface EclairOptions {
  /** Of a bitcoind that says it is Core 31, and whose only wallet is eclair's: http://user:password@host:port */
  readonly bitcoind: string
  /** Port on which bitcoind publishes hashblock and rawtx. */
  readonly zmqPort: number
  /** Lines of eclair.conf without `eclair.` in front. */
  readonly config: Readonly<Record<string, unknown>>
}

const PASSWORD = 'test'
const START_MS = 300_000
/** What would otherwise wait for a random while. */
const AT_ONCE = {
  'channel.max-restart-watch-delay': '1 second',
  'channel.max-block-processing-delay': '0 seconds',
  'channel.max-tx-publish-retry-delay': '1 second',
  'initial-random-reconnect-delay': '0 seconds',
  'auto-reconnect': false,
  'router.broadcast-interval': '1 second',
  'bitcoind.final-address-refresh-delay': '0 seconds',
}

/** @param path of the distribution */
export async function startEclair(path: string, options: EclairOptions): Promise<Eclair> {
  const dataDir = mkdtempSync(join(tmpdir(), 'fulmen-eclair-'))
  const [port, apiPort] = (await freePorts(2)) as [number, number]
  const rpc = new URL(options.bitcoind)
  const zmq = `tcp://127.0.0.1:${options.zmqPort}`
  const config: Record<string, unknown> = {
    chain: 'regtest',
    'node-alias': 'eclair',
    'server.binding-ip': '127.0.0.1',
    'server.port': port,
    'api.enabled': true,
    'api.port': apiPort,
    'api.password': PASSWORD,
    'bitcoind.host': '127.0.0.1',
    'bitcoind.rpcport': Number(rpc.port),
    'bitcoind.rpcuser': rpc.username,
    'bitcoind.rpcpassword': rpc.password,
    'bitcoind.zmqblock': zmq,
    'bitcoind.zmqtx': zmq,
    'bitcoind.startup-locked-utxos-behavior': 'unlock',
    ...AT_ONCE,
    ...options.config,
  }
  const configure = (): void => {
    const lines = Object.entries(config).map(([name, value]) => `eclair.${name} = ${JSON.stringify(value)}`)
    writeFileSync(join(dataDir, 'eclair.conf'), `${lines.join('\n')}\n`)
  }

  const call = async <T>(method: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<T> => {
    const answer = await fetch(`http://127.0.0.1:${apiPort}/${method}`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`:${PASSWORD}`)}` },
      body: new URLSearchParams(Object.entries(parameters).map(([k, v]): [string, string] => [k, String(v)])),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`eclair ${method}: ${text}`)
    return JSON.parse(text) as T
  }

  let running: { readonly child: ChildProcess; readonly exited: Promise<void> } | null = null
  const start = async (): Promise<NodeId> => {
    configure()
    const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin/java') : 'java'
    const child = spawn(
      java,
      // An unreleased eclair refuses to start otherwise.
      [
        '-Declair.allow-unsafe-startup=true',
        '-Xmx1g',
        '-XX:+UseSerialGC',
        `-Declair.datadir=${dataDir}`,
        '-cp',
        join(path, 'lib/*'),
        'fr.acinq.eclair.Boot',
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const log = createWriteStream(join(dataDir, 'console.log'), { flags: 'a' })
    child.stdout.pipe(log)
    child.stderr.pipe(log)
    running = { child, exited: new Promise((resolve) => child.on('exit', () => resolve())) }
    const deadline = performance.now() + START_MS
    for (;;) {
      const info = await call<{ nodeId: string }>('getinfo').catch(() => null)
      if (info) return nodeId(info.nodeId)
      if (child.exitCode !== null || performance.now() > deadline)
        throw new Error(`eclair did not start, see ${dataDir}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    running?.child.kill(signal)
    await running?.exited
    running = null
  }
  const stop = () => end('SIGTERM')
  const id = await start()
  return {
    nodeId: id,
    port,
    log: () => readFileSync(join(dataDir, 'eclair.log'), 'utf8'),
    dataDir,
    call,
    stop,
    kill: () => end('SIGKILL'),
    restart: async (more = {}) => {
      Object.assign(config, more)
      await start()
    },
    destroy: async () => {
      await stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
