import { type Outpoint, outpointKey } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { getHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import { feeOf, HTLC_SUCCESS_WEIGHT, HTLC_TIMEOUT_WEIGHT } from '../tx/weights.ts'
import type { ChannelContext, Effect } from '../types.ts'
import {
  buildSweep,
  type HtlcStage,
  isHtlcStage,
  isWorthSweeping,
  isWorthSweepingAlone,
  type SweepInput,
  type SweepSpend,
  signHtlcTx,
} from './claims.ts'
import type { ClosedOutput, ClosingTransaction, OnchainState, Sweep } from './types.ts'

/** What the plan reads of a turn's context. */
export type ClaimContext = Pick<ChannelContext, 'blockHeight' | 'feerates' | 'signer' | 'sweepScriptPubKey'>

/** Confirmations after which an output counts as resolved for good, and an HTLC is failed upstream. */
export const IRREVOCABLE_DEPTH = 6
/** A sweep that has not confirmed after this many blocks is made again with a higher fee. */
const BUMP_AFTER = 6
const BUMP_PERCENT = 125
/** No sweep pays more than this many times the feerate that our estimate asks for. */
const BUMP_LIMIT = 4
/** How long an output that costs more than it holds is waited for, in the hope of lower fees. */
const GIVE_UP_AFTER = 1008
/** The lowest feerate that Bitcoin nodes relay, sat per 1,000 weight units. */
const FEERATE_FLOOR = 253
/** What a wallet adds to pay for an HTLC transaction with anchors: one P2WPKH input and a change output. */
const WALLET_WEIGHT = 272 + 124

/** The preimage of an HTLC that the peer offered, once we have fulfilled it. */
export function preimageFor(channel: Channel, output: ClosedOutput): Uint8Array | null {
  if (output.htlc?.direction !== 'in' || output.htlc.id === null) return null
  const removal = getHtlc(channel.commitments.incoming, output.htlc.id)?.removal
  return removal?.tag === 'fulfilled' ? removal.preimage : null
}

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

/** Whether claiming an output by itself costs more than it holds, or would leave dust, which nobody relays. */
export function isUneconomical(output: ClosedOutput, feeratePerKw: number): boolean {
  const { spend, amountSat } = output
  if (!isHtlcStage(spend)) return !isWorthSweepingAlone(amountSat, spend, feeratePerKw)
  const later: SweepSpend = {
    tag: 'delayed',
    witnessScript: spend.delayedScript,
    delay: spend.delay,
    commitmentPoint: spend.commitmentPoint,
  }
  const stage = spend.tag === 'htlc-timeout' ? HTLC_TIMEOUT_WEIGHT : HTLC_SUCCESS_WEIGHT
  const now = spend.channelType === 'anchors' ? stage.anchors + WALLET_WEIGHT : 0
  const left = (spend.tx.outputs[0]!.amountSat - feeOf(now, feeratePerKw)) as Sat
  return !isWorthSweepingAlone(left, later, feeratePerKw)
}

/** No feerate that nodes relay, or none that came in a week, makes the output worth its claim. */
export function isGivenUp(output: ClosedOutput, ready: number | null, ctx: ClaimContext): boolean {
  if (ready === null || ctx.blockHeight < ready) return false
  if (isUneconomical(output, FEERATE_FLOOR)) return true
  return isUneconomical(output, ctx.feerates.claim) && ctx.blockHeight >= ready + GIVE_UP_AFTER
}

export interface Plan {
  /** The record's own array when nothing changed. */
  readonly sweeps: readonly Sweep[]
  readonly publish: readonly (Effect & { readonly tag: 'broadcast' })[]
}

/**
 * What should be in the mempool now. Derived from the record alone, so it can be asked at every block and after a restart; a sweep
 * that is under way stays the same transaction until its fee is raised. Outputs that nobody contests share one sweep; those that
 * the peer may take first have a transaction each, so that no competing spend holds up the rest.
 */
export function planClaims(channel: Channel, onchain: OnchainState, ctx: ClaimContext): Plan {
  const { closing } = onchain
  if (closing.height === null) {
    return { sweeps: onchain.sweeps, publish: republish(closing) }
  }
  const stages: (Effect & { readonly tag: 'broadcast' })[] = []
  const ready = new Map<string, SweepInput>()
  for (const output of onchain.outputs) {
    const preimage = preimageFor(channel, output)
    const at = output.spent ? null : readyAt(output, preimage)
    if (at === null || ctx.blockHeight < at) continue
    const { spend } = output
    if (isHtlcStage(spend)) {
      // Without anchors its fee is paid for: nothing is saved by holding it back.
      const free = spend.channelType !== 'anchors'
      if (free || !isUneconomical(output, ctx.feerates.claim)) stages.push(stageEffect(spend, preimage, ctx))
    } else ready.set(outpointKey(output.outpoint), { ...output, spend, preimage })
  }
  const sweeps = planSweeps(onchain.sweeps, ready, ctx)
  const built = sweeps.map((sweep) => ({ sweep, tx: sweepTx(sweep, ready, ctx) })).filter((b) => b.tx !== null)
  const same = built.length === onchain.sweeps.length && built.every((b, i) => b.sweep === onchain.sweeps[i])
  return {
    sweeps: same ? onchain.sweeps : built.map((b) => b.sweep),
    publish: [...stages, ...built.map((b) => sweepEffect(b.tx!, ready.get(b.sweep.outpoints[0]!)!.spend))],
  }
}

/** An unconfirmed closing transaction is ours, or was undone by a reorg; a revoked one is not helped along. */
function republish({ kind, tx }: ClosingTransaction): Plan['publish'] {
  if (kind === 'mutual') return [{ tag: 'broadcast', tx, purpose: 'mutual-close' }]
  const current = kind === 'local' || kind === 'remote' || kind === 'remote-next'
  return current ? [{ tag: 'broadcast', tx, purpose: 'commitment' }] : []
}

function stageEffect(stage: HtlcStage, preimage: Uint8Array | null, ctx: ClaimContext): Effect & { tag: 'broadcast' } {
  const used = stage.tag === 'htlc-success' ? preimage : null
  const tx = signHtlcTx(stage.tx, stage, used, ctx.signer)
  if (stage.channelType !== 'anchors') return { tag: 'broadcast', tx, purpose: 'htlc' }
  return { tag: 'broadcast', tx, purpose: 'htlc', addFees: ctx.feerates.claim, signAgain: { stage, preimage: used } }
}

const sweepEffect = (tx: Transaction, spend: SweepSpend): Effect & { tag: 'broadcast' } => ({
  tag: 'broadcast',
  tx,
  purpose: spend.tag === 'penalty' ? 'penalty' : isContested(spend) ? 'htlc' : 'sweep',
})

const isContested = (spend: SweepSpend): boolean => spend.tag !== 'delayed' && spend.tag !== 'to-remote'

function planSweeps(
  before: readonly Sweep[],
  ready: ReadonlyMap<string, SweepInput>,
  ctx: ClaimContext,
): readonly Sweep[] {
  const sweeps = before.filter((s) => s.outpoints.every((o) => ready.has(o))).map((s) => bumped(s, ready, ctx))
  const covered = new Set(sweeps.flatMap((s) => s.outpoints))
  const pool: string[] = []
  const fresh = (outpoints: readonly string[]): Sweep => ({
    outpoints,
    feeratePerKw: ctx.feerates.claim,
    at: ctx.blockHeight,
  })
  for (const [key, input] of ready) {
    if (covered.has(key) || !isWorthSweeping(input.amountSat, input.spend, ctx.feerates.claim)) continue
    if (isContested(input.spend)) sweeps.push(fresh([key]))
    else pool.push(key)
  }
  if (pool.length > 0) sweeps.push(fresh(pool))
  return sweeps
}

/** BIP 125: the replacement pays more, in all and per weight unit. */
function bumped(sweep: Sweep, ready: ReadonlyMap<string, SweepInput>, ctx: ClaimContext): Sweep {
  if (ctx.blockHeight < sweep.at + BUMP_AFTER) return sweep
  const raised = Math.max(ctx.feerates.claim, Math.ceil((sweep.feeratePerKw * BUMP_PERCENT) / 100))
  if (raised > ctx.feerates.claim * BUMP_LIMIT) return sweep
  const next = { ...sweep, feeratePerKw: raised, at: ctx.blockHeight }
  return sweepTx(next, ready, ctx) ? next : sweep
}

function sweepTx(sweep: Sweep, ready: ReadonlyMap<string, SweepInput>, ctx: ClaimContext): Transaction | null {
  const inputs = sweep.outpoints.map((o) => ready.get(o)!)
  const options = { scriptPubKey: ctx.sweepScriptPubKey, feeratePerKw: sweep.feeratePerKw }
  return buildSweep(inputs, options, ctx.signer)?.tx ?? null
}

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
