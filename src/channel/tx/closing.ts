import { compareBytes } from '../../base/bytes.ts'
import type { Outpoint, Txid } from '../../base/ids.ts'
import { type Msat, msatToSatFloor, type Sat } from '../../base/units.ts'
import { OP } from '../../bitcoin/opcodes.ts'
import { SEQUENCE_FINAL, type Transaction, type TxOutput, txidOf, unsignedInput } from '../../bitcoin/transaction.ts'
import { fundingSighash } from './funding.ts'
import { feeOf } from './weights.ts'

/** One side of a channel that closes: its balance and the script of its `shutdown`. */
export interface ClosingSide {
  readonly amountMsat: Msat
  readonly scriptPubKey: Uint8Array
}

interface ClosingBase {
  readonly funding: Outpoint
  readonly capacitySat: Sat
  /** Of both funding keys (scripts.ts). */
  readonly fundingScript: Uint8Array
  readonly feeSat: Sat
}

export interface BuiltClosing {
  /** Without its witness. */
  readonly tx: Transaction
  readonly txid: Txid
  /** What both funding keys sign, 32 B. */
  readonly sighash: Uint8Array
}

export interface ClosingParams extends ClosingBase {
  readonly local: ClosingSide
  readonly remote: ClosingSide
  readonly localIsOpener: boolean
  /** Outputs below it are left out: our own limit when we sign; a peer's signature may be for its own limit. */
  readonly dustLimitSat: Sat
}

/** Sequence that lets the fee be raised (BIP 125). */
const SEQUENCE_RBF = 0xfffffffd

/** BIP 69 order. @source BOLT 3 §transaction-output-ordering */
const byAmountThenScript = (a: TxOutput, b: TxOutput): number =>
  a.amountSat === b.amountSat ? compareBytes(a.scriptPubKey, b.scriptPubKey) : a.amountSat < b.amountSat ? -1 : 1

function assemble(
  p: ClosingBase,
  outputs: readonly TxOutput[],
  form: { sequence: number; lockTime: number },
): BuiltClosing {
  const tx: Transaction = {
    version: 2,
    inputs: [unsignedInput(p.funding, form.sequence)],
    outputs: [...outputs].sort(byAmountThenScript),
    lockTime: form.lockTime,
  }
  return { tx, txid: txidOf(tx), sighash: fundingSighash(tx, p.fundingScript, p.capacitySat) }
}

/**
 * The transaction of `closing_signed`: the opener pays the fee, outputs below the dust limit are left out.
 * @returns null when the opener cannot pay the fee or no output is left
 * @source BOLT 3 §legacy-closing-transaction
 */
export function buildClosing(p: ClosingParams): BuiltClosing | null {
  const outputs: TxOutput[] = []
  for (const [side, pays] of [
    [p.local, p.localIsOpener],
    [p.remote, !p.localIsOpener],
  ] as const) {
    const amountSat = msatToSatFloor(side.amountMsat) - (pays ? p.feeSat : 0n)
    if (amountSat < 0n) return null
    if (amountSat >= p.dustLimitSat) outputs.push({ amountSat: amountSat as Sat, scriptPubKey: side.scriptPubKey })
  }
  return outputs.length === 0 ? null : assemble(p, outputs, { sequence: SEQUENCE_FINAL, lockTime: 0 })
}

/** Which outputs a signature of `closing_complete` covers. */
export type ClosingForm = 'closer' | 'closee' | 'both'

export interface SimpleClosingParams extends ClosingBase {
  readonly closer: ClosingSide
  readonly closee: ClosingSide
  readonly lockTime: number
  readonly outputs: ClosingForm
}

/**
 * The transaction of `closing_complete` (option_simple_close): the closer pays the fee.
 * @returns null when the closer cannot pay the fee
 * @source BOLT 3 §closing-transaction
 */
export function buildSimpleClosing(p: SimpleClosingParams): BuiltClosing | null {
  const amount = (side: ClosingSide, feeSat: bigint): Sat =>
    (side.scriptPubKey[0] === OP.RETURN ? 0n : msatToSatFloor(side.amountMsat) - feeSat) as Sat
  const closer: TxOutput = { amountSat: amount(p.closer, p.feeSat), scriptPubKey: p.closer.scriptPubKey }
  const closee: TxOutput = { amountSat: amount(p.closee, 0n), scriptPubKey: p.closee.scriptPubKey }
  if (msatToSatFloor(p.closer.amountMsat) < p.feeSat) return null
  const outputs = p.outputs === 'both' ? [closer, closee] : p.outputs === 'closer' ? [closer] : [closee]
  return assemble(p, outputs, { sequence: SEQUENCE_RBF, lockTime: p.lockTime })
}

/** Weight of a closing transaction with outputs of these scripts, signatures at their longest. */
export const closingWeight = (...scripts: readonly Uint8Array[]): number =>
  4 * scripts.reduce((bytes, script) => bytes + 9 + script.length, 51) + 2 + 222

/** Fee of a closing transaction with outputs of these scripts, sat, rounded down. */
export const closingFee = (feeratePerKw: number, ...scripts: readonly Uint8Array[]): Sat =>
  feeOf(closingWeight(...scripts), feeratePerKw)
