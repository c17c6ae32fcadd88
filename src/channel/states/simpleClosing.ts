import { equalBytes } from '../../base/bytes.ts'
import { FEERATE_FLOOR } from '../../bitcoin/policy.ts'
import { txidOf } from '../../bitcoin/transaction.ts'
import type { MessageNamed } from '../../wire/registry.ts'
import type { ClosingOffer, SimpleClose } from '../closeTerms.ts'
import { refuse, warn } from '../faults.ts'
import { REPLACEMENT_STEP } from '../onchain/urgency.ts'
import { isShutdownScript, wrongScript } from '../scripts.ts'
import {
  bestClosing,
  buildForm,
  type ClosingPair,
  closingFeePaid,
  closingFeerate,
  type FeeWish,
  FORM_FIELDS,
  FORMS,
  feeToOffer,
  formsOffered,
  formTaken,
  mayClose,
  noteClosings,
  pairOf,
  replacementFee,
} from '../simpleClose.ts'
import type { NegotiatingState } from '../state.ts'
import { type ClosingForm, closingFee, closingWeight } from '../tx/closing.ts'
import type { ChainEvent, ChannelCommand, ChannelContext, ChannelInput, Fault, Turn } from '../types.ts'
import { agree } from './agreed.ts'
import { closesOnce } from './operate.ts'
import { reply, respond, send, turn } from './shared.ts'

/**
 * Closing with option_simple_close: each side offers a transaction that it pays for (closing_complete) and the other signs it
 * (closing_sig). Whatever both have signed may confirm; a higher offer replaces a lower one.
 * @source BOLT 2 §closing-negotiation, BOLT 3 §closing-transaction
 */
const RULE = 'BOLT 2 §closing-negotiation'
const NOTHING: SimpleClose = { ready: false, offer: null, awaitsSince: null }

/** Blocks that the peer has for a closing_sig before we hang up, which starts the talks anew. */
const ANSWER_BLOCKS = 6
/** Blocks after which an offer that has not confirmed is raised. */
const RAISE_AFTER = 6
/** What a raise comes to at least, from a feerate: a quarter more, and enough for a replacement. Less is not worth a new transaction. */
const raisedFrom = (feerate: number): number =>
  Math.max(Math.ceil(feerate * 1.25), feerate + REPLACEMENT_STEP + ROUNDING)
/** Of fees to whole satoshis, in sat per 1,000 weight units. */
const ROUNDING = 5

const simpleOf = (state: NegotiatingState): SimpleClose => state.simple ?? NOTHING
/** Where our money is to go: of a new address we tell with the next offer or shutdown. */
const ourScript = (state: NegotiatingState): Uint8Array => state.closeRequest?.scriptPubKey ?? state.localScript

/** Both shutdowns are there and no HTLC is left. @source BOLT 2 §closing-negotiation: both nodes */
export const beginSimple = (state: NegotiatingState, ctx: ChannelContext): Turn =>
  offerFirst({ ...state, simple: { ...NOTHING, ready: true } }, ctx)

/** The connection is gone: an offer that was not answered is made anew in the next, after both shutdowns. */
export const hangUp = (state: NegotiatingState): NegotiatingState =>
  state.simple
    ? { ...state, localScript: ourScript(state), simple: { ...state.simple, ready: false, awaitsSince: null } }
    : state

/** @returns null when the input is nothing of this way to close */
export function simpleClosing(state: NegotiatingState, input: ChannelInput, ctx: ChannelContext): Turn | null {
  if (input.tag === 'command') return input.command.tag === 'close' ? changeRequest(state, input.command, ctx) : null
  if (input.tag !== 'message') return null
  switch (input.message.type) {
    case 'shutdown':
      return receiveShutdown(state, input.message, ctx)
    case 'closing_complete':
      return receiveComplete(state, input.message, ctx)
    case 'closing_sig':
      return receiveSig(state, input.message, ctx)
    default:
      return null
  }
}

