import { ok } from '../base/result.ts'
import { type Msat, satToMsat } from '../base/units.ts'
import { type Judged, refuse, warn } from './faults.ts'
import type { Channel, Totals } from './state.ts'
import { localMsat, remoteMsat, trimmedIn } from './totals.ts'
import { anchorsCost, commitCost } from './tx/weights.ts'
import type { ChannelContext, ChannelPolicy } from './types.ts'

/** From here on an expiry would be a time and not a height. @source BOLT 2 §adding-an-htlc */
const FIRST_TIME = 500_000_000
const ADDING = 'BOLT 2 §adding-an-htlc'

interface Offer {
  readonly amountMsat: Msat
  readonly cltvExpiry: number
}

const max = (a: bigint, b: bigint): bigint => (b > a ? b : a)

/** What the opener pays for a commitment with one more HTLC, in msat. */
const costMsat = (channel: Channel, feeratePerKw: number, untrimmed: number): bigint =>
  satToMsat(commitCost(feeratePerKw, untrimmed, channel.params.channelType))

/** The lowest over all fundings: an update must be valid for each (BOLT 2 §adding-an-htlc, pending splices). */
const lowest = (channel: Channel, of: (base: Channel['commitments']['active'][number]) => bigint): bigint =>
  channel.commitments.active.reduce((least, c) => (of(c) < least ? of(c) : least), of(channel.commitments.active[0]!))

export const localBalance = (channel: Channel, t: Totals): bigint => lowest(channel, (c) => localMsat(c, t))
export const remoteBalance = (channel: Channel, t: Totals): bigint => lowest(channel, (c) => remoteMsat(c, t))

/**
 * What we must keep as the opener: the fee and the anchors of either commitment with one more HTLC, and at twice the feerate with
 * two more, so that neither a rise of fees nor the peer's own HTLCs get the channel stuck (the fee spike buffer).
 */
export function openerBuffer(channel: Channel): bigint {
  const { local, remote } = channel.commitments.next
  const untrimmed = Math.max(local.untrimmed, remote.untrimmed)
  return costMsat(channel, 2 * Math.max(local.feeratePerKw, remote.feeratePerKw), untrimmed + 2)
}

/** Whether we may offer an HTLC. @source BOLT 2 §adding-an-htlc: sending node */
export function judgeOffer(channel: Channel, offer: Offer, ctx: ChannelContext): Judged<null> {
  const { params } = channel
  const { remote: next, local: own } = channel.commitments.next
  const { amountMsat, cltvExpiry } = offer
  if (amountMsat <= 0n) return refuse('HTLC_LIMIT', `${ADDING}: amount_msat is more than 0`, 'send more than 0 msat')
  if (amountMsat < params.remote.htlcMinimumMsat) {
    const detail = `${amountMsat} is below the peer's ${params.remote.htlcMinimumMsat} msat; send more`
    return refuse('HTLC_LIMIT', `${ADDING}: amount_msat is at least the receiver's htlc_minimum_msat`, detail)
  }
  if (cltvExpiry >= FIRST_TIME) {
    return refuse('HTLC_LIMIT', `${ADDING}: cltv_expiry is below 500000000`, `${cltvExpiry} is not a block height`)
  }
  if (cltvExpiry <= ctx.blockHeight) {
    return refuse(
      'EXPIRY_TOO_SOON',
      `${ADDING}: cltv_expiry lies ahead`,
      `${cltvExpiry} is not above block ${ctx.blockHeight}`,
    )
  }
  if (next.outCount + 1 > params.remote.maxAcceptedHtlcs) {
    const detail = `${next.outCount} are pending already; try again when one is settled`
    return refuse('TOO_MANY_HTLCS', `${ADDING}: no more HTLCs than the peer's max_accepted_htlcs`, detail)
  }
  if (next.outMsat + amountMsat > params.remote.maxHtlcValueInFlightMsat) {
    const detail = `${next.outMsat} of ${params.remote.maxHtlcValueInFlightMsat} msat are pending already; send less`
    return refuse('HTLC_LIMIT', `${ADDING}: no more in flight than the peer's max_htlc_value_in_flight_msat`, detail)
  }
  const dust = max(own.dustMsat, next.dustMsat) + amountMsat
  if (isDust(channel, 'out', amountMsat) && dust > ctx.policy.maxDustExposureMsat) {
    const detail = `${dust} msat of HTLCs would have no output; try again when some are settled`
    return refuse('DUST_EXPOSURE', 'BOLT 2 §bounding-exposure-to-trimmed-in-flight-htlcs', detail)
  }
  return judgeOfferFunds(channel, amountMsat)
}

