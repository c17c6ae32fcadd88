import { Kind, type Static, type TSchema, Type } from '@sinclair/typebox'
import { STRING_ENUM } from './validation.ts'

/** The largest integer that a JSON number holds exactly. */
const MAX_JSON_INTEGER = Number.MAX_SAFE_INTEGER
const MAX_SAT_JSON = 2_100_000_000_000_000

export const oneOf = <const T extends readonly string[]>(...values: T) =>
  Type.Unsafe<T[number]>({ [Kind]: STRING_ENUM, type: 'string', enum: values })

/** Of answers only: `type: [T, 'null']`, which serialises fast. */
export const nullable = <T extends TSchema>(schema: T) =>
  Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, 'null'] })

const hex = (bytes: number, what: string) =>
  Type.String({ pattern: `^[0-9a-fA-F]{${2 * bytes}}$`, description: `${what}: ${2 * bytes} hex characters` })

export const NodeIdText = hex(33, 'a node id, the compressed public key')
export const HashText = hex(32, 'a payment hash')
export const DescriptionHashText = hex(32, 'the SHA-256 of a description')
export const PreimageText = hex(32, 'a preimage')
export const TxidText = hex(32, 'a transaction id')
export const HexText = Type.String({ description: 'bytes in hex' })
export const OutpointText = Type.String({
  pattern: '^[0-9a-fA-F]{64}:\\d{1,10}$',
  description: 'a transaction output, txid:index',
})
export const ScidText = Type.String({ description: 'a short channel id, heightxindexxoutput' })
export const TimeText = Type.String({ description: 'RFC 3339, UTC' })
export const AddressText = Type.String({
  minLength: 14,
  maxLength: 90,
  pattern: '^[0-9A-Za-z]+$',
  description: 'a Bitcoin address',
})
const HOST_PORT = '@([^@\\s\\[\\]:]{1,255}|\\[[0-9a-fA-F:.]{2,45}\\])(:\\d{1,5})?'
export const UriText = Type.String({
  maxLength: 400,
  pattern: `^[0-9a-fA-F]{66}${HOST_PORT}$`,
  description: 'nodeId@host:port',
})
export const NodeIdOrUriText = Type.String({
  maxLength: 400,
  pattern: `^[0-9a-fA-F]{66}(${HOST_PORT})?$`,
  description: 'a node id, or nodeId@host:port to connect first',
})

export const Msat = Type.Integer({ minimum: 0, maximum: MAX_JSON_INTEGER, description: 'millisatoshis' })
export const PositiveMsat = Type.Integer({ minimum: 1, maximum: MAX_JSON_INTEGER, description: 'millisatoshis' })
export const Sat = Type.Integer({ minimum: 0, maximum: MAX_SAT_JSON, description: 'satoshis' })
export const PositiveSat = Type.Integer({ minimum: 1, maximum: MAX_SAT_JSON, description: 'satoshis' })
export const SignedSat = Type.Integer({ description: 'satoshis, negative when paid out' })
export const FeerateSatPerVbyte = Type.Number({ minimum: 1, maximum: 10_000, description: 'satoshis per virtual byte' })
export const Count = Type.Integer({ minimum: 0, maximum: MAX_JSON_INTEGER })

/** The local id of a resource, or the id that the network gives it. */
export const AnyId = Type.String({ minLength: 1, maxLength: 80, pattern: '^[0-9A-Za-z_.:-]+$', description: 'an id' })

const pageFields = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50, description: 'items of this page' })),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 300,
      pattern: '^[\\x21-\\x7e]+$',
      description: 'nextCursor of the page before',
    }),
  ),
}
/** A time or a day, in a query. */
const TimeOrDay = (what: string) =>
  Type.String({
    maxLength: 40,
    pattern: '^\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,9})?)?(Z|[+-]\\d\\d:\\d\\d))?$',
    description: `a time (RFC 3339) or a day in UTC, 2026-11-27: ${what}`,
  })
/** Filters of a list by time. */
export const timeFields = {
  from: Type.Optional(TimeOrDay('from then on')),
  to: Type.Optional(TimeOrDay('before then; of a day: with all of it')),
}
export const KeyIdText = Type.String({
  minLength: 1,
  maxLength: 800,
  pattern: "^[\\w.~%!*'():-]+$",
  description: 'the id of an API key, or oidc:SUBJECT',
})
export const NO_QUERY = Type.Object({}, { additionalProperties: false })
export const PageQuery = Type.Object(pageFields, { additionalProperties: false })
export const pageQueryWith = <F extends Record<string, TSchema>>(filters: F) =>
  Type.Object({ ...pageFields, ...filters }, { additionalProperties: false })

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
/** An answer: clients should expect further fields in later versions. */
export const answer = <F extends Record<string, TSchema>>(title: string, fields: F) => Type.Object(fields, { title })
export const pageOf = <T extends TSchema>(item: T) =>
  Type.Object(
    { items: Type.Array(item), nextCursor: nullable(Type.String()) },
    { title: `${item.title ?? 'Item'}Page` },
  )
