import type { ChannelId, NodeId, Outpoint, PaymentHash, ShortChannelId, Txid } from '../base/ids.ts'
import type { Msat, Sat } from '../base/units.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import type { ChannelMessage } from '../wire/registry.ts'
import type { RevokedHtlc } from './htlc.ts'
import type { AnchorPlan } from './onchain/anchor.ts'
import type { HtlcStage, SweepShare } from './onchain/claims.ts'
import type { ChannelState, CoinSpender } from './state.ts'

/** What the core decided: the state to store, then the effects to release, in order, once it is on disk. */
export interface Turn {
  readonly state: ChannelState
  readonly effects: readonly Effect[]
}

/** Everything outside the channel that a decision may depend on, as a snapshot: the core has no clock, chain or randomness. */
export interface ChannelContext {
  readonly blockHeight: number
  /** Blocks are being caught up with, in seconds: how many have passed says nothing of how long something has waited. */
  readonly isBehind?: boolean
  /** Genesis block hash in wire order, 32 B. */
  readonly chainHash: Uint8Array
  /** Our own. */
  readonly nodeId: NodeId
  /** Feerates in sat per 1,000 weight units, ≥ 253. `slow`: for what nobody races for; when left out, `claim` is for that too. */
  readonly feerates: {
    readonly commitment: number
    readonly closing: number
    readonly claim: number
    readonly slow?: number
  }
  /** Secrets of this channel. Nothing secret is ever in the state. */
  readonly signer: ChannelSigner
  /** Our own limits and preferences (not negotiated ones: those are in the state). */
  readonly policy: ChannelPolicy
  /** Where swept and closed funds go: a wallet script pubkey that stays the same for the channel's life. */
  readonly sweepScriptPubKey: Uint8Array
  /** Whether a channel of ours, with whichever peer, has this id. Left out where there is only one channel. */
  readonly isTaken?: (channelId: ChannelId) => boolean
  /** Height at which the HTLC expires that a forward came by; null where it is gone. Left out where there is only one channel. */
  readonly incomingExpiry?: (channelId: ChannelId, htlcId: bigint) => number | null
  /** What other channels than `but` have let go of forwards that came by a channel, sat (onchain/letGo.ts). Left out where there is only one. */
  readonly letGoElsewhere?: (cameBy: ChannelId, but: ChannelId) => bigint
}

/** Our own limits and preferences for channels. */
export interface ChannelPolicy {
  readonly dustLimitSat: Sat
  /** max_htlc_value_in_flight_msat that we let a peer use, in millionths of the capacity (1,000,000 = all of it). */
  readonly maxHtlcValueInFlightMillionths: number
  readonly htlcMinimumMsat: Msat
  readonly toSelfDelay: number
  /** The most that we let a peer ask of us, in blocks. */
  readonly maxToSelfDelay: number
  readonly maxAcceptedHtlcs: number
  /** Confirmations that we ask of a channel which a peer opens. */
  readonly minimumDepth: number
  /** Of one of 2^24 sat or more, at least; when left out, size makes no difference. */
  readonly largeMinimumDepth?: number
  /** channel_reserve_satoshis that we ask for, in millionths of the capacity (10,000 = 1 %). */
  readonly reserveMillionths: number
  readonly minFundingSat: Sat
  readonly maxFundingSat: Sat
  /** A peer's feerate is acceptable between our estimate × low / 100 and our estimate × high / 100. */
  readonly feerateTolerancePercent: { readonly low: number; readonly high: number }
  /** Blocks before an HTLC's expiry at which we go on chain for it. */
  readonly closeBeforeExpiry: number
  /**
   * Blocks on top of the end of an HTLC on chain after which it is failed upstream: a reorganisation of so many does not bring it back. Fewer
   * do where what it came by expires soon.
   */
  readonly htlcFailDepth: number
  /** Limit on the sum of dust HTLCs in a commitment, per side. */
  readonly maxDustExposureMsat: Msat
}

