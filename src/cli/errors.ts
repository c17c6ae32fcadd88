import { CommanderError } from 'commander'
import { FulmenError } from '../base/errors.ts'

/** How the program ends: 0 is success. `EXIT_HELP` says it to people. */
export const EXIT = {
  /** The node refused, or what was asked for failed. */
  failed: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** No node answers. */
  unreachable: 3,
  /** What was begun goes on: it may still come to either end. */
  pending: 4,
} as const

export const EXIT_HELP = `
Exit codes:
  0  done
  1  the node refused, or what was asked for failed
  2  the command line or the configuration is wrong
  3  no node answers
  4  a payment is still pending: it goes on, and may still succeed

With --json, what is wrong is one object on standard error: a code, and what to do (detail).`

/** A command that cannot go on; `message` is for the person who typed it. */
export class CliError extends FulmenError {
  readonly exitCode: number
  constructor(message: string, exitCode: number = EXIT.failed) {
    super('CLI', message)
    this.exitCode = exitCode
  }
}

/** What is wrong, for programs: what the node answered, or the like of it. */
interface Told {
  readonly code: string
  readonly detail: string
  /** The call may have been carried out: repeated with this key, it is done once. */
  readonly idempotencyKey?: string
}

/** Of what the program says itself. */
const CODES: Readonly<Record<number, string>> = {
  [EXIT.failed]: 'FAILED',
  [EXIT.usage]: 'USAGE',
  [EXIT.unreachable]: 'NODE_UNREACHABLE',
}

/** The same as `explainFailure` tells people, as `--json` has it. */
export function failureJson(error: unknown): Told {
  if (error instanceof CommanderError) {
    const detail = error.code === 'commander.help' ? 'a command is missing: see --help' : error.message
    return { code: 'USAGE', detail: detail.replace(/^error: /, '') }
  }
  const { text, exitCode } = explainFailure(error)
  const { code, problem, idempotencyKey } = error as { code?: unknown; problem?: Told; idempotencyKey?: string }
  if (problem !== undefined) return problem
  const isOurs = error instanceof CliError || exitCode !== EXIT.failed
  const named = isOurs && code !== 'CONFIG_INVALID' ? CODES[exitCode] : typeof code === 'string' ? code : undefined
  return { code: named ?? 'INTERNAL', detail: text, ...(idempotencyKey !== undefined && { idempotencyKey }) }
}

/** What to print and how to end for anything that a command threw. */
export function explainFailure(error: unknown): { text: string; exitCode: number } {
  if (!(error instanceof Error)) return { text: String(error), exitCode: EXIT.failed }
  const { name, code } = error as { name: string; code?: unknown }
  if (error instanceof CliError) return { text: error.message, exitCode: error.exitCode }
  const distrust = name === 'ConnectionError' ? distrustIn(error) : null
  if (distrust !== null) {
    return { text: `${distrust}: say whom to trust with --tls-pin or --tls-ca`, exitCode: EXIT.unreachable }
  }
  if (name === 'ConnectionError') {
    const { idempotencyKey } = error as { idempotencyKey?: string }
    const options = `${idempotencyKey === undefined ? '' : '--idempotency-key, '}--url, --data-dir`
    const hint = hintOn(error)
    const said = hint === null ? error.message : `${error.message.replace(/[^.?!]$/, '$&.')} ${hint}`
    return { text: `${said} (${options})`, exitCode: EXIT.unreachable }
  }
  if (name === 'ArgumentError') return { text: error.message, exitCode: EXIT.usage }
  if (name === 'ApiError') {
    const wayBack = DEAD_KEY.has(code) ? ' (no key is left? "fulmen key reset" on the machine of the node)' : ''
    return { text: `${error.message} [${String(code)}]${wayBack}`, exitCode: EXIT.failed }
  }
  if (code === 'CONFIG_INVALID') return { text: error.message, exitCode: EXIT.usage }
  if (error instanceof FulmenError) return { text: `${error.message} [${error.code}]`, exitCode: EXIT.failed }
  // Of the system, which names the file or the address: no bug of ours.
  if ('syscall' in error) return { text: error.message, exitCode: EXIT.failed }
  return { text: error.stack ?? error.message, exitCode: EXIT.failed }
}

/** Of keys that nobody can call with any more. */
const DEAD_KEY: ReadonlySet<unknown> = new Set(['KEY_INVALID', 'KEY_EXPIRED', 'KEY_REVOKED'])

/** Whoever takes the one protocol for the other sees a connection that is closed. */
function hintOn(error: Error): string | null {
  const codes = causesOf(error).map((cause) => cause.code)
  if (codes.includes('ERR_SSL_WRONG_VERSION_NUMBER')) return 'It does not speak TLS; perhaps it is http://'
  return codes.includes('UND_ERR_SOCKET') && error.message.startsWith('http:') ? 'With TLS, it is https://' : null
}

const DISTRUST = /^(PIN_MISMATCH|CERT_|ERR_TLS_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_)/

/** Something answers, and it is not shown to be the node: what was wrong with it, out of the causes of an error. */
const distrustIn = (error: Error): string | null =>
  causesOf(error).find((cause) => DISTRUST.test(String(cause.code)))?.message ?? null

function causesOf(error: Error): readonly NodeJS.ErrnoException[] {
  const causes: Error[] = []
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) causes.push(cause)
  return causes
}
