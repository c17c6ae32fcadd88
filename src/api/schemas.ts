import { type Static, Type } from '@sinclair/typebox'
import { withRules } from './rules.ts'
import {
  AddressText,
  answer,
  Count,
  change,
  DescriptionHashText,
  FeerateSatPerVbyte,
  HashText,
  HexText,
  KeyIdText,
  Msat,
  NodeIdOrUriText,
  NodeIdText,
  nullable,
  OutpointText,
  oneOf,
  PositiveMsat,
  PositiveSat,
  PreimageText,
  pageQueryWith,
  recordQuery,
  request,
  Sat,
  ScidText,
  TimeText,
  TxidText,
  UriText,
} from './scalars.ts'

/* Every body that the API takes or gives; those of wallet and chain are in onchainSchemas.ts, of decoded texts in decodeSchemas.ts. A schema with a title becomes a component of the OpenAPI document and a type below. */

// ------------------------------------------------------------------ node

export const Node = answer('Node', {
  nodeId: NodeIdText,
  alias: Type.String(),
  network: Type.String(),
  version: Type.String(),
  features: HexText,
  addresses: Type.Array(Type.String()),
  blockHeight: Count,
  synced: Type.Boolean(),
  uptimeSeconds: Count,
})

export const Balance = answer('Balance', {
  onchainConfirmedSat: Sat,
  onchainUnconfirmedSat: Sat,
  onchainClosingSat: Sat,
  channelSendableMsat: Msat,
  channelReceivableMsat: Msat,
  channelLocalMsat: Msat,
  channelPendingMsat: Msat,
})

export const Health = answer('Health', {
  status: oneOf('ok', 'unready'),
  reasons: Type.Array(Type.String()),
})

// ------------------------------------------------------------------ peers

export const ConnectPeer = request('ConnectPeer', { uri: UriText })
export const Peer = answer('Peer', {
  nodeId: NodeIdText,
  address: nullable(Type.String()),
  connected: Type.Boolean(),
  inbound: Type.Boolean(),
  features: nullable(HexText),
  alias: nullable(Type.String()),
  channels: Count,
})

// ------------------------------------------------------------------ channels

