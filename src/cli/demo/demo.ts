import { rmSync } from 'node:fs'
import { EXIT } from '../errors.ts'
import { type DemoResult, runFlow } from './flow.ts'
import { NAMES, type Network, startNetwork } from './network.ts'
import { progressTo } from './progress.ts'
import { isGood, reportJson, reportText } from './report.ts'
import { DemoError } from './wait.ts'

export interface DemoOptions {
  readonly payments: number
  readonly seed: number
  readonly json?: boolean
  readonly keep?: boolean
  /** http://user:password@host:port of a Bitcoin node on regtest; the embedded chain when absent. */
  readonly chain?: string
}

const INTERRUPTED = 130

/** Runs it all. @returns the exit code: 0 only when every payment succeeded, every close confirmed and the sums are right */
export async function demo(options: DemoOptions): Promise<number> {
  const progress = progressTo(options.json ? process.stderr : process.stdout)
  const interrupt = onInterrupt()
  let network: Network | null = null
  let released = false
  try {
    network = await startNetwork({
      signal: interrupt.signal,
      ...(options.chain !== undefined && { chain: options.chain }),
    })
    interrupt.deleteAtExit(network.directory)
    progress.step(`up: ${NAMES.join(', ')}${options.chain === undefined ? ' on an embedded regtest chain' : ''}`)
    const { payments, seed } = options
    const flow = runFlow(network, { payments, seed, signal: interrupt.signal, progress })
    const result = await Promise.race([flow, network.failed, interrupt.rejected])
    if (options.keep) {
      interrupt.deleteAtExit(null)
      network.release()
      released = true
    }
    print(result, network, options)
    return isGood(result) ? 0 : EXIT.failed
  } catch (error) {
    progress.end()
    if (!interrupt.signal.aborted) throw error
    process.stderr.write('interrupted: everything is stopped and deleted\n')
    return INTERRUPTED
  } finally {
    if (network && !released) await network.stop()
    interrupt.dispose()
  }
}

function print(result: DemoResult, network: Network, options: DemoOptions): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(reportJson(result))}\n`)
    if (options.keep) process.stderr.write(`${howToUse(network)}\n`)
  } else {
    process.stdout.write(`${reportText(result)}\n`)
    if (options.keep) process.stdout.write(`\n${howToUse(network)}\n`)
  }
}

/** What `--keep` prints: where each node is, its key, a line to try, and how to end it all. */
function howToUse({ nodes, pids, directory }: Network): string {
  const lines = NAMES.flatMap((name) => {
    const { url, key, nodeId } = nodes[name]
    return [
      `${name}  ${nodeId}`,
      `  URL   ${url}  (docs: ${url}/docs)`,
      `  key   ${key}`,
      `  curl -s -H 'Authorization: Bearer ${key}' ${url}/v1/balance`,
    ]
  })
  return ['The network is still up.', ...lines, '', 'Stop it and delete its files:', stopLine(pids, directory)].join(
    '\n',
  )
}

const stopLine = (pids: readonly number[], directory: string): string =>
  `  kill ${pids.join(' ')}; sleep 2; rm -r '${directory}'`

interface Interrupt {
  readonly signal: AbortSignal
  readonly rejected: Promise<never>
  /** A second Ctrl-C leaves at once: this folder goes first. */
  deleteAtExit(directory: string | null): void
  dispose(): void
}

/** Ctrl-C and the like end the demo in good order; a second one ends it at once. */
function onInterrupt(): Interrupt {
  const controller = new AbortController()
  let directory: string | null = null
  const atExit = (): void => {
    if (directory !== null) rmSync(directory, { recursive: true, force: true })
  }
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED)
    controller.abort(new DemoError('interrupted'))
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, onSignal)
  process.once('exit', atExit)
  const rejected = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true })
  })
  rejected.catch(() => {})
  return {
    signal: controller.signal,
    rejected,
    deleteAtExit(path) {
      directory = path
    },
    dispose() {
      for (const name of names) process.off(name, onSignal)
      process.off('exit', atExit)
    },
  }
}
