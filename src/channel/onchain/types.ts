import type { Transaction } from '../../bitcoin/transaction.ts'
import type { Channel, RevokedHtlc } from '../state.ts'
import type { ChainEvent, ChannelContext, CloseKind, Effect } from '../types.ts'

/**
 * The contract between the channel's phases before the funding output is spent and the one after it. The phases call `beginLocal`
 * (we publish our commitment) or `fundingSpent` (anything else spent the funding output), then `onchainEvent` for whatever follows.
 * To be filled in by this folder: more fields, plain data only, nothing secret; the functions stay as they are here.
 */
export interface OnchainState {
  readonly how: CloseKind
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
  /** A preimage for an incoming HTLC arrived: the HTLC's record in `channel` has it as `removal` already. */
  | { readonly tag: 'preimage'; readonly htlcId: bigint }
  /** The answer to effect `loadRevokedHtlcs`. */
  | { readonly tag: 'revokedHtlcs'; readonly commitmentNumber: number; readonly htlcs: readonly RevokedHtlc[] }

export interface FundingSpend {
  readonly tx: Transaction
  readonly height: number
  /** The spender pays only to the agreed shutdown scripts, with one of the fees that we signed. */
  readonly mutual: boolean
}

export type BeginLocal = (channel: Channel, ctx: ChannelContext) => OnchainStep
export type FundingSpent = (channel: Channel, spend: FundingSpend, ctx: ChannelContext) => OnchainStep
export type OnchainEvent = (
  channel: Channel,
  onchain: OnchainState,
  input: OnchainInput,
  ctx: ChannelContext,
) => OnchainStep
