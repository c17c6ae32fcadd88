import { assertNever } from '../base/errors.ts'
import type { OpenChannel } from '../wire/messages/open.ts'
import { doubt } from './doubt.ts'
import type { ChannelState, FundedState } from './state.ts'
import { announce, receiveAnnouncement } from './states/announce.ts'
import { closed } from './states/closed.ts'
import { closing } from './states/closing.ts'
import { funded } from './states/funded.ts'
import { goOffline, isFunded, offline } from './states/offline.ts'
import { beginAccept, beginOpen, opening } from './states/opening.ts'
import { promote, receiveReady } from './states/ready.ts'
import { turn } from './states/shared.ts'
import { spentUnseen } from './states/spentUnseen.ts'
import { syncing } from './states/syncing.ts'
import { waitingForPeer } from './states/waitingForPeer.ts'
import type { AcceptParams, ChannelContext, ChannelInput, OpenParams, Turn } from './types.ts'

/** We open a channel: sends open_channel; the request is answered when the funding is broadcast, or when the opening fails. */
export const openChannel = (params: OpenParams, ctx: ChannelContext): Turn => beginOpen(params, ctx)

/** The peer opens a channel: answers with accept_channel, or with an error and a `closed` state. */
export const acceptChannel = (open: OpenChannel, params: AcceptParams, ctx: ChannelContext): Turn =>
  beginAccept(open, params, ctx)

/**
 * One step of a channel: what it becomes and what is to be done. Pure; never throws on what a peer sent. An input that changes
 * nothing gives back the same state object. After a restart, the stored state gets the input `disconnected` before any other.
 */
export function advance(state: ChannelState, input: ChannelInput, ctx: ChannelContext): Turn {
  if (input.tag === 'doubted' && input.isSpent) return spentUnseen(state, ctx)
  if (input.tag === 'doubted') return doubt(state, input.isLate === true, ctx)
  switch (state.tag) {
    case 'await-accept':
    case 'await-funding':
    case 'await-funding-signed':
    case 'await-funding-created':
      return opening(state, input, ctx)
    case 'await-ready':
    case 'normal':
    case 'shutdown':
    case 'negotiating':
      return input.tag === 'disconnected' ? goOffline(state) : announce(promote(connected(state, input, ctx), ctx), ctx)
    case 'syncing':
      return announce(promote(syncing(state, input, ctx), ctx), ctx)
    case 'offline':
      return promoteOffline(offline(state, input, ctx), ctx)
    case 'closing':
      return closing(state, input, ctx)
    case 'waiting-for-peer':
      return waitingForPeer(state, input, ctx)
    case 'closed':
      return closed(state, input, ctx)
    default:
      return assertNever(state)
  }
}

/** Messages that any phase may meet, then the phase's own. */
function connected(state: FundedState, input: ChannelInput, ctx: ChannelContext): Turn {
  if (input.tag === 'message') {
    const { message } = input
    if (message.type === 'channel_ready') return receiveReady(state, message, ctx)
    if (message.type === 'announcement_signatures') return receiveAnnouncement(state, message, ctx)
  }
  return funded(state, input, ctx)
}

/** The funding may get deep enough while the peer is away: channel_ready goes out after the reestablishing then. */
function promoteOffline(before: Turn, ctx: ChannelContext): Turn {
  const { state, effects } = before
  if (state.tag !== 'offline') return before
  const { state: from, effects: more } = promote(turn(state.from), ctx)
  if (from === state.from || !isFunded(from)) return before
  return turn({ ...state, from }, [...effects, ...more.filter((e) => e.tag !== 'send')])
}
