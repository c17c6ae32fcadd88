import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../app.ts'
import { type Asset, Compressed, DASHBOARD_HEADERS, encodingFor, loadDashboard } from '../dashboard.ts'
import { landingPage, PAGE_HEADERS } from '../docs.ts'

const FOR_EVER = 'public, max-age=31536000, immutable'

/** The dashboard at `/` and its files; a page that points to the docs where the program was not built. */
export function dashboardRoutes(app: App, dashboard = loadDashboard()): void {
  const config = { scope: 'public' } as const
  if (dashboard === null) {
    app.get('/', { config }, async (_request, reply) => reply.headers(PAGE_HEADERS).send(landingPage()))
    return
  }
  const { page, prefix, assets } = dashboard
  const compressed = new Compressed()
  const send = async (asset: Asset, request: FastifyRequest, reply: FastifyReply) => {
    const encoding = encodingFor(request.headers['accept-encoding'])
    if (encoding !== null) reply.header('content-encoding', encoding)
    reply.headers(DASHBOARD_HEADERS).header('vary', 'accept-encoding').type(asset.type)
    return reply.send(encoding === null ? asset.body : await compressed.of(asset, encoding))
  }
  const etag = `W/"${createHash('sha256').update(page.body).digest('base64url')}"`

  app.get('/', { config }, async (request, reply) => {
    reply.header('cache-control', 'no-cache').header('etag', etag)
    if (request.headers['if-none-match'] === etag) return reply.code(304).send()
    return send(page, request, reply)
  })
  for (const asset of assets) {
    app.get(`${prefix}/${asset.name}`, { config }, async (request, reply) => {
      reply.header('cache-control', FOR_EVER)
      return send(asset, request, reply)
    })
  }
}
