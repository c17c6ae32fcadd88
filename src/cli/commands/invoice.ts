import type { Command } from 'commander'
import type { Invoice } from '../../api/schemas.ts'
import { given, integer } from '../arguments.ts'
import { fields, table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand, oneCommand, recordOptions } from '../resources.ts'

const invoiceTable = (invoices: readonly Invoice[]): string =>
  table(
    ['payment hash', 'status', 'amount msat', 'received msat', 'description', 'created'],
    invoices.map((i) => [i.paymentHash, i.status, i.amountMsat, i.receivedMsat, i.description, i.createdAt]),
  )

export function register(program: Command): void {
  const invoice = program.command('invoice').description('invoices')
  registerCreate(invoice)
  const list = listCommand(invoice, {
    about: 'invoices, newest first',
    page: (client, query) => client.invoices.list(query),
    table: invoiceTable,
  })
  recordOptions(list.option('--status <status>', 'open, accepted, settled, cancelled or expired'))
  oneCommand(invoice, 'show', {
    about: 'one invoice',
    argument: ['<paymentHash>'],
    call: (client, paymentHash) => client.invoices.get(paymentHash),
    text: (one) => fields(one),
  })
  invoice
    .command('settle')
    .description('take the payment of a hold invoice')
    .argument('<paymentHash>')
    .argument('<preimage>')
    .action(async (paymentHash: string, preimage: string, _options, command: Command) => {
      const { client, show } = remote(command)
      const settled = await client.invoices.settle(paymentHash, preimage)
      show(settled, () => invoiceTable([settled]))
    })
  oneCommand(invoice, 'cancel', {
    about: 'cancel an open invoice, or give back the payment of a hold invoice',
    argument: ['<paymentHash>'],
    call: (client, paymentHash) => client.invoices.cancel(paymentHash),
    text: (cancelled) => invoiceTable([cancelled]),
  })
}

function registerCreate(invoice: Command): void {
  invoice
    .command('create')
    .description('ask for a payment; prints the text to give to the payer')
    .argument('[amountMsat]', 'millisatoshis; without it the payer chooses', integer)
    .option('--description <text>', 'what it is for')
    .option('--description-hash <hash>', 'SHA-256 of a longer description, which the payer gets elsewhere')
    .option('--expiry <seconds>', 'how long it is good for', integer)
    .option('--payment-hash <hash>', 'hold the payment until "invoice settle" gives the preimage')
    .option(
      '--final-delta <blocks>',
      'that the payment must have left when it comes: the time to settle it in',
      integer,
    )
    .option('--idempotency-key <key>', 'repeat the call with the same key to make one')
    .action(async (amountMsat: number | undefined, o, command: Command) => {
      const { client, show } = remote(command)
      const { description, descriptionHash, expiry, paymentHash, finalDelta, idempotencyKey } = o
      const about =
        descriptionHash === undefined ? { description: description ?? '' } : { description, descriptionHash }
      const held = { paymentHash, minFinalCltvExpiryDelta: finalDelta }
      const request = given({ amountMsat, ...about, expirySeconds: expiry, ...held })
      const created = await client.invoices.create(request, given({ idempotencyKey }))
      show(created, () => created.bolt11)
    })
}
