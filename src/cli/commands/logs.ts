import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LogQuery } from '../../api/operatorSchemas.ts'
import { LOG_PARTS } from '../../node/logLevels.ts'
import { LINE_LEVELS } from '../../node/logRing.ts'
import { given, integer } from '../arguments.ts'
import { logText } from '../logText.ts'
import { notice } from '../output.ts'
import { remote } from '../remote.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

interface Options {
  readonly level?: LogQuery['level']
  readonly part?: LogQuery['part']
  readonly since?: number
  readonly limit: number
  readonly follow?: boolean
}

export function register(program: Command): void {
  program
    .command('logs')
    .description('the last lines of the log of a running node, or what it writes from now on')
    .addOption(new Option('--level <level>', 'as bad as this, or worse').choices(LINE_LEVELS))
    .addOption(new Option('--part <part>', 'of one part of the node').choices(LOG_PARTS))
    .option('--since <when>', 'after a time (2026-11-27T10:00:00Z), the last 10m or 2h, or the id of a line', since)
    .option('--limit <n>', 'at most so many, the last ones', integer, 50)
    .option('-f, --follow', 'then each line as it is written, until interrupted')
    .action(async ({ follow, limit, ...filter }: Options, command: Command) => {
      const { client, show } = remote(command)
      if (!follow) {
        const page = await client.logs({ ...given(filter), limit })
        if (page.lostTo !== null) notice(`the node keeps no lines up to ${timeOf(page.lostTo)}`)
        show(page, () => page.items.map(logText).toReversed().join('\n'))
        return
      }
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      for await (const one of client.followLogs({ ...given(filter), limit, signal: stop.signal })) {
        show(one, () => logText(one))
      }
    })
}

/** @param id microseconds since 1970 */
const timeOf = (id: number): string => new Date(id / 1_000).toISOString()

/** @returns microseconds since 1970, as the ids of lines are */
function since(text: string): number {
  if (/^\d{10,16}$/.test(text)) return Number(text)
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = count === undefined ? Date.parse(text) : Date.now() - Number(count) * (UNITS[unit] ?? 0) * 1_000
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Expected a time, like 10m or 2026-11-27T10:00:00Z.')
  return Math.max(0, ms * 1_000)
}
