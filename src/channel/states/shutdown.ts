import { equalBytes } from '../../base/bytes.ts'
import type { MessageNamed } from '../../wire/registry.ts'
import { warn } from '../faults.ts'
import { wrongScript } from '../scripts.ts'
import { usesSimpleClose } from '../simpleClose.ts'
import type { Channel, ShutdownState } from '../state.ts'
import type { ChannelContext, ChannelInput, Turn } from '../types.ts'
import { beginNegotiation } from './negotiating.ts'
import { closesOnce, closingFault, operate } from './operate.ts'
import { common, reply, respond, turn } from './shared.ts'

/** No HTLC and no fee update is left anywhere, and nobody owes a revocation. */
const isEmpty = (channel: Channel): boolean => {
  const { outgoing, incoming, remoteSigned, feeUpdates } = channel.commitments
  return outgoing.size === 0 && incoming.size === 0 && remoteSigned === null && feeUpdates.length === 0
}

const CLOSED = {
  toThem: closingFault('the channel is closing; use another'),
  toUs: warn(
    'PROTOCOL_VIOLATION',
    'BOLT 2 §closing-initiation-shutdown: no update_add_htlc follows a shutdown',
    'update_add_htlc came after shutdown',
  ).error,
}

/** Both sent shutdown: the HTLCs that are left get resolved, then the closing fee is negotiated. */
export function shutdown(state: ShutdownState, input: ChannelInput, ctx: ChannelContext): Turn {
  const handled = common(state, input, ctx)
  if (handled) return handled
  if (input.tag === 'message' && input.message.type === 'shutdown') return shutdownAgain(state, input.message, ctx)
  if (input.tag === 'command' && input.command.tag === 'close') {
    return turn(state, [reply(input.command.requestId, closesOnce('the channel is closing already'))])
  }
  const operated = operate(state, input, CLOSED, ctx)
  if (operated?.state.tag !== 'shutdown') return operated ?? turn(state)
  const next = enterShutdown(operated.state, ctx)
  return turn(next.state, [...operated.effects, ...next.effects])
}

/**
 * Sent again after a reconnection; with option_simple_close, maybe with another script. What was left may have been an update that went
 * with the connection.
 */
function shutdownAgain(state: ShutdownState, m: MessageNamed<'shutdown'>, ctx: ChannelContext): Turn {
  if (!usesSimpleClose(state.channel) || equalBytes(m.scriptPubKey, state.remoteScript))
    return enterShutdown(state, ctx)
  const wrong = wrongScript(state.channel, m.scriptPubKey)
  return wrong ? respond(state, wrong, ctx) : enterShutdown({ ...state, remoteScript: m.scriptPubKey }, ctx)
}

/** The phase of HTLCs that are left, which is over at once when there are none. */
export const enterShutdown = (state: ShutdownState, ctx: ChannelContext): Turn =>
  isEmpty(state.channel) ? beginNegotiation(state, ctx) : turn(state)
