import { bech32 } from '@scure/base'
import { concatBytes, EMPTY, fromHex, toHex, utf8 } from '../base/bytes.ts'
import type { NodeId, PaymentHash } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import type { Network } from '../bitcoin/networks.ts'
import { crypto } from '../crypto/crypto.ts'
import { isBolt12Text } from '../offers/text.ts'
import { checkFeatures, FEATURES, featureBits, featuresFromBits } from '../wire/features.ts'
import { formatAmount, parsePrefix, prefixOf } from './amount.ts'
import { InvoiceError } from './errors.ts'
import { fallbackWords, type InvoiceFields, type RouteHint, readFields, routeHintWords, TAGS } from './fields.ts'
import { bitFieldToWords, fromWords, integerWords, minimalWords, packWords, toWords, wordsInteger } from './words.ts'

const DEFAULT_EXPIRY_SECONDS = 3600
const DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA = 18
const TIMESTAMP_WORDS = 7
const SIGNATURE_WORDS = 104
/** The most characters that a QR code holds. */
const MAX_LENGTH = 7089

/** A BOLT 11 invoice. Text in it comes from a stranger: clean it (base/bytes printable) before it is shown. */
export interface Invoice {
  readonly network: Network
  /** null: the payer chooses. */
  readonly amountMsat: Msat | null
  /** Unix seconds. */
  readonly timestamp: number
  readonly paymentHash: PaymentHash
  /** 32 B. */
  readonly paymentSecret: Uint8Array
  /** Exactly one of description and descriptionHash is not null. */
  readonly description: string | null
  readonly descriptionHash: Uint8Array | null
  readonly payee: NodeId
  readonly expirySeconds: number
  readonly minFinalCltvExpiryDelta: number
  readonly features: Uint8Array
  readonly paymentMetadata: Uint8Array | null
  /** Most preferred first; each is a way from a public node to the payee. */
  readonly routeHints: readonly RouteHint[]
  /** Output scripts to pay on chain instead, most preferred first. */
  readonly fallbackScripts: readonly Uint8Array[]
  /** 64 B compact. */
  readonly signature: Uint8Array
  /** 0 – 3. */
  readonly recoveryId: number
}

/** What an invoice is made from; whatever is left out is left out of the invoice. */
export type InvoiceRequest = Pick<Invoice, 'network' | 'amountMsat' | 'timestamp' | 'paymentHash' | 'paymentSecret'> &
  Partial<Pick<Invoice, 'description' | 'descriptionHash' | 'expirySeconds' | 'minFinalCltvExpiryDelta' | 'features'>> &
  Partial<Pick<Invoice, 'paymentMetadata' | 'routeHints' | 'fallbackScripts'>>

/** Signs a 32-byte hash with the node's key; low S. */
export type InvoiceSigner = (hash: Uint8Array) => { readonly signature: Uint8Array; readonly recoveryId: number }

/**
 * The invoice as text, lower case.
 * @throws InvoiceError ('unencodable') for a value that no invoice can carry
 * @source BOLT 11 §requirements (a writer)
 */
export function createInvoice(request: InvoiceRequest, sign: InvoiceSigner): string {
  const prefix = prefixOf(request.network) + (request.amountMsat === null ? '' : formatAmount(request.amountMsat))
  const data = dataWords(request)
  const { signature, recoveryId } = sign(signedHash(prefix, data))
  const words = [...data, ...toWords(concatBytes(signature, Uint8Array.of(recoveryId)))]
  return bech32.encode(prefix, words, false)
}

const unencodable = (why: string): never => {
  throw new InvoiceError('unencodable', why)
}

/** Timestamp and fields, in the order that the BOLT's own examples have. */
function dataWords(r: InvoiceRequest): number[] {
  const hasText = r.description != null
  if (hasText === (r.descriptionHash != null))
    unencodable('an invoice needs either a description or a description hash')
  if (!(Number.isInteger(r.timestamp) && r.timestamp >= 0 && r.timestamp < 2 ** 35)) {
    unencodable(`a timestamp of ${r.timestamp} does not fit 35 bits`)
  }
  const words = integerWords(r.timestamp, TIMESTAMP_WORDS)
  const field = (tag: number, data: readonly number[]): void => {
    if (data.length > 1023) unencodable(`a field of ${data.length * 5} bits is longer than 639 bytes: shorten it`)
    words.push(tag, data.length >>> 5, data.length & 31)
    for (const w of data) words.push(w)
  }
  field(TAGS.paymentSecret, toWords(r.paymentSecret))
  field(TAGS.paymentHash, toWords(fromHex(r.paymentHash)))
  if (r.description != null) field(TAGS.description, toWords(utf8(r.description)))
  if (r.descriptionHash != null) field(TAGS.descriptionHash, toWords(r.descriptionHash))
  if (r.paymentMetadata != null) field(TAGS.metadata, toWords(r.paymentMetadata))
  if (r.expirySeconds !== undefined && r.expirySeconds !== DEFAULT_EXPIRY_SECONDS) {
    field(TAGS.expiry, minimalWords(r.expirySeconds))
  }
  if (r.minFinalCltvExpiryDelta !== undefined) field(TAGS.minFinalCltv, minimalWords(r.minFinalCltvExpiryDelta))
  for (const f of r.fallbackScripts ?? []) field(TAGS.fallback, fallbackWords(f))
  for (const hint of r.routeHints ?? []) field(TAGS.routeHint, routeHintWords(hint))
  const features = bitFieldToWords(r.features ?? EMPTY)
  if (features.length > 0) field(TAGS.features, features)
  return words
}