/** Holds a channel's secrets. `secpSigner` makes real signatures; property tests have a fast deterministic fake. */
export interface ChannelSigner {
  readonly basepoints: Basepoints
  /** Our per-commitment point for commitment number n (0, 1, 2 …), 33 B. BOLT 3 §per-commitment-secret-requirements. */
  commitmentPoint(n: number): Uint8Array
  /** Our per-commitment secret for number n, 32 B. Only ever called for a commitment that is being revoked. */
  commitmentSecret(n: number): Uint8Array
  /** With the funding key: commitment and closing transactions. 64 B compact. */
  signFunding(sighash: Uint8Array): Uint8Array
  /** With the HTLC key tweaked for a per-commitment point (ours or theirs). */
  signHtlc(sighash: Uint8Array, commitmentPoint: Uint8Array): Uint8Array
  /** With the delayed-payment key tweaked for our own per-commitment point. */
  signDelayed(sighash: Uint8Array, commitmentPoint: Uint8Array): Uint8Array
  /** With the untweaked payment key: their commitment's to_remote. */
  signPayment(sighash: Uint8Array): Uint8Array
  /** With the revocation key made from their revealed secret. */
  signRevocation(sighash: Uint8Array, commitmentSecret: Uint8Array): Uint8Array
  /** With the node's own key over a BOLT 7 announcement digest (node signature). */
  signAnnouncement(digest: Uint8Array): Uint8Array
  /** true when the 64-byte compact signature is right for the key (33 B). */
  verify(signature: Uint8Array, sighash: Uint8Array, publicKey: Uint8Array): boolean
  /** The index of one of as many signatures as sighashes that is not right for the key, or −1. */
  verifyAll(signatures: readonly Uint8Array[], sighashes: readonly Uint8Array[], publicKey: Uint8Array): number
}

/** BOLT 2 §open_channel: the funding key and the four basepoints, 33 B each. */
export interface Basepoints {
  readonly fundingPubkey: Uint8Array
  readonly revocationBasepoint: Uint8Array
  readonly paymentBasepoint: Uint8Array
  readonly delayedPaymentBasepoint: Uint8Array
  readonly htlcBasepoint: Uint8Array
}

export type ChannelTypeName = 'anchors' | 'static_remotekey'

/** Who offered an outgoing HTLC; stored with it, so that recovery needs nothing else. */
export type HtlcOrigin =
  | { readonly tag: 'payment'; readonly paymentHash: PaymentHash; readonly attempt: number }
  | { readonly tag: 'forward'; readonly channelId: ChannelId; readonly htlcId: bigint }

// ---------------------------------------------------------------- inputs

export type ChannelInput =
  | { readonly tag: 'message'; readonly message: ChannelMessage }
  /** The transport is up and both init messages are exchanged. */
  | { readonly tag: 'connected'; readonly theirFeatures: Uint8Array }
  | { readonly tag: 'disconnected' }
  /**
   * The store lost a write, so that the state may be older than what was said to the peer. Known at a start, before any other input, or
   * late: when the peer may have heard of this state already. Or nothing says so, but something spends the channel that its records do
   * not know of.
   */
  | { readonly tag: 'doubted'; readonly isLate?: true; readonly isSpent?: true }
  | { readonly tag: 'command'; readonly command: ChannelCommand }
  /** End of the reactor's turn: sign whatever waits for a commitment_signed, if the peer's last revocation is in. */
  | { readonly tag: 'sign' }
  /** The answer to effect `fund`. */
  | {
      readonly tag: 'funded'
      readonly tx: Transaction
      readonly outputIndex: number
      /** What it builds on, as far as that may yet be undone. */
      readonly ancestors?: readonly CoinSpender[]
    }
  | { readonly tag: 'fundingFailed'; readonly reason: string }
  /** The answer to effect `loadRevokedHtlcs`. */
  | { readonly tag: 'revokedHtlcs'; readonly commitmentNumber: number; readonly htlcs: readonly RevokedHtlc[] }
  | { readonly tag: 'chain'; readonly event: ChainEvent }
  /** What is watched has been looked for in every older block from this height on too: whatever is there has been told. */
  | { readonly tag: 'searched'; readonly fromHeight: number }

