import { type ChannelId, formatScid } from '../../base/ids.ts'
import { unpack } from '../../base/pack.ts'
import type { Sat } from '../../base/units.ts'
import { type ChannelSummary, channelOf, summary } from '../../channel/describe.ts'
import type { ChannelState } from '../../channel/state.ts'
import { keys } from '../../store/schema.ts'
import { rowOf } from '../analytics/ledger.ts'
import { addSums, NOTHING, type Subject, type SumKind, type SumsOf } from '../analytics/sums.ts'
import type { AnalyticsService, Balances, ChannelEarnings, DayRange, ForwardView } from '../analytics/views.ts'
import type { ChannelEntry } from '../channels.ts'
import { ServiceError } from '../errors.ts'
import type { Node } from '../node.ts'
import { checkCursor, pageOf, pageOfRecords } from '../paging.ts'
import type { NodeService, Page, PageRequest } from '../service.ts'

const SEQUENCE = /^\d{1,16}$/
const PERIOD = /^\d{4}-\d\d(-\d\d(T\d\d)?)?$/
/** A range of days that is summed up reads one row for each. */
const MOST_DAYS = 3_700

const rate = (good: bigint, bad: bigint): number | null =>
  good + bad === 0n ? null : Number((good * 1_000_000n) / (good + bad)) / 1_000_000

export function analyticsService(
  node: Node,
  { walletTransaction }: Pick<NodeService, 'walletTransaction'>,
): AnalyticsService {
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

  const openFee = async (s: ChannelSummary): Promise<Sat> => {
    if (!s.isOpener || s.funding === null) return 0n as Sat
    const tx = await walletTransaction(s.funding.txid).catch(() => null)
    return tx?.feeSat ?? (0n as Sat)
  }

  const earnings = async (entry: ChannelEntry): Promise<ChannelEarnings> => {
    const s = summary(entry.state, node.context(entry))
    const of = (direction: 'in' | 'out') =>
      s.channelId === null ? NOTHING.forward : ledger.get('forward', `${s.channelId}:${direction}`, 'ever', 'ever')
    const [into, out, openFeeSat] = await Promise.all([of('in'), of('out'), openFee(s)])
    const closeFeeSat = closeFee(entry.state, s)
    return {
      id: entry.meta.localId,
      channelId: s.channelId,
      peer: entry.meta.peer,
      state: s.state,
      capacitySat: s.capacitySat,
      createdAt: entry.meta.createdAt,
      forwardsIn: into.settled,
      forwardsOut: out.settled,
      amountInMsat: into.amountInMsat,
      amountOutMsat: out.amountOutMsat,
      feeInMsat: into.feeMsat,
      feeOutMsat: out.feeMsat,
      successRate: rate(into.settled + out.settled, into.failed + out.failed),
      openFeeSat,
      closeFeeSat,
      profitMsat: out.feeMsat - (openFeeSat + closeFeeSat) * 1000n,
      shortChannelId: s.shortChannelId === null ? null : formatScid(s.shortChannelId),
    }
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
    async forwards(page) {
      checkCursor(page.cursor, SEQUENCE)
      const cursor = page.cursor?.padStart(16, '0')
      const { items, nextCursor } = await pageOfRecords(
        driver,
        { prefix: keys.forwards },
        { limit: page.limit, ...(cursor && { cursor }) },
      )
      return { items: items.map(forwardView), nextCursor }
    },
    async summary(range) {
      await ledger.fold()
      const [forwards, payments] = await Promise.all([total('forward', range), total('payment', range)])
      return {
        ...range,
        forwards: { ...forwards, successRate: rate(forwards.settled, forwards.failed) },
        payments: { ...payments, successRate: rate(payments.succeeded, payments.failed) },
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
        successRate: rate(sums.settled, sums.failed),
      })
      return { items: items.map(view), nextCursor }
    },
    async paymentSums(page, query) {
      const { items, nextCursor } = await rowsOf('payment', page, { ...query, subject: 'all' })
      const view = ({ period, sums }: (typeof items)[number]) => ({
        period,
        ...sums,
        successRate: rate(sums.succeeded, sums.failed),
      })
      return { items: items.map(view), nextCursor }
    },
    async channelEarnings(page) {
      await ledger.fold()
      const all = [...channels.all()].sort((a, b) => b.meta.seq - a.meta.seq)
      const { items, nextCursor } = pageOf(all, (c) => c.meta.localId, page)
      return { items: await Promise.all(items.map(earnings)), nextCursor }
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

/** Our claims, and the closing transaction where its fee is ours: the opener's for a commitment, the closer's for an agreed close. */
function closeFee(state: ChannelState, s: ChannelSummary): Sat {
  if (s.closing === null) return 0n as Sat
  const [closing, ...spenders] = s.closing.transactions
  const claims = spenders.reduce((sum, t) => (t.kind === 'theirs' ? sum : sum + (t.feeSat ?? 0n)), 0n)
  const isOurs = closing?.kind === 'mutual' ? paidMutual(state, s) : s.isOpener
  return (claims + (isOurs ? (closing?.feeSat ?? 0n) : 0n)) as Sat
}

/** Whoever pays for an agreed close gets less than its balance. */
function paidMutual(state: ChannelState, s: ChannelSummary): boolean {
  const onchain = state.tag === 'closing' || state.tag === 'closed' ? state.onchain : null
  const ours = s.localMsat / 1000n
  const theirs = s.remoteMsat / 1000n
  const amounts = onchain?.closing.tx.outputs.map((o): bigint => o.amountSat) ?? []
  const isWhole = (balance: bigint): boolean => balance === 0n || amounts.includes(balance)
  return isWhole(ours) === isWhole(theirs) ? s.isOpener : isWhole(theirs)
}
