import { equalBytes, printable } from '../../base/bytes.ts'
import type { ShortChannelId } from '../../base/ids.ts'
import { outpointKey, shortChannelId } from '../../base/ids.ts'
import { COINBASE_MATURITY } from '../../bitcoin/checkTransaction.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { fundingScriptOf } from '../commitments.ts'
import { forgetUnsigned } from '../dance.ts'
import { missedDeadline } from '../deadlines.ts'
import { lostData, unprovenFault, unpublishable } from '../doubt.ts'
import { errorMessage, faultText, warningMessage } from '../faults.ts'
import { followRival, ruledOut } from '../fundingRival.ts'
import { heldBack } from '../heldBack.ts'
import { beginLocal, fundingSpent } from '../onchain/onchain.ts'
import { resultsWithoutChain } from '../onchain/settle.ts'
import type { OnchainStep } from '../onchain/types.ts'
import { bestClosing, knowsClosing } from '../simpleClose.ts'
import type { Channel, ChannelState, FundedState, WaitingForPeerState } from '../state.ts'
import { isCommitment } from '../tx/commitment.ts'
import type { ChainEvent, ChannelCommand, ChannelContext, ChannelInput, Effect, Fault, Turn } from '../types.ts'
import type { Change } from '../updates.ts'

export const turn = (state: ChannelState, effects: readonly Effect[] = []): Turn => ({ state, effects })
export const reply = (requestId: number, result: 'done' | Fault): Effect => ({ tag: 'reply', requestId, result })
export const send = (message: Extract<Effect, { tag: 'send' }>['message']): Effect => ({ tag: 'send', message })

/** The same phase with another channel record. */
export const withChannel = <S extends FundedState>(state: S, channel: Channel): S =>
  channel === state.channel ? state : { ...state, channel }

export const applied = <S extends FundedState>(state: S, change: Change): Turn =>
  turn(withChannel(state, change.channel), change.effects)

// ---------------------------------------------------------------- depth

/** Confirmations of the funding transaction at the context's height. */
export const fundingDepth = (channel: Channel, blockHeight: number): number =>
  channel.funding.confirmed === null ? 0 : Math.max(0, blockHeight - channel.funding.confirmed.height + 1)

/**
 * Confirmations before we send channel_ready. Our commitment cannot be published before the output of a coinbase can be spent.
 * @source BOLT 2 §the-channel_ready-message
 */
export const depthNeeded = ({ params, funding }: Channel): number =>
  funding.confirmed?.txIndex === 0 ? Math.max(params.minimumDepth, COINBASE_MATURITY) : params.minimumDepth

/** Null while the funding transaction is unconfirmed. */
export function realScid(channel: Channel): ShortChannelId | null {
  const { confirmed } = channel.funding
  if (confirmed === null) return null
  return shortChannelId(confirmed.height, confirmed.txIndex, channel.commitments.active[0]!.funding.index)
}

// ---------------------------------------------------------------- the end

/** What the on-chain part made of it. */
export function closing(step: OnchainStep, error: string | null, before: readonly Effect[] = []): Turn {
  const { channel, onchain, effects, done } = step
  if (!done) return turn({ tag: 'closing', channel, error, onchain }, [...before, ...effects])
  const { how, closing: end } = onchain
  const event: Effect = { tag: 'notify', event: { tag: 'closed', how, txid: end.txid } }
  return turn({ tag: 'closed', channel, onchain, reason: how }, [...before, ...effects, event])
}

/** It goes on chain, and the peer has proved before that our commitment is revoked. */
export const knownOld = (next: Turn, isOld: boolean | undefined): Turn =>
  isOld && (next.state.tag === 'closing' || next.state.tag === 'closed')
    ? { ...next, state: { ...next.state, isOld: true } }
    : next

/**
 * Publishes our commitment; what nobody signed for is taken back. One that may be revoked is kept back for ever, and the peer is
 * asked for its own.
 * @source BOLT 5 §failing-a-channel
 */
function forceClose(from: Channel, ctx: ChannelContext, error: string | null, before: readonly Effect[] = []): Turn {
  if (!from.unproven) return publish(from, ctx, error, before)
  const { channel, effects } = forgetUnsigned(from)
  const why = `the store lost a write, and the channel has to close: ${error ?? 'the peer failed it'}`
  return lostData(channel, why, [...before, ...effects])
}

