import { equalBytes } from '../base/bytes.ts'
import { ok } from '../base/result.ts'
import { type Msat, msatToSatFloor, type Sat, satToMsat } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import { decodeChannelType, FEATURES, featuresFromBits, hasFeature } from '../wire/features.ts'
import type { AcceptChannel, OpenChannel } from '../wire/messages/open.ts'
import { fail, type Judged, refuse } from './faults.ts'
import { acceptableFeerate } from './limits.ts'
import { isPeersShutdownScript } from './scripts.ts'
import type { Proposal, SideParams } from './state.ts'
import { commitCost } from './tx/weights.ts'
import type { ChannelContext, ChannelPolicy, ChannelTypeName, OpenParams } from './types.ts'

/** The lowest dust limit that relays for every script. @source BOLT 3 §dust-limits */
const LOWEST_DUST_SAT = 354n
/** More than this would make too many HTLCs uncollectable. */
const HIGHEST_DUST_SAT = 1_000n
/** From here on both sides need option_support_large_channel. @source BOLT 2 §the-open_channel-message */
const LARGE_SAT = 1n << 24n
const MOST_HTLCS = 483
/** The smallest reserve that we ask for, above any dust limit that we accept. */
const LOWEST_RESERVE_SAT = 1_000n
/** A channel that carries less than 1,000 sat at a time is none. */
const LOWEST_IN_FLIGHT_MSAT = 1_000_000n

/** What peers accept at most, as we do. */
export const MOST_DEPTH = 144
/** Of a block after the halving of 2028. */
const SUBSIDY_SAT = 156_250_000

/**
 * Confirmations that we ask of a channel which a peer opens. Whoever undoes its funding once it has been spent gets the capacity for as
 * many blocks, so that a large one waits until their subsidies are worth more than it.
 * @source BOLT 2 §the-accept_channel-message
 */
export function depthFor(
  capacitySat: Sat,
  { minimumDepth, largeMinimumDepth }: Pick<ChannelPolicy, 'minimumDepth' | 'largeMinimumDepth'>,
): number {
  if (largeMinimumDepth === undefined || capacitySat < LARGE_SAT) return minimumDepth
  const worth = Math.ceil(Number(capacitySat) / SUBSIDY_SAT)
  return Math.max(minimumDepth, Math.min(MOST_DEPTH, Math.max(largeMinimumDepth, worth)))
}

/** What we declare in open_channel and accept_channel. */
export function ourSide(capacitySat: Sat, ctx: ChannelContext): SideParams {
  const { policy, signer } = ctx
  const share = (capacitySat * BigInt(policy.reserveMillionths)) / 1_000_000n
  const inFlight = (satToMsat(capacitySat) * BigInt(policy.maxHtlcValueInFlightMillionths)) / 1_000_000n
  const least = policy.dustLimitSat > LOWEST_RESERVE_SAT ? policy.dustLimitSat : LOWEST_RESERVE_SAT
  return {
    dustLimitSat: policy.dustLimitSat,
    maxHtlcValueInFlightMsat: (inFlight > LOWEST_IN_FLIGHT_MSAT ? inFlight : LOWEST_IN_FLIGHT_MSAT) as Msat,
    channelReserveSat: (share > least ? share : least) as Sat,
    htlcMinimumMsat: policy.htlcMinimumMsat,
    toSelfDelay: policy.toSelfDelay,
    maxAcceptedHtlcs: policy.maxAcceptedHtlcs,
    basepoints: signer.basepoints,
    upfrontShutdownScript: null,
  }
}

/** What the peer declared. An empty shutdown script commits to none. */
function theirSide(m: OpenChannel | AcceptChannel): SideParams {
  const script = m.upfrontShutdownScript
  return {
    dustLimitSat: m.dustLimitSatoshis,
    maxHtlcValueInFlightMsat: m.maxHtlcValueInFlightMsat,
    channelReserveSat: m.channelReserveSatoshis,
    htlcMinimumMsat: m.htlcMinimumMsat,
    toSelfDelay: m.toSelfDelay,
    maxAcceptedHtlcs: m.maxAcceptedHtlcs,
    basepoints: {
      fundingPubkey: m.fundingPubkey,
      revocationBasepoint: m.revocationBasepoint,
      paymentBasepoint: m.paymentBasepoint,
      delayedPaymentBasepoint: m.delayedPaymentBasepoint,
      htlcBasepoint: m.htlcBasepoint,
    },
    upfrontShutdownScript: script === undefined || script.length === 0 ? null : script,
  }
}

