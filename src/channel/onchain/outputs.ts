import { equalBytes, toHex } from '../../base/bytes.ts'
import type { Outpoint, PaymentHash, Txid } from '../../base/ids.ts'
import { type Msat, msatToSatFloor, type Sat } from '../../base/units.ts'
import { p2wsh } from '../../bitcoin/script.ts'
import type { Transaction, TxOutput } from '../../bitcoin/transaction.ts'
import { crypto } from '../../crypto/crypto.ts'
import { pointsOfPeer } from '../backedUpHtlcs.ts'
import { type HtlcCommitment, keysFor } from '../commitments.ts'
import type { Htlc, HtlcAdd, RevokedHtlc } from '../htlc.ts'
import { eachHtlc, getHtlc } from '../htlcTable.ts'
import type { Channel, Commitment } from '../state.ts'
import type { HtlcOutput } from '../tx/commitment.ts'
import { buildHtlcTx, htlcTx } from '../tx/htlc.ts'
import type { CommitmentKeys } from '../tx/keys.ts'
import { anchorScript, delayedScript, htlcScripts, toRemoteAnchorsScript, toRemoteScriptPubKey } from '../tx/scripts.ts'
import { ANCHOR_SAT } from '../tx/weights.ts'
import type { ChannelSigner, ChannelTypeName } from '../types.ts'
import { type HtlcStage, isSignedFor, type Spend } from './claims.ts'
import type { ClosedOutput, RevokedCommitment } from './types.ts'

interface Identified {
  readonly tx: Transaction
  readonly txid: Txid
}

interface AnchorOutput extends TxOutput {
  readonly outpoint: Outpoint
}

/** An output as it stands in a transaction; heights come later. */
function outputAt(
  { tx, txid }: Identified,
  index: number,
  spend: Spend,
  htlc: ClosedOutput['htlc'] = null,
): ClosedOutput {
  const { amountSat, scriptPubKey } = tx.outputs[index]!
  return { outpoint: { txid, index }, amountSat, scriptPubKey, spend, htlc, since: null, spent: null }
}

/**
 * Everything of ours in our own commitment: to_local after the delay, HTLCs by their second stage.
 * @source BOLT 5 §unilateral-close-handling-local-commitment-transaction
 */
export function localOutputs(built: HtlcCommitment, commitment: Commitment): readonly ClosedOutput[] {
  const { params } = built
  const outputs: ClosedOutput[] = []
  const commitmentPoint = params.keys.commitmentPoint
  if (built.toHolder !== null && built.delayedScript) {
    const spend: Spend = {
      tag: 'delayed',
      witnessScript: built.delayedScript,
      delay: params.toSelfDelay,
      commitmentPoint,
    }
    outputs.push(outputAt(built, built.toHolder, spend))
  }
  built.htlcs.forEach((o, i) => {
    const spend: Spend = {
      tag: o.offered ? 'htlc-timeout' : 'htlc-success',
      tx: buildHtlcTx(built, o),
      witnessScript: o.witnessScript,
      amountSat: o.amountSat,
      counterpartySignature: commitment.htlcSignatures[i]!,
      channelType: params.channelType,
      commitmentPoint,
      cltvExpiry: o.htlc.cltvExpiry,
      delayedScript: built.delayedScript!,
      delay: params.toSelfDelay,
    }
    outputs.push(outputAt(built, o.index, spend, htlcOf(o, o.offered)))
  })
  return outputs
}

const htlcOf = (o: HtlcOutput<HtlcAdd>, byUs: boolean): ClosedOutput['htlc'] => ({
  direction: byUs ? 'out' : 'in',
  id: o.htlc.id,
  paymentHash: o.htlc.paymentHash,
})

/**
 * Everything of ours in a commitment of the peer: to_remote, and HTLCs directly.
 * @source BOLT 5 §unilateral-close-handling-remote-commitment-transaction
 */
