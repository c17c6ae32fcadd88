import { WireError } from '../wire/errors.ts'
import { decodeTlvs, parseTlvRecords, type TlvRecord } from '../wire/tlv.ts'
import { checkInvoice, checkOffer, checkRequest, type ValidInvoice, type ValidRequest } from './check.ts'
import { OfferError } from './errors.ts'
import { isSignature } from './merkle.ts'
import { KNOWN_TYPES, type OfferFields, STREAMS } from './records.ts'
import { type Bolt12Kind, readText } from './text.ts'

export const DEFAULT_RELATIVE_EXPIRY_SECONDS = 7200

/** A text of BOLT 12. Strings in it come from a stranger: clean them (base/bytes printable) before they are shown. */
export type Bolt12 = (
  | { readonly kind: 'offer'; readonly fields: OfferFields }
  | { readonly kind: 'invoiceRequest'; readonly fields: ValidRequest }
  | { readonly kind: 'invoice'; readonly fields: ValidInvoice }
) & {
  /** Odd fields that we do not know. */
  readonly unknown: readonly TlvRecord[]
}
/**
 * Reads an offer, an invoice request or an invoice, and checks all that a reader of it must and can without having taken part: not
 * that the chain is one of ours, nor that it has not expired.
 * @throws OfferError that says what is wrong
 * @source BOLT 12
 */
export function decodeBolt12(text: string): Bolt12 {
  const { kind, bytes } = readText(text)
  try {
    const records = parseTlvRecords(bytes)
    checkRange(kind, records)
    const unknown = records.filter(({ type }) => !KNOWN_TYPES[kind].has(type))
    if (kind === 'offer') return { kind, fields: checkOffer(decodeTlvs(STREAMS.offer, bytes)), unknown }
    if (kind === 'invoice') return { kind, fields: checkInvoice(decodeTlvs(STREAMS.invoice, bytes), records), unknown }
    return { kind, fields: checkRequest(decodeTlvs(STREAMS.invoiceRequest, bytes), records), unknown }
  } catch (error) {
    if (error instanceof WireError) throw new OfferError('field', error.message, { cause: error })
    throw error
  }
}

/** BOLT 12 §requirements-for-offers, §requirements-for-invoice-requests: first and last type of each range. An invoice may have all. */
const RANGES: Readonly<Record<Bolt12Kind, readonly (readonly [bigint, bigint])[]>> = {
  offer: [
    [1n, 79n],
    [1_000_000_000n, 1_999_999_999n],
  ],
  invoiceRequest: [
    [0n, 159n],
    [1_000_000_000n, 2_999_999_999n],
  ],
  invoice: [[0n, 2n ** 64n]],
}

function checkRange(kind: Bolt12Kind, records: readonly TlvRecord[]): void {
  const isAllowed = (type: bigint): boolean =>
    RANGES[kind].some(([first, last]) => type >= first && type <= last) || (kind !== 'offer' && isSignature(type))
  const outside = records.find(({ type }) => !isAllowed(type))
  if (outside) throw new OfferError('range', `has a field of type ${outside.type}, which must not stand in it`)
}