/** Where the two sides are not in step: the peer, whose commitment may be newer, has the first move. */
export function holdBack(
  from: Channel,
  ctx: ChannelContext,
  error: string | null,
  before: readonly Effect[] = [],
): Turn {
  if (from.unproven) return forceClose(from, ctx, error, before)
  const { channel, effects } = forgetUnsigned(from)
  const held = heldBack(channel, error, ctx)
  return turn(held.state, [...held.effects, ...before, ...effects])
}

export function publish(
  from: Channel,
  ctx: ChannelContext,
  error: string | null,
  before: readonly Effect[] = [],
): Turn {
  const { channel, effects } = forgetUnsigned(from)
  const told = error === null ? [] : [errorMessage(channel.params.channelId, error)]
  return closing(beginLocal(channel, ctx), error, [...told, ...before, ...effects])
}

/** After a close is negotiated no commitment is newer. */
const endBy = ({ tag }: FundedState, end: typeof forceClose): typeof forceClose =>
  tag === 'negotiating' ? forceClose : end

const BY_OPERATOR = 'the operator closes the channel by force'

/** The operator has a commitment published that may be revoked. */
export function closeAtRisk(
  state: FundedState | WaitingForPeerState,
  { requestId }: Extract<ChannelCommand, { tag: 'forceClose' }>,
  ctx: ChannelContext,
): Turn {
  const isOld = state.tag === 'waiting-for-peer' ? state.isOld : false
  const fault = unpublishable(state.channel, isOld, ctx.signer)
  if (fault !== null) return turn(state, [reply(requestId, fault)])
  return publish(state.channel, ctx, BY_OPERATOR, [reply(requestId, 'done')])
}

/** Both sides have signed a closing transaction that miners take: whatever goes wrong from here, the channel ends by that. */
export const isAgreed = (state: FundedState, { blockHeight }: ChannelContext): boolean =>
  state.tag === 'negotiating' && bestClosing(state.channel, state.published, blockHeight) !== null

/** A new connection may heal it. */
export const endConnection = ({ params }: Channel, text: string): readonly Effect[] => [
  warningMessage(params.channelId, text),
  { tag: 'disconnect', reason: text },
]

/** The answer to a fault, as its response says. */
export function respond(state: FundedState, fault: Fault, ctx: ChannelContext, end = forceClose): Turn {
  const event: Effect = { tag: 'notify', event: { tag: 'fault', fault, byPeer: false } }
  switch (fault.response) {
    case 'reject-command':
      return turn(state)
    case 'warn-peer':
      return turn(state, [...endConnection(state.channel, faultText(fault)), event])
    case 'fail-channel':
      if (isAgreed(state, ctx)) return turn(state, [event])
      if (isPromise(state)) return notFunded(state, faultText(fault))
      return endBy(state, end)(state.channel, ctx, faultText(fault), [event])
  }
}

// ---------------------------------------------------------------- what every funded phase does alike

/** Handles what is the same in every phase of a funded channel; null for everything else. */
export function common(state: FundedState, input: ChannelInput, ctx: ChannelContext): Turn | null {
  switch (input.tag) {
    case 'chain':
      return onChain(state, input.event, ctx)
    case 'message':
      return onMessage(state, input.message, ctx)
    case 'command':
      return onCommand(state, input.command, ctx)
    case 'connected':
    case 'disconnected':
    case 'searched':
    case 'doubted':
    case 'funded':
    case 'fundingFailed':
    case 'revokedHtlcs':
      return turn(state)
    case 'sign':
      return null
  }
}

function onMessage(
  state: FundedState,
  message: Extract<ChannelInput, { tag: 'message' }>['message'],
  ctx: ChannelContext,
): Turn | null {
  if (message.type === 'error') return peerError(state, message.data, ctx)
  if (message.type === 'warning') return turn(state, [peerFault('warn-peer', message.data)])
  return null
}

