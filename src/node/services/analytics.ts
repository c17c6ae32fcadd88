import type { ChannelId } from '../../base/ids.ts'
import { unpack } from '../../base/pack.ts'
import { channelOf } from '../../channel/describe.ts'
import { keys, padded } from '../../store/schema.ts'
import { rowOf } from '../analytics/ledger.ts'
import { addSums, NOTHING, type Subject, type SumKind, type SumsOf } from '../analytics/sums.ts'
import type { AnalyticsService, Balances, DayRange, ForwardView } from '../analytics/views.ts'
import { ServiceError } from '../errors.ts'
import type { Node } from '../node.ts'
import { checkCursor, lastSequence, pageOf, pageOfRecords } from '../paging.ts'
import type { NodeService, Page, PageRequest } from '../service.ts'
import { placesIn, recordsFrom } from '../timeRange.ts'
import { channelEarnings, successRate } from './channelEarnings.ts'
import { claimFees } from './claimFees.ts'

const SEQUENCE = /^\d{1,16}$/
const PERIOD = /^\d{4}-\d\d(-\d\d(T\d\d)?)?$/
/** A range of days that is summed up reads one row for each. */
const MOST_DAYS = 3_700

/** The sums that the node keeps, by range, period and channel. */
export function analyticsService(node: Node, wallet: Pick<NodeService, 'walletTransaction'>): AnalyticsService {
  const { driver, ledger, channels, balances } = node

  const rowsOf = async <K extends SumKind>(
    kind: K,
    page: PageRequest,
    { subject, period, from, to }: DayRange & { subject: Subject; period: 'day' | 'month' },
  ): Promise<Page<{ readonly period: string; readonly sums: SumsOf[K] }>> => {
    checkCursor(page.cursor, PERIOD)
    await ledger.fold()
    const length = period === 'day' ? 10 : 7
    const range = { prefix: keys.sums(kind, subject, period), from: from?.slice(0, length), to: to?.slice(0, length) }
    const { items, nextCursor } = await pageOfRecords(driver, range, page)
    return { items: items.map(({ name, value }) => ({ period: name, sums: rowOf(kind, value) })), nextCursor }
  }

  /** Over all days of the range. */
  const total = async <K extends SumKind>(kind: K, { from, to }: DayRange): Promise<SumsOf[K]> => {
    if (from === undefined && to === undefined) return ledger.get(kind, 'all', 'ever', 'ever')
    const { items } = await rowsOf(
      kind,
      { limit: MOST_DAYS },
      { subject: 'all', period: 'day', ...(from && { from }), ...(to && { to }) },
    )
    return items.reduce((sum, row) => addSums<SumsOf[K]>(sum, row.sums), NOTHING[kind])
  }

  const channelId = (id: string): ChannelId => {
    const entry =
      channels.get(id) ??
      channels.byChannelId(id as ChannelId) ??
      channels.all().find((c) => channelOf(c.state)?.params.channelId === id)
    const found = entry && channelOf(entry.state)?.params.channelId
    if (!found) throw new ServiceError('NOT_FOUND', `there is no channel ${id} that has been funded`)
    return found
  }

  return {
    async forwards(page, range = {}) {
      checkCursor(page.cursor, SEQUENCE)
      const at = recordsFrom<{ at: number }>(driver, keys.forwards, (forward) => forward.at)
      const end = (await lastSequence(driver, keys.forwards)) + 1
      const { from = 0, before = end } = await placesIn(range, end, at)
      const cursor = padded(Math.min(before, page.cursor === undefined ? end : Number(page.cursor)))
      const { items, nextCursor } = await pageOfRecords(
        driver,
        { prefix: keys.forwards, from: padded(from) },
        { limit: page.limit, cursor },
      )
      return { items: items.map(forwardView), nextCursor }
    },
    async summary(range) {
      await ledger.fold()
      const [forwards, payments] = await Promise.all([total('forward', range), total('payment', range)])
      return {
        ...range,
        forwards: { ...forwards, successRate: successRate(forwards.settled, forwards.failed) },
        payments: { ...payments, successRate: successRate(payments.succeeded, payments.failed) },
      }
    },
    async forwardSums(page, { channel, direction = 'out', ...query }) {
      const about = channel === undefined ? null : channelId(channel)
      const subject: Subject = about === null ? 'all' : `${about}:${direction}`
      const { items, nextCursor } = await rowsOf('forward', page, { ...query, subject })
      const view = ({ period, sums }: (typeof items)[number]) => ({
        period,
        channelId: about,
        ...sums,
        successRate: successRate(sums.settled, sums.failed),
      })
      return { items: items.map(view), nextCursor }
    },
    async paymentSums(page, query) {
      const { items, nextCursor } = await rowsOf('payment', page, { ...query, subject: 'all' })
      const view = ({ period, sums }: (typeof items)[number]) => ({
        period,
        ...sums,
        successRate: successRate(sums.succeeded, sums.failed),
      })
      return { items: items.map(view), nextCursor }
    },
    async channelEarnings(page) {
      await ledger.fold()
      const all = [...channels.all()].sort((a, b) => b.meta.seq - a.meta.seq)
      const { items, nextCursor } = pageOf(all, (c) => c.meta.localId, page)
      const sources = { node, wallet, claimFee: claimFees(node, wallet) }
      return { items: await Promise.all(items.map((entry) => channelEarnings(sources, entry))), nextCursor }
    },
    async balanceHistory(page, { period, from, to }) {
      checkCursor(page.cursor, PERIOD)
      await balances.note()
      const { items, nextCursor } = await pageOfRecords(driver, { prefix: keys.balances(period), from, to }, page)
      const view = ({ name, value }: (typeof items)[number]) => ({
        ...unpack<Balances & { at: string }>(value),
        period: name,
      })
      return { items: items.map(view), nextCursor }
    },
  }
}

function forwardView({ name, value }: { readonly name: string; readonly value: Uint8Array }): ForwardView {
  const { at, paymentHash, incomingChannelId, outgoingChannelId, amountInMsat, amountOutMsat, feeMsat } = unpack<
    Omit<ForwardView, 'id' | 'at'> & { at: number }
  >(value)
  return {
    id: String(Number(name)),
    at: new Date(at).toISOString(),
    paymentHash,
    incomingChannelId,
    outgoingChannelId,
    amountInMsat,
    amountOutMsat,
    feeMsat,
  }
}
