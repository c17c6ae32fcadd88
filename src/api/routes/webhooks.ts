import type { FastifyRequest } from 'fastify'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { Empty } from '../schemas.ts'
import {
  CreateWebhook,
  DeliveryParams,
  DeliveryQuery,
  IssuedWebhook,
  RotateWebhook,
  UpdateWebhook,
  Webhook,
  WebhookDelivery,
  WebhookDeliveryPage,
  WebhookParams,
} from '../webhookSchemas.ts'
import type { Hook } from '../webhooks/hook.ts'
import { webhookJson } from '../webhooks/view.ts'
import type { IssuedSecret } from '../webhooks/webhooks.ts'
import { managedRoutes } from './managed.ts'

const DEFAULT_LIMIT = 50
const DEFAULT_GRACE_SECONDS = 86_400
const tags = ['webhooks']
const config = { scope: 'webhooks:write' } as const
const acting = { ...config, audited: true } as const

export function webhookRoutes(app: App, context: ApiContext): void {
  const { webhooks, keys } = context
  /** Where events go is worth more than the call in the audit log; what follows the host may be a secret of the receiver. */
  const note = (action: string, request: FastifyRequest, { record: { id, url, types } }: Hook): void => {
    const { keyId, version } = callerOf(request)
    const detail = { origin: new URL(url).origin, types }
    keys.audit.note({ action, keyId, version, address: request.ip, target: id, detail })
  }
  managedRoutes(app, {
    path: '/v1/webhooks',
    tags,
    config,
    acting,
    params: WebhookParams,
    words: {
      list: 'Webhooks of this key',
      get: 'One webhook',
      create: 'Have events posted to an address, from now on',
      update: 'Change a webhook, or begin anew one that was given up',
      delete: 'Delete a webhook with its delivery log',
      rotate: 'A new secret; the one before signs as well through the overlap',
    },
    bodies: { create: CreateWebhook, update: UpdateWebhook, rotate: RotateWebhook },
    shown: Webhook,
    issued: IssuedWebhook,
    json: webhookJson,
    all: (request) => webhooks.list(callerOf(request)),
    get: (request, id) => webhooks.get(callerOf(request), id),
    create: async (request, body) => {
      const issued = await webhooks.create(callerOf(request), body)
      note('webhook.created', request, issued.hook)
      return issuedJson(issued)
    },
    update: async (request, id, body) => {
      const hook = await webhooks.update(callerOf(request), id, body)
      note('webhook.updated', request, hook)
      return hook
    },
    delete: (request, id) => webhooks.delete(callerOf(request), id),
    rotate: async (request, id, { graceSeconds = DEFAULT_GRACE_SECONDS }) =>
      issuedJson(await webhooks.rotate(callerOf(request), id, graceSeconds)),
  })
  deliveryRoutes(app, context)
}

function deliveryRoutes(app: App, { webhooks }: ApiContext): void {
  app.post(
    '/v1/webhooks/:id/ping',
    {
      config: acting,
      schema: {
        summary: 'Post a message without an event, and say what the receiver answered',
        tags,
        params: WebhookParams,
        body: Empty,
        response: { 200: WebhookDelivery },
      },
    },
    async (request) => webhooks.get(callerOf(request), request.params.id).ping(),
  )

  app.get(
    '/v1/webhooks/:id/deliveries',
    {
      config,
      schema: {
        summary: 'Every attempt of a webhook, newest first; the last thousand are kept',
        tags,
        params: WebhookParams,
        querystring: DeliveryQuery,
        response: { 200: WebhookDeliveryPage },
      },
    },
    async (request) => {
      const { limit = DEFAULT_LIMIT, cursor } = request.query
      const before = cursor === undefined ? undefined : Number(cursor)
      const { items, next } = await webhooks.get(callerOf(request), request.params.id).deliveries(limit, before)
      return { items: [...items], nextCursor: next === null ? null : String(next) }
    },
  )

  app.post(
    '/v1/webhooks/:id/deliveries/:seq/redeliver',
    {
      config: acting,
      schema: {
        summary: 'Post the event of a delivery once more',
        tags,
        params: DeliveryParams,
        body: Empty,
        response: { 200: WebhookDelivery },
      },
    },
    async (request) => webhooks.get(callerOf(request), request.params.id).redeliver(Number(request.params.seq)),
  )
}

const issuedJson = ({ hook, secret }: IssuedSecret): IssuedWebhook => ({ ...webhookJson(hook), secret })
