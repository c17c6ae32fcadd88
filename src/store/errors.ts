import { FulmenError } from '../base/errors.ts'

export type StoreErrorCode =
  | 'STORE_LOCKED'
  | 'STORE_UNREADABLE'
  | 'STORE_TOO_NEW'
  | 'STORE_HALF_MIGRATED'
  | 'STORE_WRITE_FAILED'
  | 'SEED_LOCKED'
  | 'WRONG_PASSPHRASE'
  | 'SEED_FILE_INVALID'

/** The data directory or what is in it cannot be used; the message says what to do. */
export class StoreError extends FulmenError {
  declare readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}
