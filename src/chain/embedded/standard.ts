import { dustThreshold } from '../../bitcoin/policy.ts'
import { isP2sh, isPushOnly, lastPush, outputType, witnessProgram } from '../../bitcoin/script.ts'
import { sizesOf, type Transaction, type TxOutput } from '../../bitcoin/transaction.ts'
import type { Coin } from './coins.ts'
import type { MempoolTx } from './mempoolEntry.ts'
import { type Rejection, reject } from './rejection.ts'
import { MAX_STANDARD_SIGOPS, sigopCost } from './sigops.ts'

const MAX_STANDARD_WEIGHT = 400_000
const MAX_SCRIPT_SIG = 1650
/** Smaller ones can be mistaken for an inner node of a merkle tree. */
const MIN_STRIPPED_SIZE = 65
/** Script of an OP_RETURN output, B. */
const MAX_DATA_CARRIER = 83
const MAX_WITNESS_SCRIPT = 3600
const MAX_WITNESS_ITEMS = 100
const MAX_WITNESS_ITEM = 80

/** What Bitcoin nodes relay, of a transaction alone. */
export function checkStandard({ tx, weight }: MempoolTx): Rejection | null {
  if (tx.version < 1 || tx.version > 3) return reject('version')
  if (weight > MAX_STANDARD_WEIGHT) return reject('tx-size')
  for (const { scriptSig } of tx.inputs) {
    if (scriptSig.length > MAX_SCRIPT_SIG) return reject('scriptsig-size')
    if (!isPushOnly(scriptSig)) return reject('scriptsig-not-pushonly')
  }
  const output = checkOutputs(tx.outputs)
  if (output) return output
  return sizesOf(tx).stripped < MIN_STRIPPED_SIZE ? reject('tx-size-small') : null
}

function checkOutputs(outputs: readonly TxOutput[]): Rejection | null {
  let carriers = 0
  for (const { amountSat, scriptPubKey } of outputs) {
    const type = outputType(scriptPubKey)
    if (type === 'nonstandard') return reject('scriptpubkey')
    if (type === 'nulldata') {
      if (scriptPubKey.length > MAX_DATA_CARRIER) return reject('scriptpubkey')
      carriers++
    } else if (amountSat < dustThreshold(scriptPubKey)) {
      return reject('dust')
    }
  }
  return carriers > 1 ? reject('multi-op-return') : null
}

/** What Bitcoin nodes relay, of a transaction and what it spends. Outputs of witness versions that are not validated here are not. */
export function checkStandardInputs(tx: Transaction, coins: readonly Coin[]): Rejection | null {
  for (const [i, { output }] of coins.entries()) {
    const { scriptPubKey } = output
    const input = tx.inputs[i]!
    const type = outputType(scriptPubKey)
    const redeem = isP2sh(scriptPubKey) ? lastPush(input.scriptSig) : null
    const program = witnessProgram(redeem ?? scriptPubKey)
    if (type === 'nonstandard' || (program && program.version > 0)) {
      return reject(
        'bad-txns-nonstandard-inputs',
        `input ${i} spends an output of a kind that is not validated (${type})`,
      )
    }
    const witness = program ? checkWitness(input.witness, program.program) : input.witness.length > 0
    if (witness) return reject('bad-witness-nonstandard')
  }
  const sigops = sigopCost(
    tx,
    coins.map((c) => c.output),
  )
  return sigops > MAX_STANDARD_SIGOPS ? reject('bad-txns-too-many-sigops', `${sigops}`) : null
}

/** true when a witness is larger than what relays. */
function checkWitness(witness: readonly Uint8Array[], program: Uint8Array): boolean {
  if (program.length !== 32) return false
  const items = witness.length - 1
  if (items > MAX_WITNESS_ITEMS || (witness.at(-1)?.length ?? 0) > MAX_WITNESS_SCRIPT) return true
  return witness.slice(0, -1).some((item) => item.length > MAX_WITNESS_ITEM)
}
