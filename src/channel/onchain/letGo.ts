import { type HtlcAdd, shownPreimage } from '../htlc.ts'
import { getHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import { commitmentWeight, feeOf } from '../tx/weights.ts'
import { CHILD_WEIGHT } from './anchor.ts'
import { type ClaimContext, isTooDear, RESOLVED_DEPTH } from './plan.ts'
import type { ClosedOutput, OnchainState } from './types.ts'
import { cameByExpiry, letGoAt } from './urgency.ts'

/** What the peer may take of HTLCs that have been failed upstream, and nobody will miss: at once, and in each day after. */
const LITTLE_SAT = 1_000n
const DAY_BLOCKS = 144

/**
 * Whether an HTLC whose claim costs more than it holds is failed upstream though the peer can take it yet, or the channel that it came by would
 * have to be closed over it. Fees may fall before that channel's turn comes: until then only little is.
 * @param goneSat let go already of this channel
 */
export function mayLetGo(
  channel: Channel,
  { add, output, goneSat }: { readonly add: HtlcAdd; readonly output: ClosedOutput; readonly goneSat: bigint },
  ctx: ClaimContext,
): boolean {
  if (output.spent) return false
  const sumSat = goneSat + output.amountSat
  const isLittle = sumSat <= LITTLE_SAT && ctx.blockHeight >= add.cltvExpiry + RESOLVED_DEPTH
  return (isLittle || isDue(channel, { ...add, since: output.since }, sumSat, ctx)) && isTooDear(channel, output, ctx)
}

/**
 * With a node before us and one behind, somebody could take all that is let go, of hundreds of HTLCs: so no more than the close that is spared
 * costs by the estimate. The others are left to the node before, which loses nothing by its claim.
 */
function isDue(
  channel: Channel,
  offer: HtlcAdd & Pick<ClosedOutput, 'since'>,
  sumSat: bigint,
  ctx: ClaimContext,
): boolean {
  const overdue = ctx.blockHeight - letGoAt(channel, offer, ctx)
  if (overdue < 0) return false
  if (cameByExpiry(offer, ctx) === null) return true
  const closeSat = feeOf(commitmentWeight(1, channel.params.channelType) + CHILD_WEIGHT, ctx.feerates.claim)
  const days = BigInt(Math.floor(overdue / DAY_BLOCKS))
  return sumSat <= (closeSat > LITTLE_SAT ? closeSat : LITTLE_SAT) + LITTLE_SAT * days
}

/** What has been let go of a channel: the peer can take it, or has. */
export function letGoSat({ commitments }: Channel, { outputs, failed }: OnchainState): bigint {
  const gone = new Set(failed)
  let sum = 0n
  for (const { htlc, spent, amountSat } of outputs) {
    if (htlc?.direction !== 'out' || htlc.id === null || !gone.has(htlc.id)) continue
    const offer = getHtlc(commitments.outgoing, htlc.id)
    if (!spent || (offer && shownPreimage(offer) !== null)) sum += amountSat
  }
  return sum
}
