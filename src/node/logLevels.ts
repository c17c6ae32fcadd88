import { ConfigError } from './errors.ts'

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Parts of the node that log each at a level of its own. */
export const LOG_PARTS = ['node', 'peer', 'channel', 'payment', 'chain', 'wallet', 'gossip', 'store', 'api'] as const
export type LogPart = (typeof LOG_PARTS)[number]

export interface LogLevels {
  /** Of the parts that are not named. */
  readonly default: LogLevel
  readonly parts: Readonly<Partial<Record<LogPart, LogLevel>>>
}

/**
 * `info`, or `info,peer=debug,store=trace`: a level for all parts, then what is different.
 * @throws ConfigError that names what was expected
 */
export function readLogLevels(text: string): LogLevels {
  const [first = '', ...rest] = text.split(',').map((word) => word.trim())
  const parts: Partial<Record<LogPart, LogLevel>> = {}
  for (const word of rest) {
    const [name = '', level = '', ...more] = word.split('=')
    const part = LOG_PARTS.find((p) => p === name)
    if (!part || more.length > 0)
      throw new ConfigError(`expected part=level with one of ${LOG_PARTS.join(', ')}, got "${word}"`)
    parts[part] = readLevel(level)
  }
  if (first.includes('=')) {
    const levels = LOG_LEVELS.join(', ')
    throw new ConfigError(`expected one of ${levels} for all parts first, as in info,${first}, got "${text}"`)
  }
  return { default: readLevel(first), parts }
}

export const logLevelsText = ({ default: level, parts }: LogLevels): string =>
  [level, ...Object.entries(parts).map(([part, its]) => `${part}=${its}`)].join(',')

const readLevel = (text: string): LogLevel => {
  const level = LOG_LEVELS.find((l) => l === text)
  if (!level) throw new ConfigError(`expected one of ${LOG_LEVELS.join(', ')}, got "${text}"`)
  return level
}
