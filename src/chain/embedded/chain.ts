import type { BlockHash, Txid } from '../../base/ids.ts'
import type { Result } from '../../base/result.ts'
import type { Block } from '../../bitcoin/block.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { BlockFile } from './blockFile.ts'
import type { BlockNode } from './blockNode.ts'
import { ChainState } from './chainstate.ts'
import { EmbeddedChainError } from './errors.ts'
import { Mempool } from './mempool.ts'
import { type MempoolEntry, mempoolTx } from './mempoolEntry.ts'
import { mineBlock, selectTransactions } from './miner.ts'
import { type PackageResult, submitPackage } from './packages.ts'
import { type Rejection, rejectionText } from './rejection.ts'
import { ScriptCache } from './txRules.ts'

export interface EmbeddedChainOptions {
  /** Where blocks are kept; in memory alone when left out. */
  readonly dir?: string
  /** Unix seconds: the time of blocks that are mined here, and what blocks from outside are compared with. */
  readonly clock: () => number
}

/** A whole regtest network in this process: a chain that validates, a mempool, and a miner that works when told to. */
export interface EmbeddedChain {
  readonly state: ChainState
  readonly mempool: Mempool
  readonly startedAt: number
  now(): number
  /** Takes a transaction into the mempool. */
  submit(tx: Transaction): Result<MempoolEntry, Rejection>
  /** Takes parents and their child. @param maxFeerate sat per 1,000 vbytes that none of them may exceed by itself; no limit when left out */
  submitPackage(txs: readonly Transaction[], maxFeerate?: bigint): PackageResult
  /** Mines blocks of what pays best in the mempool. */
  mine(blocks: number, scriptPubKey: Uint8Array): readonly BlockHash[]
  /** Mines one block of the mempool entries named, or of transactions given, parents first. @throws EmbeddedChainError */
  mineExactly(transactions: readonly (Txid | Transaction)[], scriptPubKey: Uint8Array): BlockHash
  submitBlock(block: Block): Result<BlockNode, Rejection>
  invalidate(node: BlockNode): void
  reconsider(node: BlockNode): void
  /** A transaction of the mempool or of the active chain. */
  findTransaction(id: Txid): { tx: Transaction; node: BlockNode | null } | null
  /** Resolves true when `done` holds after a change of the tip, false when the time is over or the signal aborts. */
  waitFor(done: () => boolean, timeoutMs: number, signal?: AbortSignal): Promise<boolean>
  /** Flushes the blocks to disk; waiters are let go. */
  close(): void
}

/**
 * Starts the chain, from the blocks in `dir` when there are any. They are checked again, but for their scripts.
 * @throws EmbeddedChainError when the directory cannot be used
 */
export function createEmbeddedChain(options: EmbeddedChainOptions): EmbeddedChain {
  return new Embedded(options)
}

class Embedded implements EmbeddedChain {
  readonly state: ChainState
  readonly mempool: Mempool
  readonly startedAt: number
  readonly #clock: () => number
  readonly #file: BlockFile | null
  readonly #waiters = new Set<() => void>()
  /** Height of every transaction of the active chain, for look-ups by id. */
  readonly #mined = new Map<Txid, number>()
  #extraNonce = 0
  #closed = false

