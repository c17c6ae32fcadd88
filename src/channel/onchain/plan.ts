import { type Outpoint, outpointKey } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { FEERATE_FLOOR } from '../../bitcoin/policy.ts'
import { type Transaction, weightOf } from '../../bitcoin/transaction.ts'
import type { Channel } from '../state.ts'
import { feeOf } from '../tx/weights.ts'
import type { ChannelContext, Effect } from '../types.ts'
import { anchorPlan, rivalPlans } from './anchor.ts'
import { type HtlcStage, isHtlcStage, isWorthSweepingAlone, type SweepSpend, signHtlcTx } from './claims.ts'
import { preimageFor } from './preimages.ts'
import { stagesFee, stageWeight } from './stages.ts'
import { isOverpaid, planSweeps, type ReadyOutput, type ReadyOutputs, shareOf, sweepTx } from './sweeps.ts'
import type { ClosedOutput, OnchainState, Sweep } from './types.ts'
import {
  budgetOf,
  ceilingOf,
  deadlineOf,
  estimateBy,
  feerateFor,
  isUrgent,
  slowFeerate,
  URGENT_BLOCKS,
} from './urgency.ts'

/** What the plan reads of a turn's context. */
export type ClaimContext = Pick<
  ChannelContext,
  | 'blockHeight'
  | 'isBehind'
  | 'feerates'
  | 'policy'
  | 'signer'
  | 'sweepScriptPubKey'
  | 'incomingExpiry'
  | 'letGoElsewhere'
>

/** Confirmations after which a transaction is counted on: nothing is left to do, though a reorganisation may still change that. */
export const RESOLVED_DEPTH = 6
/** Confirmations after which nothing is watched any more. @source BOLT 5 §general-nomenclature */
export const IRREVOCABLE_DEPTH = 100
/** How long an output that costs more than it holds is waited for, in the hope of lower fees. */
const GIVE_UP_AFTER = 1008
/** Of those, the last ones, in which what nobody races for is tried for its budget. */
const LAST_TRY_BLOCKS = 144

/**
 * The height of the chain at which an output's spend is accepted for the next block; null while that is unknown: the output is
 * unconfirmed or its preimage is missing.
 * @source BIP 68, BIP 65, BOLT 5
 */
export function readyAt(output: ClosedOutput, preimage: Uint8Array | null): number | null {
  const { since, spend } = output
  if (since === null) return null
  switch (spend.tag) {
    case 'delayed':
      return since + Math.max(spend.delay, 1) - 1
    case 'claim-timeout':
    case 'htlc-timeout':
      return Math.max(since, spend.cltvExpiry)
    case 'claim-preimage':
    case 'htlc-success':
      return preimage ? since : null
    default:
      return since
  }
}

/**
 * Whether claiming an output by itself costs more than it holds, or would leave dust, which nobody relays.
 * @param laterPerKw of the sweep behind a second stage, for which nobody races
 */
export function isUneconomical(output: ClosedOutput, feeratePerKw: number, laterPerKw: number): boolean {
  const { spend, amountSat } = output
  if (!isHtlcStage(spend)) return !isWorthSweepingAlone(amountSat, spend, feeratePerKw)
  const later: SweepSpend = {
    tag: 'delayed',
    witnessScript: spend.delayedScript,
    delay: spend.delay,
    commitmentPoint: spend.commitmentPoint,
  }
  const now = spend.channelType === 'anchors' ? stageWeight(spend) : 0
  const left = (spend.tx.outputs[0]!.amountSat - feeOf(now, feeratePerKw)) as Sat
  return !isWorthSweepingAlone(left, later, laterPerKw)
}

/**
 * No feerate that nodes relay, or none that came in a week, makes the output worth its claim: the channel is closed without it. What nobody else
 * can ever take is kept all the same (leftovers.ts).
 */
