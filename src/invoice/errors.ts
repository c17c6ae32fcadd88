import { FulmenError } from '../base/errors.ts'

export type InvoiceErrorReason =
  /** No text of the form ln…1…, mixed case, or characters outside of bech32. */
  | 'format'
  /** A character was mistyped or lost. */
  | 'checksum'
  /** Another chain, or none that we know. */
  | 'network'
  | 'amount'
  | 'truncated'
  /** A field that is not what its tag promises. */
  | 'field'
  /** A field that has to be there is not. */
  | 'missing-field'
  | 'features'
  | 'signature'
  /** Ours: a value that no invoice can carry. */
  | 'unencodable'

/** A text that is no valid BOLT 11 invoice; the message names what is wrong with it. */
export class InvoiceError extends FulmenError {
  readonly reason: InvoiceErrorReason
  constructor(reason: InvoiceErrorReason, message: string, options?: ErrorOptions) {
    super('INVOICE_INVALID', message, options)
    this.reason = reason
  }
}