/** Sent again after a reconnection, with the peer's newest script. */
function receiveShutdown(state: NegotiatingState, m: MessageNamed<'shutdown'>, ctx: ChannelContext): Turn {
  if (simpleOf(state).ready) return turn(state)
  const wrong = wrongScript(state.channel, m.scriptPubKey)
  if (wrong) return respond(state, wrong, ctx)
  return offerFirst({ ...state, remoteScript: m.scriptPubKey, simple: { ...simpleOf(state), ready: true } }, ctx)
}

// ---------------------------------------------------------------- our transactions

const ourPair = (state: NegotiatingState): ClosingPair =>
  pairOf(state.channel, 'local', { closerScript: ourScript(state), closeeScript: state.remoteScript })

/** Who did not ask for the close is not in a hurry. */
const estimateOf = ({ closeRequest }: NegotiatingState, { feerates }: ChannelContext): number =>
  Math.max(
    FEERATE_FLOOR,
    closeRequest ? feerates.closing : Math.min(feerates.closing, feerates.slow ?? feerates.closing),
  )

/** What the operator chose, or our estimate. */
const usualWish = (state: NegotiatingState, ctx: ChannelContext): FeeWish => {
  const chosen = state.closeRequest?.feeratePerKw ?? null
  return { feeratePerKw: Math.max(chosen ?? estimateOf(state, ctx), FEERATE_FLOOR), chosen: chosen !== null }
}

/** The last offer where that is as good as one made now, so that it stays the same transaction; else a new one. */
function nextOffer(state: NegotiatingState, wish: FeeWish, { blockHeight }: ChannelContext): ClosingOffer | null {
  const { offer: last } = simpleOf(state)
  const pair = ourPair(state)
  // To another address of ours it has to replace the last. Of the peer's own wish for another script we pay nothing more.
  const leastSat = !last ? undefined : isToUs(last, state) ? last.feeSat : replacementFee(last.feeSat, pair)
  const feeSat = feeToOffer(pair, leastSat === undefined ? wish : { ...wish, leastSat })
  if (feeSat === null) return last && isCurrent(last, state) ? last : null
  if (last && isCurrent(last, state) && feeSat < replacementFee(last.feeSat, pair)) return last
  return {
    closerScript: pair.closer.scriptPubKey,
    closeeScript: pair.closee.scriptPubKey,
    feeSat,
    lockTime: blockHeight,
    since: blockHeight,
  }
}

const isToUs = (offer: ClosingOffer, state: NegotiatingState): boolean =>
  equalBytes(offer.closerScript, ourScript(state))
const isCurrent = (offer: ClosingOffer, state: NegotiatingState): boolean =>
  isToUs(offer, state) && equalBytes(offer.closeeScript, state.remoteScript)

/** What the peer has signed already is not offered once more: eclair takes no offer within three blocks of the last that it signed. */
function offerAgain(state: NegotiatingState, ctx: ChannelContext): Turn {
  const offer = nextOffer(state, usualWish(state, ctx), ctx)
  return offer === simpleOf(state).offer && isOffered(state) ? turn(state) : makeOffer(state, offer, ctx)
}

/**
 * In a close that the peer asked for its first offer goes before ours, if it can make one: of two that pay as much the chain takes the
 * first. If none comes, ours goes out with the next block.
 */
function offerFirst(state: NegotiatingState, ctx: ChannelContext): Turn {
  const theirs = pairOf(state.channel, 'remote', { closerScript: state.remoteScript, closeeScript: ourScript(state) })
  const waits =
    state.closeRequest === null &&
    state.published.length === 0 &&
    feeToOffer(theirs, { feeratePerKw: FEERATE_FLOOR, chosen: false }) !== null
  return waits ? turn(state) : offerAgain(state, ctx)
}

/**
 * Sends closing_complete, with a signature for each form that the peer may take. Nothing goes out where we cannot pay for a transaction
 * that nodes relay: then the peer's is awaited.
 * @source BOLT 2 §closing-negotiation: sender of closing_complete
 */
