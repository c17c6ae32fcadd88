import type { ChannelId, NodeId, Outpoint, ShortChannelId, Txid } from '../base/ids.ts'
import type { Msat, Sat } from '../base/units.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import type { SecretStore } from '../crypto/shachain.ts'
import type { CloseRequest, FeeProposal, SimpleClose } from './closeTerms.ts'
import type { FeeUpdate } from './htlc.ts'
import type { HtlcTable } from './htlcTable.ts'
import type { OnchainState } from './onchain/types.ts'
import type { FundingSearch } from './restored.ts'
import type { Basepoints, ChannelTypeName, RelayPolicy } from './types.ts'

/**
 * Everything that is known of one channel: immutable plain data, never a secret. What did not change keeps its reference, which is
 * how the store finds what to write.
 */
export type ChannelState =
  | OpeningState
  | FundedState
  | OfflineState
  | SyncingState
  | ClosingState
  | WaitingForPeerState
  | ClosedState

/** Before the funding transaction is bound: never stored, forgotten when the connection is lost (BOLT 2 §message-retransmission). */
export type OpeningState = AwaitAcceptState | AwaitFundingState | AwaitFundingSignedState | AwaitFundingCreatedState

/** A channel with a peer that is connected and in step with us. */
export type FundedState = AwaitReadyState | NormalState | ShutdownState | NegotiatingState

// ---------------------------------------------------------------- opening

/** What is agreed, or proposed, before there is a channel id. */
export interface Proposal {
  readonly temporaryChannelId: ChannelId
  readonly remoteNodeId: NodeId
  readonly isOpener: boolean
  readonly announce: boolean
  readonly channelType: ChannelTypeName
  readonly capacitySat: Sat
  readonly pushMsat: Msat
  readonly feeratePerKw: number
  readonly keyIndex: number
  readonly theirFeatures: Uint8Array
  readonly relay: RelayPolicy
  readonly local: SideParams
}

/** We sent open_channel. */
export interface AwaitAcceptState {
  readonly tag: 'await-accept'
  readonly proposal: Proposal
  readonly fundingFeeratePerKw: number
  readonly requestId: number
}
/** accept_channel came; the wallet is building the funding transaction. */
export interface AwaitFundingState {
  readonly tag: 'await-funding'
  readonly proposal: Proposal
  readonly remote: SideParams
  readonly minimumDepth: number
  readonly remotePoint: Uint8Array
  readonly requestId: number
}
/** We sent funding_created. */
export interface AwaitFundingSignedState {
  readonly tag: 'await-funding-signed'
  readonly channel: Channel
  readonly temporaryChannelId: ChannelId
  readonly requestId: number
}
/** We sent accept_channel. */
export interface AwaitFundingCreatedState {
  readonly tag: 'await-funding-created'
  readonly proposal: Proposal
  readonly remote: SideParams
  readonly minimumDepth: number
  readonly remotePoint: Uint8Array
}

// ---------------------------------------------------------------- funded

/** Both have each other's first commitment signature; waits for depth and for both channel_ready. */
export interface AwaitReadyState {
  readonly tag: 'await-ready'
  readonly channel: Channel
}

export interface NormalState {
  readonly tag: 'normal'
  readonly channel: Channel
  /** The scriptpubkey of the shutdown that we sent. */
  readonly localShutdown: Uint8Array | null
  /** The scriptpubkey of the shutdown that the peer sent; ours follows as soon as nothing waits for our signature. */
  readonly remoteShutdown: Uint8Array | null
  /** The operator asked for a cooperative close; our shutdown goes out as soon as nothing waits for our signature. */
  readonly closeRequest: CloseRequest | null
}

/** Both sent shutdown; HTLCs are being resolved. */
export interface ShutdownState {
  readonly tag: 'shutdown'
  readonly channel: Channel
  readonly localScript: Uint8Array
  readonly remoteScript: Uint8Array
  readonly closeRequest: CloseRequest | null
}

/** No HTLC is left: the fee of the closing transaction is being agreed, or is agreed and the transaction published. */
export interface NegotiatingState {
  readonly tag: 'negotiating'
  readonly channel: Channel
  readonly localScript: Uint8Array
  readonly remoteScript: Uint8Array
  readonly closeRequest: CloseRequest | null
  /** What we last proposed in this connection. */
  readonly sent: FeeProposal | null
  /** What the peer last proposed in this connection. */
  readonly received: FeeProposal | null
  /** Every fee that we ever signed for: the peer may publish any of these. */
  readonly signedFees: readonly Sat[]
  /** Fully signed closing transactions, oldest first; any of them may confirm. */
  readonly published: readonly Transaction[]
  /** With option_simple_close; absent where that was never spoken. */
  readonly simple?: SimpleClose
}

