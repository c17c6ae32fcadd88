import { FulmenError } from '../base/errors.ts'

/** Bytes or text that are not what Bitcoin's formats say: a transaction, script, address, block, key. */
export class BitcoinFormatError extends FulmenError {
  constructor(message: string) {
    super('BITCOIN_FORMAT', message)
  }
}
