import type { Command } from 'commander'
import type { Payment } from '../../api/schemas.ts'
import { fields, table } from '../output.ts'
import { listCommand, oneCommand, recordOptions } from '../resources.ts'

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
  const list = listCommand(payment, {
    about: 'payments, newest first',
    page: (client, query) => client.payments.list(query),
    table: paymentTable,
  })
  recordOptions(list.option('--status <status>', 'pending, succeeded or failed'))
  oneCommand(payment, 'show', {
    about: 'one payment, with its parts',
    argument: ['<paymentHash>'],
    call: (client, paymentHash) => client.payments.get(paymentHash),
    text: (one) => fields(one),
  })
  oneCommand(payment, 'cancel', {
    about: 'stop further attempts',
    argument: ['<paymentHash>'],
    call: (client, paymentHash) => client.payments.cancel(paymentHash),
    text: (one) => paymentTable([one]),
  })
}
