import type { ChannelId, NodeId, PaymentHash, ShortChannelId } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import type { ChannelCommand, Fault, HtlcFailure, RelayPolicy } from '../channel/types.ts'
import type { RouteHint } from '../invoice/fields.ts'
import type { RoutePlan } from '../routing/split.ts'
import type { DirectedChannel, RouteHop } from '../routing/types.ts'
import type { LearnedPolicy } from './learned.ts'
import type { Lesson } from './lessons.ts'

/** Records here are plain data: bigints, strings, numbers, Uint8Array, arrays and null. They survive MessagePack unchanged. */

// ---------------------------------------------------------------- effects

export type HtlcCommand = Extract<
  ChannelCommand,
  { readonly tag: 'addHtlc' | 'presumeHtlc' | 'fulfillHtlc' | 'failHtlc' | 'failMalformedHtlc' }
>

/** What a payment wants done, once its record is stored. All may be repeated after a restart. */
export type PaymentEffect =
  | { readonly tag: 'command'; readonly channelId: ChannelId; readonly command: HtlcCommand }
  | { readonly tag: 'notify'; readonly event: PaymentEvent }
  /** Call tick for this record at that time (Unix ms); calling earlier or more often does no harm. */
  | { readonly tag: 'wake'; readonly at: number }

export type PaymentEvent =
  | { readonly type: 'payment.pending' | 'payment.succeeded' | 'payment.failed'; readonly paymentHash: PaymentHash }
  | { readonly type: 'invoice.accepted' | 'invoice.settled' | 'invoice.expired'; readonly paymentHash: PaymentHash }
  | {
      readonly type: 'forward.settled' | 'forward.failed'
      readonly forward: ForwardRecord
      /** What went wrong, for people; null when settled. */
      readonly detail: string | null
    }

/** A record and what follows from the change. The record is the same reference when nothing changed. */
export interface PaymentTurn<R> {
  readonly record: R
  readonly effects: readonly PaymentEffect[]
  /** For other payments. */
  readonly lessons?: readonly Lesson[]
  /** To be given back as an input in another turn: routes are being looked for. A later plan of the payment takes its place. */
  readonly plan?: RoutePlan
}

// ---------------------------------------------------------------- outgoing

export type PaymentFailureCode =
  | 'NO_ROUTE'
  | 'INSUFFICIENT_BALANCE'
  /** The payee refused: unknown invoice, wrong amount, already paid. */
  | 'REJECTED_BY_PAYEE'
  | 'TIMEOUT'
  | 'CANCELLED'
  | 'TOO_MANY_ATTEMPTS'
  /** Found in the channels after a crash, without a record of what was meant. */
  | 'INTERRUPTED'
  /** An HTLC of it may have been settled in a channel that has lost data. */
  | 'OUTCOME_UNKNOWN'

export interface PaymentFailure {
  readonly code: PaymentFailureCode
  readonly detail: string
  /** With OUTCOME_UNKNOWN: it is an earlier try that may have come through, and this one has not. */
  readonly isOfEarlier?: true
}

/** One HTLC that we offered or tried to. Its index in the record is HtlcOrigin.attempt. */
export interface PaymentAttempt {
  readonly status: 'pending' | 'succeeded' | 'failed'
  /** 32 B, of the onion: what decrypts a failure, also after a restart. Empty for an attempt found after a crash. */
  readonly sessionKey: Uint8Array
  readonly channelId: ChannelId
  /** From our peer to the payee; empty for an attempt found after a crash. */
  readonly hops: readonly RouteHop[]
  /** What arrives. */
  readonly amountMsat: Msat
  readonly feeMsat: Msat
  /** What went wrong, for people: `fee_insufficient at 02ab…`. */
  readonly failure: string | null
  /** Its end may have been in a write that a start found missing. */
  readonly isDoubted?: true
}

/** What is to be paid, unchanged over all attempts. */
export interface PaymentTarget {
  /** null only for an interrupted payment. */
  readonly payee: NodeId | null
  readonly amountMsat: Msat
  readonly maxFeeMsat: Msat
  /** HTLCs at a time; 1 unless the invoice offers basic_mpp. */
  readonly maxParts: number
  /** No new attempt from here on, Unix ms. */
  readonly deadline: number
  readonly finalCltvDelta: number
  /** null for keysend. */
  readonly paymentSecret: Uint8Array | null
  readonly paymentMetadata: Uint8Array | null
  /** null unless keysend. */
  readonly keysendPreimage: Uint8Array | null
  readonly routeHints: readonly RouteHint[]
  readonly bolt11: string | null
}

export interface NarrowChannel {
  readonly key: DirectedChannel
  /** What it may be tried with where nothing leads around it: half of what it refused last. */
  readonly mostMsat: Msat
}

