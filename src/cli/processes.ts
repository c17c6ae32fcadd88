import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
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
  /** http://host:port of the REST API. */
  readonly api?: string
  /** host:port for Lightning peers. */
  readonly listen?: string
  readonly nodeId?: string
  readonly blockHeight?: number
  /** The JSON-RPC of a chain. */
  readonly rpc?: string
}

export interface Spawned {
  readonly name: string
  readonly pid: number
  readonly ready: ReadyLine
  /** Resolves when the process has ended, with how: `ended with code 1` and its last words. */
  readonly ended: Promise<string>
  /** SIGTERM, then SIGKILL after ten seconds; resolves when it has ended. */
  stop(): Promise<void>
  /** As a power cut would. */
  kill(): Promise<void>
  /** Lets it outlive this process. Needs `logFile`: a closed pipe would end it. */
  release(): void
}

export interface SpawnOptions {
  readonly name: string
  /** The command and its options; `--json` is added. */
  readonly args: readonly string[]
  /** The program; by default the one that this process runs, so that children are the same build. */
  readonly main?: string
  /** Where standard error goes; kept in memory when absent. */
  readonly logFile?: string
  readonly timeoutMs?: number
}

const STOP_LIMIT_MS = 10_000
const LAST_WORDS = 4_000
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/**
 * Starts `fulmen ARGS --json` and waits for its ready line. The child does not see FULMEN_… variables: it is what its arguments say.
 * It is killed when this process ends.
 * @throws ProcessError when it ends first or is not ready in time
 */
export async function spawnFulmen(options: SpawnOptions): Promise<Spawned> {
  const { name, args, logFile, timeoutMs = 60_000 } = options
  const main = options.main ?? process.env.FULMEN_MAIN ?? process.argv[1] ?? ''
  if (!existsSync(main)) {
    throw new ProcessError(`cannot find the fulmen program at "${main}": build it with \`npm run build\``)
  }
  const log = logFile === undefined ? 'pipe' : openSync(logFile, 'a', 0o600)
  // With the same options of Node, as fork() does: a profile of this process is one of them all.
  const argv = [...process.execArgv, main, ...args, '--json']
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', log], env: plainEnv() })
  if (typeof log === 'number') closeSync(log)
  children.add(child)
  const lastWords = keepLastWords(child, logFile)
  const ended = endOf(child, lastWords)
  const ready = await readyLine(child, ended, timeoutMs).catch((error: Error) => {
    child.kill('SIGKILL')
    throw new ProcessError(`${name} ${error.message}`)
  })
  return { name, pid: child.pid ?? 0, ready, ended, ...controls(child, ended) }
}

function plainEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FULMEN_')))
}

function keepLastWords(child: ChildProcess, logFile: string | undefined): () => string {
  let words = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS)
  })
  return () => (logFile === undefined ? words : readFileSync(logFile, 'utf8').slice(-LAST_WORDS)).trim()
}

const endOf = (child: ChildProcess, lastWords: () => string): Promise<string> =>
  new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be started (${error.message})`))
    child.once('close', (code, signal) => {
      children.delete(child)
      const words = lastWords()
      resolve(`ended with ${signal ?? `code ${code}`}${words === '' ? '' : `:\n${words}`}`)
    })
  })

function controls(child: ChildProcess, ended: Promise<string>): Pick<Spawned, 'stop' | 'kill' | 'release'> {
  return {
    async stop() {
      child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
      await ended
      clearTimeout(hard)
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    release() {
      children.delete(child)
      child.stdout?.destroy()
      child.unref()
    },
  }
}

/** The first line of standard output that is JSON; what comes after it is thrown away. */
function readyLine(child: ChildProcess, ended: Promise<string>, timeoutMs: number): Promise<ReadyLine> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`was not ready after ${timeoutMs / 1000} s`)), timeoutMs)
    void ended.then((how) => {
      clearTimeout(late)
      reject(new Error(`${how.split('\n', 1)[0]} before it was ready${how.replace(/^[^\n]*/, '')}`))
    })
    const lines = createInterface({ input: child.stdout! })
    lines.on('line', (line) => {
      if (!line.startsWith('{')) return
      clearTimeout(late)
      lines.close()
      child.stdout?.resume()
      resolve(JSON.parse(line) as ReadyLine)
    })
  })
}

/** The admin key that a node wrote at its first start. */
export const readAdminKey = async (dataDir: string): Promise<string> =>
  (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
