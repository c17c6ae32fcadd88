import { LOG_PARTS, type LogPart } from './logLevels.ts'
import type { Page, PageRequest } from './service.ts'

/** Kinds of lines, the worst first; `fatal` is the last line of a node that stops by itself. */
export const LINE_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LineLevel = (typeof LINE_LEVELS)[number]

export interface LogLine {
  /** Grows with time, also over a restart: when it was written, in microseconds since 1970. */
  readonly id: number
  /** RFC 3339. */
  readonly at: string
  readonly level: LineLevel
  readonly part: LogPart
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface LogPage extends Page<LogLine> {
  /** Of the newest line that was written when this was asked, whatever the filter; 0: there was none. */
  readonly newestId: number
  /** Of the newest line after `since` that is kept no more, whatever the filter; null: all are here, or no `since` was given. */
  readonly lostTo: number | null
}

export interface LogFilter {
  /** Lines as bad as this, or worse. */
  readonly level?: LineLevel
  readonly part?: LogPart
  /** Id of the last line seen: those after it. */
  readonly since?: number
}

const MAX_LINES = 5_000
/** UTF-16 units, over all lines and of one. */
const MAX_LENGTH = 4_000_000
const MAX_LINE = 16_000
/** pino's numbers, each a step of ten from 60 down. */
const levelOf = (number: number): LineLevel => LINE_LEVELS[6 - Math.round(number / 10)] ?? 'info'
/** pino writes these three first, and in this order. */
const HEAD = /^\{"level":(\d+),"time":(\d+),"part":"([a-z]+)"/

interface Kept {
  readonly id: number
  readonly text: string
}

/** The last lines of the log, as they were written: what never goes to the log is not here either. They end with the process. */
export class LogRing {
  readonly #now: () => number
  readonly #max: { readonly lines: number; readonly length: number }
  /** Oldest first; those before `#first` are gone. */
  #lines: Kept[] = []
  #first = 0
  #length = 0
  #lastId = 0
  #lostId = 0

  /** @param now Unix milliseconds */
  constructor(now: () => number = Date.now, max = { lines: MAX_LINES, length: MAX_LENGTH }) {
    this.#now = now
    this.#max = max
  }

  /** One line, as pino hands it to where it is written. */
  take(line: string): void {
    const text = line.length > MAX_LINE ? shortened(line) : line
    this.#lastId = Math.max(this.#lastId + 1, this.#now() * 1_000)
    this.#lines.push({ id: this.#lastId, text })
    this.#length += text.length
    while (this.#lines.length - this.#first > this.#max.lines || this.#length > this.#max.length) {
      const { id, text: gone } = this.#lines[this.#first++]!
      this.#lostId = id
      this.#length -= gone.length
    }
    if (this.#first <= this.#max.lines) return
    this.#lines = this.#lines.slice(this.#first)
    this.#first = 0
  }

  /** Newest first; the cursor is the id of the last line shown. */
  page({ limit, cursor }: PageRequest, { level = 'trace', part, since }: LogFilter): LogPage {
    const before = cursor === undefined ? Number.POSITIVE_INFINITY : Number(cursor)
    const worst = LINE_LEVELS.indexOf(level)
    const found: Kept[] = []
    for (let i = this.#lines.length - 1; i >= this.#first && found.length <= limit; i--) {
      const kept = this.#lines[i]!
      if (since !== undefined && kept.id <= since) break
      if (kept.id >= before) continue
      const head = headOf(kept.text)
      if (LINE_LEVELS.indexOf(head.level) <= worst && (part === undefined || head.part === part)) found.push(kept)
    }
    const items = found.slice(0, limit).map(read)
    return {
      items,
      nextCursor: found.length > limit ? String(items.at(-1)!.id) : null,
      newestId: this.#lastId,
      lostTo: since !== undefined && this.#lostId > since ? this.#lostId : null,
    }
  }
}

/** Where pino writes: the ring hears each line, then `out` has it. */
export const heardBy = (ring: LogRing, out: LogOut): LogOut => ({
  write(line) {
    ring.take(line)
    out.write(line)
  },
  ...(out.flushSync && { flushSync: () => out.flushSync?.() }),
})

export interface LogOut {
  write(line: string): void
  /** Before a process ends. */
  flushSync?(): void
}

function headOf(text: string): Pick<LogLine, 'at' | 'level' | 'part'> {
  const [, level = '30', time = '0', name] = HEAD.exec(text) ?? []
  return {
    at: new Date(Number(time)).toISOString(),
    level: levelOf(Number(level)),
    part: LOG_PARTS.find((part) => part === name) ?? 'node',
  }
}

const read = ({ id, text }: Kept): LogLine => ({ id, ...lineOf(text) })

/** What pino wrote. */
export function lineOf(text: string): Omit<LogLine, 'id'> {
  const { level: _level, time: _time, part: _part, msg = '', ...fields } = JSON.parse(text) as Record<string, unknown>
  return { ...headOf(text), message: String(msg), fields }
}

/** Without its fields: what is that long is no line for people. */
function shortened(line: string): string {
  const { level, time, part, msg = '' } = JSON.parse(line) as Record<string, unknown>
  return JSON.stringify({ level, time, part, cutFrom: line.length, msg: String(msg).slice(0, MAX_LINE / 4) })
}
