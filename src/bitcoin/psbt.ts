import { fromHex, toHex } from '../base/bytes.ts'
import { txidFromBytes } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { BitcoinFormatError } from './errors.ts'
import { Reader, Writer } from './serialize.ts'
import { encodeTransactionStripped, type Transaction, type TxInput, type TxOutput } from './transaction.ts'

/**
 * One map of a PSBT: values by the hex of their whole key, which is the type byte and what follows it. What this program does not know
 * is kept as it is. @source BIP 174 §specification
 */
export type PsbtMap = ReadonlyMap<string, Uint8Array>

/** A partially signed transaction, version 0. @source BIP 174 */
export interface Psbt {
  /** Without script signatures and witnesses. */
  readonly tx: Transaction
  /** Without the transaction. */
  readonly global: PsbtMap
  /** One for each input, and one for each output. */
  readonly inputs: readonly PsbtMap[]
  readonly outputs: readonly PsbtMap[]
}

/** Types of an input's map. */
export const PSBT_IN = {
  nonWitnessUtxo: '00',
  witnessUtxo: '01',
  /** Followed by the public key. */
  partialSig: '02',
  sighashType: '03',
  finalScriptSig: '07',
  finalScriptWitness: '08',
} as const

const MAGIC = Uint8Array.of(0x70, 0x73, 0x62, 0x74, 0xff)
const UNSIGNED_TX = '00'
const VERSION = 'fb'
/** What follows the type byte, by type: nothing, a public key, an extended key, or a hash of so many bytes. */
type KeyData = 'none' | 'key' | number
const GLOBAL_KEYS: Readonly<Record<number, KeyData>> = { 0: 'none', 1: 78, 251: 'none' }
const INPUT_KEYS: Readonly<Record<number, KeyData>> = {
  ...{ 0: 'none', 1: 'none', 2: 'key', 3: 'none', 4: 'none', 5: 'none', 6: 'key', 7: 'none', 8: 'none', 9: 'none' },
  ...{ 10: 20, 11: 32, 12: 20, 13: 32 },
}
const OUTPUT_KEYS: Readonly<Record<number, KeyData>> = { 0: 'none', 1: 'none', 2: 'key' }

const malformed = (why: string): BitcoinFormatError => new BitcoinFormatError(`PSBT: ${why}`)

/** @source BIP 174 §specification */
export function encodePsbt({ tx, global, inputs, outputs }: Psbt): Uint8Array {
  const w = new Writer().bytes(MAGIC)
  writeMap(w, new Map([[UNSIGNED_TX, encodeTransactionStripped(tx)], ...global]))
  for (const map of [...inputs, ...outputs]) writeMap(w, map)
  return w.finish()
}

function writeMap(w: Writer, map: PsbtMap): void {
  for (const [key, value] of map) w.varbytes(fromHex(key)).varbytes(value)
  w.u8(0)
}

/** @throws BitcoinFormatError for anything but a whole PSBT of version 0 whose known fields have their form */
export function decodePsbt(bytes: Uint8Array): Psbt {
  const r = new Reader(bytes)
  if (toHex(r.bytes(MAGIC.length)) !== toHex(MAGIC)) throw malformed('it does not begin as one')
  const all = readMap(r, GLOBAL_KEYS)
  const unsigned = all.get(UNSIGNED_TX)
  if (!unsigned) throw malformed('it has no unsigned transaction')
  const version = all.get(VERSION)
  if (version && new Reader(version).u32() !== 0) throw malformed('only version 0 (BIP 174) can be read')
  const tx = readUnsigned(unsigned)
  const global = new Map([...all].filter(([key]) => key !== UNSIGNED_TX))
  const inputs = tx.inputs.map(() => checkedInput(readMap(r, INPUT_KEYS)))
  const outputs = tx.outputs.map(() => readMap(r, OUTPUT_KEYS))
  r.end()
  return { tx, global, inputs, outputs }
}

function readMap(r: Reader, known: Readonly<Record<number, KeyData>>): Map<string, Uint8Array> {
  const map = new Map<string, Uint8Array>()
  for (;;) {
    const key = r.varbytes()
    if (key.length === 0) return map
    const name = toHex(key)
    if (map.has(name)) throw malformed(`key ${name} comes twice`)
    checkKey(key, known[key[0]!])
    map.set(name, r.varbytes())
  }
}

