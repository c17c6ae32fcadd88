import { FulmenError } from '../base/errors.ts'
import { type ServiceCode, ServiceError } from '../node/errors.ts'

/** Codes that the API itself adds to those of the node. */
type ApiCode =
  | 'BAD_REQUEST'
  | 'MALFORMED_BODY'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'OFFER_INVALID'
  | 'BODY_TOO_LARGE'
  | 'HEADERS_TOO_LARGE'
  | 'REQUEST_TIMEOUT'
  | 'ROUTE_NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'HOST_NOT_ALLOWED'
  | 'KEY_MISSING'
  | 'KEY_INVALID'
  | 'KEY_EXPIRED'
  | 'KEY_REVOKED'
  | 'KEY_NOT_ACTIVE'
  | 'TOKEN_INVALID'
  | 'TOKEN_EXPIRED'
  | 'KEY_NEEDED'
  | 'ISSUER_UNAVAILABLE'
  | 'SCOPE_MISSING'
  | 'BEYOND_OWN_KEY'
  | 'SELF_ROTATION_FORBIDDEN'
  | 'ADDRESS_NOT_ALLOWED'
  | 'BUDGET_EXCEEDED'
  | 'KEY_DAMAGED'
  | 'TICKET_INVALID'
  | 'RATE_LIMITED'
  | 'IDEMPOTENCY_CONFLICT'
  | 'RESULT_GONE'
  | 'INTERNAL'

export type ProblemCode = ServiceCode | ApiCode

interface ProblemKind {
  readonly status: number
  readonly title: string
}

