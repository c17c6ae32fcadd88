import { equalBytes } from '../../base/bytes.ts'
import type { Sat } from '../../base/units.ts'
import { msatToSatFloor } from '../../base/units.ts'
import type { MessageNamed } from '../../wire/registry.ts'
import type { FeeProposal } from '../closeTerms.ts'
import { answerFee, type FeePreference } from '../closingFee.ts'
import { fail, rejected, warn } from '../faults.ts'
import { closingDustSat } from '../scripts.ts'
import { mayClose, noteClosings, usesSimpleClose } from '../simpleClose.ts'
import type { NegotiatingState, ShutdownState } from '../state.ts'
import { localMsat, remoteMsat } from '../totals.ts'
import { type BuiltClosing, buildClosing, closingFee } from '../tx/closing.ts'
import { fundingScript } from '../tx/scripts.ts'
import type { ChannelCommand, ChannelContext, ChannelInput, Effect, Fault, Turn } from '../types.ts'
import { agree } from './agreed.ts'
import { closesOnce, closingFault } from './operate.ts'
import { common, endConnection, reply, respond, turn } from './shared.ts'
import { afterChain, beginSimple, simpleClosing } from './simpleClosing.ts'

/** The lowest feerate that nodes relay, in sat per 1,000 weight units. */
const LOWEST_FEERATE = 253

/** No HTLC is left: with option_simple_close both propose a transaction, otherwise the opener proposes a fee. @source BOLT 2 §legacy-closing-negotiation */
export function beginNegotiation(from: ShutdownState, ctx: ChannelContext): Turn {
  const { closings = [] } = from.channel
  const state: NegotiatingState = {
    tag: 'negotiating',
    channel: { ...from.channel, closings },
    localScript: from.localScript,
    remoteScript: from.remoteScript,
    closeRequest: from.closeRequest,
    sent: null,
    received: null,
    signedFees: [],
    published: [],
  }
  return usesSimpleClose(state.channel) ? beginSimple(state, ctx) : openTalks(state, ctx)
}

type NegotiatingTurn = Turn & { readonly state: NegotiatingState }

/**
 * What is said first in a new connection, where negotiation starts anew: the opener's proposal. With option_simple_close that waits for
 * the peer's shutdown, by which its script may have changed.
 */
export function openTalks(state: NegotiatingState, ctx: ChannelContext): Turn {
  const fresh: NegotiatingState = { ...state, sent: null, received: null }
  if (usesSimpleClose(state.channel)) return turn(fresh)
  if (!state.channel.params.isOpener) return turn(fresh)
  return propose(fresh, preference(state, ctx).idealSat, ctx)
}

/** A close by closing_signed, or by option_simple_close where both offer that (simpleClosing.ts). */
export function negotiating(state: NegotiatingState, input: ChannelInput, ctx: ChannelContext): Turn {
  const simple = usesSimpleClose(state.channel)
  const handled = common(state, input, ctx)
  if (handled) return simple && input.tag === 'chain' ? afterChain(handled, input.event, ctx) : handled
  const spoken = simple ? simpleClosing(state, input, ctx) : null
  if (spoken) return spoken
  if (input.tag === 'message') {
    const { message } = input
    if (message.type === 'closing_signed' && !simple) return receiveFee(state, message, ctx)
    if (message.type === 'closing_complete' || message.type === 'closing_sig' || message.type === 'closing_signed')
      return respond(state, notNegotiated(message.type), ctx)
    const late = message.type.startsWith('update_') || message.type === 'commitment_signed'
    return late ? respond(state, lateUpdate(message.type), ctx) : turn(state)
  }
  if (input.tag === 'command') {
    if (input.command.tag === 'close') return askAnew(state, input.command)
    if (input.command.tag === 'addHtlc')
      return turn(state, [rejected(input.command.origin, closingFault('the channel is closing already'))])
  }
  return turn(state)
}

/**
 * Asked to close again while no fee is agreed on, as where the peer finds ours too low: with another feerate the talks begin anew, which takes
 * a new connection.
 * @source BOLT 2 §legacy-closing-negotiation
 */
