import { OP } from '../../bitcoin/opcodes.ts'
import { isP2sh, lastPush, scriptOpView, witnessProgram } from '../../bitcoin/script.ts'
import type { Transaction, TxOutput } from '../../bitcoin/transaction.ts'

/** BIP 141 §sigops: the limit of a block; signature operations outside a witness count four times. */
export const MAX_BLOCK_SIGOPS = 80_000
/** What relays: a fifth of a block's. */
export const MAX_STANDARD_SIGOPS = MAX_BLOCK_SIGOPS / 5

/** @param exact the keys of a CHECKMULTISIG are read from the number before it; otherwise it counts 20 */
function countSigops(script: Uint8Array, exact: boolean): number {
  let n = 0
  let last = 0
  for (let at = 0; at < script.length; ) {
    const op = scriptOpView(script, at)
    if (!op) break
    if (op.code === OP.CHECKSIG || op.code === OP.CHECKSIGVERIFY) n++
    else if (op.code === OP.CHECKMULTISIG || op.code === OP.CHECKMULTISIGVERIFY) {
      n += exact && last >= OP[1] && last <= OP[16] ? last - OP[1] + 1 : 20
    }
    last = op.code
    at = op.next
  }
  return n
}

/** Signature operations in a transaction's own scripts, whatever it spends. */
export function legacySigops(tx: Transaction): number {
  let n = 0
  for (const i of tx.inputs) n += countSigops(i.scriptSig, false)
  for (const o of tx.outputs) n += countSigops(o.scriptPubKey, false)
  return n
}

function witnessSigops(script: Uint8Array, witness: readonly Uint8Array[]): number {
  const program = witnessProgram(script)
  if (program?.version !== 0) return 0
  if (program.program.length === 20) return 1
  return program.program.length === 32 && witness.length > 0 ? countSigops(witness.at(-1)!, true) : 0
}

/**
 * All signature operations, weighted.
 * @param prevouts what the inputs spend, in their order; none for a coinbase
 * @source BIP 141 §sigops
 */
export function sigopCost(tx: Transaction, prevouts: readonly TxOutput[]): number {
  let cost = legacySigops(tx) * 4
  for (const [i, { scriptPubKey }] of prevouts.entries()) {
    const input = tx.inputs[i]!
    const redeem = isP2sh(scriptPubKey) ? lastPush(input.scriptSig) : null
    if (redeem) cost += countSigops(redeem, true) * 4
    cost += witnessSigops(redeem ?? scriptPubKey, input.witness)
  }
  return cost
}
