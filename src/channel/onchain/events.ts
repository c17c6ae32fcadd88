import { equalBytes, toHex } from '../../base/bytes.ts'
import { type Outpoint, outpointKey, type PaymentHash, type Txid } from '../../base/ids.ts'
import { p2wsh } from '../../bitcoin/script.ts'
import { type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import { crypto } from '../../crypto/crypto.ts'
import type { Channel } from '../state.ts'
import { isHtlcStage, type Spend, sweepWeight } from './claims.ts'
import { anchorsIn, delayedPenalty } from './outputs.ts'
import { feeFrom } from './plan.ts'
import type { ClosedOutput, OnchainState, OutputSpend, SpendingTransaction, Sweep } from './types.ts'

const sameOutpoint = (a: Outpoint, b: { readonly txid: Txid; readonly index: number }): boolean =>
  a.txid === b.txid && a.index === b.index

/** The closing transaction is in the block of this height, and its outputs with it. */
export const closingConfirmed = (onchain: OnchainState, height: number): OnchainState => ({
  ...onchain,
  closing: { ...onchain.closing, height },
  outputs: onchain.outputs.map((o) => (o.outpoint.txid === onchain.closing.txid ? { ...o, since: height } : o)),
})

/**
 * A confirmed transaction spends one of the outputs: that one is taken with all others that it spends, so that none of them is
 * claimed again while the rest of the block is gone through; and what it makes of HTLC outputs is watched in turn.
 */
export function outputSpent(onchain: OnchainState, spend: OutputSpend): OnchainState {
  const { tx, height } = spend
  if (!onchain.outputs.some((o) => sameOutpoint(o.outpoint, spend.outpoint))) return notKnownYet(onchain, spend)
  const txid = txidOf(tx)
  const inputs = new Set(tx.inputs.map(outpointKey))
  const isNews = (o: ClosedOutput): boolean =>
    inputs.has(outpointKey(o.outpoint)) && !(o.spent?.txid === txid && o.spent.height === height)
  const news = onchain.outputs.filter(isNews)
  if (news.length === 0) return onchain
  const known = new Set(onchain.outputs.map((o) => outpointKey(o.outpoint)))
  const stages = news.flatMap((o) => secondStage(onchain, o, { tx, txid, height }) ?? [])
  return {
    ...onchain,
    outputs: [
      ...onchain.outputs.map((o) => (isNews(o) ? { ...o, spent: { txid, height } } : o)),
      ...stages.filter((o) => !known.has(outpointKey(o.outpoint))),
    ],
    spenders: [
      ...onchain.spenders.filter((s) => s.txid !== txid),
      spender(onchain, { tx, txid, height }, stages.length > 0),
    ],
  }
}

/** An anchor is taken: by a child that paid for the commitment, or by whoever sweeps what is left. */
export function anchorSpent(channel: Channel, onchain: OnchainState, spend: OutputSpend): OnchainState {
  const { outpoint, height, tx } = spend
  const { closing, anchorsSpent = [] } = onchain
  if (outpoint.txid !== closing.txid) return onchain
  if (!anchorsIn(channel, closing).some((a) => sameOutpoint(a.outpoint, outpoint))) return onchain
  const others = anchorsSpent.filter((a) => a.index !== outpoint.index)
  return { ...onchain, anchorsSpent: [...others, { index: outpoint.index, height, txid: txidOf(tx) }] }
}

/** In a revoked commitment, the output of an HTLC whose record has not been read yet; in one that we do not know, any. */
function notKnownYet(onchain: OnchainState, spend: OutputSpend): OnchainState {
  const { revoked, closing } = onchain
  if (isBlind(onchain) && spend.outpoint.txid === closing.txid) {
    const { strange = [] } = onchain
    // Once for all outputs that it spends: there may be hundreds, and it is stored whole.
    const isKnown = strange.some((s) => s.tx.inputs.some((i) => sameOutpoint(spend.outpoint, i)))
    return isKnown ? onchain : { ...onchain, strange: [...strange, spend] }
  }
  if (!revoked || revoked.loaded || spend.outpoint.txid !== closing.txid) return onchain
  const early = revoked.early.filter((e) => !sameOutpoint(e.outpoint, spend.outpoint))
  return { ...onchain, revoked: { ...revoked, early: [...early, spend] } }
}

/** The records of settled HTLCs are read: their outputs, and what spent them meanwhile. */
export function revokedHtlcsFound(onchain: OnchainState, found: readonly ClosedOutput[]): OnchainState {
  const { revoked, closing, outputs } = onchain
  if (!revoked) return onchain
  const more = found.map((o) => ({ ...o, since: closing.height }))
  const all: OnchainState = {
    ...onchain,
    outputs: [...outputs, ...more],
    revoked: { ...revoked, loaded: true, early: [] },
  }
  return revoked.early.reduce(outputSpent, all)
}

/** Of these commitments we do not know the HTLC outputs, or not all. */
export const isBlind = ({ closing }: OnchainState): boolean =>
  closing.kind === 'future' || closing.kind === 'unknown' || closing.kind === 'local-old'

/** Outputs of HTLCs that were noted after the commitment was gone through, and what spent them meanwhile. */
export function presumedFound(onchain: OnchainState, found: readonly ClosedOutput[]): OnchainState {
  const { closing, outputs, strange = [] } = onchain
  const known = new Set(outputs.map((o) => outpointKey(o.outpoint)))
  const more = found.filter((o) => !known.has(outpointKey(o.outpoint))).map((o) => ({ ...o, since: closing.height }))
  if (more.length === 0) return onchain
  const spends = more.flatMap(({ outpoint }): readonly OutputSpend[] => {
    const by = strange.find(({ tx }) => tx.inputs.some((i) => sameOutpoint(outpoint, i)))
    return by ? [{ ...by, outpoint }] : []
  })
  return spends.reduce(outputSpent, { ...onchain, outputs: [...outputs, ...more] })
}

interface Confirmed {
  readonly tx: Transaction
  readonly txid: Txid
  readonly height: number
}

/**
 * The delayed output of an HTLC transaction: ours to sweep, or in a revoked commitment ours to punish. It has the index of the
 * input that spends the HTLC, also when an HTLC transaction was put together with others (SIGHASH_SINGLE).
 */
function secondStage(
  onchain: OnchainState,
  output: ClosedOutput,
  { tx, txid, height }: Confirmed,
): ClosedOutput | null {
  const index = tx.inputs.findIndex((i) => sameOutpoint(output.outpoint, i))
  const made = tx.outputs[index]
  const next = stageSpend(onchain, output.spend)
  if (!made || !next || !equalBytes(made.scriptPubKey, p2wsh(next.witnessScript))) return null
  return { ...made, outpoint: { txid, index }, spend: next, htlc: null, since: height, spent: null }
}

function stageSpend(onchain: OnchainState, spend: Spend): Extract<Spend, { tag: 'delayed' | 'penalty' }> | null {
  if (isHtlcStage(spend)) {
    const { delayedScript, delay, commitmentPoint } = spend
    return { tag: 'delayed', witnessScript: delayedScript, delay, commitmentPoint }
  }
  const punished = spend.tag === 'penalty' && spend.revocationKey !== null
  return punished && onchain.revoked ? delayedPenalty(onchain.revoked) : null
}

/** Who spent, as far as it can be told: HTLC transactions by their output, sweeps by where they pay. */
function spender(onchain: OnchainState, { tx, txid, height }: Confirmed, isStage: boolean): SpendingTransaction {
  const spent = onchain.outputs.filter((o) => tx.inputs.some((i) => sameOutpoint(o.outpoint, i)))
  const known = onchain.sweeps.some((s) => tx.inputs.some((i) => s.outpoints.includes(outpointKey(i))))
  const penalty = spent.some((o) => o.spend.tag === 'penalty')
  const ours = isStage ? !penalty : known && !takenByPeer(tx, spent)
  const kind = !ours ? 'theirs' : isStage ? 'htlc' : penalty ? 'penalty' : 'sweep'
  return { txid, kind, height, feeSat: feeFrom(tx, onchain.outputs) }
}

/**
 * An HTLC output that we claim by its expiry and the peer by the preimage, or the other way round; or what it takes, after its delay, of a
 * revoked commitment: its witness has an empty item where ours has a 1.
 * @source BOLT 3 §to_local-output
 */
function takenByPeer(tx: Transaction, spent: readonly ClosedOutput[]): boolean {
  return spent.some((o) => {
    const { spend } = o
    if (spend.tag === 'penalty') {
      const input = tx.inputs.find((i) => sameOutpoint(o.outpoint, i))
      return spend.revocationKey === null && input?.witness[1]?.length === 0
    }
    if (!o.htlc) return false
    const byPreimage = preimageIn(tx, o.outpoint, o.htlc.paymentHash) !== null
    return byPreimage === (o.htlc.direction === 'out')
  })
}

/**
 * The preimage that a spend of an HTLC output reveals; null when it has none.
 * @source BOLT 5 §htlc-output-handling-local-commitment-local-offers
 */
export function preimageIn(tx: Transaction, outpoint: Outpoint, hash: PaymentHash): Uint8Array | null {
  const input = tx.inputs.find((i) => sameOutpoint(outpoint, i))
  return input?.witness.find((item) => item.length === 32 && toHex(crypto.sha256(item)) === hash) ?? null
}

/** Everything of 32 B that spends of a commitment which we do not know have shown: preimages, perhaps, of HTLCs that we have forgotten. */
export const shownBy = ({ closing, strange = [] }: OnchainState): readonly Uint8Array[] =>
  strange.flatMap(({ tx }) => [...hashedIn(tx, closing.txid).values()])

/** Everything of 32 B that a transaction shows where it spends the outputs of another, by its hash: some may be preimages. */
export function hashedIn(tx: Transaction, of: Txid): ReadonlyMap<PaymentHash, Uint8Array> {
  const items = tx.inputs.filter((i) => i.txid === of).flatMap((i) => i.witness.filter((item) => item.length === 32))
  return new Map(items.map((item) => [toHex(crypto.sha256(item)) as PaymentHash, item]))
}

/**
 * Sweeps of ours in blocks that are undone: they wait in the mempools again, and whatever replaces them has to pay more than they do.
 * The lowest feerate that comes to their fee makes the same transactions.
 */
function sweepsAgain(onchain: OnchainState, height: number): readonly Sweep[] {
  const again: Sweep[] = []
  for (const spender of onchain.spenders) {
    const { txid, kind, feeSat } = spender
    if (spender.height <= height || feeSat === null || (kind !== 'sweep' && kind !== 'penalty')) continue
    const inputs = onchain.outputs.flatMap(({ outpoint, spend, spent }) =>
      spent?.txid === txid && !isHtlcStage(spend) ? [{ outpoint, spend }] : [],
    )
    const feeratePerKw = Math.ceil((Number(feeSat) * 1000) / sweepWeight(inputs, P2WPKH))
    again.push({ outpoints: inputs.map((i) => outpointKey(i.outpoint)), feeratePerKw, at: height })
  }
  return again
}
/** As long as what the wallet sweeps to. */
const P2WPKH = new Uint8Array(22)

/** Blocks above the height are undone: what they confirmed is open again. A preimage once seen stays known. */
export function undone(onchain: OnchainState, height: number): OnchainState {
  const above = (h: number | null): boolean => h !== null && h > height
  const { closing, anchorsSpent, strange } = onchain
  const ofAnchors = [...(anchorsSpent ?? []), ...(strange ?? [])].map((a) => a.height)
  const heights = [closing.height, ...onchain.outputs.flatMap((o) => [o.since, o.spent?.height ?? null]), ...ofAnchors]
  if (!heights.some(above) && !onchain.revoked?.early.some((e) => above(e.height))) return onchain
  const outputs: ClosedOutput[] = []
  for (const o of onchain.outputs) {
    const isStage = o.outpoint.txid !== closing.txid
    if (isStage && above(o.since)) continue
    const since = above(o.since) ? null : o.since
    const spent = o.spent && above(o.spent.height) ? null : o.spent
    outputs.push(since === o.since && spent === o.spent ? o : { ...o, since, spent })
  }
  return {
    ...onchain,
    closing: above(closing.height) ? { ...closing, height: null } : closing,
    outputs,
    sweeps: [...onchain.sweeps, ...sweepsAgain(onchain, height)],
    spenders: onchain.spenders.filter((s) => !above(s.height)),
    ...(anchorsSpent && { anchorsSpent: anchorsSpent.filter((a) => !above(a.height)) }),
    ...(strange && { strange: strange.filter((s) => !above(s.height)) }),
    revoked: onchain.revoked && { ...onchain.revoked, early: onchain.revoked.early.filter((e) => !above(e.height)) },
  }
}
