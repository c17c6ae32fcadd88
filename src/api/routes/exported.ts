import type { TObject } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Page, PageRequest } from '../../node/service.ts'
import { callerOf } from '../auth/guard.ts'
import type { KeyRing } from '../auth/keys.ts'
import { csvStream } from '../csv.ts'
import { pageJson, pageRequest } from './paging.ts'

const CSV_PAGE = 500

export interface ExportedList<V> {
  readonly keys: KeyRing
  /** Aborted when the API is to stop. */
  readonly closing: AbortSignal
  /** Of the file that a browser saves. */
  readonly name: string
  readonly item: TObject
  readonly list: (page: PageRequest) => Promise<Page<V>>
  readonly json: (view: V) => object
}

interface ExportQuery {
  readonly limit?: number
  readonly cursor?: string
  readonly format?: 'json' | 'csv'
}

/**
 * A page as JSON; or, with `format=csv` or where CSV is what the client accepts, everything from the cursor on as CSV, written page by page
 * as fast as the client reads. Columns are the fields of the item's schema in their order.
 */
export async function sendList<V>(
  request: Pick<FastifyRequest, 'headers' | 'caller'> & { readonly query: ExportQuery },
  reply: FastifyReply,
  { keys, closing, name, item, list, json }: ExportedList<V>,
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
  return reply.send(csvStream(Object.keys(item.properties), itemsFrom(first, { limit, list, json }))) as never
}

async function* itemsFrom<V>(
  first: Page<V>,
  { limit, list, json }: Pick<ExportedList<V>, 'list' | 'json'> & { readonly limit: number },
): AsyncGenerator<object> {
  let left = limit
  for (let page = first; ; ) {
    for (const view of page.items) yield json(view)
    left -= page.items.length
    if (page.nextCursor === null || left <= 0) return
    page = await list({ limit: Math.min(CSV_PAGE, left), cursor: page.nextCursor })
  }
}
