import type { ApiContext, App } from '../app.ts'
import { AuditPage, AuditQuery } from '../keySchemas.ts'
import { timeRange } from '../times.ts'

const DEFAULT_LIMIT = 50

export function auditRoutes(app: App, { keys }: ApiContext): void {
  app.get(
    '/v1/audit',
    {
      config: { scope: 'audit:read' },
      schema: {
        summary:
          'The audit log, newest first: changes and refused calls, each entry holding the hash of the one before; by time, and by who called',
        tags: ['audit'],
        querystring: AuditQuery,
        response: { 200: AuditPage },
      },
    },
    async ({ query: { limit = DEFAULT_LIMIT, cursor, keyId, ...times } }) => {
      const filter = { ...timeRange(times), ...(keyId !== undefined && { keyId }) }
      await keys.audit.flush()
      const { head } = keys.audit
      const before = cursor === undefined ? undefined : Number(cursor)
      const { items, next } = await keys.audit.list(limit, before, filter)
      return { items: [...items], nextCursor: next === null ? null : String(next), head }
    },
  )
}
