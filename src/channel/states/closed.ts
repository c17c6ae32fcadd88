import { errorMessage } from '../faults.ts'
import { leftoverEvent } from '../onchain/leftovers.ts'
import { onchainEvent } from '../onchain/onchain.ts'
import { isIrrevocable } from '../onchain/settle.ts'
import type { OnchainInput, OnchainState, OnchainStep } from '../onchain/types.ts'
import { presumeReceived } from '../presumed.ts'
import { provesLoss, withToldPoint } from '../reestablish.ts'
import { closeRequest } from '../restored.ts'
import type { Channel, ClosedState } from '../state.ts'
import type { ChainEvent, ChannelContext, ChannelInput, Turn } from '../types.ts'
import { afterStep, asksPoint, isStrangerUndone, lacksPoint, toldWhoAsks, tooLate, withDecision } from './closing.ts'
import { followFunding, holdBack, turn } from './shared.ts'
import { fundedAfterAll } from './waitingForPeer.ts'

/** Nothing is left to do, unless the chain takes back what it had: then the channel is closing again. */
export function closed(state: ClosedState, input: ChannelInput, ctx: ChannelContext): Turn {
  if (input.tag === 'funded') return turn(state, [{ tag: 'releaseFunding' }])
  const { channel, onchain, irrevocable, isOld } = state
  const heard = input.tag === 'message' && input.message.type === 'channel_reestablish' ? input.message : null
  const isNews = channel !== null && !isOld && !irrevocable && !channel.restored
  if (isNews && heard && provesLoss(channel, heard, ctx.signer))
    return closed({ ...state, channel: { ...channel, unproven: true }, isOld: true }, input, ctx)
  const told =
    channel !== null && heard
      ? [...toldWhoAsks(channel, heard, ctx), errorMessage(channel.params.channelId, isOver(state))]
      : []
  if (channel !== null && onchain !== null) {
    const goOn = (event: OnchainInput, known = channel): Turn =>
      afterwards(state, onchainEvent(known, onchain, event, ctx), ctx)
    if (input.tag === 'chain' && irrevocable) return leftOver(state, { channel, onchain, event: input.event }, ctx)
    if (input.tag === 'chain') {
      if (!isStrangerUndone(channel, onchain, input.event)) return goOn(input.event)
      return holdBack(followFunding(channel, input.event), ctx, null)
    }
    if (input.tag === 'revokedHtlcs' && !irrevocable) return goOn(input)
    if (input.tag === 'command' && input.command.tag === 'presumeReceived' && !irrevocable) {
      const about = { isOpen: lacksPoint(onchain), blockHeight: ctx.blockHeight }
      const known = presumeReceived(channel, input.command.shown, about)
      return known ? goOn({ tag: 'presumed' }, known) : turn(state)
    }
    if (input.tag === 'connected' && !irrevocable && asksPoint(channel, onchain))
      return turn(state, [closeRequest(channel, ctx.signer)])
    // However deep: who restores a node long after the close may hear it only then.
    const known = heard && lacksPoint(onchain) ? withToldPoint(channel, heard) : channel
    if (known !== channel) {
      const { state: next, effects } = goOn({ tag: 'presumed' }, known)
      return turn(next, [...told, ...effects])
    }
  }
  if (heard) return turn(state, told)
  const decided = channel !== null && input.tag === 'command' ? withDecision(channel, input.command) : null
  if (decided) return noted(state, decided, input, ctx)
  if (input.tag === 'chain') return fundedAfterAll(state, input.event, ctx)
  return turn(state, input.tag === 'command' ? tooLate(input.command, isOver(state)) : [])
}

/** A preimage may come so late that its HTLC was given up; the peer may yet have left it. */
function noted(state: ClosedState, channel: Channel, input: ChannelInput, ctx: ChannelContext): Turn {
  const { onchain, irrevocable } = state
  const isPreimage = input.tag === 'command' && input.command.tag === 'fulfillHtlc'
  if (!isPreimage || onchain === null || irrevocable) return turn({ ...state, channel })
  return afterwards(state, onchainEvent(channel, onchain, { tag: 'preimages', htlcIds: [input.command.id] }, ctx), ctx)
}

const isOver = ({ onchain, reason }: ClosedState): string =>
  `the channel is closed already${onchain === null ? `: ${reason}` : `, by ${onchain.closing.txid}`}`

function afterwards(state: ClosedState, step: OnchainStep, ctx: ChannelContext): Turn {
  const { channel, onchain, effects, done } = step
  const { isOld } = state
  if (!done) return afterStep(step, { error: null, ...(isOld && { isOld }) })
  const irrevocable = isIrrevocable(onchain, ctx)
  if (channel === state.channel && onchain === state.onchain && !irrevocable) return turn(state, effects)
  return turn({ ...state, channel, onchain, ...(irrevocable && { irrevocable }) }, effects)
}

/** Nothing of it is undone any more, but something may be left that is worth its claim now. */
function leftOver(
  state: ClosedState,
  about: { readonly channel: Channel; readonly onchain: OnchainState; readonly event: ChainEvent },
  ctx: ChannelContext,
): Turn {
  const { onchain, effects, isShallow } = leftoverEvent(about.channel, about.onchain, about.event, ctx)
  const { shallow, ...rest } = state
  if (onchain === about.onchain && isShallow === (shallow === true)) return turn(state, effects)
  return turn({ ...rest, onchain, ...(isShallow && { shallow: true as const }) }, effects)
}
