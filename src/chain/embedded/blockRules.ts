import { equalBytes } from '../../base/bytes.ts'
import { txidToBytes } from '../../base/ids.ts'
import {
  type BlockHeader,
  blockWeight,
  findWitnessCommitment,
  MAX_BLOCK_WEIGHT,
  meetsTarget,
  merkleTree,
  witnessCommitment,
  witnessRoot,
} from '../../bitcoin/block.ts'
import { checkTransaction, isCoinbase } from '../../bitcoin/checkTransaction.ts'
import { pushData } from '../../bitcoin/script.ts'
import { encodeScriptNumber } from '../../bitcoin/scriptNumber.ts'
import { hasWitness } from '../../bitcoin/transaction.ts'
import type { BlockNode } from './blockNode.ts'
import { isFinal } from './locks.ts'
import { type Rejection, reject } from './rejection.ts'
import { legacySigops, MAX_BLOCK_SIGOPS } from './sigops.ts'

/** The easiest target: regtest never adjusts it. */
export const REGTEST_BITS = 0x207fffff
/** Blocks from the future wait. */
const MAX_FUTURE_SECONDS = 2 * 60 * 60
/** Older ones are from before BIP 34, 65 and 66. */
const MIN_VERSION = 4

/** A header on top of its parent. @param now Unix seconds */
export function checkHeader(node: BlockNode, parent: BlockNode, now: number): Rejection | null {
  const { header } = node.block
  if (!meetsTarget(node.hash, header.bits)) return reject('high-hash', 'proof of work failed')
  if (header.bits !== REGTEST_BITS) return reject('bad-diffbits', 'incorrect proof of work')
  if (header.time <= parent.medianTimePast) return reject('time-too-old', "block's timestamp is too early")
  if (header.time > now + MAX_FUTURE_SECONDS) {
    return reject('time-too-new', 'block timestamp too far in the future')
  }
  return checkVersion(header)
}

function checkVersion({ version }: BlockHeader): Rejection | null {
  if (version >= MIN_VERSION) return null
  const hex = (version >>> 0).toString(16).padStart(8, '0')
  return reject(`bad-version(0x${hex})`, `rejected nVersion=0x${hex} block`)
}

/** What can be said of a block without knowing where it stands. */
export function checkBlock(node: BlockNode): Rejection | null {
  const { header, transactions } = node.block
  const { root, mutated } = merkleTree(node.txids.map(txidToBytes))
  if (!equalBytes(root, header.merkleRoot)) return reject('bad-txnmrklroot', 'hashMerkleRoot mismatch')
  if (mutated) return reject('bad-txns-duplicate', 'duplicate transaction')
  if (transactions.length === 0) return reject('bad-blk-length', 'size limits failed')
  if (!isCoinbase(transactions[0]!)) return reject('bad-cb-missing', 'first tx is not coinbase')
  if (transactions.slice(1).some(isCoinbase)) return reject('bad-cb-multiple', 'more than one coinbase')
  for (const [i, tx] of transactions.entries()) {
    const reason = checkTransaction(tx)
    if (reason) return reject(reason, `Transaction check failed (tx hash ${node.txids[i]})`)
  }
  const sigops = transactions.reduce((n, tx) => n + legacySigops(tx), 0)
  return sigops * 4 > MAX_BLOCK_SIGOPS ? reject('bad-blk-sigops', 'out-of-bounds SigOpCount') : null
}

/** What a block at this height must hold, before any coin is looked at. */
export function checkPlacement(node: BlockNode, parent: BlockNode): Rejection | null {
  const { transactions } = node.block
  const context = { height: node.height, medianTimePast: parent.medianTimePast, medianTimeAt: () => 0 }
  if (!transactions.every((tx) => isFinal(tx, context))) {
    return reject('bad-txns-nonfinal', 'non-final transaction')
  }
  const height = heightPush(node.height)
  if (!equalBytes(transactions[0]!.inputs[0]!.scriptSig.subarray(0, height.length), height)) {
    return reject('bad-cb-height', 'block height mismatch in coinbase')
  }
  const commitment = checkWitnessCommitment(node)
  if (commitment) return commitment
  return blockWeight(node.block) > MAX_BLOCK_WEIGHT ? reject('bad-blk-weight', 'weight limit failed') : null
}

/** BIP 34: how a coinbase script begins. */
export const heightPush = (height: number): Uint8Array => pushData(encodeScriptNumber(height))

/** @source BIP 141 §commitment-structure */
function checkWitnessCommitment({ block: { transactions }, wtxids }: BlockNode): Rejection | null {
  const coinbase = transactions[0]!
  const expected = findWitnessCommitment(coinbase)
  if (!expected) {
    return transactions.some(hasWitness) ? reject('unexpected-witness', 'unexpected witness data found') : null
  }
  const { witness } = coinbase.inputs[0]!
  if (witness.length !== 1 || witness[0]!.length !== 32) {
    return reject('bad-witness-nonce-size', 'invalid witness reserved value size')
  }
  const actual = witnessCommitment(witnessRoot(wtxids), witness[0]!)
  return equalBytes(actual, expected) ? null : reject('bad-witness-merkle-match', 'witness merkle commitment mismatch')
}
