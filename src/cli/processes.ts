import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { FulmenError } from '../base/errors.ts'

/** A child process of a local network did not start or stop as it should. */
export class ProcessError extends FulmenError {
  constructor(message: string) {
    super('PROCESS', message)
  }
}

/** What `fulmen start --json` and `fulmen chain --json` print on one line when they are ready. */
export interface ReadyLine {
  readonly api?: string
  readonly listen?: string
  readonly nodeId?: string
  readonly rpc?: string
}

export interface Spawned {
  readonly name: string
  readonly ready: ReadyLine
  readonly process: ChildProcess
  /** SIGTERM, then SIGKILL after ten seconds; resolves when it has ended. */
  stop(): Promise<void>
  /** As a power cut would. */
  kill(): Promise<void>
}

/** The program that this process runs, so that children are the same build. */
const MAIN = process.env.FULMEN_MAIN ?? process.argv[1] ?? ''
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', () => resolve()))

/**
 * Starts `fulmen ARGS --json` and waits for its ready line.
 * @throws ProcessError when it ends first or is not ready in time
 */
export async function spawnFulmen(
  name: string,
  args: readonly string[],
  main = MAIN,
  timeoutMs = 60_000,
): Promise<Spawned> {
  if (!existsSync(main))
    throw new ProcessError(`cannot find the fulmen program at "${main}": build it with \`npm run build\``)
  const child = spawn(process.execPath, [main, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  child.once('exit', () => children.delete(child))
  let lastWords = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-4000)
  })
  const ready = await firstLine(child, name, timeoutMs, () => lastWords)
  child.stdout?.resume()
  return {
    name,
    ready,
    process: child,
    async stop() {
      child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await ended(child)
      clearTimeout(hard)
    },
    async kill() {
      child.kill('SIGKILL')
      await ended(child)
    },
  }
}

function firstLine(child: ChildProcess, name: string, timeoutMs: number, lastWords: () => string): Promise<ReadyLine> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new ProcessError(`${name} ${why}${lastWords() ? `:\n${lastWords()}` : ''}`))
    }
    const timer = setTimeout(() => fail(`was not ready after ${timeoutMs / 1000} s`), timeoutMs)
    child.once('exit', (code, signal) => fail(`ended with ${signal ?? `code ${code}`} before it was ready`))
    child.once('error', (e) => fail(`could not be started (${e.message})`))
    const lines = createInterface({ input: child.stdout! })
    lines.on('line', (line) => {
      let parsed: ReadyLine
      try {
        parsed = JSON.parse(line) as ReadyLine
      } catch {
        return
      }
      clearTimeout(timer)
      child.removeAllListeners('exit')
      child.once('exit', () => children.delete(child))
      lines.close()
      resolve(parsed)
    })
  })
}

/** The admin key that a node wrote at its first start. */
export const readAdminKey = async (dataDir: string): Promise<string> =>
  (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
