import { LOG_PARTS } from '../../node/logLevels.ts'
import type { ApiContext, App } from '../app.ts'
import { LogLevels, LogPage, LogQuery, SetLogLevels } from '../operatorSchemas.ts'
import { pageRequest } from './paging.ts'

/** The log as those see it who run the node, and how much it says. */
export function logRoutes(app: App, { service: { logs } }: ApiContext): void {
  const view = (): LogLevels => ({
    default: logs.levels.default,
    parts: Object.fromEntries(LOG_PARTS.map((part) => [part, logs.levelOf(part)])) as LogLevels['parts'],
  })
  app.get(
    '/v1/node/log-levels',
    {
      config: { scope: 'node:read' },
      schema: { summary: 'At what level each part of the node logs', tags: ['node'], response: { 200: LogLevels } },
    },
    async () => view(),
  )

  app.put(
    '/v1/node/log-levels',
    {
      config: { scope: '*', audited: true },
      schema: {
        summary: 'Log more or less until the node stops; parts that are not named take the default',
        tags: ['node'],
        body: SetLogLevels,
        response: { 200: LogLevels },
      },
    },
    async ({ body }) => {
      logs.set({ default: body.default, parts: body.parts ?? {} })
      return view()
    },
  )

  app.get(
    '/v1/logs',
    {
      config: { scope: 'logs:read' },
      schema: {
        summary: 'The last lines of the log, newest first; the node keeps some thousands of them until it stops',
        tags: ['node'],
        querystring: LogQuery,
        response: { 200: LogPage },
      },
    },
    async ({ query }) => {
      const { limit: _limit, cursor: _cursor, ...filter } = query
      const page = logs.recent.page(pageRequest(query), filter)
      return { ...page, items: page.items.map((line) => ({ ...line })) }
    },
  )
}
