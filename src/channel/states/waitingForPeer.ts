import { outpointKey } from '../../base/ids.ts'
import type { ChannelMessage } from '../../wire/registry.ts'
import { missedDeadline } from '../deadlines.ts'
import { PLEASE_CLOSE, unpublishable, WAY_OUT } from '../doubt.ts'
import { errorMessage, type Judged, refuse } from '../faults.ts'
import { inputWatches, rivalAfter } from '../fundingRival.ts'
import { afterBlock, neverPublished } from '../heldBack.ts'
import { fundingSpent } from '../onchain/onchain.ts'
import { RESOLVED_DEPTH } from '../onchain/plan.ts'
import { presume, presumeReceived } from '../presumed.ts'
import { type Reestablished, reestablished, reestablishMessage, withToldPoint } from '../reestablish.ts'
import { closeRequest, type FundingSearch } from '../restored.ts'
import { knowsClosing } from '../simpleClose.ts'
import type { Channel, ClosedState, WaitingForPeerState } from '../state.ts'
import { isCommitment } from '../tx/commitment.ts'
import type { ChainEvent, ChannelCommand, ChannelContext, ChannelInput, Effect, Turn, Watch } from '../types.ts'
import { tooLate, withDecision } from './closing.ts'
import {
  cannotBeFunded,
  closeAtRisk,
  closing as closingTurn,
  FUNDING_TIMEOUT,
  followFunding,
  knownOld,
  notFunded,
  publish,
  reply,
  turn,
  whyNoFunding,
} from './shared.ts'

/** We lost data, or may have: the peer's commitment is awaited, ours not published. @source BOLT 2 §message-retransmission */
export function waitingForPeer(state: WaitingForPeerState, input: ChannelInput, ctx: ChannelContext): Turn {
  switch (input.tag) {
    case 'chain':
      return onChain(state, input.event, ctx)
    case 'searched':
      return searched(state, input.fromHeight, ctx)
    case 'connected':
      return turn(state, pleaseClose(state, ctx))
    case 'message':
      return onMessage(state, input.message, ctx)
    case 'command':
      return onCommand(state, input.command, ctx)
    default:
      return turn(state)
  }
}

function onMessage(state: WaitingForPeerState, message: ChannelMessage, ctx: ChannelContext): Turn {
  if (message.type !== 'channel_reestablish') return turn(state)
  const channel = withToldPoint(state.channel, message)
  const next = channel === state.channel ? state : { ...state, channel }
  const judged = channel.restored || state.isOld ? null : reestablished(channel, message, ctx.signer)
  const isOld = judged?.ok ? judged.value.tag === 'we-are-behind' : state.isOld
  if (judged && state.publishAfter !== undefined) return onceSeen(next, judged, ctx)
  return turn(isOld === undefined || isOld === state.isOld ? next : { ...next, isOld }, [sayWhy(state)])
}

/** Ours was held back until the peer shows where we stand: now it has, or has asked for it. */
function onceSeen(state: WaitingForPeerState, judged: Judged<Reestablished>, ctx: ChannelContext): Turn {
  switch (judged.ok ? judged.value.tag : 'refused') {
    case 'we-may-be-behind':
      return turn(state, [sayWhy(state)])
    case 'we-are-behind':
      return turn({ ...neverPublished(state), isOld: true }, [sayWhy(state)])
    default:
      return publish(state.channel, ctx, state.error)
  }
}

const sayWhy = ({ channel, error }: WaitingForPeerState): Effect => errorMessage(channel.params.channelId, error)

const pleaseClose = (state: WaitingForPeerState, { signer }: ChannelContext): readonly Effect[] => [
  state.publishAfter === undefined ? closeRequest(state.channel, signer) : reestablishMessage(state.channel, signer),
  sayWhy(state),
]

function onCommand(state: WaitingForPeerState, command: ChannelCommand, ctx: ChannelContext): Turn {
  const { channel } = state
  const decided =
    command.tag === 'presumeHtlc'
      ? presume(channel, command)
      : command.tag === 'presumeReceived'
        ? presumeReceived(channel, command.shown, { isOpen: true, blockHeight: ctx.blockHeight })
        : withDecision(channel, command)
  if (decided) return turn({ ...state, channel: decided })
  if (command.tag !== 'forceClose') return turn(state, tooLate(command, 'the channel waits for its peer to close it'))
  if (command.evenIfRevoked) return closeAtRisk(state, command, ctx)
  const rule = 'BOLT 2 §message-retransmission: who has fallen behind does not publish its commitment'
  const what =
    state.publishAfter === undefined
      ? 'our state is old: publishing it would lose everything; wait for the peer'
      : `the peer may have a newer commitment: ours is published after block ${state.publishAfter}, if its own is in none by then`
  const detail = `${what}${state.isOld === false ? `; ${WAY_OUT}` : ''}`
  return turn(state, [reply(command.requestId, refuse('DATA_LOSS', rule, detail).error)])
}