// ---------------------------------------------------------------- connection and end

/** The peer is not connected. */
export interface OfflineState {
  readonly tag: 'offline'
  readonly from: FundedState
}

/** Connected; theirs is awaited, our channel_reestablish is sent, but for a channel in doubt, which hears theirs first. */
export interface SyncingState {
  readonly tag: 'syncing'
  readonly from: FundedState
  /** The peer showed that it lost data: nothing more is sent until it asks us to close. */
  readonly peerBehind: boolean
}

/** The funding output is being spent, by us or by the peer; what follows happens on chain. */
export interface ClosingState {
  readonly tag: 'closing'
  readonly channel: Channel
  /** What to tell the peer whenever it connects (BOLT 2 §message-retransmission: the error packet is retransmitted). */
  readonly error: string | null
  readonly onchain: OnchainState
  /** The peer has proved that our newest commitment is revoked: not even a reorganisation has it published again. */
  readonly isOld?: true
  /** HTLCs whose preimages have come in this turn: they are claimed at its end, be it hundreds. */
  readonly toClaim?: readonly bigint[]
}

/** We lost data, or may have: our commitment is not broadcast, the peer is asked to publish its own. */
export interface WaitingForPeerState {
  readonly tag: 'waiting-for-peer'
  readonly channel: Channel
  readonly error: string
  /** Of a restored channel, whose funding may never have been published. */
  readonly search?: FundingSearch
  /** Whether the peer has proved that our commitment is revoked; absent where that was not noted yet, or nothing is known to publish. */
  readonly isOld?: boolean
  /** Height after which ours is published, where only nothing has shown that it is the newest (heldBack.ts); absent: never. */
  readonly publishAfter?: number
}

/**
 * Nothing is left to do. `channel` is null when the channel was never funded. What is on chain is watched until it is irrevocable:
 * a reorganisation makes it a closing channel again.
 */
export interface ClosedState {
  readonly tag: 'closed'
  readonly channel: Channel | null
  readonly onchain: OnchainState | null
  readonly reason: string
  /** All is so deep in the chain that it is not watched any more, but for what is left over (onchain/leftovers.ts). */
  readonly irrevocable?: true
  /** What was left over is spent since, in a block that may be undone yet. */
  readonly shallow?: true
  /** The peer has proved that our newest commitment is revoked, which the chain may yet take back. */
  readonly isOld?: true
  /** It can never be funded: what was to fund it is in the chain, and pays to something else, or has lost its coins to another. */
  readonly forGood?: boolean
}

// ---------------------------------------------------------------- the channel itself

/** What one side declared in open_channel or accept_channel; all but dustLimitSat bind the OTHER side. */
export interface SideParams {
  /** Outputs below it are left out of this side's own commitment. */
  readonly dustLimitSat: Sat
  readonly maxHtlcValueInFlightMsat: Msat
  /** What the other side must keep. */
  readonly channelReserveSat: Sat
  readonly htlcMinimumMsat: Msat
  /** Blocks that the other side waits for its own money after publishing its commitment. */
  readonly toSelfDelay: number
  readonly maxAcceptedHtlcs: number
  readonly basepoints: Basepoints
  readonly upfrontShutdownScript: Uint8Array | null
}

/** Fixed at the opening. */
export interface ChannelParams {
  readonly channelId: ChannelId
  readonly remoteNodeId: NodeId
  readonly isOpener: boolean
  readonly announce: boolean
  readonly channelType: ChannelTypeName
  readonly keyIndex: number
  /** Confirmations before we send channel_ready. */
  readonly minimumDepth: number
  readonly local: SideParams
  readonly remote: SideParams
  /** Block height when the opening began. */
  readonly openedAt: number
}

export interface Channel {
  readonly params: ChannelParams
  readonly commitments: Commitments
  readonly funding: FundingStatus
  readonly relay: RelayPolicy
  readonly announcement: Announcement
  /** channel_ready was sent. */
  readonly localReady: boolean
  /** channel_ready was received. */
  readonly remoteReady: boolean
  /** An alias from the peer's channel_ready, for invoices' route hints. */
  readonly remoteAlias: ShortChannelId | null
  /** Of the last init message. */
  readonly theirFeatures: Uint8Array
  /** Closing transactions that carry our signature; absent in a channel of an older version, which did not note them. */
  readonly closings?: readonly Txid[]
  /** The store lost a write, or the peer proved that: our commitment is not published before it is shown not to be revoked (doubt.ts). */
  readonly unproven?: true
  /** Made from a static backup (restored.ts): no commitment of either side is known, only keys, funding and HTLCs that hung. */
  readonly restored?: true
  /** After data was lost: the point that the peer says its newest commitment has, 33 B, on the curve. A hint: its scripts prove it. */
  readonly toldPoint?: Uint8Array
  /** Of a restored channel that we had closed by force: what its own commitment's HTLC transactions are made again from. */
  readonly ownStages?: readonly OwnStage[]
}