const ChannelType = oneOf('anchors', 'static_remotekey')
const OpenChannelFields = request('OpenChannel', {
  peer: NodeIdOrUriText,
  capacitySat: PositiveSat,
  pushMsat: Type.Optional(Msat),
  feerateSatPerVbyte: Type.Optional(FeerateSatPerVbyte),
  announce: Type.Optional(Type.Boolean()),
  type: Type.Optional(ChannelType),
})
export const OpenChannel = withRules(OpenChannelFields, (rule) => [
  rule(['capacitySat', 'pushMsat'], ({ capacitySat, pushMsat = 0 }) =>
    pushMsat > capacitySat * 1000 ? ['/pushMsat', 'expected at most the capacity of the channel'] : null,
  ),
])
const CloseChannelFields = request('CloseChannel', {
  force: Type.Optional(Type.Boolean()),
  acceptRisk: Type.Optional(
    Type.Literal('losing-the-whole-channel', {
      description:
        'With `force`, for a channel in doubt or `waiting-for-peer` whose peer will never come, or is in doubt itself: publishes our commitment although it may be revoked. If it is, **the peer can take the whole channel**. Needs `wallet:send`, too. Refused where the peer has proved that it is revoked.',
    }),
  ),
  address: Type.Optional(AddressText),
  feerateSatPerVbyte: Type.Optional(FeerateSatPerVbyte),
})
export const CloseChannel = withRules(CloseChannelFields, (rule) => [
  rule(['force', 'acceptRisk'], ({ force, acceptRisk }) =>
    acceptRisk !== undefined && !force ? ['/acceptRisk', 'expected with force alone'] : null,
  ),
  rule(['force', 'address'], ({ force, address }) =>
    force && address !== undefined
      ? ['/address', 'expected none with force: what a force close pays comes to the wallet']
      : null,
  ),
])
const U32 = Type.Integer({ minimum: 0, maximum: 0xffff_ffff })
export const SetChannelPolicy = change('SetChannelPolicy', {
  feeBaseMsat: Type.Optional(U32),
  feeProportionalMillionths: Type.Optional(U32),
  cltvExpiryDelta: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 0xffff,
      description:
        'Refused when it leaves no time to enforce a forward on chain: at least `close-before-expiry` + `htlc-fail-depth` + 8 blocks.',
    }),
  ),
  htlcMinimumMsat: Type.Optional(Msat),
  htlcMaximumMsat: Type.Optional(PositiveMsat),
})
const ChannelPolicy = answer('ChannelPolicy', {
  feeBaseMsat: U32,
  feeProportionalMillionths: U32,
  cltvExpiryDelta: Count,
  htlcMinimumMsat: Msat,
  htlcMaximumMsat: Msat,
})
const Htlc = answer('Htlc', {
  id: Count,
  direction: oneOf('in', 'out'),
  amountMsat: Msat,
  paymentHash: HashText,
  cltvExpiry: Count,
  state: Type.String(),
})
const ClosingTransaction = answer('ClosingTransaction', {
  txid: TxidText,
  kind: Type.String(),
  confirmed: Type.Boolean(),
  feeSat: nullable(Sat),
})
const Closing = answer('Closing', {
  how: oneOf('cooperative', 'local-force', 'remote-force', 'revoked'),
  txid: nullable(TxidText),
  confirmations: Count,
  resolved: Type.Boolean(),
  transactions: Type.Array(ClosingTransaction),
  unclaimedSat: Sat,
})
const ChannelState = oneOf(
  'opening',
  'waiting-confirmations',
  'normal',
  'shutdown',
  'negotiating',
  'waiting-for-peer',
  'closing',
  'closed',
)
export const Channel = answer('Channel', {
  id: Type.String(),
  channelId: nullable(HexText),
  shortChannelId: nullable(ScidText),
  peer: NodeIdText,
  peerConnected: Type.Boolean(),
  state: Type.String({
    description:
      'opening, waiting-confirmations, normal, shutdown, negotiating, waiting-for-peer (the peer is to close it: we lost data, or may have, or the channel was restored from a backup and what it holds is not known; `waitsFor` says whether our own commitment follows, and when), closing or closed',
  }),
  usable: Type.Boolean(),
  type: ChannelType,
  announced: Type.Boolean(),
  isOpener: Type.Boolean(),
  capacitySat: Sat,
  localMsat: Msat,
  remoteMsat: Msat,
  sendableMsat: Msat,
  receivableMsat: Msat,
  localReserveSat: Sat,
  remoteReserveSat: Sat,
  feeratePerKw: Count,
  toSelfDelay: Count,
  policy: ChannelPolicy,
  htlcs: Type.Array(Htlc),
  funding: nullable(OutpointText),
  fundingConfirmations: Count,
  closing: nullable(Closing),
  waitsFor: nullable(Type.String()),
  createdAt: TimeText,
})
export const ChannelQuery = pageQueryWith({
  state: Type.Optional(ChannelState),
  peer: Type.Optional(NodeIdText),
})

// ------------------------------------------------------------------ invoices

/** By when they were made, and by the key that asked for them. */
const recordFilters = { keyId: Type.Optional(KeyIdText) }

const InvoiceStatus = oneOf('open', 'accepted', 'settled', 'cancelled', 'expired')
/** BOLT 11 §tagged-fields: c. Payers give up on more than two weeks in all, so no invoice may ask for more than one of them. */
const FINAL_DELTA =
  'blocks that a payment must have left when it comes, of which those before the last few are there to settle a hold invoice in: half a day by default'