function makeOffer(state: NegotiatingState, offer: ClosingOffer | null, ctx: ChannelContext): Turn {
  if (offer === null || (offer !== simpleOf(state).offer && !mayClose(state.channel, state.published)))
    return turn(state)
  const pair = pairOf(state.channel, 'local', offer)
  const built = formsOffered(pair, offer.feeSat).flatMap((form) => {
    const closing = buildForm(state.channel, pair, offer, form)
    return closing ? [{ form, closing }] : []
  })
  const signatures = built.map(({ form, closing }) => [FORM_FIELDS[form], ctx.signer.signFunding(closing.sighash)])
  const next: NegotiatingState = {
    ...state,
    channel: noteClosings(
      state.channel,
      built.map((b) => b.closing),
    ),
    localScript: offer.closerScript,
    simple: { ready: true, offer, awaitsSince: ctx.blockHeight },
  }
  const message = { type: 'closing_complete', ...fieldsOf(state, offer), ...Object.fromEntries(signatures) } as const
  return turn(next, [send(message)])
}

/** What closing_complete and closing_sig both say. */
const fieldsOf = (state: NegotiatingState, { closerScript, closeeScript, feeSat, lockTime }: Terms) => ({
  channelId: state.channel.params.channelId,
  closerScriptPubKey: closerScript,
  closeeScriptPubKey: closeeScript,
  feeSatoshis: feeSat,
  locktime: lockTime,
})
type Terms = Omit<ClosingOffer, 'since'>
type ClosingMessage = MessageNamed<'closing_complete' | 'closing_sig'>

const termsOf = (m: ClosingMessage): Terms => ({
  closerScript: m.closerScriptPubKey,
  closeeScript: m.closeeScriptPubKey,
  feeSat: m.feeSatoshis,
  lockTime: m.locktime,
})

const bad = (requirement: string, detail: string): Fault =>
  warn('PROTOCOL_VIOLATION', `${RULE}: ${requirement}`, detail).error
const badSignature = (form: ClosingForm): Fault =>
  warn('BAD_SIGNATURE', `${RULE}: the signature is valid for the transaction`, `the one of ${FORM_FIELDS[form]} is not`)
    .error

/** The peer's signature for an offer of ours. @source BOLT 2 §closing-negotiation: receiver of closing_sig */
function receiveSig(state: NegotiatingState, m: MessageNamed<'closing_sig'>, ctx: ChannelContext): Turn {
  const simple = simpleOf(state)
  const { offer } = simple
  if (offer === null || !answers(m, offer)) {
    return respond(state, bad('it repeats what closing_complete said', 'it says something else'), ctx)
  }
  const [form, ...more] = FORMS.filter((f) => m[FORM_FIELDS[f]] !== undefined)
  if (form === undefined || more.length > 0) {
    return respond(state, bad('closing_sig has exactly one signature', `it has ${form ? more.length + 1 : 0}`), ctx)
  }
  const pair = pairOf(state.channel, 'local', offer)
  const built = formsOffered(pair, offer.feeSat).includes(form) ? buildForm(state.channel, pair, offer, form) : null
  if (built === null) {
    return respond(state, bad('the signature is in a field of closing_complete', `${FORM_FIELDS[form]} is not`), ctx)
  }
  const theirSignature = m[FORM_FIELDS[form]]!
  if (!ctx.signer.verify(theirSignature, built.sighash, state.channel.params.remote.basepoints.fundingPubkey)) {
    return respond(state, badSignature(form), ctx)
  }
  const signed: NegotiatingState = { ...state, simple: { ...simple, awaitsSince: null } }
  return meetRequest(agree(signed, { built, theirSignature }, ctx), ctx)
}

const answers = (m: ClosingMessage, offer: ClosingOffer): boolean =>
  equalBytes(m.closerScriptPubKey, offer.closerScript) &&
  equalBytes(m.closeeScriptPubKey, offer.closeeScript) &&
  m.feeSatoshis === offer.feeSat &&
  m.locktime === offer.lockTime

// ---------------------------------------------------------------- the peer's transactions