export function remoteOutputs(built: HtlcCommitment): readonly ClosedOutput[] {
  const { params } = built
  const outputs: ClosedOutput[] = []
  if (built.toCounterparty !== null) {
    outputs.push(
      outputAt(built, built.toCounterparty, toRemoteSpend(params.keys.counterpartyPayment, params.channelType)),
    )
  }
  for (const o of built.htlcs) {
    const spend: Spend = {
      tag: o.offered ? 'claim-preimage' : 'claim-timeout',
      witnessScript: o.witnessScript,
      commitmentPoint: params.keys.commitmentPoint,
      channelType: params.channelType,
      cltvExpiry: o.htlc.cltvExpiry,
    }
    outputs.push(outputAt(built, o.index, spend, htlcOf(o, !o.offered)))
  }
  return outputs
}

const toRemoteSpend = (payment: Uint8Array, type: Channel['params']['channelType']): Spend => ({
  tag: 'to-remote',
  witnessScript: type === 'anchors' ? toRemoteAnchorsScript(payment) : null,
})

const indexOfScript = (tx: Transaction, script: Uint8Array): number =>
  tx.outputs.findIndex((o) => equalBytes(o.scriptPubKey, script))

/** Our to_remote in any commitment of the peer, found by its script alone: the payment key never changes. */
export function toRemoteOutputs(channel: Channel, spender: Identified): readonly ClosedOutput[] {
  const { channelType, local } = channel.params
  const payment = local.basepoints.paymentBasepoint
  const index = indexOfScript(spender.tx, toRemoteScriptPubKey(payment, channelType))
  return index < 0 ? [] : [outputAt(spender, index, toRemoteSpend(payment, channelType))]
}

/**
 * Our to_local in an older commitment of ours, unless the peer takes it first; of a restored channel it may be the newest, and then
 * HTLCs go by the HTLC transactions that the backup has the peer's signatures of.
 */
export function oldLocalOutputs(
  channel: Channel,
  spend: Identified & { readonly commitmentNumber: number },
  signer: ChannelSigner,
): readonly ClosedOutput[] {
  const commitmentPoint = signer.commitmentPoint(spend.commitmentNumber)
  const keys = keysFor(channel.params, 'local', commitmentPoint)
  const delay = channel.params.remote.toSelfDelay
  const witnessScript = delayedScript(keys.revocation, delay, keys.holderDelayed)
  const index = indexOfScript(spend.tx, p2wsh(witnessScript))
  const found = index < 0 ? [] : [outputAt(spend, index, { tag: 'delayed', witnessScript, delay, commitmentPoint })]
  return [...found, ...ownStageOutputs(channel, { ...spend, found, keys, delayedScript: witnessScript }, signer)]
}

interface OwnStageSearch extends Identified {
  readonly found: readonly ClosedOutput[]
  readonly keys: CommitmentKeys
  readonly delayedScript: Uint8Array
}

/** A signature is of one commitment alone: one that does not fit is of another, and would only have its claims refused. */
function ownStageOutputs(channel: Channel, search: OwnStageSearch, signer: ChannelSigner): readonly ClosedOutput[] {
  const { params, commitments, ownStages = [] } = channel
  const { txid, keys, delayedScript: script } = search
  const scripts = htlcScripts(keys, params.channelType)
  const taken = new Set(search.found.map((o) => o.outpoint.index))
  const result: ClosedOutput[] = []
  for (const { direction, id, signature, outputSat } of ownStages) {
    const add = getHtlc(direction === 'out' ? commitments.outgoing : commitments.incoming, id)?.add
    if (!add) continue
    const { paymentHash, cltvExpiry } = add
    const witnessScript = direction === 'out' ? scripts.offered(paymentHash) : scripts.received(paymentHash, cltvExpiry)
    const amountSat = msatToSatFloor(add.amountMsat)
    const scriptPubKey = p2wsh(witnessScript)
    search.tx.outputs.forEach((o, index) => {
      if (taken.has(index) || o.amountSat !== amountSat || !equalBytes(o.scriptPubKey, scriptPubKey)) return
      const stage: HtlcStage = {
        tag: direction === 'out' ? 'htlc-timeout' : 'htlc-success',
        tx: htlcTx(
          { txid, index },
          {
            channelType: params.channelType,
            outputSat,
            delayedScript: script,
            lockTime: direction === 'out' ? cltvExpiry : 0,
          },
        ),
        witnessScript,
        amountSat,
        counterpartySignature: signature,
        channelType: params.channelType,
        commitmentPoint: keys.commitmentPoint,
        cltvExpiry,
        delayedScript: script,
        delay: params.remote.toSelfDelay,
      }
      if (!isSignedFor(stage, keys.counterpartyHtlc, signer)) return
      taken.add(index)
      result.push(outputAt(search, index, stage, { direction, id, paymentHash }))
    })
  }
  return result
}

