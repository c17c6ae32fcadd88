import type { Logger } from 'pino'
import { LOG_PARTS, type LogLevel, type LogLevels, type LogPart } from './logLevels.ts'
import { LogRing } from './logRing.ts'
import type { NodeEvent } from './service.ts'

/** Events as lines of the log, by the first word of their type. Text from peers is in some of them: those at debug. */
const EVENTS: Readonly<Record<string, readonly [LogPart, 'info' | 'debug']>> = {
  channel: ['channel', 'info'],
  payment: ['payment', 'debug'],
  forward: ['payment', 'debug'],
  invoice: ['payment', 'debug'],
  peer: ['peer', 'debug'],
  chain: ['chain', 'debug'],
  wallet: ['wallet', 'info'],
  key: ['api', 'info'],
  node: ['node', 'debug'],
}

/** One logger for each part of the node, whose levels can be changed while it runs. */
export class Logs {
  readonly #parts: ReadonlyMap<LogPart, Logger>
  /** The last lines, if `base` writes to it. */
  readonly recent: LogRing
  #levels: LogLevels

  /** @param levels those of `base` when left out */
  constructor(
    base: Logger,
    levels: LogLevels = { default: base.level as LogLevel, parts: {} },
    recent: LogRing = new LogRing(),
  ) {
    this.recent = recent
    this.#parts = new Map(LOG_PARTS.map((part) => [part, base.child({ part })]))
    this.#levels = levels
    this.set(levels)
  }

  of(part: LogPart): Logger {
    return this.#parts.get(part)!
  }

  levelOf(part: LogPart): LogLevel {
    return this.#levels.parts[part] ?? this.#levels.default
  }

  get levels(): LogLevels {
    return this.#levels
  }

  /** In force until the process ends. */
  set(levels: LogLevels): void {
    this.#levels = levels
    for (const [part, log] of this.#parts) log.level = this.levelOf(part)
  }

  /** Every event, once it is durable. */
  readonly onEvent = ({ id, type, data }: NodeEvent): void => {
    const [part, level] = EVENTS[type.slice(0, type.indexOf('.'))] ?? (['node', 'debug'] as const)
    const log = this.of(part)
    if (log.isLevelEnabled(level)) log[level]({ event: id, ...data }, type)
  }
}