function onChain(state: WaitingForPeerState, event: ChainEvent, ctx: ChannelContext): Turn {
  if (spendsFunding(state.channel, event)) {
    // What is not a commitment both have signed: a close that was agreed before the data was lost, if any was.
    const mayBeLost = state.publishAfter === undefined
    const mutual = !isCommitment(event.tx) && (mayBeLost || knowsClosing(state.channel, event.tx))
    const spend = { tx: event.tx, height: event.height, mutual }
    return knownOld(closingTurn(fundingSpent(state.channel, spend, ctx), state.error), state.isOld)
  }
  const wrong = whyNoFunding(state.channel, event)
  if (wrong !== null) return notFunded(state, wrong, true)
  const next = followed(state, event)
  if (event.tag !== 'block') return turn(next)
  const never = cannotBeFunded(next.channel, event.height)
  if (never !== null) return never
  return next.publishAfter === undefined ? orGivenUp(next, ctx) : orPublished(next, ctx)
}

/** Its time is over, or that of an HTLC. */
function orPublished(state: WaitingForPeerState, ctx: ChannelContext): Turn {
  const next = afterBlock(state, ctx)
  const { channel, publishAfter = 0 } = next
  const isDue =
    ctx.blockHeight > publishAfter || missedDeadline(channel, ctx.blockHeight, ctx)?.response === 'fail-channel'
  if (!isDue) return turn(next)
  if (unpublishable(channel, next.isOld, ctx.signer) !== null) return turn(neverPublished(next))
  return publish(channel, ctx, next.error)
}

const spendsFunding = ({ commitments }: Channel, event: ChainEvent): event is ChainEvent & { tag: 'spent' } =>
  event.tag === 'spent' && outpointKey(event.outpoint) === outpointKey(commitments.active[0]!.funding)

// ---------------------------------------------------------------- a funding that may never have been

const searchOf = ({ channel, search }: WaitingForPeerState): FundingSearch =>
  search ?? { since: channel.params.openedAt, done: false }

/**
 * The height up to which a restored channel waits for its funding: its time, or until what has spent its coins is deep. Null when it is
 * in the chain, or older blocks are not looked through yet.
 */
function fundingDeadline(state: WaitingForPeerState): number | null {
  const { since, done, rival = null } = searchOf(state)
  const { restored, funding } = state.channel
  if (!restored || funding.confirmed !== null || !done) return null
  return rival === null ? since + FUNDING_TIMEOUT : Math.min(since + FUNDING_TIMEOUT, rival + RESOLVED_DEPTH - 1)
}

/** For people. */
export function waitsForClose(state: WaitingForPeerState): string {
  const { restored, funding } = state.channel
  if (state.publishAfter !== undefined)
    return `the peer to publish its commitment, which may be newer than ours; ours is published after block ${state.publishAfter}`
  if (!restored) return 'the peer to publish its commitment, since we lost data'
  const until = fundingDeadline(state)
  if (until !== null) return `its funding transaction, which is in no block yet and is given up after height ${until}`
  return funding.confirmed === null
    ? 'its funding transaction, which is looked for in the blocks since its opening'
    : 'the peer to publish its commitment, since the channel was restored from a backup'
}

function followed(state: WaitingForPeerState, event: ChainEvent): WaitingForPeerState {
  const channel = followFunding(state.channel, event)
  const search = searchOf(state)
  const { txid } = channel.commitments.active[0]!.funding
  const spenders = [{ txid, inputs: search.inputs ?? [] }]
  const rival = rivalAfter({ spenders, rival: search.rival ?? null }, event)
  if (channel === state.channel)
    return rival === (search.rival ?? null) ? state : { ...state, search: { ...search, rival } }
  if (event.tag !== 'reorg') return { ...state, channel }
  // What a reorganisation took out of the chain has its time again to come back.
  return { ...state, channel, search: { ...search, rival, since: event.height } }
}

/** Beside what every channel that is not closed looks out for. */
export const searchWatches = ({ channel, search }: WaitingForPeerState): readonly Watch[] =>
  channel.funding.confirmed === null ? inputWatches(search?.inputs ?? []) : []

function searched(state: WaitingForPeerState, fromHeight: number, ctx: ChannelContext): Turn {
  const search = searchOf(state)
  if (search.done || fromHeight > state.channel.params.openedAt) return turn(state)
  return orGivenUp({ ...state, search: { ...search, done: true } }, ctx)
}

function orGivenUp(state: WaitingForPeerState, { blockHeight }: ChannelContext): Turn {
  const until = fundingDeadline(state)
  if (until === null || blockHeight <= until) return turn(state)
  const { txid } = state.channel.commitments.active[0]!.funding
  const why = searchOf(state).rival ? 'can never be in a block, since another has spent its coins' : 'is in no block'
  return notFunded(state, `the funding transaction ${txid} ${why}: there never was a channel to restore`)
}

/**
 * A restored channel was given up as never funded. There may be money of ours in it if its funding comes after all: that is watched
 * for, and then the peer is asked to close as before.
 */
export function fundedAfterAll(state: ClosedState, event: ChainEvent, ctx: ChannelContext): Turn {
  const { channel } = state
  if (channel === null || !channel.restored || state.onchain !== null) return turn(state)
  const waiting: WaitingForPeerState = {
    tag: 'waiting-for-peer',
    channel: followFunding(channel, event),
    error: PLEASE_CLOSE,
    search: { since: channel.params.openedAt, done: true },
  }
  if (spendsFunding(channel, event)) return onChain(waiting, event, ctx)
  return waiting.channel === channel ? turn(state) : turn(waiting, pleaseClose(waiting, ctx))
}