const peerFault = (response: Fault['response'], data: Uint8Array): Effect => ({
  tag: 'notify',
  event: { tag: 'fault', byPeer: true, fault: peerSaid(response, data) },
})
const peerSaid = (response: Fault['response'], data: Uint8Array): Fault => ({
  code: 'PEER_ERROR',
  response,
  requirement: 'BOLT 1 §the-error-and-warning-messages',
  detail: printable(data) || 'the peer gave no reason',
})

/**
 * What LND says of an error of its own that a new connection heals, and of a shutdown while HTLCs are pending: it goes on with the
 * channel, and where it would not, it publishes its own commitment. CLN, LDK and eclair do not close over these either.
 */
const PASSING = ['internal error', 'link failed to shutdown']
const isPassing = (data: Uint8Array): boolean => PASSING.includes(printable(data))
const NOT_CLOSING = 'no reason to close a channel: publish your commitment if you want that'

/**
 * The peer failed the channel, so it ends on chain. Where the close is agreed, the peer may have forgotten the channel, and says so;
 * so does an opener that a crash stopped before the funding: that channel never comes to be, and without a share in it we forget it.
 * @source BOLT 1 §the-error-and-warning-messages, BOLT 5 §failing-a-channel
 */
export function peerError(state: FundedState, data: Uint8Array, ctx: ChannelContext, end = forceClose): Turn {
  if (isAgreed(state, ctx)) return turn(state)
  if (isPassing(data)) return turn(state, [...endConnection(state.channel, NOT_CLOSING), peerFault('warn-peer', data)])
  if (isPromise(state)) {
    return notFunded(state, `the opener gave the channel up: ${printable(data) || 'without a reason'}`)
  }
  return endBy(state, end)(state.channel, ctx, null, [peerFault('fail-channel', data)])
}

function onCommand(state: FundedState, command: ChannelCommand, ctx: ChannelContext): Turn | null {
  if (command.tag === 'setPolicy') {
    const channel = { ...state.channel, relay: command.relay }
    return turn(withChannel(state, channel), [reply(command.requestId, 'done'), { tag: 'gossip' }])
  }
  if (command.tag === 'forceClose') {
    if (isPromise(state)) {
      const { state: next, effects } = notFunded(state, 'the operator gave the channel up before it was funded')
      return turn(next, [reply(command.requestId, 'done'), ...effects])
    }
    if (!state.channel.unproven) return publish(state.channel, ctx, BY_OPERATOR, [reply(command.requestId, 'done')])
    if (command.evenIfRevoked) return closeAtRisk(state, command, ctx)
    return turn(state, [reply(command.requestId, unprovenFault())])
  }
  return null
}

/** The channel with what a chain event says of its funding transaction; the same one when that is nothing. */
export function followFunding(from: Channel, event: ChainEvent): Channel {
  const channel = followRival(from, event)
  const { funding, commitments } = channel
  const { confirmed } = funding
  if (event.tag === 'reorg' && confirmed !== null && confirmed.height > event.height) {
    // What both have signed names the place in the chain that it had.
    const announcement = { sent: 'never', remote: null } as const
    return { ...channel, funding: { ...funding, confirmed: null }, announcement }
  }
  if (event.tag === 'confirmed' && confirmed === null && event.txid === commitments.active[0]!.funding.txid) {
    return { ...channel, funding: { ...funding, confirmed: { height: event.height, txIndex: event.txIndex } } }
  }
  return channel
}

function onChain(state: FundedState, event: ChainEvent, ctx: ChannelContext): Turn {
  const { channel } = state
  const commitment = channel.commitments.active[0]!
  switch (event.tag) {
    case 'spent': {
      if (outpointKey(event.outpoint) !== outpointKey(commitment.funding))
        return turn(withChannel(state, followFunding(channel, event)))
      const mutual = !isCommitment(event.tx) && knowsClosing(channel, event.tx)
      const toldAs = state.tag === 'negotiating' && state.published.length > 0 ? 'cooperative' : null
      const { channel: bound, effects } = forgetUnsigned(channel)
      return closing(fundingSpent(bound, { tx: event.tx, height: event.height, mutual, toldAs }, ctx), null, effects)
    }
    case 'reorg':
      return turn(withChannel(state, followFunding(channel, event)))
    case 'confirmed': {
      const wrong = whyNoFunding(channel, event)
      return wrong === null ? turn(withChannel(state, followFunding(channel, event))) : notFunded(state, wrong, true)
    }
    case 'block': {
      const late = channel.unproven ? null : missedDeadline(channel, event.height, ctx)
      if (late !== null) return respond(state, late, ctx)
      return cannotBeFunded(channel, event.height) ?? neverFunded(state, event.height) ?? turn(state)
    }
  }
}