/** The HTLC transaction of one HTLC in a commitment of ours. */
export interface OwnStage {
  readonly direction: 'in' | 'out'
  readonly id: bigint
  /** The peer's, 64 B. */
  readonly signature: Uint8Array
  /** Of its output: what the fee leaves. */
  readonly outputSat: Sat
}

/** A transaction that is nothing once another spends any of the same coins. */
export interface CoinSpender {
  readonly txid: Txid
  readonly inputs: readonly Outpoint[]
}

export interface FundingStatus {
  /** Ours, to be broadcast until it confirms; null on the accepter's side. */
  readonly tx: Transaction | null
  /** What it builds on that was not deep in the chain when it was made; absent where that is nothing. */
  readonly ancestors?: readonly CoinSpender[]
  /** Null while unconfirmed. */
  readonly confirmed: { readonly height: number; readonly txIndex: number } | null
  /** Height at which another transaction has spent what it, or what it builds on, would have to; absent where none has. */
  readonly rival?: number
}

/** BOLT 7 §announcement_signatures. */
export interface Announcement {
  /** When we sent ours last: in this connection, in an earlier one, or never. */
  readonly sent: 'never' | 'before' | 'now'
  /** The peer's, checked. */
  readonly remote: AnnouncementSignatures | null
}
export interface AnnouncementSignatures {
  readonly shortChannelId: ShortChannelId
  /** 64 B each. */
  readonly nodeSignature: Uint8Array
  readonly bitcoinSignature: Uint8Array
}

/**
 * Both sides' commitments, derived from the HTLC records: which commitment an HTLC stands in follows from its stage. The numbers
 * are shared by all active fundings; balances differ by each funding's base.
 */
export interface Commitments {
  /** One per funding transaction that may confirm; the first is the one in use. */
  readonly active: readonly Commitment[]
  /** HTLCs that we offered. */
  readonly outgoing: HtlcTable
  /** HTLCs that the peer offered. */
  readonly incoming: HtlcTable
  readonly nextOutgoingId: bigint
  readonly nextIncomingId: bigint
  /** Fee updates that are not in both commitments yet, oldest first. */
  readonly feeUpdates: readonly FeeUpdate[]
  /** Our newest commitment, with the peer's signatures in `active`. */
  readonly local: CommitmentNumbers
  /** The peer's newest commitment whose predecessor it has revoked. */
  readonly remote: RemoteNumbers
  /** The peer's commitment that we signed and whose predecessor it has not revoked yet: at most one. */
  readonly remoteSigned: SignedNumbers | null
  /** The peer's point for the commitment after the newest that we signed; null when it has not been received. */
  readonly remoteNextPoint: Uint8Array | null
  /** Revealed secrets of the peer's commitments 0 … remote.number − 1. */
  readonly secrets: SecretStore
  /** Running sums over what the next commitments would hold; derived from the records, not stored. */
  readonly next: { readonly local: Totals; readonly remote: Totals }
}

/** What is particular to one funding transaction. */
export interface Commitment {
  readonly funding: Outpoint
  readonly capacitySat: Sat
  /** Our and their balance if no HTLC had ever been settled. */
  readonly baseLocalMsat: Msat
  readonly baseRemoteMsat: Msat
  /** The peer's signatures on our newest commitment and its HTLC transactions, in output order; 64 B each. */
  readonly signature: Uint8Array
  readonly htlcSignatures: readonly Uint8Array[]
}

export interface CommitmentNumbers {
  /** 0, 1, 2 … */
  readonly number: number
  readonly feeratePerKw: number
  /** Sum of all settled HTLCs since the opening, positive when they moved money to us. */
  readonly shiftMsat: bigint
}
export interface RemoteNumbers extends CommitmentNumbers {
  /** Their per-commitment point, 33 B. */
  readonly point: Uint8Array
}
export interface SignedNumbers extends RemoteNumbers {
  /** The number of our own commitment when we signed: tells the order of a lost commitment_signed and revoke_and_ack. */
  readonly localNumber: number
}

/** Sums over one commitment's HTLCs, "out" and "in" as seen from us. */
export interface Totals {
  readonly feeratePerKw: number
  readonly shiftMsat: bigint
  readonly outMsat: bigint
  readonly outCount: number
  readonly inMsat: bigint
  readonly inCount: number
  /** HTLCs that get an output. */
  readonly untrimmed: number
  /** Sum of the HTLCs that do not. */
  readonly dustMsat: bigint
}
