import { someHtlc } from './htlcTable.ts'
import { usesSimpleClose } from './simpleClose.ts'
import type { Channel, ChannelState, NormalState } from './state.ts'

/**
 * The message that an honest peer sends at once in this state, for people; the same text for as long as it is due. A channel in which
 * it stays out does not go on by itself, and its HTLCs run towards their expiry.
 * @returns null where none is due, or where the peer may well say nothing
 */
export function awaitedAnswer(state: ChannelState): string | null {
  switch (state.tag) {
    case 'syncing': {
      const { from, peerBehind } = state
      // LND says nothing of a channel that waits for its funding, two in doubt wait for each other, who lost data thinks it over, and a
      // channel whose end is signed may be forgotten.
      const { unproven, remoteReady } = from.channel
      const isYoung = from.tag === 'await-ready' || !remoteReady
      const maySayNothing = peerBehind || unproven || isYoung || isPublished(from)
      return maySayNothing ? null : 'channel_reestablish'
    }
    case 'normal':
    case 'shutdown': {
      const { remoteSigned, local } = state.channel.commitments
      if (remoteSigned !== null) return `revoke_and_ack for commitment ${remoteSigned.number - 1}`
      if (owesSignature(state.channel)) return `commitment_signed for commitment ${local.number + 1}`
      return state.tag === 'normal' && owesShutdown(state) ? 'shutdown' : null
    }
    // With option_simple_close blocks are counted (states/simpleClosing.ts).
    case 'negotiating':
      if (usesSimpleClose(state.channel) || isPublished(state)) return null
      return state.sent === null ? 'closing_signed' : `closing_signed after ${state.sent.feeSat} sat`
    default:
      return null
  }
}

const isPublished = (state: ChannelState): boolean => state.tag === 'negotiating' && state.published.length > 0

/** The peer has revoked for what is not in our commitment yet. */
const owesSignature = ({ commitments }: Channel): boolean =>
  someHtlc(commitments.outgoing, (h) => h.stage === 'acked') ||
  someHtlc(commitments.incoming, (h) => h.stage === 'removalAcked') ||
  commitments.feeUpdates.some((f) => f.stage === 'acked')

/** Ours is there, and nothing hangs for which the peer may wait. */
function owesShutdown({ channel, localShutdown, remoteShutdown }: NormalState): boolean {
  const { outgoing, incoming, feeUpdates } = channel.commitments
  const isIdle = outgoing.size + incoming.size + feeUpdates.length === 0 && channel.localReady && channel.remoteReady
  return localShutdown !== null && remoteShutdown === null && isIdle
}
