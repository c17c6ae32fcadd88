import { concatBytes, EMPTY } from '../base/bytes.ts'
import type { Sat } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import { OP } from './opcodes.ts'
import { scriptOpView } from './script.ts'
import { Writer } from './serialize.ts'
import type { Transaction, TxOutput } from './transaction.ts'

export const SIGHASH_ALL = 0x01
const SIGHASH_NONE = 0x02
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

/** Hashes over the whole transaction, kept between the signatures of one transaction: make one per transaction, and drop it after. */
export interface SighashCache {
  prevouts?: Uint8Array
  sequences?: Uint8Array
  outputs?: Uint8Array
}

function hashPrevouts(tx: Transaction): Uint8Array {
  const w = new Writer()
  for (const i of tx.inputs) w.hash(i.txid).u32(i.index)
  return crypto.sha256d(w.finish())
}

function hashSequences(tx: Transaction): Uint8Array {
  const w = new Writer()
  for (const i of tx.inputs) w.u32(i.sequence)
  return crypto.sha256d(w.finish())
}

function hashOutputs(outputs: readonly TxOutput[]): Uint8Array {
  const w = new Writer()
  for (const o of outputs) outputBytes(w, o)
  return crypto.sha256d(w.finish())
}

/**
 * The digest that a segwit v0 signature signs, 32 B.
 * @param cache shared by all signatures of this very transaction
 * @source BIP 143
 */
export function sighashV0(
  tx: Transaction,
  input: SighashInput,
  sighashType: number,
  cache: SighashCache = {},
): Uint8Array {
  const spent = tx.inputs[input.index]
  if (!spent) throw new RangeError(`transaction has no input ${input.index}`)
  const base = sighashType & 0x1f
  const anyoneCanPay = (sighashType & SIGHASH_ANYONECANPAY) !== 0
  const single = base === SIGHASH_SINGLE
  const all = !single && base !== SIGHASH_NONE
  const own = tx.outputs[input.index]

  if (!anyoneCanPay) cache.prevouts ??= hashPrevouts(tx)
  if (!anyoneCanPay && all) cache.sequences ??= hashSequences(tx)
  if (all) cache.outputs ??= hashOutputs(tx.outputs)
  const prevouts = anyoneCanPay ? ZERO : cache.prevouts!
  const sequences = anyoneCanPay || !all ? ZERO : cache.sequences!
  const outputs = all ? cache.outputs! : single && own ? hashOutputs([own]) : ZERO
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

/**
 * The digest that a signature in a script from before segwit signs, 32 B. SIGHASH_SINGLE without an output of the same index signs the
 * number 1: a quirk that consensus keeps.
 * @param scriptCode without the signature itself; CODESEPARATORs are dropped here
 */
export function sighashLegacy(
  tx: Transaction,
  inputIndex: number,
  scriptCode: Uint8Array,
  sighashType: number,
): Uint8Array {
  const base = sighashType & 0x1f
  const anyoneCanPay = (sighashType & SIGHASH_ANYONECANPAY) !== 0
  const single = base === SIGHASH_SINGLE
  const none = base === SIGHASH_NONE
  if (!tx.inputs[inputIndex]) throw new RangeError(`transaction has no input ${inputIndex}`)
  if (single && inputIndex >= tx.outputs.length) {
    const one = new Uint8Array(32)
    one[0] = 1
    return one
  }
  const code = withoutCodeSeparators(scriptCode)
  const w = new Writer().i32(tx.version)
  w.varint(anyoneCanPay ? 1 : tx.inputs.length)
  tx.inputs.forEach((i, at) => {
    if (at === inputIndex) w.hash(i.txid).u32(i.index).varbytes(code).u32(i.sequence)
    else if (!anyoneCanPay) {
      w.hash(i.txid)
        .u32(i.index)
        .varbytes(EMPTY)
        .u32(single || none ? 0 : i.sequence)
    }
  })
  if (none) w.varint(0)
  else if (single) {
    w.varint(inputIndex + 1)
    for (let i = 0; i < inputIndex; i++) w.u64(0xffffffffffffffffn).varbytes(EMPTY)
    outputBytes(w, tx.outputs[inputIndex]!)
  } else {
    w.varint(tx.outputs.length)
    for (const o of tx.outputs) outputBytes(w, o)
  }
  return crypto.sha256d(w.u32(tx.lockTime).u32(sighashType).finish())
}

function withoutCodeSeparators(script: Uint8Array): Uint8Array {
  if (!script.includes(OP.CODESEPARATOR)) return script
  const kept: Uint8Array[] = []
  for (let at = 0; at < script.length; ) {
    const op = scriptOpView(script, at)
    const next = op?.next ?? script.length
    if (op?.code !== OP.CODESEPARATOR) kept.push(script.subarray(at, next))
    at = next
  }
  return concatBytes(...kept)
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
