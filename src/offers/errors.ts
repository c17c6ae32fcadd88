import { FulmenError } from '../base/errors.ts'

export type OfferErrorReason =
  /** No text of the form lno1…, lnr1… or lni1…, mixed case, or characters outside of bech32. */
  | 'format'
  /** A TLV stream that is malformed, or a field that is not what its type promises. */
  | 'field'
  /** A field of a type that must not stand here. */
  | 'range'
  /** A field that has to be there is not. */
  | 'missing-field'
  /** Fields that contradict each other. */
  | 'mismatch'
  | 'amount'
  | 'quantity'
  | 'features'
  | 'signature'
  /** Every blinded path of an invoice asks for something unknown. */
  | 'no-usable-path'

/** A text that is no valid BOLT 12 offer, invoice request or invoice; the message names what is wrong with it. */
export class OfferError extends FulmenError {
  readonly reason: OfferErrorReason
  constructor(reason: OfferErrorReason, message: string, options?: ErrorOptions) {
    super('OFFER_INVALID', message, options)
    this.reason = reason
  }
}
