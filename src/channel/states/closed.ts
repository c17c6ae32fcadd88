import { errorMessage } from '../faults.ts'
import { onchainEvent } from '../onchain/onchain.ts'
import { isIrrevocable } from '../onchain/settle.ts'
import type { OnchainStep } from '../onchain/types.ts'
import { presumeReceived } from '../presumed.ts'
import type { ClosedState } from '../state.ts'
import type { ChannelContext, ChannelInput, Turn } from '../types.ts'
import { tooLate, withDecision } from './closing.ts'
import { closing as closingTurn, turn } from './shared.ts'
import { fundedAfterAll } from './waitingForPeer.ts'

/** Nothing is left to do, unless the chain takes back what it had: then the channel is closing again. */
export function closed(state: ClosedState, input: ChannelInput, ctx: ChannelContext): Turn {
  if (input.tag === 'funded') return turn(state, [{ tag: 'releaseFunding' }])
  const { channel, onchain, irrevocable } = state
  if (channel !== null && onchain !== null && !irrevocable) {
    if (input.tag === 'chain') return afterwards(state, onchainEvent(channel, onchain, input.event, ctx), ctx)
    if (input.tag === 'revokedHtlcs') return afterwards(state, onchainEvent(channel, onchain, input, ctx), ctx)
    if (input.tag === 'command' && input.command.tag === 'presumeReceived') {
      const about = { isOpen: onchain.closing.kind === 'future', blockHeight: ctx.blockHeight }
      const known = presumeReceived(channel, input.command.shown, about)
      return known ? afterwards(state, onchainEvent(known, onchain, { tag: 'presumed' }, ctx), ctx) : turn(state)
    }
  }
  if (channel !== null && input.tag === 'message' && input.message.type === 'channel_reestablish')
    return turn(state, [errorMessage(channel.params.channelId, isOver(state))])
  const decided = channel !== null && input.tag === 'command' ? withDecision(channel, input.command) : null
  if (decided) return turn({ ...state, channel: decided })
  if (input.tag === 'chain') return fundedAfterAll(state, input.event, ctx)
  return turn(state, input.tag === 'command' ? tooLate(input.command, isOver(state)) : [])
}

const isOver = ({ onchain, reason }: ClosedState): string =>
  `the channel is closed already${onchain === null ? `: ${reason}` : `, by ${onchain.closing.txid}`}`

function afterwards(state: ClosedState, step: OnchainStep, ctx: ChannelContext): Turn {
  const { channel, onchain, effects, done } = step
  if (!done) return closingTurn(step, null)
  const irrevocable = isIrrevocable(onchain, ctx)
  if (channel === state.channel && onchain === state.onchain && !irrevocable) return turn(state, effects)
  return turn({ ...state, channel, onchain, ...(irrevocable && { irrevocable }) }, effects)
}
