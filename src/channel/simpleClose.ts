import { type Msat, msatToSatFloor, type Sat } from '../base/units.ts'
import { FEERATE_FLOOR, isDust as isDustOnChain } from '../bitcoin/policy.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import { hasFeature } from '../wire/features.ts'
import type { ClosingOffer } from './closeTerms.ts'
import { REPLACEMENT_STEP } from './onchain/urgency.ts'
import { closingDustSat, isOpReturn } from './scripts.ts'
import type { Channel } from './state.ts'
import { localMsat, remoteMsat } from './totals.ts'
import {
  type BuiltClosing,
  buildSimpleClosing,
  type ClosingForm,
  type ClosingSide,
  closingFee,
  closingWeight,
} from './tx/closing.ts'
import { fundingScript } from './tx/scripts.ts'
import { feeOf } from './tx/weights.ts'

/** The rules of option_simple_close: which forms of a closing transaction go on offer, which is taken, and what may be paid. */

/** Spoken in this connection, if in any: ours is always on offer. */
export const usesSimpleClose = ({ theirFeatures }: Channel): boolean => hasFeature(theirFeatures, 'option_simple_close')

/** The balances with which a channel without HTLCs closes. */
function closingBalances({ commitments }: Channel): { readonly local: Msat; readonly remote: Msat } {
  const base = commitments.active[0]!
  const { local } = commitments.next
  return { local: localMsat(base, local), remote: remoteMsat(base, local) }
}

/** Where each form's signature stands in closing_complete and closing_sig. @source BOLT 2 §closing-negotiation */
export const FORM_FIELDS = {
  closer: 'closerOutputOnly',
  closee: 'closeeOutputOnly',
  both: 'closerAndCloseeOutputs',
} as const satisfies Readonly<Record<ClosingForm, string>>
export const FORMS = Object.keys(FORM_FIELDS) as readonly ClosingForm[]

export type ClosingSignatures = { readonly [F in (typeof FORM_FIELDS)[ClosingForm]]?: Uint8Array | undefined }

/** The closer, who pays, and the closee. */
export interface ClosingPair {
  readonly closer: ClosingSide
  readonly closee: ClosingSide
}

/** Whether a side's output is dust once it has paid this much. */
const isDust = ({ amountMsat, scriptPubKey }: ClosingSide, feeSat: bigint): boolean =>
  !isOpReturn(scriptPubKey) && msatToSatFloor(amountMsat) - feeSat < closingDustSat(scriptPubKey)

/**
 * The forms that the closer signs. Only who has less than the other may leave its own output out, and it does where that is dust; who
 * has more leaves it to the other to take its output or not. No output above dust counts as uneconomical here: it is somebody's money.
 * @source BOLT 2 §closing-negotiation: sender of closing_complete
 */
export function formsOffered({ closer, closee }: ClosingPair, feeSat: Sat): readonly ClosingForm[] {
  if (closer.amountMsat < closee.amountMsat) return isDust(closer, feeSat) ? ['closee'] : ['both']
  return isDust(closee, 0n) ? ['closer'] : ['closer', 'both']
}

/** The form that the closee takes, on offer or not. @source BOLT 2 §closing-negotiation: receiver of closing_complete */
export function formTaken({ closee }: ClosingPair, offered: ClosingSignatures): ClosingForm {
  if (isDust(closee, 0n)) return 'closer'
  return offered.closerAndCloseeOutputs ? 'both' : 'closee'
}

/** The form that is wanted most, by which the fee is reckoned. */
const preferred = (forms: readonly ClosingForm[]): ClosingForm => forms[forms.length - 1]!

const scriptsOf = ({ closer, closee }: ClosingPair, form: ClosingForm): readonly Uint8Array[] =>
  form === 'both' ? [closer.scriptPubKey, closee.scriptPubKey] : [(form === 'closer' ? closer : closee).scriptPubKey]

/** How a fee is chosen. */
export interface FeeWish {
  readonly feeratePerKw: number
  /** To be paid where the feerate asks for less. */
  readonly leastSat?: Sat
  /**
   * The operator chose the feerate. Otherwise no more than half of a balance is paid, and no output turned into dust: where that is
   * not enough, the other side's transaction is better, which pays us in full.
   */
  readonly chosen: boolean
}

/**
 * The fee that the closer offers to pay: never more than it has, nor so much that no output is left. What goes to an OP_RETURN is all
 * fee, and so is dust.
 * @returns sat; null when nothing is offered, nothing that Bitcoin nodes relay above all
 * @source BOLT 2 §closing-negotiation: sender of closing_complete
 */