/** The fields that both messages have, as we send them. */
export const declared = (side: SideParams, firstPoint: Uint8Array) => ({
  dustLimitSatoshis: side.dustLimitSat,
  maxHtlcValueInFlightMsat: side.maxHtlcValueInFlightMsat,
  channelReserveSatoshis: side.channelReserveSat,
  htlcMinimumMsat: side.htlcMinimumMsat,
  toSelfDelay: side.toSelfDelay,
  maxAcceptedHtlcs: side.maxAcceptedHtlcs,
  ...side.basepoints,
  firstPerCommitmentPoint: firstPoint,
  upfrontShutdownScript: new Uint8Array(0),
})

const OPEN = 'BOLT 2 §the-open_channel-message'
const ACCEPT = 'BOLT 2 §the-accept_channel-message'

/** Whether we may ask for this channel. */
export function judgeOpen(p: OpenParams, local: SideParams, ctx: ChannelContext): Judged<null> {
  const { policy } = ctx
  const bad = (requirement: string, detail: string) =>
    refuse('UNACCEPTABLE_PARAMETERS', `${OPEN}: ${requirement}`, detail)
  if (p.capacitySat < policy.minFundingSat || p.capacitySat > policy.maxFundingSat) {
    return bad('funding_satoshis is within limits', `choose ${policy.minFundingSat} to ${policy.maxFundingSat} sat`)
  }
  if (p.capacitySat >= LARGE_SAT && !hasFeature(p.theirFeatures, 'option_support_large_channel')) {
    return bad('both sides support large channels', `the peer does not; choose less than ${LARGE_SAT} sat`)
  }
  if (p.channelType === 'anchors' && !hasFeature(p.theirFeatures, 'option_anchors')) {
    return bad('the channel type was negotiated', 'the peer has no anchors; choose static_remotekey')
  }
  return firstCommitment({ ...p, isOpener: true }, [local], bad)
}

type Bad = (requirement: string, detail: string) => ReturnType<typeof fail>
type Funds = Pick<Proposal, 'capacitySat' | 'pushMsat' | 'feeratePerKw' | 'channelType' | 'isOpener'>

/** Both first commitments can be made: the opener pays the fee, and one side keeps more than the reserve. */
function firstCommitment(p: Funds, sides: readonly SideParams[], bad: Bad): Judged<null> {
  const capacityMsat = satToMsat(p.capacitySat)
  if (p.pushMsat > capacityMsat) return bad('push_msat is at most funding_satoshis', `${p.pushMsat} msat`)
  const opener = msatToSatFloor((capacityMsat - p.pushMsat) as Msat) - commitCost(p.feeratePerKw, 0, p.channelType)
  if (opener < 0n) {
    const cure = p.isOpener ? ': push less, or open a larger channel' : ''
    return bad('the opener can pay the fee of the first commitment', `${-opener} sat are missing${cure}`)
  }
  const accepter = msatToSatFloor(p.pushMsat)
  for (const { channelReserveSat } of sides) {
    if (opener <= channelReserveSat && accepter <= channelReserveSat) {
      return bad('a side keeps more than the reserve', `${opener} and ${accepter} sat, reserve ${channelReserveSat}`)
    }
  }
  return ok(null)
}

/** What holds for both messages. */
function judgeSide(
  side: SideParams,
  firstPoint: Uint8Array,
  capacitySat: Sat,
  ctx: ChannelContext,
  bad: Bad,
): Judged<null> {
  const { policy, signer } = ctx
  if (side.toSelfDelay > policy.maxToSelfDelay) {
    return bad('to_self_delay is reasonable', `${side.toSelfDelay} blocks, we accept ${policy.maxToSelfDelay}`)
  }
  if (side.maxAcceptedHtlcs > MOST_HTLCS || side.maxAcceptedHtlcs === 0) {
    return bad(`max_accepted_htlcs is 1 to ${MOST_HTLCS}`, `${side.maxAcceptedHtlcs}`)
  }
  const points = [...Object.values(side.basepoints), firstPoint] as Uint8Array[]
  if (!points.every((p) => crypto.isValidPublicKey(p))) return bad('all keys are points on the curve', 'one is not')
  const ours = Object.values(signer.basepoints) as Uint8Array[]
  // Scripts tell whose an output is.
  if (points.some((p) => ours.some((o) => equalBytes(o, p)))) return bad('all keys are the own ones', 'one is ours')
  if (side.dustLimitSat < LOWEST_DUST_SAT || side.dustLimitSat > HIGHEST_DUST_SAT) {
    return bad(
      'dust_limit_satoshis is reasonable',
      `${side.dustLimitSat}, we accept ${LOWEST_DUST_SAT} to ${HIGHEST_DUST_SAT}`,
    )
  }
  if (side.channelReserveSat > capacitySat / 5n) {
    return bad('channel_reserve_satoshis is not too large', `${side.channelReserveSat} of ${capacitySat} sat`)
  }
  if (side.htlcMinimumMsat > satToMsat(capacitySat) / 10n) {
    return bad('htlc_minimum_msat is not too large', `${side.htlcMinimumMsat} of ${capacitySat} sat`)
  }
  if (side.maxHtlcValueInFlightMsat < side.htlcMinimumMsat || side.maxHtlcValueInFlightMsat < LOWEST_IN_FLIGHT_MSAT) {
    return bad('max_htlc_value_in_flight_msat is not too small', `${side.maxHtlcValueInFlightMsat}`)
  }
  const script = side.upfrontShutdownScript
  if (script !== null && !isPeersShutdownScript(script, anyForm)) {
    return bad('upfront_shutdown_script has a form that shutdown may use', 'it has not')
  }
  return ok(null)
}
/** The form alone is judged here; `shutdown` itself is held against what is negotiated. */
const anyForm = featuresFromBits([FEATURES.option_shutdown_anysegwit.bit, FEATURES.option_simple_close.bit])

