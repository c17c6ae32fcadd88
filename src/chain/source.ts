import type { BlockHash, Outpoint, Txid } from '../base/ids.ts'
import type { Transaction, TxOutput } from '../bitcoin/transaction.ts'

export interface ChainBlock {
  readonly hash: BlockHash
  readonly previousHash: BlockHash
  readonly height: number
  /** Unix seconds of the header. */
  readonly time: number
  readonly transactions: readonly Transaction[]
  /** Of each transaction, in the same order. */
  readonly txids: readonly Txid[]
}

export interface ChainTip {
  readonly hash: BlockHash
  readonly height: number
  /** The backend says that it is itself still catching up with the network. */
  readonly syncing: boolean
  /** Unix seconds of its header; absent on regtest, where blocks come when somebody mines them. */
  readonly time?: number
}

export interface BroadcastResult {
  readonly accepted: boolean
  /** The node's own word when it refused, e.g. 'min relay fee not met'. Already known counts as accepted. */
  readonly reason?: string
}

/** An unspent output found by a scan of the whole set. */
export interface UnspentOutput {
  readonly outpoint: Outpoint
  readonly output: TxOutput
  readonly height: number
  readonly coinbase: boolean
}

/** A view of the Bitcoin chain: the embedded one and a real node, through the same client. All methods may fail with ChainError. */
export interface ChainSource {
  /** Reaches the backend and fails with WRONG_NETWORK when it follows another chain. Every other method implies it. */
  check(): Promise<void>
  tip(): Promise<ChainTip>
  blockHash(height: number): Promise<BlockHash>
  block(hash: BlockHash): Promise<ChainBlock>
  /** The ids of a block's transactions, as the backend tells them: a hundredth of the block. */
  txids(hash: BlockHash): Promise<readonly Txid[]>
  /** Raw transaction from the mempool, or from the chain where the backend has an index; null when unknown. */
  transaction(txid: Txid): Promise<Transaction | null>
  /** The same with its confirmations, 0 in the mempool. */
  locate(txid: Txid): Promise<{ readonly tx: Transaction; readonly confirmations: number } | null>
  /** Transactions in the mempool that spend any of these, each once; none where the backend cannot tell. */
  mempoolSpends(outpoints: readonly Outpoint[]): Promise<readonly Transaction[]>
  /** The unspent output with its confirmations, mempool excluded; null when spent or unknown. */
  utxo(outpoint: Outpoint): Promise<{ output: TxOutput; confirmations: number } | null>
  /** All unspent outputs of these scripts, and the tip that this was true at. Takes minutes on a large chain. */
  scanUnspent(scriptPubKeys: readonly Uint8Array[]): Promise<{
    readonly tip: { readonly hash: BlockHash; readonly height: number }
    readonly outputs: readonly UnspentOutput[]
  }>
  broadcast(tx: Transaction): Promise<BroadcastResult>
  /** Parents before children. */
  broadcastPackage(txs: readonly Transaction[]): Promise<BroadcastResult>
  /** sat per 1,000 weight units for confirmation within `blocks`; null when the backend has no estimate. */
  estimateFeerate(blocks: number): Promise<number | null>
  /** sat per 1,000 weight units below which the backend takes no transaction now. */
  mempoolMinFeerate(): Promise<number>
  /** Embedded chain and regtest only. */
  mine(blocks: number, scriptPubKey: Uint8Array): Promise<readonly BlockHash[]>
  /** Resolves when the tip may have changed, or after timeoutMs, or when the signal aborts. */
  waitForChange(known: BlockHash, timeoutMs: number, signal: AbortSignal): Promise<void>
  /** Calls back whenever the backend answers again after it could not be reached: it may have started anew, with an empty mempool. */
  onBack(listener: () => void): void
  close(): Promise<void>
}
