import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { parseCidr } from '../node/cidr.ts'
import { lifeFault } from './auth/keyLife.ts'
import { SCOPES } from './auth/scopes.ts'
import { withRule, withRules } from './rules.ts'
import {
  answer,
  Count,
  change,
  KeyIdText,
  NUMBER,
  nullable,
  oneOf,
  recordQuery,
  request,
  TimeText,
  timeOrDay,
} from './scalars.ts'

/* Bodies of keys and the audit log; the others are in schemas.ts. */

const MAX_SECONDS = 10 * 365 * 24 * 3_600
const MAX_GRACE_SECONDS = 90 * 24 * 3_600
const PositiveMsat = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'millisatoshis' })
const Seconds = Type.Integer({ minimum: 1, maximum: MAX_SECONDS, description: 'seconds, 1 at least' })
const GraceSeconds = Type.Integer({
  minimum: 0,
  maximum: MAX_GRACE_SECONDS,
  description: 'how long the version before works on; 3600 unless given',
})
const GivenTime = timeOrDay('of a day, its beginning')
const Name = Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\x00-\\x1f\\x7f]+$', description: 'a name' })
/** In a request: null takes a setting away. */
const orNull = <T extends TSchema>(schema: T) =>
  Type.Union([schema, Type.Null()], { description: `${schema.description ?? 'as the schema says'}, or null` })

const ScopeList = Type.Array(oneOf(...SCOPES), { minItems: 1, maxItems: SCOPES.length })
const Cidr = withRule(
  Type.String({ minLength: 2, maxLength: 50, description: 'an address, or a network like 10.0.0.0/8' }),
  (text) => (parseCidr(text) === null ? 'expected an address or a network like 10.0.0.0/8' : null),
)
const Cidrs = Type.Array(Cidr, { maxItems: 100 })
const rateFields = {
  maxRequests: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  periodSeconds: Type.Integer({ minimum: 1, maximum: 86_400 }),
}
const GivenRate = Type.Object(rateFields, {
  additionalProperties: false,
  description: '{ maxRequests, periodSeconds }, whole numbers from 1 on',
})
const GivenBudget = Type.Object(
  { maxMsat: PositiveMsat, periodSeconds: Type.Optional(orNull(Seconds)) },
  { additionalProperties: false, description: '{ maxMsat, periodSeconds }, whole numbers from 1 on' },
)
const Metadata = Type.Record(Type.String({ maxLength: 100 }), Type.String({ maxLength: 500 }), { maxProperties: 50 })

const settings = {
  expiresAt: Type.Optional(orNull(GivenTime)),
  allowedCidrs: Type.Optional(Cidrs),
  rateLimit: Type.Optional(orNull(GivenRate)),
  budget: Type.Optional(orNull(GivenBudget)),
  rotateEverySeconds: Type.Optional(orNull(Seconds)),
  metadata: Type.Optional(Metadata),
  scopes: Type.Optional(ScopeList),
  preset: Type.Optional(oneOf('readonly', 'invoice', 'spend', 'admin')),
}
const ONE_OF_BOTH = 'expected scopes or a preset, not both'
const CreateKeyFields = request('CreateKey', {
  name: Name,
  activatesAt: Type.Optional(GivenTime),
  ...settings,
})
export const CreateKey = withRules(CreateKeyFields, (rule) => [
  rule(['scopes', 'preset'], ({ scopes, preset }) => (scopes && preset ? ['/preset', ONE_OF_BOTH] : null)),
  rule(['scopes', 'preset'], ({ scopes, preset }) =>
    scopes || preset ? null : ['/scopes', 'expected scopes or a preset'],
  ),
  rule(['expiresAt', 'activatesAt'], ({ expiresAt, activatesAt }, { now }) =>
    lifeFault({ expiresAt: expiresAt ?? null, from: activatesAt === undefined ? now : Date.parse(activatesAt) }, now),
  ),
])
export const UpdateKey = withRules(change('UpdateKey', { name: Type.Optional(Name), ...settings }), (rule) => [
  rule(['scopes', 'preset'], ({ scopes, preset }) => (scopes && preset ? ['/preset', ONE_OF_BOTH] : null)),
])
const RotateKeyFields = request('RotateKey', {
  graceSeconds: Type.Optional(GraceSeconds),
  activatesAt: Type.Optional(GivenTime),
  compromised: Type.Optional(
    Type.Boolean({ description: 'the secret is in wrong hands: no window, no way back, no self-rotation' }),
  ),
})
export const RotateKey = withRules(RotateKeyFields, (rule) => [
  rule(['compromised', 'graceSeconds'], ({ compromised, graceSeconds = 0 }) =>
    compromised && graceSeconds > 0 ? ['/graceSeconds', 'expected none: a compromised version stops at once'] : null,
  ),
  rule(['compromised', 'activatesAt'], ({ compromised, activatesAt }) =>
    compromised && activatesAt !== undefined
      ? ['/activatesAt', 'expected none: after a compromise the new version works at once']
      : null,
  ),
])
export const RotateSelf = request('RotateSelf', { graceSeconds: Type.Optional(GraceSeconds) })

