import type { ApiContext, App } from '../app.ts'
import { AuditPage, AuditQuery } from '../keySchemas.ts'
import { badCursor } from './paging.ts'

const DEFAULT_LIMIT = 50

export function auditRoutes(app: App, { keys }: ApiContext): void {
  app.get(
    '/v1/audit',
    {
      config: { scope: 'audit:read' },
      schema: {
        summary:
          'The audit log, newest first: changes and refused calls, each entry holding the hash of the one before',
        tags: ['audit'],
        querystring: AuditQuery,
        response: { 200: AuditPage },
      },
    },
    async ({ query: { limit = DEFAULT_LIMIT, cursor } }) => {
      if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor)) {
        throw badCursor()
      }
      await keys.audit.flush()
      const { head } = keys.audit
      const before = cursor === undefined ? head.seq + 1 : Number(cursor)
      const items = await keys.audit.page(limit, before)
      const next = Math.min(before, head.seq + 1) - limit
      return { items: [...items], nextCursor: next > 1 ? String(next) : null, head }
    },
  )
}
