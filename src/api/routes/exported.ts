import type { Static, TObject, TSchema } from '@sinclair/typebox'
import type { FastifyContextConfig, FastifyReply, FastifyRequest } from 'fastify'
import type { Page, PageRequest } from '../../node/service.ts'
import type { ApiContext, App } from '../app.ts'
import { callerOf } from '../auth/guard.ts'
import { csvStream } from '../csv.ts'
import { pageOf } from '../scalars.ts'
import { pageJson, pageRequest } from './paging.ts'

const CSV_PAGE = 500

/** A list for the books, newest first: a page of it as JSON, or all of it as CSV. */
interface ExportedRoute<Q extends TSchema, V> {
  readonly path: string
  readonly config: FastifyContextConfig
  readonly tags: readonly string[]
  /** What is listed, in the OpenAPI document. */
  readonly what: string
  readonly query: Q
  readonly item: TObject
  /** Of the file that a browser saves. */
  readonly name: (query: Static<Q>) => string
  readonly list: (query: Static<Q>) => List<V>
  readonly json: (view: V) => object
}

type List<V> = (page: PageRequest) => Promise<Page<V>>

/** Adds the route of such a list. */
export function exportedRoute<Q extends TSchema, V>(
  app: App,
  { keys, closing }: Pick<ApiContext, 'keys' | 'closing'>,
  { path, config, tags, what, query, item, name, list, json }: ExportedRoute<Q, V>,
): void {
  const summary = `${what}, newest first, as JSON or CSV`
  app.get(
    path,
    { config, schema: { summary, tags, querystring: query, response: { 200: pageOf(item) }, produces: ['text/csv'] } },
    (request, reply) => {
      const asked = request.query as Static<Q>
      return sendList(request as ExportRequest, reply, {
        keys,
        closing,
        columns: Object.keys(item.properties),
        name: name(asked),
        list: list(asked),
        json,
      })
    },
  )
}

interface ExportQuery {
  readonly limit?: number
  readonly cursor?: string
  readonly format?: 'json' | 'csv'
}

type ExportRequest = Pick<FastifyRequest, 'headers' | 'caller'> & { readonly query: ExportQuery }

interface Sending<V> extends Pick<ApiContext, 'keys' | 'closing'> {
  readonly columns: readonly string[]
  readonly name: string
  readonly list: List<V>
  readonly json: (view: V) => object
}

/**
 * A page as JSON; or, with `format=csv` or where CSV is what the client accepts, everything from the cursor on as CSV, written page by page
 * as fast as the client reads. Columns are the fields of the item's schema in their order.
 */
async function sendList<V>(
  request: ExportRequest,
  reply: FastifyReply,
  { keys, closing, name, columns, list, json }: Sending<V>,
): Promise<never> {
  const { query, headers } = request
  const wantsCsv = query.format === 'csv' || (query.format === undefined && headers.accept?.startsWith('text/csv'))
  if (!wantsCsv) return reply.send(pageJson(await list(pageRequest(query)), json)) as never
  // What is wrong with the query is told before anything is sent.
  const limit = query.limit ?? Number.POSITIVE_INFINITY
  const first = await list({
    limit: Math.min(CSV_PAGE, limit),
    ...(query.cursor !== undefined && { cursor: query.cursor }),
  })
  // It may take hours: as any other stream it ends with the key, and when the node is to stop.
  const { keyId, version } = callerOf(request)
  const end = (): void => void reply.raw.destroy()
  const forget = keys.entry(keyId).addStream(version, end)
  closing.addEventListener('abort', end)
  reply.raw.on('close', () => {
    forget()
    closing.removeEventListener('abort', end)
  })
  reply
    .header('content-disposition', `attachment; filename="${name}.csv"`)
    .type('text/csv; charset=utf-8; header=present')
  return reply.send(csvStream(columns, itemsFrom(first, { limit, list, json }))) as never
}

async function* itemsFrom<V>(
  first: Page<V>,
  { limit, list, json }: Pick<Sending<V>, 'list' | 'json'> & { readonly limit: number },
): AsyncGenerator<object> {
  let left = limit
  for (let page = first; ; ) {
    for (const view of page.items) yield json(view)
    left -= page.items.length
    if (page.nextCursor === null || left <= 0) return
    page = await list({ limit: Math.min(CSV_PAGE, left), cursor: page.nextCursor })
  }
}