const CreateInvoiceFields = request('CreateInvoice', {
  amountMsat: Type.Optional(PositiveMsat),
  description: Type.Optional(Type.String({ maxLength: 639 })),
  descriptionHash: Type.Optional(DescriptionHashText),
  expirySeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 31_536_000 })),
  paymentHash: Type.Optional(HashText),
  minFinalCltvExpiryDelta: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_008, description: FINAL_DELTA })),
})
export const CreateInvoice = withRules(CreateInvoiceFields, (rule) => [
  rule(['description', 'descriptionHash'], ({ description, descriptionHash }) =>
    description !== undefined && descriptionHash !== undefined
      ? ['/descriptionHash', 'expected description or descriptionHash, not both']
      : null,
  ),
])
export const SettleInvoice = request('SettleInvoice', { preimage: PreimageText })
export const Empty = request('Empty', {})
/** What it says of a hold invoice. */
const SETTLE_BEFORE = 'block height at which an accepted payment goes back by itself: settle it in an earlier block'
export const Invoice = answer('Invoice', {
  id: Type.String(),
  paymentHash: HashText,
  bolt11: Type.String(),
  status: InvoiceStatus,
  amountMsat: nullable(Msat),
  receivedMsat: nullable(Msat),
  description: nullable(Type.String()),
  descriptionHash: nullable(DescriptionHashText),
  preimage: nullable(PreimageText),
  createdAt: TimeText,
  expiresAt: TimeText,
  settledAt: nullable(TimeText),
  settleBefore: nullable(Type.Integer({ minimum: 0, description: SETTLE_BEFORE })),
  keyId: nullable(KeyIdText),
})
export const InvoiceQuery = recordQuery({ status: Type.Optional(InvoiceStatus), ...recordFilters })

// ------------------------------------------------------------------ payments

const PaymentStatus = oneOf('pending', 'succeeded', 'failed')
const PayFields = request('Pay', {
  bolt11: Type.Optional(Type.String({ minLength: 1, maxLength: 8_192 })),
  nodeId: Type.Optional(NodeIdText),
  amountMsat: Type.Optional(PositiveMsat),
  maxFeeMsat: Type.Optional(Msat),
  maxParts: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
  timeoutSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 3_600 })),
})
/** `{ bolt11 }` or `{ nodeId, amountMsat }`. */
export const Pay = withRules(PayFields, (rule) => [
  rule(['bolt11', 'nodeId'], ({ bolt11, nodeId }) =>
    bolt11 === undefined && nodeId === undefined ? ['/bolt11', 'expected bolt11, or nodeId and amountMsat'] : null,
  ),
  rule(['bolt11', 'nodeId'], ({ bolt11, nodeId }) =>
    bolt11 !== undefined && nodeId !== undefined ? ['/nodeId', 'expected bolt11 or nodeId, not both'] : null,
  ),
  rule(['nodeId', 'amountMsat'], ({ nodeId, amountMsat }) =>
    nodeId !== undefined && amountMsat === undefined ? ['/amountMsat', 'is required without an invoice'] : null,
  ),
])
const PaymentPart = answer('PaymentPart', {
  status: PaymentStatus,
  amountMsat: Msat,
  feeMsat: Msat,
  route: Type.Array(answer('PaymentHop', { nodeId: NodeIdText, shortChannelId: ScidText })),
  failure: nullable(Type.String()),
})
export const Payment = answer('Payment', {
  id: Type.String(),
  paymentHash: HashText,
  status: PaymentStatus,
  nodeId: nullable(NodeIdText),
  amountMsat: Msat,
  feeMsat: Msat,
  preimage: nullable(PreimageText),
  failure: nullable(
    answer('PaymentFailure', {
      code: Type.String({
        description:
          'NO_ROUTE, INSUFFICIENT_BALANCE, REJECTED_BY_PAYEE, TIMEOUT, CANCELLED, TOO_MANY_ATTEMPTS, INTERRUPTED (by a crash), or OUTCOME_UNKNOWN: data was lost, and it may have been paid; ask the payee before you pay again. A payment that has failed is told as succeeded if its preimage shows after all',
      }),
      detail: Type.String(),
    }),
  ),
  parts: Type.Array(PaymentPart),
  bolt11: nullable(Type.String()),
  createdAt: TimeText,
  completedAt: nullable(TimeText),
  keyId: nullable(KeyIdText),
})
export const PaymentQuery = recordQuery({ status: Type.Optional(PaymentStatus), ...recordFilters })

