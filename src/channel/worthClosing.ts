import type { Sat } from '../base/units.ts'
import { FEERATE_FLOOR } from '../bitcoin/policy.ts'
import type { Direction } from './htlc.ts'
import { CHILD_WEIGHT } from './onchain/anchor.ts'
import { DELAYED_SWEEP_WEIGHT, LEAST_LEFT_SAT } from './onchain/claims.ts'
import { stageWeight } from './onchain/stages.ts'
import { slowFeerate } from './onchain/urgency.ts'
import type { Channel } from './state.ts'
import { anchorsCost, commitFee, commitmentWeight, feeOf } from './tx/weights.ts'
import type { ChannelContext } from './types.ts'

type FeeContext = Pick<ChannelContext, 'feerates' | 'blockHeight'>

/** Of an HTLC that has an output. */
export interface HtlcValue {
  readonly direction: Direction
  readonly amountSat: Sat
}

/**
 * What is left of an HTLC in our commitment after its transaction, which without anchors has its fee already, and a sweep of its own
 * for that one's output; 0 when nodes would not relay so little.
 * @source BOLT 5 §unilateral-close-handling-local-commitment-transaction
 */
function leftOf({ params, commitments }: Channel, htlc: HtlcValue, now: number, later: number): bigint {
  const { channelType } = params
  const tag = htlc.direction === 'out' ? 'htlc-timeout' : 'htlc-success'
  const feerate = channelType === 'anchors' ? now : commitments.local.feeratePerKw
  const left = htlc.amountSat - feeOf(stageWeight({ tag, channelType }), feerate) - feeOf(DELAYED_SWEEP_WEIGHT, later)
  return left < LEAST_LEFT_SAT ? 0n : left
}

/** Whether an HTLC in our commitment is worth its own claim by the estimates. */
export const isWorthClaiming = (channel: Channel, htlc: HtlcValue, ctx: Pick<FeeContext, 'feerates'>): boolean =>
  leftOf(channel, htlc, ctx.feerates.claim, slowFeerate(ctx)) > 0n

/**
 * What a close by force costs by the estimates, whoever pays for it, since a channel in its place costs as much: our commitment, with
 * the child that raises its feerate to the estimate, and the sweep of our balance.
 * @param worthClaiming HTLCs that it is about; each counts as an output, in whichever commitment it stands by now
 */
function closeCost({ params, commitments }: Channel, worthClaiming: number, ctx: FeeContext): bigint {
  const { channelType } = params
  const outputs = Math.max(commitments.next.local.untrimmed, worthClaiming)
  const own = commitFee(commitments.local.feeratePerKw, outputs, channelType)
  const child = channelType === 'anchors' ? CHILD_WEIGHT : 0
  const raised = feeOf(commitmentWeight(outputs, channelType) + child, ctx.feerates.claim)
  const commitment = (own > raised ? own : raised) + anchorsCost(channelType)
  return commitment + feeOf(DELAYED_SWEEP_WEIGHT, slowFeerate(ctx))
}

/**
 * Whether to close a channel over HTLCs that the peer does not settle in time: one of them is worth its own claim by the estimates, or all together hold more
 * than the close costs, and the claims once fees are at their lowest, for which those can wait on chain. HTLCs that hold no more beyond
 * such a claim than their outputs cost the commitment never close a channel, however many there are.
 */
export function isWorthClosing(channel: Channel, late: readonly HtlcValue[], ctx: FeeContext): boolean {
  if (late.some((htlc) => isWorthClaiming(channel, htlc, ctx))) return true
  const pile = late.map((h) => leftOf(channel, h, FEERATE_FLOOR, FEERATE_FLOOR)).filter((left) => left > 0n)
  return pile.reduce((sum, left) => sum + left, 0n) > closeCost(channel, pile.length, ctx)
}
