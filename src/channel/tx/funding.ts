import { EMPTY } from '../../base/bytes.ts'
import type { Outpoint } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../bitcoin/sighash.ts'
import { type Transaction, withWitness } from '../../bitcoin/transaction.ts'
import { sortKeys } from './keys.ts'
import { fundingScript } from './scripts.ts'

/** The funding output, as everything that spends it needs it. */
export interface FundingOutput {
  readonly outpoint: Outpoint
  readonly capacitySat: Sat
}

/** One side's funding key (33 B) with its 64-byte compact signature. */
export interface FundingSignature {
  readonly publicKey: Uint8Array
  readonly signature: Uint8Array
}

/** What both sides sign, 32 B, in a transaction whose first input spends the funding output. */
export const fundingSighash = (tx: Transaction, script: Uint8Array, capacitySat: Sat): Uint8Array =>
  sighashV0(tx, { index: 0, scriptCode: script, amountSat: capacitySat }, SIGHASH_ALL)

/**
 * The transaction with the funding input's witness: `0 <signature_for_pubkey1> <signature_for_pubkey2> script`.
 * @source BOLT 3 §commitment-transaction
 */
export function withFundingWitness(tx: Transaction, a: FundingSignature, b: FundingSignature): Transaction {
  const [first] = sortKeys(a.publicKey, b.publicKey)
  const inOrder = first === a.publicKey ? [a, b] : [b, a]
  return withWitness(tx, 0, [
    EMPTY,
    ...inOrder.map((s) => derSignature(s.signature, SIGHASH_ALL)),
    fundingScript(a.publicKey, b.publicKey),
  ])
}
