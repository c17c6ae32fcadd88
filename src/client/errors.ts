import type { Problem, ProblemCode } from '../api/problems.ts'

/** The node answered with a problem. `code` is stable and for programs, `message` says what was wrong and what to do. */
export class ApiError extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.detail)
    this.name = 'ApiError'
    this.code = problem.code
    this.status = problem.status
    this.problem = problem
  }
}

/** The program gave something that cannot be sent: nothing was. `message` says what, and repeats no secret. */
export class ArgumentError extends TypeError {
  constructor(message: string) {
    super(message)
    this.name = 'ArgumentError'
  }
}

/** No answer came: nothing listens there, the connection broke, or what answered is not a Fulmen node. */
export class ConnectionError extends Error {
  /** Of a call that acts, and may have been carried out: repeated with this key, it is done once. */
  readonly idempotencyKey: string | undefined
  constructor(message: string, { idempotencyKey, ...options }: ErrorOptions & { idempotencyKey?: string } = {}) {
    super(message, options)
    this.name = 'ConnectionError'
    this.idempotencyKey = idempotencyKey
  }
}

const NOT_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT|ERR_SSL_WRONG_VERSION_NUMBER|PIN_MISMATCH|CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/

/** Whether the node may have got a call that ended so: not when there never was a connection to it. */
export function maybeSent(error: ConnectionError): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (NOT_SENT.test(String((cause as Error & { code?: unknown }).code))) return false
  }
  return true
}

/** @param last what the last try of a call that acts has brought, after one that the node may have got */
export const unsure = (last: Error, idempotencyKey: string): ConnectionError =>
  new ConnectionError(
    `${last.message.replace(/[^.?!]$/, '$&.')} The call may have been carried out: look before you repeat it, or repeat it with the idempotency key ${idempotencyKey}, and it is done once`,
    { cause: last, idempotencyKey },
  )
