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
import { pageOf } from '../scalars.ts'
import { timeRange } from '../times.ts'
import { sendList } from './exported.ts'

const config = { scope: 'node:read' } as const
const tags = ['analytics']
const produces = ['text/csv']

/** Amounts and counts as integers, everything else as it is. */
const plain = <T extends object>(view: T): { [K in keyof T]: T[K] extends bigint ? number : T[K] } =>
  Object.fromEntries(
    Object.entries(view).map(([name, value]) => [name, typeof value === 'bigint' ? amountToJson(value) : value]),
  ) as never

const days = ({ from, to }: { from?: string; to?: string }): DayRange => ({
  ...(from !== undefined && { from }),
  ...(to !== undefined && { to }),
})

/** What happened, summed up, for the operator's books. */
export function analyticsRoutes(app: App, { service: { analytics }, keys, closing }: ApiContext): void {
  app.get(
    '/v1/forwards',
    {
      config,
      schema: {
        summary: 'Settled forwards, newest first, as JSON or CSV',
        tags: ['forwards'],
        querystring: ForwardQuery,
        response: { 200: pageOf(Forward) },
        produces,
      },
    },
    (request, reply) => {
      const range = timeRange(request.query)
      return sendList(request, reply, {
        keys,
        closing,
        name: 'forwards',
        item: Forward,
        list: (page) => analytics.forwards(page, range),
        json: plain,
      })
    },
  )

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
  sumRoutes(app, { analytics, keys, closing })
  stateRoutes(app, { analytics, keys, closing })
}

interface Parts extends Pick<ApiContext, 'keys' | 'closing'> {
  readonly analytics: ApiContext['service']['analytics']
}

function sumRoutes(app: App, { analytics, keys, closing }: Parts): void {
  app.get(
    '/v1/analytics/forwards',
    {
      config,
      schema: {
        summary: 'Forwards by day or month, of all channels or of one, newest first, as JSON or CSV',
        tags,
        querystring: ForwardSumsQuery,
        response: { 200: pageOf(ForwardSums) },
        produces,
      },
    },
    (request, reply) => {
      const { period = 'day', channel, direction } = request.query
      const query = {
        period,
        ...days(request.query),
        ...(channel !== undefined && { channel }),
        ...(direction && { direction }),
      }
      return sendList(request, reply, {
        keys,
        closing,
        name: `forwards-by-${period}`,
        item: ForwardSums,
        list: (page) => analytics.forwardSums(page, query),
        json: plain,
      })
    },
  )

  app.get(
    '/v1/analytics/payments',
    {
      config,
      schema: {
        summary: 'Payments made and received by day or month, newest first, as JSON or CSV',
        tags,
        querystring: PaymentSumsQuery,
        response: { 200: pageOf(PaymentSums) },
        produces,
      },
    },
    (request, reply) => {
      const { period = 'day' } = request.query
      return sendList(request, reply, {
        keys,
        closing,
        name: `payments-by-${period}`,
        item: PaymentSums,
        list: (page) => analytics.paymentSums(page, { period, ...days(request.query) }),
        json: plain,
      })
    },
  )
}

function stateRoutes(app: App, { analytics, keys, closing }: Parts): void {
  app.get(
    '/v1/analytics/channels',
    {
      config,
      schema: {
        summary: 'What each channel has carried, earned and cost, newest first, as JSON or CSV',
        tags,
        querystring: ChannelEarningsQuery,
        response: { 200: pageOf(ChannelEarnings) },
        produces,
      },
    },
    (request, reply) =>
      sendList(request, reply, {
        keys,
        closing,
        name: 'channels',
        item: ChannelEarnings,
        list: (page) => analytics.channelEarnings(page),
        json: plain,
      }),
  )

  app.get(
    '/v1/analytics/balance-history',
    {
      config,
      schema: {
        summary: 'What the node held, by day or hour, newest first, as JSON or CSV',
        tags,
        querystring: BalanceHistoryQuery,
        response: { 200: pageOf(BalanceSample) },
        produces,
      },
    },
    (request, reply) => {
      const { period = 'day' } = request.query
      return sendList(request, reply, {
        keys,
        closing,
        name: `balances-by-${period}`,
        item: BalanceSample,
        list: (page) => analytics.balanceHistory(page, { period, ...days(request.query) }),
        json: plain,
      })
    },
  )
}
