import { ok } from '../base/result.ts'
import { type Msat, sat, satToMsat } from '../base/units.ts'
import { type Judged, refuse, warn } from './faults.ts'
import { type Direction, stands } from './htlc.ts'
import { eachHtlc } from './htlcTable.ts'
import type { Channel, Totals } from './state.ts'
import { leastWithOutput, localMsat, remoteMsat, trimmedIn } from './totals.ts'
import { anchorsCost, commitCost, commitFee, htlcSuccessFee } from './tx/weights.ts'
import type { ChannelContext, ChannelTypeName } from './types.ts'

/** From here on an expiry would be a time and not a height. @source BOLT 2 §adding-an-htlc */
const FIRST_TIME = 500_000_000
const ADDING = 'BOLT 2 §adding-an-htlc'

interface Offer {
  readonly amountMsat: Msat
  readonly cltvExpiry: number
}

/** What the opener pays for a commitment with one more HTLC, in msat. */
const costMsat = (channel: Channel, feeratePerKw: number, untrimmed: number): bigint =>
  satToMsat(commitCost(feeratePerKw, untrimmed, channel.params.channelType))

/** The lowest over all fundings: an update must be valid for each (BOLT 2 §adding-an-htlc, pending splices). */
const lowest = (channel: Channel, of: (base: Channel['commitments']['active'][number]) => bigint): bigint =>
  channel.commitments.active.reduce((least, c) => (of(c) < least ? of(c) : least), of(channel.commitments.active[0]!))

/** Balances beside the HTLCs, msat: the lowest that any of the active commitments has. */
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
  const next = channel.commitments.next.remote
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
  if (overExposed(channel, 'out', amountMsat, ctx)) {
    const detail = `more than ${ctx.policy.maxDustExposureMsat} msat would have no output; try again when HTLCs are settled`
    return refuse('DUST_EXPOSURE', 'BOLT 2 §bounding-exposure-to-trimmed-in-flight-htlcs', detail)
  }
  if (fallsBehind(channel, ctx)) {
    const detail = `our estimate is ${ctx.feerates.commitment} sat per kw, that of the channel ${next.feeratePerKw}; try again when its opener has raised it`
    return refuse('UNACCEPTABLE_FEERATE', 'BOLT 2 §updating-fees: a commitment can be processed in time', detail)
  }
  return judgeOfferFunds(channel, amountMsat)
}

/**
 * msat of incoming HTLCs that are fulfilled while we have yet to sign that. They are ours in the peer's next commitment, but LDK
 * counts them only with our commitment_signed, and fails the channel for an update_add_htlc before it that cannot do without.
 */
export function notYetOurs({ commitments }: Channel): bigint {
  let sum = 0n
  for (const { stage, removal, add } of eachHtlc(commitments.incoming))
    if (stage === 'removing' && removal?.tag === 'fulfilled') sum += add.amountMsat
  return sum
}

function judgeOfferFunds(channel: Channel, amountMsat: Msat): Judged<null> {
  const { params } = channel
  const next = channel.commitments.next.remote
  const reserve = satToMsat(params.remote.channelReserveSat)
  const has = localBalance(channel, next) - notYetOurs(channel)
  const mine = has - amountMsat - reserve - (params.isOpener ? openerBuffer(channel) : 0n)
  if (mine < 0n) {
    const detail = `${-mine} msat are missing beside the reserve${params.isOpener ? ' and the fee buffer' : ''}; send less`
    return refuse('INSUFFICIENT_BALANCE', `${ADDING}: the sender keeps its reserve and can pay the fee`, detail)
  }
  if (params.isOpener) return ok(null)
  const lacking = lackingForFee(channel, amountMsat)
  if (lacking <= 0n) return ok(null)
  const detail = `the peer, who pays it, lacks ${lacking} msat; try again when HTLCs are settled`
  return refuse('INSUFFICIENT_BALANCE', `${ADDING}: the opener can pay the fee with the HTLC added`, detail)
}

type NextView = 'nextLocal' | 'nextRemote'
const totalsOf = ({ commitments }: Channel, view: NextView): Totals =>
  view === 'nextLocal' ? commitments.next.local : commitments.next.remote

