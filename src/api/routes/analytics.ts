import { amountToJson } from '../../base/units.ts'
import type { DayRange } from '../../node/analytics/views.ts'
import type { ApiContext, App } from '../app.ts'
import {
  BalanceHistoryQuery,
  BalanceSample,
  ChannelEarnings,
  ChannelEarningsQuery,
  Forward,
  ForwardQuery,
  ForwardSums,
  ForwardSumsQuery,
  PaymentSums,
  PaymentSumsQuery,
  Summary,
  SummaryQuery,
} from '../operatorSchemas.ts'
import { timeRange } from '../times.ts'
import { exportedRoute } from './exported.ts'

const config = { scope: 'node:read' } as const
const tags = ['analytics']

/** Amounts and counts as integers, everything else as it is. */
const plain = <T extends object>(view: T): { [K in keyof T]: T[K] extends bigint ? number : T[K] } =>
  Object.fromEntries(
    Object.entries(view).map(([name, value]) => [name, typeof value === 'bigint' ? amountToJson(value) : value]),
  ) as never

const days = ({ from, to }: { from?: string; to?: string }): DayRange => ({
  ...(from !== undefined && { from }),
  ...(to !== undefined && { to }),
})

const books = { config, tags, json: plain }

/** What happened, summed up, for the operator's books. */
export function analyticsRoutes(app: App, context: ApiContext): void {
  const { analytics } = context.service
  exportedRoute(app, context, {
    ...books,
    path: '/v1/forwards',
    tags: ['forwards'],
    what: 'Settled forwards',
    query: ForwardQuery,
    item: Forward,
    name: () => 'forwards',
    list: (query) => {
      const range = timeRange(query)
      return (page) => analytics.forwards(page, range)
    },
  })
  app.get(
    '/v1/analytics/summary',
    {
      config,
      schema: {
        summary: 'Forwards, payments and what was received, over all time or a range of days',
        tags,
        querystring: SummaryQuery,
        response: { 200: Summary },
      },
    },
    async ({ query }) => {
      const { from = null, to = null, forwards, payments } = await analytics.summary(days(query))
      return { from, to, forwards: plain(forwards), payments: plain(payments) }
    },
  )
  sumRoutes(app, context)
  stateRoutes(app, context)
}

function sumRoutes(app: App, context: ApiContext): void {
  const { analytics } = context.service
  exportedRoute(app, context, {
    ...books,
    path: '/v1/analytics/forwards',
    what: 'Forwards by day or month, of all channels or of one',
    query: ForwardSumsQuery,
    item: ForwardSums,
    name: ({ period = 'day' }) => `forwards-by-${period}`,
    list: ({ period = 'day', channel, direction, ...range }) => {
      const about = { ...(channel !== undefined && { channel }), ...(direction && { direction }) }
      return (page) => analytics.forwardSums(page, { period, ...days(range), ...about })
    },
  })
  exportedRoute(app, context, {
    ...books,
    path: '/v1/analytics/payments',
    what: 'Payments made and received by day or month',
    query: PaymentSumsQuery,
    item: PaymentSums,
    name: ({ period = 'day' }) => `payments-by-${period}`,
    list:
      ({ period = 'day', ...range }) =>
      (page) =>
        analytics.paymentSums(page, { period, ...days(range) }),
  })
}

function stateRoutes(app: App, context: ApiContext): void {
  const { analytics } = context.service
  exportedRoute(app, context, {
    ...books,
    path: '/v1/analytics/channels',
    what: 'What each channel has carried, earned and cost',
    query: ChannelEarningsQuery,
    item: ChannelEarnings,
    name: () => 'channels',
    list: () => (page) => analytics.channelEarnings(page),
  })
  exportedRoute(app, context, {
    ...books,
    path: '/v1/analytics/balance-history',
    what: 'What the node held, by day or hour',
    query: BalanceHistoryQuery,
    item: BalanceSample,
    name: ({ period = 'day' }) => `balances-by-${period}`,
    list:
      ({ period = 'day', ...range }) =>
      (page) =>
        analytics.balanceHistory(page, { period, ...days(range) }),
  })
}
