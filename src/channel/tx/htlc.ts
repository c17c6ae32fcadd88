import { EMPTY } from '../../base/bytes.ts'
import { type Outpoint, txidToBytes } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { p2wsh } from '../../bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, SIGHASH_ANYONECANPAY, SIGHASH_SINGLE } from '../../bitcoin/sighash.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { unsignedInput } from '../../bitcoin/transaction.ts'
import { crypto } from '../../crypto/crypto.ts'
import type { ChannelTypeName } from '../types.ts'
import type { BuiltCommitment, CommitmentHtlc, HtlcOutput } from './commitment.ts'
import { htlcSuccessFee, htlcTimeoutFee } from './weights.ts'

/**
 * What the counterparty's signature on an HTLC transaction commits to: with anchors only to its own input and output, so that
 * the holder can add fees. The holder's own signature is always SIGHASH_ALL.
 * @source BOLT 5 §generation-of-htlc-transactions
 */
export const COUNTERPARTY_HTLC_SIGHASH: Readonly<Record<ChannelTypeName, number>> = {
  static_remotekey: SIGHASH_ALL,
  anchors: SIGHASH_SINGLE | SIGHASH_ANYONECANPAY,
}

const htlcSequence = (type: ChannelTypeName): number => (type === 'anchors' ? 1 : 0)

/** Value of the HTLC transaction's output. */
const outputAmount = <H extends CommitmentHtlc>(c: BuiltCommitment<H>, output: HtlcOutput<H>): Sat => {
  const fee = output.offered ? htlcTimeoutFee : htlcSuccessFee
  return (output.amountSat - fee(c.params.feeratePerKw, c.params.channelType)) as Sat
}

const lockTimeOf = <H extends CommitmentHtlc>(output: HtlcOutput<H>): number =>
  output.offered ? output.htlc.cltvExpiry : 0

function needDelayedScript<H extends CommitmentHtlc>(c: BuiltCommitment<H>): Uint8Array {
  if (!c.delayedScript) throw new RangeError('the commitment has no HTLC output')
  return c.delayedScript
}

/**
 * The holder's second stage for one HTLC output, unsigned: HTLC-timeout for what it offered, HTLC-success for what it received.
 * @source BOLT 3 §htlc-timeout-and-htlc-success-transactions
 */
export const buildHtlcTx = <H extends CommitmentHtlc>(c: BuiltCommitment<H>, output: HtlcOutput<H>): Transaction =>
  htlcTx(
    { txid: c.txid, index: output.index },
    {
      channelType: c.params.channelType,
      outputSat: outputAmount(c, output),
      delayedScript: needDelayedScript(c),
      lockTime: lockTimeOf(output),
    },
  )

/** The same from its parts. */
export const htlcTx = (
  spent: Outpoint,
  made: {
    readonly channelType: ChannelTypeName
    readonly outputSat: Sat
    readonly delayedScript: Uint8Array
    readonly lockTime: number
  },
): Transaction => ({
  version: 2,
  inputs: [unsignedInput(spent, htlcSequence(made.channelType))],
  outputs: [{ amountSat: made.outputSat, scriptPubKey: p2wsh(made.delayedScript) }],
  lockTime: made.lockTime,
})

/**
 * For every HTLC output, in output order, what the counterparty signs on its HTLC transaction (32 B each): the digests of
 * commitment_signed's htlc_signature. Written straight into one buffer, since a commitment has up to 966 of them.
 * @source BIP 143, BOLT 3 §htlc-timeout-and-htlc-success-transactions
 */
export function htlcSighashes<H extends CommitmentHtlc>(c: BuiltCommitment<H>): readonly Uint8Array[] {
  if (c.htlcs.length === 0) return []
  const type = c.params.channelType
  const sighashType = COUNTERPARTY_HTLC_SIGHASH[type]
  const single = sighashType !== SIGHASH_ALL

  const buffer = new Uint8Array(512)
  const view = new DataView(buffer.buffer)
  view.setUint32(0, 2, true)
  const sequence = new Uint8Array(4)
  sequence[0] = htlcSequence(type)
  if (!single) buffer.set(crypto.sha256d(sequence), 36)
  buffer.set(txidToBytes(c.txid), 68)

  const outputBytes = new Uint8Array(8 + 1 + 34)
  const outputView = new DataView(outputBytes.buffer)
  outputBytes[8] = 34
  outputBytes.set(p2wsh(needDelayedScript(c)), 9)

  return c.htlcs.map((output) => {
    view.setUint32(100, output.index, true)
    if (!single) buffer.set(crypto.sha256d(buffer.subarray(68, 104)), 4)
    const script = output.witnessScript
    buffer[104] = script.length
    buffer.set(script, 105)
    let at = 105 + script.length
    view.setBigUint64(at, output.amountSat, true)
    buffer.set(sequence, at + 8)
    outputView.setBigUint64(0, outputAmount(c, output), true)
    buffer.set(crypto.sha256d(outputBytes), at + 12)
    at += 44
    view.setUint32(at, lockTimeOf(output), true)
    view.setUint32(at + 4, sighashType, true)
    return crypto.sha256d(buffer.subarray(0, at + 8))
  })
}

/** What the witness of an HTLC transaction's input is made of; signatures are 64-byte compact. */
export interface HtlcWitnessParts {
  readonly channelType: ChannelTypeName
  readonly witnessScript: Uint8Array
  readonly counterpartySignature: Uint8Array
  readonly holderSignature: Uint8Array
  /** 32 B for HTLC-success, null for HTLC-timeout. */
  readonly preimage: Uint8Array | null
}

/** `0 <remotehtlcsig> <localhtlcsig> <preimage or nothing> script` */
export const htlcWitness = (w: HtlcWitnessParts): readonly Uint8Array[] => [
  EMPTY,
  derSignature(w.counterpartySignature, COUNTERPARTY_HTLC_SIGHASH[w.channelType]),
  derSignature(w.holderSignature, SIGHASH_ALL),
  w.preimage ?? EMPTY,
  w.witnessScript,
]
