import { Kind, type Static, type TSchema, Type } from '@sinclair/typebox'
import { parseOutpoint } from '../base/ids.ts'
import { decodeAddress } from '../bitcoin/address.ts'
import { isNetwork } from '../bitcoin/networks.ts'
import { parsePeerUri } from './inputs.ts'
import { withRule, withRules, withRulesOf } from './rules.ts'
import { instantOf, timeRange } from './times.ts'
import { STRING_ENUM } from './validation.ts'

/** The largest integer that a JSON number holds exactly. */
const MAX_JSON_INTEGER = Number.MAX_SAFE_INTEGER
const MAX_SAT_JSON = 2_100_000_000_000_000

export const oneOf = <const T extends readonly string[]>(...values: T) =>
  Type.Unsafe<T[number]>({ [Kind]: STRING_ENUM, type: 'string', enum: values })

/** Of answers only: `type: [T, 'null']`, which serialises fast. */
export const nullable = <T extends TSchema>(schema: T) =>
  Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, 'null'] })

/** What a reader of text says against it, without the kind of thing that it stands for; null: it takes it. */
function why(read: () => unknown): string | null {
  try {
    read()
    return null
  } catch (e) {
    return e instanceof Error ? e.message.replace(/^address: /, '') : String(e)
  }
}

const hex = (bytes: number, what: string) =>
  Type.String({ pattern: `^[0-9a-fA-F]{${2 * bytes}}$`, description: `${what}: ${2 * bytes} hex characters` })

export const NodeIdText = hex(33, 'a node id, the compressed public key')
export const HashText = hex(32, 'a payment hash')
export const DescriptionHashText = hex(32, 'the SHA-256 of a description')
export const PreimageText = hex(32, 'a preimage')
export const TxidText = hex(32, 'a transaction id')
export const HexText = Type.String({ description: 'bytes in hex' })
export const OutpointText = withRule(
  Type.String({ pattern: '^[0-9a-fA-F]{64}:\\d{1,10}$', description: 'a transaction output, txid:index' }),
  (text) => why(() => parseOutpoint(text)) && 'expected txid:index',
)
export const ScidText = Type.String({ description: 'a short channel id, heightxindexxoutput' })
export const TimeText = Type.String({ description: 'RFC 3339, UTC' })
export const AddressText = withRule(
  Type.String({ minLength: 14, maxLength: 90, pattern: '^[0-9A-Za-z]+$', description: 'a Bitcoin address' }),
  (text, { network }) => (isNetwork(network) ? why(() => decodeAddress(text, network)) : null),
)
const HOST_PORT = '@([^@\\s\\[\\]:]{1,255}|\\[[0-9a-fA-F:.]{2,45}\\])(:\\d{1,5})?'
const portFault = (uri: string): string | null => {
  if (!uri.includes('@')) return null
  const { port } = parsePeerUri(uri)
  return port < 1 || port > 65_535 ? 'expected a port from 1 to 65535' : null
}
export const UriText = withRule(
  Type.String({ maxLength: 400, pattern: `^[0-9a-fA-F]{66}${HOST_PORT}$`, description: 'nodeId@host:port' }),
  portFault,
)
export const NodeIdOrUriText = withRule(
  Type.String({
    maxLength: 400,
    pattern: `^[0-9a-fA-F]{66}(${HOST_PORT})?$`,
    description: 'a node id, or nodeId@host:port to connect first',
  }),
  portFault,
)

export const Msat = Type.Integer({ minimum: 0, maximum: MAX_JSON_INTEGER, description: 'millisatoshis' })
export const PositiveMsat = Type.Integer({ minimum: 1, maximum: MAX_JSON_INTEGER, description: 'millisatoshis' })
export const Sat = Type.Integer({ minimum: 0, maximum: MAX_SAT_JSON, description: 'satoshis' })
export const PositiveSat = Type.Integer({ minimum: 1, maximum: MAX_SAT_JSON, description: 'satoshis' })
export const SignedSat = Type.Integer({ description: 'satoshis, negative when paid out' })
export const FeerateSatPerVbyte = Type.Number({ minimum: 1, maximum: 10_000, description: 'satoshis per virtual byte' })
export const Count = Type.Integer({ minimum: 0, maximum: MAX_JSON_INTEGER })

