import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe } from 'vitest'
import { type NodeId, nodeId } from '../../src/base/ids.ts'
import { BITCOIND, type RealNode } from '../e2e/realNode.ts'
import { freePorts } from '../freePorts.ts'
import { Rest } from './rest.ts'

/** Path of an lnd, 0.20 or later, with the tag invoicesrpc. */
const LND = process.env.FULMEN_LND
/** A directory that keeps the log of each. */
const LOGS = process.env.FULMEN_LND_LOGS
const READY_MS = 120_000
const HAS_BOTH = Boolean(LND && BITCOIND)

/** Tests with a real LND: where there is none they are left out, and say so. */
export function withLnd(what: string, tests: () => void): void {
  if (!HAS_BOTH) console.warn(`LEFT OUT: ${what}, because FULMEN_LND and FULMEN_BITCOIND name no lnd and no bitcoind`)
  describe.skipIf(!HAS_BOTH)(`${what} (left out unless FULMEN_LND and FULMEN_BITCOIND name one)`, tests)
}

/** A real LND in a process of its own, on loopback, on the chain of a bitcoind. Its REST interface is `rest`. */
export class Lnd {
  readonly port: number
  readonly dir: string
  readonly #args: readonly string[]
  readonly #restPort: number
  #child: ChildProcess
  #rest: Rest
  #nodeId: NodeId | undefined

  private constructor(parts: { dir: string; args: readonly string[]; port: number; restPort: number }) {
    this.dir = parts.dir
    this.port = parts.port
    this.#args = parts.args
    this.#restPort = parts.restPort
    this.#child = this.#spawn()
    this.#rest = new Rest(parts.dir, parts.restPort)
  }

  /** @param more options of LND's own */
  static async start(bitcoind: RealNode, more: readonly string[] = []): Promise<Lnd> {
    const dir = mkdtempSync(join(tmpdir(), 'fulmen-lnd-'))
    const [port, rpcPort, restPort] = (await freePorts(3)) as [number, number, number]
    const { host, username, password } = new URL(bitcoind.url)
    const args = [
      ...[`--lnddir=${dir}`, '--noseedbackup', '--nobootstrap', '--bitcoin.regtest', '--bitcoin.node=bitcoind'],
      ...[`--bitcoind.rpchost=${host}`, `--bitcoind.rpcuser=${username}`, `--bitcoind.rpcpass=${password}`],
      ...['--bitcoind.rpcpolling', '--bitcoind.blockpollinginterval=50ms', '--bitcoind.txpollinginterval=50ms'],
      ...[`--listen=127.0.0.1:${port}`, `--rpclisten=127.0.0.1:${rpcPort}`, `--restlisten=127.0.0.1:${restPort}`],
      ...['--bitcoin.defaultchanconfs=1', '--maxpendingchannels=10', '--accept-keysend'],
      ...['--trickledelay=50', '--db.batch-commit-interval=10ms'],
      // Its log is evidence of its own faults, and stays in one file.
      ...['--logging.file.max-file-size=1000', ...(LOGS ? ['--debuglevel=debug'] : [])],
      ...more,
    ]
    const lnd = new Lnd({ dir, args, port, restPort })
    try {
      await lnd.#ready()
    } catch (e) {
      await lnd.destroy()
      throw e
    }
    return lnd
  }

  get nodeId(): NodeId {
    return this.#nodeId!
  }
  get rest(): Rest {
    return this.#rest
  }

  /** Waits for its end; the directory stays. @param signal SIGKILL: it has no time to put anything away */
  async halt(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode === null && signalCode === null) {
      const exited = new Promise((resolve) => this.#child.once('exit', resolve))
      this.#child.kill(signal)
      await exited
    }
    this.#rest.close()
  }
  /** After halt(). */
  async restart(): Promise<void> {
    this.#rest = new Rest(this.dir, this.#restPort)
    this.#child = this.#spawn()
    await this.#ready()
  }
  async destroy(): Promise<void> {
    await this.halt('SIGKILL')
    if (LOGS) writeFileSync(join(LOGS, basename(this.dir)), this.log())
    rmSync(this.dir, { recursive: true, force: true })
  }

  #spawn(): ChildProcess {
    return spawn(LND!, this.#args, { stdio: 'ignore' })
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + READY_MS
    for (;;) {
      if (performance.now() > deadline) throw new Error(`lnd is not ready after ${READY_MS} ms`)
      if (this.#child.exitCode !== null) throw new Error(`lnd ended at once: ${this.log().slice(-2_000)}`)
      const state = await this.#rest.get('/v1/state').catch(() => null)
      if (state?.state === 'SERVER_ACTIVE') break
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    this.#nodeId ??= nodeId((await this.#rest.get('/v1/getinfo')).identity_pubkey)
  }

  /** All that it wrote to its log so far. */
  log(): string {
    const path = join(this.dir, 'logs/bitcoin/regtest/lnd.log')
    return existsSync(path) ? readFileSync(path, 'utf8') : 'it logged nothing'
  }
}
