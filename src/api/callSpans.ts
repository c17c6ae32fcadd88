import {
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { FastifyRequest } from 'fastify'
import { end, start } from '../node/traces.ts'
import type { App } from './app.ts'

/** A span for each call, below that of the caller where it sends one (`traceparent`): the route, never what a path, a query or a body says. */
export function traceCalls(app: App, tracer: Tracer): void {
  const open = new WeakMap<FastifyRequest, { readonly span: Span; readonly within: Context }>()
  app.addHook('onRequest', (request, _reply, done) => {
    const { method, headers, routeOptions } = request
    const caller = propagation.extract(context.active(), headers)
    const route = routeOptions.url ?? 'unknown'
    const attributes = { 'http.request.method': method, 'http.route': route }
    const span = start(tracer, `${method} ${route}`, { kind: SpanKind.SERVER, attributes }, caller)
    open.set(request, { span, within: trace.setSpan(caller, span) })
    done()
  })
  // Only here: reading the body goes through the socket, which knows nothing of the call.
  app.addHook('preHandler', (request, _reply, done) => {
    const call = open.get(request)
    if (call) context.with(call.within, done)
    else done()
  })
  app.addHook('onResponse', (request, { statusCode }, done) => {
    const span = open.get(request)?.span
    span?.setAttribute('http.response.status_code', statusCode)
    if (statusCode >= 500) span?.setStatus({ code: SpanStatusCode.ERROR })
    if (span) end(span)
    done()
  })
}
