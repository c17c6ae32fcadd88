import type { ChannelEarnings, Summary } from '../../api/operatorSchemas.ts'
import { type CsvList, whole } from '../../client/index.ts'
import type { App, Render } from '../app.ts'
import { barChart } from '../chart.ts'
import { field, select } from '../dialog.ts'
import { type Child, h, put } from '../dom.ts'
import { grouped, percent, satText } from '../format.ts'
import { amount, button, chip, denied, empty, problemBox, section, settle, table, waiting } from '../parts.ts'
import { Resource } from '../resource.ts'
import { save } from '../save.ts'
import { type Books, loadBooks, queryOf, RANGES, type Range, type Row, spanText } from './books.ts'

/** Channels that are shown before somebody asks for all. */
const CHANNELS_SHOWN = 15

const count = (n: number, what: string): string => `${grouped(n)} ${what}${n === 1 ? '' : 's'}`
const succeeded = (rate: number | null): string => (rate === null ? '' : `, ${percent(rate)} succeeded`)

function saveCsv({ live }: App, list: CsvList, name: string, query: Record<string, string> = {}): Promise<void> {
  return save(`${name}.csv`, `${name}.csv`, async () => (await live.client.csv(list, query)).blob())
}

const csvButton = (onclick: () => void, label: string): HTMLButtonElement =>
  button('CSV', onclick, { icon: 'download', kind: 'quiet', label })

// ------------------------------------------------------------------ the sums

const figure = (name: string, value: Child, note: string): Child =>
  h('div', {}, h('dt', {}, name), h('dd', {}, value, h('span', { class: 'detail' }, note)))

function figures({ forwards, payments }: Summary): Child {
  const ended = forwards.settled + forwards.failed
  return h('dl', { class: 'figures' }, [
    figure(
      'Fees earned',
      amount(forwards.feeMsat),
      ended === 0 ? 'no forwards' : `${count(forwards.settled, 'forward')}${succeeded(forwards.successRate)}`,
    ),
    figure('Fees paid', amount(payments.feeMsat), 'for payments of ours'),
    figure('Forwarded', amount(forwards.amountOutMsat, { whole: true }), 'for others'),
    figure(
      'Sent',
      amount(payments.amountMsat, { whole: true }),
      `${count(payments.succeeded, 'payment')}${succeeded(payments.successRate)}`,
    ),
    figure('Received', amount(payments.receivedMsat, { whole: true }), count(payments.received, 'payment')),
  ])
}

// ------------------------------------------------------------------ over time

interface Metric {
  readonly title: string
  readonly list: 'analytics/forwards' | 'analytics/payments'
  readonly of: (row: Row) => number
}

const METRICS: readonly Metric[] = [
  { title: 'Forwarded', list: 'analytics/forwards', of: ({ forwards }) => forwards?.amountOutMsat ?? 0 },
  { title: 'Fees earned', list: 'analytics/forwards', of: ({ forwards }) => forwards?.feeMsat ?? 0 },
  { title: 'Sent', list: 'analytics/payments', of: ({ payments }) => payments?.amountMsat ?? 0 },
  { title: 'Fees paid', list: 'analytics/payments', of: ({ payments }) => payments?.feeMsat ?? 0 },
  { title: 'Received', list: 'analytics/payments', of: ({ payments }) => payments?.receivedMsat ?? 0 },
]

function chartOf(rows: readonly Row[], { title, of }: Metric): HTMLElement {
  const bars = rows.map((row) => ({ label: spanText(row.span), value: of(row) }))
  const sum = bars.reduce((total, { value }) => total + value, 0)
  const top = bars.reduce((a, b) => (b.value > a.value ? b : a), bars[0] ?? { label: '', value: 0 })
  const inAll = `${satText(sum)} in all${top.value > 0 ? `, most on ${top.label}: ${satText(top.value)}` : ''}`
  return barChart(
    bars,
    `${title}, ${bars[0]?.label} to ${bars.at(-1)?.label}: ${inAll}. The table below has the numbers.`,
    (bar) => (bar ? `${bar.label}: ${satText(bar.value)}` : inAll),
  )
}

function numbers(rows: readonly Row[], period: Range['period']): HTMLElement {
  const busy = rows.filter(({ forwards, payments }) => forwards ?? payments).toReversed()
  const heads = [
    period === 'day' ? 'Day (UTC)' : 'Month (UTC)',
    ...['Forwards', 'Failed', 'Forwarded', 'Earned', 'Payments', 'Failed', 'Sent', 'Paid', 'Received'],
  ]
  if (busy.length === 0) return empty('Nothing has happened in this time.')
  const cells = busy.map(({ span, forwards: f, payments: p }): Child[] => [
    spanText(span),
    grouped(f?.settled ?? 0),
    grouped(f?.failed ?? 0),
    amount(f?.amountOutMsat ?? 0, { whole: true }),
    amount(f?.feeMsat ?? 0),
    grouped(p?.succeeded ?? 0),
    grouped(p?.failed ?? 0),
    amount(p?.amountMsat ?? 0, { whole: true }),
    amount(p?.feeMsat ?? 0),
    amount(p?.receivedMsat ?? 0, { whole: true }),
  ])
  return table(`By ${period}`, heads, cells, { numeric: true })
}

