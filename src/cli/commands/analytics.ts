import type { Command } from 'commander'
import type { BalanceSample, ChannelEarnings, ForwardSums, PaymentSums } from '../../api/operatorSchemas.ts'
import { given } from '../arguments.ts'
import { fields, table } from '../output.ts'
import { remote } from '../remote.ts'
import { csvListCommand } from '../resources.ts'

export function register(program: Command): void {
  const analytics = program.command('analytics').description('sums for the books, by day and month in UTC')
  days(analytics.command('summary').description('forwards, payments and what was received')).action(
    async (options, command: Command) => {
      const { client, show } = remote(command)
      const summary = await client.analytics.summary(given(options))
      show(summary, () => fields(summary))
    },
  )
  days(
    csvListCommand(analytics, {
      name: 'forwards',
      about: 'forwards by period',
      csv: 'analytics/forwards',
      page: (client, query) => client.analytics.forwards(query),
      table: forwardTable,
    }),
  )
    .option('--period <period>', 'day or month')
    .option('--channel <id>', 'of one channel alone')
    .option('--direction <direction>', 'with --channel: in, or out')
  days(
    csvListCommand(analytics, {
      name: 'payments',
      about: 'payments made and received by period',
      csv: 'analytics/payments',
      page: (client, query) => client.analytics.payments(query),
      table: paymentTable,
    }),
  ).option('--period <period>', 'day or month')
  csvListCommand(analytics, {
    name: 'channels',
    about: 'what each channel has carried, earned and cost',
    csv: 'analytics/channels',
    page: (client, query) => client.analytics.channels(query),
    table: channelTable,
  })
  days(
    csvListCommand(analytics, {
      name: 'balances',
      about: 'what the node held, by period',
      csv: 'analytics/balance-history',
      page: (client, query) => client.analytics.balanceHistory(query),
      table: balanceTable,
    }),
  ).option('--period <period>', 'hour or day')
}

const days = (command: Command): Command =>
  command.option('--from <day>', 'from this day on, like 2026-11-01').option('--to <day>', 'up to this day')

const percent = (rate: number | null): string | null => (rate === null ? null : `${(rate * 100).toFixed(1)} %`)

const forwardTable = (rows: readonly ForwardSums[]): string =>
  table(
    ['period', 'settled', 'failed', 'success', 'amount out msat', 'fee msat'],
    rows.map((r) => [r.period, r.settled, r.failed, percent(r.successRate), r.amountOutMsat, r.feeMsat]),
  )

const paymentTable = (rows: readonly PaymentSums[]): string =>
  table(
    ['period', 'succeeded', 'failed', 'success', 'paid msat', 'fee msat', 'received', 'received msat'],
    rows.map((r) => [
      r.period,
      r.succeeded,
      r.failed,
      percent(r.successRate),
      r.amountMsat,
      r.feeMsat,
      r.received,
      r.receivedMsat,
    ]),
  )

const channelTable = (rows: readonly ChannelEarnings[]): string =>
  table(
    [
      'id',
      'short channel id',
      'state',
      'in',
      'out',
      'fee in msat',
      'fee out msat',
      'open sat',
      'close sat',
      'profit msat',
    ],
    rows.map((r) => [
      r.id,
      r.shortChannelId,
      r.state,
      r.forwardsIn,
      r.forwardsOut,
      r.feeInMsat,
      r.feeOutMsat,
      r.openFeeSat,
      r.closeFeeSat,
      r.profitMsat,
    ]),
  )

const balanceTable = (rows: readonly BalanceSample[]): string =>
  table(
    ['period', 'on chain sat', 'closing sat', 'ours msat', 'theirs msat', 'usable channels'],
    rows.map((r) => [
      r.period,
      r.onchainConfirmedSat + r.onchainUnconfirmedSat,
      r.onchainClosingSat,
      r.channelLocalMsat,
      r.channelRemoteMsat,
      r.usableChannels,
    ]),
  )
