import { type ChildProcess, fork } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DemoNode, startChain, startOne } from '../../src/cli/demo/network.ts'
import { mine } from '../../src/cli/demo/steps.ts'
import { until } from '../../src/cli/demo/wait.ts'
import type { Spawned } from '../../src/cli/processes.ts'
import type { PayerCommands, Reply, Request } from './payer.ts'
import type { Contender, ContenderOptions, Load } from './types.ts'

const PAYER = fileURLToPath(new URL('./payer.js', import.meta.url))
const INVOICES_AT_ONCE = 50
/** A peer takes no more channels than this before they confirm. */
const OPEN_AT_ONCE = 4
const { signal } = new AbortController()

/** Two nodes of ours, each in a process with its own database, on an embedded chain in a third. Every payment is on disk. */
export async function startFulmen(options: ContenderOptions): Promise<Contender> {
  const directory = await mkdtemp(join(tmpdir(), 'fulmen-bench-'))
  const spawned: Spawned[] = []
  let payer: Payer | null = null
  const stop = async (): Promise<void> => {
    await payer?.stop()
    for (const child of spawned.toReversed()) await child.stop()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const chain = await startChain(directory, spawned)
    const payee = await startOne({ name: 'payee', directory, chain, spawned })
    await mkdir(join(directory, 'payer'))
    payer = await Payer.start(join(directory, 'payer'), chain)
    await openChannels(payer.call, payee, options)
    const { call } = payer
    return { name: 'fulmen', run: (load) => run(call, payee, load), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function openChannels(payer: PayerCommands, payee: DemoNode, options: ContenderOptions): Promise<void> {
  const { channels, capacitySat } = options
  const mineBoth = async (blocks: number, address?: string): Promise<void> => {
    await mine([payee], blocks, { signal, ...(address !== undefined && { address }) })
    const { height } = await payee.client.chain.get()
    await until('the payer to see the chain', async () => ((await payer.height()) >= height ? true : null), { signal })
  }
  await mineBoth(Math.max(3, channels), await payer.newAddress())
  await mineBoth(100)
  await until('coins', async () => ((await payer.confirmedSat()) > 0 ? true : null), { signal })
  for (let open = 0; open < channels; ) {
    const some = Math.min(OPEN_AT_ONCE, channels - open)
    await payer.open(payee.uri, capacitySat, some)
    await mineBoth(6)
    open += some
    const usable = async () => ((await payer.usableChannels()) === open ? true : null)
    await until(`${open} usable channels`, usable, { signal })
  }
}

async function run(payer: PayerCommands, payee: DemoNode, load: Load) {
  const invoices = new Array<string>(load.payments)
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < invoices.length) {
      const i = next++
      const { bolt11 } = await payee.client.invoices.create({ amountMsat: load.amountMsat, description: 'bench' })
      invoices[i] = bolt11
    }
  }
  await Promise.all(Array.from({ length: INVOICES_AT_ONCE }, worker))
  return payer.pay(invoices, load.inFlight)
}

/** The paying node's process, as seen from here. */
class Payer {
  /** Each command as a call that waits for its answer. */
  readonly call: PayerCommands
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #nextId = 1

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id)
      this.#waiting.delete(reply.id)
      if (reply.error === undefined) waiting?.resolve(reply.result)
      else waiting?.reject(new Error(`the payer: ${reply.error}`))
    })
    child.once('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the payer ended with code ${code}`))
    })
    this.call = new Proxy({} as PayerCommands, {
      get:
        (_target, command: keyof PayerCommands) =>
        (...args: readonly unknown[]) =>
          this.#send(command, args),
    })
  }

  static async start(dataDir: string, chain: string): Promise<Payer> {
    const payer = new Payer(fork(PAYER, [dataDir, chain], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }))
    await new Promise((resolve, reject) => payer.#waiting.set(0, { resolve, reject }))
    return payer
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.call.stop().catch(() => this.#child.kill('SIGKILL'))
    await ended
  }

  #send(command: keyof PayerCommands, args: readonly unknown[]): Promise<unknown> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, command, args } satisfies Request)
    })
  }
}
