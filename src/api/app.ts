import type { Static, TSchema } from '@sinclair/typebox'
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyTypeProvider,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify'
import type { NodeService } from '../node/service.ts'
import type { Alerts } from './alerts/alerts.ts'
import type { KeyAdmin } from './auth/keyAdmin.ts'
import type { KeyRing } from './auth/keys.ts'
import type { RouteScope } from './auth/scopes.ts'
import type { Tickets } from './auth/tickets.ts'
import type { EventHub } from './events.ts'
import type { Idempotency } from './idempotency.ts'
import type { Spending } from './spending.ts'
import type { Webhooks } from './webhooks/webhooks.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route declares it: the server refuses to start with one that does not. */
    scope?: RouteScope
    /** The route takes a one-time `?ticket=` in place of a key. */
    takesTicket?: boolean
    /** What it does is entered in the audit log. */
    audited?: boolean
    /** The route takes an Idempotency-Key. */
    idempotent?: boolean
  }
  interface FastifySchema {
    summary?: string
    tags?: readonly string[]
    /** Of the answer, when it is not JSON. */
    produces?: readonly string[]
  }
}

/** Request and reply types out of the schemas of a route. */
interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxProvider
>

/** What the routes share. */
export interface ApiContext {
  readonly service: NodeService
  readonly keys: KeyRing
  readonly keyAdmin: KeyAdmin
  readonly spending: Spending
  readonly idempotency: Idempotency
  readonly events: EventHub
  readonly tickets: Tickets
  readonly webhooks: Webhooks
  readonly alerts: Alerts
  /** Aborted when the API is to stop: what is held is answered. */
  readonly closing: AbortSignal
}