/** Every problem that the API answers with: its stable code, HTTP status and title. The docs page is made from it. */
export const PROBLEMS: { readonly [C in ProblemCode]: ProblemKind } = {
  BAD_REQUEST: { status: 400, title: 'The request cannot be understood' },
  MALFORMED_BODY: { status: 400, title: 'The body is not JSON' },
  VALIDATION_FAILED: { status: 400, title: 'A field of the request is not valid' },
  INVOICE_INVALID: { status: 400, title: 'The invoice is not valid' },
  OFFER_INVALID: { status: 400, title: 'The BOLT 12 offer, invoice request or invoice is not valid' },
  KEY_MISSING: { status: 401, title: 'The request carries no API key' },
  KEY_INVALID: { status: 401, title: 'The API key is not known' },
  KEY_EXPIRED: { status: 401, title: 'The API key has expired' },
  KEY_REVOKED: { status: 401, title: 'The API key, or this version of it, was stopped' },
  KEY_NOT_ACTIVE: { status: 401, title: 'This version of the API key does not work yet' },
  TOKEN_INVALID: { status: 401, title: 'The access token is not valid here' },
  TOKEN_EXPIRED: { status: 401, title: 'The access token has expired' },
  TICKET_INVALID: { status: 401, title: 'The ticket is unknown, used or expired' },
  SCOPE_MISSING: { status: 403, title: 'The API key lacks a scope' },
  KEY_NEEDED: { status: 403, title: 'This needs an API key, not an access token' },
  BEYOND_OWN_KEY: { status: 403, title: 'A key cannot give more than it has' },
  SELF_ROTATION_FORBIDDEN: { status: 403, title: 'This key cannot rotate itself' },
  ADDRESS_NOT_ALLOWED: { status: 403, title: 'The API key may not be used from this address' },
  BUDGET_EXCEEDED: { status: 403, title: 'The budget of the API key does not suffice' },
  HOST_NOT_ALLOWED: { status: 403, title: 'The Host header names another server' },
  NOT_FOUND: { status: 404, title: 'There is no such resource' },
  ROUTE_NOT_FOUND: { status: 404, title: 'There is no such path' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The path does not take this method' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time' },
  CONFLICT: { status: 409, title: 'The state of the resource does not allow it' },
  ALREADY_PAID: { status: 409, title: 'The payment hash has been paid' },
  PAYMENT_PENDING: { status: 409, title: 'A payment of this hash is under way' },
  CHANNEL_NOT_READY: { status: 409, title: 'The channel cannot be used yet' },
  CHANNEL_CLOSING: { status: 409, title: 'The channel is closing' },
  KEY_DAMAGED: { status: 409, title: 'The record of the key that made this one cannot be read' },
  IDEMPOTENCY_CONFLICT: { status: 409, title: 'The idempotency key was used with another request' },
  RESULT_GONE: { status: 410, title: 'What this request made is gone' },
  BODY_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The body is not of type application/json' },
  INSUFFICIENT_BALANCE: { status: 422, title: 'The balance does not suffice' },
  NO_ROUTE: { status: 422, title: 'No route to the destination' },
  INVOICE_EXPIRED: { status: 422, title: 'The invoice has expired' },
  PEER_UNREACHABLE: { status: 422, title: 'The peer cannot be reached' },
  PEER_REFUSED: { status: 422, title: 'The peer refused' },
  LIMIT_EXCEEDED: { status: 422, title: 'A limit does not allow it' },
  TRANSACTION_REJECTED: { status: 422, title: 'The chain refused the transaction' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The headers are too large' },
  INTERNAL: { status: 500, title: 'The node failed to answer' },
  NOT_SUPPORTED: { status: 501, title: 'This node does not offer it' },
  CHAIN_UNAVAILABLE: { status: 503, title: 'The chain backend does not answer' },
  ISSUER_UNAVAILABLE: { status: 503, title: 'The issuer of access tokens does not answer' },
  SHUTTING_DOWN: { status: 503, title: 'The node is shutting down' },
  STORAGE_LOW: { status: 507, title: 'The disk is nearly full' },
}

const MAX_DETAIL = 500
const LEAST_SHARE = 60

/** A field that is not valid: where it stands, as a JSON pointer into that part of the request, and what was expected. */
export interface FieldError {
  readonly in: 'body' | 'query' | 'path' | 'header'
  readonly pointer: string
  readonly detail: string
}

/** RFC 9457, as the client reads it. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: ProblemCode
  readonly errors?: readonly FieldError[]
  readonly retryAfterSeconds?: number
}

/** A refusal by the API itself; `message` becomes the problem's detail. */
export class ApiProblem extends FulmenError {
  declare readonly code: ProblemCode
  readonly errors: readonly FieldError[] | undefined
  readonly retryAfterSeconds: number | undefined
  constructor(
    code: ProblemCode,
    message: string,
    more: { errors?: readonly FieldError[]; retryAfterSeconds?: number } = {},
  ) {
    super(code, message)
    this.errors = more.errors
    this.retryAfterSeconds = more.retryAfterSeconds
  }
}

const cut = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length)}…` : text)

/** All bad fields in one line, for people. Where that is too long each has its share of it: a list of what may be given hides no other field. */
function fieldsText(errors: readonly FieldError[]): string {
  const texts = errors.map((e) => `${e.in} ${e.pointer || 'as a whole'}: ${e.detail}`)
  const text = texts.join('; ')
  if (text.length <= MAX_DETAIL) return text
  const share = Math.max(LEAST_SHARE, Math.floor(MAX_DETAIL / texts.length))
  return cut(texts.map((one) => cut(one, share)).join('; '), MAX_DETAIL)
}

/** Bad fields, found outside the schemas. */
export const badFields = (errors: readonly FieldError[]): ApiProblem =>
  new ApiProblem('VALIDATION_FAILED', fieldsText(errors), { errors })

export const badField = (where: FieldError['in'], pointer: string, detail: string): ApiProblem =>
  badFields([{ in: where, pointer, detail }])

/** What fastify refuses by itself, in our words. */
const FASTIFY_PROBLEMS: ReadonlyMap<string, readonly [ProblemCode, string]> = new Map([
  [
    'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    ['UNSUPPORTED_MEDIA_TYPE', 'Send the body with "Content-Type: application/json".'],
  ],
  ['FST_ERR_CTP_BODY_TOO_LARGE', ['BODY_TOO_LARGE', 'Send a smaller body.']],
  ['FST_ERR_CTP_INVALID_JSON_BODY', ['MALFORMED_BODY', 'The body must be one JSON document in UTF-8.']],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', ['BAD_REQUEST', 'The body is not as long as Content-Length says.']],
  ['FST_ERR_BAD_URL', ['BAD_REQUEST', 'The path is not a valid percent-encoded URL.']],
])

/**
 * The problem that an error of a handler, hook or validator becomes. Anything that is not one of ours or a client's mistake is
 * INTERNAL, and nothing of it shows.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiProblem || error instanceof ServiceError) return problem(error)
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  const known = FASTIFY_PROBLEMS.get(String(code))
  if (known) return problem(new ApiProblem(...known))
  if (error instanceof SyntaxError && statusCode === 400) {
    return problem(new ApiProblem('MALFORMED_BODY', 'The body must be one JSON document in UTF-8.'))
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return problem(new ApiProblem('BAD_REQUEST', 'The request is not well formed.'))
  }
  return problem(
    new ApiProblem('INTERNAL', 'The node failed to answer; its log says why. Nothing about the request is wrong.'),
  )
}

function problem(error: ApiProblem | ServiceError): Problem {
  const { status, title } = PROBLEMS[error.code]
  const base = { type: `/docs#${error.code}`, title, status, detail: error.message, code: error.code }
  if (!(error instanceof ApiProblem)) {
    const { fields } = error
    if (fields.length === 0) return base
    return { ...base, errors: fields.map((field) => ({ detail: error.message, ...field })) }
  }
  return {
    ...base,
    ...(error.errors && { errors: error.errors }),
    ...(error.retryAfterSeconds !== undefined && { retryAfterSeconds: error.retryAfterSeconds }),
  }
}