/** The local id of a resource, or the id that the network gives it. */
export const AnyId = Type.String({ minLength: 1, maxLength: 80, pattern: '^[0-9A-Za-z_.:-]+$', description: 'an id' })

/** Cursors that are numbers: of lists that are read by their place in a sequence. */
export const SEQUENCE = '^\\d{1,16}$'
/** The same, from 1 on. */
export const NUMBER = '^[1-9]\\d{0,14}$'
/** Cursors of sums by month, day or hour. */
export const PERIOD = '^\\d{4}-\\d\\d(-\\d\\d(T\\d\\d)?)?$'

const pageFields = (cursor = '^[\\x21-\\x7e]+$') => ({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50, description: 'items of this page' })),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 300,
      pattern: cursor,
      description: 'the nextCursor of the page before',
    }),
  ),
})
/** @param what it is there for; of a day, which moment of it */
export const timeOrDay = (what: string) =>
  withRule(
    Type.String({
      maxLength: 40,
      pattern: '^\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,9})?)?(Z|[+-]\\d\\d:\\d\\d))?$',
      description: `a time (RFC 3339) or a day in UTC, 2026-11-27: ${what}`,
    }),
    (text) => (instantOf(text) === null ? 'there is no such time' : null),
  )
/** Filters of a list by time. */
const timeFields = {
  from: Type.Optional(timeOrDay('from then on')),
  to: Type.Optional(timeOrDay('before then; of a day: with all of it')),
}
export const KeyIdText = Type.String({
  minLength: 1,
  maxLength: 800,
  pattern: "^[\\w.~%!*'():-]+$",
  description: 'the id of an API key, or oidc:SUBJECT',
})
export const NO_QUERY = Type.Object({}, { additionalProperties: false })
export const PageQuery = Type.Object(pageFields(), { additionalProperties: false })
/** @param cursor pattern of the cursors of this list, where they are not merely known to be some of what it has shown */
export const pageQueryWith = <F extends Record<string, TSchema>>(filters: F, cursor?: string) =>
  Type.Object({ ...pageFields(cursor), ...filters }, { additionalProperties: false })
const RANGE = withRules(Type.Object(timeFields), (rule) => [
  rule(['from', 'to'], (given) => {
    const { from, to } = timeRange(given)
    return from !== undefined && to !== undefined && to <= from ? ['/to', 'expected a time after from'] : null
  }),
])
/** A query for what lies between two times. */
export const timedQuery = <F extends Record<string, TSchema>>(fields: F) =>
  withRulesOf(RANGE, Type.Object({ ...timeFields, ...fields }, { additionalProperties: false }))
/** A list of what is read by its place in a sequence, and by time. */
export const recordQuery = <F extends Record<string, TSchema>>(filters: F, cursor = SEQUENCE) =>
  timedQuery({ ...pageFields(cursor), ...filters })

export const WaitQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 300, description: 'seconds to hold the answer until it is final' }),
    ),
  },
  { additionalProperties: false },
)

/** A request: unknown fields are refused. */
export const request = <F extends Record<string, TSchema>>(title: string, fields: F) =>
  Type.Object(fields, { title, additionalProperties: false })
/** A request that changes some of what it names. */
export const change = <F extends Record<string, TSchema>>(title: string, fields: F) =>
  Type.Object(fields, { title, additionalProperties: false, minProperties: 1 })
/** An answer: clients should expect further fields in later versions. */
export const answer = <F extends Record<string, TSchema>>(title: string, fields: F) => Type.Object(fields, { title })
export const pageOf = <T extends TSchema>(item: T) =>
  Type.Object(
    { items: Type.Array(item), nextCursor: nullable(Type.String()) },
    { title: `${item.title ?? 'Item'}Page` },
  )
