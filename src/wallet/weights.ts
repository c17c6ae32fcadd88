import type { TxOutput } from '../bitcoin/transaction.ts'

/** 36 B outpoint, 1 B empty scriptSig, 4 B sequence. */
const INPUT_BYTES = 41
/** Witness: count, 1 + 72 B signature at most (low S, sighash byte), 1 + 33 B public key. */
const P2WPKH_WITNESS_BYTES = 108
/** A P2WPKH input with its witness, weight units; a signature may turn out one or two bytes shorter. */
export const P2WPKH_INPUT_WEIGHT = 4 * INPUT_BYTES + P2WPKH_WITNESS_BYTES
/** 8 B amount, 1 + 22 B script. */
export const P2WPKH_OUTPUT_WEIGHT = 4 * 31

/** Consensus allows ten times as much; nodes relay no more. */
export const MAX_STANDARD_WEIGHT = 400_000

const varintBytes = (n: number): number => (n < 0xfd ? 1 : n <= 0xffff ? 3 : 5)

/** Weight units. */
export const outputWeight = (o: TxOutput): number =>
  4 * (8 + varintBytes(o.scriptPubKey.length) + o.scriptPubKey.length)

/** The parts of a segwit transaction that decide its weight. */
export interface TxShape {
  readonly inputs: number
  /** Of all inputs, witnesses included. */
  readonly inputsWeight: number
  readonly outputs: number
  readonly outputsWeight: number
}

/** BIP 141: version, lock time, marker, flag and the two counts around inputs and outputs. */
export const shapeWeight = (s: TxShape): number =>
  4 * (4 + 4 + varintBytes(s.inputs) + varintBytes(s.outputs)) + 2 + s.inputsWeight + s.outputsWeight

/** sat, rounded up so that the feerate is never missed. */
export const feeOf = (weight: number, feeratePerKw: number): bigint =>
  (BigInt(weight) * BigInt(feeratePerKw) + 999n) / 1000n