export function isGivenUp(channel: Channel, output: ClosedOutput, ready: number | null, ctx: ClaimContext): boolean {
  if (ready === null || ctx.blockHeight < ready) return false
  if (isUneconomical(output, FEERATE_FLOOR, FEERATE_FLOOR)) return true
  return isTooDear(channel, output, ctx) && ctx.blockHeight >= ready + GIVE_UP_AFTER
}

/** Whether an output is not worth its claim by the estimates of now: those that its deadline asks for. */
export const isTooDear = (channel: Channel, output: ClosedOutput, ctx: ClaimContext): boolean =>
  isUneconomical(output, estimateBy(deadlineOf(channel, output, ctx), ctx), slowFeerate(ctx))

export interface Plan {
  /** The record's own array when nothing changed. */
  readonly sweeps: readonly Sweep[]
  readonly publish: readonly (Effect & { readonly tag: 'broadcast' })[]
}

/**
 * What should be in the mempool now. Derived from the record alone, so it can be asked at every block and after a restart; a sweep
 * that is under way stays the same transaction until its fee is raised.
 */
export function planClaims(channel: Channel, onchain: OnchainState, ctx: ClaimContext): Plan {
  if (onchain.closing.height === null) {
    return { sweeps: onchain.sweeps, publish: republish(channel, onchain, ctx) }
  }
  const { stages, ready } = claimable(channel, onchain, ctx)
  const { sweeps, publish } = planWhole(onchain, ready, ctx)
  return { sweeps, publish: [...stageEffects(channel, onchain, stages, ctx), ...publish] }
}

function planWhole(onchain: OnchainState, ready: ReadyOutputs, ctx: ClaimContext): Plan {
  const all = built(planSweeps(onchain.sweeps, ready, ctx), ready, ctx)
  const isSame = all.length === onchain.sweeps.length && all.every((b, i) => b.sweep === onchain.sweeps[i])
  const sweeps = isSame ? onchain.sweeps : all.map((b) => b.sweep)
  return { sweeps, publish: dearestFirst(all).map((b) => sweepEffect(b, ready, ctx)) }
}

/**
 * The same for outputs that nobody else can ever spend, of a channel that is closed for good: nothing is tried before they are worth it by the
 * estimate, and what was tried for half of their value while fees were high is made again for what they ask now.
 */
export function planLeftovers(channel: Channel, onchain: OnchainState, ctx: ClaimContext): Plan {
  const outputs = onchain.outputs.filter((o) => !isTooDear(channel, o, ctx))
  const { ready } = claimable(channel, { ...onchain, outputs }, ctx)
  const before = onchain.sweeps.filter((s) => !isOverpaid(s, ctx))
  const sweeps = before.length === onchain.sweeps.length ? onchain.sweeps : before
  return planWhole({ ...onchain, sweeps }, ready, ctx)
}

/**
 * The same while a block is gone through: what the rest of it confirms is not known yet, so no fee is raised. What a spend leaves
 * over of a sweep is claimed anew; what is under way is not handed out again for each of hundreds of spends.
 */
export function planAmidBlock(channel: Channel, onchain: OnchainState, ctx: ClaimContext): Plan {
  if (onchain.closing.height === null) return { sweeps: onchain.sweeps, publish: [] }
  return planNew(onchain, claimable(channel, onchain, ctx).ready, ctx)
}

/**
 * The same when preimages of HTLCs of the peer's have come: of hundreds that wait for a block, those alone are claimed. A commitment that is
 * in no block is worth more fees by them, for which there is time until the next block, unless one of the HTLCs is due.
 */
