import { u32be, utf8 } from '../../src/base/bytes.ts'
import { type BlockHash, blockHashFromBytes, type Outpoint, type Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf, unsignedInput } from '../../src/bitcoin/transaction.ts'
import type { Clock } from '../../src/chain/clock.ts'
import { ChainError } from '../../src/chain/errors.ts'
import type { ChainBlock, ChainSource, ChainTip } from '../../src/chain/source.ts'
import { crypto } from '../../src/crypto/crypto.ts'

export const tx = (spends: readonly Outpoint[], lockTime = 0): Transaction => ({
  version: 2,
  inputs: spends.map((o) => unsignedInput(o)),
  outputs: [],
  lockTime,
})

/** Never waits, but lets everything else run. */
export const instantClock: Clock = { sleep: () => new Promise((resolve) => setImmediate(resolve)) }

const unsupported = async (): Promise<never> => {
  throw new ChainError('NOT_SUPPORTED', 'not part of the fake')
}

/** A chain in memory that tests extend, cut and break. Stale blocks stay known, as in a real node. */
export class FakeSource implements ChainSource {
  readonly all = new Map<BlockHash, ChainBlock>()
  active: ChainBlock[]
  syncing = false
  /** Called before every answer; may change the chain, or throw. */
  onCall: (method: string) => void = () => {}
  #wake: (() => void) | null = null
  readonly onBack = (): void => {}

  constructor() {
    this.active = []
    this.extend([])
  }

  get top(): ChainBlock {
    return this.active[this.active.length - 1]!
  }

  extend(transactions: readonly Transaction[], fork = 0): ChainBlock {
    const height = this.active.length
    const previousHash = this.active.at(-1)?.hash ?? ('0'.repeat(64) as BlockHash)
    const txids = transactions.map(txidOf)
    const content = [utf8(previousHash), u32be(height), u32be(fork), utf8(txids.join())].flatMap((b) => [...b])
    const hash = blockHashFromBytes(crypto.sha256(Uint8Array.from(content)))
    const block = { hash, previousHash, height, time: height * 600, transactions, txids }
    this.all.set(hash, block)
    this.active.push(block)
    this.#wake?.()
    return block
  }

  /** Takes the last blocks away. */
  undo(depth: number): void {
    this.active.length = Math.max(1, this.active.length - depth)
  }

  #answer<T>(method: string, value: () => T): Promise<T> {
    return new Promise((resolve) => setImmediate(resolve)).then(() => {
      this.onCall(method)
      return value()
    })
  }

  check = (): Promise<void> => this.#answer('check', () => undefined)
  tip = (): Promise<ChainTip> =>
    this.#answer('tip', () => ({ hash: this.top.hash, height: this.top.height, syncing: this.syncing }))

  txids = (hash: BlockHash): Promise<readonly Txid[]> => this.block(hash).then((b) => b.txids)
  blockHash = (height: number): Promise<BlockHash> =>
    this.#answer('blockHash', () => {
      const block = this.active[height]
      if (!block) throw new ChainError('NOT_FOUND', `no block at ${height}`)
      return block.hash
    })

  block = (hash: BlockHash): Promise<ChainBlock> =>
    this.#answer('block', () => {
      const block = this.all.get(hash)
      if (!block) throw new ChainError('NOT_FOUND', `no block ${hash}`)
      return block
    })

  async waitForChange(known: BlockHash, _timeoutMs: number, signal: AbortSignal): Promise<void> {
    await this.#answer('waitForChange', () => undefined)
    if (this.top.hash !== known || signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done)
        this.#wake = null
        resolve()
      }
      this.#wake = done
      signal.addEventListener('abort', done)
    })
  }

  transaction = unsupported
  locate = unsupported
  utxo = unsupported
  mempoolSpends = unsupported
  scanUnspent = unsupported
  mine = unsupported
  broadcast = unsupported
  broadcastPackage = unsupported
  estimateFeerate = unsupported
  mempoolMinFeerate = unsupported
  close = async (): Promise<void> => {}
}
