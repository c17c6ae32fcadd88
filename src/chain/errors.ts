import { FulmenError } from '../base/errors.ts'

export type ChainErrorCode =
  /** Not reached, or it broke off or is overloaded: may work in a moment. */
  | 'UNAVAILABLE'
  | 'TIMEOUT'
  /** It is starting up. */
  | 'WARMUP'
  | 'UNAUTHORIZED'
  | 'WRONG_NETWORK'
  /** It has no such block or height. */
  | 'NOT_FOUND'
  /** It once had the block and has deleted it. */
  | 'PRUNED'
  /** Its chain does not contain the block that we had followed it to, as far back as we remember. */
  | 'DIVERGED'
  | 'NOT_SUPPORTED'
  /** It answered with an error of its own; see rpcCode. */
  | 'RPC_ERROR'
  /** What it answered is not what was asked for. */
  | 'BAD_RESPONSE'
  | 'ABORTED'

/** The chain backend could not do what was asked; the message says what to do and never holds credentials. */
export class ChainError extends FulmenError {
  declare readonly code: ChainErrorCode
  /** Bitcoin Core's own error number, with RPC_ERROR. */
  readonly rpcCode: number | undefined

  constructor(code: ChainErrorCode, message: string, options?: ErrorOptions & { readonly rpcCode?: number }) {
    super(code, message, options)
    this.rpcCode = options?.rpcCode
  }
}
