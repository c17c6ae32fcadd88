import type { App } from './app.ts'

const METHODS = 'GET, POST, PUT, PATCH, DELETE'
const REQUEST_HEADERS = 'authorization, content-type, idempotency-key, last-event-id'
const ANSWER_HEADERS =
  'www-authenticate, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset, x-key-rotate-from, x-key-rotate-by'
const PREFLIGHT_SECONDS = 600

/**
 * Pages of these origins may call the API and read its answers; of all others, browsers keep the answers to themselves. No cookies are
 * involved: a page still needs a key. @source Fetch Standard §3.2 (CORS protocol)
 */
export function allowOrigins(app: App, origins: readonly string[]): void {
  if (origins.length === 0) return
  const allowed = new Set(origins)
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('vary', 'origin')
    const { origin, 'access-control-request-method': method } = request.raw.headers
    if (origin === undefined || !allowed.has(origin)) return done()
    reply.header('access-control-allow-origin', origin)
    reply.header('access-control-expose-headers', ANSWER_HEADERS)
    if (request.method !== 'OPTIONS' || method === undefined) return done()
    reply.header('access-control-allow-methods', METHODS)
    reply.header('access-control-allow-headers', REQUEST_HEADERS)
    reply.header('access-control-max-age', PREFLIGHT_SECONDS)
    // Pages of public sites ask whether they may call a private address: https://wicg.github.io/private-network-access
    if (request.raw.headers['access-control-request-private-network'] === 'true') {
      reply.header('access-control-allow-private-network', 'true')
    }
    reply.code(204).send()
  })
}
