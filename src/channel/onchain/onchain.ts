import { equalBytes } from '../../base/bytes.ts'
import { InvariantError } from '../../base/errors.ts'
import type { Sat } from '../../base/units.ts'
import { type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import { buildLocal, signedLocal } from '../commitments.ts'
import { knowsClosing } from '../simpleClose.ts'
import type { Channel } from '../state.ts'
import { isCommitment } from '../tx/commitment.ts'
import type { ChannelContext, CloseKind, Effect } from '../types.ts'
import { type Classified, classifySpend, spends, spentCommitment } from './classify.ts'
import { anchorSpent, closingConfirmed, outputSpent, presumedFound, revokedHtlcsFound, undone } from './events.ts'
import {
  anchorsSat,
  futureOutputs,
  localOutputs,
  oldLocalOutputs,
  remoteOutputs,
  revokedCommitment,
  revokedHtlcOutputs,
  revokedOutputs,
  toRemoteOutputs,
} from './outputs.ts'
import { planAmidBlock, planClaims, planPreimages } from './plan.ts'
import { failHtlcs, isResolved, learnPreimages } from './settle.ts'
import type {
  ClosedOutput,
  ClosingKind,
  FundingSpend,
  OnchainInput,
  OnchainState,
  OnchainStep,
  RevokedCommitment,
} from './types.ts'

const HOW: Readonly<Record<ClosingKind, CloseKind>> = {
  mutual: 'cooperative',
  local: 'local-force',
  'local-old': 'local-force',
  remote: 'remote-force',
  'remote-next': 'remote-force',
  future: 'remote-force',
  unknown: 'remote-force',
  revoked: 'revoked',
}

/**
 * We close by force: publishes our newest commitment and goes on from there.
 * @source BOLT 5 §failing-a-channel
 */
export function beginLocal(channel: Channel, ctx: ChannelContext): OnchainStep {
  const commitment = channel.commitments.active[0]
  if (!commitment) throw new InvariantError('a channel without a commitment')
  const built = buildLocal(channel, commitment, ctx.signer)
  const onchain: OnchainState = {
    how: 'local-force',
    began: ctx.blockHeight,
    closing: {
      kind: 'local',
      tx: signedLocal(channel, commitment, ctx),
      txid: built.txid,
      funding: commitment.funding,
      feeSat: built.feeSat,
      height: null,
      anchorsSat: anchorsSat(channel, built),
    },
    outputs: localOutputs(built, commitment),
    sweeps: [],
    failed: [],
    spenders: [],
    revoked: null,
  }
  return carryOn(channel, onchain, ctx, { before: [notifyClosing(onchain)] })
}

/**
 * The funding output is spent in a block: by a cooperative close, by the peer's commitment, new or revoked, or by ours.
 * @source BOLT 5
 */
export function fundingSpent(channel: Channel, spend: FundingSpend, ctx: ChannelContext): OnchainStep {
  const found = classifySpend(channel, spend, ctx.signer)
  const commitment = spentCommitment(channel, spend.tx)
  if (!commitment) throw new InvariantError('a transaction that spends no funding output of the channel')
  const { tx } = spend
  const { outputs, revoked } = claimable(channel, found, spend, ctx)
  const onchain: OnchainState = {
    how: HOW[found.kind],
    began: spend.height,
    closing: {
      kind: found.kind,
      tx,
      txid: txidOf(tx),
      funding: commitment.funding,
      feeSat: (commitment.capacitySat - tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)) as Sat,
      height: null,
      anchorsSat: anchorsSat(channel, { tx, txid: txidOf(tx) }),
    },
    outputs,
    sweeps: [],
    failed: [],
    spenders: [],
    revoked,
  }
  const told = spend.toldAs === onchain.how ? [] : [notifyClosing(onchain)]
  const effects: Effect[] = [...told, ...alerts(channel, found)]
  // Ours is revoked then: not even a reorganisation, and another end after it, has it published any more.
  const isNewer =
    found.kind === 'future' || isForgotten(channel, found) || (found.kind === 'unknown' && paysUs(tx, ctx))
  const isBehind = isNewer && !channel.restored
  const known: Channel = isBehind ? { ...channel, unproven: true } : channel
  return carryOn(known, closingConfirmed(onchain, spend.height), ctx, { before: effects, isAmidBlock: true })
}

