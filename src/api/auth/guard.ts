import type { FastifyReply, FastifyRequest } from 'fastify'
import { InvariantError } from '../../base/errors.ts'
import { ApiProblem } from '../problems.ts'
import type { FailedSignIns } from './failedSignIns.ts'
import type { Caller, LiveVersion } from './keyEntry.ts'
import type { KeyRing } from './keys.ts'
import { Tokens } from './oidc/tokens.ts'
import { grants, type RouteScope, type Scope, scopeText } from './scopes.ts'
import type { Tickets } from './tickets.ts'
import type { RateState } from './tokenBucket.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on every route that is not public, as soon as the key is known. */
    caller: Caller | null
  }
}

export interface GuardParts {
  readonly keys: KeyRing
  readonly tickets: Tickets
  readonly failed: FailedSignIns
  /** Null: no issuer is configured. */
  readonly tokens: Tokens | null
}

type Hook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/** The onRequest hook of one route: who is it, and may it? Synchronous unless the key is wrong or the token is new. */
export const guard = (scope: RouteScope, takesTicket: boolean, parts: GuardParts): Hook =>
  scope === 'public'
    ? (_request, _reply, done) => done()
    : entering(parts, takesTicket, (caller, call) => admit(caller, scope, call))

/**
 * The last hook before a route that acts: may it still? A body can be half a minute on its way, and a call waits for its turn, while
 * somebody revokes the key or takes scopes from it.
 */
export const guardAgain = (scope: RouteScope, parts: GuardParts): Hook =>
  scope === 'public'
    ? (_request, _reply, done) => done()
    : entering(parts, false, (caller, call) => refusedAddress(caller, call) ?? refusedScope(caller, scope, call))

interface Call {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly keys: KeyRing
}

/** @param admitted says why the caller may not */
function entering(
  parts: GuardParts,
  takesTicket: boolean,
  admitted: (caller: Caller, call: Call) => ApiProblem | undefined,
): Hook {
  return (request, reply, done) => {
    const enter = (caller: Caller): void => {
      request.caller = caller
      done(admitted(caller, { request, reply, keys: parts.keys }))
    }
    const turnAway = (error: ApiProblem): void => {
      refuse(error, request, reply, parts.failed).then(done, done)
    }
    let caller: Caller | Promise<Caller>
    try {
      caller = identify(request, takesTicket, parts)
    } catch (error) {
      turnAway(error as ApiProblem)
      return
    }
    if (caller instanceof Promise) caller.then(enter, turnAway)
    else enter(caller)
  }
}

/** The caller of a route that is not public. */
export function callerOf(request: Pick<FastifyRequest, 'caller'>): Caller {
  if (request.caller === null) throw new InvariantError('a route without a caller')
  return request.caller
}

/** For what only some calls of a route need. @throws ApiProblem SCOPE_MISSING */
export function needScope(request: Pick<FastifyRequest, 'caller'>, scope: Scope, what: string): void {
  if (grants(callerOf(request).scopes, scope)) return
  throw new ApiProblem('SCOPE_MISSING', `${what} needs a key with the scope ${scope} as well.`)
}

function identify(
  request: FastifyRequest,
  takesTicket: boolean,
  { keys, tickets, tokens }: GuardParts,
): Caller | Promise<Caller> {
  const authorization = request.raw.headers.authorization
  if (takesTicket && authorization === undefined) {
    const { ticket } = request.query as { ticket?: unknown }
    if (typeof ticket === 'string') {
      const issuedTo = tickets.redeem(ticket)
      const live = issuedTo && keys.live(issuedTo.keyId, issuedTo.version)
      if (live) return live.caller
      throw new ApiProblem(
        'TICKET_INVALID',
        'Ask POST /v1/events/tickets for a new one: it works once, for 30 seconds.',
      )
    }
  }
  const token = tokens && Tokens.read(authorization)
  return token ? tokens.verify(token) : keys.verify(authorization)
}

/** What a known key may do from here and now. @returns why not */
function admit(caller: Caller, scope: RouteScope, call: Call): ApiProblem | undefined {
  const { request, reply, keys } = call
  const refused = refusedAddress(caller, call)
  if (refused) return refused
  const rate = keys.entry(caller.keyId).take(keys.now())
  if (rate !== null) tellRate(reply, rate)
  if (rate !== null && !rate.allowed) {
    const { retryAfterSeconds } = rate
    return new ApiProblem('RATE_LIMITED', `This key makes too many requests: wait ${retryAfterSeconds} s.`, {
      retryAfterSeconds,
    })
  }
  tellRotation(reply, keys.live(caller.keyId, caller.version))
  const lacking = refusedScope(caller, scope, call)
  if (!lacking) keys.count(caller, request.ip)
  return lacking
}

function refusedAddress({ keyId }: Caller, { request, keys }: Call): ApiProblem | undefined {
  if (keys.entry(keyId).allows(request.ip)) return undefined
  return new ApiProblem('ADDRESS_NOT_ALLOWED', 'This key may be used from other addresses only: see its allowedCidrs.')
}

function refusedScope({ scopes }: Caller, scope: RouteScope, { reply }: Call): ApiProblem | undefined {
  if (grants(scopes, scope)) return undefined
  const names = [scope].flat().join(' ')
  reply.header('www-authenticate', `Bearer realm="fulmen", error="insufficient_scope", scope="${names}"`)
  return new ApiProblem('SCOPE_MISSING', `This needs a key with the scope ${scopeText(scope)}.`)
}

function tellRate(reply: FastifyReply, rate: RateState): void {
  reply.header('ratelimit-limit', rate.limit)
  reply.header('ratelimit-remaining', rate.remaining)
  reply.header('ratelimit-reset', rate.resetSeconds)
}

/** Clients rotate their keys between these two times; the SDK does it by itself. */
function tellRotation(reply: FastifyReply, live: LiveVersion | undefined): void {
  if (!live?.notice) return
  reply.header('x-key-rotate-from', live.notice.from)
  reply.header('x-key-rotate-by', live.notice.by)
}

const GUESSES: ReadonlySet<string> = new Set(['KEY_INVALID', 'TOKEN_INVALID', 'TICKET_INVALID'])

/** A missing key is no guess; a wrong one counts against the address. */
async function refuse(
  problem: ApiProblem,
  request: FastifyRequest,
  reply: FastifyReply,
  failed: FailedSignIns,
): Promise<ApiProblem> {
  if (problem.code === 'ISSUER_UNAVAILABLE') return problem
  // RFC 6750 §3: without a token there is no error to tell of.
  const why = problem.message.replace(/[^\x20-\x7e]|["\\]/g, '')
  const error = problem.code === 'KEY_MISSING' ? '' : `, error="invalid_token", error_description="${why}"`
  reply.header('www-authenticate', `Bearer realm="fulmen"${error}`)
  if (!GUESSES.has(problem.code)) return problem
  if (await failed.record(request.ip)) return problem
  return new ApiProblem('RATE_LIMITED', 'Too many failed sign-ins from this address.', { retryAfterSeconds: 1 })
}
