import { type Static, Type } from '@sinclair/typebox'
import {
  answer,
  Count,
  HashText,
  HexText,
  Msat,
  NodeIdText,
  nullable,
  oneOf,
  request,
  ScidText,
  TimeText,
} from './scalars.ts'

/* What POST /v1/decode takes and gives. */

export const Decode = request('Decode', {
  text: Type.String({
    minLength: 1,
    maxLength: 16_384,
    description: 'a BOLT 11 invoice (lnbc…), or a BOLT 12 offer (lno1…), invoice request (lnr1…) or invoice (lni1…)',
  }),
})

// ------------------------------------------------------------------ BOLT 11

const RouteHint = answer('RouteHint', {
  nodeId: NodeIdText,
  shortChannelId: ScidText,
  feeBaseMsat: Count,
  feeProportionalMillionths: Count,
  cltvExpiryDelta: Count,
})
export const DecodedBolt11 = answer('DecodedBolt11', {
  type: oneOf('bolt11'),
  network: Type.String(),
  nodeId: NodeIdText,
  paymentHash: HashText,
  amountMsat: nullable(Msat),
  description: nullable(Type.String()),
  descriptionHash: nullable(HashText),
  createdAt: TimeText,
  expiresAt: TimeText,
  expired: Type.Boolean(),
  minFinalCltvExpiryDelta: Count,
  paymentSecret: nullable(HexText),
  metadata: nullable(HexText),
  features: HexText,
  fallbackAddresses: Type.Array(Type.String()),
  routeHints: Type.Array(Type.Array(RouteHint)),
})

// ------------------------------------------------------------------ BOLT 12

const Chain = answer('ChainName', {
  chainHash: HashText,
  network: nullable(Type.String({ description: 'null for a chain that this node does not know' })),
})
const pathFields = {
  introductionNodeId: nullable(NodeIdText),
  introductionShortChannelId: nullable(ScidText),
  introductionDirection: nullable(
    Type.Integer({ minimum: 0, maximum: 1, description: 'which end of that channel: 0 for node_id_1' }),
  ),
  pathKey: HexText,
  hops: Type.Array(answer('BlindedHop', { blindedNodeId: NodeIdText, encryptedData: HexText })),
}
const BlindedPath = answer('BlindedPath', pathFields)
const PaymentPath = answer('BlindedPaymentPath', {
  ...pathFields,
  feeBaseMsat: Count,
  feeProportionalMillionths: Count,
  cltvExpiryDelta: Count,
  htlcMinimumMsat: Msat,
  htlcMaximumMsat: Msat,
  features: HexText,
  usable: Type.Boolean({ description: 'false where it requires features that are not known here' }),
})
const UnknownField = answer('UnknownField', {
  type: Type.String({ description: 'the TLV type, decimal: up to 20 digits' }),
  value: HexText,
})
const unknownFields = Type.Array(UnknownField)

const offerFields = {
  chains: Type.Array(Chain),
  amountMsat: nullable(Msat),
  currency: nullable(Type.String({ description: 'ISO 4217, where the amount is not in millisatoshis' })),
  currencyAmount: nullable(
    Type.Integer({ minimum: 0, description: 'in the smallest unit of the currency: cents for USD' }),
  ),
  description: nullable(Type.String()),
  issuer: nullable(Type.String()),
  issuerId: nullable(NodeIdText),
  paths: Type.Array(BlindedPath),
  quantityMax: nullable(
    Type.Integer({ minimum: 0, description: 'items at once: 0 for any number, null for just one' }),
  ),
  expiresAt: nullable(TimeText),
  expired: Type.Boolean(),
  metadata: nullable(HexText),
  features: HexText,
}
const OfferFields = answer('OfferFields', offerFields)
export const DecodedOffer = answer('DecodedOffer', { type: oneOf('bolt12Offer'), ...offerFields, unknownFields })

const requestFields = {
  chain: Chain,
  amountMsat: nullable(Msat),
  quantity: nullable(Count),
  payerNote: nullable(Type.String()),
  paths: Type.Array(BlindedPath),
  bip353Name: nullable(Type.String({ description: 'user@domain, by which the payer found the offer' })),
  features: HexText,
}
export const DecodedInvoiceRequest = answer('DecodedInvoiceRequest', {
  type: oneOf('bolt12InvoiceRequest'),
  ...requestFields,
  payerId: NodeIdText,
  metadata: HexText,
  answersOffer: Type.Boolean({
    description: 'false for one that stands for itself: a refund, money to be fetched',
  }),
  offer: OfferFields,
  signature: nullable(HexText),
  unknownFields,
})
const RequestFields = answer('InvoiceRequestFields', {
  ...requestFields,
  payerId: nullable(NodeIdText),
  metadata: nullable(HexText),
})
export const DecodedInvoice = answer('DecodedInvoice', {
  type: oneOf('bolt12Invoice'),
  chain: Chain,
  nodeId: NodeIdText,
  paymentHash: HashText,
  amountMsat: Msat,
  createdAt: TimeText,
  expiresAt: TimeText,
  expired: Type.Boolean(),
  paths: Type.Array(PaymentPath),
  fallbackAddresses: Type.Array(Type.String()),
  features: HexText,
  request: RequestFields,
  offer: OfferFields,
  signature: HexText,
  unknownFields,
})

export const Decoded = Type.Union([DecodedBolt11, DecodedOffer, DecodedInvoiceRequest, DecodedInvoice], {
  title: 'Decoded',
  description: 'by its type',
})

export type Decoded = Static<typeof Decoded>
export type DecodedBolt11 = Static<typeof DecodedBolt11>
export type DecodedOffer = Static<typeof DecodedOffer>
export type DecodedInvoiceRequest = Static<typeof DecodedInvoiceRequest>
export type DecodedInvoice = Static<typeof DecodedInvoice>
