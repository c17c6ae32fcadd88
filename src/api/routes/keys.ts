import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { ApiContext, App } from '../app.ts'
import type { Budgets } from '../auth/budgets.ts'
import { callerOf } from '../auth/guard.ts'
import type { Actor, NewVersion } from '../auth/keyAdmin.ts'
import type { Issued, Rotation } from '../auth/keyChanges.ts'
import type { KeyEntry } from '../auth/keyEntry.ts'
import type { KeySettings } from '../auth/keyRecord.ts'
import { PRESETS, type Scope } from '../auth/scopes.ts'
import { CreateKey, IssuedKey, Key, KeyUsage, RotateKey, RotateSelf, UpdateKey } from '../keySchemas.ts'
import { callerJson, issuedJson, keyJson, usageJson } from '../keyViews.ts'
import { Empty } from '../schemas.ts'
import { managedRoutes } from './managed.ts'

const KeyParams = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 32, pattern: '^[0-9a-z]+$', description: 'a key id' }),
})
const tags = ['keys']
const config = { scope: 'keys:admin' } as const

const actorOf = (request: FastifyRequest): Actor => ({ ...callerOf(request), address: request.ip })

export function keyRoutes(app: App, { keys, keyAdmin, spending: { budgets } }: ApiContext): void {
  const views: KeyViews = {
    json: (entry) => keyJson(entry, budgets, keys.now()),
    issued: (issued) => issuedJson(keys.entry(issued.record.id), issued, { budgets, now: keys.now() }),
  }
  managedRoutes(app, {
    path: '/v1/keys',
    tags,
    config,
    params: KeyParams,
    words: {
      list: 'Keys',
      get: 'One key',
      create: 'Create a key, within the scopes, budget and life of the one that asks',
      update: 'Change a key',
      delete: 'Revoke a key at once, its open streams included',
      rotate: 'Issue the next version; the present one works on through the window',
    },
    bodies: { create: CreateKey, update: UpdateKey, rotate: RotateKey },
    shown: Key,
    issued: IssuedKey,
    json: views.json,
    all: () => keys.entries(),
    get: (_request, id) => keys.entry(id),
    create: async (request, { name, activatesAt, ...rest }) => {
      const { scopes = [], ...settings } = settingsOf(rest)
      const from = activatesAt === undefined ? undefined : Date.parse(activatesAt)
      return views.issued(await keyAdmin.create(actorOf(request), { ...settings, name, scopes }, from))
    },
    update: (request, id, { name, ...rest }) =>
      keyAdmin.update(actorOf(request), id, { ...settingsOf(rest), ...(name !== undefined && { name }) }),
    delete: (request, id) => keyAdmin.revoke(actorOf(request), id),
    rotate: async (request, id, body) => views.issued(await keyAdmin.rotate(actorOf(request), id, rotationOf(body))),
  })
  ownRoutes(app, { keys, keyAdmin, budgets, views })
  furtherRoutes(app, { keys, keyAdmin, views })
}

interface KeyViews {
  json(entry: KeyEntry): Key
  issued(issued: Issued & Partial<NewVersion>): IssuedKey
}
type Parts = Pick<ApiContext, 'keys' | 'keyAdmin'> & { readonly views: KeyViews }

/** What any key may ask for itself. */
function ownRoutes(app: App, { keys, keyAdmin, budgets, views }: Parts & { readonly budgets: Budgets }): void {
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
    async (request, reply) =>
      reply.code(201).send(views.issued(await keyAdmin.rotateSelf(actorOf(request), request.body.graceSeconds))),
  )
}

function furtherRoutes(app: App, { keys, keyAdmin, views }: Parts): void {
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
    async (request) => views.json(await keyAdmin.rollback(actorOf(request), request.params.id)),
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
    async (request, reply) => reply.code(201).send(views.issued(await keyAdmin.rotateAll(actorOf(request)))),
  )
}

const rotationOf = ({ graceSeconds, activatesAt, compromised = false }: RotateKey): Rotation => ({
  compromised,
  ...(graceSeconds !== undefined && { graceSeconds }),
  ...(activatesAt !== undefined && { activatesAt: Date.parse(activatesAt) }),
})

type GivenSettings = Omit<UpdateKey, 'name'>

/** The settings of a request: presets as scopes, times in one form. */
function settingsOf({ preset, scopes, budget, expiresAt, ...rest }: GivenSettings): Partial<KeySettings> {
  const given: readonly Scope[] | undefined = preset === undefined ? scopes : PRESETS[preset]
  return {
    ...rest,
    ...(given !== undefined && { scopes: [...new Set(given)] }),
    ...(expiresAt !== undefined && { expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString() }),
    ...(budget !== undefined && {
      budget: budget === null ? null : { maxMsat: budget.maxMsat, periodSeconds: budget.periodSeconds ?? null },
    }),
  }
}