// ------------------------------------------------------------------ by channel

function channelTable(app: App, channels: readonly ChannelEarnings[], isAll: boolean): Child {
  const best = channels.toSorted((a, b) => b.profitMsat - a.profitMsat)
  const heads = ['Channel with', 'Earned', 'Opening, closing', 'Profit', 'Forwards in', 'Out', 'Succeeded']
  const cells = best
    .slice(0, isAll ? best.length : CHANNELS_SHOWN)
    .map((c): Child[] => [
      [app.live.nameOf(c.peer), c.state === 'closed' && [' ', chip('Closed')]],
      amount(c.feeOutMsat),
      amount((c.openFeeSat + c.closeFeeSat) * 1000),
      h('span', { class: c.profitMsat > 0 ? 'in' : '' }, amount(c.profitMsat, { signed: true })),
      grouped(c.forwardsIn),
      grouped(c.forwardsOut),
      c.successRate === null ? '' : percent(c.successRate),
    ])
  return table('Profit of each channel', heads, cells, { numeric: true })
}

function channelsCard(app: App, signal: AbortSignal): HTMLElement {
  const { live } = app
  const load = () => whole<ChannelEarnings>(live.client.analytics.channels)
  const channels = live.keep(new Resource(load), ['forward', 'channel'], signal)
  const place = waiting()
  let isAll = false
  const show = (): void => {
    const { value, error } = channels
    if (value === undefined && error === undefined) return
    settle(place)
    const more = button('Show all', () => {
      isAll = true
      show()
    })
    put(place, [
      error !== undefined && problemBox(error),
      value?.length === 0 && empty('No channels yet.'),
      value && value.length > 0 && channelTable(app, value, isAll),
      value && value.length > CHANNELS_SHOWN && !isAll && h('div', { class: 'below' }, more),
    ])
  }
  for (const one of [channels, live.of.peers, live.of.aliases]) one.watch(signal, show)
  return section(
    'Profit of each channel',
    { actions: csvButton(() => void saveCsv(app, 'analytics/channels', 'channels'), 'Save the channels as CSV') },
    h('p', { class: 'detail' }, 'Since it was opened: fees of what went out over it, less what miners got.'),
    place,
  )
}

export const render: Render = (app, signal) => {
  const { live } = app
  if (!live.can('node:read')) return h('section', { class: 'card', 'aria-label': 'Earnings' }, denied('node:read'))
  const names = RANGES.map(({ name, title }) => [name, title] as const)
  const [period, metric] = [select(names, '30'), select(METRICS.map(({ title }) => [title, title] as const))]
  const range = (): Range => RANGES.find(({ name }) => name === period.value) ?? RANGES[1]
  const chosen = (): Metric => METRICS.find(({ title }) => title === metric.value) ?? METRICS[0]!
  const saveSpans = (): void => {
    const { period } = range()
    const kind = chosen().list === 'analytics/forwards' ? 'forwards' : 'payments'
    void saveCsv(app, chosen().list, `${kind}-by-${period}`, { period, ...queryOf(range(), Date.now()) })
  }
  const [problem, byTime, sums, chart] = [h('div', {}), h('div', {}), waiting(), waiting()]
  const show = ({ value, error }: Resource<Books>): void => {
    put(problem, error !== undefined && problemBox(error))
    for (const place of [sums, chart]) settle(place)
    if (!value) return
    put(sums, figures(value.summary))
    put(chart, chartOf(value.rows, chosen()))
    put(byTime, numbers(value.rows, range().period))
  }
  let ending = new AbortController()
  const open = (): void => {
    ending.abort()
    ending = new AbortController()
    const until = AbortSignal.any([signal, ending.signal])
    const wanted = range()
    const books = new Resource(() => loadBooks(live.client, wanted))
    live.keep(books, ['forward', 'payment', 'invoice'], until).watch(until, () => show(books))
    metric.onchange = () => show(books)
  }
  period.addEventListener('change', open)
  open()
  return [
    h('div', { class: 'quick filter' }, field('Period', period)),
    problem,
    h('section', { class: 'card', 'aria-label': 'Sums' }, sums),
    section(
      'Over time',
      { actions: [h('div', { class: 'filter' }, field('Show', metric)), csvButton(saveSpans, 'Save them as CSV')] },
      chart,
      h('details', {}, h('summary', {}, 'As a table'), byTime),
    ),
    channelsCard(app, signal),
    h('p', {}, [button('All forwards as CSV', () => void saveCsv(app, 'forwards', 'forwards'), { icon: 'download' })]),
  ]
}
