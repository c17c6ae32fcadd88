import { type BlockHash, type Outpoint, outpointKey, type Txid } from '../../src/base/ids.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import type { Transaction, TxOutput } from '../../src/bitcoin/transaction.ts'
import { txidOf, unsignedInput, wtxidBytes } from '../../src/bitcoin/transaction.ts'
import type { BlockNode } from '../../src/chain/embedded/blockNode.ts'
import type { ChainState, TipChange } from '../../src/chain/embedded/chainstate.ts'
import { type CoinSet, disconnectCoins } from '../../src/chain/embedded/coins.ts'
import { connectBlock } from '../../src/chain/embedded/connect.ts'
import { isFinal, type LockContext } from '../../src/chain/embedded/locks.ts'
import { Mempool } from '../../src/chain/embedded/mempool.ts'
import {
  ancestorsOf,
  byDependency,
  type MempoolEntry,
  totals,
  withDescendants,
} from '../../src/chain/embedded/mempoolEntry.ts'
import { selectTransactions } from '../../src/chain/embedded/miner.ts'
import { submitPackage } from '../../src/chain/embedded/packages.ts'
import { ScriptCache } from '../../src/chain/embedded/txRules.ts'
import type { BroadcastResult, ChainBlock } from '../../src/chain/source.ts'

export interface GenesisCoin {
  readonly outpoint: Outpoint
  readonly output: TxOutput
}

const TIME = 1_700_000_000
const hashOf = (n: number): BlockHash => n.toString(16).padStart(64, '0') as BlockHash
const EMPTY = new Uint8Array(0)
/** Where subsidies go. */
const NOBODY = p2wsh(Uint8Array.of(0))

type Block = BlockNode & ChainBlock

/**
 * The embedded chain without proof of work: its coins, its consensus rules for what a block may hold, its mempool and policy, every
 * script run. Blocks are made by whoever calls, so that a hostile miner can be one; a block costs microseconds.
 */
export class Chain {
  readonly mempool: Mempool
  /** As a follower has it: its Bitcoin node is never behind. */
  readonly status = { tipHeight: null }
  readonly #coins: CoinSet
  readonly #blocks: Block[] = []
  readonly #start: number
  readonly #scripts = new ScriptCache()
  #change: (change: TipChange) => void = () => {}
  readonly #spenders = new Map<string, Transaction>()
  #made = 0

  constructor(start: number, coins: readonly GenesisCoin[]) {
    this.#start = start
    this.#coins = new Map(
      coins.map((c) => [outpointKey(c.outpoint), { output: c.output, height: start - 10, coinbase: false }]),
    )
    const chain = this
    const state = {
      get height() {
        return chain.height
      },
      coin: (key: string) => chain.#coins.get(key),
      nextLocks: () => chain.#locks(),
      onChange: (listener: (change: TipChange) => void) => {
        chain.#change = listener
      },
    }
    this.mempool = new Mempool({ chain: state as unknown as ChainState, scripts: this.#scripts, now: () => TIME })
  }

  get height(): number {
    return this.#start + this.#blocks.length
  }
  /** The blocks from a height on. */
  from(height: number): readonly Block[] {
    return this.#blocks.slice(Math.max(0, height - this.#start - 1))
  }
  hash(height: number): BlockHash {
    return this.#blocks[height - this.#start - 1]?.hash ?? hashOf(0)
  }
  coins(): CoinSet {
    return this.#coins
  }
  has(outpoint: Outpoint): boolean {
    return this.#coins.has(outpointKey(outpoint))
  }
  /** What spends an output in a block. */
  spender(outpoint: string): Transaction | null {
    return this.#spenders.get(outpoint) ?? null
  }
  find(id: Txid): Transaction | null {
    const waiting = this.mempool.get(id)
    if (waiting) return waiting.tx
    for (const b of this.#blocks) {
      const i = b.txids.indexOf(id)
      if (i >= 0) return b.transactions[i]!
    }
    return null
  }

  #locks(): LockContext {
    return { height: this.height + 1, medianTimePast: TIME, medianTimeAt: () => TIME }
  }

  broadcast(tx: Transaction): BroadcastResult {
    const result = this.mempool.accept(tx)
    if (result.ok) return { accepted: true }
    const { reason, detail } = result.error
    const known = reason === 'txn-already-in-mempool' || reason === 'txn-already-known'
    return known ? { accepted: true } : { accepted: false, reason: `${reason}, ${detail ?? ''}` }
  }

  broadcastPackage(txs: readonly Transaction[]): BroadcastResult {
    if (txs.length === 1) return this.broadcast(txs[0]!)
    const { results, refusal } = submitPackage(this.mempool, txs)
    // As the client of a Bitcoin node does it: with the parents that wait, else one by one.
    if (refusal !== null && results.size === 0) {
      const known = new Set(txs.map(txidOf))
      const parents = new Set(
        txs
          .at(-1)!
          .inputs.map((i) => i.txid)
          .filter((id) => !known.has(id)),
      )
      const waiting = [...parents].flatMap((id) => this.mempool.get(id)?.tx ?? [])
      if (waiting.length > 0) return this.broadcastPackage([...waiting, ...txs])
      return txs.map((tx) => this.broadcast(tx)).find((r) => !r.accepted) ?? { accepted: true }
    }
    for (const r of results.values()) {
      if (r.ok) continue
      const { reason, detail } = r.rejection
      if (reason !== 'txn-already-known') return { accepted: false, reason: `${reason}, ${detail ?? ''}` }
    }
    return { accepted: true }
  }

