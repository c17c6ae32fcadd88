import { outpointKey } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { FEERATE_FLOOR } from '../../bitcoin/policy.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { feeOf } from '../tx/weights.ts'
import type { ChannelContext } from '../types.ts'
import {
  buildSweep,
  isWorthSweeping,
  LEAST_LEFT_SAT,
  type Spend,
  type SweepInput,
  type SweepShare,
  sweepWeight,
} from './claims.ts'
import type { Sweep } from './types.ts'
import {
  type Bill,
  budgetOf,
  ceilingOf,
  estimateBy,
  feerateFor,
  isUrgent,
  REPLACEMENT_STEP,
  raised,
  slowFeerate,
} from './urgency.ts'

type SweepContext = Pick<ChannelContext, 'blockHeight' | 'isBehind' | 'feerates' | 'signer' | 'sweepScriptPubKey'>

/** An output that can be swept in the next block. */
export interface ReadyOutput extends SweepInput {
  /** When the peer may take it; null: never. */
  readonly deadline: number | null
  /** Without a deadline: up to which height lower fees are waited for where it is too dear by the estimate. */
  readonly waitsUntil?: number
}
/** By outpoint. */
export type ReadyOutputs = ReadonlyMap<string, ReadyOutput>

/** A sweep that has not confirmed after this many blocks is made again with a higher fee. */
const BUMP_AFTER = 6
const BUMP_PERCENT = 125
/** Without a deadline that presses, no sweep pays more than this many times the feerate that our estimate asks for. */
const BUMP_LIMIT = 4
/** Far below the size that nodes relay, with the largest HTLC scripts. */
export const MAX_INPUTS = 100

/** Nobody but us can ever spend it. */
export const isPatient = (spend: Spend): boolean => spend.tag === 'delayed' || spend.tag === 'to-remote'

/**
 * Outputs of one group share a transaction. Those that the peer can take now are never with those that it cannot, so that its spend
 * holds up nothing else; an HTLC that we race for has a transaction to itself, and near its deadline so has every penalty: the peer
 * could have pinned one that takes several outputs by spending a single one of them. So has what costs more than it holds by
 * the estimate: it would make others poorer.
 * @source BOLT 5 §revoked-transaction-close-handling (option_anchors)
 */
type Group = 'patient' | 'penalty' | 'penalty-htlc' | 'alone'

/**
 * What is too dear by the estimate waits for lower fees as long as there is time. Then it is tried for its budget, whatever the estimate
 * says: fees may fall for a block, or never have been that high, and no coin of ours is bound by it.
 * @returns null for what is to wait
 */
function groupFor(output: ReadyOutput, ctx: SweepContext): Group | null {
  const { amountSat, spend, deadline, waitsUntil = 0 } = output
  if (isWorthSweeping(amountSat, spend, rateOf(output, ctx))) return groupOf(output, ctx)
  const isDue = deadline === null ? ctx.blockHeight >= waitsUntil : isUrgent(deadline, ctx)
  return isDue ? 'alone' : null
}

function groupOf({ spend, deadline }: ReadyOutput, ctx: SweepContext): Group {
  if (isPatient(spend)) return 'patient'
  if (spend.tag !== 'penalty' || deadline === null || isUrgent(deadline, ctx)) return 'alone'
  return spend.revocationKey ? 'penalty-htlc' : 'penalty'
}

/**
 * The sweeps that should be under way: those before, with their fees raised where time presses, as long as all of their outputs are
 * still there; what is left over by one that lost an output is put together anew at once.
 */
export function planSweeps(
  before: readonly Sweep[],
  ready: ReadyOutputs,
  ctx: SweepContext,
  { raise } = { raise: true },
): readonly Sweep[] {
  const whole = before.filter((s) => s.outpoints.every((o) => ready.has(o)))
  const split = whole.filter(
    (s) => raise && s.outpoints.length > 1 && outputsOf(s, ready).some((o) => groupOf(o, ctx) === 'alone'),
  )
  const kept = whole.filter((s) => !split.includes(s)).map((s) => (raise ? bumped(s, ready, ctx) : s))
  const covered = new Set(kept.flatMap((s) => s.outpoints))
  const groups = new Map<Group, ReadyOutput[]>()
  for (const [key, output] of ready) {
    const group = covered.has(key) ? null : groupFor(output, ctx)
    if (group === null) continue
    groups.set(group, [...(groups.get(group) ?? []), output])
  }
  const alone = (groups.get('alone') ?? []).map((o) => [o])
  groups.delete('alone')
  const shared = [...groups.values()].flatMap((outputs) => chunks(outputs))
  const { parts, left } = outbid(split, fresh(alone, ctx), ready)
  return [...kept, ...parts, ...fresh(shared, ctx), ...left.map((s) => bumped(s, ready, ctx))]
}

/** The transaction of a sweep; null when it would leave dust. */
export function sweepTx(sweep: Sweep, ready: ReadyOutputs, ctx: SweepContext): Transaction | null {
  const options = { scriptPubKey: ctx.sweepScriptPubKey, feeratePerKw: sweep.feeratePerKw }
  return buildSweep(outputsOf(sweep, ready), options, ctx.signer)?.tx ?? null
}

/**
 * What other channels' sweeps may go with this one: nobody else can ever take a part of it from them. One that is too small for all raises of
 * the fee stays by itself, since the others would lose it on the way, and pay for less than what they replace.
 */
