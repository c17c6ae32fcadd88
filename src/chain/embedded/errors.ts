import { FulmenError } from '../../base/errors.ts'

/** What the embedded chain cannot do: its file is damaged or another program's, or it was asked for something that is not there. */
export class EmbeddedChainError extends FulmenError {
  constructor(message: string, options?: ErrorOptions) {
    super('EMBEDDED_CHAIN', message, options)
  }
}