/** SHA-256 of the text before the separator and the words after it. @source BOLT 11 §requirements */
const signedHash = (prefix: string, data: readonly number[]): Uint8Array =>
  crypto.sha256(concatBytes(utf8(prefix), packWords(data)))

/**
 * Reads an invoice, with or without `lightning:` in front, in either case, and checks its signature and features.
 * @throws InvoiceError that says what is wrong
 * @source BOLT 11 §requirements (a reader)
 */
export function decodeInvoice(text: string): Invoice {
  const { prefix, words } = decodeBech32(text.trim().replace(/^lightning:/i, ''))
  const { network, amountMsat } = parsePrefix(prefix)
  const end = words.length - SIGNATURE_WORDS
  if (end < TIMESTAMP_WORDS) throw new InvoiceError('truncated', 'too short to hold a timestamp and a signature')
  const data = words.slice(0, end)
  const fields = readFields(data.slice(TIMESTAMP_WORDS))
  const { paymentHash, paymentSecret } = requiredFields(fields)
  const features = fields.features ?? EMPTY
  checkInvoiceFeatures(features)
  const { signature, recoveryId } = readSignature(words.slice(end))
  return {
    network,
    amountMsat,
    timestamp: wordsInteger(data.slice(0, TIMESTAMP_WORDS)),
    paymentHash,
    paymentSecret,
    description: fields.description ?? null,
    descriptionHash: fields.descriptionHash ?? null,
    payee: toHex(payeeOf(fields, signedHash(prefix, data), signature, recoveryId)) as NodeId,
    expirySeconds: fields.expirySeconds ?? DEFAULT_EXPIRY_SECONDS,
    minFinalCltvExpiryDelta: fields.minFinalCltvExpiryDelta ?? DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
    features,
    paymentMetadata: fields.metadata ?? null,
    routeHints: fields.routeHints,
    fallbackScripts: fields.fallbackScripts,
    signature,
    recoveryId,
  }
}

function decodeBech32(text: string): { prefix: string; words: readonly number[] } {
  if (text.length > MAX_LENGTH) throw new InvoiceError('format', `longer than ${MAX_LENGTH} characters`)
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) {
    throw new InvoiceError('format', 'mixes upper and lower case, which bech32 forbids')
  }
  if (isBolt12Text(text))
    throw new InvoiceError(
      'format',
      'a text of BOLT 12, which this node reads (decode) but does not pay: ask for a BOLT 11 invoice',
    )
  const lower = text.toLowerCase()
  if (!/^ln[a-z0-9]*1[a-z0-9]*$/.test(lower)) {
    throw new InvoiceError('format', 'no invoice: one begins with lnbc, lntb, lntbs or lnbcrt, and is one word')
  }
  const stranger = /[^qpzry9x8gf2tvdw0s3jn54khce6mua7l]/.exec(lower.slice(lower.lastIndexOf('1') + 1))
  if (stranger)
    throw new InvoiceError('format', `"${stranger[0]}" does not occur in an invoice: check it for a typing error`)
  const decoded = bech32.decodeUnsafe(lower, false)
  if (!decoded) throw new InvoiceError('checksum', 'the checksum is wrong: check the invoice for a typing error')
  return decoded
}

function requiredFields(f: InvoiceFields): Required<Pick<InvoiceFields, 'paymentHash' | 'paymentSecret'>> {
  const { paymentHash, paymentSecret } = f
  const missing = (what: string): never => {
    throw new InvoiceError('missing-field', `has no ${what}: ask for a new invoice`)
  }
  if (paymentHash === undefined) return missing('payment hash (p) of 52 words')
  if (paymentSecret === undefined) return missing('payment secret (s) of 52 words')
  if (f.description === undefined && f.descriptionHash === undefined)
    return missing('description (d) or description hash (h)')
  if (f.description !== undefined && f.descriptionHash !== undefined) {
    throw new InvoiceError('field', 'has both a description (d) and a description hash (h), where one is allowed')
  }
  return { paymentHash, paymentSecret }
}

/** Metadata is sent back by every payer of ours, so that it may be required. */
const PAYER_HAS = FEATURES.option_payment_metadata.bit

/** @source BOLT 11 §feature-bits */
function checkInvoiceFeatures(features: Uint8Array): void {
  const bits = featureBits(features)
  const others = bits.includes(PAYER_HAS) ? featuresFromBits(bits.filter((bit) => bit !== PAYER_HAS)) : features
  const checked = checkFeatures(others)
  if (!checked.ok) throw new InvoiceError('features', checked.error.message)
}

function readSignature(words: readonly number[]): { signature: Uint8Array; recoveryId: number } {
  const bytes = fromWords(words, 'the signature')
  return { signature: bytes.slice(0, 64), recoveryId: bytes[64]! }
}

/** The node that signed: the n field's, when its signature is right and low S, else recovered. */
function payeeOf(f: InvoiceFields, hash: Uint8Array, signature: Uint8Array, recoveryId: number): Uint8Array {
  if (f.payee !== undefined) {
    if (crypto.ecdsaVerify(signature, hash, f.payee)) return f.payee
    throw new InvoiceError('signature', 'the signature is not one of the payee named in it (n)')
  }
  const payee = crypto.ecdsaRecover(signature, recoveryId, hash)
  if (payee === null) throw new InvoiceError('signature', 'no node can have made the signature')
  return payee
}

/** Whether the invoice asks for payment before this moment (Unix seconds). */
export const isExpired = (invoice: Pick<Invoice, 'timestamp' | 'expirySeconds'>, now: number): boolean =>
  now >= invoice.timestamp + invoice.expirySeconds
