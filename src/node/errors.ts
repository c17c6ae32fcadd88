import { FulmenError } from '../base/errors.ts'

/** The API's stable problem codes; src/api/problems.ts gives each its HTTP status. */
export type ServiceCode =
  | 'NOT_FOUND'
  | 'VALIDATION_FAILED'
  | 'CONFLICT'
  | 'INSUFFICIENT_BALANCE'
  | 'NO_ROUTE'
  | 'INVOICE_INVALID'
  | 'INVOICE_EXPIRED'
  | 'ALREADY_PAID'
  | 'PAYMENT_PENDING'
  | 'PEER_UNREACHABLE'
  | 'PEER_REFUSED'
  | 'CHANNEL_NOT_READY'
  | 'CHANNEL_CLOSING'
  | 'LIMIT_EXCEEDED'
  | 'NOT_SUPPORTED'
  | 'CHAIN_UNAVAILABLE'
  | 'TRANSACTION_REJECTED'
  | 'STORAGE_LOW'
  | 'SHUTTING_DOWN'

/** The part of a request that is not valid, and where in it: a JSON pointer, empty for all of it. */
export interface BadField {
  readonly in: 'body' | 'query'
  readonly pointer: string
  /** What is wrong with it, where that is not the message of the whole. */
  readonly detail?: string
}

/** A refused or failed operation; `message` says what was wrong and what to do. */
export class ServiceError extends FulmenError {
  declare readonly code: ServiceCode
  readonly fields: readonly BadField[]
  constructor(
    code: ServiceCode,
    message: string,
    options?: ErrorOptions & { readonly fields?: readonly BadField[] | undefined },
  ) {
    super(code, message, options)
    this.fields = options?.fields ?? []
  }
}

/** A field of the body that does not do; `pointer` is its JSON pointer. */
export const badBody = (pointer: string, message: string, options?: ErrorOptions): ServiceError =>
  new ServiceError('VALIDATION_FAILED', message, { ...options, fields: [{ in: 'body', pointer }] })

/** Every field of the body that does not do, each with what is wrong with it. */
export function badBodies(wrong: readonly { readonly pointer: string; readonly detail: string }[]): ServiceError {
  const fields = wrong.map((field) => ({ in: 'body', ...field }) as const)
  return new ServiceError('VALIDATION_FAILED', fields.map(({ detail }) => detail).join('; '), { fields })
}

/** The configuration cannot be used; `message` names the option, where it came from and what is wrong. */
export class ConfigError extends FulmenError {
  constructor(message: string) {
    super('CONFIG_INVALID', message)
  }
}
