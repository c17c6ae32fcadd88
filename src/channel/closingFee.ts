import type { Sat } from '../base/units.ts'
import type { FeeProposal } from './closeTerms.ts'
import { fail, warn } from './faults.ts'
import type { Fault } from './types.ts'

/** What a side finds acceptable, and what it would choose. */
export interface FeePreference {
  readonly idealSat: Sat
  readonly minSat: Sat
  readonly maxSat: Sat
}

export interface FeeTalk {
  readonly isOpener: boolean
  readonly preference: FeePreference
  /** What we proposed last in this connection. */
  readonly sent: FeeProposal | null
  /** What the peer proposed before this one. */
  readonly before: FeeProposal | null
  readonly received: FeeProposal
}

export type FeeAnswer =
  /** The peer's fee is the fee; it is told so unless it knows from what we sent. */
  | { readonly tag: 'agree'; readonly tell: boolean }
  | { readonly tag: 'propose'; readonly feeSat: Sat }
  | { readonly tag: 'fault'; readonly fault: Fault }

const RULE = 'BOLT 2 §legacy-closing-negotiation'
const within = (feeSat: Sat, range: { readonly minSat: Sat; readonly maxSat: Sat }): boolean =>
  feeSat >= range.minSat && feeSat <= range.maxSat

/** What to say to the peer's closing fee. @source BOLT 2 §legacy-closing-negotiation */
export function answerFee(talk: FeeTalk): FeeAnswer {
  const { received, sent } = talk
  const { feeSat } = received
  if (sent !== null && feeSat === sent.feeSat) return { tag: 'agree', tell: false }
  if (sent?.range && within(feeSat, sent.range)) return { tag: 'agree', tell: true }
  return received.range === null ? answerStep(talk) : answerRange(talk, received.range)
}

/** The peer says what it would accept: the opener's range and the accepter's choice in it settle the fee. */
function answerRange(talk: FeeTalk, range: NonNullable<FeeProposal['range']>): FeeAnswer {
  const { preference, received, sent, isOpener } = talk
  const overlap = {
    minSat: preference.minSat > range.minSat ? preference.minSat : range.minSat,
    maxSat: preference.maxSat < range.maxSat ? preference.maxSat : range.maxSat,
  }
  const between = `${range.minSat} to ${range.maxSat} sat, ours is ${preference.minSat} to ${preference.maxSat}`
  if (overlap.minSat > overlap.maxSat) {
    const { error } = warn(
      'UNACCEPTABLE_FEERATE',
      `${RULE}: the fee ranges overlap`,
      `the peer's fee_range is ${between}`,
    )
    return { tag: 'fault', fault: error }
  }
  if (within(received.feeSat, overlap)) {
    if (isOpener || sent === null) return { tag: 'agree', tell: true }
  } else if (!isOpener && sent === null) {
    return { tag: 'propose', feeSat: clamp(preference.idealSat, overlap) }
  }
  const rule = isOpener ? 'the fee lies in both ranges' : 'the opener takes the fee that was chosen in its range'
  return {
    tag: 'fault',
    fault: fail('UNACCEPTABLE_FEERATE', `${RULE}: ${rule}`, `${received.feeSat} sat, of ${between}`).error,
  }
}

const clamp = (feeSat: Sat, range: { readonly minSat: Sat; readonly maxSat: Sat }): Sat =>
  feeSat < range.minSat ? range.minSat : feeSat > range.maxSat ? range.maxSat : feeSat

/** Without a range both move towards each other, a strictly smaller step every time. */
function answerStep(talk: FeeTalk): FeeAnswer {
  const { preference, received, sent, before } = talk
  const { feeSat } = received
  if (sent !== null && before !== null) {
    const [low, high] = sent.feeSat < before.feeSat ? [sent.feeSat, before.feeSat] : [before.feeSat, sent.feeSat]
    if (feeSat <= low || feeSat >= high) {
      const detail = `${feeSat} sat is not between ${low} and ${high}`
      const { error } = warn('UNACCEPTABLE_FEERATE', `${RULE}: each fee lies strictly between the last two`, detail)
      return { tag: 'fault', fault: error }
    }
  }
  if (within(feeSat, preference)) return { tag: 'agree', tell: true }
  const next =
    sent === null ? clamp(middle(preference.idealSat, feeSat), preference) : step(sent.feeSat, feeSat, preference)
  if (next !== null) return { tag: 'propose', feeSat: next }
  const detail = `${feeSat} sat, ours is ${preference.minSat} to ${preference.maxSat}`
  return { tag: 'fault', fault: fail('UNACCEPTABLE_FEERATE', `${RULE}: the sides agree on a fee`, detail).error }
}

const middle = (a: Sat, b: Sat): Sat => ((a + b) / 2n) as Sat

/** How far beyond our limit we go, a satoshi at a time, while a peer comes down to us. */
const PATIENCE_SAT = 32n

/**
 * Half of the way to the peer's fee. Where that is more than we would pay, half of the way to our limit, and then as little as there
 * is: the rest of the way is the peer's to come, and LND comes by a tenth at a time.
 * @returns null when the peer has had its time
 */
function step(from: Sat, towards: Sat, preference: FeePreference): Sat | null {
  const half = middle(from, towards)
  if (within(half, preference)) return half
  const limit = clamp(towards, preference)
  if (from < limit) return middle(from, (limit + 1n) as Sat)
  if (towards < limit) return from > limit ? middle(from, limit) : null
  return from - limit < PATIENCE_SAT ? ((from + 1n) as Sat) : null
}
