import { outpointKey } from '../../base/ids.ts'
import { amountToJson } from '../../base/units.ts'
import { table } from '../output.ts'
import type { Account } from './account.ts'
import { nameOf } from './chainFacts.ts'
import { type DemoClose, type DemoResult, labelOf } from './flow.ts'

const whole = (n: number | bigint): string => n.toLocaleString('en-US')

/** Millisatoshis as satoshis with three places, never by way of a float. */
function satText(msats: bigint): string {
  const abs = msats < 0n ? -msats : msats
  const places = String(abs % 1000n).padStart(3, '0')
  return `${msats < 0n ? '−' : ''}${whole(abs / 1000n)}.${places}`
}

/** Everything held: the exit code is 0 for this alone. */
export const isGood = (result: DemoResult): boolean =>
  result.payments.failed === 0 && result.allConfirmed && result.account.conserved

/** What `--json` prints. */
export function reportJson({ nodes, channels, payments, closes, allConfirmed, account }: DemoResult) {
  const { succeeded, failed, perSecond, p50Ms, p99Ms } = payments
  const count = (how: DemoClose['how']): number => closes.filter((close) => close.how === how).length
  return {
    channelsOpened: channels.length,
    payments: { succeeded, failed, perSecond, p50Ms, p99Ms },
    closes: { cooperative: count('cooperative'), force: count('force') },
    allConfirmed,
    conserved: account.conserved,
    nodes: account.nodes.map((line, i) => ({
      name: line.name,
      nodeId: nodes[i]!.nodeId,
      beforeMsat: amountToJson(line.beforeMsat),
      afterMsat: amountToJson(line.afterMsat),
      changeMsat: amountToJson(line.changeMsat),
    })),
  }
}

/** The account for people. */
export function reportText(result: DemoResult): string {
  return [
    ...channelsPart(result),
    ...paymentsPart(result),
    ...result.closes.flatMap(closePart),
    ...balancesPart(result.account),
    ...missingPart(result.account),
    verdict(result),
  ].join('\n')
}

function channelsPart({ channels }: DemoResult): string[] {
  const rows = channels.map((c) => [labelOf(c), c.opened.capacitySat, c.opened.shortChannelId, c.opened.type])
  return [
    '',
    `Opened ${channels.length} channels`,
    table(['channel', 'capacity sat', 'short channel id', 'type'], rows),
  ]
}

function paymentsPart({ payments: p }: DemoResult): string[] {
  const failures = Object.entries(p.failures).map(([why, n]) => `  failed with ${why}: ${n}`)
  return [
    '',
    `Payments: ${whole(p.succeeded)} succeeded, ${whole(p.failed)} failed`,
    `  ${p.perSecond} per second over REST; p50 ${p.p50Ms} ms, p99 ${p.p99Ms} ms from call to outcome`,
    `  ${satText(BigInt(p.movedMsat))} sat moved, ${satText(BigInt(p.routingFeesMsat))} sat in routing fees`,
    ...failures,
  ]
}

function closePart(close: DemoClose): string[] {
  const transactions = new Map<string, readonly unknown[]>()
  for (const { closing } of close.views) {
    for (const tx of closing?.transactions ?? []) {
      transactions.set(tx.txid, [nameOf(closing!, tx), tx.txid, tx.confirmed ? 'confirmed' : 'NOT CONFIRMED'])
    }
  }
  const how = close.how === 'force' ? `by force, by ${close.opener.name}` : 'cooperatively'
  return ['', `Closed ${labelOf(close)} ${how}`, table(['transaction', 'txid', 'state'], [...transactions.values()])]
}

function balancesPart(account: Account): string[] {
  const rows = account.nodes.map((n) => [n.name, satText(n.beforeMsat), satText(n.afterMsat), satText(n.changeMsat)])
  const change = account.sumAfterMsat - account.sumBeforeMsat
  rows.push(['all', satText(account.sumBeforeMsat), satText(account.sumAfterMsat), satText(change)])
  const widths = [1, 2, 3].map((i) => Math.max(...rows.map((row) => row[i]!.length)))
  const padded = rows.map((row) => row.map((cell, i) => (i === 0 ? cell : cell.padStart(widths[i - 1]!))))
  return ['', 'Balances in sat, without mining rewards', table(['node', 'before', 'after', 'change'], padded)]
}

function missingPart(account: Account): string[] {
  const rows = [
    ...account.fees.map((fee) => [`fee of ${fee.kind}`, amountToJson(fee.feeSat), fee.txid]),
    ...account.anchors.map((a) => ['unclaimed anchor', amountToJson(a.amountSat), outpointKey(a.outpoint)]),
    ...account.strays.map((s) => [`LOST: output of ${s.kind}`, amountToJson(s.amountSat), outpointKey(s.outpoint)]),
  ]
  return ['', 'Where the difference went', table(['what', 'sat', 'where'], rows)]
}

function verdict({ account, allConfirmed, payments }: DemoResult): string {
  const lines = [
    '',
    account.conserved
      ? 'Conserved: the sum went down by these fees and unclaimed anchors and by nothing else, to the satoshi.'
      : `NOT CONSERVED: ${satText(account.missingMsat)} sat are unaccounted for.`,
  ]
  if (!allConfirmed) lines.push('NOT ALL CONFIRMED: a closing transaction is missing from the chain.')
  if (payments.failed > 0) lines.push(`NOT ALL PAID: ${payments.failed} payments failed.`)
  return lines.join('\n')
}
