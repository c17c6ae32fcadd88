import { type Static, Type } from '@sinclair/typebox'
import { unknownTypes } from './events.ts'
import { withRule } from './rules.ts'
import { answer, Count, change, NUMBER, nullable, oneOf, pageOf, pageQueryWith, request, TimeText } from './scalars.ts'
import { urlFault } from './webhooks/target.ts'

/* Bodies of webhooks. */

const MAX_GRACE_SECONDS = 30 * 24 * 3_600

const Url = withRule(
  Type.String({
    minLength: 1,
    maxLength: 2_000,
    description: 'an https address that is public, or one that --webhook-targets allows',
  }),
  urlFault,
)
const Types = withRule(
  Type.Array(Type.String({ minLength: 1, maxLength: 50 }), {
    minItems: 1,
    maxItems: 50,
    description: 'event types; payment.* for all of a kind',
  }),
  unknownTypes,
)
const Name = Type.String({ maxLength: 100, pattern: '^[^\\x00-\\x1f\\x7f]*$', description: 'a name' })
const wishes = {
  types: Type.Optional(
    Type.Union([Types, Type.Null()], {
      description: 'event types like payment.*, or null for all that the key may see',
    }),
  ),
  name: Type.Optional(Name),
  enabled: Type.Optional(Type.Boolean({ description: 'true also begins anew one that was given up' })),
}
export const CreateWebhook = request('CreateWebhook', { url: Url, ...wishes })
export const UpdateWebhook = change('UpdateWebhook', { url: Type.Optional(Url), ...wishes })
export const RotateWebhook = request('RotateWebhook', {
  graceSeconds: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_GRACE_SECONDS,
      description: 'how long the secret before signs as well; 86400 unless given',
    }),
  ),
})

const webhookFields = {
  id: Type.String(),
  keyId: Type.String({ description: 'the key that made it, whose scopes and life it shares' }),
  name: Type.String(),
  url: Type.String(),
  types: nullable(Type.Array(Type.String())),
  state: oneOf('active', 'retrying', 'disabled', 'failed', 'stopped'),
  createdAt: TimeText,
  /** Id of the last event that was acknowledged or is not wanted. */
  lastEventId: Count,
  failing: nullable(
    answer('WebhookFailing', {
      since: TimeText,
      attempts: Count,
      nextAttemptAt: nullable(TimeText),
      reason: nullable(Type.String()),
    }),
  ),
  /** Until then the secret before signs as well. */
  overlapUntil: nullable(TimeText),
}
export const Webhook = answer('Webhook', webhookFields)
export const IssuedWebhook = answer('IssuedWebhook', {
  ...webhookFields,
  secret: Type.String({ description: 'what signatures are checked with, shown this once' }),
})

export const WebhookDelivery = answer('WebhookDelivery', {
  seq: Count,
  messageId: Type.String({ description: 'webhook-id of the message, the same at every attempt' }),
  eventId: nullable(Count),
  type: Type.String(),
  at: TimeText,
  attempt: Count,
  acknowledged: Type.Boolean(),
  status: nullable(Count),
  latencyMs: Count,
  error: nullable(Type.String({ description: 'a code, when no answer came' })),
})
export const WebhookDeliveryPage = pageOf(WebhookDelivery)
export const DeliveryQuery = pageQueryWith({}, NUMBER)

export const WebhookParams = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 40, pattern: '^[0-9a-z_]+$', description: 'a webhook id' }),
})
export const DeliveryParams = Type.Object({
  id: WebhookParams.properties.id,
  seq: Type.String({ pattern: '^[1-9]\\d{0,11}$', description: 'the number of a delivery' }),
})

export type CreateWebhook = Static<typeof CreateWebhook>
export type UpdateWebhook = Static<typeof UpdateWebhook>
export type RotateWebhook = Static<typeof RotateWebhook>
export type Webhook = Static<typeof Webhook>
export type IssuedWebhook = Static<typeof IssuedWebhook>
export type WebhookDelivery = Static<typeof WebhookDelivery>