function askAnew(state: NegotiatingState, command: Extract<ChannelCommand, { tag: 'close' }>): Turn {
  const { requestId, scriptPubKey, feeratePerKw } = command
  const { localScript, closeRequest, published } = state
  const refused = (why: string): Turn => turn(state, [reply(requestId, closesOnce(why))])
  if (published.length > 0) return refused('both sides have signed a closing transaction already')
  if (scriptPubKey !== undefined && !equalBytes(scriptPubKey, localScript))
    return refused('the address is told to the peer, which takes no other')
  if (feeratePerKw === undefined || feeratePerKw === closeRequest?.feeratePerKw)
    return refused('the channel is closing already: give another feerate where the peer does not agree to the fee')
  const anew: NegotiatingState = { ...state, closeRequest: { scriptPubKey: localScript, feeratePerKw } }
  const isBegun = state.sent !== null || state.received !== null
  const hangUp = isBegun ? endConnection(state.channel, 'the closing fee is negotiated anew') : []
  return turn(anew, [reply(requestId, 'done'), ...hangUp])
}

const notNegotiated = (type: string): Fault =>
  warn(
    'PROTOCOL_VIOLATION',
    'BOLT 2 §channel-close: option_simple_close says how the fee is agreed on',
    `${type} belongs to the other way`,
  ).error

const lateUpdate = (type: string): Fault =>
  warn(
    'PROTOCOL_VIOLATION',
    'BOLT 2 §closing-initiation-shutdown: no update follows once no HTLC is left',
    `${type} came while the closing fee is negotiated`,
  ).error

/** What we would pay, or let the peer pay. The opener's own money sets the upper bound of its range. */
function preference(state: NegotiatingState, ctx: ChannelContext): FeePreference {
  const { channel, closeRequest, localScript, remoteScript } = state
  const chosen = closeRequest?.feeratePerKw ?? null
  const fee = (feeratePerKw: number): Sat => closingFee(feeratePerKw, localScript, remoteScript)
  const base = channel.commitments.active[0]!
  const { local } = channel.commitments.next
  const ours = localMsat(base, local)
  const payer = msatToSatFloor(channel.params.isOpener ? ours : remoteMsat(base, local))
  const cap = (feeSat: Sat): Sat => (feeSat > payer ? payer : feeSat)
  const minSat = cap(fee(LOWEST_FEERATE))
  const idealSat = cap(fee(Math.max(chosen ?? ctx.feerates.closing, LOWEST_FEERATE)))
  if (!channel.params.isOpener) return { idealSat, minSat, maxSat: payer }
  const most = chosen ?? Math.max(2 * ctx.feerates.closing, channel.commitments.local.feeratePerKw)
  return { idealSat, minSat, maxSat: cap(fee(Math.max(most, LOWEST_FEERATE))) }
}

/** The closing transaction at a fee, leaving out outputs below a limit; null when nothing would be left. */
function closingTx(state: NegotiatingState, feeSat: Sat, dustLimitSat: Sat): BuiltClosing | null {
  const { params, commitments } = state.channel
  const base = commitments.active[0]!
  const { local } = commitments.next
  return buildClosing({
    funding: base.funding,
    capacitySat: base.capacitySat,
    fundingScript: fundingScript(params.local.basepoints.fundingPubkey, params.remote.basepoints.fundingPubkey),
    feeSat,
    local: { amountMsat: localMsat(base, local), scriptPubKey: state.localScript },
    remote: { amountMsat: remoteMsat(base, local), scriptPubKey: state.remoteScript },
    localIsOpener: params.isOpener,
    dustLimitSat,
  })
}

/**
 * The forms that the peer's signature may be for: each side leaves out outputs below its own limit, and the peer may leave out its
 * own output when that is the smaller one.
 * @source BOLT 3 §legacy-closing-transaction
 */
function candidates(state: NegotiatingState, feeSat: Sat): readonly BuiltClosing[] {
  const { local, remote } = state.channel.params
  const base = state.channel.commitments.active[0]!
  const theirs = msatToSatFloor(remoteMsat(base, state.channel.commitments.next.local))
  const limits = [local.dustLimitSat, remote.dustLimitSat, (theirs + 1n) as Sat]
  return limits.flatMap((limit) => closingTx(state, feeSat, limit) ?? [])
}

