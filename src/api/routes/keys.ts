import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { ApiContext, App } from '../app.ts'
import { parseCidr } from '../auth/cidr.ts'
import { callerOf } from '../auth/guard.ts'
import type { Actor } from '../auth/keyAdmin.ts'
import type { KeySettings } from '../auth/keyRecord.ts'
import { PRESETS, type Scope } from '../auth/scopes.ts'
import { CreateKey, IssuedKey, Key, KeyPage, KeyUsage, RotateKey, RotateSelf, UpdateKey } from '../keySchemas.ts'
import { callerJson, issuedJson, keyJson, usageJson } from '../keyViews.ts'
import { badField } from '../problems.ts'
import { PageQuery } from '../scalars.ts'
import { Empty } from '../schemas.ts'
import { badCursor } from './paging.ts'

const KeyParams = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 32, pattern: '^[0-9a-z]+$', description: 'a key id' }),
})
const DEFAULT_LIMIT = 50
const tags = ['keys']
const config = { scope: 'keys:admin' } as const

const actorOf = (request: FastifyRequest): Actor => ({ ...callerOf(request), address: request.ip })

export function keyRoutes(app: App, context: ApiContext): void {
  listRoutes(app, context)
  ownRoutes(app, context)
  changeRoutes(app, context)
  rotationRoutes(app, context)
}

function listRoutes(app: App, { keys, spending: { budgets } }: ApiContext): void {
  app.get(
    '/v1/keys',
    { config, schema: { summary: 'Keys', tags, querystring: PageQuery, response: { 200: KeyPage } } },
    async ({ query: { limit = DEFAULT_LIMIT, cursor } }) => {
      // In memory, and in order of making.
      const all = keys.entries().toSorted((a, b) => orderOf(b.record, a.record))
      const from = cursor === undefined ? 0 : all.findIndex(({ record }) => record.id === cursor)
      if (from < 0) throw badCursor()
      const now = keys.now()
      const items = all.slice(from, from + limit).map((entry) => keyJson(entry, budgets, now))
      return { items, nextCursor: all[from + limit]?.record.id ?? null }
    },
  )

  app.get(
    '/v1/keys/:id',
    { config, schema: { summary: 'One key', tags, params: KeyParams, response: { 200: Key } } },
    async ({ params }) => keyJson(keys.entry(params.id), budgets, keys.now()),
  )

  app.get(
    '/v1/keys/:id/usage',
    {
      config,
      schema: {
        summary: 'How often each version of a key was used, so that one sees when the old one has fallen silent',
        tags,
        params: KeyParams,
        response: { 200: KeyUsage },
      },
    },
    async ({ params }) => usageJson(keys.entry(params.id), keys.now()),
  )
}

const orderOf = (a: { createdAt: string; id: string }, b: { createdAt: string; id: string }): number =>
  Date.parse(a.createdAt) - Date.parse(b.createdAt) || (a.id < b.id ? -1 : 1)

/** What any key may ask for itself. */
function ownRoutes(app: App, { keys, keyAdmin, spending: { budgets } }: ApiContext): void {
  app.get(
    '/v1/keys/self',
    {
      config: { scope: 'any-key' },
      schema: { summary: 'The key or the access token that asks', tags, response: { 200: Key } },
    },
    async (request) => {
      const caller = callerOf(request)
      return callerJson(caller, keys.entry(caller.keyId), { budgets, now: keys.now() })
    },
  )

  app.post(
    '/v1/keys/self/rotate',
    {
      config: { scope: 'any-key' },
      schema: {
        summary: 'The next version of the key that asks; the present one works on to its own end',
        tags,
        body: RotateSelf,
        response: { 201: IssuedKey },
      },
    },
    async (request, reply) => {
      const issued = await keyAdmin.rotateSelf(actorOf(request), request.body.graceSeconds)
      const entry = keys.entry(issued.record.id)
      return reply.code(201).send(issuedJson(entry, issued, { budgets, now: keys.now() }))
    },
  )
}

