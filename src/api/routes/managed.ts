import { type Static, type TSchema, Type } from '@sinclair/typebox'
import type { FastifyContextConfig, FastifyRequest } from 'fastify'
import { pageOf as pageOfItems } from '../../node/paging.ts'
import type { App } from '../app.ts'
import { PageQuery, pageOf } from '../scalars.ts'
import { pageJson, pageRequest } from './paging.ts'

/** Named by its id, and listed by when it was made. */
interface Made {
  readonly record: { readonly id: string; readonly createdAt: string }
}

type Bodies = Readonly<Record<'create' | 'update' | 'rotate', TSchema>>

/**
 * A kind of thing that callers make, change, rotate and delete by its id, and whose secret is shown once, when it is made or rotated:
 * keys and webhooks. Whatever takes an id throws ServiceError NOT_FOUND, also where the thing is not the caller's business.
 */
export interface Managed<T extends Made, B extends Bodies> {
  readonly path: string
  readonly tags: readonly string[]
  readonly config: FastifyContextConfig
  /** Of rotating and deleting, where it is another. */
  readonly acting?: FastifyContextConfig
  readonly params: TSchema
  readonly words: Readonly<Record<'list' | 'get' | 'delete' | keyof Bodies, string>>
  readonly bodies: B
  /** How one is shown, and how with its secret. */
  readonly shown: TSchema
  readonly issued: TSchema
  readonly json: (thing: T) => object
  /** Those of the caller's business, in any order: all are in memory, and few. */
  readonly all: (request: FastifyRequest) => readonly T[]
  readonly get: (request: FastifyRequest, id: string) => T
  readonly update: (request: FastifyRequest, id: string, body: Static<B['update']>) => Promise<T>
  readonly delete: (request: FastifyRequest, id: string) => Promise<void>
  /** @returns as JSON, with the secret */
  readonly create: (request: FastifyRequest, body: Static<B['create']>) => Promise<object>
  readonly rotate: (request: FastifyRequest, id: string, body: Static<B['rotate']>) => Promise<object>
}

const idOf = ({ params }: FastifyRequest): string => (params as { id: string }).id

const newestFirst = ({ record: a }: Made, { record: b }: Made): number =>
  Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? 1 : -1)

export function managedRoutes<T extends Made, B extends Bodies>(app: App, kind: Managed<T, B>): void {
  readingRoutes(app, kind)
  const { path, tags, config, acting = config, params, words, bodies, shown, issued, json } = kind
  app.post(
    path,
    { config, schema: { summary: words.create, tags, body: bodies.create, response: { 201: issued } } },
    async (request, reply) => reply.code(201).send(await kind.create(request, request.body as never)),
  )
  app.patch(
    `${path}/:id`,
    { config, schema: { summary: words.update, tags, params, body: bodies.update, response: { 200: shown } } },
    async (request) => json(await kind.update(request, idOf(request), request.body as never)),
  )
  app.delete(
    `${path}/:id`,
    { config: acting, schema: { summary: words.delete, tags, params, response: { 204: Type.Null() } } },
    async (request, reply) => {
      await kind.delete(request, idOf(request))
      return reply.code(204).send(null)
    },
  )
  app.post(
    `${path}/:id/rotate`,
    { config: acting, schema: { summary: words.rotate, tags, params, body: bodies.rotate, response: { 201: issued } } },
    async (request, reply) => reply.code(201).send(await kind.rotate(request, idOf(request), request.body as never)),
  )
}

function readingRoutes<T extends Made, B extends Bodies>(app: App, kind: Managed<T, B>): void {
  const { path, tags, config, params, words, shown, json } = kind
  app.get(
    path,
    { config, schema: { summary: words.list, tags, querystring: PageQuery, response: { 200: pageOf(shown) } } },
    async (request) => {
      const all = kind.all(request).toSorted(newestFirst)
      return pageJson(
        pageOfItems(all, ({ record }) => record.id, pageRequest(request.query)),
        json,
      )
    },
  )
  app.get(
    `${path}/:id`,
    { config, schema: { summary: words.get, tags, params, response: { 200: shown } } },
    async (request) => json(kind.get(request, idOf(request))),
  )
}