/** What is needed to punish a revoked commitment. */
export function revokedCommitment(
  channel: Channel,
  found: { readonly commitmentNumber: number; readonly commitmentSecret: Uint8Array },
): RevokedCommitment {
  const keys = keysFor(channel.params, 'remote', crypto.publicKey(found.commitmentSecret))
  return {
    ...found,
    delayedScript: delayedScript(keys.revocation, channel.params.local.toSelfDelay, keys.holderDelayed),
    loaded: false,
    early: [],
  }
}

/** The penalty on a delayed output: to_local, or what an HTLC transaction of the peer pays. */
export const delayedPenalty = (r: RevokedCommitment): Extract<Spend, { readonly tag: 'penalty' }> => ({
  tag: 'penalty',
  witnessScript: r.delayedScript,
  commitmentSecret: r.commitmentSecret,
  revocationKey: null,
})

/** In a revoked commitment: the peer's to_local, our to_remote, and the HTLCs that are still in the channel. */
export function revokedOutputs(channel: Channel, spender: Identified, r: RevokedCommitment): readonly ClosedOutput[] {
  const toLocal = indexOfScript(spender.tx, p2wsh(r.delayedScript))
  const main = [
    ...(toLocal < 0 ? [] : [outputAt(spender, toLocal, delayedPenalty(r))]),
    ...toRemoteOutputs(channel, spender),
  ]
  const { outgoing, incoming } = channel.commitments
  const stood = (h: Htlc): boolean =>
    h.remoteFrom > 0 && h.remoteFrom <= r.commitmentNumber && (h.remoteTo === 0 || r.commitmentNumber < h.remoteTo)
  const live = [
    ...[...eachHtlc(outgoing)].filter(stood).map((h): PastHtlc => ({ ...h.add, direction: 'out' })),
    ...[...eachHtlc(incoming)].filter(stood).map((h): PastHtlc => ({ ...h.add, direction: 'in' })),
  ]
  return [...main, ...revokedHtlcOutputs(channel, { ...spender, revoked: r, found: main }, live)]
}

interface PastHtlc {
  readonly direction: 'in' | 'out'
  /** Absent for one that is settled. */
  readonly id?: bigint
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
}

interface RevokedSearch extends Identified {
  readonly revoked: RevokedCommitment
  /** Outputs that are accounted for already, also those of HTLC transactions. */
  readonly found: readonly ClosedOutput[]
}

/** Finds the outputs of HTLCs in a revoked commitment. */
export function revokedHtlcOutputs(
  channel: Channel,
  { revoked, ...search }: RevokedSearch,
  htlcs: readonly (PastHtlc | RevokedHtlc)[],
): readonly ClosedOutput[] {
  const { commitmentSecret } = revoked
  const keys = keysFor(channel.params, 'remote', crypto.publicKey(commitmentSecret))
  const spendOf = (_: unknown, witnessScript: Uint8Array): Spend => ({
    tag: 'penalty',
    witnessScript,
    commitmentSecret,
    revocationKey: keys.revocation,
  })
  return htlcOutputs({ ...search, keys, channelType: channel.params.channelType, spendOf }, htlcs)
}

/**
 * What is ours in a commitment of the peer that our records do not reach: to_remote, and the HTLCs of the records where a point that
 * may be its own shows itself in their scripts.
 */
export function futureOutputs(channel: Channel, spender: Identified): readonly ClosedOutput[] {
  const { params, commitments } = channel
  const found = toRemoteOutputs(channel, spender)
  const htlcs = [
    ...[...eachHtlc(commitments.outgoing)].map((h): PastHtlc => ({ ...h.add, direction: 'out' })),
    ...[...eachHtlc(commitments.incoming)].map((h): PastHtlc => ({ ...h.add, direction: 'in' })),
  ]
  if (htlcs.length === 0) return found
  for (const commitmentPoint of pointsOfPeer(channel)) {
    const keys = keysFor(params, 'remote', commitmentPoint)
    const { channelType } = params
    const spendOf = (h: PastHtlc | RevokedHtlc, witnessScript: Uint8Array): Spend => {
      const tag = h.direction === 'out' ? 'claim-timeout' : 'claim-preimage'
      return { tag, witnessScript, commitmentPoint, channelType, cltvExpiry: h.cltvExpiry }
    }
    const ours = htlcOutputs({ ...spender, found, keys, channelType, spendOf, lacksParts: true }, htlcs)
    if (ours.length > 0) return [...found, ...ours]
  }
  return found
}