const VersionState = oneOf('pending', 'active', 'grace', 'expired', 'stopped')
const KeyVersion = answer('KeyVersion', {
  version: Count,
  state: VersionState,
  createdAt: TimeText,
  activatesAt: TimeText,
  expiresAt: nullable(TimeText),
  lastUsedAt: nullable(TimeText),
})
const keyFields = {
  id: Type.String(),
  name: Type.String(),
  version: Count,
  scopes: Type.Array(Type.String()),
  state: oneOf('pending', 'active', 'expired', 'stopped', 'revoked'),
  createdAt: TimeText,
  createdBy: nullable(Type.String()),
  activatesAt: TimeText,
  expiresAt: nullable(TimeText),
  rotateBy: nullable(TimeText),
  rotateEverySeconds: nullable(Count),
  lastUsedAt: nullable(TimeText),
  allowedCidrs: Type.Array(Type.String()),
  rateLimit: nullable(answer('KeyRateLimit', rateFields)),
  budget: nullable(
    answer('KeyBudget', {
      maxMsat: Count,
      periodSeconds: nullable(Count),
      spentMsat: Count,
      reservedMsat: Count,
      resetsAt: nullable(TimeText),
    }),
  ),
  metadata: Type.Record(Type.String(), Type.String()),
  versions: Type.Array(KeyVersion),
}
export const Key = answer('Key', keyFields)
export const IssuedKey = answer('IssuedKey', {
  ...keyFields,
  secret: Type.String({ description: 'the whole bearer value, shown this once' }),
  stopped: Type.Array(Type.String(), { description: 'ids of the keys that were stopped with it' }),
})

export const KeyUsage = answer('KeyUsage', {
  id: Type.String(),
  requests: Count,
  refused: Count,
  lastUsedAt: nullable(TimeText),
  versions: Type.Array(
    answer('KeyVersionUsage', {
      version: Count,
      state: VersionState,
      requests: Count,
      refused: Count,
      lastUsedAt: nullable(TimeText),
      lastAddress: nullable(Type.String()),
    }),
  ),
})

export const AuditEntry = answer('AuditEntry', {
  seq: Count,
  at: TimeText,
  action: Type.String(),
  keyId: nullable(Type.String()),
  version: nullable(Count),
  address: nullable(Type.String()),
  target: nullable(Type.String()),
  detail: Type.Record(Type.String(), Type.Unknown()),
  previousHash: Type.String(),
  hash: Type.String(),
})
export const AuditPage = Type.Object(
  {
    items: Type.Array(AuditEntry),
    nextCursor: nullable(Type.String()),
    head: answer('AuditHead', { seq: Count, hash: Type.String() }),
  },
  { title: 'AuditPage' },
)
export const AuditQuery = recordQuery({ keyId: Type.Optional(KeyIdText) }, NUMBER)

export type CreateKey = Static<typeof CreateKey>
export type UpdateKey = Static<typeof UpdateKey>
export type RotateKey = Static<typeof RotateKey>
export type RotateSelf = Static<typeof RotateSelf>
export type Key = Static<typeof Key>
export type IssuedKey = Static<typeof IssuedKey>
export type KeyUsage = Static<typeof KeyUsage>
export type AuditQuery = Static<typeof AuditQuery>
export type AuditEntry = Static<typeof AuditEntry>
export type AuditPage = Static<typeof AuditPage>