export const planPreimages =
  (ids: ReadonlySet<bigint>): typeof planClaims =>
  (channel, onchain, ctx) => {
    const isIt = ({ htlc }: ClosedOutput): boolean => htlc?.direction === 'in' && htlc.id !== null && ids.has(htlc.id)
    if (onchain.closing.height === null) {
      const isDue = onchain.outputs.some((o) => isIt(o) && isUrgent(deadlineOf(channel, o, ctx)! - URGENT_BLOCKS, ctx))
      return isDue ? planClaims(channel, onchain, ctx) : { sweeps: onchain.sweeps, publish: [] }
    }
    const { stages, ready } = claimable(channel, onchain, ctx)
    const own = stages.filter((s) => s.stage.tag === 'htlc-success' && isIt(s.output))
    const { sweeps, publish } = planNew(onchain, ready, ctx)
    return { sweeps, publish: [...stageEffects(channel, onchain, own, ctx), ...publish] }
  }

function planNew(onchain: OnchainState, ready: ReadyOutputs, ctx: ClaimContext): Plan {
  const known = new Set(onchain.sweeps)
  const planned = planSweeps(onchain.sweeps, ready, ctx, { raise: false })
  const kept = planned.filter((s) => known.has(s))
  const fresh = built(
    planned.filter((s) => !known.has(s)),
    ready,
    ctx,
  )
  const isSame = kept.length === known.size && fresh.length === 0
  const sweeps = isSame ? onchain.sweeps : [...kept, ...fresh.map((b) => b.sweep)]
  return { sweeps, publish: fresh.map((b) => sweepEffect(b, ready, ctx)) }
}

/** What can be in the next block: HTLC transactions, and outputs to sweep. */
function claimable(
  channel: Channel,
  onchain: OnchainState,
  ctx: ClaimContext,
): { readonly stages: readonly StageOutput[]; readonly ready: ReadyOutputs } {
  const stages: StageOutput[] = []
  const ready = new Map<string, ReadyOutput>()
  for (const output of onchain.outputs) {
    const preimage = preimageFor(channel, output)
    const at = output.spent ? null : readyAt(output, preimage)
    if (at === null || ctx.blockHeight < at) continue
    const { spend } = output
    if (isHtlcStage(spend)) {
      // Without anchors its fee is paid for: nothing is saved by holding it back.
      const free = spend.channelType !== 'anchors'
      const deadline = deadlineOf(channel, output, ctx)!
      const onlyRaise = !free && isTooDear(channel, output, ctx)
      if (!onlyRaise || isWorthRaising(output, spend, deadline, ctx))
        stages.push({ output, stage: spend, preimage, deadline, onlyRaise })
    } else {
      const { outpoint, amountSat } = output
      ready.set(outpointKey(outpoint), {
        outpoint,
        amountSat,
        spend,
        preimage,
        deadline: deadlineOf(channel, output, ctx),
        waitsUntil: at + GIVE_UP_AFTER - LAST_TRY_BLOCKS,
      })
    }
  }
  // Coins of a wallet that has few go to what is due first.
  stages.sort((a, b) => a.deadline - b.deadline)
  return { stages, ready }
}

/** Near its deadline an HTLC transaction is given all of its budget, whatever the estimates say, where that leaves something. */
function isWorthRaising(output: ClosedOutput, stage: HtlcStage, deadline: number, ctx: ClaimContext): boolean {
  const most = ceilingOf({ weight: stageWeight(stage), budgetSat: budgetOf(output.amountSat) })
  return isUrgent(deadline, ctx) && !isUneconomical(output, most, slowFeerate(ctx))
}

interface BuiltSweep {
  readonly sweep: Sweep
  readonly tx: Transaction
}

/** The peer may have one transaction in the way of several: what pays for its removal makes way for those that cannot. */
const dearestFirst = (sweeps: readonly BuiltSweep[]): readonly BuiltSweep[] => {
  const feeSat = ({ sweep, tx }: BuiltSweep): number => sweep.feeratePerKw * weightOf(tx)
  return [...sweeps].sort((a, b) => feeSat(b) - feeSat(a))
}

