import type { Command } from 'commander'
import type { WalletTransaction } from '../../api/onchainSchemas.ts'
import { decimal, given, integer } from '../arguments.ts'
import { fields, table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand } from '../resources.ts'

const transactionTable = (transactions: readonly WalletTransaction[]): string =>
  table(
    ['txid', 'net sat', 'fee sat', 'block', 'label', 'created'],
    transactions.map((t) => [t.txid, t.netSat, t.feeSat, t.blockHeight, t.label, t.createdAt]),
  )

export function register(program: Command): void {
  const wallet = program.command('wallet').description('the on-chain wallet')
  wallet
    .command('show')
    .description('balances')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const one = await client.wallet.get()
      show(one, () => fields(one))
    })
  wallet
    .command('address')
    .description('a fresh address to receive at')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const fresh = await client.wallet.newAddress()
      show(fresh, () => fresh.address)
    })
  wallet
    .command('utxos')
    .description('unspent outputs')
    .action(async (_options, command: Command) => {
      const { client, show } = remote(command)
      const items = await client.wallet.utxos()
      const rows = items.map((u) => [u.outpoint, u.amountSat, u.address, u.confirmations, u.locked])
      show({ items }, () => table(['outpoint', 'amount sat', 'address', 'confirmations', 'locked'], rows))
    })
  listCommand(wallet, {
    name: 'transactions',
    about: 'transactions, newest first',
    page: (client, query) => client.wallet.transactions(query),
    table: transactionTable,
  })
  registerSend(wallet)
}

function registerSend(wallet: Command): void {
  wallet
    .command('send')
    .description('send on chain')
    .argument('<address>')
    .argument('<amountSat>', 'satoshis', integer)
    .option('--feerate <sat>', 'satoshis per virtual byte', decimal)
    .option('--idempotency-key <key>', 'repeat the call with the same key to send once')
    .action(async (address: string, amountSat: number, o, command: Command) => {
      const { client, show } = remote(command)
      const { feerate, idempotencyKey } = o
      const request = { outputs: [{ address, amountSat }], ...given({ feerateSatPerVbyte: feerate }) }
      const sent = await client.wallet.send(request, given({ idempotencyKey }))
      show(sent, () => transactionTable([sent]))
    })
  wallet
    .command('bump')
    .description('have an unconfirmed transaction confirm sooner: a send is replaced, for any other a child pays')
    .argument('<txid>')
    .option('--feerate <sat>', 'satoshis per virtual byte', decimal)
    .option('--idempotency-key <key>', 'repeat the call with the same key to bump once')
    .action(async (txid: string, { feerate, idempotencyKey }, command: Command) => {
      const { client, show } = remote(command)
      const made = await client.wallet.bump(txid, given({ feerateSatPerVbyte: feerate }), given({ idempotencyKey }))
      show(made, () => transactionTable([made]))
    })
}