/** A close that was agreed in writes that are lost: who has stolen our key pays himself. */
const paysUs = ({ outputs }: Transaction, { sweepScriptPubKey }: ChannelContext): boolean =>
  outputs.some((o) => equalBytes(o.scriptPubKey, sweepScriptPubKey))

function claimable(
  channel: Channel,
  found: Classified,
  { tx }: FundingSpend,
  ctx: ChannelContext,
): { outputs: readonly ClosedOutput[]; revoked: RevokedCommitment | null } {
  const spender = { tx, txid: txidOf(tx) }
  switch (found.kind) {
    case 'local':
      return { outputs: localOutputs(found.built, found.commitment), revoked: null }
    case 'remote':
    case 'remote-next':
      return { outputs: remoteOutputs(found.built), revoked: null }
    case 'revoked': {
      const revoked = revokedCommitment(channel, found)
      return { outputs: revokedOutputs(channel, spender, revoked), revoked }
    }
    case 'local-old':
      return { outputs: oldLocalOutputs(channel, { ...spender, ...found }, ctx.signer), revoked: null }
    case 'mutual':
      return { outputs: [], revoked: null }
    case 'future':
      return { outputs: futureOutputs(channel, spender), revoked: null }
    case 'unknown':
      return { outputs: toRemoteOutputs(channel, spender), revoked: null }
  }
}

const notifyClosing = ({ how, closing }: OnchainState): Effect => ({
  tag: 'notify',
  event: { tag: 'closing', how, txid: closing.txid },
})

/** A commitment of ours that was published, and of which lost writes, or a backup, know nothing. */
const isForgotten = ({ commitments }: Channel, found: Classified): boolean =>
  found.kind === 'local-old' && found.commitmentNumber >= commitments.local.number

/** BOLT 5 §general-requirements: the user is warned of funds that may be lost. */
function alerts(channel: Channel, found: Classified): readonly Effect[] {
  const { kind } = found
  const detail = isForgotten(channel, found) ? FORGOTTEN : channel.restored ? undefined : ALERTS[kind]
  if (detail === undefined) return []
  const requirement =
    'BOLT 5 §general-requirements: only the newest commitments and agreed closing transactions are published'
  const fault = { code: 'DATA_LOSS', response: 'fail-channel', requirement, detail } as const
  return [{ tag: 'notify', event: { tag: 'fault', fault, byPeer: kind !== 'local-old' } }]
}
const FORGOTTEN =
  'a commitment of ours was published before data was lost: our balance in it is claimed after its delay, and the HTLCs that a backup has signatures of'
const ALERTS: Partial<Record<ClosingKind, string>> = {
  future:
    'the peer published a commitment that is newer than our state: our own balance is claimed, and the HTLCs that are found in it',
  unknown: 'a transaction that we do not remember signing spends the channel: funds may be lost, look for a leaked key',
  'local-old': 'an older commitment of ours was published, from a backup perhaps: the peer can take the whole channel',
}

/** What nobody publishes again once a reorganisation has undone it, unless it is the cheat or the thief. */
const MISPLACED: ReadonlySet<ClosingKind> = new Set(['revoked', 'local-old', 'unknown'])

