import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { LOG_LEVELS, LOG_PARTS, type LogPart } from '../node/logLevels.ts'
import { LINE_LEVELS, type LineLevel } from '../node/logRing.ts'
import {
  AnyId,
  answer,
  Count,
  HexText,
  Msat,
  NodeIdText,
  NUMBER,
  nullable,
  oneOf,
  PERIOD,
  pageQueryWith,
  recordQuery,
  request,
  Sat,
  ScidText,
  SEQUENCE,
  TimeText,
} from './scalars.ts'

/* What those who run a node ask for. */

const Level = oneOf(...LOG_LEVELS)
const ofEachPart = <T>(value: T) => Object.fromEntries(LOG_PARTS.map((part) => [part, value])) as Record<LogPart, T>

export const LogLevels = answer('LogLevels', { default: Level, parts: Type.Object(ofEachPart(Level)) })
export const SetLogLevels = request('SetLogLevels', {
  default: Level,
  parts: Type.Optional(Type.Object(ofEachPart(Type.Optional(Level)), { additionalProperties: false })),
})

export const LogLine = answer('LogLine', {
  id: Type.Integer({ description: 'grows with time, also over a restart: microseconds since 1970' }),
  at: TimeText,
  level: oneOf(...LINE_LEVELS),
  part: oneOf(...LOG_PARTS),
  message: Type.String(),
  fields: Type.Record(Type.String(), Type.Unknown()),
})
export const LogPage = Type.Object(
  {
    items: Type.Array(LogLine),
    nextCursor: nullable(Type.String()),
    newestId: Type.Integer({
      description: 'of the newest line, whatever the filter: to be asked for `since` next time; 0: there was none',
    }),
    lostTo: nullable(
      Type.Integer({
        description:
          'of the newest line after `since` that the node no longer keeps, whatever the filter; null: none, or no `since`',
      }),
    ),
  },
  { title: 'LogLinePage' },
)
export const LogQuery = pageQueryWith(
  {
    level: Type.Optional(
      Type.Unsafe<LineLevel>({ ...oneOf(...LINE_LEVELS), description: 'lines as bad as this, or worse' }),
    ),
    part: Type.Optional(oneOf(...LOG_PARTS)),
    since: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'id of the last line seen: those after it; or a time in microseconds since 1970',
      }),
    ),
  },
  SEQUENCE,
)

export type LogLine = Static<typeof LogLine>
export type LogPage = Static<typeof LogPage>
export type LogQuery = Static<typeof LogQuery>
export type LogLevels = Static<typeof LogLevels>
export type SetLogLevels = Static<typeof SetLogLevels>

// ------------------------------------------------------------------ what is wrong

export const Alert = answer('Alert', {
  id: Type.String(),
  code: Type.String({ description: 'a word that stays the same, DISK_LOW' }),
  severity: oneOf('warning', 'problem'),
  about: nullable(Type.String({ description: 'id of the key, channel or webhook; null: the node itself' })),
  reason: Type.String({ description: 'what is wrong, in words' }),
  cure: Type.String({ description: 'what to do' }),
  count: Type.Integer({ minimum: 1, description: 'how often it was told of while it was raised' }),
  raisedAt: TimeText,
  clearedAt: nullable(TimeText),
  acknowledgedAt: nullable(TimeText),
})
export const AlertQuery = pageQueryWith({ state: Type.Optional(oneOf('raised', 'cleared')) }, NUMBER)
export const AlertParams = Type.Object({ id: Type.String({ pattern: '^[1-9]\\d{0,11}$', description: 'an alert id' }) })

export type Alert = Static<typeof Alert>
export type AlertQuery = Static<typeof AlertQuery>

// ------------------------------------------------------------------ what happened

const Rate = nullable(Type.Number({ minimum: 0, maximum: 1, description: 'of all that ended; null where nothing did' }))
const SignedMsat = Type.Integer({ description: 'millisatoshis, negative where more was paid than earned' })
const ChannelIdText = nullable(Type.String({ description: 'a channel id, hex' }))

/* The names and the order of fields are those of the columns of the CSV: new ones are added at the end. */

export const Forward = answer('Forward', {
  id: Type.String({ description: 'grows with time' }),
  at: TimeText,
  paymentHash: HexText,
  incomingChannelId: Type.String(),
  outgoingChannelId: ChannelIdText,
  amountInMsat: Msat,
  amountOutMsat: Msat,
  feeMsat: Msat,
})