// ------------------------------------------------------------------ graph

export const GraphNode = answer('GraphNode', {
  nodeId: NodeIdText,
  alias: Type.String(),
  addresses: Type.Array(Type.String()),
})
export const GraphChannel = answer('GraphChannel', {
  shortChannelId: ScidText,
  nodeId1: NodeIdText,
  nodeId2: NodeIdText,
  capacitySat: nullable(Sat),
  policies: Type.Array(
    nullable(
      answer('GraphPolicy', {
        feeBaseMsat: Count,
        feeProportionalMillionths: Count,
        cltvExpiryDelta: Count,
        enabled: Type.Boolean(),
      }),
    ),
  ),
})
export const FindRoute = request('FindRoute', { nodeId: NodeIdText, amountMsat: PositiveMsat })
export const Route = answer('Route', {
  amountMsat: Msat,
  feeMsat: Msat,
  hops: Type.Array(
    answer('RouteHop', { nodeId: NodeIdText, shortChannelId: ScidText, amountMsat: Msat, cltvExpiry: Count }),
  ),
})

// ------------------------------------------------------------------ backup and events

export const Backup = answer('Backup', {
  format: oneOf('fulmen-static-channel-backup'),
  data: Type.String({ description: 'the file in base64, encrypted from the seed' }),
})
export const VerifyBackup = request('VerifyBackup', {
  data: Type.String({
    minLength: 1,
    maxLength: 120_000,
    pattern: '^[A-Za-z0-9+/]*={0,2}$',
    description: 'a channel backup in base64',
  }),
})
export const BackupCheck = answer('BackupCheck', {
  valid: Type.Boolean({ description: 'the seed of this node opens it, and it is whole' }),
  complete: Type.Boolean({ description: 'every channel that is not closed is in it: it would bring all of them back' }),
  channels: Count,
  missing: Type.Array(HexText, { description: 'ids of channels that are not in it' }),
  problem: nullable(Type.String({ description: 'why it is not valid' })),
})
export const Ticket = answer('Ticket', { ticket: Type.String(), expiresAt: TimeText })
export const Event = answer('Event', {
  id: nullable(Count),
  type: Type.String(),
  at: TimeText,
  data: Type.Record(Type.String(), Type.Unknown()),
})

export type Node = Static<typeof Node>
export type Balance = Static<typeof Balance>
export type Health = Static<typeof Health>
export type Peer = Static<typeof Peer>
export type OpenChannel = Static<typeof OpenChannel>
export type CloseChannel = Static<typeof CloseChannel>
export type SetChannelPolicy = Static<typeof SetChannelPolicy>
export type Channel = Static<typeof Channel>
export type CreateInvoice = Static<typeof CreateInvoice>
export type InvoiceQuery = Static<typeof InvoiceQuery>
export type PaymentQuery = Static<typeof PaymentQuery>
export type Invoice = Static<typeof Invoice>
export type Pay = Static<typeof Pay>
export type Payment = Static<typeof Payment>
export type GraphNode = Static<typeof GraphNode>
export type GraphChannel = Static<typeof GraphChannel>
export type FindRoute = Static<typeof FindRoute>
export type Route = Static<typeof Route>
export type Backup = Static<typeof Backup>
export type BackupCheck = Static<typeof BackupCheck>
export type Ticket = Static<typeof Ticket>
export type Event = Static<typeof Event>
export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}
