import type { ForwardSums, PaymentSums, Summary } from '../../api/operatorSchemas.ts'
import { type FulmenClient, whole } from '../../client/index.ts'

const DAY_MS = 86_400_000

/** What the books can be opened for. Days are days in UTC, as the node counts them. */
export const RANGES = [
  { name: '7', title: 'Last 7 days', period: 'day', spans: 7 },
  { name: '30', title: 'Last 30 days', period: 'day', spans: 30 },
  { name: '90', title: 'Last 90 days', period: 'day', spans: 90 },
  { name: '365', title: 'Last 12 months', period: 'month', spans: 12 },
  { name: 'all', title: 'All time', period: 'month', spans: null },
] as const

export type Range = (typeof RANGES)[number]

/** A day or a month. */
export interface Row {
  /** `2026-11-27` or `2026-11` */
  readonly span: string
  readonly forwards: ForwardSums | undefined
  readonly payments: PaymentSums | undefined
}

export interface Books {
  readonly summary: Summary
  /** Every day or month of the range, oldest first, with those in which nothing happened. */
  readonly rows: readonly Row[]
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** The months from one to another, both included. @param from `2026-03` */
function monthsBetween(from: string, to: string): string[] {
  const index = (month: string): number => Number(month.slice(0, 4)) * 12 + Number(month.slice(5)) - 1
  const [first, last] = [index(from), index(to)]
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
    const [year, month] = [Math.floor((first + i) / 12), ((first + i) % 12) + 1]
    return `${year}-${String(month).padStart(2, '0')}`
  })
}

/** The spans of a range that has an end, oldest first. @param now Unix ms */
export function spansOf({ period, spans }: Range, now: number): readonly string[] | null {
  if (spans === null) return null
  if (period === 'day') return Array.from({ length: spans }, (_, i) => dayOf(now - (spans - 1 - i) * DAY_MS))
  const today = new Date(now)
  const first = new Date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() - (spans - 1)))
  return monthsBetween(first.toISOString().slice(0, 7), dayOf(now).slice(0, 7))
}

/** What the API is asked for. */
export function queryOf(range: Range, now: number): { readonly from?: string } {
  const first = spansOf(range, now)?.[0]
  return first === undefined ? {} : { from: range.period === 'day' ? first : `${first}-01` }
}

export async function loadBooks(client: FulmenClient, range: Range): Promise<Books> {
  const now = Date.now()
  const { period } = range
  const query = queryOf(range, now)
  const [summary, forwards, payments] = await Promise.all([
    client.analytics.summary(query),
    whole<ForwardSums>((page) => client.analytics.forwards({ ...page, ...query, period })),
    whole<PaymentSums>((page) => client.analytics.payments({ ...page, ...query, period })),
  ])
  const known = [...forwards, ...payments].map((sums) => sums.period).toSorted()
  const thisMonth = dayOf(now).slice(0, 7)
  const spans = spansOf(range, now) ?? monthsBetween(known[0] ?? thisMonth, thisMonth)
  const [forwardsOf, paymentsOf] = [byPeriod(forwards), byPeriod(payments)]
  return {
    summary,
    rows: spans.map((span) => ({ span, forwards: forwardsOf.get(span), payments: paymentsOf.get(span) })),
  }
}

const byPeriod = <T extends { readonly period: string }>(sums: readonly T[]): ReadonlyMap<string, T> =>
  new Map(sums.map((one) => [one.period, one]))

/** `27 Nov`, `Nov 2026` */
export function spanText(span: string): string {
  const isDay = span.length > 7
  const options = isDay ? ({ day: 'numeric', month: 'short' } as const) : ({ month: 'short', year: 'numeric' } as const)
  return new Date(`${span}${isDay ? '' : '-01'}T00:00:00Z`).toLocaleDateString('en-GB', { ...options, timeZone: 'UTC' })
}
