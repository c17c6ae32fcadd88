import type { Outpoint, Txid } from '../../base/ids.ts'
import { addSat, type Sat } from '../../base/units.ts'
import { fundingScriptOf } from '../commitments.ts'
import { shownPreimage } from '../htlc.ts'
import { getHtlc } from '../htlcTable.ts'
import type { Channel } from '../state.ts'
import type { CloseKind, Effect, Watch } from '../types.ts'
import { isHtlcStage } from './claims.ts'
import { isBlind } from './events.ts'
import { leftovers } from './leftovers.ts'
import { anchorsIn } from './outputs.ts'
import { type ClaimContext, isGivenUp, isTooDear, planClaims, RESOLVED_DEPTH, readyAt } from './plan.ts'
import { preimageFor } from './preimages.ts'
import { isResolved, unseenOffers } from './settle.ts'
import type { ClosedOutput, OnchainState } from './types.ts'

/**
 * What the chain watcher must look out for until everything is resolved: also what is spent already, since a reorg may bring
 * another spend; and the funding itself, as long as it may never confirm.
 */
export function onchainWatches(channel: Channel, onchain: OnchainState): readonly Watch[] {
  const { local, remote } = channel.params
  const scriptPubKey = fundingScriptOf(local, remote)
  const { funding } = onchain.closing
  const unfunded: readonly Watch[] =
    channel.funding.confirmed === null ? [{ tag: 'confirmation', txid: funding.txid, scriptPubKey, minDepth: 1 }] : []
  return [
    ...unfunded,
    { tag: 'spend', outpoint: funding, scriptPubKey },
    ...[...onchain.outputs, ...anchorsIn(channel, onchain.closing)].map(
      (o): Watch => ({ tag: 'spend', outpoint: o.outpoint, scriptPubKey: o.scriptPubKey }),
    ),
    ...notKnownYet(onchain),
  ]
}

/** Every output of a revoked commitment may be an HTLC's whose record has not been read yet; of one that we do not know, too. */
function notKnownYet(onchain: OnchainState): readonly Watch[] {
  const { revoked } = onchain
  if ((!revoked || revoked.loaded) && !isBlind(onchain)) return []
  return strangeOutputs(onchain)
}

/** Outputs of the closing transaction of which nothing is known. */
const strangeOutputs = ({ closing, outputs }: OnchainState): readonly Extract<Watch, { tag: 'spend' }>[] => {
  const known = new Set(outputs.filter((o) => o.outpoint.txid === closing.txid).map((o) => o.outpoint.index))
  return closing.tx.outputs.flatMap(({ scriptPubKey }, index) =>
    known.has(index) ? [] : [{ tag: 'spend' as const, outpoint: { txid: closing.txid, index }, scriptPubKey }],
  )
}

/** Outputs in the chain by whose spends the peer shows preimages of HTLCs that we offered. */
export function openOffers(channel: Channel, onchain: OnchainState): readonly Outpoint[] {
  if (onchain.closing.height === null) return []
  const known = onchain.outputs.flatMap((o) => (o.htlc?.direction === 'out' && o.spent === null ? [o.outpoint] : []))
  return unseenOffers(channel, onchain).length === 0
    ? known
    : [...known, ...strangeOutputs(onchain).map((w) => w.outpoint)]
}

/**
 * The funding output of a channel whose end is in no block yet, where the peer may show preimages all the same: with anchors, claims wait for
 * the commitment.
 * @source BOLT 3 §received-htlc-outputs
 */
export function waitingFunding(channel: Channel, { closing }: OnchainState): Outpoint | null {
  const isShown = channel.params.channelType === 'static_remotekey' && channel.commitments.outgoing.size > 0
  return closing.height === null && isShown ? closing.funding : null
}

/** What should be in the mempool now, and what is still to be asked for: for a restart. */
export function onchainRebroadcasts(channel: Channel, onchain: OnchainState, ctx: ClaimContext): readonly Effect[] {
  const { publish } = planClaims(channel, onchain, ctx)
  const { revoked } = onchain
  if (!revoked || revoked.loaded) return publish
  return [{ tag: 'loadRevokedHtlcs', commitmentNumber: revoked.commitmentNumber }, ...publish]
}

