import { outpointKey } from '../base/ids.ts'
import { MAX_SAT } from '../base/units.ts'
import { MAX_BLOCK_WEIGHT } from './block.ts'
import { sizesOf, type Transaction } from './transaction.ts'

const NULL_TXID = '00'.repeat(32)

/** Consensus: confirmations before the outputs of a coinbase can be spent. */
export const COINBASE_MATURITY = 100

/** One input that spends nothing. */
export const isCoinbase = (tx: Transaction): boolean =>
  tx.inputs.length === 1 && tx.inputs[0]!.txid === NULL_TXID && tx.inputs[0]!.index === 0xffffffff

/**
 * The rules that a transaction must keep whatever it spends.
 * @returns Bitcoin Core's reject reason, or null when it keeps them
 */
export function checkTransaction(tx: Transaction): string | null {
  if (tx.inputs.length === 0) return 'bad-txns-vin-empty'
  if (tx.outputs.length === 0) return 'bad-txns-vout-empty'
  if (sizesOf(tx).stripped * 4 > MAX_BLOCK_WEIGHT) return 'bad-txns-oversize'
  return checkOutputs(tx) ?? checkInputs(tx)
}

function checkOutputs(tx: Transaction): string | null {
  let total = 0n
  for (const { amountSat } of tx.outputs) {
    if (amountSat >= 1n << 63n || amountSat < 0n) return 'bad-txns-vout-negative'
    if (amountSat > MAX_SAT) return 'bad-txns-vout-toolarge'
    total += amountSat
    if (total > MAX_SAT) return 'bad-txns-txouttotal-toolarge'
  }
  return null
}

function checkInputs(tx: Transaction): string | null {
  const spent = new Set(tx.inputs.map(outpointKey))
  if (spent.size !== tx.inputs.length) return 'bad-txns-inputs-duplicate'
  if (isCoinbase(tx)) {
    const { length } = tx.inputs[0]!.scriptSig
    return length < 2 || length > 100 ? 'bad-cb-length' : null
  }
  return tx.inputs.some((i) => i.txid === NULL_TXID && i.index === 0xffffffff) ? 'bad-txns-prevout-null' : null
}
