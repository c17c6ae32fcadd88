import { EMPTY, equalBytes, printable } from '../../base/bytes.ts'
import { type ChannelId, channelIdOf, type Outpoint, outpointKey } from '../../base/ids.ts'
import { type Msat, satToMsat } from '../../base/units.ts'
import { type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import { EMPTY_SECRETS } from '../../crypto/shachain.ts'
import { encodeChannelType } from '../../wire/features.ts'
import type { OpenChannel } from '../../wire/messages/open.ts'
import type { ChannelMessage, MessageNamed } from '../../wire/registry.ts'
import { buildLocal, buildRemote, fundingScriptOf, wrongSignature } from '../commitments.ts'
import { errorMessage, fail, faultText } from '../faults.ts'
import { EMPTY_TABLE } from '../htlcTable.ts'
import { declared, depthFor, judgeAccept, judgeOpen, judgeOpenMessage, ourSide } from '../parameters.ts'
import type {
  AwaitAcceptState,
  AwaitFundingCreatedState,
  AwaitFundingSignedState,
  AwaitFundingState,
  Channel,
  CoinSpender,
  Commitments,
  OpeningState,
  Proposal,
  SideParams,
} from '../state.ts'
import { recount } from '../totals.ts'
import type { AcceptParams, ChannelContext, ChannelInput, Effect, Fault, OpenParams, Turn } from '../types.ts'
import { reply, turn } from './shared.ts'

// ---------------------------------------------------------------- how it begins

/** @source BOLT 2 §the-open_channel-message: sending node */
export function beginOpen(params: OpenParams, ctx: ChannelContext): Turn {
  const local = ourSide(params.capacitySat, ctx)
  const judged = judgeOpen(params, local, ctx)
  const { temporaryChannelId, capacitySat, pushMsat, feeratePerKw, requestId } = params
  if (!judged.ok) {
    return turn({ tag: 'closed', channel: null, onchain: null, reason: faultText(judged.error) }, [
      reply(requestId, judged.error),
    ])
  }
  const { remoteNodeId, announce, channelType, keyIndex, theirFeatures, relay } = params
  const terms = { temporaryChannelId, remoteNodeId, announce, channelType, capacitySat, pushMsat, feeratePerKw }
  const proposal: Proposal = { ...terms, isOpener: true, keyIndex, theirFeatures, relay, local }
  const message: OpenChannel = {
    type: 'open_channel',
    chainHash: ctx.chainHash,
    temporaryChannelId,
    fundingSatoshis: capacitySat,
    pushMsat,
    feeratePerKw,
    ...declared(local, ctx.signer.commitmentPoint(0)),
    channelFlags: announce ? 1 : 0,
    channelType: encodeChannelType(channelType),
  }
  const { fundingFeeratePerKw } = params
  return turn({ tag: 'await-accept', proposal, fundingFeeratePerKw, requestId }, [{ tag: 'send', message }])
}

/** @source BOLT 2 §the-open_channel-message: receiving node, §the-accept_channel-message: sender */
export function beginAccept(open: OpenChannel, params: AcceptParams, ctx: ChannelContext): Turn {
  const local = ourSide(open.fundingSatoshis, ctx)
  const judged = judgeOpenMessage(open, local, ctx)
  const { temporaryChannelId } = open
  if (!judged.ok) return refused(temporaryChannelId, judged.error)
  const { channelType, remote } = judged.value
  const proposal: Proposal = {
    temporaryChannelId,
    remoteNodeId: params.remoteNodeId,
    isOpener: false,
    announce: (open.channelFlags & 1) === 1,
    channelType,
    capacitySat: open.fundingSatoshis,
    pushMsat: open.pushMsat,
    feeratePerKw: open.feeratePerKw,
    keyIndex: params.keyIndex,
    theirFeatures: params.theirFeatures,
    relay: params.relay,
    local,
  }
  const minimumDepth = depthFor(open.fundingSatoshis, ctx.policy)
  const state: AwaitFundingCreatedState = {
    tag: 'await-funding-created',
    proposal,
    remote,
    minimumDepth,
    remotePoint: open.firstPerCommitmentPoint,
  }
  const message: ChannelMessage = {
    type: 'accept_channel',
    temporaryChannelId,
    minimumDepth,
    ...declared(local, ctx.signer.commitmentPoint(0)),
    channelType: encodeChannelType(channelType),
  }
  return turn(state, [{ tag: 'send', message }])
}

/** The opening ends before it began to bind anyone. */
function refused(temporaryChannelId: ChannelId, fault: Fault, more: readonly Effect[] = []): Turn {
  const reason = faultText(fault)
  return turn({ tag: 'closed', channel: null, onchain: null, reason }, [
    errorMessage(temporaryChannelId, reason),
    { tag: 'notify', event: { tag: 'fault', fault, byPeer: false } },
    ...more,
  ])
}

// ---------------------------------------------------------------- the phases

/** Everything up to the first signatures: forgotten when the connection is lost (BOLT 2 §message-retransmission). */
export function opening(state: OpeningState, input: ChannelInput, ctx: ChannelContext): Turn {
  switch (input.tag) {
    case 'disconnected':
      return abandon(state, 'the connection was lost', notOpened('PEER_OFFLINE', 'the connection was lost'))
    case 'fundingFailed':
      return cancel(state, `the wallet could not fund it: ${input.reason}`, 'FUNDING_FAILED')
    case 'funded':
      if (state.tag === 'await-funding') return funded(state, input, ctx)
      return turn(state, [{ tag: 'releaseFunding' }])
    case 'command':
      return onCommand(state, input.command)
    case 'message':
      return onMessage(state, input.message, ctx)
    default:
      return turn(state)
  }
}

function onMessage(state: OpeningState, m: ChannelMessage, ctx: ChannelContext): Turn {
  if (m.type === 'error') return abandon(state, `the peer refused: ${printable(m.data) || 'without a reason'}`)
  if (m.type === 'warning') return turn(state)
  if (state.tag === 'await-accept' && m.type === 'accept_channel') return accepted(state, m, ctx)
  if (state.tag === 'await-funding-created' && m.type === 'funding_created') return fundingCreated(state, m, ctx)
  if (state.tag === 'await-funding-signed' && m.type === 'funding_signed') return fundingSigned(state, m, ctx)
  const rule = 'BOLT 2 §channel-establishment-v1: the messages come in their order'
  return giveUp(state, fail('PROTOCOL_VIOLATION', rule, `${m.type} came in ${state.tag}`).error)
}

function onCommand(state: OpeningState, command: Extract<ChannelInput, { tag: 'command' }>['command']): Turn {
  switch (command.tag) {
    case 'close':
    case 'forceClose': {
      const cancelled = cancel(state, 'the operator cancelled the opening')
      return turn(cancelled.state, [...cancelled.effects, reply(command.requestId, 'done')])
    }
    case 'setPolicy':
      return turn(withRelay(state, command.relay), [reply(command.requestId, 'done')])
    default:
      return turn(state)
  }
}

const withRelay = (state: OpeningState, relay: Proposal['relay']): OpeningState =>
  state.tag === 'await-funding-signed'
    ? { ...state, channel: { ...state.channel, relay } }
    : { ...state, proposal: { ...state.proposal, relay } }

const temporaryIdOf = (state: OpeningState): ChannelId =>
  state.tag === 'await-funding-signed' ? state.temporaryChannelId : state.proposal.temporaryChannelId

/** Ends the opening and says why to whoever asked for it; the wallet gets back what it had set aside. */
function abandon(state: OpeningState, reason: string, fault?: Fault): Turn {
  const effects: Effect[] = []
  if (state.tag === 'await-funding' || state.tag === 'await-funding-signed') effects.push({ tag: 'releaseFunding' })
  if ('requestId' in state) effects.push(reply(state.requestId, fault ?? notOpened('PEER_REFUSED', reason)))
  effects.push({ tag: 'notify', event: { tag: 'closed', how: 'never-funded', txid: null, reason } })
  return turn({ tag: 'closed', channel: null, onchain: null, reason }, effects)
}

const notOpened = (code: 'PEER_REFUSED' | 'PEER_OFFLINE' | 'FUNDING_FAILED', detail: string): Fault => ({
  code,
  response: 'reject-command',
  requirement: 'BOLT 2 §channel-establishment-v1: both sides agree before the channel is funded',
  detail,
})

/** The same, and the peer is told. */
function cancel(state: OpeningState, reason: string, code: 'PEER_REFUSED' | 'FUNDING_FAILED' = 'PEER_REFUSED'): Turn {
  const abandoned = abandon(state, reason, notOpened(code, reason))
  return turn(abandoned.state, [errorMessage(temporaryIdOf(state), reason), ...abandoned.effects])
}

/** The peer broke a rule. */
function giveUp(state: OpeningState, fault: Fault): Turn {
  const abandoned = abandon(state, faultText(fault), fault)
  return refused(temporaryIdOf(state), fault, abandoned.effects)
}

// ---------------------------------------------------------------- opener

/** @source BOLT 2 §the-accept_channel-message: receiver */
function accepted(state: AwaitAcceptState, m: MessageNamed<'accept_channel'>, ctx: ChannelContext): Turn {
  const { proposal, requestId } = state
  const judged = judgeAccept(m, proposal, ctx)
  if (!judged.ok) return giveUp(state, judged.error)
  const remote = judged.value
  const next: AwaitFundingState = {
    tag: 'await-funding',
    proposal,
    remote,
    minimumDepth: m.minimumDepth,
    remotePoint: m.firstPerCommitmentPoint,
    requestId,
  }
  const scriptPubKey = fundingScriptOf(proposal.local, remote)
  const fund: Effect = {
    tag: 'fund',
    amountSat: proposal.capacitySat,
    scriptPubKey,
    feeratePerKw: state.fundingFeeratePerKw,
  }
  return turn(next, [fund])
}

type Funded = Extract<ChannelInput, { tag: 'funded' }>

/** The wallet made the funding transaction: the peer gets its first commitment. @source BOLT 2 §the-funding_created-message */
function funded(state: AwaitFundingState, { tx, outputIndex, ancestors = [] }: Funded, ctx: ChannelContext): Turn {
  const { proposal, remote, requestId } = state
  const output = tx.outputs[outputIndex]
  const pays =
    output?.amountSat === proposal.capacitySat &&
    equalBytes(output.scriptPubKey, fundingScriptOf(proposal.local, remote)) &&
    outputIndex <= 0xffff
  if (!pays) return cancel(state, 'the funding transaction does not pay what was agreed')
  const funding = { txid: txidOf(tx), index: outputIndex }
  const channel = newChannel(state, { funding, tx, ancestors }, ctx)
  const built = buildRemote(channel, channel.commitments.active[0]!)
  const next: AwaitFundingSignedState = {
    tag: 'await-funding-signed',
    channel,
    temporaryChannelId: proposal.temporaryChannelId,
    requestId,
  }
  const message: ChannelMessage = {
    type: 'funding_created',
    temporaryChannelId: proposal.temporaryChannelId,
    fundingTxid: funding.txid,
    fundingOutputIndex: funding.index,
    signature: ctx.signer.signFunding(built.sighash),
  }
  return turn(next, [{ tag: 'send', message }])
}

/** The peer signed our first commitment: only now may the funding be broadcast. @source BOLT 2 §the-funding_signed-message */
function fundingSigned(state: AwaitFundingSignedState, m: MessageNamed<'funding_signed'>, ctx: ChannelContext): Turn {
  const signed = withSignature(state.channel, m.signature, ctx)
  if ('code' in signed) return giveUp(state, signed)
  const funding = signed.commitments.active[0]!.funding
  return turn({ tag: 'await-ready', channel: signed }, [
    { tag: 'broadcast', tx: signed.funding.tx!, purpose: 'funding' },
    { tag: 'notify', event: { tag: 'pending', funding } },
    reply(state.requestId, 'done'),
  ])
}

/** The channel with the peer's signature on our first commitment, if that is right. */
function withSignature(channel: Channel, signature: Uint8Array, ctx: ChannelContext): Channel | Fault {
  const { commitments } = channel
  const commitment = commitments.active[0]!
  const built = buildLocal(channel, commitment, ctx.signer)
  const wrong = wrongSignature(built, { signature, htlcSignatures: [] }, ctx.signer)
  if (wrong !== null) {
    const rule = 'BOLT 2 §the-funding_created-message, §the-funding_signed-message: the signature is correct'
    return fail('BAD_SIGNATURE', rule, wrong).error
  }
  return { ...channel, commitments: { ...commitments, active: [{ ...commitment, signature }] } }
}

// ---------------------------------------------------------------- accepter

/** @source BOLT 2 §the-funding_created-message: recipient, §the-funding_signed-message: sender */
function fundingCreated(
  state: AwaitFundingCreatedState,
  m: MessageNamed<'funding_created'>,
  ctx: ChannelContext,
): Turn {
  const funding = { txid: m.fundingTxid, index: m.fundingOutputIndex }
  if (ctx.isTaken?.(channelIdOf(funding))) return giveUp(state, takenFault(funding))
  const signed = withSignature(newChannel(state, { funding, tx: null }, ctx), m.signature, ctx)
  if ('code' in signed) return giveUp(state, signed)
  const built = buildRemote(signed, signed.commitments.active[0]!)
  const message: ChannelMessage = {
    type: 'funding_signed',
    channelId: signed.params.channelId,
    signature: ctx.signer.signFunding(built.sighash),
  }
  return turn({ tag: 'await-ready', channel: signed }, [
    { tag: 'send', message },
    { tag: 'notify', event: { tag: 'pending', funding } },
  ])
}

/** Payments find their channel by its id: a second one of the same would get what is meant for the first. */
const takenFault = (funding: Outpoint): Fault =>
  fail(
    'PROTOCOL_VIOLATION',
    'BOLT 2 §definition-of-channel_id: a funding output is of one channel',
    `there is a channel with ${outpointKey(funding)}`,
  ).error

// ---------------------------------------------------------------- both

interface Agreed {
  readonly proposal: Proposal
  readonly remote: SideParams
  readonly minimumDepth: number
  readonly remotePoint: Uint8Array
}

interface MadeFunding {
  readonly funding: Outpoint
  readonly tx: Transaction | null
  readonly ancestors?: readonly CoinSpender[]
}

function newChannel(agreed: Agreed, { funding, tx, ancestors = [] }: MadeFunding, ctx: ChannelContext): Channel {
  const { proposal, remote, minimumDepth, remotePoint } = agreed
  const { remoteNodeId, isOpener, announce, channelType, keyIndex, local, feeratePerKw } = proposal
  const params = {
    channelId: channelIdOf(funding),
    remoteNodeId,
    isOpener,
    announce,
    channelType,
    keyIndex,
    minimumDepth: Math.max(minimumDepth, 1),
    local,
    remote,
    openedAt: ctx.blockHeight,
  }
  const openerMsat = (satToMsat(proposal.capacitySat) - proposal.pushMsat) as Msat
  const [baseLocalMsat, baseRemoteMsat] = isOpener ? [openerMsat, proposal.pushMsat] : [proposal.pushMsat, openerMsat]
  const { capacitySat } = proposal
  const commitment = { funding, capacitySat, baseLocalMsat, baseRemoteMsat, signature: EMPTY, htlcSignatures: [] }
  const records: Omit<Commitments, 'next'> = {
    active: [commitment],
    outgoing: EMPTY_TABLE,
    incoming: EMPTY_TABLE,
    nextOutgoingId: 0n,
    nextIncomingId: 0n,
    feeUpdates: [],
    local: { number: 0, feeratePerKw, shiftMsat: 0n },
    remote: { number: 0, feeratePerKw, shiftMsat: 0n, point: remotePoint },
    remoteSigned: null,
    remoteNextPoint: null,
    secrets: EMPTY_SECRETS,
  }
  return {
    params,
    commitments: { ...records, next: recount(params, records) },
    funding: { tx, confirmed: null, ...(ancestors.length > 0 && { ancestors }) },
    relay: proposal.relay,
    announcement: { sent: 'never', remote: null },
    localReady: false,
    remoteReady: false,
    remoteAlias: null,
    theirFeatures: proposal.theirFeatures,
    closings: [],
  }
}