/** How far the end of a channel has come, for people. */
export interface OnchainView {
  readonly how: CloseKind
  readonly txid: Txid
  readonly confirmations: number
  /** Everything of this close is on chain and deep enough. */
  readonly resolved: boolean
  /** The closing transaction and what spent its outputs; feeSat is null where the wallet, the peer or another channel of ours added inputs. */
  readonly transactions: readonly {
    readonly txid: Txid
    readonly kind: string
    readonly confirmed: boolean
    readonly feeSat: Sat | null
  }[]
  /** In anchor outputs that nobody took, and in outputs that cost more to claim than they hold. */
  readonly unclaimedSat: Sat
  /** Ours, but not spendable by the wallet yet: before fees. With what is too dear to claim for now, where nobody else can take it. */
  readonly pendingSat: Sat
  /** Plain words; null when everything is resolved. */
  readonly waitsFor: string | null
}

export function describeOnchain(channel: Channel, onchain: OnchainState, ctx: ClaimContext): OnchainView {
  const { closing, outputs, spenders } = onchain
  const confirmations = closing.height === null ? 0 : Math.max(0, ctx.blockHeight - closing.height + 1)
  const open = outputs.filter((o) => o.spent === null && isOurs(channel, o))
  const [poor, rich] = [true, false].map((u) => open.filter((o) => isTooDear(channel, o, ctx) === u))
  const taken = new Set(onchain.anchorsSpent?.map((a) => a.index))
  const resolved = isResolved(channel, onchain, ctx)
  return {
    how: onchain.how,
    txid: closing.txid,
    confirmations,
    resolved,
    transactions: [
      { txid: closing.txid, kind: closing.kind, confirmed: closing.height !== null, feeSat: closing.feeSat },
      ...spenders.map((s) => ({ txid: s.txid, kind: s.kind, confirmed: true, feeSat: s.feeSat })),
    ],
    unclaimedSat: total([...anchorsIn(channel, closing).filter((a) => !taken.has(a.outpoint.index)), ...poor!]),
    pendingSat: addSat(total(rich!), total(leftovers({ ...onchain, outputs: poor! }))),
    waitsFor: resolved ? null : waitsFor(channel, onchain, ctx),
  }
}

const total = (outputs: readonly { readonly amountSat: Sat }[]): Sat =>
  outputs.reduce((sum, o) => sum + o.amountSat, 0n) as Sat

/** Not an HTLC of the peer's that we have no preimage for, nor one of ours that the peer has the preimage for. */
function isOurs(channel: Channel, o: ClosedOutput): boolean {
  if (!o.htlc || o.spend.tag === 'penalty') return true
  if (o.htlc.direction === 'in') return preimageFor(channel, o) !== null
  const offer = o.htlc.id === null ? undefined : getHtlc(channel.commitments.outgoing, o.htlc.id)
  return !offer || shownPreimage(offer) === null
}

function waitsFor(channel: Channel, onchain: OnchainState, ctx: ClaimContext): string {
  const { closing, outputs } = onchain
  if (closing.height === null) return `the confirmation of ${closing.txid}`
  const depths: number[] = [closing.height]
  const heights = unseenOffers(channel, onchain).map(({ add }) => ({
    height: add.cltvExpiry + RESOLVED_DEPTH,
    what: 'the end of an HTLC of which no output is known',
  }))
  let [claims, dear] = [0, 0]
  for (const o of outputs) {
    if (o.spent) depths.push(o.spent.height)
    else {
      const ready = readyAt(o, preimageFor(channel, o))
      const what = delayName(o)
      if (ready === null) heights.push({ height: expiryOf(o), what: 'the expiry of an HTLC of the peer' })
      else if (ready > ctx.blockHeight) heights.push({ height: ready, what })
      else if (!isTooDear(channel, o, ctx)) claims++
      else if (!isGivenUp(channel, o, ready, ctx)) dear++
    }
  }
  if (claims > 0)
    return claims === 1 ? 'the confirmation of a claim' : `the confirmation of claims on ${claims} outputs`
  const next = heights.sort((a, b) => a.height - b.height)[0]
  if (next) return `${next.what} at height ${next.height}`
  if (dear > 0) return 'lower fees: what is left costs more to claim than it holds'
  const least = Math.min(...depths.map((h) => ctx.blockHeight - h + 1))
  return `${Math.max(0, least)} of ${RESOLVED_DEPTH} confirmations`
}

const delayName = (o: ClosedOutput): string =>
  o.spend.tag === 'delayed' ? 'the end of our own delay' : 'the expiry of an HTLC'

const expiryOf = ({ spend }: ClosedOutput): number =>
  isHtlcStage(spend) || spend.tag === 'claim-preimage' || spend.tag === 'claim-timeout' ? spend.cltvExpiry : 0
