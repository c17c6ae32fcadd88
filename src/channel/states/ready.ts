import { crypto } from '../../crypto/crypto.ts'
import type { MessageNamed } from '../../wire/registry.ts'
import { refuse, rejected, warn } from '../faults.ts'
import { readyMessage } from '../reestablish.ts'
import type { AwaitReadyState, FundedState, NormalState } from '../state.ts'
import type { ChannelContext, ChannelInput, Effect, Turn } from '../types.ts'
import { withCommitments } from '../updates.ts'
import { receiveShutdown, startShutdown } from './normal.ts'
import { common, depthNeeded, fundingDepth, realScid, respond, turn, withChannel } from './shared.ts'

const asNormal = (state: AwaitReadyState): NormalState => ({
  tag: 'normal',
  channel: state.channel,
  localShutdown: null,
  remoteShutdown: null,
  closeRequest: null,
})

/** After a shutdown that either side asked for; where it was refused, the channel waits as before. */
function leaving(state: AwaitReadyState, after: Turn): Turn {
  const next = after.state
  const goesOn = next.tag !== 'normal' || next.remoteShutdown !== null || next.closeRequest !== null
  return goesOn ? after : turn(state, after.effects)
}

/** Both commitments are signed: waits for the funding transaction's depth and for both channel_ready. It may be closed before. */
export function awaitReady(state: AwaitReadyState, input: ChannelInput, ctx: ChannelContext): Turn {
  const handled = common(state, input, ctx)
  if (handled) return handled
  if (input.tag === 'message') {
    const { message } = input
    if (message.type === 'shutdown') return leaving(state, receiveShutdown(asNormal(state), message, ctx))
    if (!message.type.startsWith('update_') && message.type !== 'commitment_signed') return turn(state)
    const rule = 'BOLT 2 §the-channel_ready-message: the channel is used once both sent channel_ready'
    return respond(state, warn('PROTOCOL_VIOLATION', rule, `${message.type} came before`).error, ctx)
  }
  if (input.tag === 'command') {
    const { command } = input
    if (command.tag === 'close') return leaving(state, startShutdown(asNormal(state), command, ctx))
    if (command.tag === 'addHtlc') {
      const rule = 'BOLT 2 §the-channel_ready-message: the channel is used once both sent channel_ready'
      const detail = 'wait for the funding transaction to confirm'
      return turn(state, [rejected(command.origin, refuse('CHANNEL_NOT_READY', rule, detail).error)])
    }
  }
  return turn(state)
}

/**
 * The peer's channel_ready, in whichever phase; a repeated one is ignored but for its alias.
 * @source BOLT 2 §the-channel_ready-message, §message-retransmission
 */
export function receiveReady<S extends FundedState>(
  state: S,
  m: MessageNamed<'channel_ready'>,
  ctx: ChannelContext,
): Turn {
  const alias = m.shortChannelId ?? state.channel.remoteAlias
  const known = alias === state.channel.remoteAlias ? state.channel : { ...state.channel, remoteAlias: alias }
  if (known.remoteReady) return turn(withChannel<FundedState>(state, known))
  if (!crypto.isValidPublicKey(m.secondPerCommitmentPoint)) {
    const rule = 'BOLT 2 §the-channel_ready-message: second_per_commitment_point is a point'
    return respond(state, warn('PROTOCOL_VIOLATION', rule, 'it is not on the curve').error, ctx)
  }
  const channel = { ...withCommitments(known, { remoteNextPoint: m.secondPerCommitmentPoint }), remoteReady: true }
  return turn(withChannel<FundedState>(state, channel))
}

/**
 * Sends our channel_ready when the funding is deep enough, and opens the channel once both are there. One that is to be closed before
 * that sends it, too: LND and eclair do not hear a shutdown earlier.
 */
export function promote(before: Turn, ctx: ChannelContext): Turn {
  let { state, effects } = before
  if (state.tag !== 'await-ready' && state.tag !== 'normal') return before
  if (!state.channel.localReady && isDeepEnough(state, ctx)) {
    const ready: Effect = readyMessage(state.channel, ctx.signer)
    state = { ...state, channel: { ...state.channel, localReady: true } }
    effects = [...effects, ready]
  }
  const { channel } = state
  const opens = state.tag === 'await-ready' && channel.localReady && channel.remoteReady
  if (!opens) return state === before.state ? before : turn(state, effects)
  const event: Effect = { tag: 'notify', event: { tag: 'ready', shortChannelId: realScid(channel) } }
  return turn(asNormal({ tag: 'await-ready', channel }), [...effects, event, { tag: 'gossip' }])
}

const isDeepEnough = ({ channel }: FundedState, ctx: ChannelContext): boolean =>
  channel.funding.confirmed !== null && fundingDepth(channel, ctx.blockHeight) >= depthNeeded(channel)