/** msat that the opener lacks for the fee of a commitment with one more output, beside its reserve. */
function openerLacks(channel: Channel, view: NextView): bigint {
  const { isOpener, local: ours, remote: theirs } = channel.params
  const { local, remote } = channel.commitments.next
  const t = totalsOf(channel, view)
  const untrimmed = Math.max(local.untrimmed, remote.untrimmed) + 1
  const [reserveSat, has] = isOpener
    ? [theirs.channelReserveSat, localBalance(channel, t)]
    : [ours.channelReserveSat, remoteBalance(channel, t)]
  return costMsat(channel, t.feeratePerKw, untrimmed) + satToMsat(reserveSat) - has
}

/**
 * msat that the peer, who opened the channel, lacks for the fee of either commitment with one more HTLC of ours. Each has a dust limit
 * and a feerate of its own: one in which the HTLC gets no output does not grow, whatever the other does.
 * @source BOLT 2 §adding-an-htlc
 */
function lackingForFee(channel: Channel, amountMsat: Msat): bigint {
  const lackingIn = (view: NextView): bigint =>
    trimmedIn(channel.params, view, { amountMsat, direction: 'out' }, totalsOf(channel, view).feeratePerKw)
      ? 0n
      : openerLacks(channel, view)
  const [ours, theirs] = [lackingIn('nextLocal'), lackingIn('nextRemote')]
  return ours > theirs ? ours : theirs
}

/**
 * How much one HTLC of the side that did not open the channel may be, in msat, so that the opener can pay for it: less than gets an output
 * where that lacks the fee of one.
 */
export function payableByOpener(channel: Channel, direction: Direction, mostMsat: bigint): bigint {
  const mostIn = (view: NextView, most: bigint): bigint => {
    if (openerLacks(channel, view) <= 0n) return most
    const trimmed =
      satToMsat(leastWithOutput(channel.params, view, direction, totalsOf(channel, view).feeratePerKw)) - 1n
    return trimmed < most ? trimmed : most
  }
  return mostIn('nextLocal', mostIn('nextRemote', mostMsat))
}

/** Without an output in one of the next commitments, at their feerates or at another. */
const isDust = (channel: Channel, direction: Direction, amountMsat: Msat, atFeerate?: number): boolean => {
  const { params, commitments } = channel
  const { local, remote } = commitments.next
  const htlc = { amountMsat, direction }
  return (
    trimmedIn(params, 'nextRemote', htlc, atFeerate ?? remote.feeratePerKw) ||
    trimmedIn(params, 'nextLocal', htlc, atFeerate ?? local.feeratePerKw)
  )
}

/**
 * msat of all HTLCs, ours and the peer's, that are to stand in a commitment and lack an output in one. Counted over both commitments
 * together: what is under way from one to the other at the same time meets in the end.
 */
function dustExposure(channel: Channel, atFeerate?: number): bigint {
  const { outgoing, incoming } = channel.commitments
  let sum = 0n
  for (const direction of ['out', 'in'] as const) {
    for (const htlc of eachHtlc(direction === 'out' ? outgoing : incoming)) {
      const is = stands(htlc, direction, 'nextLocal') || stands(htlc, direction, 'nextRemote')
      if (is && isDust(channel, direction, htlc.add.amountMsat, atFeerate)) sum += htlc.add.amountMsat
    }
  }
  return sum
}

/** sat per 1,000 weight units of the peer's feerate beyond every estimate of ours; 0 where we set it. */
const excessRate = ({ params }: Channel, feeratePerKw: number, { feerates }: ChannelContext): number =>
  params.isOpener ? 0 : Math.max(0, feeratePerKw - Math.max(NEVER_TOO_HIGH, feerates.commitment, feerates.claim))

/**
 * msat that a commitment with so many HTLC outputs pays at such an excess. It counts like what has no output: a peer that opened the
 * channel and mines takes the fee of an old commitment home, whosoever its money has become.
 */
