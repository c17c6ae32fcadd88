import { fromHex } from '../../../src/base/bytes.ts'
import type { Outpoint, Txid } from '../../../src/base/ids.ts'
import type { Sat } from '../../../src/base/units.ts'
import {
  type Block,
  merkleRootOf,
  witnessCommitment,
  witnessCommitmentScript,
  witnessRootOf,
} from '../../../src/bitcoin/block.ts'
import { p2wsh } from '../../../src/bitcoin/script.ts'
import { type Transaction, type TxOutput, txidOf } from '../../../src/bitcoin/transaction.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../../src/chain/embedded/chain.ts'
import { grind } from '../../../src/chain/embedded/miner.ts'

export const START = 1_700_000_000

/** Anyone can spend it, with nothing but the script: fast, and yet it goes through the interpreter. */
const TRUE_SCRIPT = fromHex('51')
export const TRUE_OUTPUT = p2wsh(TRUE_SCRIPT)
/** Nobody can spend it. */
export const FALSE_SCRIPT = fromHex('00')
export const FALSE_OUTPUT = p2wsh(FALSE_SCRIPT)

export interface TestClock {
  readonly now: () => number
  advance(seconds: number): void
}

function testClock(): TestClock {
  let t = START
  return {
    now: () => t,
    advance(seconds) {
      t += seconds
    },
  }
}

export interface TestChain {
  readonly chain: EmbeddedChain
  readonly clock: TestClock
}

export function testChain(dir?: string): TestChain {
  const clock = testClock()
  return { chain: createEmbeddedChain({ clock: clock.now, ...(dir !== undefined && { dir }) }), clock }
}

export interface Spendable extends Outpoint {
  readonly amountSat: bigint
}

/** Mines blocks whose rewards anyone can spend, and lets them mature. */
export function fund(chain: EmbeddedChain, coins: number): Spendable[] {
  const hashes = chain.mine(coins, TRUE_OUTPUT)
  chain.mine(100, FALSE_OUTPUT)
  return hashes.map((hash) => outputOf(chain.state.node(hash)!.block.transactions[0]!, 0))
}

export const outputOf = (tx: Transaction, index: number): Spendable => ({
  txid: txidOf(tx),
  index,
  amountSat: tx.outputs[index]!.amountSat,
})

export interface SpendOptions {
  readonly fee?: bigint
  readonly outputs?: readonly TxOutput[]
  readonly count?: number
  readonly version?: number
  readonly lockTime?: number
  readonly sequence?: number
  readonly script?: Uint8Array
}

export const pay = (amount: bigint, scriptPubKey: Uint8Array = TRUE_OUTPUT): TxOutput => ({
  amountSat: amount as Sat,
  scriptPubKey,
})

/** Spends outputs of TRUE_OUTPUT to `count` equal ones, or to the outputs given. */
export function spend(from: readonly Spendable[], o: SpendOptions = {}): Transaction {
  const { fee = 1_000n, count = 1 } = o
  const total = from.reduce((sum, f) => sum + f.amountSat, 0n)
  const share = (total - fee) / BigInt(count)
  return {
    version: o.version ?? 2,
    inputs: from.map(({ txid, index }) => ({
      txid,
      index,
      scriptSig: new Uint8Array(0),
      sequence: o.sequence ?? 0xfffffffd,
      witness: [o.script ?? TRUE_SCRIPT],
    })),
    outputs: o.outputs ?? Array.from({ length: count }, () => pay(share)),
    lockTime: o.lockTime ?? 0,
  }
}

/** What a test may bend of a block before its proof of work is done. */
export interface Bend {
  readonly header?: Partial<Block['header']>
  readonly coinbase?: (tx: Transaction) => Transaction
  readonly transactions?: readonly Transaction[]
  /** Of the transactions as they end up; done anew when left out. */
  readonly commit?: boolean
}

/** A block made like another one, with something bent, and honest commitments and proof of work. */
export function bend(block: Block, b: Bend): Block {
  const [first, ...rest] = block.transactions
  const coinbase = b.coinbase ? b.coinbase(first!) : first!
  const bare = [coinbase, ...(b.transactions ?? rest)]
  const transactions = b.commit === false ? bare : [withCommitment(bare), ...bare.slice(1)]
  const header = { ...block.header, merkleRoot: merkleRootOf(transactions), nonce: 0, ...b.header }
  return { header: grind(header), transactions }
}

function withCommitment(txs: readonly Transaction[]): Transaction {
  const coinbase = txs[0]!
  const reserved = coinbase.inputs[0]!.witness[0] ?? new Uint8Array(32)
  const script = witnessCommitmentScript(witnessCommitment(witnessRootOf(txs), reserved))
  const isCommitment = (o: TxOutput): boolean => o.amountSat === 0n && o.scriptPubKey[0] === 0x6a
  return { ...coinbase, outputs: [...coinbase.outputs.filter((o) => !isCommitment(o)), pay(0n, script)] }
}

export const idsOf = (chain: EmbeddedChain): Txid[] => [...chain.mempool.entries()].map((e) => e.txid)