function propose(state: NegotiatingState, feeSat: Sat, ctx: ChannelContext): NegotiatingTurn {
  const built = closingTx(state, feeSat, state.channel.params.local.dustLimitSat)
  if (built === null) return { state, effects: [] }
  const { minSat, maxSat } = preference(state, ctx)
  const { sent, message } = signedProposal(
    state,
    { feeSat, range: { minSat, maxSat } },
    ctx.signer.signFunding(built.sighash),
  )
  const signedFees = state.signedFees.includes(feeSat) ? state.signedFees : [...state.signedFees, feeSat]
  return { state: { ...state, channel: noteClosings(state.channel, [built]), sent, signedFees }, effects: [message] }
}

function signedProposal(
  state: NegotiatingState,
  sent: FeeProposal,
  signature: Uint8Array,
): { readonly sent: FeeProposal; readonly message: Effect } {
  const feeRange = sent.range && { minFeeSatoshis: sent.range.minSat, maxFeeSatoshis: sent.range.maxSat }
  const { channelId } = state.channel.params
  const message = {
    type: 'closing_signed',
    channelId,
    feeSatoshis: sent.feeSat,
    signature,
    ...(feeRange && { feeRange }),
  } as const
  return { sent, message: { tag: 'send', message } }
}

/** @source BOLT 2 §legacy-closing-negotiation: receiving node */
function receiveFee(state: NegotiatingState, m: MessageNamed<'closing_signed'>, ctx: ChannelContext): Turn {
  const { feeRange } = m
  const received: FeeProposal = {
    feeSat: m.feeSatoshis,
    range: feeRange ? { minSat: feeRange.minFeeSatoshis, maxSat: feeRange.maxFeeSatoshis } : null,
  }
  const theirKey = state.channel.params.remote.basepoints.fundingPubkey
  const built = candidates(state, received.feeSat).find((c) => ctx.signer.verify(m.signature, c.sighash, theirKey))
  if (!built) return respond(state, badSignature(received.feeSat), ctx)
  if (built.tx.outputs.some((o) => o.amountSat < closingDustSat(o.scriptPubKey))) {
    return respond(state, notRelayed(received.feeSat), ctx)
  }
  const { closings } = state.channel
  if (!mayClose(state.channel, state.published) && !closings?.includes(built.txid)) return respond(state, TOO_MANY, ctx)
  const { isOpener } = state.channel.params
  const talk = { isOpener, preference: preference(state, ctx), sent: state.sent, before: state.received, received }
  const answer = answerFee(talk)
  const heard: NegotiatingState = { ...state, received }
  switch (answer.tag) {
    case 'fault':
      return respond(heard, answer.fault, ctx)
    case 'propose':
      return propose(heard, answer.feeSat, ctx)
    case 'agree': {
      const { state: told, effects } = answer.tell
        ? propose(heard, received.feeSat, ctx)
        : { state: heard, effects: [] }
      return agree(told, { built, theirSignature: m.signature }, ctx, effects)
    }
  }
}

/** Each fee that is agreed on makes one more that may confirm, and is remembered. */
const TOO_MANY = warn(
  'PROTOCOL_VIOLATION',
  'BOLT 2 §legacy-closing-negotiation: both sides come to a fee',
  'far too many transactions are signed already',
).error

/** Only of a script that is no witness program: for those dust_limit_satoshis is high enough. */
const notRelayed = (feeSat: Sat): Fault =>
  fail(
    'INVALID_SCRIPT',
    'BOLT 2 §legacy-closing-negotiation: no output of the closing transaction is below the dust limit of its script',
    `one is at a fee of ${feeSat} sat`,
  ).error

const badSignature = (feeSat: Sat): Fault =>
  warn(
    'BAD_SIGNATURE',
    'BOLT 2 §legacy-closing-negotiation: the signature is valid for a form of the closing transaction',
    `the signature at ${feeSat} sat is for none`,
  ).error