function judgeOfferFunds(channel: Channel, amountMsat: Msat): Judged<null> {
  const { params } = channel
  const next = channel.commitments.next.remote
  const reserve = satToMsat(params.remote.channelReserveSat)
  const mine = localBalance(channel, next) - amountMsat - reserve - (params.isOpener ? openerBuffer(channel) : 0n)
  if (mine < 0n) {
    const detail = `${-mine} msat are missing beside the reserve${params.isOpener ? ' and the fee buffer' : ''}; send less`
    return refuse('INSUFFICIENT_BALANCE', `${ADDING}: the sender keeps its reserve and can pay the fee`, detail)
  }
  if (params.isOpener) return ok(null)
  const theirs =
    remoteBalance(channel, next) -
    satToMsat(params.local.channelReserveSat) -
    costMsat(channel, next.feeratePerKw, Math.max(next.untrimmed, channel.commitments.next.local.untrimmed) + 1)
  if (theirs >= 0n || isDust(channel, 'out', amountMsat)) return ok(null)
  const detail = `the peer, who pays it, lacks ${-theirs} msat; try again when HTLCs are settled`
  return refuse('INSUFFICIENT_BALANCE', `${ADDING}: the opener can pay the fee with the HTLC added`, detail)
}

/** Without an output in both commitments. */
const isDust = (channel: Channel, direction: 'out' | 'in', amountMsat: Msat): boolean => {
  const { params, commitments } = channel
  const htlc = { amountMsat, direction }
  return (
    trimmedIn(params, 'nextRemote', htlc, commitments.next.remote.feeratePerKw) ||
    trimmedIn(params, 'nextLocal', htlc, commitments.next.local.feeratePerKw)
  )
}

/** Whether the peer may offer an HTLC. @source BOLT 2 §adding-an-htlc: receiving node */
export function judgeIncoming(channel: Channel, offer: Offer): Judged<null> {
  const { params } = channel
  const next = channel.commitments.next.local
  const { amountMsat, cltvExpiry } = offer
  if (amountMsat === 0n || amountMsat < params.local.htlcMinimumMsat) {
    const detail = `amount_msat is ${amountMsat}, our htlc_minimum_msat ${params.local.htlcMinimumMsat}`
    return warn('HTLC_LIMIT', `${ADDING}: amount_msat is more than 0 and at least htlc_minimum_msat`, detail)
  }
  if (cltvExpiry >= FIRST_TIME) {
    return warn('PROTOCOL_VIOLATION', `${ADDING}: cltv_expiry is below 500000000`, `cltv_expiry is ${cltvExpiry}`)
  }
  if (next.inCount + 1 > params.local.maxAcceptedHtlcs) {
    const detail = `this would be number ${next.inCount + 1} of ${params.local.maxAcceptedHtlcs}`
    return warn('TOO_MANY_HTLCS', `${ADDING}: no more HTLCs than max_accepted_htlcs`, detail)
  }
  if (next.inMsat + amountMsat > params.local.maxHtlcValueInFlightMsat) {
    const detail = `${next.inMsat + amountMsat} msat of ${params.local.maxHtlcValueInFlightMsat}`
    return warn('HTLC_LIMIT', `${ADDING}: no more in flight than max_htlc_value_in_flight_msat`, detail)
  }
  const untrimmed =
    next.untrimmed + (trimmedIn(params, 'nextLocal', { amountMsat, direction: 'in' }, next.feeratePerKw) ? 0 : 1)
  const cost = params.isOpener ? 0n : costMsat(channel, next.feeratePerKw, untrimmed)
  const theirs = remoteBalance(channel, next) - amountMsat - satToMsat(params.local.channelReserveSat) - cost
  if (theirs < 0n) {
    const detail = `${-theirs} msat are missing for amount_msat ${amountMsat}`
    return warn('INSUFFICIENT_BALANCE', `${ADDING}: the sender keeps its reserve and can pay the fee`, detail)
  }
  if (params.isOpener && localBalance(channel, next) < satToMsat(anchorsCost(params.channelType))) {
    return warn('INSUFFICIENT_BALANCE', `${ADDING}: the opener can pay the fee with the HTLC added`, 'we cannot')
  }
  return ok(null)
}