/** Blocks that the accepter waits for the funding transaction. @source BOLT 2 §the-channel_ready-message */
export const FUNDING_TIMEOUT = 2016

/** It is for the opener to publish the funding transaction, and it is not in the chain. */
const mayNeverBe = ({ params, funding }: Channel): boolean => !params.isOpener && funding.confirmed === null
const hasNoShare = ({ commitments }: Channel): boolean => commitments.active.every((c) => c.baseLocalMsat === 0n)
/** Its funding has never been deep enough for channel_ready, though it may be shut down already. */
const isYoung = (state: FundedState): boolean => state.tag === 'await-ready' || !state.channel.localReady
/** The peer's channel, of which there is nothing yet and in which nothing is ours: when it fails, there is nothing to publish. */
const isPromise = (state: FundedState): boolean =>
  isYoung(state) && mayNeverBe(state.channel) && hasNoShare(state.channel)

/**
 * Why a channel is taken as never funded at this height, or null. One in doubt may have confirmed in a block that is forgotten; the
 * funding of one that was in use comes back, whatever a reorganisation did to it.
 */
export function fundingTimeout(channel: Channel, height: number): string | null {
  if (
    !mayNeverBe(channel) ||
    channel.unproven ||
    channel.localReady ||
    height <= channel.params.openedAt + FUNDING_TIMEOUT
  )
    return null
  return `the funding transaction did not confirm within ${FUNDING_TIMEOUT} blocks`
}

/** The end of a channel whose funding transaction is ruled out for good; null for others. */
export function cannotBeFunded(channel: Channel, height: number): Turn | null {
  const reason = ruledOut(channel, height)
  return reason === null ? null : notFunded({ channel }, reason, true)
}

function neverFunded(state: FundedState, height: number): Turn | null {
  const reason = isYoung(state) ? fundingTimeout(state.channel, height) : null
  return reason === null ? null : notFunded(state, reason)
}

/**
 * Whether the transaction that the opener named really pays the capacity to both keys: without this look, a peer could have us
 * forward money over a channel that does not exist.
 * @source BOLT 2 §the-funding_created-message, §the-channel_ready-message
 */
function isFunding({ params, commitments }: Channel, tx: Transaction): boolean {
  const { funding, capacitySat } = commitments.active[0]!
  const output = tx.outputs[funding.index]
  const script = fundingScriptOf(params.local, params.remote)
  return output !== undefined && output.amountSat === capacitySat && equalBytes(output.scriptPubKey, script)
}

/** Why what confirmed shows that there never was a channel, or null. Of a restored one not all keys may be known. */
export function whyNoFunding(channel: Channel, event: ChainEvent): string | null {
  const isIt = event.tag === 'confirmed' && event.txid === channel.commitments.active[0]!.funding.txid
  if (!isIt || channel.restored || isFunding(channel, event.tx)) return null
  return 'the announced transaction does not fund the channel'
}

/** The channel came to nothing, now or for good: the peer and the operator are told why. */
export function notFunded(state: Pick<FundedState, 'channel'>, reason: string, forGood = false): Turn {
  const { channel, effects } = forGood ? withoutOffers(state.channel) : { channel: state.channel, effects: [] }
  return turn({ tag: 'closed', channel, onchain: null, reason, ...(forGood && { forGood }) }, [
    ...effects,
    errorMessage(state.channel.params.channelId, reason),
    { tag: 'notify', event: { tag: 'closed', how: 'never-funded', txid: null, reason } },
  ])
}

/** HTLCs that we offered over a channel that can never be are over. */
function withoutOffers(from: Channel): { readonly channel: Channel; readonly effects: readonly Effect[] } {
  const { channel, effects } = forgetUnsigned(from)
  const over = resultsWithoutChain(channel).map((event): Effect => ({ tag: 'relay', event }))
  return { channel, effects: [...effects, ...over] }
}