  constructor({ dir, clock }: EmbeddedChainOptions) {
    const scripts = new ScriptCache()
    this.#clock = clock
    this.startedAt = clock()
    this.state = new ChainState({ now: clock, scripts })
    this.mempool = new Mempool({ chain: this.state, scripts, now: clock })
    this.state.onChange(({ disconnected, connected }) => {
      for (const n of disconnected) for (const id of n.txids) this.#mined.delete(id)
      for (const n of connected) for (const id of n.txids) this.#mined.set(id, n.height)
      for (const wake of [...this.#waiters]) wake()
    })
    this.#file = dir === undefined ? null : this.#load(dir)
  }

  now(): number {
    return this.#clock()
  }

  submit(tx: Transaction): Result<MempoolEntry, Rejection> {
    const accepted = this.mempool.accept(tx)
    return accepted.ok ? { ok: true, value: accepted.value.entry } : accepted
  }

  submitPackage(txs: readonly Transaction[], maxFeerate?: bigint): PackageResult {
    return submitPackage(this.mempool, txs, maxFeerate)
  }

  mine(blocks: number, scriptPubKey: Uint8Array): readonly BlockHash[] {
    return Array.from({ length: blocks }, () => this.#mineOne(selectTransactions(this.mempool.entries()), scriptPubKey))
  }

  mineExactly(transactions: readonly (Txid | Transaction)[], scriptPubKey: Uint8Array): BlockHash {
    const chosen: MempoolEntry[] = []
    for (const t of transactions) {
      const known = this.mempool.get(typeof t === 'string' ? t : mempoolTx(t).txid)
      if (known) chosen.push(known)
      else if (typeof t === 'string') throw new EmbeddedChainError(`transaction ${t} is not in the mempool`)
      else chosen.push(this.#strayEntry(t))
    }
    return this.#mineOne(chosen, scriptPubKey)
  }

  submitBlock(block: Block): Result<BlockNode, Rejection> {
    const result = this.state.submit(block)
    if (result.ok) this.#file?.append({ type: 'block', block })
    return result
  }

  invalidate(node: BlockNode): void {
    if (!this.state.invalidate(node)) throw new EmbeddedChainError('the first block cannot be made invalid')
    this.#file?.append({ type: 'invalidate', hash: node.hash })
  }

  reconsider(node: BlockNode): void {
    this.state.reconsider(node)
    this.#file?.append({ type: 'reconsider', hash: node.hash })
  }

  findTransaction(id: Txid): { tx: Transaction; node: BlockNode | null } | null {
    const entry = this.mempool.get(id)
    if (entry) return { tx: entry.tx, node: null }
    const height = this.#mined.get(id)
    if (height === undefined) return null
    const node = this.state.at(height)!
    return { tx: node.block.transactions[node.txids.indexOf(id)]!, node }
  }

  waitFor(done: () => boolean, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    if (done()) return Promise.resolve(true)
    if (this.#closed || signal?.aborted) return Promise.resolve(false)
    return new Promise((resolve) => {
      const settle = (result: boolean): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', giveUp)
        this.#waiters.delete(look)
        resolve(result)
      }
      const look = (): void => {
        if (done()) settle(true)
        else if (this.#closed) settle(false)
      }
      const giveUp = (): void => settle(false)
      // 0: for as long as it takes. A timer cannot wait longer than 2^31 ms.
      const timer = timeoutMs > 0 ? setTimeout(giveUp, Math.min(timeoutMs, 0x7fffffff)) : undefined
      signal?.addEventListener('abort', giveUp)
      this.#waiters.add(look)
    })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const wake of [...this.#waiters]) wake()
    this.#file?.close()
  }

  #mineOne(transactions: readonly MempoolEntry[], scriptPubKey: Uint8Array): BlockHash {
    const extraNonce = this.#extraNonce++ & 0x7fffffff
    const block = mineBlock({ chain: this.state, scriptPubKey, transactions, now: this.#clock(), extraNonce })
    const result = this.submitBlock(block)
    if (result.ok) return result.value.hash
    if (result.error.reason.startsWith('duplicate')) return this.#mineOne(transactions, scriptPubKey)
    throw new EmbeddedChainError(`the block is not valid: ${rejectionText(result.error)}`)
  }

  /** For a block that holds what the mempool does not: consensus alone decides. */
  #strayEntry(tx: Transaction): MempoolEntry {
    const { height } = this.state
    const links = { parents: new Set<MempoolEntry>(), children: new Set<MempoolEntry>() }
    const fee = 0n as MempoolEntry['fee']
    return { ...mempoolTx(tx), ...links, fee, coins: [], time: this.#clock(), height }
  }

  #load(dir: string): BlockFile {
    const { file, records } = BlockFile.open(dir)
    for (const record of records) {
      if (record.type === 'block') {
        const restored = this.state.restore(record.block)
        if (!restored.ok) {
          file.close()
          throw new EmbeddedChainError(
            `the chain in ${dir} holds a block that is not valid: ${rejectionText(restored.error)}`,
          )
        }
        continue
      }
      const node = this.state.node(record.hash)
      if (node && record.type === 'invalidate') this.state.invalidate(node)
      else if (node) this.state.reconsider(node)
    }
    // Blocks mined after a restart must not repeat those from before.
    this.#extraNonce = records.length
    return file
  }
}