const excessFee = ({ params }: Channel, excess: number, untrimmed: number): bigint =>
  excess === 0 ? 0n : satToMsat(commitFee(excess, untrimmed, params.channelType))

/** msat that our HTLC transactions would pay at it, without anchors out of the HTLCs themselves: up to the same limit. */
const excessOfClaims = ({ params }: Channel, excess: number, untrimmed: number): bigint =>
  BigInt(untrimmed) * satToMsat(htlcSuccessFee(excess, params.channelType))

/** Whether one more HTLC has us exposed beyond the limit. @source BOLT 2 §bounding-exposure-to-trimmed-in-flight-htlcs */
function overExposed(channel: Channel, direction: Direction, amountMsat: Msat, ctx: ChannelContext): boolean {
  const { local, remote } = channel.commitments.next
  const dustMsat = isDust(channel, direction, amountMsat) ? amountMsat : 0n
  const untrimmed = Math.max(local.untrimmed, remote.untrimmed) + (dustMsat > 0n ? 0 : 1)
  const most = ctx.policy.maxDustExposureMsat
  const excess = excessRate(channel, Math.max(local.feeratePerKw, remote.feeratePerKw), ctx)
  if (excessOfClaims(channel, excess, untrimmed) > most) return true
  const more = dustMsat + excessFee(channel, excess, untrimmed)
  if (more === 0n) return false
  // The running sums tell at once where there is room: all are looked through only near the limit.
  if (local.dustMsat + remote.dustMsat + more <= most) return false
  return dustExposure(channel) + more > most
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

/** Whether an incoming HTLC is taken, as it has to be, but to be failed. @source BOLT 2 §bounding-exposure */
export const isTooRisky = (channel: Channel, amountMsat: Msat, ctx: ChannelContext): boolean =>
  overExposed(channel, 'in', amountMsat, ctx) || fallsBehind(channel, ctx)

const FEE = 'BOLT 2 §updating-fees'

/**
 * What would be the miner's at a higher feerate, in msat, where that is beyond the limit: it takes the outputs of HTLCs that had one
 * when they were added, and pays more than commitments need. Null where all is well, as with a lower one, which gives outputs back.
 */
const overExposure = (after: Channel, feeratePerKw: number, ctx: ChannelContext): bigint | null => {
  const { params, commitments } = after
  const { local, remote, next } = commitments
  if (feeratePerKw <= Math.min(local.feeratePerKw, remote.feeratePerKw)) return null
  const untrimmed = Math.max(next.local.untrimmed, next.remote.untrimmed)
  const excess = excessRate(after, feeratePerKw, ctx)
  const claims = excessOfClaims(after, excess, untrimmed)
  if (claims > ctx.policy.maxDustExposureMsat) return claims
  const fee = excessFee(after, excess, untrimmed)
  // With anchors the feerate trims nothing.
  if (params.channelType === 'anchors' && fee === 0n) return null
  const exposed = dustExposure(after, feeratePerKw) + fee
  return exposed > ctx.policy.maxDustExposureMsat ? exposed : null
}

/** msat that we, as the opener, have beside our reserve and the fee of the peer's next commitment with one more HTLC; less than 0: lack. */
export function leftAfterFee(channel: Channel): bigint {
  const { params, commitments } = channel
  const { local, remote } = commitments.next
  const untrimmed = Math.max(local.untrimmed, remote.untrimmed)
  const cost = costMsat(channel, remote.feeratePerKw, untrimmed + 1)
  return localBalance(channel, remote) - satToMsat(params.remote.channelReserveSat) - cost
}

/**
 * Whether we may set another feerate.
 * @param after the channel with the update in it
 * @source BOLT 2 §updating-fees: sending node
 */
export function judgeFee(after: Channel, ctx: ChannelContext): Judged<null> {
  const { remote } = after.commitments.next
  const left = leftAfterFee(after)
  if (left < 0n) {
    const detail = `${-left} msat are missing for ${remote.feeratePerKw} sat per kw`
    return refuse('INSUFFICIENT_BALANCE', `${FEE}: the sender can pay the fee`, detail)
  }
  const exposed = overExposure(after, remote.feeratePerKw, ctx)
  if (exposed !== null) {
    const detail = `${exposed} msat of HTLCs would have no output; try again when some are settled`
    return refuse('DUST_EXPOSURE', `${FEE}: the HTLCs without output stay below max_dust_htlc_exposure_msat`, detail)
  }
  return ok(null)
}

/** sat per 1,000 weight units: what nodes relay at least, and what is never too much, however low our estimate is (10 sat per vbyte). */
const LEAST_FEERATE = 253
const NEVER_TOO_HIGH = 2_500

/**
 * The peer's feerate lies in what we find reasonable. With anchors none that nodes relay is too low: a child pays for what is missing,
 * and many nodes keep to a low rate. A disagreement about estimates is no reason to lose a channel.
 * @source BOLT 2 §updating-fees, §the-open_channel-message
 */
export const acceptableFeerate = (feeratePerKw: number, type: ChannelTypeName, ctx: ChannelContext): boolean =>
  !isTooLow(feeratePerKw, type, ctx) &&
  (feeratePerKw <= NEVER_TOO_HIGH ||
    feeratePerKw * 100 <= ctx.feerates.commitment * ctx.policy.feerateTolerancePercent.high)

const isTooLow = (feeratePerKw: number, type: ChannelTypeName, { feerates, policy }: ChannelContext): boolean =>
  feeratePerKw < LEAST_FEERATE ||
  (type !== 'anchors' && feeratePerKw * 100 < feerates.commitment * policy.feerateTolerancePercent.low)

/** Comes down towards our estimate: to refuse that would keep what is worse, and the channel useless. */
const comesDown = (feeratePerKw: number, before: number, { feerates }: ChannelContext): boolean =>
  feeratePerKw < before && feeratePerKw >= feerates.commitment

/**
 * Without anchors nothing helps a commitment into a block: one whose feerate estimates have left far behind could not be published in time
 * for an HTLC in it. Until its opener has raised it, such a channel gets no more of them.
 */
function fallsBehind({ params, commitments }: Channel, ctx: ChannelContext): boolean {
  const { local, remote } = commitments.next
  return isTooLow(Math.min(local.feeratePerKw, remote.feeratePerKw), params.channelType, ctx)
}

/**
 * Whether the peer may set another feerate. Its anchors may come out of its reserve: LDK leaves them out when it looks at what it can pay,
 * and sends such an update again in every connection that is ended over it.
 * @param after the channel with the update in it
 * @param before the feerate without it
 * @source BOLT 2 §updating-fees: receiving node
 */
export function judgeIncomingFee(after: Channel, before: number, ctx: ChannelContext): Judged<null> {
  const next = after.commitments.next.local
  const { feeratePerKw } = next
  if (!acceptableFeerate(feeratePerKw, after.params.channelType, ctx) && !comesDown(feeratePerKw, before, ctx)) {
    const detail = `${next.feeratePerKw} sat per kw, while our estimate is ${ctx.feerates.commitment}`
    return warn('UNACCEPTABLE_FEERATE', `${FEE}: the feerate is neither too low nor unreasonably large`, detail)
  }
  const cost = costMsat(after, next.feeratePerKw, next.untrimmed)
  const { channelReserveSat } = after.params.local
  const anchors = anchorsCost(after.params.channelType)
  const kept = channelReserveSat > anchors ? satToMsat(sat(channelReserveSat - anchors)) : 0n
  const left = remoteBalance(after, next) - kept - cost
  if (left < 0n) {
    const detail = `${-left} msat are missing for ${next.feeratePerKw} sat per kw`
    return warn('INSUFFICIENT_BALANCE', `${FEE}: the sender can pay the fee`, detail)
  }
  // Hung up on rather than closed over: both commitments stay as they are.
  const exposed = overExposure(after, next.feeratePerKw, ctx)
  if (exposed === null) return ok(null)
  const detail = `${exposed} msat would have no output, or be fee beyond our estimates, at ${next.feeratePerKw} sat per kw`
  return warn('DUST_EXPOSURE', `${FEE}: the HTLCs without output stay below max_dust_htlc_exposure_msat`, detail)
}
