import { concatBytes } from '../base/bytes.ts'
import type { Sat } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import { Writer } from './serialize.ts'
import type { Transaction, TxOutput } from './transaction.ts'

export const SIGHASH_ALL = 0x01
export const SIGHASH_NONE = 0x02
export const SIGHASH_SINGLE = 0x03
export const SIGHASH_ANYONECANPAY = 0x80

const ZERO = new Uint8Array(32)
const outputBytes = (w: Writer, o: TxOutput): Writer => w.u64(o.amountSat).varbytes(o.scriptPubKey)

export interface SighashInput {
  readonly index: number
  /** The witness script of a P2WSH output, or the implied P2PKH script of a P2WPKH one. */
  readonly scriptCode: Uint8Array
  /** Value of the output being spent. */
  readonly amountSat: Sat
}

/**
 * The digest that a segwit v0 signature signs, 32 B.
 * @source BIP 143
 */
export function sighashV0(tx: Transaction, input: SighashInput, sighashType: number): Uint8Array {
  const spent = tx.inputs[input.index]
  if (!spent) throw new RangeError(`transaction has no input ${input.index}`)
  const base = sighashType & 0x1f
  const anyoneCanPay = (sighashType & SIGHASH_ANYONECANPAY) !== 0
  const single = base === SIGHASH_SINGLE
  const none = base === SIGHASH_NONE

  let prevouts: Uint8Array = ZERO
  let sequences: Uint8Array = ZERO
  let outputs: Uint8Array = ZERO
  if (!anyoneCanPay) {
    const w = new Writer()
    for (const i of tx.inputs) w.hash(i.txid).u32(i.index)
    prevouts = crypto.sha256d(w.finish())
    if (!single && !none) {
      const s = new Writer()
      for (const i of tx.inputs) s.u32(i.sequence)
      sequences = crypto.sha256d(s.finish())
    }
  }
  const own = tx.outputs[input.index]
  if (!single && !none) {
    const w = new Writer()
    for (const o of tx.outputs) outputBytes(w, o)
    outputs = crypto.sha256d(w.finish())
  } else if (single && own) {
    outputs = crypto.sha256d(outputBytes(new Writer(), own).finish())
  }
  return crypto.sha256d(
    new Writer()
      .i32(tx.version)
      .bytes(prevouts)
      .bytes(sequences)
      .hash(spent.txid)
      .u32(spent.index)
      .varbytes(input.scriptCode)
      .u64(input.amountSat)
      .u32(spent.sequence)
      .bytes(outputs)
      .u32(tx.lockTime)
      .u32(sighashType)
      .finish(),
  )
}

/** DER with the sighash byte behind it, from a 64-byte compact signature: the form in witnesses (BIP 66). */
export function derSignature(compact: Uint8Array, sighashType: number): Uint8Array {
  const r = derInteger(compact.subarray(0, 32))
  const s = derInteger(compact.subarray(32, 64))
  return concatBytes(Uint8Array.of(0x30, r.length + s.length), r, s, Uint8Array.of(sighashType))
}

function derInteger(bytes: Uint8Array): Uint8Array {
  let from = 0
  while (from < 31 && bytes[from] === 0) from++
  const pad = bytes[from]! >= 0x80 ? 1 : 0
  const out = new Uint8Array(2 + pad + 32 - from)
  out[0] = 0x02
  out[1] = out.length - 2
  out.set(bytes.subarray(from), 2 + pad)
  return out
}
