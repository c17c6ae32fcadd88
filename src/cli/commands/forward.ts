import type { Command } from 'commander'
import type { Forward } from '../../api/operatorSchemas.ts'
import { integer } from '../arguments.ts'
import { type ListOptions, listOrCsv } from '../csv.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'

const forwardTable = (forwards: readonly Forward[]): string =>
  table(
    ['id', 'at', 'in', 'out', 'amount msat', 'fee msat'],
    forwards.map((f) => [
      f.id,
      f.at,
      `${f.incomingChannelId.slice(0, 12)}…`,
      f.outgoingChannelId === null ? null : `${f.outgoingChannelId.slice(0, 12)}…`,
      f.amountOutMsat,
      f.feeMsat,
    ]),
  )

export function register(program: Command): void {
  const forward = program.command('forward').description('payments of others that went through this node')
  forward
    .command('list')
    .description('settled forwards, newest first')
    .option('--limit <n>', 'at most so many', integer)
    .option('--cursor <cursor>', 'from the page before, or the id of the last line')
    .option('--csv', 'print all as CSV')
    .action(async (options: ListOptions, command: Command) => {
      const to = remote(command)
      await listOrCsv(to, { list: 'forwards', options, page: (query) => to.client.forwards(query), text: forwardTable })
    })
}
