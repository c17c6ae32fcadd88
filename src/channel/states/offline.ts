import { forgetUnsigned } from '../dance.ts'
import { refuse, rejected } from '../faults.ts'
import { reestablishMessage } from '../reestablish.ts'
import type { Channel, ChannelState, FundedState, OfflineState, SyncingState } from '../state.ts'
import type { ChannelCommand, ChannelContext, ChannelInput, Effect, Turn } from '../types.ts'
import { fulfillAfterAll } from '../updates.ts'
import { funded } from './funded.ts'
import { reply, turn, withChannel } from './shared.ts'
import { hangUp } from './simpleClosing.ts'

/** The peer is away. Chain events and commands go to the phase that the channel was in; what it would send is sent when both are back. */
export function offline(state: OfflineState, input: ChannelInput, ctx: ChannelContext): Turn {
  switch (input.tag) {
    case 'connected': {
      const from = withChannel<FundedState>(state.from, { ...state.from.channel, theirFeatures: input.theirFeatures })
      const first = from.channel.unproven ? [] : [reestablishMessage(from.channel, ctx.signer)]
      return turn({ tag: 'syncing', from, peerBehind: false }, first)
    }
    case 'chain':
    case 'command':
      return withoutPeer(state, input, ctx)
    default:
      return turn(state)
  }
}

/** Leaves the peer's unsigned updates, and our own unsigned adds, behind. @source BOLT 2 §message-retransmission */
export function goOffline(from: FundedState): Turn {
  const { channel, effects } = forgetUnsigned(from.channel)
  const { announcement } = channel
  const quiet: Channel =
    announcement.sent === 'now' ? { ...channel, announcement: { ...announcement, sent: 'before' } } : channel
  const left = from.tag === 'negotiating' ? hangUp(from) : from
  return turn({ tag: 'offline', from: withChannel<FundedState>(left, quiet) }, effects)
}

/** Lets the phase beneath handle an input that needs no peer. */
export function withoutPeer(
  state: OfflineState | SyncingState,
  input: Extract<ChannelInput, { tag: 'chain' | 'command' }>,
  ctx: ChannelContext,
): Turn {
  if (input.tag === 'command') {
    const needs = needsPeer(input.command)
    if (needs) return turn(state, needs)
    const settled = settledLate(state.from, input.command)
    if (settled !== null) return turn({ ...state, from: settled })
  }
  const { state: next, effects } = funded(state.from, input, ctx)
  if (next === state.from) return turn(state, effects.filter(needsNoPeer))
  // A channel that goes on chain tells the peer why when it is connected.
  if (!isFunded(next)) return turn(next, state.tag === 'syncing' ? effects : effects.filter(needsNoPeer))
  return turn({ ...state, from: next }, effects.filter(needsNoPeer))
}

function settledLate(from: FundedState, command: ChannelCommand): FundedState | null {
  const channel = command.tag === 'fulfillHtlc' ? fulfillAfterAll(from.channel, command.id, command.preimage) : null
  return channel && withChannel<FundedState>(from, channel)
}

const needsNoPeer = (effect: Effect): boolean => effect.tag !== 'send' && effect.tag !== 'disconnect'

const FUNDED: readonly ChannelState['tag'][] = ['await-ready', 'normal', 'shutdown', 'negotiating']
export const isFunded = (state: ChannelState): state is FundedState => FUNDED.includes(state.tag)

/** The answer to a command that cannot wait for the peer; null when it can be done or noted. */
function needsPeer(command: Extract<ChannelInput, { tag: 'command' }>['command']): readonly Effect[] | null {
  const offline = (rule: string, cure: string) =>
    refuse('PEER_OFFLINE', rule, `the peer is not connected; ${cure}`).error
  switch (command.tag) {
    case 'addHtlc':
      return [rejected(command.origin, offline('BOLT 2 §message-retransmission', 'try another way'))]
    case 'close': {
      const rule = 'BOLT 2 §channel-close: both agree on the closing transaction'
      return [reply(command.requestId, offline(rule, 'wait until it is, or close by force'))]
    }
    case 'updateFee':
      return []
    default:
      return null
  }
}
