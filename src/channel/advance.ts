import { InvariantError } from '../base/errors.ts'
import type { ChannelState } from './state.ts'
import type { ChannelContext, ChannelInput, Turn } from './types.ts'

/**
 * One step of a channel: what it becomes and what is to be done. Pure; never throws on what a peer sent.
 * After a restart, the state that was stored gets the input `disconnected` before any other.
 */
export function advance(_state: ChannelState, _input: ChannelInput, _ctx: ChannelContext): Turn {
  throw new InvariantError('to come')
}
