import { concatBytes, toHex, utf8, utf8Decode } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import { crypto } from '../crypto/crypto.ts'
import {
  bytes32,
  bytesU16,
  type Codec,
  chainHash,
  decodeWith,
  listRest,
  msatLimit,
  nodeIdBytes,
  paymentHash,
  point,
  rest,
  scid,
  signature,
  struct,
  tu32,
  tu64,
  tuMsat,
  u8,
  u16,
  u32,
} from '../wire/codec.ts'
import { WireError } from '../wire/errors.ts'
import { type TlvValues, tlvStream } from '../wire/tlv.ts'

/* Every field of BOLT 12, declared once; names are the BOLT's. */

const text: Codec<string> = {
  shape: { kind: 'rest' },
  least: 0,
  encode: (w, value) => w.bytes(utf8(value)),
  decode: (r) => {
    try {
      return utf8Decode(r.bytes(r.remaining))
    } catch {
      throw new WireError('value', 'not UTF-8')
    }
  },
}

/** Texts are read once, by people who want to know whether they are right: so keys are checked here, not where they serve. */
const key: Codec<Uint8Array> = {
  ...point,
  decode: (r) => {
    const bytes = r.bytes(33)
    if (!crypto.isValidPublicKey(bytes)) throw new WireError('value', 'not a public key')
    return bytes
  },
}
const nodeKey: Codec<NodeId> = { ...nodeIdBytes, decode: (r) => toHex(key.decode(r)) as NodeId }

/** A node, or one end of a channel: direction 0 is node_id_1 of its announcement. @source BOLT 1 §fundamental-types */
export type PathStart = NodeId | { readonly shortChannelId: ShortChannelId; readonly direction: 0 | 1 }

const pathStart: Codec<PathStart> = {
  shape: { kind: 'rest' },
  least: 9,
  encode: (w, value) => {
    if (typeof value === 'string') return nodeKey.encode(w, value)
    w.u8(value.direction)
    scid.encode(w, value.shortChannelId)
  },
  decode: (r) => {
    const first = r.u8()
    if (first === 0 || first === 1) return { shortChannelId: scid.decode(r), direction: first }
    return decodeWith(nodeKey, concatBytes(Uint8Array.of(first), r.bytes(32)))
  },
}

const hop = struct({ blindedNodeId: key, encryptedData: bytesU16 })
type Hop = ReturnType<(typeof hop)['decode']>
/** A byte that counts them; a path without hops leads nowhere. */
const hops: Codec<readonly Hop[]> = {
  shape: { kind: 'listU16', item: hop.shape },
  least: 1 + hop.least,
  encode: (w, items) => {
    u8.encode(w, items.length)
    for (const item of items) hop.encode(w, item)
  },
  decode: (r) => {
    const count = r.u8()
    if (count === 0) throw new WireError('value', 'a blinded path without hops')
    return Array.from({ length: count }, () => hop.decode(r))
  },
}
/** BOLT 4 §route-blinding, as BOLT 12 carries it. */
const blindedPath = struct({ firstNode: pathStart, firstPathKey: key, hops })
export type Bolt12Path = ReturnType<(typeof blindedPath)['decode']>

const blindedPayinfo = struct({
  feeBaseMsat: u32,
  feeProportionalMillionths: u32,
  cltvExpiryDelta: u16,
  htlcMinimumMsat: msatLimit,
  htlcMaximumMsat: msatLimit,
  features: bytesU16,
})
export type BlindedPayinfo = ReturnType<(typeof blindedPayinfo)['decode']>

/** A witness program. */
const fallbackAddress = struct({ version: u8, program: bytesU16 })

const bytesU8: Codec<Uint8Array> = {
  shape: { kind: 'bytesU16' },
  least: 1,
  encode: (w, b) => {
    u8.encode(w, b.length)
    w.bytes(b)
  },
  decode: (r) => r.bytes(r.u8()),
}

/** BOLT 12 §tlv-fields-for-offers. */
const OFFER = {
  offerChains: [2n, listRest(chainHash)],
  offerMetadata: [4n, rest],
  offerCurrency: [6n, text],
  offerAmount: [8n, tu64],
  offerDescription: [10n, text],
  offerFeatures: [12n, rest],
  offerAbsoluteExpiry: [14n, tu64],
  offerPaths: [16n, listRest(blindedPath)],
  offerIssuer: [18n, text],
  offerQuantityMax: [20n, tu64],
  offerIssuerId: [22n, nodeKey],
} as const

/** BOLT 12 §tlv-fields-for-invoice_request. */
const REQUEST = {
  ...OFFER,
  invreqMetadata: [0n, rest],
  invreqChain: [80n, bytes32],
  invreqAmount: [82n, tuMsat],
  invreqFeatures: [84n, rest],
  invreqQuantity: [86n, tu64],
  invreqPayerId: [88n, key],
  invreqPayerNote: [89n, text],
  invreqPaths: [90n, listRest(blindedPath)],
  invreqBip353Name: [91n, struct({ name: bytesU8, domain: bytesU8 })],
  signature: [240n, signature],
} as const

/** BOLT 12 §invoices. */
const INVOICE = {
  ...REQUEST,
  invoicePaths: [160n, listRest(blindedPath)],
  invoiceBlindedpay: [162n, listRest(blindedPayinfo)],
  invoiceCreatedAt: [164n, tu64],
  invoiceRelativeExpiry: [166n, tu32],
  invoicePaymentHash: [168n, paymentHash],
  invoiceAmount: [170n, tuMsat],
  invoiceFallbacks: [172n, listRest(fallbackAddress)],
  invoiceFeatures: [174n, rest],
  invoiceNodeId: [176n, nodeKey],
} as const

export type OfferFields = TlvValues<typeof OFFER>
export type InvoiceRequestFields = TlvValues<typeof REQUEST>
export type InvoiceFields = TlvValues<typeof INVOICE>

export const STREAMS = { offer: tlvStream(OFFER), invoiceRequest: tlvStream(REQUEST), invoice: tlvStream(INVOICE) }
/** The types that each kind knows. */
export const KNOWN_TYPES = {
  offer: typesOf(OFFER),
  invoiceRequest: typesOf(REQUEST),
  invoice: typesOf(INVOICE),
}
function typesOf(records: Readonly<Record<string, readonly [bigint, unknown]>>): ReadonlySet<bigint> {
  return new Set(Object.values(records).map(([type]) => type))
}
