import { compareBytes } from '../../base/bytes.ts'
import type { Outpoint, PaymentHash, Txid } from '../../base/ids.ts'
import { type Msat, msatToSatFloor, type Sat } from '../../base/units.ts'
import { p2wsh } from '../../bitcoin/script.ts'
import { type Transaction, type TxOutput, txidOf, unsignedInput } from '../../bitcoin/transaction.ts'
import type { ChannelTypeName } from '../types.ts'
import { fundingSighash } from './funding.ts'
import { type CommitmentKeys, xor48 } from './keys.ts'
import { anchorScript, delayedScript, fundingScript, htlcScripts, toRemoteScriptPubKey } from './scripts.ts'
import { ANCHOR_SAT, commitCost, isTrimmed, type TrimParams, trimThresholds } from './weights.ts'

/** What a commitment needs to know of an HTLC. */
export interface CommitmentHtlc {
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  /** Block height. */
  readonly cltvExpiry: number
}

/**
 * Everything that one commitment transaction is made of, seen from its holder: for our own commitment the holder is us, for
 * the one that we sign it is the peer. Amounts are what is left beside the HTLCs, before the opener's fee and anchors.
 */
export interface CommitmentParams<H extends CommitmentHtlc> extends TrimParams {
  readonly channelType: ChannelTypeName
  readonly funding: Outpoint
  readonly capacitySat: Sat
  readonly commitmentNumber: number
  readonly obscuringFactor: number
  readonly keys: CommitmentKeys
  /** Blocks that the holder waits for its own money: what the counterparty's open or accept message asked for. */
  readonly toSelfDelay: number
  /** The holder's. */
  readonly dustLimitSat: Sat
  readonly feeratePerKw: number
  /** Whether the holder pays the fee. */
  readonly holderIsOpener: boolean
  readonly toHolderMsat: Msat
  readonly toCounterpartyMsat: Msat
  /** HTLCs that the holder offered. */
  readonly offered: readonly H[]
  /** HTLCs that the holder received. */
  readonly received: readonly H[]
}

/** An HTLC that has an output. */
export interface HtlcOutput<H extends CommitmentHtlc> {
  readonly htlc: H
  /** By the commitment's holder. */
  readonly offered: boolean
  /** Output index. */
  readonly index: number
  readonly amountSat: Sat
  readonly witnessScript: Uint8Array
}

export interface BuiltCommitment<H extends CommitmentHtlc> {
  readonly params: CommitmentParams<H>
  /** Without its witness. */
  readonly tx: Transaction
  readonly txid: Txid
  /** What both funding keys sign, 32 B. */
  readonly sighash: Uint8Array
  /** HTLCs with an output, in output order: the order of htlc_signature in commitment_signed. */
  readonly htlcs: readonly HtlcOutput<H>[]
  readonly trimmed: readonly H[]
  /** What it pays to the miner: the commitment fee and everything trimmed or rounded away. */
  readonly feeSat: Sat
  /** Witness script of to_local and of every HTLC transaction's output; null when the commitment has none of them. */
  readonly delayedScript: Uint8Array | null
  /** Output indexes; null for an output that is not there. */
  readonly toHolder: number | null
  readonly toCounterparty: number | null
  readonly holderAnchor: number | null
  readonly counterpartyAnchor: number | null
}

/** An output on its way to its place in the order. */
interface Draft<H extends CommitmentHtlc> extends TxOutput {
  readonly role: 'toHolder' | 'toCounterparty' | 'holderAnchor' | 'counterpartyAnchor' | 'htlc'
  readonly htlc?: { readonly htlc: H; readonly offered: boolean; readonly witnessScript: Uint8Array }
}

/**
 * Builds one side's commitment transaction, both for the side that signs it and for the side that holds it.
 * @throws CryptoError when a key is not on the curve
 * @source BOLT 3 §commitment-transaction-construction
 */
export function buildCommitment<H extends CommitmentHtlc>(p: CommitmentParams<H>): BuiltCommitment<H> {
  const { htlcs: htlcDrafts, trimmed } = htlcOutputs(p)
  const own = balances(p, htlcDrafts.length)
  const delayed =
    own.toHolderSat !== null || htlcDrafts.length > 0
      ? delayedScript(p.keys.revocation, p.toSelfDelay, p.keys.holderDelayed)
      : null
  const drafts = htlcDrafts
  addMainOutputs(p, own, delayed, drafts)
  drafts.sort(compareOutputs)

  const outputs: TxOutput[] = []
  const htlcs: HtlcOutput<H>[] = []
  const at: Record<Draft<H>['role'], number | null> = {
    toHolder: null,
    toCounterparty: null,
    holderAnchor: null,
    counterpartyAnchor: null,
    htlc: null,
  }
  let paid = 0n
  drafts.forEach((d, index) => {
    outputs.push({ amountSat: d.amountSat, scriptPubKey: d.scriptPubKey })
    paid += d.amountSat
    if (d.htlc) htlcs.push({ ...d.htlc, index, amountSat: d.amountSat })
    else at[d.role] = index
  })
  const tx = commitmentTx(p, outputs)
  return {
    params: p,
    tx,
    txid: txidOf(tx),
    sighash: fundingSighash(tx, fundingScript(p.keys.holderFunding, p.keys.counterpartyFunding), p.capacitySat),
    htlcs,
    trimmed,
    feeSat: (p.capacitySat - paid) as Sat,
    delayedScript: delayed,
    toHolder: at.toHolder,
    toCounterparty: at.toCounterparty,
    holderAnchor: at.holderAnchor,
    counterpartyAnchor: at.counterpartyAnchor,
  }
}

