import type { Outpoint, PaymentHash, Txid } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import type { RevokedHtlc } from '../htlc.ts'
import type { Channel } from '../state.ts'
import type { ChainEvent, CloseKind, Effect } from '../types.ts'
import type { Spend } from './claims.ts'

/**
 * The end of a channel: what spends its funding output, what is ours in it, and how far each output has come. Plain data, nothing
 * secret, and enough to go on by without the phases before it. `beginLocal` (we publish our commitment) or `fundingSpent`
 * (anything else spent the funding output) makes one, `onchainEvent` carries it on.
 */
export interface OnchainState {
  readonly how: CloseKind
  /** Height at which it began; absent in a record of an older version. */
  readonly began?: number
  readonly closing: ClosingTransaction
  /** What we may claim, or must watch, beyond the closing transaction itself. */
  readonly outputs: readonly ClosedOutput[]
  /** Our sweeps under way, so that each block repeats the same transaction until its fee is raised. */
  readonly sweeps: readonly Sweep[]
  /** Ids of HTLCs that we offered and that are reported as failed on chain, for good. */
  readonly failed: readonly bigint[]
  /** Confirmed transactions that spent the outputs, ours and theirs. */
  readonly spenders: readonly SpendingTransaction[]
  readonly revoked: RevokedCommitment | null
  /** Anchor outputs of the closing transaction that somebody took, with the heights of that. */
  readonly anchorsSpent?: readonly AnchorSpend[]
  /** Of a commitment that we do not know: spends of outputs of which nothing is known either, for when that changes (presumed.ts). */
  readonly strange?: readonly OutputSpend[]
}

/** What a transaction that spends the funding output is. */
export type ClosingKind =
  /** The agreed closing transaction. */
  | 'mutual'
  /** Our newest commitment. */
  | 'local'
  /** The peer's newest commitment. */
  | 'remote'
  /** The peer's commitment after that, which we signed and which it has not answered with a revocation. */
  | 'remote-next'
  /** An older one of the peer's, which it revoked. */
  | 'revoked'
  /** An older one of ours, which we revoked: the peer may take it all. Or one that lost writes, or a backup, know nothing of. */
  | 'local-old'
  /** A commitment of the peer that is newer than all we know: we lost data. */
  | 'future'
  /** Something that we do not remember to have signed. */
  | 'unknown'

export interface ClosingTransaction {
  readonly kind: ClosingKind
  /** Fully signed. */
  readonly tx: Transaction
  readonly txid: Txid
  readonly funding: Outpoint
  readonly feeSat: Sat
  /** Of its block; null while it is unconfirmed. */
  readonly height: number | null
  /** In its anchor outputs, which are left to whoever sweeps them. */
  readonly anchorsSat: Sat
}

/** One output of the closing transaction, or of an HTLC transaction that spends it. */
export interface ClosedOutput {
  readonly outpoint: Outpoint
  readonly amountSat: Sat
  readonly scriptPubKey: Uint8Array
  readonly spend: Spend
  readonly htlc: {
    readonly direction: 'in' | 'out'
    readonly id: bigint | null
    readonly paymentHash: PaymentHash
  } | null
  /** Height of the transaction that has it; null while that is unconfirmed. */
  readonly since: number | null
  readonly spent: { readonly txid: Txid; readonly height: number } | null
}

/** A transaction of ours that moves outputs to the wallet; it is rebuilt from this, the same byte for byte. */
export interface Sweep {
  readonly outpoints: readonly string[]
  readonly feeratePerKw: number
  /** Height at which this feerate was chosen. */
  readonly at: number
}

export interface AnchorSpend {
  /** Of the output in the closing transaction. */
  readonly index: number
  readonly height: number
  /** Absent from what earlier builds noted. */
  readonly txid?: Txid
}

export interface SpendingTransaction {
  readonly txid: Txid
  readonly kind: 'htlc' | 'sweep' | 'penalty' | 'theirs'
  readonly height: number
  /** Null when it has inputs that are not the channel's. */
  readonly feeSat: Sat | null
}

export interface RevokedCommitment {
  readonly commitmentNumber: number
  /** Revealed by the peer when it revoked, 32 B. */
  readonly commitmentSecret: Uint8Array
  /** Of the peer's to_local and of its HTLC transactions' outputs. */
  readonly delayedScript: Uint8Array
  /** Whether the records of settled HTLCs have been looked through. */
  readonly loaded: boolean
  /** Spends of its outputs that came before that, to be gone through then. */
  readonly early: readonly OutputSpend[]
}

/** A confirmed transaction that spends an output of the closing transaction, or one that follows from it. */
export interface OutputSpend {
  readonly outpoint: Outpoint
  readonly tx: Transaction
  readonly height: number
}

/** `channel` comes back changed when HTLCs were resolved (their `removal` set) so that knownResults(state) stays right after a restart. */
export interface OnchainStep {
  readonly channel: Channel
  readonly onchain: OnchainState
  /** broadcast, relay (fulfilled with a preimage seen on chain; failed), notify, loadRevokedHtlcs. */
  readonly effects: readonly Effect[]
  /** Everything is irrevocably resolved: the channel becomes `closed`. */
  readonly done: boolean
}

export type OnchainInput =
  | ChainEvent
  /** Preimages for incoming HTLCs arrived: the HTLCs' records in `channel` have them as `removal` already. */
  | { readonly tag: 'preimages'; readonly htlcIds: readonly bigint[] }
  /** An HTLC was noted that may be in a commitment of the peer's that we do not know. */
  | { readonly tag: 'presumed' }
  /** The answer to effect `loadRevokedHtlcs`. */
  | { readonly tag: 'revokedHtlcs'; readonly commitmentNumber: number; readonly htlcs: readonly RevokedHtlc[] }

export interface FundingSpend {
  readonly tx: Transaction
  readonly height: number
  /** It is not a commitment, and one of the closing transactions that we signed. */
  readonly mutual: boolean
  /** As what the end of the channel has been told of already: that is not told twice. */
  readonly toldAs?: CloseKind | null
}
