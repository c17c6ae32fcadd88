import { outpointKey, type Txid } from '../../base/ids.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { type Htlc, type HtlcAdd, resultOf, shownPreimage } from '../htlc.ts'
import { eachHtlc, getHtlc, replaceHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import { recount } from '../totals.ts'
import type { Effect, HtlcEvent, HtlcFailure } from '../types.ts'
import { isHtlcStage } from './claims.ts'
import { hashedIn, isBlind, preimageIn } from './events.ts'
import { LetGo } from './letGo.ts'
import { type ClaimContext, IRREVOCABLE_DEPTH, isGivenUp, RESOLVED_DEPTH, readyAt } from './plan.ts'
import { preimageFor } from './preimages.ts'
import type { ClosedOutput, OnchainState } from './types.ts'
import { cameByExpiry, FAIL_UPSTREAM_BLOCKS } from './urgency.ts'

const isDeep = (height: number | null, ctx: Pick<ClaimContext, 'blockHeight'>, depth = RESOLVED_DEPTH): boolean =>
  height !== null && ctx.blockHeight - height + 1 >= depth

/**
 * Confirmations that have to do where what a forward came by expires soon. A reorganisation deeper than that may bring the peer's preimage after
 * all, which then has to be in time upstream (node/lostHtlcs.ts). Waiting on would not prevent that: the peer before would have taken its
 * HTLC back on chain by then, and closed the channel.
 */
const LEAST_FAIL_DEPTH = 3

/** Confirmations after which an HTLC is failed upstream. @source BOLT 2 §cltv_expiry_delta-selection */
function failDepth(add: HtlcAdd, ctx: ClaimContext): number {
  const depth = ctx.policy.htlcFailDepth + 1
  const cameBy = cameByExpiry(add, ctx)
  const isSoon = cameBy !== null && ctx.blockHeight >= cameBy - FAIL_UPSTREAM_BLOCKS
  return isSoon ? Math.min(depth, LEAST_FAIL_DEPTH) : depth
}

/**
 * Spends of HTLCs that we offered show their preimages: they go upstream at once, whatever becomes of the spend.
 * @source BOLT 5 §htlc-output-handling-local-commitment-local-offers
 */
export function learnPreimages(
  channel: Channel,
  onchain: OnchainState,
  tx: Transaction,
): { readonly channel: Channel; readonly effects: readonly Effect[] } {
  let { outgoing } = channel.commitments
  const effects: Effect[] = []
  const inputs = new Set(tx.inputs.map(outpointKey))
  const learn = (htlc: Htlc, preimage: Uint8Array | null): void => {
    if (!preimage || shownPreimage(htlc)) return
    const known: Htlc = { ...htlc, removal: { tag: 'fulfilled', preimage } }
    outgoing = replaceHtlc(outgoing, known)
    const event = resultOf(known)
    if (event) effects.push({ tag: 'relay', event })
  }
  for (const { htlc: about, outpoint } of onchain.outputs) {
    if (about?.direction !== 'out' || about.id === null || !inputs.has(outpointKey(outpoint))) continue
    const htlc = getHtlc(outgoing, about.id)
    if (htlc) learn(htlc, preimageIn(tx, outpoint, about.paymentHash))
  }
  // Also of those that have been given up: a preimage is proof of payment however late it comes.
  const unseen = unseenOffers(channel, { ...onchain, failed: [] })
  const shown = unseen.length > 0 ? hashedIn(tx, onchain.closing.txid) : null
  for (const htlc of unseen) learn(htlc, shown?.get(htlc.add.paymentHash) ?? null)
  if (outgoing === channel.commitments.outgoing) return { channel, effects }
  const commitments = { ...channel.commitments, outgoing }
  // A failure whose place a preimage takes may have left our next commitment already.
  return {
    channel: { ...channel, commitments: { ...commitments, next: recount(channel.params, commitments) } },
    effects,
  }
}

/**
 * What a spend of a commitment that is in no block shows of HTLCs that we offered: whoever's it is, and whether or not it will be the one that
 * ends the channel, a preimage is proof of payment.
 */
export function preimagesShown({ commitments }: Channel, tx: Transaction, commitment: Txid): readonly HtlcEvent[] {
  const shown = hashedIn(tx, commitment)
  if (shown.size === 0) return []
  return [...eachHtlc(commitments.outgoing)].flatMap((htlc) => {
    const preimage = shownPreimage(htlc) ? undefined : shown.get(htlc.add.paymentHash)
    return (preimage && resultOf({ ...htlc, removal: { tag: 'fulfilled', preimage } })) ?? []
  })
}

/** HTLCs that we offered, of which no output is known though there may be one: the peer may claim it unseen until it has expired. */
export function unseenOffers(channel: Channel, onchain: OnchainState): readonly Htlc[] {
  const { outgoing } = channel.commitments
  if (!isBlind(onchain) || outgoing.size === 0) return []
  const over = new Set(onchain.failed)
  for (const { htlc } of onchain.outputs) if (htlc?.direction === 'out' && htlc.id !== null) over.add(htlc.id)
  return [...eachHtlc(outgoing)].filter((h) => !shownPreimage(h) && !over.has(h.add.id))
}

/**
 * HTLCs that we offered and that the peer can no longer claim: their output is ours for good, or the confirmed transaction has none
 * for them; or it is let go. Each is reported once and remembered in `failed`.
 * @source BOLT 5 §htlc-output-handling-local-commitment-local-offers
 * @source BOLT 5 §htlc-output-handling-remote-commitment-local-offers
 */
export function failHtlcs(
  channel: Channel,
  onchain: OnchainState,
  ctx: ClaimContext,
): { readonly failed: readonly bigint[]; readonly effects: readonly Effect[] } {
  const least = Math.min(ctx.policy.htlcFailDepth + 1, LEAST_FAIL_DEPTH)
  if (!isDeep(onchain.closing.height, ctx, least)) return { failed: onchain.failed, effects: [] }
  const outputs = new Map<bigint, ClosedOutput>()
  for (const o of onchain.outputs) if (o.htlc?.direction === 'out' && o.htlc.id !== null) outputs.set(o.htlc.id, o)
  const done = new Set(onchain.failed)
  const effects: Effect[] = []
  const budgets = new LetGo(channel, onchain, ctx)
  for (const htlc of eachHtlc(channel.commitments.outgoing)) {
    const { add } = htlc
    if (done.has(add.id) || shownPreimage(htlc)) continue
    if (!isDeep(onchain.closing.height, ctx, failDepth(add, ctx))) continue
    const output = outputs.get(add.id)
    if (!isLost(add, output, onchain, ctx)) {
      if (!output || !budgets.take(add, output)) continue
    }
    done.add(add.id)
    const event = failedEvent(htlc, mayBeSettled(htlc, onchain))
    if (event) effects.push({ tag: 'relay', event })
  }
  return { failed: effects.length > 0 || done.size > onchain.failed.length ? [...done] : onchain.failed, effects }
}

/** The peer's own words when it failed the HTLC before the close, else that it ended on chain. */
function failedEvent(htlc: Htlc, undecided = false): HtlcEvent | null {
  const told = resultOf(htlc)
  if (told) return told
  const { id, origin } = htlc.add
  const presumed = htlc.stage === 'presumed'
  const failure: HtlcFailure = {
    tag: 'onchain',
    ...(presumed && { presumed }),
    ...(undecided && { undecided }),
  }
  return origin && { tag: 'failed', id, origin, failure }
}

/**
 * What ends the channel is newer than what we know, as no close is agreed over an HTLC: one of which it has no output was settled before, or
 * failed, or never offered; or its output is not recognised. Of ours, published at that risk, one that is only presumed may be newer.
 */
const mayBeSettled = ({ add, stage }: Htlc, onchain: OnchainState): boolean =>
  (isBlind(onchain) ||
    onchain.closing.kind === 'mutual' ||
    (onchain.closing.kind === 'local' && stage === 'presumed')) &&
  !onchain.outputs.some((o) => o.htlc?.direction === 'out' && o.htlc.id === add.id)

/** Whether the peer cannot claim the HTLC any more. */
function isLost(add: HtlcAdd, output: ClosedOutput | undefined, onchain: OnchainState, ctx: ClaimContext): boolean {
  if (output) return output.spent !== null && isDeep(output.spent.height, ctx, failDepth(add, ctx))
  if (!isBlind(onchain)) return true
  // A block that is caught up with may be followed by one that shows the preimage.
  return !ctx.isBehind && ctx.blockHeight >= add.cltvExpiry + RESOLVED_DEPTH
}

/** Whether an HTLC of the peer's has ended on chain, whoever has it, or had no output in the end of its channel. */
export function isIncomingOver(onchain: OnchainState, id: bigint, blockHeight: number): boolean {
  if (isBlind(onchain) || !isDeep(onchain.closing.height, { blockHeight })) return false
  return onchain.outputs.every(
    ({ htlc, spent }) =>
      htlc?.direction !== 'in' || htlc.id !== id || (spent !== null && isDeep(spent.height, { blockHeight })),
  )
}

/** What is known of the HTLCs that we offered in a channel that can never be in the chain: nobody claims one there. */
export const resultsWithoutChain = ({ commitments, unproven }: Channel): readonly HtlcEvent[] =>
  [...eachHtlc(commitments.outgoing)].flatMap((htlc) => failedEvent(htlc, unproven === true) ?? [])

/** Nothing of the channel is left to claim, to watch or to report. */
export function isResolved(channel: Channel, onchain: OnchainState, ctx: ClaimContext): boolean {
  if (!isDeep(onchain.closing.height, ctx)) return false
  if (onchain.revoked && !onchain.revoked.loaded) return false
  if (!onchain.outputs.every((o) => isSettled(channel, o, ctx))) return false
  const failed = new Set(onchain.failed)
  for (const htlc of eachHtlc(channel.commitments.outgoing)) {
    if (!shownPreimage(htlc) && !failed.has(htlc.add.id)) return false
  }
  return true
}

/**
 * An output that needs no more watching: spent for good, never worth its claim, or an HTLC of the peer's that we have no preimage
 * for and that has expired.
 */
function isSettled(channel: Channel, output: ClosedOutput, ctx: ClaimContext): boolean {
  if (output.spent) return isDeep(output.spent.height, ctx)
  const preimage = preimageFor(channel, output)
  if (isGivenUp(channel, output, readyAt(output, preimage), ctx)) return true
  const { spend } = output
  const theirs = spend.tag === 'claim-preimage' || (isHtlcStage(spend) && spend.tag === 'htlc-success')
  return theirs && preimage === null && ctx.blockHeight >= spend.cltvExpiry + RESOLVED_DEPTH
}

/** What a resolved channel has on chain is so deep that nothing of it is undone any more. @source BOLT 5 §general-nomenclature */
export const isIrrevocable = ({ closing, outputs }: OnchainState, ctx: Pick<ClaimContext, 'blockHeight'>): boolean =>
  [closing, ...outputs.flatMap((o) => o.spent ?? [])].every((c) => isDeep(c.height, ctx, IRREVOCABLE_DEPTH))

/** What is known for good of the HTLCs that we offered: the same events again, for the payments after a restart. */
export function onchainResults(channel: Channel, onchain: OnchainState): readonly HtlcEvent[] {
  const failed = new Set(onchain.failed)
  const events: HtlcEvent[] = []
  for (const htlc of eachHtlc(channel.commitments.outgoing)) {
    const event =
      shownPreimage(htlc) !== null
        ? resultOf(htlc)
        : failed.has(htlc.add.id)
          ? failedEvent(htlc, mayBeSettled(htlc, onchain))
          : null
    if (event) events.push(event)
  }
  return events
}