/** Whether an incoming HTLC exceeds our limit on dust: accepted, but to be failed. @source BOLT 2 §bounding-exposure */
export function exceedsDust(channel: Channel, amountMsat: Msat, policy: ChannelPolicy): boolean {
  const { local, remote } = channel.commitments.next
  return (
    isDust(channel, 'in', amountMsat) && max(local.dustMsat, remote.dustMsat) + amountMsat > policy.maxDustExposureMsat
  )
}

const FEE = 'BOLT 2 §updating-fees'

/**
 * Whether we may set another feerate.
 * @param after the channel with the update in it
 * @source BOLT 2 §updating-fees: sending node
 */
export function judgeFee(after: Channel, ctx: ChannelContext): Judged<null> {
  const { params, commitments } = after
  const { local, remote } = commitments.next
  const untrimmed = Math.max(local.untrimmed, remote.untrimmed)
  const cost = costMsat(after, remote.feeratePerKw, untrimmed + 1)
  const left = localBalance(after, remote) - satToMsat(params.remote.channelReserveSat) - cost
  if (left < 0n) {
    const detail = `${-left} msat are missing for ${remote.feeratePerKw} sat per kw`
    return refuse('INSUFFICIENT_BALANCE', `${FEE}: the sender can pay the fee`, detail)
  }
  if (params.channelType !== 'anchors' && remote.dustMsat > ctx.policy.maxDustExposureMsat) {
    const detail = `${remote.dustMsat} msat of HTLCs would have no output; try again when some are settled`
    return refuse('DUST_EXPOSURE', `${FEE}: the HTLCs without output stay below max_dust_htlc_exposure_msat`, detail)
  }
  return ok(null)
}

/** The peer's feerate lies in what we find reasonable. @source BOLT 2 §updating-fees, §the-open_channel-message */
export const acceptableFeerate = (feeratePerKw: number, ctx: ChannelContext): boolean => {
  const { low, high } = ctx.policy.feerateTolerancePercent
  const ours = ctx.feerates.commitment
  return feeratePerKw >= 253 && feeratePerKw * 100 >= ours * low && feeratePerKw * 100 <= ours * high
}

/**
 * Whether the peer may set another feerate.
 * @param after the channel with the update in it
 * @source BOLT 2 §updating-fees: receiving node
 */
export function judgeIncomingFee(after: Channel, ctx: ChannelContext): Judged<null> {
  const next = after.commitments.next.local
  if (!acceptableFeerate(next.feeratePerKw, ctx)) {
    const detail = `${next.feeratePerKw} sat per kw, while our estimate is ${ctx.feerates.commitment}`
    return warn('UNACCEPTABLE_FEERATE', `${FEE}: the feerate is neither too low nor unreasonably large`, detail)
  }
  const cost = costMsat(after, next.feeratePerKw, next.untrimmed)
  const left = remoteBalance(after, next) - satToMsat(after.params.local.channelReserveSat) - cost
  if (left >= 0n) return ok(null)
  const detail = `${-left} msat are missing for ${next.feeratePerKw} sat per kw`
  return warn('INSUFFICIENT_BALANCE', `${FEE}: the sender can pay the fee`, detail)
}
