import type { Command } from 'commander'
import { printable } from '../../base/bytes.ts'
import { given, integer } from '../arguments.ts'
import { remote } from '../remote.ts'

export function register(program: Command): void {
  program
    .command('events')
    .description('follow what happens, one event a line, until interrupted')
    .option('--types <names>', 'only these, separated by commas; payment.* for all of a kind')
    .option('--since <id>', 'first what happened after this event', integer)
    .option('--from <time>', 'first what happened from a time (RFC 3339) or a day in UTC on')
    .option('--to <time>', 'no further than a time, or the end of a day, that has passed')
    .action(async (options: { types?: string; since?: number; from?: string; to?: string }, command: Command) => {
      const { client, show } = remote(command)
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      const events = client.events({
        signal: stop.signal,
        ...(options.types !== undefined && { types: options.types.split(',') }),
        ...given({ since: options.since, from: options.from, to: options.to }),
      })
      for await (const event of events) {
        show(
          event,
          () => `${event.at}  ${event.id ?? '-'}  ${event.type}  ${printable(JSON.stringify(event.data), 2_000)}`,
        )
      }
    })
}
