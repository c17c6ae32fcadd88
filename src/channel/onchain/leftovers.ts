import { outpointKey } from '../../base/ids.ts'
import { FEERATE_FLOOR } from '../../bitcoin/policy.ts'
import type { Channel } from '../state.ts'
import type { ChainEvent, Effect, Watch } from '../types.ts'
import { outputSpent, undone } from './events.ts'
import { type ClaimContext, IRREVOCABLE_DEPTH, isUneconomical, planLeftovers } from './plan.ts'
import { isPatient } from './sweeps.ts'
import type { ClosedOutput, OnchainState } from './types.ts'

/**
 * Of a channel that is closed for good: what nobody but us can ever spend, and what was too dear to claim for a week may be left. It is
 * kept until it is worth its claim, however long that takes. What never is, at the least feerate that nodes relay, is not.
 * @source BOLT 5 §general-nomenclature: watched until every output is irrevocably resolved
 */
export const leftovers = ({ outputs }: OnchainState): readonly ClosedOutput[] =>
  outputs.filter((o) => isPatient(o.spend) && !isUneconomical(o, FEERATE_FLOOR, FEERATE_FLOOR))

/** @param isShallow the spend of one may be undone yet: all are watched */
export const leftoverWatches = (onchain: OnchainState, isShallow: boolean): readonly Watch[] =>
  leftovers(onchain).flatMap(({ outpoint, scriptPubKey, spent }): readonly Watch[] =>
    isShallow || spent === null ? [{ tag: 'spend', outpoint, scriptPubKey }] : [],
  )

export interface LeftoverStep {
  /** The record's own when nothing changed. */
  readonly onchain: OnchainState
  readonly effects: readonly Effect[]
  /** One of them is spent, in a block that a reorganisation may take back. */
  readonly isShallow: boolean
}

/** Carries on what is left over, and nothing else: the rest of the channel is so deep that it is not undone any more. */
export function leftoverEvent(
  channel: Channel,
  onchain: OnchainState,
  event: ChainEvent,
  ctx: ClaimContext,
): LeftoverStep {
  const after = happened(onchain, event)
  const left = leftovers(after)
  if (left.length === 0) return { onchain, effects: [], isShallow: false }
  const isShallow = left.some((o) => o.spent !== null && ctx.blockHeight - o.spent.height + 1 < IRREVOCABLE_DEPTH)
  const { sweeps, publish } = planLeftovers(channel, { ...after, outputs: left }, ctx)
  return { onchain: sweeps === after.sweeps ? after : { ...after, sweeps }, effects: publish, isShallow }
}

function happened(onchain: OnchainState, event: ChainEvent): OnchainState {
  if (event.tag === 'reorg') return undone(onchain, event.height)
  if (event.tag !== 'spent') return onchain
  const spent = outpointKey(event.outpoint)
  return leftovers(onchain).some((o) => outpointKey(o.outpoint) === spent) ? outputSpent(onchain, event) : onchain
}