const forwardSums = {
  settled: Count,
  failed: Count,
  successRate: Rate,
  amountInMsat: Msat,
  amountOutMsat: Msat,
  feeMsat: Msat,
}
const paymentSums = {
  succeeded: Count,
  failed: Count,
  successRate: Rate,
  amountMsat: Msat,
  feeMsat: Msat,
  received: Count,
  receivedMsat: Msat,
}

export const ForwardSums = answer('ForwardSums', {
  period: Type.String({ description: 'a day, 2026-11-27, or a month, 2026-11, in UTC' }),
  channelId: ChannelIdText,
  ...forwardSums,
})
export const PaymentSums = answer('PaymentSums', {
  period: Type.String({ description: 'a day, 2026-11-27, or a month, 2026-11, in UTC' }),
  ...paymentSums,
})
export const Summary = answer('Summary', {
  from: nullable(Type.String()),
  to: nullable(Type.String()),
  forwards: Type.Object(forwardSums),
  payments: Type.Object(paymentSums),
})
export const ChannelEarnings = answer('ChannelEarnings', {
  id: Type.String(),
  channelId: ChannelIdText,
  peer: NodeIdText,
  state: Type.String(),
  capacitySat: Sat,
  createdAt: TimeText,
  forwardsIn: Count,
  forwardsOut: Count,
  amountInMsat: Msat,
  amountOutMsat: Msat,
  feeInMsat: Msat,
  feeOutMsat: Msat,
  successRate: Rate,
  openFeeSat: Sat,
  closeFeeSat: Type.Integer({
    ...Sat,
    description:
      'satoshis, as far as they are known: of the close, where we paid for it, of its child, and of our claims; one that is for several channels counts for each by the weight of its part',
  }),
  profitMsat: SignedMsat,
  shortChannelId: nullable(ScidText),
})
export const BalanceSample = answer('BalanceSample', {
  period: Type.String({ description: 'an hour, 2026-11-27T14, or a day, in UTC' }),
  at: TimeText,
  onchainConfirmedSat: Sat,
  onchainUnconfirmedSat: Sat,
  onchainClosingSat: Sat,
  channelLocalMsat: Msat,
  channelRemoteMsat: Msat,
  channelSendableMsat: Msat,
  channelReceivableMsat: Msat,
  usableChannels: Count,
})

const Day = Type.String({
  pattern: '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$',
  description: 'a day in UTC, 2026-11-27; it is included',
})
const range = { from: Type.Optional(Day), to: Type.Optional(Day) }
const exported = {
  format: Type.Optional(
    Type.Unsafe<'json' | 'csv'>({
      ...oneOf('json', 'csv'),
      description:
        'csv, also by Accept: text/csv, has all items, or `limit` of them; `cursor` takes the first column of the last line seen',
    }),
  ),
}
/** Sums of months, days or hours, which are their own cursors. */
const periodQuery = <F extends Record<string, TSchema>>(fields: F) =>
  pageQueryWith({ ...range, ...exported, ...fields }, PERIOD)
const period = <const T extends readonly string[]>(...values: T) => Type.Optional(oneOf(...values))

export const SummaryQuery = Type.Object(range, { additionalProperties: false })
export const ForwardQuery = recordQuery(exported)
export const ForwardSumsQuery = periodQuery({
  period: period('day', 'month'),
  channel: Type.Optional(AnyId),
  direction: Type.Optional(
    Type.Unsafe<'in' | 'out'>({
      ...oneOf('in', 'out'),
      description: 'with channel: forwards that came in, or went out, over it (out)',
    }),
  ),
})
export const PaymentSumsQuery = periodQuery({ period: period('day', 'month') })
export const ChannelEarningsQuery = pageQueryWith(exported)
export const BalanceHistoryQuery = periodQuery({ period: period('hour', 'day') })

export type Forward = Static<typeof Forward>
export type ForwardQuery = Static<typeof ForwardQuery>
export type ForwardSums = Static<typeof ForwardSums>
export type PaymentSums = Static<typeof PaymentSums>
export type Summary = Static<typeof Summary>
export type ChannelEarnings = Static<typeof ChannelEarnings>
export type BalanceSample = Static<typeof BalanceSample>
export type SummaryQuery = Static<typeof SummaryQuery>
export type ForwardSumsQuery = Static<typeof ForwardSumsQuery>
export type PaymentSumsQuery = Static<typeof PaymentSumsQuery>
export type BalanceHistoryQuery = Static<typeof BalanceHistoryQuery>
