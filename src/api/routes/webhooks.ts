import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { badField } from '../problems.ts'
import { PageQuery } from '../scalars.ts'
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
  WebhookPage,
  WebhookParams,
} from '../webhookSchemas.ts'
import type { Hook } from '../webhooks/hook.ts'
import type { IssuedSecret } from '../webhooks/webhooks.ts'
import { badCursor } from './paging.ts'

const DEFAULT_LIMIT = 50
const DEFAULT_GRACE_SECONDS = 86_400
const tags = ['webhooks']
const config = { scope: 'webhooks:write' } as const
const acting = { ...config, audited: true } as const

export function webhookRoutes(app: App, context: ApiContext): void {
  resourceRoutes(app, context)
  deliveryRoutes(app, context)
}

function resourceRoutes(app: App, { webhooks, keys }: ApiContext): void {
  /** Where events go is worth more than the call in the audit log; what follows the host may be a secret of the receiver. */
  const note = (action: string, request: FastifyRequest, { record: { id, url, types } }: Hook): void => {
    const { keyId, version } = callerOf(request)
    const detail = { origin: new URL(url).origin, types }
    keys.audit.note({ action, keyId, version, address: request.ip, target: id, detail })
  }

  app.get(
    '/v1/webhooks',
    {
      config,
      schema: { summary: 'Webhooks of this key', tags, querystring: PageQuery, response: { 200: WebhookPage } },
    },
    async (request) => {
      const { limit = DEFAULT_LIMIT, cursor } = request.query
      // In memory, and few.
      const all = webhooks.list(callerOf(request))
      const from = cursor === undefined ? 0 : all.findIndex(({ record }) => record.id === cursor) + 1
      if (from === 0 && cursor !== undefined) throw badCursor()
      const page = all.slice(from, from + limit)
      const more = from + limit < all.length
      return { items: page.map(webhookJson), nextCursor: more ? (page.at(-1)?.record.id ?? null) : null }
    },
  )

  app.post(
    '/v1/webhooks',
    {
      config,
      schema: {
        summary: 'Have events posted to an address, from now on',
        tags,
        body: CreateWebhook,
        response: { 201: IssuedWebhook },
      },
    },
    async (request, reply) => {
      const issued = await webhooks.create(callerOf(request), request.body)
      note('webhook.created', request, issued.hook)
      return reply.code(201).send(issuedJson(issued))
    },
  )

  app.get(
    '/v1/webhooks/:id',
    { config, schema: { summary: 'One webhook', tags, params: WebhookParams, response: { 200: Webhook } } },
    async (request) => webhookJson(webhooks.get(callerOf(request), request.params.id)),
  )

  app.patch(
    '/v1/webhooks/:id',
    {
      config,
      schema: {
        summary: 'Change a webhook, or begin anew one that was given up',
        tags,
        params: WebhookParams,
        body: UpdateWebhook,
        response: { 200: Webhook },
      },
    },
    async (request) => {
      if (Object.keys(request.body).length === 0) throw badField('body', '', 'expected at least one field to change')
      const hook = await webhooks.update(callerOf(request), request.params.id, request.body)
      note('webhook.updated', request, hook)
      return webhookJson(hook)
    },
  )

  app.delete(
    '/v1/webhooks/:id',
    {
      config: acting,
      schema: {
        summary: 'Delete a webhook with its delivery log',
        tags,
        params: WebhookParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await webhooks.delete(callerOf(request), request.params.id)
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/v1/webhooks/:id/rotate',
    {
      config: acting,
      schema: {
        summary: 'A new secret; the one before signs as well through the overlap',
        tags,
        params: WebhookParams,
        body: RotateWebhook,
        response: { 201: IssuedWebhook },
      },
    },
    async (request, reply) => {
      const { graceSeconds = DEFAULT_GRACE_SECONDS } = request.body
      const issued = await webhooks.rotate(callerOf(request), request.params.id, graceSeconds)
      return reply.code(201).send(issuedJson(issued))
    },
  )
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
      if (cursor !== undefined && !/^[1-9]\d{0,11}$/.test(cursor)) throw badCursor()
      const before = cursor === undefined ? undefined : Number(cursor)
      const found = await webhooks.get(callerOf(request), request.params.id).deliveries(limit + 1, before)
      const items = found.slice(0, limit)
      return { items, nextCursor: found.length > limit ? String(items.at(-1)?.seq) : null }
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

function webhookJson({ record, state, cursor }: Hook): Webhook {
  const { id, keyId, name, url, types, createdAt, failing, gaveUp, secrets } = record
  return {
    id,
    keyId,
    name,
    url,
    types: types === null ? null : [...types],
    state,
    createdAt,
    lastEventId: cursor,
    failing: failing && {
      since: failing.since,
      attempts: failing.attempts,
      nextAttemptAt: state === 'retrying' ? failing.nextAttemptAt : null,
      reason: gaveUp,
    },
    overlapUntil: secrets[1]?.until ?? null,
  }
}

const issuedJson = ({ hook, secret }: IssuedSecret): IssuedWebhook => ({ ...webhookJson(hook), secret })