function checkKey(key: Uint8Array, data: KeyData | undefined): void {
  const length = key.length - 1
  const isRight =
    data === undefined ||
    (data === 'none' && length === 0) ||
    (data === 'key' && isPublicKey(key.subarray(1))) ||
    length === data
  if (!isRight) throw malformed(`key ${toHex(key)} has not the form of its type`)
}

const isPublicKey = (b: Uint8Array): boolean =>
  (b.length === 33 && (b[0] === 2 || b[0] === 3)) || (b.length === 65 && b[0] === 4)

/** In the format without witnesses, which alone can have no inputs. */
function readUnsigned(bytes: Uint8Array): Transaction {
  const r = new Reader(bytes)
  const version = r.i32()
  const inputs: TxInput[] = []
  for (let n = r.count(41); n > 0; n--) {
    const input = { txid: txidFromBytes(r.bytes(32)), index: r.u32(), scriptSig: r.varbytes(), sequence: r.u32() }
    if (input.scriptSig.length > 0) throw malformed('its transaction carries a signature')
    inputs.push({ ...input, witness: [] })
  }
  const outputs: TxOutput[] = []
  for (let n = r.count(9); n > 0; n--) outputs.push(readOutput(r))
  const lockTime = r.u32()
  r.end()
  return { version, inputs, outputs, lockTime }
}

const readOutput = (r: Reader): TxOutput => ({ amountSat: r.u64() as Sat, scriptPubKey: r.varbytes() })

function checkedInput(map: Map<string, Uint8Array>): PsbtMap {
  witnessUtxo(map)
  sighashType(map)
  finalWitness(map)
  return map
}

/** What an input spends, as the map says it; null when it does not. @throws BitcoinFormatError */
export function witnessUtxo(map: PsbtMap): TxOutput | null {
  const value = map.get(PSBT_IN.witnessUtxo)
  if (!value) return null
  const r = new Reader(value)
  const output = readOutput(r)
  r.end()
  return output
}

/** Value of PSBT_IN_WITNESS_UTXO. @source BIP 174 */
export const witnessUtxoValue = ({ amountSat, scriptPubKey }: TxOutput): Uint8Array =>
  new Writer().u64(amountSat).varbytes(scriptPubKey).finish()

/** Null: none is asked for. @throws BitcoinFormatError */
export function sighashType(map: PsbtMap): number | null {
  const value = map.get(PSBT_IN.sighashType)
  if (!value) return null
  const r = new Reader(value)
  const type = r.u32()
  r.end()
  return type
}

/** Null: the input is not final. @throws BitcoinFormatError */
export function finalWitness(map: PsbtMap): readonly Uint8Array[] | null {
  const value = map.get(PSBT_IN.finalScriptWitness)
  if (!value) return null
  const r = new Reader(value)
  const witness: Uint8Array[] = []
  for (let n = r.count(1); n > 0; n--) witness.push(r.varbytes())
  r.end()
  return witness
}

/** Value of PSBT_IN_FINAL_SCRIPTWITNESS: the stack as it stands in a transaction. @source BIP 174 */
export function finalWitnessValue(witness: readonly Uint8Array[]): Uint8Array {
  const w = new Writer().varint(witness.length)
  for (const item of witness) w.varbytes(item)
  return w.finish()
}

/** Signatures with their public keys (hex), as signers left them. */
export const partialSigs = (map: PsbtMap): readonly (readonly [publicKey: string, signature: Uint8Array])[] =>
  [...map].flatMap(([key, value]) => (key.startsWith(PSBT_IN.partialSig) ? [[key.slice(2), value] as const] : []))

/** The transaction once every input is final; null while one is not. @source BIP 174 §transaction-extractor */
export function extractTransaction({ tx, inputs }: Psbt): Transaction | null {
  const finals: TxInput[] = []
  for (const [i, input] of tx.inputs.entries()) {
    const map = inputs[i]!
    const witness = finalWitness(map)
    const scriptSig = map.get(PSBT_IN.finalScriptSig)
    if (!witness && !scriptSig) return null
    finals.push({ ...input, scriptSig: scriptSig ?? input.scriptSig, witness: witness ?? [] })
  }
  return finals.length > 0 ? { ...tx, inputs: finals } : null
}
