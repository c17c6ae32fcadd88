import { EMPTY } from '../base/bytes.ts'
import { type Outpoint, type Txid, txidFromBytes } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import { BitcoinFormatError } from './errors.ts'
import { Reader, Writer } from './serialize.ts'

export interface TxInput {
  readonly txid: Txid
  readonly index: number
  readonly scriptSig: Uint8Array
  /** BIP 68 relative lock time, or 0xffffffff. */
  readonly sequence: number
  /** Stack items, empty for an unsigned or non-segwit input. */
  readonly witness: readonly Uint8Array[]
}

export interface TxOutput {
  readonly amountSat: Sat
  readonly scriptPubKey: Uint8Array
}

export interface Transaction {
  readonly version: number
  readonly inputs: readonly TxInput[]
  readonly outputs: readonly TxOutput[]
  readonly lockTime: number
}

export const SEQUENCE_FINAL = 0xffffffff

/** An input that is still to be signed. */
export const unsignedInput = (outpoint: Outpoint, sequence = SEQUENCE_FINAL): TxInput => ({
  txid: outpoint.txid,
  index: outpoint.index,
  scriptSig: EMPTY,
  sequence,
  witness: [],
})

/** The same transaction with the witness of one input set. */
export const withWitness = (tx: Transaction, index: number, witness: readonly Uint8Array[]): Transaction => ({
  ...tx,
  inputs: tx.inputs.map((input, i) => (i === index ? { ...input, witness } : input)),
})

export const hasWitness = (tx: Transaction): boolean => tx.inputs.some((i) => i.witness.length > 0)

function encode(tx: Transaction, witness: boolean): Uint8Array {
  const w = new Writer().i32(tx.version)
  if (witness) w.u8(0).u8(1)
  w.varint(tx.inputs.length)
  for (const i of tx.inputs) w.hash(i.txid).u32(i.index).varbytes(i.scriptSig).u32(i.sequence)
  w.varint(tx.outputs.length)
  for (const o of tx.outputs) w.u64(o.amountSat).varbytes(o.scriptPubKey)
  if (witness) {
    for (const i of tx.inputs) {
      w.varint(i.witness.length)
      for (const item of i.witness) w.varbytes(item)
    }
  }
  return w.u32(tx.lockTime).finish()
}

/** BIP 144 when any input has a witness, else the original format. */
export const encodeTransaction = (tx: Transaction): Uint8Array => encode(tx, hasWitness(tx))
/** Without witnesses: what the txid commits to. */
export const encodeTransactionStripped = (tx: Transaction): Uint8Array => encode(tx, false)

/** Reads one transaction and leaves the reader behind it. @throws BitcoinFormatError */
export function readTransaction(r: Reader): Transaction {
  const version = r.i32()
  let inputCount = r.count(1)
  let segwit = false
  if (inputCount === 0) {
    if (r.u8() !== 1) throw new BitcoinFormatError('transaction has no inputs')
    segwit = true
    inputCount = r.count(41)
    if (inputCount === 0) throw new BitcoinFormatError('transaction has no inputs')
  }
  const bare: Omit<TxInput, 'witness'>[] = []
  for (let i = 0; i < inputCount; i++) {
    bare.push({ txid: txidFromBytes(r.bytes(32)), index: r.u32(), scriptSig: r.varbytes(), sequence: r.u32() })
  }
  const outputs: TxOutput[] = []
  for (let n = r.count(9); n > 0; n--) outputs.push({ amountSat: r.u64() as Sat, scriptPubKey: r.varbytes() })
  const inputs = bare.map((input): TxInput => {
    const witness: Uint8Array[] = []
    if (segwit) for (let n = r.count(1); n > 0; n--) witness.push(r.varbytes())
    return { ...input, witness }
  })
  if (segwit && inputs.every((i) => i.witness.length === 0)) throw new BitcoinFormatError('superfluous witness marker')
  return { version, inputs, outputs, lockTime: r.u32() }
}

/**
 * Exactly one transaction, nothing behind it. Amounts are not range-checked: validation does that.
 * @throws BitcoinFormatError
 */
export function decodeTransaction(bytes: Uint8Array): Transaction {
  const r = new Reader(bytes)
  const tx = readTransaction(r)
  r.end()
  return tx
}

export const txidOf = (tx: Transaction): Txid => txidFromBytes(crypto.sha256d(encodeTransactionStripped(tx)))
/** BIP 141: hash over the witness too, wire order. */
export const wtxidBytes = (tx: Transaction): Uint8Array => crypto.sha256d(encodeTransaction(tx))

const varintSize = (n: number): number => (n < 0xfd ? 1 : n <= 0xffff ? 3 : n <= 0xffffffff ? 5 : 9)
const varbytesSize = (b: Uint8Array): number => varintSize(b.length) + b.length

/** Bytes of encodeTransactionStripped and encodeTransaction, without encoding. */
export function sizesOf(tx: Transaction): { readonly stripped: number; readonly full: number } {
  let stripped = 8 + varintSize(tx.inputs.length) + varintSize(tx.outputs.length)
  let witness = 2
  for (const i of tx.inputs) {
    stripped += 40 + varbytesSize(i.scriptSig)
    witness += varintSize(i.witness.length)
    for (const item of i.witness) witness += varbytesSize(item)
  }
  for (const o of tx.outputs) stripped += 8 + varbytesSize(o.scriptPubKey)
  return { stripped, full: hasWitness(tx) ? stripped + witness : stripped }
}

/** BIP 141: 3 × stripped size + full size. */
export function weightOf(tx: Transaction): number {
  const { stripped, full } = sizesOf(tx)
  return 3 * stripped + full
}
/** Rounded up. */
export const vsizeOf = (tx: Transaction): number => Math.ceil(weightOf(tx) / 4)