interface HtlcSearch extends Identified {
  readonly found: readonly ClosedOutput[]
  /** Of the commitment, the peer's. */
  readonly keys: CommitmentKeys
  readonly channelType: ChannelTypeName
  readonly spendOf: (htlc: PastHtlc | RevokedHtlc, witnessScript: Uint8Array) => Spend
  /** Of several parts of the peer's with one hash some may be lost alone. */
  readonly lacksParts?: true
}

/** Finds the outputs of HTLCs in a commitment of the peer by their scripts and amounts. HTLCs that were trimmed there match nothing. */
function htlcOutputs(
  { tx, txid, found, keys, channelType, spendOf, lacksParts }: HtlcSearch,
  htlcs: readonly (PastHtlc | RevokedHtlc)[],
): readonly ClosedOutput[] {
  const scripts = htlcScripts(keys, channelType)
  const taken = new Set(found.filter((o) => o.outpoint.txid === txid).map((o) => o.outpoint.index))
  const result: ClosedOutput[] = []
  // There may be a million records.
  const byScript = new Map<string, number[]>()
  tx.outputs.forEach(({ scriptPubKey }, i) => {
    const script = toHex(scriptPubKey)
    byScript.set(script, [...(byScript.get(script) ?? []), i])
  })
  const wanted: Wanted[] = []
  for (const htlc of htlcs) {
    const { direction, paymentHash, cltvExpiry } = htlc
    const witnessScript = direction === 'in' ? scripts.offered(paymentHash) : scripts.received(paymentHash, cltvExpiry)
    const places = byScript.get(toHex(p2wsh(witnessScript)))
    if (places) wanted.push({ htlc, witnessScript, places })
  }
  const take = ({ htlc, witnessScript, places }: Wanted, amountSat: Sat | null): void => {
    const fits = (i: number): boolean => !taken.has(i) && (amountSat === null || tx.outputs[i]!.amountSat === amountSat)
    const id = 'id' in htlc ? (htlc.id ?? null) : null
    const about = { direction: htlc.direction, id, paymentHash: htlc.paymentHash }
    for (const index of places.filter(fits).slice(0, amountSat === null ? places.length : 1)) {
      taken.add(index)
      result.push(outputAt({ tx, txid }, index, spendOf(htlc, witnessScript), about))
    }
  }
  // Of one that is only presumed the amount is not known: there may be several parts of it.
  for (const w of wanted) take(w, w.htlc.amountMsat === 0n ? null : msatToSatFloor(w.htlc.amountMsat))
  if (lacksParts) for (const w of wanted) if (w.htlc.direction === 'in') take(w, null)
  return result
}

interface Wanted {
  readonly htlc: PastHtlc | RevokedHtlc
  readonly witnessScript: Uint8Array
  /** Indexes of outputs with its script. */
  readonly places: readonly number[]
}

/** A commitment's anchor outputs, of both sides. Of a cooperative close, a peer may have its own money paid to such a script. */
export function anchorsIn(channel: Channel, { tx, txid }: Identified): readonly AnchorOutput[] {
  const { channelType, local, remote } = channel.params
  if (channelType !== 'anchors') return []
  const scripts = [local, remote].map((side) => p2wsh(anchorScript(side.basepoints.fundingPubkey)))
  const isAnchor = (o: TxOutput): boolean =>
    o.amountSat === ANCHOR_SAT && scripts.some((s) => equalBytes(s, o.scriptPubKey))
  return tx.outputs.flatMap((o, index) => (isAnchor(o) ? [{ ...o, outpoint: { txid, index } }] : []))
}

/** The value of a commitment's anchor outputs. */
export const anchorsSat = (channel: Channel, closing: Identified): Sat =>
  anchorsIn(channel, closing).reduce((sum, o) => sum + o.amountSat, 0n) as Sat
