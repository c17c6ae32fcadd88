import type { Sat } from '../../base/units.ts'
import { FEERATE_CEILING, FEERATE_FLOOR } from '../../bitcoin/policy.ts'
import type { HtlcAdd } from '../htlc.ts'
import { getHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import type { ChannelContext } from '../types.ts'
import type { ClosedOutput } from './types.ts'

/** What a transaction is for: how much is lost, and at which height that begins, when it does not confirm. */
export interface Stake {
  readonly valueSat: Sat
  /** Null: nobody else can take it, only time is lost. */
  readonly deadline: number | null
}

type FeeContext = Pick<ChannelContext, 'blockHeight' | 'feerates'>
type ExpiryContext = Pick<ChannelContext, 'incomingExpiry' | 'policy'>

/** Of what is at stake, this much may go to fees. */
const BUDGET_PERCENT = 50n
/** Blocks before a deadline from which the feerate leaves the estimates behind and climbs towards what the budget allows. */
export const URGENT_BLOCKS = 18
export const isUrgent = (deadline: number, { blockHeight }: Pick<FeeContext, 'blockHeight'>): boolean =>
  deadline - blockHeight <= URGENT_BLOCKS
/** Up to here the deadline asks for the estimate of the soonest confirmation, up to there for that of the same day. */
const SOON_BLOCKS = 12
const PATIENT_BLOCKS = 72
/** BIP 125 rule 4: what a replacement pays beyond the replaced, sat per 1,000 weight units, rounding included. */
export const REPLACEMENT_STEP = 253

/** The most that may be paid to save a value. */
export const budgetOf = (valueSat: Sat, percent = BUDGET_PERCENT): Sat => ((valueSat * percent) / 100n) as Sat

/** What nobody races for. */
export const slowFeerate = ({ feerates }: Pick<FeeContext, 'feerates'>): number => feerates.slow ?? feerates.claim

/** The estimate for a confirmation within so many blocks; null: whenever. */
export function estimateFor(blocksLeft: number | null, ctx: FeeContext): number {
  const { claim, closing } = ctx.feerates
  const slow = slowFeerate(ctx)
  if (blocksLeft === null || blocksLeft > 2 * PATIENT_BLOCKS) return slow
  if (blocksLeft > PATIENT_BLOCKS) return Math.max(slow, Math.min(closing, claim))
  return blocksLeft > SOON_BLOCKS * 2 ? Math.min(closing, claim) : claim
}

/** The same for a confirmation by a height. */
export const estimateBy = (deadline: number | null, ctx: FeeContext): number =>
  estimateFor(deadline === null ? null : deadline - ctx.blockHeight, ctx)

/** What fees are to be paid: the weight that they are for, and the part that is paid already. */
export interface Bill {
  readonly weight: number
  readonly budgetSat: Sat
  /** By a transaction that is helped along. */
  readonly paidSat?: Sat
}

/** The highest feerate that stays within the budget, sat per 1,000 weight units; may be lower than what nodes relay. */
export function ceilingOf({ weight, budgetSat, paidSat = 0n as Sat }: Bill): number {
  const most = ((budgetSat + paidSat) * 1000n) / BigInt(Math.max(1, weight))
  return most > FEERATE_CEILING ? FEERATE_CEILING : Number(most)
}

/**
 * The feerate for what has a deadline: the estimates' as long as there is time, from there on more with every block, and all that the
 * budget allows at the deadline. Most of the rise comes late: a block that is full now may be followed by an empty one.
 * @returns sat per 1,000 weight units, never above `ceilingOf(bill)`
 */
export function feerateFor(deadline: number | null, bill: Bill, ctx: FeeContext): number {
  const left = deadline === null ? null : deadline - ctx.blockHeight
  const estimate = Math.max(FEERATE_FLOOR, estimateFor(left, ctx))
  const ceiling = ceilingOf(bill)
  if (left === null || left >= URGENT_BLOCKS || estimate >= ceiling) return Math.min(estimate, ceiling)
  const pressed = (URGENT_BLOCKS - Math.max(0, left)) / URGENT_BLOCKS
  return Math.min(ceiling, Math.ceil(estimate * (ceiling / estimate) ** (pressed ** 3)))
}

/** What a fee must at least change by, in percent of the old one, to be worth a new transaction. */
const WORTH_RAISING = 105

/** A feerate that replaces another by BIP 125; null when it is too near to it, or beyond the ceiling. */
export function raised(feeratePerKw: number, wanted: number, ceiling: number): number | null {
  if (wanted * 100 < feeratePerKw * WORTH_RAISING) return null
  const next = Math.max(wanted, feeratePerKw + REPLACEMENT_STEP)
  return next <= ceiling ? next : null
}

// ---------------------------------------------------------------- deadlines

/** Before the expiry of what a forward came by: by then it goes back, since its peer closes the channel soon. */
export const FAIL_UPSTREAM_BLOCKS = 6
/** Blocks from the expiry of an HTLC that we forwarded within which it is claimed, however late the one that it came by expires. */
const MOST_CLAIM_BLOCKS = 34
/** The same where there is no time for it: half of the value is not to go to fees at once. */
const LEAST_CLAIM_BLOCKS = 6
/** For a payment of our own nothing waits upstream: it should merely be over some day. */
const OWN_PAYMENT_BLOCKS = 144

/**
 * The height at which the peer may take an output, or at which its delay costs us money elsewhere; null when neither will ever be.
 * @source BOLT 2 §cltv_expiry_delta-selection, BOLT 5
 */
export function deadlineOf(channel: Channel, output: ClosedOutput, ctx: ExpiryContext): number | null {
  const { spend, htlc, since } = output
  switch (spend.tag) {
    case 'delayed':
    case 'to-remote':
      return null
    case 'claim-preimage':
    case 'htlc-success':
      return spend.cltvExpiry
    case 'claim-timeout':
    case 'htlc-timeout':
      return timeoutDeadline(channel, { cltvExpiry: spend.cltvExpiry, since, origin: originOf(channel, htlc) }, ctx)
    case 'penalty':
      // HTLC outputs too: what the peer's HTLC transaction makes of one can be punished for as long again.
      return since === null ? null : since + channel.params.local.toSelfDelay
  }
}

const originOf = ({ commitments }: Channel, htlc: ClosedOutput['htlc']): HtlcAdd['origin'] =>
  htlc === null || htlc.id === null ? null : (getHtlc(commitments.outgoing, htlc.id)?.add.origin ?? null)

/**
 * The height at which an HTLC that we offered should be over, where its output has been in the chain since some height: a node that was away
 * past the expiry of its own payment has no more haste with it than one that was there.
 */
export function timeoutDeadline(
  channel: Channel,
  offer: Pick<HtlcAdd, 'cltvExpiry' | 'origin'> & Pick<ClosedOutput, 'since'>,
  ctx: ExpiryContext,
): number {
  const due = offerDeadline(channel, offer, ctx)
  return offer.origin?.tag === 'payment' ? Math.max(due, (offer.since ?? 0) + OWN_PAYMENT_BLOCKS) : due
}

/**
 * The same by its expiry alone: of a forward, so long before the one that it came by expires that this can be claimed with a preimage which
 * the peer shows until then, and that the claim is deep enough afterwards to fail it. Where that is gone, neither needs time.
 */
export function offerDeadline(
  channel: Channel,
  offer: Pick<HtlcAdd, 'cltvExpiry' | 'origin'>,
  ctx: ExpiryContext,
): number {
  const { cltvExpiry, origin } = offer
  if (origin?.tag === 'payment') return cltvExpiry + OWN_PAYMENT_BLOCKS
  const { closeBeforeExpiry, htlcFailDepth } = ctx.policy
  const isGone = cameByExpiry(offer, ctx) === null
  const after = isGone ? FAIL_UPSTREAM_BLOCKS : Math.max(closeBeforeExpiry, htlcFailDepth + FAIL_UPSTREAM_BLOCKS)
  const blocks = upstreamExpiry(channel, offer, ctx) - cltvExpiry - after
  return cltvExpiry + Math.max(LEAST_CLAIM_BLOCKS, Math.min(blocks, MOST_CLAIM_BLOCKS))
}

/** The height at which an HTLC that costs more to claim than it holds is given up, though its peer can take it yet. */
export const letGoAt = (
  channel: Channel,
  offer: Pick<HtlcAdd, 'cltvExpiry' | 'origin'> & Pick<ClosedOutput, 'since'>,
  ctx: ExpiryContext,
): number =>
  offer.origin?.tag === 'payment'
    ? timeoutDeadline(channel, offer, ctx)
    : Math.max(offer.cltvExpiry + LEAST_CLAIM_BLOCKS, upstreamExpiry(channel, offer, ctx) - FAIL_UPSTREAM_BLOCKS)

/** When the HTLC expires that a forward came by; where that is gone, by what the channel asks for: it may have been less at the time. */
const upstreamExpiry = (
  { relay }: Channel,
  offer: Pick<HtlcAdd, 'cltvExpiry' | 'origin'>,
  ctx: Pick<ExpiryContext, 'incomingExpiry'>,
): number => cameByExpiry(offer, ctx) ?? offer.cltvExpiry + relay.cltvExpiryDelta

/** Null for a payment of our own, and where what the forward came by is gone. */
export const cameByExpiry = (
  { origin }: Pick<HtlcAdd, 'origin'>,
  { incomingExpiry }: Pick<ExpiryContext, 'incomingExpiry'>,
): number | null =>
  origin?.tag === 'forward' && incomingExpiry ? incomingExpiry(origin.channelId, origin.htlcId) : null
