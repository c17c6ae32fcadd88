import { InvariantError } from '../base/errors.ts'
import type { MessageFor } from './messages.ts'
import type { AcceptParams, ChannelContext, OpenParams, Turn } from './types.ts'

/** We open a channel: sends open_channel. @source BOLT 2 §the-open_channel-message */
export function openChannel(_params: OpenParams, _ctx: ChannelContext): Turn {
  throw new InvariantError('to come')
}

/** The peer opens a channel: answers with accept_channel, or with an error and a `closed` state. */
export function acceptChannel(_open: MessageFor<'open_channel'>, _params: AcceptParams, _ctx: ChannelContext): Turn {
  throw new InvariantError('to come')
}