export interface PaymentRecord {
  readonly paymentHash: PaymentHash
  /** failed: nothing is in flight any more and nothing more is tried. succeeded: the preimage is known. */
  readonly status: 'pending' | 'succeeded' | 'failed'
  readonly target: PaymentTarget
  readonly attempts: readonly PaymentAttempt[]
  /** Blocks by which all HTLCs expire later than they need to; the same in all tries, none where left out. */
  readonly shadowDelta?: number
  /** Index of the first attempt of the current try: a failed payment may be tried again under the same record. */
  readonly since: number
  /** An earlier try may have come through. */
  readonly mayBePaid?: true
  readonly excludedChannels: readonly DirectedChannel[]
  /** Directions that had no room for an HTLC of this try; left out while there is none. */
  readonly narrow?: readonly NarrowChannel[]
  /** What failures of this try said that channels really ask; left out while nothing did. */
  readonly learned?: readonly LearnedPolicy[]
  readonly excludedNodes: readonly NodeId[]
  /** Ours, which refused this payment. */
  readonly excludedLocal: readonly ChannelId[]
  readonly preimage: Uint8Array | null
  /** Why no more is tried; with status pending, HTLCs are still out. */
  readonly failure: PaymentFailure | null
  /** Unix ms. */
  readonly createdAt: number
  readonly completedAt: number | null
}

// ---------------------------------------------------------------- incoming

export interface ReceivedHtlc {
  readonly channelId: ChannelId
  readonly id: bigint
  readonly amountMsat: Msat
  readonly cltvExpiry: number
  /** 32 B, of its onion: encrypts a failure for the payer. */
  readonly sharedSecret: Uint8Array
}

export interface InvoiceRecord {
  readonly paymentHash: PaymentHash
  readonly kind: 'invoice' | 'hold' | 'keysend'
  /**
   * open: HTLCs may be gathering. accepted: complete, waits for settle (hold). settled, cancelled, expired: for ever, except that
   * a set which a crash left incomplete is completed (see incoming.ts).
   */
  readonly status: 'open' | 'accepted' | 'settled' | 'cancelled' | 'expired'
  /** null for a hold invoice until it is settled. */
  readonly preimage: Uint8Array | null
  /** null for keysend. */
  readonly paymentSecret: Uint8Array | null
  /** null: any amount. */
  readonly amountMsat: Msat | null
  readonly minFinalCltvExpiryDelta: number
  readonly bolt11: string | null
  readonly description: string | null
  /** Hex, of a description that is told elsewhere; absent: none. */
  readonly descriptionHash?: string
  /** Unix ms. */
  readonly createdAt: number
  readonly expiresAt: number
  readonly settledAt: number | null
  /** The HTLC set: held while open or accepted; what paid it when settled; what was refused when cancelled. */
  readonly htlcs: readonly ReceivedHtlc[]
  /** total_msat of the set; null without one. */
  readonly totalMsat: Msat | null
  /** When the first HTLC of the set came, Unix ms; null without one. */
  readonly setStartedAt: number | null
}

// ---------------------------------------------------------------- forwarding

/** Whether a hop is in a blinded path, which decides how it may fail. @source BOLT 4 §failure-messages */
export type Blinding = 'none' | 'introduction' | 'inside'

/** A payment on its way through us. Can be made again from the incoming HTLC (`forwardRecordOf`). */
export interface ForwardRecord {
  readonly paymentHash: PaymentHash
  readonly incomingChannelId: ChannelId
  readonly incomingHtlcId: bigint
  readonly amountInMsat: Msat
  /** null when it could not be forwarded, or after a restart. */
  readonly outgoingChannelId: ChannelId | null
  readonly amountOutMsat: Msat
  /** 32 B, of the incoming onion. */
  readonly sharedSecret: Uint8Array
  readonly blinding: Blinding
  /** 32 B, of the incoming onion; null unless blinded. */
  readonly sha256OfOnion: Uint8Array | null
  readonly next: NextHop
}

/** What became of the HTLC that we offered onwards. */
export type ForwardResult =
  | { readonly tag: 'fulfilled'; readonly preimage: Uint8Array }
  | { readonly tag: 'failed'; readonly failure: HtlcFailure }
  /** Nothing was offered. */
  | { readonly tag: 'rejected'; readonly fault: Fault }

/** A channel of ours as the forwarder sees it. */
export interface OutgoingChannel {
  readonly channelId: ChannelId
  readonly remoteNodeId: NodeId
  /** disabled: we said so in channel_update. */
  readonly status: 'usable' | 'offline' | 'disabled' | 'closing'
  readonly relay: RelayPolicy
  /** The policy before the last change, for as long as senders may not have heard of the new one. */
  readonly previousRelay?: RelayPolicy | null
  /** The largest HTLC that we could add now. */
  readonly sendableMsat: Msat
}

/**
 * Our channel_update of a channel, as all the network has it: what a failure may say about it. Empty where nobody else has one, or
 * where the channel is called by another name there.
 * @source BOLT 4 §failure-messages
 */
export type PublicUpdate = (next: NextHop) => Uint8Array

export interface ForwardContext {
  readonly blockHeight: number
  /** Nothing of any channel when left out. */
  readonly publicUpdate?: PublicUpdate
  /** All channels with the node at the other end of this one (non-strict forwarding), the one meant first; empty when unknown. */
  readonly channelsTo: (next: NextHop) => readonly OutgoingChannel[]
  readonly limits: ForwardLimits
}

export interface ForwardLimits {
  /** An outgoing HTLC must not expire within this many blocks. */
  readonly minExpiryBlocks: number
  /** Nor later than this many from now. @source BOLT 4 §max_htlc_cltv-selection */
  readonly maxExpiryBlocks: number
}
export const DEFAULT_FORWARD_LIMITS: ForwardLimits = { minExpiryBlocks: 13, maxExpiryBlocks: 2016 }

export type NextHop =
  | { readonly tag: 'channel'; readonly shortChannelId: ShortChannelId }
  | { readonly tag: 'node'; readonly nodeId: NodeId }
