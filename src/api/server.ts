import { setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import websocket from '@fastify/websocket'
import fastify, { type FastifyError, type FastifyReply, type FastifyRequest, type RouteOptions } from 'fastify'
import type { IssuerConfig } from '../node/access.ts'
import type { NodeService } from '../node/service.ts'
import { tracerIfWanted } from '../node/traces.ts'
import { Alerts } from './alerts/alerts.ts'
import { lookAround, type Surroundings } from './alerts/look.ts'
import type { ApiContext, App } from './app.ts'
import { noteRefusal, recordCalls } from './auth/calls.ts'
import { FailedSignIns, realClock, type SignInClock } from './auth/failedSignIns.ts'
import { guard, guardAgain } from './auth/guard.ts'
import { HostCheck } from './auth/hosts.ts'
import { KeyAdmin } from './auth/keyAdmin.ts'
import type { KeyRing } from './auth/keys.ts'
import { Tokens } from './auth/oidc/tokens.ts'
import { Tickets } from './auth/tickets.ts'
import { logCalls } from './callLog.ts'
import { traceCalls } from './callSpans.ts'
import { shareConnections } from './connectionShares.ts'
import { allowOrigins } from './cors.ts'
import { EventHub } from './events.ts'
import { allFaults } from './faults.ts'
import { Idempotency, IdempotencyHeader } from './idempotency.ts'
import { type OpenApiDocument, openApiDocument } from './openapi.ts'
import { ApiProblem, type Problem, problemOf } from './problems.ts'
import { alertRoutes } from './routes/alerts.ts'
import { analyticsRoutes } from './routes/analytics.ts'
import { auditRoutes } from './routes/audit.ts'
import { backupRoutes } from './routes/backup.ts'
import { chainRoutes } from './routes/chain.ts'
import { channelRoutes } from './routes/channels.ts'
import { dashboardRoutes } from './routes/dashboard.ts'
import { decodeRoutes } from './routes/decode.ts'
import { eventRoutes } from './routes/events.ts'
import { graphRoutes } from './routes/graph.ts'
import { invoiceRoutes } from './routes/invoices.ts'
import { keyRoutes } from './routes/keys.ts'
import { logRoutes } from './routes/logs.ts'
import { metaRoutes } from './routes/meta.ts'
import { healthRoutes, nodeRoutes } from './routes/node.ts'
import { paymentRoutes } from './routes/payments.ts'
import { peerRoutes } from './routes/peers.ts'
import { psbtRoutes } from './routes/psbt.ts'
import { walletRoutes } from './routes/wallet.ts'
import { webhookRoutes } from './routes/webhooks.ts'
import type { Moment } from './rules.ts'
import { NO_QUERY } from './scalars.ts'
import { Empty } from './schemas.ts'
import { beginInSlices, isActing } from './slices.ts'
import { Spending } from './spending.ts'
import type { ServerCertificate } from './tls/serverCertificate.ts'
import { watchUnused } from './unusedConnections.ts'
import { validatorCompiler } from './validation.ts'
import { type WebhookOptions, Webhooks } from './webhooks/webhooks.ts'

const BODY_LIMIT = 128 * 1024
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 72_000
const HANDSHAKE_MS = 10_000
const MAX_PARAM_LENGTH = 128
/** An upgraded connection on which nothing moves for so long is dead: heartbeats alone move more often. */
const DEAD_AFTER_MS = 60_000
const HOST_ADVICE = 'Call the API by an address of this machine, or allow the name with --api-hosts.'
/** So that clients cannot use up the file descriptors that peers and the store need. */
const MAX_CONNECTIONS = 1_024
/** A WebSocket client has nothing to say. */
const MAX_WS_MESSAGE = 1024

export interface ApiOptions {
  readonly keys: KeyRing
  /** Names besides the loopback ones by which clients may call this server. */
  readonly hosts?: readonly string[]
  /** Hears of each failure that is not the client's: a bug, or a node in trouble. */
  readonly onInternalError?: (error: unknown, request: { method: string; route: string }) => void
  readonly clock?: SignInClock
  readonly webhooks?: WebhookOptions
  /** Origins whose pages may call; none: CORS is off. */
  readonly origins?: readonly string[]
  /** Whose access tokens are taken beside keys. */
  readonly issuer?: IssuerConfig | null
  /** Without it, plain HTTP. */
  readonly tls?: ServerCertificate
  readonly surroundings?: Surroundings
}

/**
 * The REST API over a node. Every route declares the scope that it asks for, its schemas and nothing else of HTTP; keys, hosts,
 * validation and problems are dealt with here.
 */
export function createApi(service: NodeService, options: ApiOptions): App {
  const clock = options.clock ?? realClock
  const app: App = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    ...(options.tls && { https: { ...options.tls, handshakeTimeout: HANDSHAKE_MS } }),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: (error, _request, reply) => sendProblem(reply as FastifyReply, problemOf(error)),
    clientErrorHandler: refuseRaw,
  }).withTypeProvider() as unknown as App
  const routes: RouteOptions[] = []
  const { keys } = options
  const failed = (method: string, route: string) => (error: unknown) =>
    options.onInternalError?.(error, { method, route })
  const webhooks = new Webhooks(service, keys, { ...options.webhooks, onError: failed('deliver', 'webhooks') })
  const { surroundings = {} } = options
  const closing = new AbortController()
  setMaxListeners(0, closing.signal)
  const look = () => lookAround({ service, keys, webhooks, surroundings, onError: failed('look', 'alerts') })
  const context: ApiContext = {
    service,
    keys,
    keyAdmin: new KeyAdmin(keys),
    spending: new Spending(service, keys),
    idempotency: new Idempotency(service.apiStore, () => service.newId(), clock.now),
    events: new EventHub(service),
    tickets: new Tickets(clock.now),
    webhooks,
    alerts: new Alerts({
      service,
      now: () => keys.now(),
      look,
      onError: failed('write', 'alerts'),
      log: service.logs.of('node'),
    }),
    closing: closing.signal,
  }
  shape(app, options, { routes, moment: () => ({ now: keys.now(), network: service.info().network }) })
  beginInSlices(app)
  recordCalls(app, keys)
  logCalls(app, service.logs.of('api'))
  const tracer = tracerIfWanted()
  if (tracer) traceCalls(app, tracer)
  keepTime(app, context, options)
  app.register(websocket, { options: { maxPayload: MAX_WS_MESSAGE, perMessageDeflate: false } }).after(() => {
    // After the plugin's hooks, so that it also cleans up the upgrades that these refuse.
    protect(app, options, context, new FailedSignIns(clock))
  })
  app.register(async (child) => addRoutes(child as App, context, documentOf(routes, service)))
  app.server.maxConnections = MAX_CONNECTIONS
  shareConnections(app.server, MAX_CONNECTIONS / 2)
  const endUnused = watchUnused(app.server, options.tls !== undefined)
  app.addHook('preClose', async () => {
    closing.abort()
    endUnused()
  })
  app.server.on('upgrade', (_request, socket) => (socket as Socket).setTimeout(DEAD_AFTER_MS, () => socket.destroy()))
  return app
}

