import type { ChannelState } from '../state.ts'
import type { ChannelContext, Turn } from '../types.ts'
import { holdBack, turn } from './shared.ts'

/**
 * Found at a start: the funding output is spent in the mempool, or in a block that is still to come, by what the records of this channel do
 * not know of. Lost writes may have had a commitment of ours that was published, and stands in the chain or in the peer's drawer: no
 * other takes its place, which would revoke it. The peer has the first move, ours follows as ever where it makes none.
 * @source BOLT 5 §failing-a-channel
 */
export function spentUnseen(state: ChannelState, ctx: ChannelContext): Turn {
  // After a close is negotiated there are no more commitments.
  if (state.tag !== 'offline' || state.from.tag === 'negotiating') return turn(state)
  return holdBack(state.from.channel, ctx, null)
}
