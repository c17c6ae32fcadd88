import { msatToSatFloor } from '../base/units.ts'
import type { Direction, Htlc } from './htlc.ts'
import { eachHtlc, someHtlc } from './htlcTable.ts'
import type { Channel } from './state.ts'
import { trimmedIn } from './totals.ts'
import type { ChannelContext, Fault } from './types.ts'
import { type HtlcValue, isWorthClosing } from './worthClosing.ts'

/** Blocks after the expiry of an HTLC of ours that the peer gets to settle it. @source BOLT 2 §cltv_expiry_delta-selection */
export const GRACE = 2

/** None of our commitments has one that is only presumed. */
const timedOut = (h: Htlc, height: number): boolean =>
  h.stage !== 'proposed' && h.stage !== 'presumed' && height >= h.add.cltvExpiry + GRACE

/** We know the preimage, and the peer has not let go of the HTLC in our commitment yet. */
const mustBeClaimed = (h: Htlc, height: number, closeBeforeExpiry: number): boolean =>
  h.removal?.tag === 'fulfilled' && height >= h.add.cltvExpiry - closeBeforeExpiry

/** Whether any commitment that may be published has an output for the HTLC. */
function hasOutput({ params, commitments }: Channel, { add }: Htlc, direction: Direction): boolean {
  const { local, remote, remoteSigned } = commitments
  const htlc = { amountMsat: add.amountMsat, direction }
  const theirs = Math.min(remote.feeratePerKw, remoteSigned?.feeratePerKw ?? remote.feeratePerKw)
  return !trimmedIn(params, 'nextLocal', htlc, local.feeratePerKw) || !trimmedIn(params, 'nextRemote', htlc, theirs)
}

/** HTLCs for which `isLate` holds and that have outputs. */
function late(channel: Channel, direction: Direction, isLate: (h: Htlc) => boolean): readonly HtlcValue[] {
  const { outgoing, incoming } = channel.commitments
  const found: HtlcValue[] = []
  for (const htlc of eachHtlc(direction === 'out' ? outgoing : incoming)) {
    if (isLate(htlc) && hasOutput(channel, htlc, direction))
      found.push({ direction, amountSat: msatToSatFloor(htlc.add.amountMsat) })
  }
  return found
}

/**
 * An HTLC of ours has waited until it expired for the peer to revoke, which has to come before we can sign for it. It must not be
 * signed for any more: the one that it forwards may have gone back by the time at which the peer claims it.
 */
export const hasStaleOffer = ({ commitments }: Channel, height: number): boolean =>
  someHtlc(commitments.outgoing, (h) => h.stage === 'proposed' && height >= h.add.cltvExpiry)

/** A new connection forgets it. */
const staleOffer = (height: number): Fault => ({
  code: 'EXPIRY_TOO_SOON',
  response: 'warn-peer',
  requirement: 'BOLT 2 §committing-updates-so-far: a commitment_signed is answered by a revoke_and_ack',
  detail: `an HTLC that waited for it has expired at block ${height}`,
})

/**
 * Why the channel must go on chain at this height, or be connected anew, or null: HTLCs that we offered are past their time, or ones
 * that we have the preimages of come near to it, and the peer does not settle. Those without outputs cannot be taken on chain, and
 * where none is worth its own claim, nor all together the close, that would only lose more: the channel stays open, and is looked at
 * again at each block.
 * @source BOLT 2 §cltv_expiry_delta-selection
 */
export function missedDeadline(channel: Channel, height: number, ctx: ChannelContext): Fault | null {
  const { closeBeforeExpiry } = ctx.policy
  const overdue = late(channel, 'out', (h) => timedOut(h, height))
  const claimable = late(channel, 'in', (h) => mustBeClaimed(h, height, closeBeforeExpiry))
  if (!isWorthClosing(channel, [...overdue, ...claimable], ctx))
    return hasStaleOffer(channel, height) ? staleOffer(height) : null
  const rule =
    overdue.length > 0
      ? 'an offered HTLC is removed before its timeout deadline'
      : 'a fulfilled HTLC is removed before its fulfillment deadline'
  return {
    code: 'EXPIRY_TOO_SOON',
    response: 'fail-channel',
    requirement: `BOLT 2 §cltv_expiry_delta-selection: ${rule}`,
    detail: `the peer has not settled it by block ${height}`,
  }
}
