import { FulmenError } from '../base/errors.ts'

/** An onion of our own that cannot be built: too long a route, a key that is no point. What peers send never throws. */
export class OnionError extends FulmenError {
  constructor(message: string) {
    super('ONION', message)
  }
}