/** What the watcher reports of the things that `watches(state)` names. Height is the block's. */
export type ChainEvent =
  | { readonly tag: 'block'; readonly height: number }
  | {
      readonly tag: 'confirmed'
      readonly txid: Txid
      readonly tx: Transaction
      readonly height: number
      readonly txIndex: number
    }
  | { readonly tag: 'spent'; readonly outpoint: Outpoint; readonly tx: Transaction; readonly height: number }
  /** Blocks above `height` are undone; whatever confirmed in them is reported again if it confirms again. */
  | { readonly tag: 'reorg'; readonly height: number }

export type ChannelCommand =
  | {
      readonly tag: 'addHtlc'
      readonly amountMsat: Msat
      readonly paymentHash: PaymentHash
      readonly cltvExpiry: number
      /** 1,366 B. */
      readonly onion: Uint8Array
      readonly origin: HtlcOrigin
      readonly pathKey?: Uint8Array
    }
  /** Of a channel that we lost writes of: an HTLC that we may have offered in what was lost (presumed.ts). */
  | {
      readonly tag: 'presumeHtlc'
      readonly amountMsat: Msat
      readonly paymentHash: PaymentHash
      readonly cltvExpiry: number
      readonly origin: HtlcOrigin
    }
  /** The same for HTLCs that the peer may have offered: what spends of other channels' commitments have shown, 32 B each. */
  | { readonly tag: 'presumeReceived'; readonly shown: readonly Uint8Array[] }
  | { readonly tag: 'fulfillHtlc'; readonly id: bigint; readonly preimage: Uint8Array }
  /** reason: the encrypted failure packet. */
  | { readonly tag: 'failHtlc'; readonly id: bigint; readonly reason: Uint8Array }
  | {
      readonly tag: 'failMalformedHtlc'
      readonly id: bigint
      readonly sha256OfOnion: Uint8Array
      readonly failureCode: number
    }
  | { readonly tag: 'updateFee'; readonly feeratePerKw: number }
  | {
      readonly tag: 'close'
      readonly requestId: number
      readonly scriptPubKey?: Uint8Array
      readonly feeratePerKw?: number
    }
  /** evenIfRevoked: the operator accepts that our commitment may be revoked, and all be lost. */
  | { readonly tag: 'forceClose'; readonly requestId: number; readonly evenIfRevoked?: true }
  | { readonly tag: 'setPolicy'; readonly requestId: number; readonly relay: RelayPolicy }

/** What we ask of payments forwarded out over this channel (BOLT 7 §channel_update). */
export interface RelayPolicy {
  readonly feeBaseMsat: number
  readonly feeProportionalMillionths: number
  readonly cltvExpiryDelta: number
  readonly htlcMinimumMsat: Msat
  readonly htlcMaximumMsat: Msat
}

// ---------------------------------------------------------------- effects

