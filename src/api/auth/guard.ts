import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiProblem } from '../problems.ts'
import type { FailedSignIns } from './failedSignIns.ts'
import type { Caller, KeyRing } from './keys.ts'
import { grants, type RouteScope, scopeText } from './scopes.ts'
import type { Tickets } from './tickets.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on every route that is not public. */
    caller: Caller | null
  }
}

export interface GuardParts {
  readonly keys: KeyRing
  readonly tickets: Tickets
  readonly failed: FailedSignIns
}

type Hook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/** The onRequest hook of one route: who is it, and may it? Synchronous unless the key is wrong. */
export function guard(scope: RouteScope, takesTicket: boolean, parts: GuardParts): Hook {
  if (scope === 'public') return (_request, _reply, done) => done()
  return (request, reply, done) => {
    let caller: Caller
    try {
      caller = identify(request, takesTicket, parts)
    } catch (error) {
      refuse(error as ApiProblem, request, reply, parts.failed).then(done, done)
      return
    }
    if (!grants(caller.scopes, scope)) {
      return done(new ApiProblem('SCOPE_MISSING', `This needs a key with the scope ${scopeText(scope)}.`))
    }
    request.caller = caller
    done()
  }
}

function identify(request: FastifyRequest, takesTicket: boolean, { keys, tickets }: GuardParts): Caller {
  const authorization = request.raw.headers.authorization
  if (takesTicket && authorization === undefined) {
    const { ticket } = request.query as { ticket?: unknown }
    if (typeof ticket === 'string') {
      const issuedTo = tickets.redeem(ticket)
      const caller = issuedTo && keys.find(issuedTo.keyId, issuedTo.version)
      if (caller) return caller
      throw new ApiProblem(
        'TICKET_INVALID',
        'Ask POST /v1/events/tickets for a new one: it works once, for 30 seconds.',
      )
    }
  }
  return keys.verify(authorization)
}

/** A missing key is no guess; a wrong one counts against the address. */
async function refuse(
  problem: ApiProblem,
  request: FastifyRequest,
  reply: FastifyReply,
  failed: FailedSignIns,
): Promise<ApiProblem> {
  reply.header('www-authenticate', 'Bearer realm="fulmen"')
  if (problem.code === 'KEY_MISSING') return problem
  if (await failed.record(request.ip)) return problem
  return new ApiProblem('RATE_LIMITED', 'Too many failed sign-ins from this address.', { retryAfterSeconds: 1 })
}