/** @source BOLT 2 §closing-negotiation: receiver of closing_complete */
function receiveComplete(state: NegotiatingState, m: MessageNamed<'closing_complete'>, ctx: ChannelContext): Turn {
  const wrong = wrongTerms(state, m)
  if (wrong) return respond(state, wrong, ctx)
  const terms = termsOf(m)
  const pair = pairOf(state.channel, 'remote', terms)
  const form = formTaken(pair, m)
  const theirSignature = m[FORM_FIELDS[form]]
  const built = buildForm(state.channel, pair, terms, form)
  if (theirSignature === undefined || built === null) {
    return respond(state, bad('it has the signature that the closee takes', `${FORM_FIELDS[form]} is missing`), ctx)
  }
  if (!ctx.signer.verify(theirSignature, built.sighash, state.channel.params.remote.basepoints.fundingPubkey)) {
    return respond(state, badSignature(form), ctx)
  }
  if (!mayClose(state.channel, state.published) && !state.channel.closings?.includes(built.txid)) {
    return respond(state, bad('a fee is raised now and then', 'far too many transactions are signed already'), ctx)
  }
  const ourSignature = { [FORM_FIELDS[form]]: ctx.signer.signFunding(built.sighash) }
  const answer = send({ type: 'closing_sig', ...fieldsOf(state, terms), ...ourSignature })
  const told = agree({ ...state, remoteScript: terms.closerScript }, { built, theirSignature }, ctx, [answer])
  const { ready, awaitsSince } = simpleOf(state)
  if (!ready || awaitsSince !== null || isOffered(told.state)) return told
  const ours = offerAgain(told.state, ctx)
  return turn(ours.state, [...told.effects, ...ours.effects])
}

/** Our newest offer is signed by the peer. */
const isOffered = (state: NegotiatingState): boolean => {
  const { offer } = simpleOf(state)
  if (offer === null) return false
  const pair = pairOf(state.channel, 'local', offer)
  const ours = formsOffered(pair, offer.feeSat).map((form) => buildForm(state.channel, pair, offer, form)?.txid)
  return state.published.some((tx) => ours.includes(txidOf(tx)))
}

function wrongTerms(state: NegotiatingState, m: MessageNamed<'closing_complete'>): Fault | null {
  const { closer } = pairOf(state.channel, 'remote', termsOf(m))
  if (m.feeSatoshis * 1000n > closer.amountMsat) {
    return bad('the closer can pay the fee', `${m.feeSatoshis} sat of ${closer.amountMsat} msat`)
  }
  // Both may have named new scripts at once. A new connection has both tell their newest.
  if (!equalBytes(m.closeeScriptPubKey, state.localScript)) {
    return bad('closee_scriptpubkey is the last that the closee sent', 'it is another')
  }
  return wrongScript(state.channel, m.closerScriptPubKey)
}

// ---------------------------------------------------------------- higher fees

type CloseCommand = Extract<ChannelCommand, { tag: 'close' }>

/** Asked to close again while it closes: for a higher fee, or to another address. */
function changeRequest(state: NegotiatingState, command: CloseCommand, ctx: ChannelContext): Turn {
  const refused = (fault: Fault): Turn => turn(state, [reply(command.requestId, fault)])
  const scriptPubKey = command.scriptPubKey ?? ourScript(state)
  if (!isShutdownScript(scriptPubKey, state.channel.theirFeatures)) {
    const requirement = 'BOLT 2 §closing-initiation-shutdown: the script is a witness program'
    return refused(refuse('INVALID_SCRIPT', requirement, 'give a segwit address that the peer accepts').error)
  }
  if (command.feeratePerKw === undefined && equalBytes(scriptPubKey, ourScript(state))) {
    return refused(closesOnce('the channel is closing already: give a higher feerate to raise the fee'))
  }
  const feeratePerKw = command.feeratePerKw ?? state.closeRequest?.feeratePerKw ?? null
  const wanted: NegotiatingState = { ...state, closeRequest: { scriptPubKey, feeratePerKw } }
  const tooLow = command.feeratePerKw === undefined ? null : cannotRaise(wanted, command.feeratePerKw, ctx)
  if (tooLow) return refused(tooLow)
  return meetRequest({ state: wanted, effects: [reply(command.requestId, 'done')] }, ctx)
}

/** The highest fee so far: of what miners would take now, or of what we offered. */
function feeSoFar(state: NegotiatingState, ctx: ChannelContext) {
  const best = bestClosing(state.channel, state.published, ctx.blockHeight)
  const paid = best === null ? null : closingFeePaid(state.channel, best)
  const offered = simpleOf(state).offer?.feeSat ?? null
  return paid === null || (offered !== null && offered > paid) ? offered : paid
}

