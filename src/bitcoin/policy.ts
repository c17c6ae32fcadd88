import type { Sat } from '../base/units.ts'
import { isUnspendable, witnessProgram } from './script.ts'

/** sat per 1,000 weight units: the least that nodes relay, 1 sat per vbyte rounded up (BOLT 3 §fee-calculation: 253). */
export const FEERATE_FLOOR = 253
/** 1,000 sat per vbyte: no estimate above it is believed, and whatever is at stake, more than this buys nothing. */
export const FEERATE_CEILING = 250_000
/** Core's -dustrelayfee, sat per 1,000 vbytes. */
const DUST_RELAY_FEE = 3000
/** Input that would spend a witness output: 41 B and a quarter of 107 B of witness. */
const WITNESS_INPUT_SIZE = 67
const LEGACY_INPUT_SIZE = 148

/**
 * The least amount that Bitcoin nodes relay in an output of this script: below it, spending costs over a third of it.
 * @returns sat: P2WPKH 294, P2WSH and P2TR 330, P2PKH 546, P2SH 540, an unspendable one 0
 * @source BOLT 3 §dust-limits
 */
export function dustThreshold(scriptPubKey: Uint8Array): Sat {
  if (isUnspendable(scriptPubKey)) return 0n as Sat
  const output = 8 + (scriptPubKey.length < 0xfd ? 1 : 3) + scriptPubKey.length
  const input = witnessProgram(scriptPubKey) ? WITNESS_INPUT_SIZE : LEGACY_INPUT_SIZE
  return BigInt(Math.floor(((output + input) * DUST_RELAY_FEE) / 1000)) as Sat
}

/** Whether nodes refuse to relay an output of so little. */
export const isDust = (amountSat: Sat, scriptPubKey: Uint8Array): boolean => amountSat < dustThreshold(scriptPubKey)
