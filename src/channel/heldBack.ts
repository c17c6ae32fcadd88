import { errorMessage } from './faults.ts'
import type { Channel, WaitingForPeerState } from './state.ts'
import type { ChannelContext, Effect } from './types.ts'

/*
 * A channel fails before both sides are in step: by an error of the peer that comes ahead of its channel_reestablish, or by a
 * channel_reestablish which expects more signatures than we know of, and for which there is no proof. If our store lost writes without
 * knowing it, the peer's commitment is the newer one, and ours may even be revoked. So the peer, which closes too, has the first move;
 * ours follows some blocks later, or as soon as an HTLC asks for it or the peer shows that it is not old.
 */

/** Blocks that the peer has to publish its commitment. Somebody may know no channel and say so: our money is not to hang for long. */
export const HELD_BACK_BLOCKS = 18

const NOT_SEEN = 'this end has not seen where you stand: please close the channel with your newest commitment'

/** @param error what the peer is told, or null where it is the peer that failed the channel */
export function heldBack(
  channel: Channel,
  error: string | null,
  { blockHeight }: Pick<ChannelContext, 'blockHeight'>,
): { readonly state: WaitingForPeerState; readonly effects: readonly Effect[] } {
  const text = error ?? NOT_SEEN
  const publishAfter = blockHeight + HELD_BACK_BLOCKS
  return {
    state: { tag: 'waiting-for-peer', channel, error: text, isOld: false, publishAfter },
    effects: [errorMessage(channel.params.channelId, text)],
  }
}

/** Never to be published from here on, a reorganisation or not, but by an operator who takes the risk. */
export function neverPublished({ publishAfter: _, ...state }: WaitingForPeerState): WaitingForPeerState {
  return { ...state, channel: { ...state.channel, unproven: true } }
}

/**
 * The same after a block. Those that are caught up with do not count: they come in seconds, and the peer's commitment may be in the next
 * one. They take nothing of the time either, or a node that is off for most of each day would wait for ever.
 */
export function afterBlock(
  state: WaitingForPeerState,
  { isBehind }: Pick<ChannelContext, 'isBehind'>,
): WaitingForPeerState {
  return isBehind && state.publishAfter !== undefined ? { ...state, publishAfter: state.publishAfter + 1 } : state
}
