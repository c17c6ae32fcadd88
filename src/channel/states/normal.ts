import type { MessageNamed } from '../../wire/registry.ts'
import type { CloseRequest } from '../closeTerms.ts'
import { hasChangesToSign } from '../dance.ts'
import { refuse, warn } from '../faults.ts'
import { someHtlc } from '../htlcTable.ts'
import { isShutdownScript, wrongScript } from '../scripts.ts'
import type { NormalState } from '../state.ts'
import type { ChannelCommand, ChannelContext, ChannelInput, Effect, Fault, Turn } from '../types.ts'
import { type Closed, closesOnce, closingFault, operate } from './operate.ts'
import { common, reply, respond, turn } from './shared.ts'
import { enterShutdown } from './shutdown.ts'

/** Open for HTLCs, until one side wants to close: then its shutdown goes out as soon as nothing waits for our signature or is new to the peer. */
export function normal(state: NormalState, input: ChannelInput, ctx: ChannelContext): Turn {
  const handled = common(state, input, ctx)
  if (handled) return handled
  if (input.tag === 'message' && input.message.type === 'shutdown') return receiveShutdown(state, input.message, ctx)
  if (input.tag === 'command' && input.command.tag === 'close') return startShutdown(state, input.command, ctx)
  const operated = operate(state, input, closedFor(state), ctx)
  if (input.tag === 'sign') return withShutdown(operated ?? turn(state), ctx)
  return operated ?? turn(state)
}

function closedFor(state: NormalState): Closed {
  const leaving = state.localShutdown !== null || state.remoteShutdown !== null || state.closeRequest !== null
  return {
    toThem: leaving ? closingFault('the channel is closing; use another') : null,
    toUs: state.remoteShutdown !== null ? addAfterShutdown : state.channel.localReady ? null : addBeforeReady,
  }
}
/** We may shut a channel down before its funding is deep enough, or is anything at all. */
const addBeforeReady: Fault = warn(
  'PROTOCOL_VIOLATION',
  'BOLT 2 §the-channel_ready-message: the channel is used once both sent channel_ready',
  'update_add_htlc came before',
).error
const addAfterShutdown: Fault = warn(
  'PROTOCOL_VIOLATION',
  'BOLT 2 §closing-initiation-shutdown: no update_add_htlc follows a shutdown',
  'update_add_htlc came after shutdown',
).error

type CloseCommand = Extract<ChannelCommand, { tag: 'close' }>

/** The operator wants to close: shutdown goes out now, or when what waits is signed. @source BOLT 2 §closing-initiation-shutdown */
export function startShutdown(state: NormalState, command: CloseCommand, ctx: ChannelContext): Turn {
  const request = closeRequest(command, state.channel.theirFeatures, ctx)
  if ('code' in request) return turn(state, [reply(command.requestId, request)])
  if (state.localShutdown !== null || state.closeRequest !== null) {
    return turn(state, [reply(command.requestId, closesOnce('the channel is closing already'))])
  }
  return withShutdown(turn({ ...state, closeRequest: request }, [reply(command.requestId, 'done')]), ctx)
}

function closeRequest(command: CloseCommand, theirFeatures: Uint8Array, ctx: ChannelContext): CloseRequest | Fault {
  const scriptPubKey = command.scriptPubKey ?? ctx.sweepScriptPubKey
  if (!isShutdownScript(scriptPubKey, theirFeatures)) {
    const requirement = 'BOLT 2 §closing-initiation-shutdown: the script is a witness program'
    return refuse('INVALID_SCRIPT', requirement, 'give a segwit address that the peer accepts').error
  }
  return { scriptPubKey, feeratePerKw: command.feeratePerKw ?? null }
}

/** @source BOLT 2 §closing-initiation-shutdown: receiving node */
export function receiveShutdown(state: NormalState, m: MessageNamed<'shutdown'>, ctx: ChannelContext): Turn {
  const wrong = wrongShutdown(state, m.scriptPubKey)
  if (wrong) return respond(state, wrong, ctx)
  return withShutdown(turn({ ...state, remoteShutdown: m.scriptPubKey }), ctx)
}

function wrongShutdown(state: NormalState, script: Uint8Array): Fault | null {
  const wrong = wrongScript(state.channel, script)
  if (wrong) return wrong
  if (!someHtlc(state.channel.commitments.incoming, (h) => h.stage === 'proposed')) return null
  const rule = 'BOLT 2 §closing-initiation-shutdown: no shutdown while updates are pending'
  return warn('PROTOCOL_VIOLATION', rule, 'HTLCs are not signed for').error
}

/**
 * Sends our shutdown once it is due and allowed, and moves on when both are exchanged. The peer has revoked for our HTLCs by then: LND may
 * look at a shutdown ahead of an update_add_htlc before it, fails the channel for that in every connection anew, and can hang.
 */
function withShutdown(before: Turn, ctx: ChannelContext): Turn {
  const { state } = before
  if (state.tag !== 'normal') return before
  const due = state.localShutdown === null && (state.closeRequest !== null || state.remoteShutdown !== null)
  if (!due || hasChangesToSign(state.channel) || hasFreshAdds(state)) return bothSent(before, ctx)
  const script = state.closeRequest?.scriptPubKey ?? ctx.sweepScriptPubKey
  const shutdown = shutdownMessage(state, script)
  return bothSent(turn({ ...state, localShutdown: script }, [...before.effects, shutdown]), ctx)
}

/** Of all HTLCs: those that the peer has not revoked its older commitment for. */
const hasFreshAdds = ({ channel }: NormalState): boolean =>
  someHtlc(channel.commitments.outgoing, (h) => h.stage === 'signed')

export const shutdownMessage = (state: Pick<NormalState, 'channel'>, scriptPubKey: Uint8Array): Effect => ({
  tag: 'send',
  message: { type: 'shutdown', channelId: state.channel.params.channelId, scriptPubKey },
})

function bothSent(before: Turn, ctx: ChannelContext): Turn {
  const { state, effects } = before
  if (state.tag !== 'normal' || state.localShutdown === null || state.remoteShutdown === null) return before
  const next = enterShutdown(
    {
      tag: 'shutdown',
      channel: state.channel,
      localScript: state.localShutdown,
      remoteScript: state.remoteShutdown,
      closeRequest: state.closeRequest,
    },
    ctx,
  )
  return turn(next.state, [...effects, ...next.effects])
}