/** Without those that would leave dust. */
const built = (sweeps: readonly Sweep[], ready: ReadyOutputs, ctx: ClaimContext): readonly BuiltSweep[] =>
  sweeps.flatMap((sweep) => {
    const tx = sweepTx(sweep, ready, ctx)
    return tx ? [{ sweep, tx }] : []
  })

/** An unconfirmed closing transaction is ours, or was undone by a reorg; a revoked one is not helped along. */
function republish(channel: Channel, onchain: OnchainState, ctx: ClaimContext): Plan['publish'] {
  const { kind, tx } = onchain.closing
  if (kind === 'mutual') return [{ tag: 'broadcast', tx, purpose: 'mutual-close' }]
  if (kind !== 'local' && kind !== 'remote' && kind !== 'remote-next') return []
  const anchor = anchorPlan(channel, onchain, ctx)
  if (anchor === null) return [{ tag: 'broadcast', tx, purpose: 'commitment' }]
  return [{ tag: 'broadcast', tx, purpose: 'commitment', anchor, rivals: rivalPlans(channel, onchain, ctx) }]
}

interface StageOutput {
  readonly output: ClosedOutput
  readonly stage: HtlcStage
  readonly preimage: Uint8Array | null
  readonly deadline: number
  readonly onlyRaise: boolean
}

function stageEffects(
  channel: Channel,
  onchain: OnchainState,
  stages: readonly StageOutput[],
  ctx: ClaimContext,
): Plan['publish'] {
  const neededSat = stages.length === 0 ? (0n as Sat) : stagesFee(channel, onchain.outputs, ctx)
  return stages.map((s) => stageEffect(s, neededSat, ctx))
}

/** @param neededSat by all HTLC transactions of the channel, from the wallet */
function stageEffect(
  { output, stage, preimage, deadline, onlyRaise }: StageOutput,
  neededSat: Sat,
  ctx: ClaimContext,
): Plan['publish'][number] {
  const used = stage.tag === 'htlc-success' ? preimage : null
  const tx = signHtlcTx(stage.tx, stage, used, ctx.signer)
  if (stage.channelType !== 'anchors') return { tag: 'broadcast', tx, purpose: 'htlc' }
  const budgetSat = budgetOf(output.amountSat)
  const weight = stageWeight(stage)
  const addFees = feerateFor(deadline, { weight, budgetSat }, ctx)
  const others = neededSat - feeOf(weight, ctx.feerates.claim)
  const leaveSat = (others > 0n ? others : 0n) as Sat
  return {
    tag: 'broadcast',
    tx,
    purpose: 'htlc',
    addFees,
    budgetSat,
    ...(isUrgent(deadline, ctx) && { urgentSat: budgetSat }),
    leaveSat,
    ...(onlyRaise && { onlyRaise }),
    signAgain: { stage, preimage: used },
  }
}

function sweepEffect({ sweep, tx }: BuiltSweep, ready: ReadyOutputs, ctx: ClaimContext): Plan['publish'][number] {
  const { spend } = ready.get(sweep.outpoints[0]!)!
  const share = shareOf(sweep, ready, ctx)
  return {
    tag: 'broadcast',
    tx,
    purpose: spend.tag === 'penalty' ? 'penalty' : isContested(spend) ? 'htlc' : 'sweep',
    ...(share && { share }),
  }
}

const isContested = (spend: SweepSpend): boolean => spend.tag !== 'delayed' && spend.tag !== 'to-remote'

/** Fee of a transaction whose inputs are all among the given ones; null when others are. */
export function feeFrom(
  tx: Transaction,
  known: readonly { readonly outpoint: Outpoint; readonly amountSat: Sat }[],
): Sat | null {
  const amounts = new Map(known.map((o) => [outpointKey(o.outpoint), o.amountSat]))
  let fee = 0n
  for (const input of tx.inputs) {
    const amount = amounts.get(outpointKey(input))
    if (amount === undefined) return null
    fee += amount
  }
  for (const o of tx.outputs) fee -= o.amountSat
  return fee as Sat
}