function changeRoutes(app: App, { keys, keyAdmin, spending: { budgets } }: ApiContext): void {
  app.post(
    '/v1/keys',
    {
      config,
      schema: {
        summary: 'Create a key, within the scopes, budget and life of the one that asks',
        tags,
        body: CreateKey,
        response: { 201: IssuedKey },
      },
    },
    async (request, reply) => {
      const { name, activatesAt, ...rest } = request.body
      const settings = settingsOf(rest)
      const { scopes } = settings
      if (scopes === undefined) throw badField('body', '/scopes', 'expected scopes or a preset')
      const from = activatesAt === undefined ? undefined : timeOf(activatesAt, '/activatesAt')
      const issued = await keyAdmin.create(actorOf(request), { ...settings, name, scopes }, from)
      const entry = keys.entry(issued.record.id)
      return reply.code(201).send(issuedJson(entry, issued, { budgets, now: keys.now() }))
    },
  )

  app.patch(
    '/v1/keys/:id',
    {
      config,
      schema: { summary: 'Change a key', tags, params: KeyParams, body: UpdateKey, response: { 200: Key } },
    },
    async (request) => {
      const { name, ...rest } = request.body
      const settings = { ...settingsOf(rest), ...(name !== undefined && { name }) }
      if (Object.keys(settings).length === 0) throw badField('body', '', 'expected at least one field to change')
      return keyJson(await keyAdmin.update(actorOf(request), request.params.id, settings), budgets, keys.now())
    },
  )

  app.delete(
    '/v1/keys/:id',
    {
      config,
      schema: {
        summary: 'Revoke a key at once, its open streams included',
        tags,
        params: KeyParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await keyAdmin.revoke(actorOf(request), request.params.id)
      return reply.code(204).send(null)
    },
  )
}

function rotationRoutes(app: App, { keys, keyAdmin, spending: { budgets } }: ApiContext): void {
  app.post(
    '/v1/keys/:id/rotate',
    {
      config,
      schema: {
        summary: 'Issue the next version; the present one works on through the window',
        tags,
        params: KeyParams,
        body: RotateKey,
        response: { 201: IssuedKey },
      },
    },
    async (request, reply) => {
      const { graceSeconds, activatesAt, compromised = false } = request.body
      if (compromised && (graceSeconds ?? 0) > 0) {
        throw badField('body', '/graceSeconds', 'expected none: a compromised version stops at once')
      }
      if (compromised && activatesAt !== undefined) {
        throw badField('body', '/activatesAt', 'expected none: after a compromise the new version works at once')
      }
      const issued = await keyAdmin.rotate(actorOf(request), request.params.id, {
        compromised,
        ...(graceSeconds !== undefined && { graceSeconds }),
        ...(activatesAt !== undefined && { activatesAt: timeOf(activatesAt, '/activatesAt') }),
      })
      const entry = keys.entry(issued.record.id)
      return reply.code(201).send(issuedJson(entry, issued, { budgets, now: keys.now() }))
    },
  )

  app.post(
    '/v1/keys/:id/rollback',
    {
      config,
      schema: {
        summary: 'Make the version before current again, while it is in its window',
        tags,
        params: KeyParams,
        body: Empty,
        response: { 200: Key },
      },
    },
    async (request) => keyJson(await keyAdmin.rollback(actorOf(request), request.params.id), budgets, keys.now()),
  )

  app.post(
    '/v1/keys/rotate-all',
    {
      config,
      schema: {
        summary: 'Emergency: every key but a new version of the one that asks stops',
        tags,
        body: Empty,
        response: { 201: IssuedKey },
      },
    },
    async (request, reply) => {
      const issued = await keyAdmin.rotateAll(actorOf(request))
      const entry = keys.entry(issued.record.id)
      return reply.code(201).send(issuedJson(entry, issued, { budgets, now: keys.now() }))
    },
  )
}

type GivenSettings = Omit<UpdateKey, 'name'>

/** The settings of a request: presets as scopes, times in one form, networks that are networks. */
function settingsOf({ preset, scopes, budget, expiresAt, allowedCidrs, ...rest }: GivenSettings): Partial<KeySettings> {
  if (preset !== undefined && scopes !== undefined)
    throw badField('body', '/preset', 'expected scopes or a preset, not both')
  const given: readonly Scope[] | undefined = preset === undefined ? scopes : PRESETS[preset]
  for (const [at, cidr] of (allowedCidrs ?? []).entries()) {
    if (parseCidr(cidr) === null)
      throw badField('body', `/allowedCidrs/${at}`, 'expected an address or a network like 10.0.0.0/8')
  }
  return {
    ...rest,
    ...(given !== undefined && { scopes: [...new Set(given)] }),
    ...(allowedCidrs !== undefined && { allowedCidrs }),
    ...(expiresAt !== undefined && { expiresAt: expiresAt === null ? null : iso(timeOf(expiresAt, '/expiresAt')) }),
    ...(budget !== undefined && {
      budget: budget === null ? null : { maxMsat: budget.maxMsat, periodSeconds: budget.periodSeconds ?? null },
    }),
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

function timeOf(text: string, pointer: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw badField('body', pointer, 'there is no such date')
  return ms
}