export function feeToOffer(pair: ClosingPair, { feeratePerKw, leastSat = 0n as Sat, chosen }: FeeWish): Sat | null {
  const { closer, closee } = pair
  const hasSat = msatToSatFloor(closer.amountMsat)
  const estimateSat = closingFee(feeratePerKw, ...scriptsOf(pair, preferred(formsOffered(pair, 0n as Sat))))
  const wantedSat = estimateSat > leastSat ? estimateSat : leastSat
  const isSaving = !chosen && !isDust(closer, 0n) && !isOpReturn(closer.scriptPubKey)
  const mayVanish = closer.amountMsat < closee.amountMsat && !isSaving
  const leftSat = hasSat - (mayVanish ? 0n : closingDustSat(closer.scriptPubKey))
  const mostSat = isSaving && hasSat / 2n < leftSat ? hasSat / 2n : leftSat
  if (mostSat < 0n) return null
  const feeSat = (isOpReturn(closer.scriptPubKey) ? hasSat : wantedSat < mostSat ? wantedSat : mostSat) as Sat
  const form = preferred(formsOffered(pair, feeSat))
  if (form === 'closee' && isDust(closee, 0n)) return null
  const paidSat = form === 'closee' ? hasSat : feeSat
  return paidSat >= closingFee(FEERATE_FLOOR, ...scriptsOf(pair, form)) ? feeSat : null
}

/** The least fee by which an offer replaces an earlier one that paid this much. @source BIP 125 rule 4 */
export const replacementFee = (feeSat: Sat, pair: ClosingPair): Sat =>
  (feeSat + feeOf(closingWeight(...scriptsOf(pair, 'both')), REPLACEMENT_STEP)) as Sat

/** What our own closing_complete offers, or what the peer's does. */
export function pairOf(channel: Channel, closerIs: 'local' | 'remote', scripts: ClosingScripts): ClosingPair {
  const { local, remote } = closingBalances(channel)
  const [ours, theirs] = closerIs === 'local' ? [local, remote] : [remote, local]
  return {
    closer: { amountMsat: ours, scriptPubKey: scripts.closerScript },
    closee: { amountMsat: theirs, scriptPubKey: scripts.closeeScript },
  }
}
export type ClosingScripts = Pick<ClosingOffer, 'closerScript' | 'closeeScript'>

/** One form of an offered transaction; null when its closer cannot pay the fee. @source BOLT 3 §closing-transaction */
export function buildForm(
  channel: Channel,
  pair: ClosingPair,
  { feeSat, lockTime }: Pick<ClosingOffer, 'feeSat' | 'lockTime'>,
  outputs: ClosingForm,
): BuiltClosing | null {
  const { params, commitments } = channel
  const { funding, capacitySat } = commitments.active[0]!
  const script = fundingScript(params.local.basepoints.fundingPubkey, params.remote.basepoints.fundingPubkey)
  return buildSimpleClosing({ funding, capacitySat, fundingScript: script, ...pair, feeSat, lockTime, outputs })
}

// ---------------------------------------------------------------- what is published

/** sat that a fully signed closing transaction pays. */
export const closingFeePaid = ({ commitments }: Channel, tx: Transaction): Sat =>
  tx.outputs.reduce((left, o) => left - o.amountSat, commitments.active[0]!.capacitySat as bigint) as Sat

const scriptsIn = (tx: Transaction): readonly Uint8Array[] => tx.outputs.map((o) => o.scriptPubKey)

/** sat per 1,000 weight units that it pays, rounded down. */
export const closingFeerate = (channel: Channel, tx: Transaction): number =>
  Number((closingFeePaid(channel, tx) * 1000n) / BigInt(closingWeight(...scriptsIn(tx))))

/** Whether Bitcoin nodes relay it for the next block: a peer that pays for one may have given it any fee, lock time and dust. */
const isRelayed = (channel: Channel, tx: Transaction, height: number): boolean =>
  tx.lockTime <= height &&
  closingFeePaid(channel, tx) >= closingFee(FEERATE_FLOOR, ...scriptsIn(tx)) &&
  tx.outputs.every((o) => !isDustOnChain(o.amountSat, o.scriptPubKey))

/** Of several closing transactions, which all spend the same output, the one that miners would take; null when none can be mined. */
export function bestClosing(channel: Channel, published: readonly Transaction[], height: number): Transaction | null {
  const relayed = published.filter((tx) => isRelayed(channel, tx, height))
  const [first, ...rest] = relayed
  if (!first) return null
  return rest.reduce((best, tx) => (closingFeePaid(channel, tx) > closingFeePaid(channel, best) ? tx : best), first)
}

// ---------------------------------------------------------------- what was signed

/** Closing transactions that one channel signs: far more than fees can be raised, so that no peer makes us remember without end. */
const MOST_CLOSINGS = 200

/** Ahead of their signatures: these are agreed ends of the channel from now on, whoever publishes them. */
export function noteClosings(channel: Channel, built: readonly BuiltClosing[]): Channel {
  const { closings } = channel
  if (closings === undefined) return channel
  const news = built.map((b) => b.txid).filter((id) => !closings.includes(id))
  return news.length === 0 ? channel : { ...channel, closings: [...closings, ...news] }
}

/** Whether one more closing transaction may be signed. */
export const mayClose = ({ closings }: Channel, published: readonly Transaction[]): boolean =>
  Math.max(closings?.length ?? 0, published.length) < MOST_CLOSINGS

/** Whether this transaction has our signature, which is believed of all where an older version or a lost write took no note. */
export const knowsClosing = ({ closings, unproven }: Channel, tx: Transaction): boolean =>
  closings === undefined || unproven === true || closings.includes(txidOf(tx))