export type Effect =
  | { readonly tag: 'send'; readonly message: ChannelMessage }
  /** `addFees`: a zero-fee HTLC transaction that the wallet must add inputs to, at this many sat per kw (BOLT 3, option_anchors). */
  | {
      readonly tag: 'broadcast'
      readonly tx: Transaction
      readonly purpose: TxPurpose
      readonly addFees?: number
      /** With addFees: the most that the wallet may pay. */
      readonly budgetSat?: Sat
      /** With addFees, near its deadline: the most that it may pay with what it builds on, where that waits at a lower feerate. */
      readonly urgentSat?: Sat
      /** With addFees: what it keeps back meanwhile, for the other HTLC transactions of the channel. */
      readonly leaveSat?: Sat
      /** With addFees: it is too dear by the estimates, so that it is not begun; what is under way is raised. */
      readonly onlyRaise?: true
      /** With addFees: what `signHtlcTx` (onchain/claims.ts) signs the transaction with once the wallet's inputs are in it. */
      readonly signAgain?: { readonly stage: HtlcStage; readonly preimage: Uint8Array | null }
      /** A sweep that may be made again together with those of other channels (`buildSharedSweep`, onchain/claims.ts). */
      readonly share?: SweepShare
      /** A commitment with anchors: how a child pays for it. */
      readonly anchor?: AnchorPlan
      /** The peer's commitments that the mempools may have instead, with the same for each. */
      readonly rivals?: readonly AnchorPlan[]
    }
  /** Build and sign (but do not broadcast) a transaction paying amountSat to the funding script; answer with `funded`. */
  | { readonly tag: 'fund'; readonly amountSat: Sat; readonly scriptPubKey: Uint8Array; readonly feeratePerKw: number }
  /** The funding transaction will never be broadcast: its coins are free again. */
  | { readonly tag: 'releaseFunding' }
  | { readonly tag: 'relay'; readonly event: HtlcEvent }
  | { readonly tag: 'notify'; readonly event: ChannelEvent }
  | { readonly tag: 'reply'; readonly requestId: number; readonly result: 'done' | Fault }
  /** Close the connection after everything before it is sent (BOLT 1 §error). */
  | { readonly tag: 'disconnect'; readonly reason: string }
  /** BOLT 7: our half of a channel announcement is known, or our policy changed: the gossip part makes and sends the messages. */
  | { readonly tag: 'gossip' }
  /**
   * The peer published a revoked commitment: read the channel's revoked-HTLC records (persist.ts, REVOKED_PREFIX) and hand over those
   * that stood in this commitment, as input `revokedHtlcs`.
   */
  | { readonly tag: 'loadRevokedHtlcs'; readonly commitmentNumber: number }

export type TxPurpose = 'funding' | 'mutual-close' | 'commitment' | 'htlc' | 'sweep' | 'penalty'

/** From the channel to the payment machine. Each may be repeated after a restart; the receiver ignores what it knows. */
export type HtlcEvent =
  /** An incoming HTLC is irrevocably committed on both sides. */
  | { readonly tag: 'received'; readonly htlc: IncomingHtlc }
  /** The peer revealed the preimage of an HTLC that we offered. */
  | { readonly tag: 'fulfilled'; readonly id: bigint; readonly origin: HtlcOrigin; readonly preimage: Uint8Array }
  /** An HTLC that we offered is irrevocably removed without a preimage. */
  | { readonly tag: 'failed'; readonly id: bigint; readonly origin: HtlcOrigin; readonly failure: HtlcFailure }
  /** addHtlc could not be done: nothing was offered. */
  | { readonly tag: 'rejected'; readonly origin: HtlcOrigin; readonly fault: Fault }

export interface IncomingHtlc {
  readonly channelId: ChannelId
  readonly id: bigint
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
  readonly onion: Uint8Array
  readonly pathKey?: Uint8Array
  /** It exceeded our limit on dust in a commitment: fail it, reveal no preimage (BOLT 2 §bounding-exposure). */
  readonly excessDust?: true
}

/** How an HTLC is taken out of a channel. */
export type Removal =
  | { readonly tag: 'fulfilled'; readonly preimage: Uint8Array }
  /** reason: the encrypted failure packet. */
  | ({ readonly tag: 'failed'; readonly reason: Uint8Array } & FailedAfterProof)
  | ({ readonly tag: 'malformed'; readonly sha256OfOnion: Uint8Array; readonly failureCode: number } & FailedAfterProof)

/**
 * The peer had shown the preimage of the HTLC in an earlier connection, and reversed that: the amount is ours again, and what it was offered
 * for is paid all the same.
 * @source BOLT 2 §message-retransmission
 */
