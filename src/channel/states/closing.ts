import type { MessageNamed } from '../../wire/registry.ts'
import { lostData } from '../doubt.ts'
import { errorMessage, rejected } from '../faults.ts'
import { hashes } from '../htlc.ts'
import { getHtlc, replaceHtlc } from '../htlcTable.ts'
import { onchainEvent } from '../onchain/onchain.ts'
import { RESOLVED_DEPTH } from '../onchain/plan.ts'
import type { OnchainInput, OnchainState, OnchainStep } from '../onchain/types.ts'
import { presume, presumeReceived } from '../presumed.ts'
import { provesLoss, reestablishMessage, withToldPoint } from '../reestablish.ts'
import { closeRequest, isCloseRequest } from '../restored.ts'
import type { Channel, ClosingState } from '../state.ts'
import { recount } from '../totals.ts'
import type { ChainEvent, ChannelCommand, ChannelContext, ChannelInput, Effect, Turn } from '../types.ts'
import { withCommitments } from '../updates.ts'
import { closesOnce, closingFault, removalCommand } from './operate.ts'
import {
  cannotBeFunded,
  closing as closingTurn,
  followFunding,
  fundingTimeout,
  holdBack,
  knownOld,
  notFunded,
  reply,
  turn,
  whyNoFunding,
} from './shared.ts'

/** The funding output is spent, or about to be: everything further happens on chain. */
export function closing(state: ClosingState, input: ChannelInput, ctx: ChannelContext): Turn {
  switch (input.tag) {
    case 'chain':
      return onChain(state, input.event, ctx)
    case 'revokedHtlcs':
      return carryOn(state, state.channel, input, ctx)
    case 'connected':
      return turn(state, greeting(state, ctx))
    case 'message':
      return input.message.type === 'channel_reestablish' ? onReestablish(state, input.message, ctx) : turn(state)
    case 'command':
      return onCommand(state, input.command, ctx)
    case 'sign':
      return claimNew(state, ctx)
    default:
      return turn(state)
  }
}

/** Closed before its funding confirmed, the channel may turn out never to have been. */
function onChain(state: ClosingState, event: ChainEvent, ctx: ChannelContext): Turn {
  const wrong = whyNoFunding(state.channel, event)
  if (wrong !== null) return notFunded(state, wrong, true)
  const channel = followFunding(state.channel, event)
  if (isStrangerUndone(channel, state.onchain, event)) return holdBack(channel, ctx, state.error)
  const unpublished = event.tag === 'block' && state.onchain.closing.height === null
  const never = unpublished ? cannotBeFunded(channel, event.height) : null
  if (never !== null) return never
  const reason = unpublished ? fundingTimeout(channel, event.height) : null
  if (reason !== null) return notFunded({ channel }, reason)
  return carryOn(event.tag === 'block' ? allPlanned(state) : state, channel, event, ctx)
}

/**
 * A reorganisation undoes what nobody remembers, before anybody was told what became of an HTLC. It may be a close to an address of the
 * operator's that was agreed in lost writes, and then ours may be revoked: the peer may show that, or the close come back, before ours follows.
 */
export function isStrangerUndone(
  { unproven, restored }: Channel,
  { closing: { kind, height }, failed }: OnchainState,
  event: ChainEvent,
): boolean {
  const isUndone = event.tag === 'reorg' && height !== null && height > event.height
  return isUndone && kind === 'unknown' && failed.length === 0 && !unproven && !restored
}

/** With a block everything is planned anyway. */
function allPlanned(state: ClosingState): ClosingState {
  const { toClaim, ...rest } = state
  return toClaim === undefined ? state : rest
}

function carryOn(state: ClosingState, channel: Channel, input: OnchainInput, ctx: ChannelContext): Turn {
  const step = onchainEvent(channel, state.onchain, input, ctx)
  const isSame = !step.done && step.channel === state.channel && step.onchain === state.onchain
  if (isSame && !isWithheld({ ...state, onchain: step.onchain })) return turn(state, step.effects)
  const next = afterStep(step, state)
  const { toClaim } = state
  return toClaim && next.state.tag === 'closing' ? turn({ ...next.state, toClaim }, next.effects) : next
}

