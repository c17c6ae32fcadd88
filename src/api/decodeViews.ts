import { EMPTY, printable, toHex } from '../base/bytes.ts'
import { formatScid } from '../base/ids.ts'
import { amountToJson } from '../base/units.ts'
import { encodeAddress } from '../bitcoin/address.ts'
import { networkOfChainHash } from '../bitcoin/networks.ts'
import { compileScript } from '../bitcoin/script.ts'
import { type Invoice, isExpired } from '../invoice/bolt11.ts'
import { type Bolt12, DEFAULT_RELATIVE_EXPIRY_SECONDS } from '../offers/bolt12.ts'
import { chainOf, chainsOf, isUsable, respondsToOffer, type ValidInvoice, type ValidRequest } from '../offers/check.ts'
import type { BlindedPayinfo, Bolt12Path, InvoiceFields, InvoiceRequestFields, OfferFields } from '../offers/records.ts'
import type { TlvRecord } from '../wire/tlv.ts'
import type { DecodedBolt11, DecodedInvoice, DecodedInvoiceRequest, DecodedOffer } from './decodeSchemas.ts'
import { ApiProblem } from './problems.ts'

/* What POST /v1/decode answers. */

const MAX_TEXT = 1_000
/** RFC 3339 has four digits for the year; a text may claim to live longer. */
const LAST_SECOND = 253_402_300_799

const hexOrNull = (bytes: Uint8Array | null): string | null => (bytes === null ? null : toHex(bytes))
const timeText = (seconds: number): string => new Date(Math.min(seconds, LAST_SECOND) * 1000).toISOString()

/**
 * A BOLT 11 invoice.
 * @param now Unix seconds
 * @throws ApiProblem ('INVOICE_INVALID') for an amount that JSON cannot carry
 */
export function bolt11Json(invoice: Invoice, now: number): DecodedBolt11 {
  if ((invoice.amountMsat ?? 0n) > Number.MAX_SAFE_INTEGER) {
    throw new ApiProblem('INVOICE_INVALID', 'The amount is more than JSON can carry, and more than any channel holds.')
  }
  return {
    type: 'bolt11',
    network: invoice.network,
    nodeId: invoice.payee,
    paymentHash: invoice.paymentHash,
    amountMsat: invoice.amountMsat === null ? null : amountToJson(invoice.amountMsat),
    description: invoice.description === null ? null : printable(invoice.description, 639),
    descriptionHash: hexOrNull(invoice.descriptionHash),
    createdAt: timeText(invoice.timestamp),
    expiresAt: timeText(invoice.timestamp + invoice.expirySeconds),
    expired: isExpired(invoice, now),
    minFinalCltvExpiryDelta: invoice.minFinalCltvExpiryDelta,
    paymentSecret: toHex(invoice.paymentSecret),
    metadata: hexOrNull(invoice.paymentMetadata),
    features: toHex(invoice.features),
    fallbackAddresses: invoice.fallbackScripts.flatMap((script) => encodeAddress(script, invoice.network) ?? []),
    routeHints: invoice.routeHints.map((hint) =>
      hint.map((hop) => ({ ...hop, shortChannelId: formatScid(hop.shortChannelId) })),
    ),
  }
}

/**
 * A BOLT 12 text.
 * @param now Unix seconds
 * @throws ApiProblem ('OFFER_INVALID') for a number that JSON cannot carry
 */
export function bolt12Json(decoded: Bolt12, now: number): DecodedOffer | DecodedInvoiceRequest | DecodedInvoice {
  const unknownFields = decoded.unknown.map(unknownJson)
  switch (decoded.kind) {
    case 'offer':
      return { type: 'bolt12Offer', ...offerJson(decoded.fields, now), unknownFields }
    case 'invoiceRequest':
      return { type: 'bolt12InvoiceRequest', ...invoiceRequestJson(decoded.fields, now), unknownFields }
    case 'invoice':
      return { type: 'bolt12Invoice', ...invoiceJson(decoded.fields, now), unknownFields }
  }
}

function offerJson(offer: OfferFields, now: number) {
  const { offerAmount, offerCurrency, offerAbsoluteExpiry: expiry } = offer
  const amount = integerOrNull(offerAmount, 'The amount')
  return {
    chains: chainsOf(offer).map(chainJson),
    amountMsat: offerCurrency === undefined ? amount : null,
    currency: offerCurrency ?? null,
    currencyAmount: offerCurrency === undefined ? null : amount,
    description: textOrNull(offer.offerDescription),
    issuer: textOrNull(offer.offerIssuer),
    issuerId: offer.offerIssuerId ?? null,
    paths: (offer.offerPaths ?? []).map(pathJson),
    quantityMax: integerOrNull(offer.offerQuantityMax, 'The largest quantity'),
    expiresAt: expiry === undefined ? null : timeText(Number(expiry)),
    expired: expiry !== undefined && now > Number(expiry),
    metadata: hexOrNull(offer.offerMetadata ?? null),
    features: toHex(offer.offerFeatures ?? EMPTY),
  }
}