  /**
   * One block: first what the miner brings itself, mempool or not, as far as it is valid; then what the mempool has and it lets in, if
   * that pays as much as others' transactions, for which all the room is taken.
   * @returns the block
   */
  mine(first: readonly Transaction[], lets: (entry: MempoolEntry) => boolean, crowd = 0): Block {
    let txs: Transaction[] = []
    for (const tx of first) if (this.#connects([...txs, tx])) txs.push(tx)
    const own = new Set(txs.map(txidOf))
    const wanted = paying(selectTransactions(this.mempool.entries()), crowd)
    const left = new Set(wanted.filter((e) => !lets(e)))
    const entries = wanted.filter((e) => !left.has(e) && ![...ancestorsOf(e.parents)].some((a) => left.has(a)))
    for (const e of byDependency(entries)) if (!own.has(e.txid) && !conflicts(txs, e.tx)) txs = [...txs, e.tx]
    // What builds on something that lost to the miner's own cannot come in.
    let connected = this.#try(txs)
    while (connected === null) {
      txs = txs.filter((_, i) => this.#connects(txs.slice(0, i + 1)))
      connected = this.#try(txs)
    }
    const { node, result } = connected
    result.changes.applyTo(this.#coins)
    node.undo = result.undo
    this.#blocks.push(node)
    for (const tx of txs) for (const i of tx.inputs) this.#spenders.set(outpointKey(i), tx)
    this.#change({ disconnected: [], connected: [node] })
    return node
  }

  #connects(txs: readonly Transaction[]): boolean {
    return this.#try(txs) !== null
  }

  #try(txs: readonly Transaction[]) {
    if (!txs.every((tx) => isFinal(tx, this.#locks()))) return null
    const node = this.#node(txs)
    const result = connectBlock(node, { coins: this.#coins, locks: this.#locks(), scripts: this.#scripts })
    return result.ok ? { node, result: result.value } : null
  }

  #node(txs: readonly Transaction[]): Block {
    const n = ++this.#made
    const hash = hashOf(n)
    const coinbase: Transaction = {
      version: 2,
      inputs: [unsignedInput({ txid: hashOf(0) as unknown as Txid, index: 0xffffffff }, 0xffffffff)],
      outputs: [{ amountSat: 0n as TxOutput['amountSat'], scriptPubKey: NOBODY }],
      lockTime: n,
    }
    const height = this.height + 1
    return {
      hash,
      previousHash: this.hash(this.height),
      height,
      time: TIME,
      transactions: [coinbase, ...txs],
      txids: [hash as unknown as Txid, ...txs.map(txidOf)],
      wtxids: [EMPTY, ...txs.map(wtxidBytes)],
      block: { transactions: [coinbase, ...txs] },
      undo: null,
    } as unknown as Block
  }

  /** Undoes blocks; what they held is back in the mempool where that has room for it, but for what everybody has forgotten. */
  disconnect(depth: number, forget: (tx: Transaction) => boolean = () => false): readonly Block[] {
    const gone = this.#blocks.splice(-depth).reverse()
    for (const tx of gone.flatMap((b) => b.transactions))
      for (const i of tx.inputs) this.#spenders.delete(outpointKey(i))
    for (const b of gone) disconnectCoins(this.#coins, b.transactions, b.txids, b.undo!)
    this.#change({ disconnected: gone, connected: [] })
    for (const tx of gone.flatMap((b) => b.transactions).filter(forget)) this.evict(txidOf(tx))
    return gone
  }

  /** The mempool has it no more, nor what builds on it. */
  evict(id: Txid): void {
    const entry = this.mempool.get(id)
    const family = entry ? byDependency(withDescendants([entry])).reverse() : []
    for (const e of family) this.mempool.undoAdd(e, [])
  }
}

const conflicts = (txs: readonly Transaction[], tx: Transaction): boolean => {
  const spent = new Set(txs.flatMap((t) => t.inputs.map(outpointKey)))
  return tx.inputs.some((i) => spent.has(outpointKey(i)))
}

/** Those that pay at least so much, with what they build on. `entries`: what pays best first. */
function paying(entries: readonly MempoolEntry[], feeratePerKw: number): readonly MempoolEntry[] {
  if (feeratePerKw === 0) return entries
  const chosen = new Set<MempoolEntry>()
  for (const e of entries) {
    const family = [...[...ancestorsOf(e.parents)].filter((a) => !chosen.has(a)), e]
    const { fee, vsize } = totals(family)
    if (fee * 250n >= BigInt(vsize * feeratePerKw)) for (const f of family) chosen.add(f)
  }
  return byDependency(chosen)
}
