import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Psbt, SendOnChain, WalletTransaction } from '../../api/onchainSchemas.ts'
import type { FulmenClient } from '../../client/index.ts'
import { collect, decimal, given, integer } from '../arguments.ts'
import { fields, notice, table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand, oneCommand, timeOptions } from '../resources.ts'

const transactionTable = (transactions: readonly WalletTransaction[]): string =>
  table(
    ['txid', 'net sat', 'fee sat', 'status', 'block', 'label', 'created'],
    transactions.map((t) => [t.txid, t.netSat, t.feeSat, t.status, t.blockHeight, t.label, t.createdAt]),
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
  const transactions = listCommand(wallet, {
    name: 'transactions',
    about: 'transactions, newest first',
    page: (client, query) => client.wallet.transactions(query),
    table: transactionTable,
  })
  timeOptions(transactions)
  oneCommand(wallet, 'transaction', {
    about: 'one transaction',
    argument: ['<txid>'],
    call: (client, txid) => client.wallet.transaction(txid),
    text: (one) => fields(one),
  })
  registerSend(wallet)
  registerPsbt(wallet)
}

interface SpendOptions {
  readonly feerate?: number
  readonly utxo?: readonly string[]
}

type Amount = number | 'all'
const amountOrAll = (text: string): Amount => (text === 'all' ? text : integer(text))

const spendOptions = (command: Command): Command =>
  command
    .argument('<address>')
    .argument('<amountSat>', 'satoshis; all: every confirmed coin less the fee', amountOrAll)
    .option('--feerate <sat>', 'satoshis per virtual byte', decimal)
    .option('--utxo <txid:index>', 'spend this coin and no other; may be given several times', collect)

const spendOf = (address: string, amountSat: Amount, { feerate, utxo }: SpendOptions): SendOnChain => ({
  outputs: [{ address, amountSat }],
  ...(feerate !== undefined && { feerateSatPerVbyte: feerate }),
  ...(utxo && { utxos: [...utxo] }),
})

function registerSend(wallet: Command): void {
  spendOptions(wallet.command('send').description('send on chain'))
    .option('--idempotency-key <key>', 'repeat the call with the same key to send once')
    .action(async (address: string, amountSat: Amount, o, command: Command) => {
      const { client, show } = remote(command)
      const { idempotencyKey } = o
      const sent = await client.wallet.send(spendOf(address, amountSat, o), given({ idempotencyKey }))
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

const PSBT: readonly [string, string] = ['<psbt>', 'in base64; - reads it from standard input']

/** The PSBT alone on standard output, so that it can be handed on. */
function psbtText({ psbt, feeSat, complete }: Psbt): string {
  notice(
    `${feeSat === null ? 'the fee is not known' : `the fee is ${feeSat} sat`}; ${complete ? 'all' : 'not all'} inputs are final`,
  )
  return psbt
}

function registerPsbt(wallet: Command): void {
  const psbt = wallet
    .command('psbt')
    .description('transactions to be looked at or signed elsewhere before they are sent')
  spendOptions(
    psbt
      .command('create')
      .description('an unsigned PSBT; its coins stay reserved until broadcast, release or a restart'),
  ).action(async (address: string, amountSat: Amount, o: SpendOptions, command: Command) => {
    const { client, show } = remote(command)
    const made = await client.psbt.create(spendOf(address, amountSat, o))
    show(made, () => psbtText(made))
  })
  const step = <T>(
    name: string,
    about: string,
    call: (client: FulmenClient, psbt: string) => Promise<T>,
    text: (answer: T) => string,
  ) =>
    oneCommand(psbt, name, {
      about,
      argument: PSBT,
      call: async (client, given) => call(client, given === '-' ? (await readAll(process.stdin)).trim() : given),
      text,
    })
  step('sign', 'sign the inputs of this wallet', (client, one) => client.psbt.sign(one), psbtText)
  step('finalise', 'make signed inputs final', (client, one) => client.psbt.finalise(one), psbtText)
  step(
    'broadcast',
    'finalise and broadcast',
    (client, one) => client.psbt.broadcast(one),
    (sent) => transactionTable([sent]),
  )
  step(
    'release',
    'free the coins of a PSBT that is not to be sent',
    async (client, one) => {
      await client.psbt.release(one)
      return { released: true }
    },
    () => 'released',
  )
}
