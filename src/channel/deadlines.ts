import { someHtlc } from './htlcTable.ts'
import type { Channel, Htlc } from './state.ts'
import type { ChannelPolicy, Fault } from './types.ts'

/** Blocks after the expiry of an HTLC of ours that the peer gets to settle it. @source BOLT 2 §cltv_expiry_delta-selection */
const GRACE = 2

const timedOut = (height: number) => (h: Htlc) => h.stage !== 'proposed' && height >= h.add.cltvExpiry + GRACE

/** We know the preimage, and the peer has not let go of the HTLC in our commitment yet. */
const mustBeClaimed = (height: number, closeBeforeExpiry: number) => (h: Htlc) =>
  h.removal?.tag === 'fulfilled' && height >= h.add.cltvExpiry - closeBeforeExpiry

/**
 * Why the channel must go on chain at this height, or null: an HTLC that we offered is past its time, or one that we have the
 * preimage of comes near to it, and the peer does not settle.
 * @source BOLT 2 §cltv_expiry_delta-selection
 */
export function missedDeadline(channel: Channel, height: number, policy: ChannelPolicy): Fault | null {
  const { outgoing, incoming } = channel.commitments
  const late = (requirement: string): Fault => ({
    code: 'EXPIRY_TOO_SOON',
    response: 'fail-channel',
    requirement: `BOLT 2 §cltv_expiry_delta-selection: ${requirement}`,
    detail: `the peer has not settled it by block ${height}`,
  })
  if (someHtlc(outgoing, timedOut(height))) return late('an offered HTLC is removed before its timeout deadline')
  if (someHtlc(incoming, mustBeClaimed(height, policy.closeBeforeExpiry))) {
    return late('a fulfilled HTLC is removed before its fulfillment deadline')
  }
  return null
}
