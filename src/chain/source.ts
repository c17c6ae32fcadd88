import type { BlockHash, Outpoint, Txid } from '../base/ids.ts'
import type { Transaction, TxOutput } from '../bitcoin/transaction.ts'

export interface ChainBlock {
  readonly hash: BlockHash
  readonly previousHash: BlockHash
  readonly height: number
  /** Unix seconds of the header. */
  readonly time: number
  readonly transactions: readonly Transaction[]
}

export interface ChainTip {
  readonly hash: BlockHash
  readonly height: number
}

export interface BroadcastResult {
  readonly accepted: boolean
  /** The node's own word when it refused, e.g. 'min relay fee not met'. Already known counts as accepted. */
  readonly reason?: string
}

/** A view of the Bitcoin chain: the embedded one and a real node, through the same client. All methods may fail with ChainError. */
export interface ChainSource {
  tip(): Promise<ChainTip>
  blockHash(height: number): Promise<BlockHash>
  block(hash: BlockHash): Promise<ChainBlock>
  /** Raw transaction from the mempool, or from the chain where the backend has an index; null when unknown. */
  transaction(txid: Txid): Promise<Transaction | null>
  /** The unspent output with its confirmations, mempool excluded; null when spent or unknown. */
  utxo(outpoint: Outpoint): Promise<{ output: TxOutput; confirmations: number } | null>
  broadcast(tx: Transaction): Promise<BroadcastResult>
  broadcastPackage(txs: readonly Transaction[]): Promise<BroadcastResult>
  /** sat per 1,000 weight units for confirmation within `blocks`; null when the backend has no estimate. */
  estimateFeerate(blocks: number): Promise<number | null>
  mempoolMinFeerate(): Promise<number>
  /** Embedded chain and regtest only. */
  mine(blocks: number, scriptPubKey: Uint8Array): Promise<readonly BlockHash[]>
  /** Resolves when the tip may have changed, or after timeoutMs. */
  waitForChange(known: BlockHash, timeoutMs: number, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