/** What the on-chain part made of it. What the peer has proved to be revoked is not handed out again, once it is in no block. */
export function afterStep(step: OnchainStep, { error, isOld }: Pick<ClosingState, 'error' | 'isOld'>): Turn {
  const { onchain } = step
  if (!isWithheld({ isOld, onchain })) return knownOld(closingTurn(step, error), isOld)
  const silent = step.effects.filter((e) => e.tag !== 'broadcast')
  if (isTold(onchain)) return knownOld(closingTurn({ ...step, effects: silent }, error), isOld)
  const { state, effects } = givenUp(step.channel)
  return turn(state, [...silent, ...effects])
}

/** The peer has proved that ours is revoked, and it is in no block. */
export const isWithheld = (known: { readonly isOld?: true | undefined; readonly onchain: OnchainState }): boolean =>
  known.isOld === true && isOursInNoBlock(known.onchain)

/** Of hundreds of preimages that come in one turn there is one plan: made for each, it would take seconds where they are due. */
function claimNew(state: ClosingState, ctx: ChannelContext): Turn {
  const { toClaim: htlcIds } = state
  if (htlcIds === undefined) return turn(state)
  return carryOn(allPlanned(state), state.channel, { tag: 'preimages', htlcIds }, ctx)
}

/** BOLT 2 §message-retransmission: on a channel in an error state the error is sent again, and all else is ignored. */
const sayWhy = (state: ClosingState): readonly Effect[] =>
  state.error === null ? [] : [errorMessage(state.channel.params.channelId, state.error)]

/**
 * A peer that has lost data learns by our place that its own commitment may be revoked, before an error has it publish that, and the point of
 * ours. A close that both have signed speaks for itself in a block, any other deep in the chain: CLN ends the connection, with all other
 * channels, for each word on a channel that is there.
 */
function greeting(state: ClosingState, ctx: ChannelContext): readonly Effect[] {
  const { channel, onchain } = state
  const { signer } = ctx
  if (asksPoint(channel, onchain)) return [closeRequest(channel, signer)]
  if (isQuiet(onchain, ctx)) return []
  const place = channel.restored || lacksPoint(onchain) ? [] : [reestablishMessage(channel, signer)]
  return [...place, ...sayWhy(state)]
}

const isQuiet = ({ closing: { kind, height } }: OnchainState, { blockHeight }: ChannelContext): boolean =>
  height !== null && (kind === 'mutual' || blockHeight - height + 1 >= RESOLVED_DEPTH)

/** To a peer that has lost its data the point of our commitment shows the HTLCs that are its own there. */
export const toldWhoAsks = (channel: Channel, m: MessageNamed<'channel_reestablish'>, { signer }: ChannelContext) =>
  isCloseRequest(m) && !channel.restored ? [reestablishMessage(channel, signer)] : []

/**
 * Where HTLCs may be in such a commitment, and the peer has told no point at all, that is asked for: LND and CLN tell it of a closed channel to
 * whoever reestablishes that. Not again, since CLN then ends the connection.
 */
export const asksPoint = ({ toldPoint, commitments }: Channel, onchain: OnchainState): boolean =>
  lacksPoint(onchain) && toldPoint === undefined && commitments.incoming.size + commitments.outgoing.size > 0

/** A commitment of the peer's that we do not know: by its point, which the peer may tell yet, more outputs may be ours. */
export const lacksPoint = ({ closing }: OnchainState): boolean => closing.kind === 'future'

/**
 * The peer proves that ours is revoked: in a block there is no help, but no reorganisation has it handed out once more. And it tells its
 * point, by which HTLCs are found in a commitment of its own that we do not know, be that in the chain already.
 */