export function shareOf(sweep: Sweep, ready: ReadyOutputs, ctx: SweepContext): SweepShare | null {
  const { feeratePerKw, at } = sweep
  const inputs = outputsOf(sweep, ready)
  if (!inputs.every((i) => isPatient(i.spend))) return null
  return ceilingOf(billOf(inputs, ctx)) < BUMP_LIMIT * Math.max(FEERATE_FLOOR, slowFeerate(ctx))
    ? null
    : { inputs, feeratePerKw, at }
}

const outputsOf = (sweep: Sweep, ready: ReadyOutputs): readonly ReadyOutput[] =>
  sweep.outpoints.map((o) => ready.get(o)!)

/** The feerate by which it is judged whether an output is worth its claim. */
const rateOf = ({ spend, deadline }: ReadyOutput, ctx: SweepContext): number =>
  isPatient(spend) ? slowFeerate(ctx) : estimateBy(deadline, ctx)

function chunks(outputs: readonly ReadyOutput[]): readonly (readonly ReadyOutput[])[] {
  const parts: ReadyOutput[][] = []
  for (let i = 0; i < outputs.length; i += MAX_INPUTS) parts.push(outputs.slice(i, i + MAX_INPUTS))
  return parts
}

const fresh = (parts: readonly (readonly ReadyOutput[])[], ctx: SweepContext): readonly Sweep[] =>
  parts
    .map((outputs) => ({
      outpoints: outputs.map((o) => outpointKey(o.outpoint)),
      feeratePerKw: feerateFor(deadlineOfAll(outputs), billOf(outputs, ctx), ctx),
      at: ctx.blockHeight,
    }))
    .filter((s) => s.feeratePerKw >= FEERATE_FLOOR)

function deadlineOfAll(outputs: readonly ReadyOutput[]): number | null {
  const deadlines = outputs.flatMap((o) => o.deadline ?? [])
  return deadlines.length === 0 ? null : Math.min(...deadlines)
}

function billOf(outputs: readonly ReadyOutput[], ctx: Pick<SweepContext, 'sweepScriptPubKey'>): Bill {
  const valueSat = outputs.reduce((sum, o) => sum + o.amountSat, 0n) as Sat
  const [share, most] = [budgetOf(valueSat), valueSat - LEAST_LEFT_SAT]
  return {
    weight: sweepWeight(outputs, ctx.sweepScriptPubKey),
    budgetSat: (share < most ? share : most > 0n ? most : 0n) as Sat,
  }
}

function bumped(sweep: Sweep, ready: ReadyOutputs, ctx: SweepContext): Sweep {
  const outputs = outputsOf(sweep, ready)
  const deadline = deadlineOfAll(outputs)
  const bill = billOf(outputs, ctx)
  const wanted = Math.max(feerateFor(deadline, bill, ctx), overdue(sweep, deadline, ctx))
  const feeratePerKw = raised(sweep.feeratePerKw, wanted, ceilingOf(bill))
  return feeratePerKw === null ? sweep : { ...sweep, feeratePerKw, at: ctx.blockHeight }
}

/** The estimates are not everything: what does not confirm by them is tried with more. */
function overdue({ feeratePerKw, at }: Sweep, deadline: number | null, ctx: SweepContext): number {
  if (ctx.isBehind || ctx.blockHeight < at + BUMP_AFTER) return 0
  const next = Math.ceil((feeratePerKw * BUMP_PERCENT) / 100)
  const estimate = estimateBy(deadline, ctx)
  return next > estimate * BUMP_LIMIT ? 0 : next
}

/** It pays more than any sweep without a deadline would by the estimate of now. */
export const isOverpaid = ({ feeratePerKw }: Sweep, ctx: SweepContext): boolean =>
  feeratePerKw > Math.max(FEERATE_FLOOR, slowFeerate(ctx)) * BUMP_LIMIT

/**
 * The transactions that a sweep was split into, the one with the most to lose first: it pays for the removal of the old one from
 * the mempools if its budget allows, so that the others need not (BIP 125 rules 3 and 4).
 * @returns `left`: those of which no part can pay that. They are raised as before, beside their parts, which come in where the peer keeps
 * them out.
 */
function outbid(
  split: readonly Sweep[],
  parts: readonly Sweep[],
  ready: ReadyOutputs,
): { readonly parts: readonly Sweep[]; readonly left: readonly Sweep[] } {
  const left: Sweep[] = []
  const amount = (s: Sweep): bigint => ready.get(s.outpoints[0]!)!.amountSat
  const sorted = [...parts].sort((a, b) => (amount(a) < amount(b) ? 1 : amount(a) > amount(b) ? -1 : 0))
  for (const old of split) {
    const i = sorted.findIndex((s) => old.outpoints.includes(s.outpoints[0]!))
    if (i < 0) {
      left.push(old)
      continue
    }
    const script = new Uint8Array(22)
    const outputs = outputsOf(sorted[i]!, ready)
    const { weight, budgetSat } = billOf(outputs, { sweepScriptPubKey: script })
    const replacedSat = feeOf(sweepWeight(outputsOf(old, ready), script), old.feeratePerKw)
    const needed = Math.ceil((Number(replacedSat) * 1000) / weight) + REPLACEMENT_STEP
    const feeratePerKw = Math.max(sorted[i]!.feeratePerKw, needed)
    if (feeratePerKw <= ceilingOf({ weight, budgetSat })) sorted[i] = { ...sorted[i]!, feeratePerKw }
    else left.push(old)
  }
  return { parts: sorted, left }
}
