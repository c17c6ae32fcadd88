import type { Command } from 'commander'
import type { Forward } from '../../api/operatorSchemas.ts'
import { table } from '../output.ts'
import { csvListCommand, timeOptions } from '../resources.ts'

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
  const list = csvListCommand(forward, {
    about: 'settled forwards',
    csv: 'forwards',
    page: (client, query) => client.forwards(query),
    table: forwardTable,
  })
  timeOptions(list)
}