/** Why a feerate does not raise the fee, or null. */
function cannotRaise(state: NegotiatingState, feeratePerKw: number, ctx: ChannelContext): Fault | null {
  const so = feeSoFar(state, ctx)
  if (so === null) return null
  const pair = ourPair(state)
  const leastSat = replacementFee(so, pair)
  const feeSat = feeToOffer(pair, { feeratePerKw, chosen: true })
  if (feeSat !== null && feeSat >= leastSat) return null
  const scripts = [pair.closer.scriptPubKey, pair.closee.scriptPubKey]
  if (closingFee(feeratePerKw, ...scripts) >= leastSat) {
    const detail = `our balance cannot pay for more than ${so} sat; spend the closing transaction's output with a higher fee instead`
    return refuse('INSUFFICIENT_BALANCE', `${RULE}: fee_satoshis is at most the closer's balance`, detail).error
  }
  const perVbyte = Math.ceil((Number(leastSat) * 400) / closingWeight(...scripts)) / 100
  const detail = `a fee of ${so} sat is offered already; choose ${perVbyte} sat per vbyte or more`
  return refuse('UNACCEPTABLE_FEERATE', 'BIP 125 rule 4: a replacement pays more than what it replaces', detail).error
}

/** What the operator asked for goes out when the peer has answered the offer before. @source BOLT 2 §closing-negotiation */
function meetRequest(before: Turn & { readonly state: NegotiatingState }, ctx: ChannelContext): Turn {
  const { state, effects } = before
  const { ready, offer, awaitsSince } = simpleOf(state)
  if (!ready || awaitsSince !== null || !state.closeRequest) return before
  const wish = usualWish(state, ctx)
  const higher = wish.chosen && (feeToOffer(ourPair(state), wish) ?? 0n) > (offer?.feeSat ?? 0n)
  const next = higher || offer === null || !isToUs(offer, state) ? nextOffer(state, wish, ctx) : null
  if (next === null || next === offer) return before
  const after = makeOffer(state, next, ctx)
  return turn(after.state, [...effects, ...after.effects])
}

/** With every block: whether the peer answers, and whether what is published waits too long. */
export function afterChain(before: Turn, event: ChainEvent, ctx: ChannelContext): Turn {
  const { state } = before
  if (event.tag !== 'block' || state.tag !== 'negotiating' || !simpleOf(state).ready) return before
  const { awaitsSince } = simpleOf(state)
  const after = awaitsSince === null ? raise(state, ctx) : awaitAnswer(state, ctx.blockHeight - awaitsSince, ctx)
  return turn(after.state, [...before.effects, ...after.effects])
}

function awaitAnswer(state: NegotiatingState, blocks: number, ctx: ChannelContext): Turn {
  if (blocks < ANSWER_BLOCKS) return turn(state)
  return respond(state, bad('closing_complete is answered by closing_sig', `none came in ${blocks} blocks`), ctx)
}

/**
 * Raises the fee when estimates have risen, or when blocks pass and nothing confirms: to what the soonest confirmation should cost, and
 * where we asked for the close to twice that, within half of our balance. A feerate that the operator chose stays.
 */
function raise(state: NegotiatingState, ctx: ChannelContext): Turn {
  const { offer } = simpleOf(state)
  if (state.closeRequest !== null && state.closeRequest.feeratePerKw !== null) return turn(state)
  const best = bestClosing(state.channel, state.published, ctx.blockHeight)
  const now = best === null ? 0 : closingFeerate(state.channel, best)
  const estimate = estimateOf(state, ctx)
  const { claim } = ctx.feerates
  const isOld = offer !== null && ctx.blockHeight - offer.since >= RAISE_AFTER
  const next = Math.min(
    Math.max(estimate, isOld ? raisedFrom(now) : 0),
    Math.max(estimate, state.closeRequest ? 2 * claim : claim),
  )
  if (best !== null && next < raisedFrom(now)) return turn(state)
  const raised = nextOffer(state, { feeratePerKw: Math.max(next, FEERATE_FLOOR), chosen: false }, ctx)
  return raised === null || raised === offer ? turn(state) : makeOffer(state, raised, ctx)
}