/** Carries the end of a channel on by whatever happened on chain. */
export function onchainEvent(
  channel: Channel,
  onchain: OnchainState,
  input: OnchainInput,
  ctx: ChannelContext,
): OnchainStep {
  switch (input.tag) {
    case 'spent': {
      if (!spends(input.tx, onchain.closing.funding)) {
        const learned = learnPreimages(channel, onchain, input.tx)
        const after = anchorSpent(channel, outputSpent(onchain, input), input)
        const how = { before: learned.effects, planBy: planAmidBlock, isAmidBlock: true }
        return carryOn(learned.channel, after, ctx, how)
      }
      if (txidOf(input.tx) === onchain.closing.txid) {
        return carryOn(channel, closingConfirmed(onchain, input.height), ctx, { isAmidBlock: true })
      }
      // Another transaction than the one expected won, or replaced it in a reorg.
      const mutual = !isCommitment(input.tx) && knowsClosing(channel, input.tx)
      const spend: FundingSpend = { tx: input.tx, height: input.height, mutual, toldAs: onchain.how }
      const step = fundingSpent(channel, spend, ctx)
      return { ...step, onchain: { ...step.onchain, failed: onchain.failed } }
    }
    case 'reorg': {
      const after = undone(onchain, input.height)
      // What should never have been published may never come back: then our newest commitment is to be.
      const isLost = MISPLACED.has(after.closing.kind) && after.closing.height === null
      if (isLost && !channel.unproven && !channel.restored) {
        const step = beginLocal(channel, ctx)
        return { ...step, onchain: { ...step.onchain, failed: onchain.failed } }
      }
      return carryOn(channel, after, ctx)
    }
    case 'presumed': {
      const { closing, strange = [] } = onchain
      const after = closing.kind === 'future' ? presumedFound(onchain, futureOutputs(channel, closing)) : onchain
      let learned: ReturnType<typeof learnPreimages> = { channel, effects: [] }
      for (const { tx } of strange) {
        const more = learnPreimages(learned.channel, onchain, tx)
        learned = { channel: more.channel, effects: [...learned.effects, ...more.effects] }
      }
      // In a newer commitment of the peer no HTLC transaction of ours waits for what was noted.
      const planBy = closing.kind === 'future' ? planAmidBlock : planClaims
      return carryOn(learned.channel, after, ctx, { before: learned.effects, planBy })
    }
    case 'revokedHtlcs': {
      const { revoked, closing } = onchain
      if (!revoked || revoked.commitmentNumber !== input.commitmentNumber) return carryOn(channel, onchain, ctx)
      const search = { tx: closing.tx, txid: closing.txid, revoked, found: onchain.outputs }
      return carryOn(channel, revokedHtlcsFound(onchain, revokedHtlcOutputs(channel, search, input.htlcs)), ctx)
    }
    case 'preimages':
      return carryOn(channel, onchain, ctx, { planBy: planPreimages(new Set(input.htlcIds)) })
    default:
      return carryOn(channel, onchain, ctx)
  }
}

interface HowToCarryOn {
  /** What the input itself asks for. */
  readonly before?: readonly Effect[]
  readonly planBy?: typeof planClaims
  /** The rest of the block may show a preimage: nothing is failed before it is gone through. */
  readonly isAmidBlock?: boolean
}

/** After every input: settles HTLCs, plans claims, and says whether anything is left. */
function carryOn(
  channel: Channel,
  onchain: OnchainState,
  ctx: ChannelContext,
  { before = [], planBy = planClaims, isAmidBlock = false }: HowToCarryOn = {},
): OnchainStep {
  const { failed } = onchain
  const settled = isAmidBlock ? { failed, effects: [] } : failHtlcs(channel, onchain, ctx)
  const plan = planBy(channel, onchain, ctx)
  const same = settled.failed === failed && plan.sweeps === onchain.sweeps
  const next: OnchainState = same ? onchain : { ...onchain, failed: settled.failed, sweeps: plan.sweeps }
  const load: Effect[] =
    next.revoked && !next.revoked.loaded
      ? [{ tag: 'loadRevokedHtlcs', commitmentNumber: next.revoked.commitmentNumber }]
      : []
  return {
    channel,
    onchain: next,
    effects: [...before, ...load, ...settled.effects, ...plan.publish],
    done: isResolved(channel, next, ctx),
  }
}
