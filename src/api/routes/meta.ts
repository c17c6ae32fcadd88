import type { ApiContext, App } from '../app.ts'
import { docsPage, PAGE_HEADERS } from '../docs.ts'
import type { OpenApiDocument } from '../openapi.ts'

/** The API about itself. @param document made when first asked for, since it lists every route */
export function metaRoutes(app: App, { service, events, alerts }: ApiContext, document: () => OpenApiDocument): void {
  let docs: string | undefined
  let json: string | undefined
  app.get('/docs', { config: { scope: 'public' } }, async (_request, reply) => {
    docs ??= docsPage(document())
    return reply.headers(PAGE_HEADERS).send(docs)
  })

  app.get(
    '/v1/openapi.json',
    {
      config: { scope: 'public' },
      schema: { summary: 'This document', tags: ['meta'], produces: ['application/json'] },
    },
    async (_request, reply) => {
      json ??= JSON.stringify(document())
      return reply.type('application/json').send(json)
    },
  )

  app.get(
    '/metrics',
    {
      config: { scope: 'metrics:read' },
      schema: { summary: 'Prometheus metrics', tags: ['meta'], produces: ['text/plain'] },
    },
    async (_request, reply) => {
      const text = await service.metrics({ eventSubscribers: events.size, alertsRaised: alerts.raised })
      return reply.type('text/plain; version=0.0.4; charset=utf-8').send(text)
    },
  )
}
