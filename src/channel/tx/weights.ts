import { type Msat, msatToSatFloor, type Sat } from '../../base/units.ts'
import type { ChannelTypeName } from '../types.ts'

/** Value of each anchor output. @source BOLT 3 §to_local_anchor-and-to_remote_anchor-output-option_anchors */
export const ANCHOR_SAT = 330n as Sat

/** Weight of a commitment without HTLC outputs. @source BOLT 3 §fee-calculation */
export const COMMITMENT_WEIGHT: Readonly<Record<ChannelTypeName, number>> = { static_remotekey: 724, anchors: 1124 }
export const HTLC_OUTPUT_WEIGHT = 172
export const HTLC_TIMEOUT_WEIGHT: Readonly<Record<ChannelTypeName, number>> = { static_remotekey: 663, anchors: 666 }
export const HTLC_SUCCESS_WEIGHT: Readonly<Record<ChannelTypeName, number>> = { static_remotekey: 703, anchors: 706 }

/** Fee at a feerate in sat per 1,000 weight units, rounded down. */
export const feeOf = (weight: number, feeratePerKw: number): Sat =>
  BigInt(Math.floor((weight * feeratePerKw) / 1000)) as Sat

/** The commitment's expected weight, which its fee is computed from; the real one is lower by a few units. */
export const commitmentWeight = (untrimmed: number, type: ChannelTypeName): number =>
  COMMITMENT_WEIGHT[type] + HTLC_OUTPUT_WEIGHT * untrimmed

/**
 * Fee of a commitment transaction, paid by the opener. The real one is higher by what is trimmed.
 * @param feeratePerKw sat per 1,000 weight units
 * @param untrimmed HTLCs that get an output, 0 – 966
 * @returns sat, rounded down; without the anchors
 * @source BOLT 3 §fee-calculation
 */
export const commitFee = (feeratePerKw: number, untrimmed: number, type: ChannelTypeName): Sat =>
  feeOf(commitmentWeight(untrimmed, type), feeratePerKw)

/** Both anchors, which the opener pays for: 660 sat, or nothing without anchors. */
export const anchorsCost = (type: ChannelTypeName): Sat => (type === 'anchors' ? ANCHOR_SAT * 2n : 0n) as Sat

/** What the opener pays for a commitment in all: the fee and the anchors. */
export const commitCost = (feeratePerKw: number, untrimmed: number, type: ChannelTypeName): Sat =>
  (commitFee(feeratePerKw, untrimmed, type) + anchorsCost(type)) as Sat

/** Fee of the HTLC-timeout transaction; 0 with anchors, where it is added at broadcast. */
export const htlcTimeoutFee = (feeratePerKw: number, type: ChannelTypeName): Sat =>
  type === 'anchors' ? (0n as Sat) : feeOf(HTLC_TIMEOUT_WEIGHT[type], feeratePerKw)

/** Fee of the HTLC-success transaction; 0 with anchors, where it is added at broadcast. */
export const htlcSuccessFee = (feeratePerKw: number, type: ChannelTypeName): Sat =>
  type === 'anchors' ? (0n as Sat) : feeOf(HTLC_SUCCESS_WEIGHT[type], feeratePerKw)

/** What decides which HTLCs have an output in one side's commitment. */
export interface TrimParams {
  readonly channelType: ChannelTypeName
  /** Of the side that holds the commitment. */
  readonly dustLimitSat: Sat
  readonly feeratePerKw: number
}

/** The least amounts, in sat, that get an output in a commitment; offered and received are meant from its holder. */
export interface TrimThresholds {
  readonly offeredSat: Sat
  readonly receivedSat: Sat
}

/** @source BOLT 3 §trimmed-outputs */
export const trimThresholds = (p: TrimParams): TrimThresholds => ({
  offeredSat: (p.dustLimitSat + htlcTimeoutFee(p.feeratePerKw, p.channelType)) as Sat,
  receivedSat: (p.dustLimitSat + htlcSuccessFee(p.feeratePerKw, p.channelType)) as Sat,
})

/**
 * Whether an HTLC has no output in a commitment: its amount goes to the miner.
 * @param offered by the side that holds the commitment
 * @source BOLT 3 §trimmed-outputs
 */
export const isTrimmed = (amountMsat: Msat, offered: boolean, thresholds: TrimThresholds): boolean =>
  msatToSatFloor(amountMsat) < (offered ? thresholds.offeredSat : thresholds.receivedSat)