export interface FailedAfterProof {
  /** 32 B. */
  readonly shown?: Uint8Array
}

export type HtlcFailure =
  | { readonly tag: 'onion'; readonly reason: Uint8Array }
  | { readonly tag: 'malformed'; readonly failureCode: number; readonly sha256OfOnion: Uint8Array }
  /**
   * Timed out on chain, or dropped by a closing channel. `presumed`: it may never have been offered there (presumed.ts). `undecided`: it is
   * not known whether it was settled, since its channel has lost data.
   */
  | { readonly tag: 'onchain'; readonly presumed?: true; readonly undecided?: true }

/** What people and programs are told; becomes a REST event. */
export type ChannelEvent =
  | { readonly tag: 'pending'; readonly funding: Outpoint }
  | { readonly tag: 'ready'; readonly shortChannelId: ShortChannelId | null }
  | { readonly tag: 'closing'; readonly how: CloseKind; readonly txid: Txid | null }
  | { readonly tag: 'closed'; readonly how: CloseKind; readonly txid: Txid | null }
  | { readonly tag: 'closed'; readonly how: 'never-funded'; readonly txid: null; readonly reason: string }
  | { readonly tag: 'fault'; readonly fault: Fault; readonly byPeer: boolean }

export type CloseKind = 'cooperative' | 'local-force' | 'remote-force' | 'revoked'

/** A broken rule, with its answer. Never thrown: the core returns it inside a turn. */
export interface Fault {
  readonly code: FaultCode
  readonly response: 'reject-command' | 'warn-peer' | 'fail-channel'
  /** The rule, in our own words, with its section: 'BOLT 2 §update_add_htlc: amount_msat is more than 0'. */
  readonly requirement: string
  /** What was seen instead, and for a command of ours what to do. */
  readonly detail: string
}

export type FaultCode =
  | 'PROTOCOL_VIOLATION'
  | 'BAD_SIGNATURE'
  | 'BAD_REVOCATION'
  | 'UNACCEPTABLE_PARAMETERS'
  | 'UNACCEPTABLE_FEERATE'
  | 'INSUFFICIENT_BALANCE'
  | 'TOO_MANY_HTLCS'
  | 'HTLC_LIMIT'
  | 'DUST_EXPOSURE'
  | 'UNKNOWN_HTLC'
  | 'WRONG_PREIMAGE'
  | 'CHANNEL_NOT_READY'
  | 'CHANNEL_CLOSING'
  | 'PEER_OFFLINE'
  | 'PEER_ERROR'
  | 'DATA_LOSS'
  | 'INVALID_SCRIPT'
  | 'FUNDING_FAILED'
  | 'PEER_REFUSED'
  | 'EXPIRY_TOO_SOON'

// ---------------------------------------------------------------- derived from the state

/** What the chain watcher must look out for; derived from the state, so that a restart needs no other record. */
export type Watch =
  | { readonly tag: 'confirmation'; readonly txid: Txid; readonly scriptPubKey: Uint8Array; readonly minDepth: number }
  | { readonly tag: 'spend'; readonly outpoint: Outpoint; readonly scriptPubKey: Uint8Array }

export interface OpenParams {
  readonly temporaryChannelId: ChannelId
  readonly remoteNodeId: NodeId
  readonly capacitySat: Sat
  readonly pushMsat: Msat
  readonly announce: boolean
  readonly channelType: ChannelTypeName
  readonly feeratePerKw: number
  readonly fundingFeeratePerKw: number
  readonly theirFeatures: Uint8Array
  readonly relay: RelayPolicy
  /** BIP 32-like index from which the signer's keys are derived; stored, never secret. */
  readonly keyIndex: number
  readonly requestId: number
}

export interface AcceptParams {
  readonly remoteNodeId: NodeId
  readonly theirFeatures: Uint8Array
  readonly relay: RelayPolicy
  readonly keyIndex: number
}
