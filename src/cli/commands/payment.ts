import type { Command } from 'commander'
import type { Payment } from '../../api/schemas.ts'
import { listCommand } from '../lists.ts'
import { fields, table } from '../output.ts'
import { remote } from '../remote.ts'

const paymentTable = (payments: readonly Payment[]): string =>
  table(
    ['payment hash', 'status', 'amount msat', 'fee msat', 'to', 'created'],
    payments.map((p) => [
      p.paymentHash,
      p.status,
      p.amountMsat,
      p.feeMsat,
      `${(p.nodeId ?? 'unknown').slice(0, 16)}…`,
      p.createdAt,
    ]),
  )

export function register(program: Command): void {
  const payment = program.command('payment').description('payments')
  listCommand(payment, {
    about: 'payments, newest first',
    page: (client, query) => client.payments.list(query),
    table: paymentTable,
  }).option('--status <status>', 'pending, succeeded or failed')
  payment
    .command('show')
    .description('one payment, with its parts')
    .argument('<paymentHash>')
    .action(async (paymentHash: string, _options, command: Command) => {
      const { client, show } = remote(command)
      const one = await client.payments.get(paymentHash)
      show(one, () => fields(one))
    })
  payment
    .command('cancel')
    .description('stop further attempts')
    .argument('<paymentHash>')
    .action(async (paymentHash: string, _options, command: Command) => {
      const { client, show } = remote(command)
      const one = await client.payments.cancel(paymentHash)
      show(one, () => paymentTable([one]))
    })
}
