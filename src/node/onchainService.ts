import type { Outpoint, Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import type { Page, PageRequest } from './service.ts'
import type { TimeRange } from './timeRange.ts'

/** What an operator asks of the wallet and of the chain. */
export interface OnchainService {
  wallet(): Promise<WalletView>
  /** A fresh one to receive at (P2WPKH), with its BIP 32 path. */
  newAddress(): Promise<{ address: string; path: string }>
  /** Locked ones too. */
  utxos(): Promise<readonly UtxoView[]>
  /** Newest first. @param range of when they were first seen: their `createdAt` */
  walletTransactions(page: PageRequest, range?: TimeRange): Promise<Page<WalletTransactionView>>
  /** By local id or txid. */
  walletTransaction(id: string): Promise<WalletTransactionView>
  /**
   * Resolves when the chain has it, or could not be reached: it goes out later then.
   * @throws ServiceError VALIDATION_FAILED, INSUFFICIENT_BALANCE, LIMIT_EXCEEDED, TRANSACTION_REJECTED
   */
  sendOnChain(request: SendRequest): Promise<WalletTransactionView>
  /** Has an unconfirmed transaction confirm sooner. @returns what replaces it, or the child that pays for it */
  bumpTransaction(txid: string, request: BumpRequest): Promise<WalletTransactionView>
  readonly psbt: PsbtService

  chain(): ChainView
  /** @throws ServiceError NOT_FOUND, CHAIN_UNAVAILABLE */
  chainBlock(heightOrHash: string): Promise<BlockView>
  /** Of the mempool, the backend's index or the last 100 blocks. @throws ServiceError NOT_FOUND, CHAIN_UNAVAILABLE */
  chainTransaction(txid: Txid): Promise<TransactionView>
  chainFees(): Promise<{ readonly targetBlocks: number; readonly feerateSatPerVbyte: number }[]>
  /** Regtest only; to the wallet when no address is given. @throws ServiceError NOT_SUPPORTED, CHAIN_UNAVAILABLE */
  mine(blocks: number, address?: string): Promise<{ blockHashes: readonly string[] }>
}

export interface WalletView {
  readonly confirmedSat: Sat
  readonly unconfirmedSat: Sat
  /** In coins locked by channel openings under way. */
  readonly lockedSat: Sat
  /** Mined, and not 100 blocks deep yet. */
  readonly immatureSat: Sat
  /** Kept back so that anchor channels can be closed at any time. */
  readonly reservedSat: Sat
}
export interface UtxoView {
  readonly outpoint: Outpoint
  readonly amountSat: Sat
  readonly address: string
  /** null: not confirmed. */
  readonly blockHeight: number | null
  readonly confirmations: number
  readonly locked: boolean
}
export interface WalletTransactionView {
  readonly id: string
  readonly txid: Txid
  /** Received less sent, in sat; may be negative. */
  readonly netSat: bigint
  readonly feeSat: Sat | null
  /** `dropped`: another transaction took its place, or the chain refused it; it confirms no more. */
  readonly status: 'confirmed' | 'unconfirmed' | 'dropped'
  readonly blockHeight: number | null
  readonly label: string | null
  readonly hex: string
  readonly createdAt: string
}
export interface SendOutput {
  readonly address: string
  readonly amountSat: Sat
}
/** Every confirmed coin, or those of `utxos`, less the fee and what must stay for open channels. */
export type SweepOutputs = readonly [{ readonly address: string; readonly amountSat: 'all' }]
export const isSweep = (outputs: SendRequest['outputs']): outputs is SweepOutputs => outputs[0]?.amountSat === 'all'

export interface SendRequest {
  /** From newId(); absent: the node takes one. */
  readonly id?: string
  readonly outputs: readonly SendOutput[] | SweepOutputs
  /** By the estimate when absent. */
  readonly feerateSatPerVbyte?: number
  /** The coins to spend; chosen by the wallet when absent. */
  readonly utxos?: readonly Outpoint[]
  /** LIMIT_EXCEEDED, and nothing sent, when the fee would be more. */
  readonly maxFeeSat?: Sat
  /** The same of outputs and fee together. */
  readonly maxSpentSat?: Sat
}

export interface BumpRequest {
  /** From newId(); absent: the node takes one. */
  readonly id?: string
  /** Of the replacement, or of the child with what it pays for. Absent: for the next two blocks, and more than before. */
  readonly feerateSatPerVbyte?: number
  /** LIMIT_EXCEEDED, and nothing sent, when the fee would be more. */
  readonly maxFeeSat?: Sat
}

/** PSBTs of version 0 (BIP 174) as bytes; each call that takes one gives it back changed. */
export interface PsbtService {
  /** Coins of ours for these outputs, unsigned. They stay reserved until it is broadcast or released, or the node starts again. */
  create(request: SendRequest): Promise<PsbtView>
  /** Adds our signatures. */
  sign(psbt: Uint8Array): Promise<PsbtView>
  /** Makes inputs final that have their signature. */
  finalise(psbt: Uint8Array): Promise<PsbtView>
  broadcast(psbt: Uint8Array): Promise<Txid>
  /** Frees what `create` reserved for it. */
  release(psbt: Uint8Array): Promise<void>
}
export interface PsbtView {
  /** Base64. */
  readonly psbt: string
  /** Which it will have, since all inputs are segwit; of others only once they are signed. */
  readonly txid: Txid
  /** null where it does not say what it spends. */
  readonly feeSat: Sat | null
  /** Every input is final. */
  readonly complete: boolean
  /** The transaction, once it is complete. */
  readonly hex: string | null
}

export interface ChainView {
  readonly network: string
  readonly backend: string
  readonly height: number
  readonly hash: string
  readonly synced: boolean
}
export interface BlockView {
  readonly hash: string
  readonly height: number
  /** Of its header, Unix seconds. */
  readonly time: number
  readonly previousHash: string
  readonly txids: readonly Txid[]
}
export interface TransactionView {
  readonly txid: Txid
  readonly hex: string
  readonly vsize: number
  readonly weight: number
  readonly confirmations: number | null
}