function onReestablish(state: ClosingState, message: MessageNamed<'channel_reestablish'>, ctx: ChannelContext): Turn {
  const { onchain } = state
  const channel = withToldPoint(state.channel, message)
  const isProven = !state.isOld && !channel.restored && provesLoss(channel, message, ctx.signer)
  if (isProven && isOursInNoBlock(onchain) && !isTold(onchain)) return givenUp(channel)
  const told = [...(isQuiet(onchain, ctx) ? toldWhoAsks(channel, message, ctx) : []), ...sayWhere(state)]
  if (!isProven && channel === state.channel) return turn(state, told)
  const known: ClosingState = isProven
    ? { ...state, channel: { ...channel, unproven: true }, isOld: true }
    : { ...state, channel }
  if (!lacksPoint(onchain)) return turn(known, told)
  const { state: next, effects } = carryOn(known, known.channel, { tag: 'presumed' }, ctx)
  return turn(next, [...told, ...effects])
}

const isOursInNoBlock = ({ closing }: OnchainState): boolean => closing.kind === 'local' && closing.height === null

/** A reorganisation has undone it after an HTLC was failed upstream, which is remembered with it. */
const isTold = ({ failed }: OnchainState): boolean => failed.length > 0

/** Ours is not handed out again, nor paid for, and the peer's newest may come in first. */
function givenUp(channel: Channel): Turn {
  const why = 'the peer proved that our commitment, which is published but in no block, is revoked'
  const { state, effects } = lostData(channel, why)
  return turn({ ...state, isOld: true }, effects)
}

/** A peer that was away may not have seen it yet, and would wait for our channel_reestablish. */
const sayWhere = ({ channel, error, onchain }: ClosingState): readonly Effect[] => [
  errorMessage(channel.params.channelId, error ?? `the channel is closing on chain, by ${onchain.closing.txid}`),
]

function onCommand(state: ClosingState, command: ChannelCommand, ctx: ChannelContext): Turn {
  if (command.tag === 'presumeHtlc' || command.tag === 'presumeReceived') {
    const { blockHeight } = ctx
    const isOpen = lacksPoint(state.onchain)
    const channel =
      command.tag === 'presumeHtlc'
        ? presume(state.channel, command)
        : presumeReceived(state.channel, command.shown, { isOpen, blockHeight })
    return channel === null ? turn(state) : carryOn(state, channel, { tag: 'presumed' }, ctx)
  }
  const decided = withDecision(state.channel, command)
  if (decided === null)
    return turn(state, tooLate(command, `the channel is closing on chain already, by ${state.onchain.closing.txid}`))
  if (command.tag !== 'fulfillHtlc') return turn({ ...state, channel: decided })
  return turn({ ...state, channel: decided, toClaim: [...(state.toClaim ?? []), command.id] })
}

/**
 * The record of an incoming HTLC with what was decided on it, null when that is nothing new. With its preimage it can be claimed, also
 * when it had been failed and the peer never took that. A failure, which the peer is not told any more, is noted so that no start
 * decides on the HTLC again.
 */
export function withDecision(channel: Channel, command: ChannelCommand): Channel | null {
  const decision = removalCommand(command)
  const { incoming } = channel.commitments
  const htlc = decision && getHtlc(incoming, decision.id)
  if (!htlc) return null
  const { removal } = decision
  const isNews =
    removal.tag === 'fulfilled'
      ? htlc.removal?.tag !== 'fulfilled' && hashes(removal.preimage, htlc.add.paymentHash)
      : htlc.removal === null
  if (!isNews) return null
  const after = withCommitments(channel, { incoming: replaceHtlc(incoming, { ...htlc, removal }) })
  // Its failure may have left our next commitment already.
  return htlc.removal === null ? after : withCommitments(after, { next: recount(after.params, after.commitments) })
}

/** The answer to a command on a channel that is past taking any. @param why in the words of the state that it is in */
export function tooLate(command: ChannelCommand, why: string): readonly Effect[] {
  const fault = closingFault(why)
  if (command.tag === 'addHtlc') return [rejected(command.origin, fault)]
  if (command.tag === 'forceClose') return [reply(command.requestId, 'done')]
  if (command.tag === 'close') return [reply(command.requestId, closesOnce(why))]
  if (removalCommand(command) === null && 'requestId' in command) return [reply(command.requestId, fault)]
  return []
}
