import { EMPTY, equalBytes } from '../../base/bytes.ts'
import { type Outpoint, outpointKey, type Txid } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { p2wsh } from '../../bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../bitcoin/sighash.ts'
import { type Transaction, txidOf, unsignedInput, weightOf, withWitness } from '../../bitcoin/transaction.ts'
import { buildRemote, buildRemoteSigned, type HtlcCommitment } from '../commitments.ts'
import type { Channel } from '../state.ts'
import { anchorScript } from '../tx/scripts.ts'
import { ANCHOR_SAT } from '../tx/weights.ts'
import type { ChannelContext, ChannelSigner } from '../types.ts'
import { remoteOutputs } from './outputs.ts'
import { isAtStake, stagesFee } from './stages.ts'
import type { ClosedOutput, OnchainState } from './types.ts'
import { type Bill, budgetOf, deadlineOf, feerateFor, isUrgent, type Stake } from './urgency.ts'

/** How a child of a commitment pays for its parent, through our anchor. Plain data, for a wallet to fill in. */
export interface AnchorPlan {
  /** Of the commitment. */
  readonly txid: Txid
  /** Of the commitment, signed. */
  readonly weight: number
  /** What the commitment pays by itself. */
  readonly feeSat: Sat
  readonly outpoint: Outpoint
  readonly witnessScript: Uint8Array
  /** Of both together, sat per 1,000 weight units. */
  readonly feeratePerKw: number
  /** The most that the wallet may add. */
  readonly budgetSat: Sat
  /** The most that it may pay with what it builds on, where that waits at a lower feerate: for what is due soon alone. */
  readonly urgentSat: Sat
  /** What it keeps back meanwhile, for the HTLC transactions that follow. */
  readonly leaveSat: Sat
}

/** Both signatures on the funding output at their longest, and the two bytes that mark a witness (BOLT 3 §appendix-a). */
const FUNDING_WITNESS = 222 + 2
/** The child that a wallet makes, about: the anchor's input, one P2WPKH input and a change output. */
export const CHILD_WEIGHT = 42 + 280 + 272 + 124
/** Blocks before an HTLC's own deadline by which its commitment must be in the chain, for what follows to have its time. */
const SECOND_STAGE_BLOCKS = 6
/** Where only time is at stake, this much of our balance may go to get it back sooner, percent. */
const PATIENT_PERCENT = 2n

interface Unconfirmed {
  readonly tx: Transaction
  readonly txid: Txid
  readonly weight: number
  readonly feeSat: Sat
  readonly outputs: readonly ClosedOutput[]
}

type AnchorContext = Pick<ChannelContext, 'blockHeight' | 'feerates' | 'incomingExpiry' | 'policy'>

/** How to help the unconfirmed closing transaction along; null when it is none with an anchor of ours. */
export function anchorPlan(
  channel: Channel,
  { closing, outputs, began }: OnchainState,
  ctx: AnchorContext,
): AnchorPlan | null {
  const { tx, txid, feeSat } = closing
  return planFor(channel, { tx, txid, feeSat, outputs: sinceThen(outputs, began), weight: weightOf(tx) }, ctx)
}

/** The same for the peer's commitments that may be in the mempools in the place of ours, unseen by us: they count as much. */
export function rivalPlans(
  channel: Channel,
  { closing, began }: OnchainState,
  ctx: AnchorContext,
): readonly AnchorPlan[] {
  if (closing.kind !== 'local' || channel.params.channelType !== 'anchors') return []
  const commitment = channel.commitments.active.find((c) => outpointKey(c.funding) === outpointKey(closing.funding))
  if (!commitment) return []
  const theirs = [buildRemote(channel, commitment), buildRemoteSigned(channel, commitment)]
  return theirs.flatMap((built) => (built && planFor(channel, ofPeer(built, began), ctx)) ?? [])
}

/**
 * The same for a commitment that is in the mempool in the place of ours and that nobody should have published, a revoked one for one: it
 * is in the way until it confirms, and then all of it is ours.
 * @param ours the plan for our commitment
 * @returns null when it is no commitment with an anchor of ours
 */
export function strangerPlan(ours: AnchorPlan, ourTx: Transaction, tx: Transaction): AnchorPlan | null {
  const scriptPubKey = p2wsh(ours.witnessScript)
  const index = tx.outputs.findIndex((o) => o.amountSat === ANCHOR_SAT && equalBytes(o.scriptPubKey, scriptPubKey))
  if (index < 0) return null
  const txid = txidOf(tx)
  const feeSat = (ours.feeSat + totalSat(ourTx) - totalSat(tx)) as Sat
  return { ...ours, txid, weight: weightOf(tx), feeSat, outpoint: { txid, index }, leaveSat: 0n as Sat }
}
const totalSat = ({ outputs }: Transaction): bigint => outputs.reduce((sum, o) => sum + o.amountSat, 0n)

