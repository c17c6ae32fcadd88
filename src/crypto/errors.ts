import { FulmenError } from '../base/errors.ts'

/** A key or length of our own that no caller should have passed. */
export class CryptoError extends FulmenError {
  constructor(message: string) {
    super('CRYPTO', message)
  }
}