/** How requests are read and problems answered. */
function shape(
  app: App,
  options: ApiOptions,
  { routes, moment }: { readonly routes: RouteOptions[]; readonly moment: () => Moment },
): void {
  app.decorateRequest('caller', null)
  app.setValidatorCompiler(validatorCompiler(moment))
  allowEmptyJson(app)
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = problemOf(allFaults(request, error))
    noteRefusal(options.keys, request, problem.code)
    if (problem.code === 'INTERNAL') {
      options.onInternalError?.(error, { method: request.method, route: request.routeOptions.url ?? '' })
    }
    sendProblem(reply, problem)
  })
  app.setNotFoundHandler((request, reply) => sendProblem(reply, problemOf(notFound(routes, request, reply))))
  app.addHook('onRoute', (route) => {
    refuseUnknown(route)
    takeKey(route)
    routes.push(route)
  })
}

/** A query or a body that a route does not take is refused, as an unknown field is: it would be thought to do something. */
function refuseUnknown({ schema, config, method }: RouteOptions): void {
  if (!schema || config?.scope === 'public') return
  schema.querystring ??= NO_QUERY
  if (method === 'DELETE') schema.body ??= Empty
}

/** The header of the calls that are carried out once. */
function takeKey({ schema, config }: RouteOptions): void {
  if (schema && config?.idempotent) schema.headers = IdempotencyHeader
}

const TICK_MS = 1_000
const FLUSH_MS = 10_000
const LOOK_MS = 10_000

/** What is needed besides calls: budgets are known before the first one, time passes, and what was counted is written. */
function keepTime(
  app: App,
  { keys, spending, webhooks, alerts, idempotency }: ApiContext,
  { onInternalError }: ApiOptions,
): void {
  const timers: NodeJS.Timeout[] = []
  const every = (ms: number, name: string, act: () => Promise<void>): void => {
    const failed = (error: unknown) => onInternalError?.(error, { method: name, route: 'timer' })
    timers.push(setInterval(() => void act().catch(failed), ms).unref())
  }
  app.addHook('onReady', async () => {
    await spending.budgets.load()
    await webhooks.load()
    await alerts.load()
  })
  app.addHook('onListen', async () => {
    every(TICK_MS, 'tick', () => keys.tick())
    every(FLUSH_MS, 'flush', () => keys.flush())
    every(FLUSH_MS, 'flush', () => idempotency.flush())
    every(LOOK_MS, 'look', () => alerts.look())
    void alerts.look().catch(() => {}) // the timer says why
  })
  app.addHook('onClose', async () => {
    for (const timer of timers) clearInterval(timer)
    spending.close()
    await webhooks.close()
    await alerts.close()
    await keys.flush()
    await idempotency.flush()
  })
}

