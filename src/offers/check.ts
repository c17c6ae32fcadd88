import { EMPTY, equalBytes, fromHex, toHex } from '../base/bytes.ts'
import type { NodeId, PaymentHash } from '../base/ids.ts'
import { MAX_MSAT, type Msat } from '../base/units.ts'
import { chainHash } from '../bitcoin/networks.ts'
import { crypto } from '../crypto/crypto.ts'
import { FEATURES, featureBits } from '../wire/features.ts'
import type { TlvRecord } from '../wire/tlv.ts'
import { OfferError, type OfferErrorReason } from './errors.ts'
import { merkleRoot, signedHash } from './merkle.ts'
import type { BlindedPayinfo, InvoiceFields, InvoiceRequestFields, OfferFields } from './records.ts'

export type ValidRequest = InvoiceRequestFields & {
  readonly invreqMetadata: Uint8Array
  readonly invreqPayerId: Uint8Array
}
export type ValidInvoice = InvoiceFields &
  Required<Pick<InvoiceFields, 'invoicePaths' | 'invoiceBlindedpay' | 'signature'>> & {
    readonly invoiceAmount: Msat
    readonly invoiceCreatedAt: bigint
    readonly invoicePaymentHash: PaymentHash
    readonly invoiceNodeId: NodeId
  }

const refuse = (reason: OfferErrorReason, message: string): never => {
  throw new OfferError(reason, message)
}
const need = <T>(value: T | undefined, name: string): T =>
  value === undefined ? refuse('missing-field', `has no ${name}`) : value

/** Even bits that the reader has to know and does not. */
const unknownBits = (features: Uint8Array | undefined, known: readonly number[] = []): readonly number[] =>
  featureBits(features ?? EMPTY).filter((bit) => bit % 2 === 0 && !known.includes(bit))

function checkFeatures(features: Uint8Array | undefined, name: string, known: readonly number[] = []): void {
  const bits = unknownBits(features, known)
  if (bits.length > 0) refuse('features', `${name} requires features that are not known here: ${bits.join(', ')}`)
}

/** BOLT 0: where no chain is named, it is bitcoin's main one. */
const MAIN_CHAIN = chainHash('bitcoin')
export const chainsOf = (offer: OfferFields): readonly Uint8Array[] => offer.offerChains ?? [MAIN_CHAIN]
export const chainOf = (request: InvoiceRequestFields): Uint8Array => request.invreqChain ?? MAIN_CHAIN

/** A path without hops, text that is not UTF-8 and keys that are none were refused on reading. @source BOLT 12 §requirements-for-offers */
export function checkOffer(offer: OfferFields): OfferFields {
  const { offerAmount, offerCurrency } = offer
  checkFeatures(offer.offerFeatures, 'the offer')
  if (offer.offerChains?.length === 0) refuse('field', 'names the chains of the offer and then none')
  if (offerCurrency !== undefined && !/^[A-Z]{3}$/.test(offerCurrency))
    refuse('amount', 'its currency (offer_currency) is not made of three capital letters')
  if (offerCurrency !== undefined && offerAmount === undefined) refuse('amount', 'has a currency and no amount')
  if (offerAmount === 0n)
    refuse('amount', 'asks for an amount of 0: one that leaves the amount to the payer names none')
  if (offerAmount !== undefined && offerCurrency === undefined && offerAmount > MAX_MSAT)
    refuse('amount', 'asks for more than all bitcoin')
  if (offerAmount !== undefined && offer.offerDescription === undefined)
    refuse('missing-field', 'asks for an amount and does not say for what (offer_description)')
  if (!respondsToOffer(offer))
    refuse('missing-field', 'says neither whom to ask for an invoice (offer_issuer_id) nor by which path (offer_paths)')
  return offer
}

/** Someone is named who is to be asked: without, an invoice request is one that stands for itself. */
export const respondsToOffer = (offer: OfferFields): boolean =>
  offer.offerIssuerId !== undefined || (offer.offerPaths ?? []).length > 0

/** @source BOLT 12 §requirements-for-invoice-requests (the reader) */
export function checkRequest(request: InvoiceRequestFields, records: readonly TlvRecord[]): ValidRequest {
  const valid = checkRequestFields(request)
  // A request that answers no offer is published without a signature, but none may be wrong.
  if (request.signature !== undefined || respondsToOffer(request))
    checkSignature(request.signature, 'invoice_request', records, valid.invreqPayerId)
  return valid
}

function checkRequestFields(request: InvoiceRequestFields): ValidRequest {
  const invreqPayerId = need(request.invreqPayerId, 'key of the payer (invreq_payer_id)')
  const invreqMetadata = need(request.invreqMetadata, 'metadata of the payer (invreq_metadata)')
  checkFeatures(request.invreqFeatures, 'the request')
  checkBip353Name(request.invreqBip353Name)
  if (respondsToOffer(request)) checkResponse(request)
  else checkUnasked(request)
  return { ...request, invreqPayerId, invreqMetadata }
}