const ofPeer = (built: HtlcCommitment, began?: number): Unconfirmed => ({
  ...built,
  weight: weightOf(built.tx) + FUNDING_WITNESS,
  outputs: sinceThen(remoteOutputs(built), began),
})

/** As if they had been in the chain since the end began: what expired long before has no more haste than what expires then. */
const sinceThen = (outputs: readonly ClosedOutput[], began: number | null = null): readonly ClosedOutput[] =>
  outputs.map((o) => ({ ...o, since: o.since ?? began }))

function planFor(channel: Channel, commitment: Unconfirmed, ctx: AnchorContext): AnchorPlan | null {
  if (channel.params.channelType !== 'anchors') return null
  const { tx, txid, weight, feeSat } = commitment
  const witnessScript = anchorScript(channel.params.local.basepoints.fundingPubkey)
  const scriptPubKey = p2wsh(witnessScript)
  const index = tx.outputs.findIndex((o) => equalBytes(o.scriptPubKey, scriptPubKey))
  if (index < 0) return null
  // Whatever asks for most: a small HTLC must not keep the balance beside it from being paid for, either.
  let [feeratePerKw, budgetSat, urgentSat] = [0, 0n as Sat, 0n as Sat]
  for (const { valueSat, deadline } of stakesIn(channel, commitment.outputs, ctx)) {
    const most = deadline === null ? budgetOf(valueSat, PATIENT_PERCENT) : budgetOf(valueSat)
    const bill: Bill = { weight: weight + CHILD_WEIGHT, budgetSat: most, paidSat: feeSat }
    feeratePerKw = Math.max(feeratePerKw, feerateFor(deadline, bill, ctx))
    if (most > budgetSat) budgetSat = most
    if (deadline !== null && isUrgent(deadline, ctx) && most > urgentSat) urgentSat = most
  }
  const leaveSat = stagesFee(channel, commitment.outputs, ctx)
  const outpoint = { txid, index }
  return { txid, weight, feeSat, outpoint, witnessScript, feeratePerKw, budgetSat, urgentSat, leaveSat }
}

/**
 * What is lost when the commitment comes too late, and the first height of that: each HTLC with those that are due before it, since one
 * that is worth little must not have what many others may cost; and our balance, whenever.
 */
function stakesIn(channel: Channel, outputs: readonly ClosedOutput[], ctx: AnchorContext): readonly Stake[] {
  let patientSat = 0n
  const due: { readonly amountSat: Sat; readonly deadline: number }[] = []
  for (const output of outputs) {
    const { amountSat } = output
    const deadline = deadlineOf(channel, output, ctx)
    if (deadline === null) patientSat += amountSat
    else if (isAtStake(channel, output)) due.push({ amountSat, deadline: deadline - SECOND_STAGE_BLOCKS })
  }
  let dueSat = 0n
  const contested = due
    .sort((a, b) => a.deadline - b.deadline)
    .map(({ amountSat, deadline }): Stake => {
      dueSat += amountSat
      return { valueSat: dueSat as Sat, deadline }
    })
  return [...contested, { valueSat: patientSat as Sat, deadline: null }]
}

/** The child before a wallet adds its inputs and outputs; its witness counts for the weight. */
export function anchorChild({ outpoint, witnessScript }: AnchorPlan): Transaction {
  const child: Transaction = { version: 2, inputs: [unsignedInput(outpoint, 0xfffffffd)], outputs: [], lockTime: 0 }
  return withWitness(child, 0, [LONGEST_SIGNATURE, witnessScript])
}
const LONGEST_SIGNATURE = new Uint8Array(72)

/**
 * Signs the anchor's input of a child as the wallet has made it.
 * @source BOLT 3 §to_local_anchor-and-to_remote_anchor-output-option_anchors
 */
export function signAnchor(tx: Transaction, { witnessScript }: AnchorPlan, signer: ChannelSigner): Transaction {
  const bare = withWitness(tx, 0, [EMPTY])
  const digest = sighashV0(bare, { index: 0, scriptCode: witnessScript, amountSat: ANCHOR_SAT }, SIGHASH_ALL)
  return withWitness(tx, 0, [derSignature(signer.signFunding(digest), SIGHASH_ALL), witnessScript])
}
