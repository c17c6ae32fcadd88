import {
  chainHash,
  channelId,
  flag,
  msat64,
  msatLimit,
  point,
  rest,
  sat64,
  scid,
  signature,
  txid,
  u8,
  u16,
  u32,
} from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** The same in every message that opens a channel. Features as even bits (features.ts: encodeChannelType). */
const openingTlvs = {
  /** Empty: no commitment to a script. */
  upfrontShutdownScript: [0n, rest],
  channelType: [1n, rest],
} as const
const openingTlvsV2 = {
  ...openingTlvs,
  requireConfirmedInputs: [2n, flag],
} as const

/** BOLT 2 §the-open_channel-message. */
export const openChannel = message(
  32,
  'open_channel',
  {
    chainHash,
    temporaryChannelId: channelId,
    fundingSatoshis: sat64,
    pushMsat: msat64,
    dustLimitSatoshis: sat64,
    maxHtlcValueInFlightMsat: msatLimit,
    channelReserveSatoshis: sat64,
    htlcMinimumMsat: msat64,
    feeratePerKw: u32,
    toSelfDelay: u16, // blocks
    maxAcceptedHtlcs: u16,
    fundingPubkey: point,
    revocationBasepoint: point,
    paymentBasepoint: point,
    delayedPaymentBasepoint: point,
    htlcBasepoint: point,
    firstPerCommitmentPoint: point,
    channelFlags: u8, // bit 0: announce_channel
  },
  openingTlvs,
)
export type OpenChannel = MessageOf<typeof openChannel>

/** BOLT 2 §the-accept_channel-message. */
export const acceptChannel = message(
  33,
  'accept_channel',
  {
    temporaryChannelId: channelId,
    dustLimitSatoshis: sat64,
    maxHtlcValueInFlightMsat: msatLimit,
    channelReserveSatoshis: sat64,
    htlcMinimumMsat: msat64,
    minimumDepth: u32,
    toSelfDelay: u16,
    maxAcceptedHtlcs: u16,
    fundingPubkey: point,
    revocationBasepoint: point,
    paymentBasepoint: point,
    delayedPaymentBasepoint: point,
    htlcBasepoint: point,
    firstPerCommitmentPoint: point,
  },
  openingTlvs,
)
export type AcceptChannel = MessageOf<typeof acceptChannel>

/** BOLT 2 §the-funding_created-message: names the funding output and signs the peer's first commitment. */
export const fundingCreated = message(34, 'funding_created', {
  temporaryChannelId: channelId,
  fundingTxid: txid,
  fundingOutputIndex: u16,
  signature,
})
export type FundingCreated = MessageOf<typeof fundingCreated>

/** BOLT 2 §the-funding_signed-message: signs the opener's first commitment, which may then broadcast. */
export const fundingSigned = message(35, 'funding_signed', {
  channelId,
  signature,
})
export type FundingSigned = MessageOf<typeof fundingSigned>

/** BOLT 2 §the-channel_ready-message: the funding is deep enough for the sender. */
export const channelReady = message(
  36,
  'channel_ready',
  {
    channelId,
    secondPerCommitmentPoint: point,
  },
  {
    /** An alias of the channel, for the receiver to use in invoices. */
    shortChannelId: [1n, scid],
  },
)
export type ChannelReady = MessageOf<typeof channelReady>

/** BOLT 2 §the-open_channel2-message. */
export const openChannel2 = message(
  64,
  'open_channel2',
  {
    chainHash,
    temporaryChannelId: channelId,
    fundingFeeratePerKw: u32,
    commitmentFeeratePerKw: u32,
    fundingSatoshis: sat64,
    dustLimitSatoshis: sat64,
    maxHtlcValueInFlightMsat: msatLimit,
    htlcMinimumMsat: msat64,
    toSelfDelay: u16,
    maxAcceptedHtlcs: u16,
    locktime: u32,
    fundingPubkey: point,
    revocationBasepoint: point,
    paymentBasepoint: point,
    delayedPaymentBasepoint: point,
    htlcBasepoint: point,
    firstPerCommitmentPoint: point,
    secondPerCommitmentPoint: point,
    channelFlags: u8,
  },
  openingTlvsV2,
)
export type OpenChannel2 = MessageOf<typeof openChannel2>

/** BOLT 2 §the-accept_channel2-message. */
export const acceptChannel2 = message(
  65,
  'accept_channel2',
  {
    temporaryChannelId: channelId,
    fundingSatoshis: sat64,
    dustLimitSatoshis: sat64,
    maxHtlcValueInFlightMsat: msatLimit,
    htlcMinimumMsat: msat64,
    minimumDepth: u32,
    toSelfDelay: u16,
    maxAcceptedHtlcs: u16,
    fundingPubkey: point,
    revocationBasepoint: point,
    paymentBasepoint: point,
    delayedPaymentBasepoint: point,
    htlcBasepoint: point,
    firstPerCommitmentPoint: point,
    secondPerCommitmentPoint: point,
  },
  openingTlvsV2,
)
export type AcceptChannel2 = MessageOf<typeof acceptChannel2>