/** @source BOLT 3 §trimmed-outputs */
function htlcOutputs<H extends CommitmentHtlc>(p: CommitmentParams<H>): { htlcs: Draft<H>[]; trimmed: H[] } {
  const thresholds = trimThresholds(p)
  const htlcs: Draft<H>[] = []
  const trimmed: H[] = []
  let scripts: ReturnType<typeof htlcScripts> | undefined
  const add = (htlc: H, offered: boolean): void => {
    if (isTrimmed(htlc.amountMsat, offered, thresholds)) {
      trimmed.push(htlc)
      return
    }
    scripts ??= htlcScripts(p.keys, p.channelType)
    const witnessScript = offered
      ? scripts.offered(htlc.paymentHash)
      : scripts.received(htlc.paymentHash, htlc.cltvExpiry)
    htlcs.push({
      role: 'htlc',
      amountSat: msatToSatFloor(htlc.amountMsat),
      scriptPubKey: p2wsh(witnessScript),
      htlc: { htlc, offered, witnessScript },
    })
  }
  for (const htlc of p.offered) add(htlc, true)
  for (const htlc of p.received) add(htlc, false)
  return { htlcs, trimmed }
}

/** What to_local and to_remote hold once the opener has paid (never less than nothing); null when it is below the dust limit. */
function balances<H extends CommitmentHtlc>(
  p: CommitmentParams<H>,
  untrimmed: number,
): { toHolderSat: Sat | null; toCounterpartySat: Sat | null } {
  const cost = commitCost(p.feeratePerKw, untrimmed, p.channelType)
  const left = (amountMsat: Msat, pays: boolean): Sat | null => {
    const amountSat = msatToSatFloor(amountMsat) - (pays ? cost : 0n)
    return amountSat < 0n || amountSat < p.dustLimitSat ? null : (amountSat as Sat)
  }
  return {
    toHolderSat: left(p.toHolderMsat, p.holderIsOpener),
    toCounterpartySat: left(p.toCounterpartyMsat, !p.holderIsOpener),
  }
}

function addMainOutputs<H extends CommitmentHtlc>(
  p: CommitmentParams<H>,
  own: { toHolderSat: Sat | null; toCounterpartySat: Sat | null },
  delayed: Uint8Array | null,
  drafts: Draft<H>[],
): void {
  const anchors = p.channelType === 'anchors'
  const anyHtlc = drafts.length > 0
  const anchor = (role: 'holderAnchor' | 'counterpartyAnchor', key: Uint8Array): void => {
    drafts.push({ role, amountSat: ANCHOR_SAT, scriptPubKey: p2wsh(anchorScript(key)) })
  }
  if (own.toHolderSat !== null && delayed) {
    drafts.push({ role: 'toHolder', amountSat: own.toHolderSat, scriptPubKey: p2wsh(delayed) })
  }
  if (own.toCounterpartySat !== null) {
    const scriptPubKey = toRemoteScriptPubKey(p.keys.counterpartyPayment, p.channelType)
    drafts.push({ role: 'toCounterparty', amountSat: own.toCounterpartySat, scriptPubKey })
  }
  if (anchors && (own.toHolderSat !== null || anyHtlc)) anchor('holderAnchor', p.keys.holderFunding)
  if (anchors && (own.toCounterpartySat !== null || anyHtlc)) anchor('counterpartyAnchor', p.keys.counterpartyFunding)
}

/** BIP 69 with the expiry behind it. @source BOLT 3 §transaction-output-ordering */
function compareOutputs<H extends CommitmentHtlc>(a: Draft<H>, b: Draft<H>): number {
  if (a.amountSat !== b.amountSat) return a.amountSat < b.amountSat ? -1 : 1
  return compareBytes(a.scriptPubKey, b.scriptPubKey) || (a.htlc?.htlc.cltvExpiry ?? 0) - (b.htlc?.htlc.cltvExpiry ?? 0)
}

/** The commitment number hides in sequence (0x80, high 24 bits) and lock time (0x20, low 24 bits). */
function commitmentTx<H extends CommitmentHtlc>(p: CommitmentParams<H>, outputs: readonly TxOutput[]): Transaction {
  const obscured = xor48(p.commitmentNumber, p.obscuringFactor)
  return {
    version: 2,
    inputs: [unsignedInput(p.funding, 0x80000000 + Math.floor(obscured / 0x1000000))],
    outputs,
    lockTime: 0x20000000 + (obscured % 0x1000000),
  }
}

/**
 * The commitment number of a transaction that spends the funding output; null when it does not have a commitment's form.
 * @source BOLT 3 §commitment-transaction
 */
export function commitmentNumberOf(tx: Transaction, factor: number): number | null {
  const sequence = tx.inputs[0]?.sequence ?? 0
  if (!isCommitment(tx)) return null
  return xor48((sequence & 0xffffff) * 0x1000000 + (tx.lockTime & 0xffffff), factor)
}

/** Whether a transaction that spends the funding output has a commitment's form. @source BOLT 3 §commitment-transaction */
export const isCommitment = ({ inputs, lockTime }: Transaction): boolean =>
  inputs.length === 1 && inputs[0]!.sequence >>> 24 === 0x80 && lockTime >>> 24 === 0x20
