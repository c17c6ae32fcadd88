import { concatBytes, fromHex } from '../../base/bytes.ts'
import type { Sat } from '../../base/units.ts'
import {
  type Block,
  type BlockHeader,
  blockHashOf,
  HEADER_SIZE,
  MAX_BLOCK_WEIGHT,
  meetsTarget,
  merkleRootOf,
  witnessCommitment,
  witnessCommitmentScript,
  witnessRootOf,
} from '../../bitcoin/block.ts'
import type { Transaction, TxOutput } from '../../bitcoin/transaction.ts'
import { heightPush, REGTEST_BITS } from './blockRules.ts'
import type { ChainState } from './chainstate.ts'
import { blockSubsidy } from './connect.ts'
import { ancestorsOf, byDependency, type MempoolEntry, paysMore, totals, withDescendants } from './mempoolEntry.ts'
import { MAX_BLOCK_SIGOPS, sigopCost } from './sigops.ts'

/** Room for header and coinbase. */
const RESERVED_WEIGHT = 4 * HEADER_SIZE + 4_000
const RESERVED_SIGOPS = 400
const BIP9_VERSION = 0x20000000
const WITNESS_RESERVED = new Uint8Array(32)

export interface MineOptions {
  readonly chain: ChainState
  /** Who gets subsidy and fees. */
  readonly scriptPubKey: Uint8Array
  readonly transactions: readonly MempoolEntry[]
  /** Unix seconds. */
  readonly now: number
  /** Makes blocks of equal content differ. */
  readonly extraNonce: number
}

/** A block on the tip with its proof of work done; validation is for whoever submits it. */
export function mineBlock(options: MineOptions): Block {
  const { chain, transactions, now } = options
  const txs = transactions.map((e) => e.tx)
  const fees = transactions.reduce((sum, e) => sum + e.fee, 0n)
  const all = [coinbase(options, fees, txs), ...txs]
  const header: BlockHeader = {
    version: BIP9_VERSION,
    previousHash: chain.tip.hash,
    merkleRoot: merkleRootOf(all),
    time: Math.max(chain.tip.medianTimePast + 1, now),
    bits: REGTEST_BITS,
    nonce: 0,
  }
  return { header: grind(header), transactions: all }
}

/** Regtest: every second nonce will do. */
export function grind(header: BlockHeader): BlockHeader {
  let h = header
  while (!meetsTarget(blockHashOf(h), h.bits)) h = { ...h, nonce: h.nonce + 1 }
  return h
}

function coinbase(
  { chain, scriptPubKey, extraNonce }: MineOptions,
  fees: bigint,
  txs: readonly Transaction[],
): Transaction {
  const height = chain.tip.height + 1
  const nonce = fromHex(extraNonce.toString(16).padStart(8, '0'))
  const reward = { amountSat: (blockSubsidy(height) + fees) as Sat, scriptPubKey }
  const withOutputs = (outputs: readonly TxOutput[]): Transaction => ({
    version: 2,
    inputs: [
      {
        txid: chain.at(0)!.block.transactions[0]!.inputs[0]!.txid,
        index: 0xffffffff,
        scriptSig: concatBytes(heightPush(height), Uint8Array.of(nonce.length), nonce),
        sequence: 0xffffffff,
        witness: [WITNESS_RESERVED],
      },
    ],
    outputs,
    lockTime: 0,
  })
  const root = witnessRootOf([withOutputs([reward]), ...txs])
  const commitment = witnessCommitmentScript(witnessCommitment(root, WITNESS_RESERVED))
  return withOutputs([reward, { amountSat: 0n as Sat, scriptPubKey: commitment }])
}

/**
 * What pays best within a block's limits: again and again the entry whose unconfirmed ancestors and itself pay most per vbyte together,
 * taken with them.
 * @returns parents before children
 */
export function selectTransactions(entries: Iterable<MempoolEntry>): readonly MempoolEntry[] {
  const chosen = new Set<MempoolEntry>()
  const waiting = new Map([...entries].map((e) => [e, familyOf(e, chosen)]))
  const left = { weight: MAX_BLOCK_WEIGHT - RESERVED_WEIGHT, sigops: MAX_BLOCK_SIGOPS - RESERVED_SIGOPS }
  while (waiting.size > 0) {
    const best = bestOf(waiting)
    const { members } = waiting.get(best)!
    const weight = members.reduce((sum, e) => sum + e.weight, 0)
    const sigops = members.reduce((sum, e) => sum + sigopsOf(e), 0)
    if (weight > left.weight || sigops > left.sigops) {
      waiting.delete(best)
      continue
    }
    left.weight -= weight
    left.sigops -= sigops
    for (const e of members) {
      chosen.add(e)
      waiting.delete(e)
    }
    for (const e of withDescendants(members)) if (waiting.has(e)) waiting.set(e, familyOf(e, chosen))
  }
  return [...chosen]
}

interface Family {
  readonly fee: bigint
  readonly vsize: number
  /** Unconfirmed ancestors that are not chosen yet, then the entry itself; parents first. */
  readonly members: readonly MempoolEntry[]
}

function familyOf(entry: MempoolEntry, chosen: ReadonlySet<MempoolEntry>): Family {
  const unchosen = [...ancestorsOf(entry.parents)].filter((a) => !chosen.has(a))
  const members = byDependency([...unchosen, entry])
  const { fee, vsize } = totals(members)
  return { fee, vsize, members }
}

function bestOf(waiting: ReadonlyMap<MempoolEntry, Family>): MempoolEntry {
  let best: [MempoolEntry, Family] | null = null
  for (const pair of waiting) if (!best || paysMore(pair[1], best[1])) best = pair
  return best![0]
}

const sigopsOf = (e: MempoolEntry): number =>
  sigopCost(
    e.tx,
    e.coins.map((c) => c.output),
  )
