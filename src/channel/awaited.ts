import { usesSimpleClose } from './simpleClose.ts'
import type { ChannelState } from './state.ts'

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
      const maySayNothing = peerBehind || from.channel.unproven || from.tag === 'await-ready' || isPublished(from)
      return maySayNothing ? null : 'channel_reestablish'
    }
    case 'normal':
    case 'shutdown': {
      const { remoteSigned } = state.channel.commitments
      return remoteSigned && `revoke_and_ack for commitment ${remoteSigned.number - 1}`
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
