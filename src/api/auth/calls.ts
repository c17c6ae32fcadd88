import type { FastifyRequest, onResponseHookHandler } from 'fastify'
import type { App } from '../app.ts'
import type { ProblemCode } from '../problems.ts'
import type { KeyRing } from './keys.ts'

/** Refusals for who asks, rather than for what is asked. */
const REFUSALS: ReadonlySet<ProblemCode> = new Set([
  'KEY_MISSING',
  'KEY_INVALID',
  'KEY_EXPIRED',
  'KEY_REVOKED',
  'KEY_NOT_ACTIVE',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'KEY_NEEDED',
  'TICKET_INVALID',
  'SCOPE_MISSING',
  'BEYOND_OWN_KEY',
  'SELF_ROTATION_FORBIDDEN',
  'ADDRESS_NOT_ALLOWED',
  'HOST_NOT_ALLOWED',
  'BUDGET_EXCEEDED',
  'RATE_LIMITED',
])

const factOf = (action: string, request: FastifyRequest, detail: Readonly<Record<string, unknown>>) => ({
  action,
  keyId: request.caller?.keyId ?? null,
  version: request.caller?.version ?? null,
  address: request.ip,
  // The route, not the path: what a stranger types has no place in the log.
  target: `${request.method} ${request.routeOptions.url ?? '?'}`,
  detail,
})

/** Enters a refused call in the audit log. */
export function noteRefusal(keys: KeyRing, request: FastifyRequest, code: ProblemCode): void {
  if (!REFUSALS.has(code)) return
  if (request.caller !== null) keys.countRefused(request.caller)
  keys.audit.note(factOf('call.refused', request, { code }))
}

/** Enters the calls of routes that ask for it in the audit log, once they were answered without a problem. */
export function recordCalls(app: App, keys: KeyRing): void {
  const record: onResponseHookHandler = (request, reply, done) => {
    if (reply.statusCode < 400) {
      const params = { ...(request.params as Readonly<Record<string, unknown>>) }
      keys.audit.note(factOf('call.made', request, { status: reply.statusCode, ...params }))
    }
    done()
  }
  app.addHook('onRoute', (route) => {
    if (route.config?.audited) route.onResponse = [record, ...[route.onResponse ?? []].flat()]
  })
}
