import { forgetUnsigned } from './dance.ts'
import { refuse, rejected } from './faults.ts'
import type { ChannelState, FundedState } from './state.ts'
import { closed } from './states/closed.ts'
import { closing, withDecision } from './states/closing.ts'
import { isFunded } from './states/offline.ts'
import { applied, common, reply, turn, withChannel } from './states/shared.ts'
import { waitingForPeer } from './states/waitingForPeer.ts'
import type { ChannelCommand, ChannelContext, ChannelInput, Effect, Turn } from './types.ts'
import { fulfillAfterAll } from './updates.ts'

/**
 * What goes on for a channel that was set aside after an unexpected exception: the chain is watched, preimages are noted,
 * deadlines are kept and claims are made. With the connection, or as if it were lost at once (input `disconnected`), goes what nobody
 * has signed for: an HTLC that was only proposed can still go another way. Nothing is said to the peer and nothing it says is heard, so this path shares as little as
 * possible with the code that may be at fault.
 * @source docs/architecture.md §The channel core
 */
export const rescue = (state: ChannelState, input: ChannelInput, ctx: ChannelContext): Turn =>
  isHeard(state, input) ? silent(carriedOn(state, input, ctx)) : turn(state)

function carriedOn(state: ChannelState, input: ChannelInput, ctx: ChannelContext): Turn {
  if (state.tag === 'closing') return closing(state, input, ctx)
  if (state.tag === 'closed') return closed(state, input, ctx)
  if (state.tag === 'waiting-for-peer') return waitingForPeer(state, input, ctx)
  if (isFunded(state)) return rescueFunded(state, input, ctx)
  if (state.tag !== 'offline' && state.tag !== 'syncing') return turn(state)
  const inner = rescueFunded(state.from, input, ctx)
  return isFunded(inner.state) ? { ...inner, state: { ...state, from: inner.state } } : inner
}

const COMMANDS: readonly ChannelCommand['tag'][] = ['fulfillHtlc', 'forceClose', 'presumeHtlc', 'presumeReceived']
const isHeard = (state: ChannelState, input: ChannelInput): boolean =>
  (input.tag === 'sign' && state.tag === 'closing') ||
  input.tag === 'chain' ||
  input.tag === 'disconnected' ||
  input.tag === 'searched' ||
  input.tag === 'revokedHtlcs' ||
  (input.tag === 'command' && COMMANDS.includes(input.command.tag))

function rescueFunded(state: FundedState, input: ChannelInput, ctx: ChannelContext): Turn {
  if (input.tag === 'command' && input.command.tag === 'fulfillHtlc') {
    const { id, preimage } = input.command
    const channel = fulfillAfterAll(state.channel, id, preimage) ?? withDecision(state.channel, input.command)
    return turn(channel ? withChannel<FundedState>(state, channel) : state)
  }
  if (input.tag === 'disconnected') return applied(state, forgetUnsigned(state.channel))
  return common(state, input, ctx) ?? turn(state)
}

const NOT_HEARD = refuse(
  'CHANNEL_NOT_READY',
  'a channel that a bug has set aside takes no commands',
  'see the log, and start the node again to have it tried anew',
).error

/** What follows where a command is not heard, beside the turn that came of it: nobody is to wait for ever. */
export function notHeard(input: ChannelInput, { effects }: Turn): readonly Effect[] {
  if (input.tag !== 'command') return []
  const { command } = input
  if (command.tag === 'addHtlc') return [rejected(command.origin, NOT_HEARD)]
  const isOpen = 'requestId' in command && !effects.some((e) => e.tag === 'reply')
  return isOpen ? [reply(command.requestId, NOT_HEARD)] : []
}

const silent = ({ state, effects }: Turn): Turn =>
  turn(
    state,
    effects.filter((e) => e.tag !== 'send'),
  )