function checkResponse(request: InvoiceRequestFields): void {
  checkOffer(request)
  const chain = chainOf(request)
  if (!chainsOf(request).some((offered) => equalBytes(offered, chain)))
    refuse('mismatch', 'is for a chain that the offer does not take')
  checkQuantity(request)
  const { offerAmount, invreqAmount } = request
  if (offerAmount === undefined) need(invreqAmount, 'amount (invreq_amount), which the offer leaves to the payer')
  else if (request.offerCurrency === undefined) {
    const expected = offerAmount * (request.invreqQuantity ?? 1n)
    if (expected > MAX_MSAT) refuse('amount', 'asks for so many items that they cost more than all bitcoin')
    if (invreqAmount !== undefined && invreqAmount < expected)
      refuse('amount', `would pay ${invreqAmount} msat where the offer asks for ${expected} msat`)
  }
}

function checkQuantity({ offerQuantityMax: max, invreqQuantity: quantity }: InvoiceRequestFields): void {
  if (max === undefined && quantity !== undefined)
    refuse('quantity', 'asks for a quantity where the offer sells one item')
  if (max !== undefined && quantity === undefined)
    refuse('quantity', 'does not say how many items it asks for (invreq_quantity)')
  if (quantity === 0n) refuse('quantity', 'asks for 0 items')
  if (max && quantity && quantity > max) refuse('quantity', `asks for ${quantity} items, where the offer has ${max}`)
}

/** An offer to pay, not the answer to one. */
function checkUnasked(request: InvoiceRequestFields): void {
  for (const name of ['offerChains', 'offerFeatures', 'offerQuantityMax'] as const)
    if (request[name] !== undefined) refuse('mismatch', `answers no offer, and yet has a field of one (${name})`)
  need(request.invreqAmount, 'amount (invreq_amount)')
}

function checkBip353Name(name: InvoiceRequestFields['invreqBip353Name']): void {
  if (name && ![name.name, name.domain].every((part) => part.every((byte) => /[\w.-]/.test(String.fromCharCode(byte)))))
    refuse(
      'field',
      'the name that it was found by (invreq_bip_353_name) has characters other than letters, digits, - _ and .',
    )
}

/** BOLT 12 §invoice-features. */
const INVOICE_KNOWS = [FEATURES.basic_mpp.bit]

/** A path whose features we know: the others are not to be used. */
export const isUsable = (payinfo: BlindedPayinfo): boolean => unknownBits(payinfo.features).length === 0

/** @source BOLT 12 §invoices (a reader) */
export function checkInvoice(invoice: InvoiceFields, records: readonly TlvRecord[]): ValidInvoice {
  const valid = {
    ...invoice,
    invoiceAmount: need(invoice.invoiceAmount, 'amount (invoice_amount)'),
    invoiceCreatedAt: need(invoice.invoiceCreatedAt, 'time of creation (invoice_created_at)'),
    invoicePaymentHash: need(invoice.invoicePaymentHash, 'payment hash (invoice_payment_hash)'),
    invoiceNodeId: need(invoice.invoiceNodeId, 'payee (invoice_node_id)'),
    invoicePaths: need(invoice.invoicePaths, 'path to the payee (invoice_paths)'),
    invoiceBlindedpay: need(invoice.invoiceBlindedpay, 'terms of its paths (invoice_blindedpay)'),
    signature: need(invoice.signature, 'signature'),
  }
  checkFeatures(invoice.invoiceFeatures, 'the invoice', INVOICE_KNOWS)
  const { invoicePaths: paths, invoiceBlindedpay: terms } = valid
  if (paths.length === 0) refuse('missing-field', 'has no path to the payee (invoice_paths is empty)')
  if (paths.length !== terms.length)
    refuse('mismatch', `has ${paths.length} paths, and terms (invoice_blindedpay) for ${terms.length}`)
  if (!terms.some(isUsable))
    refuse('no-usable-path', 'every path to the payee requires features that are not known here')
  if (invoice.invreqAmount !== undefined && invoice.invreqAmount !== valid.invoiceAmount)
    refuse('amount', `asks for ${valid.invoiceAmount} msat where the request was for ${invoice.invreqAmount} msat`)
  // It repeats the request that it answers, which no reader would have sent unless it was valid. One that nobody asked for has none.
  if (invoice.invreqPayerId !== undefined) checkRequestFields(invoice)
  checkPayee(valid)
  checkSignature(valid.signature, 'invoice', records, fromHex(valid.invoiceNodeId))
  return valid
}

/** The payee is whom the offer named, or stands at the end of one of its paths. */
function checkPayee({ offerIssuerId, offerPaths = [], invoiceNodeId }: ValidInvoice): void {
  const ends = offerPaths.map(({ hops }) => toHex(hops.at(-1)!.blindedNodeId) as NodeId)
  const expected = offerIssuerId !== undefined ? [offerIssuerId] : ends
  if (expected.length > 0 && !expected.includes(invoiceNodeId))
    refuse('mismatch', 'its payee (invoice_node_id) is not who made the offer')
}

function checkSignature(
  signature: Uint8Array | undefined,
  message: 'invoice_request' | 'invoice',
  records: readonly TlvRecord[],
  signer: Uint8Array,
): void {
  const hash = signedHash(message, merkleRoot(records))
  if (!crypto.schnorrVerify(need(signature, 'signature'), hash, signer.slice(1)))
    refuse('signature', `the signature is not one of the ${message === 'invoice' ? 'payee' : 'payer'} named in it`)
}