/** Who may call: no foreign Host on any path, and on each route a key with its scope. */
function protect(app: App, options: ApiOptions, { events, tickets }: ApiContext, failed: FailedSignIns): void {
  const hosts = new HostCheck(options.hosts ?? [])
  const tokens = options.issuer ? new Tokens(options.issuer, options.keys) : null
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
    events.close()
  })
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('cache-control', 'no-store')
    if (closing) return done(new ApiProblem('SHUTTING_DOWN', 'The node is stopping; ask again when it is back.'))
    if (hosts.allows(request.raw.headers.host, request.raw.socket?.localAddress)) return done()
    done(new ApiProblem('HOST_NOT_ALLOWED', HOST_ADVICE))
  })
  allowOrigins(app, options.origins ?? [])
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close') // a client that kept the connection would keep us from stopping
  })
  app.addHook('onRoute', (route) => {
    const { scope, takesTicket = false } = route.config ?? {}
    if (scope === undefined) throw new Error(`route ${route.method} ${route.url} declares no scope`)
    const parts = { keys: options.keys, tickets, failed, tokens }
    const check = guard(scope, takesTicket, parts)
    route.onRequest = [check, ...[route.onRequest ?? []].flat()] as NonNullable<typeof route.onRequest>
    if (!isActing(route)) return
    const last = [...[route.preHandler ?? []].flat(), guardAgain(scope, parts)]
    route.preHandler = last as NonNullable<typeof route.preHandler>
  })
}

function addRoutes(app: App, context: ApiContext, document: () => OpenApiDocument): void {
  nodeRoutes(app, context)
  logRoutes(app, context)
  alertRoutes(app, context)
  backupRoutes(app, context)
  peerRoutes(app, context)
  channelRoutes(app, context)
  invoiceRoutes(app, context)
  paymentRoutes(app, context)
  decodeRoutes(app, context)
  walletRoutes(app, context)
  psbtRoutes(app, context)
  chainRoutes(app, context)
  graphRoutes(app, context)
  eventRoutes(app, context)
  keyRoutes(app, context)
  auditRoutes(app, context)
  webhookRoutes(app, context)
  analyticsRoutes(app, context)
  healthRoutes(app, context)
  metaRoutes(app, context, document)
  dashboardRoutes(app)
}

function documentOf(routes: readonly RouteOptions[], service: NodeService): () => OpenApiDocument {
  let document: OpenApiDocument | undefined
  return () => {
    document ??= openApiDocument(routes, service.info().version)
    return document
  }
}

/** A POST that says it is JSON and sends nothing has an empty body, not a broken one. */
function allowEmptyJson(app: App): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) return done(null, undefined)
    parse(request, body as string, done)
  })
}

function sendProblem(reply: FastifyReply, problem: Problem): void {
  if (problem.retryAfterSeconds !== undefined) reply.header('retry-after', problem.retryAfterSeconds)
  reply
    .code(problem.status)
    .type('application/problem+json; charset=utf-8')
    .serializer(String)
    .send(JSON.stringify(problem))
}

function notFound(routes: readonly RouteOptions[], request: FastifyRequest, reply: FastifyReply): ApiProblem {
  const path = request.url.split('?', 1)[0] ?? ''
  const matches = routes.filter((route) => new RegExp(`^${route.url.replace(/:\w+/g, '[^/]+')}$`).test(path))
  if (matches.length === 0) return new ApiProblem('ROUTE_NOT_FOUND', 'See /docs for the paths of this API.')
  const allowed = [...new Set(matches.map((route) => route.method))].join(', ')
  reply.header('allow', allowed)
  return new ApiProblem('METHOD_NOT_ALLOWED', `This path takes ${allowed}.`)
}

/** What Node's HTTP parser refused: there is no request to answer yet. */
function refuseRaw(
  error: { code: string },
  socket: { writable: boolean; end(text: string): void; destroy(): void },
): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const problem = problemOf(
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new ApiProblem('HEADERS_TOO_LARGE', 'Send smaller headers.')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new ApiProblem('REQUEST_TIMEOUT', 'Send the whole request within 30 seconds.')
        : new ApiProblem('BAD_REQUEST', 'The request is not valid HTTP.'),
  )
  const body = JSON.stringify(problem)
  socket.end(
    `HTTP/1.1 ${problem.status} ${problem.title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