export interface JudgedOpen {
  readonly channelType: ChannelTypeName
  readonly remote: SideParams
}

/** @source BOLT 2 §the-open_channel-message: receiving node */
export function judgeOpenMessage(m: OpenChannel, local: SideParams, ctx: ChannelContext): Judged<JudgedOpen> {
  const { policy } = ctx
  const bad: Bad = (requirement, detail) => fail('UNACCEPTABLE_PARAMETERS', `${OPEN}: ${requirement}`, detail)
  if (!equalBytes(m.chainHash, ctx.chainHash)) return bad('chain_hash is of our chain', 'it is of another')
  if (m.fundingSatoshis < policy.minFundingSat || m.fundingSatoshis > policy.maxFundingSat) {
    return bad(
      'funding_satoshis is within our limits',
      `we accept ${policy.minFundingSat} to ${policy.maxFundingSat} sat`,
    )
  }
  const channelType = m.channelType === undefined ? null : decodeChannelType(m.channelType)
  if (channelType === null)
    return bad('channel_type is there and one that we support', 'use anchors or static_remotekey')
  if (!acceptableFeerate(m.feeratePerKw, channelType, ctx)) {
    const detail = `${m.feeratePerKw} sat per kw, while our estimate is ${ctx.feerates.commitment}`
    return fail('UNACCEPTABLE_FEERATE', `${OPEN}: feerate_per_kw is neither too small nor unreasonably large`, detail)
  }
  const remote = theirSide(m)
  const side = judgeSide(remote, m.firstPerCommitmentPoint, m.fundingSatoshis, ctx, bad)
  if (!side.ok) return side
  if (remote.dustLimitSat > remote.channelReserveSat || local.dustLimitSat > remote.channelReserveSat) {
    return bad('channel_reserve_satoshis is at least both dust limits', `${remote.channelReserveSat}`)
  }
  const { fundingSatoshis: capacitySat, pushMsat, feeratePerKw } = m
  const first = firstCommitment(
    { capacitySat, pushMsat, feeratePerKw, channelType, isOpener: false },
    [remote, local],
    bad,
  )
  return first.ok ? ok({ channelType, remote }) : first
}

/** @source BOLT 2 §the-accept_channel-message: receiver */
export function judgeAccept(m: AcceptChannel, proposal: Proposal, ctx: ChannelContext): Judged<SideParams> {
  const bad: Bad = (requirement, detail) => fail('UNACCEPTABLE_PARAMETERS', `${ACCEPT}: ${requirement}`, detail)
  const type = m.channelType === undefined ? null : decodeChannelType(m.channelType)
  if (type !== proposal.channelType)
    return bad('channel_type is the one of open_channel', `we asked for ${proposal.channelType}`)
  if (m.minimumDepth > MOST_DEPTH) return bad('minimum_depth is reasonable', `${m.minimumDepth} blocks`)
  const remote = theirSide(m)
  const side = judgeSide(remote, m.firstPerCommitmentPoint, proposal.capacitySat, ctx, bad)
  if (!side.ok) return side
  const { local } = proposal
  if (remote.channelReserveSat < local.dustLimitSat || remote.channelReserveSat < remote.dustLimitSat) {
    return bad('channel_reserve_satoshis is at least both dust limits', `${remote.channelReserveSat}`)
  }
  if (local.channelReserveSat < remote.dustLimitSat) {
    return bad('dust_limit_satoshis is at most the reserve of open_channel', `${remote.dustLimitSat}`)
  }
  const first = firstCommitment(proposal, [remote, local], bad)
  return first.ok ? ok(remote) : first
}