const requestJson = (request: InvoiceRequestFields) => ({
  chain: chainJson(chainOf(request)),
  amountMsat: integerOrNull(request.invreqAmount, 'The amount'),
  quantity: integerOrNull(request.invreqQuantity, 'The quantity'),
  payerNote: textOrNull(request.invreqPayerNote),
  paths: (request.invreqPaths ?? []).map(pathJson),
  bip353Name: bip353Text(request.invreqBip353Name),
  features: toHex(request.invreqFeatures ?? EMPTY),
})

const invoiceRequestJson = (request: ValidRequest, now: number) => ({
  ...requestJson(request),
  payerId: toHex(request.invreqPayerId),
  metadata: toHex(request.invreqMetadata),
  answersOffer: respondsToOffer(request),
  offer: offerJson(request, now),
  signature: hexOrNull(request.signature ?? null),
})

function invoiceJson(invoice: ValidInvoice, now: number) {
  const created = Number(invoice.invoiceCreatedAt)
  const expires = created + (invoice.invoiceRelativeExpiry ?? DEFAULT_RELATIVE_EXPIRY_SECONDS)
  return {
    chain: chainJson(chainOf(invoice)),
    nodeId: invoice.invoiceNodeId,
    paymentHash: invoice.invoicePaymentHash,
    amountMsat: integer(invoice.invoiceAmount, 'The amount'),
    createdAt: timeText(created),
    expiresAt: timeText(expires),
    expired: now > expires,
    paths: invoice.invoicePaths.map((path, i) => ({ ...pathJson(path), ...termsJson(invoice.invoiceBlindedpay[i]!) })),
    fallbackAddresses: fallbackAddresses(invoice),
    features: toHex(invoice.invoiceFeatures ?? EMPTY),
    request: {
      ...requestJson(invoice),
      payerId: hexOrNull(invoice.invreqPayerId ?? null),
      metadata: hexOrNull(invoice.invreqMetadata ?? null),
    },
    offer: offerJson(invoice, now),
    signature: toHex(invoice.signature),
  }
}

const unknownJson = ({ type, value }: TlvRecord) => ({ type: `${type}`, value: toHex(value) })
const chainJson = (hash: Uint8Array) => ({ chainHash: toHex(hash), network: networkOfChainHash(hash) })

function pathJson({ firstNode, firstPathKey, hops }: Bolt12Path) {
  const isNode = typeof firstNode === 'string'
  return {
    introductionNodeId: isNode ? firstNode : null,
    introductionShortChannelId: isNode ? null : formatScid(firstNode.shortChannelId),
    introductionDirection: isNode ? null : firstNode.direction,
    pathKey: toHex(firstPathKey),
    hops: hops.map((hop) => ({
      blindedNodeId: toHex(hop.blindedNodeId),
      encryptedData: toHex(hop.encryptedData),
    })),
  }
}

/** A limit that JSON cannot hold is none. */
const limitJson = (msat: bigint): number => Math.min(Number(msat), Number.MAX_SAFE_INTEGER)
const termsJson = (terms: BlindedPayinfo) => ({
  feeBaseMsat: terms.feeBaseMsat,
  feeProportionalMillionths: terms.feeProportionalMillionths,
  cltvExpiryDelta: terms.cltvExpiryDelta,
  htlcMinimumMsat: limitJson(terms.htlcMinimumMsat),
  htlcMaximumMsat: limitJson(terms.htlcMaximumMsat),
  features: toHex(terms.features),
  usable: isUsable(terms),
})

/** BOLT 12 §invoices: those of unknown versions or with programs that their version does not have are passed over. */
function fallbackAddresses(invoice: InvoiceFields): string[] {
  const network = networkOfChainHash(chainOf(invoice))
  if (network === null) return []
  return (invoice.invoiceFallbacks ?? []).flatMap(({ version, program }) => {
    const isKnown = version > 1 ? version <= 16 && program.length >= 2 && program.length <= 40 : program.length === 32
    if (!isKnown && !(version === 0 && program.length === 20)) return []
    return encodeAddress(compileScript([BigInt(version), program]), network) ?? []
  })
}

/** BIP 353: ₿user@domain. */
const bip353Text = (name: InvoiceRequestFields['invreqBip353Name']): string | null =>
  name === undefined ? null : `${printable(name.name, MAX_TEXT)}@${printable(name.domain, MAX_TEXT)}`
const textOrNull = (text: string | undefined): string | null => (text === undefined ? null : printable(text, MAX_TEXT))

function integer(value: bigint, what: string): number {
  if (value <= Number.MAX_SAFE_INTEGER) return Number(value)
  throw new ApiProblem('OFFER_INVALID', `${what} is more than JSON can carry.`)
}
const integerOrNull = (value: bigint | undefined, what: string): number | null =>
  value === undefined ? null : integer(value, what)
