import type { ChannelId, NodeId, Outpoint, PaymentHash, ShortChannelId } from '../base/ids.ts'
import type { Msat, Sat } from '../base/units.ts'
import type { OnchainView } from '../channel/onchain/view.ts'
import type { RelayPolicy } from '../channel/types.ts'
import type { AnalyticsService } from './analytics/views.ts'
import type { ResourceKey } from './changes.ts'
import type { Logs } from './logs.ts'
import type { OnchainService } from './onchainService.ts'
import type { TimeRange } from './timeRange.ts'

/**
 * What the node does for whoever operates it: the REST API is a thin translation of this. Every method that fails rejects with a
 * ServiceError whose code is one of the API's problem codes.
 */
export interface NodeService extends OnchainService {
  /** From memory, at once. */
  info(): NodeInfo
  /**
   * A fresh local id, of the form that this node gives its resources. A caller that must recognise its own request after a crash
   * stores the id before it acts and passes it as `id` of the request.
   */
  newId(): string
  /** Cost grows with the number of channels. */
  balance(): Promise<Balance>

  /** By node id: those that are connected, to be kept, or that have a channel. */
  peers(page: PageRequest): Promise<Page<PeerView>>
  /** Connects, now and after each restart. @throws ServiceError PEER_UNREACHABLE */
  connectPeer(uri: { nodeId: NodeId; host: string; port: number }): Promise<PeerView>
  /** Hangs up and forgets the address. @throws ServiceError NOT_FOUND, CONFLICT while it has a channel */
  disconnectPeer(nodeId: NodeId): Promise<void>

  /**
   * Resolves once the funding transaction is with the chain; the peer has a minute to answer.
   * @throws ServiceError PEER_UNREACHABLE, PEER_REFUSED, LIMIT_EXCEEDED, INSUFFICIENT_BALANCE, STORAGE_LOW
   */
  openChannel(request: OpenChannelRequest): Promise<ChannelView>
  /** Newest first. @param filter `open`: those that are not closed */
  channels(page: PageRequest, filter: { state?: string; peer?: NodeId; open?: true }): Promise<Page<ChannelView>>
  /** By local id, channel id or short channel id. */
  channel(id: string): Promise<ChannelView>
  /** Resolves when the close has begun; while a channel closes together, changes fee or address. @throws ServiceError CONFLICT */
  closeChannel(id: string, request: CloseChannelRequest): Promise<ChannelView>
  /** What is not named stays. @throws ServiceError VALIDATION_FAILED, CHANNEL_NOT_READY */
  setChannelPolicy(id: string, policy: Partial<RelayPolicy>): Promise<ChannelView>

  /** @throws ServiceError CONFLICT for a payment hash that is known, LIMIT_EXCEEDED, STORAGE_LOW */
  createInvoice(request: CreateInvoiceRequest): Promise<InvoiceView>
  /** @param filter a range of when they were made; those that one key made */
  invoices(page: PageRequest, filter: RecordFilter & { status?: InvoiceStatus }): Promise<Page<InvoiceView>>
  /** By local id or payment hash. */
  invoice(id: string): Promise<InvoiceView>
  /** Takes the payment of a hold invoice. @param preimage 32 B @throws ServiceError CONFLICT, CHAIN_UNAVAILABLE */
  settleInvoice(id: string, preimage: Uint8Array): Promise<InvoiceView>
  /** Fails back what has come in for it. @throws ServiceError CONFLICT */
  cancelInvoice(id: string): Promise<InvoiceView>

  /**
   * Resolves as soon as the payment is stored as pending (or found to exist). One that fails later is no error of the call.
   * @throws ServiceError INVOICE_INVALID, INVOICE_EXPIRED, NO_ROUTE, CHAIN_UNAVAILABLE, STORAGE_LOW
   */
  pay(request: PayRequest): Promise<PaymentView>
  /** @param filter a range of when they were begun, last; those that one key began */
  payments(page: PageRequest, filter: RecordFilter & { status?: PaymentStatus }): Promise<Page<PaymentView>>
  /** By local id or payment hash. */
  payment(id: string): Promise<PaymentView>
  /** No more attempts; HTLCs in flight go on. */
  cancelPayment(id: string): Promise<PaymentView>

  graphNodes(page: PageRequest): Promise<Page<GraphNodeView>>
  graphChannels(page: PageRequest): Promise<Page<GraphChannelView>>
  /** What a payment would try first; nothing is sent. @throws ServiceError NO_ROUTE, INSUFFICIENT_BALANCE */
  findRoute(request: { nodeId: NodeId; amountMsat: Msat }): Promise<RouteView>

  /** Static channel backup file, encrypted from the seed. */
  backup(): Promise<Uint8Array>
  /** Whether a copy of it would bring back every channel. */
  verifyBackup(file: Uint8Array): Promise<BackupCheckView>
  /** Healthy when the chain is in sync and the store takes writes. Anybody may read `reasons`; `details` say the same with places and names. */
  ready(): { readonly ready: boolean; readonly reasons: readonly string[]; readonly details?: readonly string[] }

  readonly analytics: AnalyticsService
  /** What each part of the node logs, changeable while it runs. */
  readonly logs: Logs
  /** In the text format of Prometheus. @param more what the caller knows */
  metrics(more: { readonly eventSubscribers: number; readonly alertsRaised?: number }): Promise<string>

  /** Id of the newest event, 0 when there was none. */
  lastEventId(): number
  /** Id of the last event before a time, Unix ms; 0: there was none. */
  lastEventBefore(time: number): Promise<number>
  /** Events with id > since, oldest first, from the store. */
  eventsSince(since: number, limit: number): Promise<readonly NodeEvent[]>
  /** Calls back after each durable event; returns the unsubscribe function. */
  onEvent(listener: (event: NodeEvent) => void): () => void
  /** Resolves when `done` first returns true for the resource's view, or with the last view at the time limit, or when the caller waits no more. */
  waitFor<T>(
    resource: ResourceKey,
    get: () => Promise<T>,
    done: (view: T) => boolean,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<T>

  /** Small durable records of the API itself: keys, budgets, audit log, idempotency. */
  readonly apiStore: ApiStore
}

export interface RecordFilter extends TimeRange {
  readonly keyId?: string
}

export interface ApiStore {
  /** @throws FulmenError RECORD_DAMAGED */
  get(key: string): Promise<Uint8Array | undefined>
  put(key: string, value: Uint8Array): Promise<void>
  delete(key: string): Promise<void>
  /** In ascending order of keys, at most `limit`; damaged ones are left out. */
  list(prefix: string, limit?: number): Promise<readonly (readonly [string, Uint8Array])[]>
  /** Names behind a prefix in descending order, from `from` on and before `before`, at most `limit`. */
  newest(prefix: string, range: NameRange, limit: number): Promise<readonly string[]>
  /** All or nothing, and in the order of the calls; the events enter the node's log in the same batch. */
  commit(ops: readonly ApiOp[], events?: readonly ApiEvent[]): Promise<void>
}

export interface NameRange {
  readonly from?: string
  readonly before?: string
}

/** A put, or a delete when value is absent. */
export interface ApiOp {
  readonly key: string
  readonly value?: Uint8Array
}

/** What the API itself has to tell. Never a secret. */
export interface ApiEvent {
  readonly type: 'key.rotated' | 'key.expiring' | 'node.alert' | 'node.alert.cleared'
  readonly data: Readonly<Record<string, string | number | boolean | null>>
}

export interface PageRequest {
  readonly limit: number
  /** Opaque; from the previous page's nextCursor. */
  readonly cursor?: string
}
export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

export interface NodeEvent {
  readonly id: number
  readonly type: string
  /** RFC 3339. */
  readonly at: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface NodeInfo {
  readonly nodeId: NodeId
  readonly alias: string
  readonly network: string
  readonly version: string
  /** Hex, as in init. */
  readonly features: string
  readonly addresses: readonly string[]
  readonly blockHeight: number
  readonly synced: boolean
  readonly uptimeSeconds: number
}

export interface Balance {
  readonly onchainConfirmedSat: Sat
  readonly onchainUnconfirmedSat: Sat
  /** In outputs of closed channels that are not ours to spend yet. */
  readonly onchainClosingSat: Sat
  /** What can be sent over usable channels now, reserve and fees taken off. */
  readonly channelSendableMsat: Msat
  readonly channelReceivableMsat: Msat
  /** Our whole side of all channels. */
  readonly channelLocalMsat: Msat
  readonly channelPendingMsat: Msat
}

export interface BackupCheckView {
  /** The seed of this node opens it, and it is whole. */
  readonly valid: boolean
  /** Every channel that is not closed is in it. */
  readonly complete: boolean
  readonly channels: number
  readonly missing: readonly ChannelId[]
  readonly problem: string | null
}

export interface PeerView {
  readonly nodeId: NodeId
  readonly address: string | null
  readonly connected: boolean
  readonly inbound: boolean
  readonly features: string | null
  readonly alias: string | null
  readonly channels: number
}

export interface OpenChannelRequest {
  /** From newId(); absent: the node takes one. */
  readonly id?: string
  readonly peer: NodeId
  readonly capacitySat: Sat
  /** A present to the peer. Default 0. */
  readonly pushMsat?: Msat
  /** Of the funding transaction; by the estimate when absent. */
  readonly feerateSatPerVbyte?: number
  /** To the network. Default false. */
  readonly announce?: boolean
  /** Default anchors. */
  readonly type?: 'anchors' | 'static_remotekey'
}
/** The peer takes the whole channel if what we publish is revoked. */
export type CloseRisk = 'losing-the-whole-channel'
export interface CloseChannelRequest {
  readonly force?: boolean
  /** With force: of a channel in doubt, or that waits for its peer, our commitment is published although it may be revoked. */
  readonly acceptRisk?: CloseRisk
  /** Where our side goes when it closes together; to the wallet when absent. */
  readonly address?: string
  /** Of our closing transaction; by the estimate, and raised with it, when absent. */
  readonly feerateSatPerVbyte?: number
}

export interface HtlcView {
  readonly id: number
  readonly direction: 'in' | 'out'
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
  readonly state: string
}

export interface ChannelView {
  /** Local, stable from the first answer. */
  readonly id: string
  readonly channelId: ChannelId | null
  readonly shortChannelId: ShortChannelId | null
  readonly peer: NodeId
  readonly peerConnected: boolean
  /** opening | waiting-confirmations | normal | shutdown | negotiating | waiting-for-peer | closing | closed */
  readonly state: string
  readonly usable: boolean
  readonly type: 'anchors' | 'static_remotekey'
  readonly announced: boolean
  readonly isOpener: boolean
  readonly capacitySat: Sat
  readonly localMsat: Msat
  readonly remoteMsat: Msat
  /** The most that one more HTLC of ours may carry now; 0 while the channel is not usable. */
  readonly sendableMsat: Msat
  readonly receivableMsat: Msat
  readonly localReserveSat: Sat
  readonly remoteReserveSat: Sat
  /** Of the commitment transactions, sat per 1,000 weight units. */
  readonly feeratePerKw: number
  /** Blocks that we wait for our money after a force close of ours. */
  readonly toSelfDelay: number
  readonly policy: RelayPolicy
  readonly htlcs: readonly HtlcView[]
  readonly funding: Outpoint | null
  readonly fundingConfirmations: number
  readonly closing: ClosingView | null
  /** Plain words: '2 of 3 confirmations', 'the delay of to_local until height 512'. Null when it waits for nothing. */
  readonly waitsFor: string | null
  readonly createdAt: string
}

export type ClosingView = Omit<OnchainView, 'pendingSat' | 'waitsFor'>

export interface CreateInvoiceRequest {
  /** From newId(); absent: the node takes one. */
  readonly id?: string
  /** Of the API key that asks. */
  readonly keyId?: string
  /** Absent: the payer chooses. */
  readonly amountMsat?: Msat
  /** 639 bytes of UTF-8 at most. */
  readonly description?: string
  /** 32 B, in place of a description. */
  readonly descriptionHash?: Uint8Array
  /** Default an hour. */
  readonly expirySeconds?: number
  /** Hold invoice: the preimage comes with settleInvoice. */
  readonly paymentHash?: PaymentHash
  /** Blocks that the payment must have left when it comes; left out, the margin of the node, and half a day more to hold one. */
  readonly minFinalCltvExpiryDelta?: number
}
export type InvoiceStatus = 'open' | 'accepted' | 'settled' | 'cancelled' | 'expired'
export interface InvoiceView {
  readonly id: string
  readonly paymentHash: PaymentHash
  readonly bolt11: string
  readonly status: InvoiceStatus
  readonly amountMsat: Msat | null
  readonly receivedMsat: Msat | null
  readonly description: string | null
  /** Hex, in place of a description. */
  readonly descriptionHash: string | null
  readonly preimage: string | null
  readonly createdAt: string
  readonly expiresAt: string
  readonly settledAt: string | null
  /** Height at which an accepted payment goes back by itself; null or left out for any other. */
  readonly settleBefore?: number | null
  /** The API key that made it. */
  readonly keyId: string | null
}

export interface PayRequest {
  /** From newId(); absent: the node takes one. */
  readonly id?: string
  /** Of the API key that asks. */
  readonly keyId?: string
  readonly bolt11?: string
  /** keysend */
  readonly nodeId?: NodeId
  /** Needed for keysend, and where the invoice leaves it open. */
  readonly amountMsat?: Msat
  /** Default 1 % of the amount, 5 sat at least. */
  readonly maxFeeMsat?: Msat
  /** Default 16; 1 where the payee takes no parts. */
  readonly maxParts?: number
  /** No new attempts after. Default 60. */
  readonly timeoutSeconds?: number
}
export type PaymentStatus = 'pending' | 'succeeded' | 'failed'
export interface PaymentView {
  readonly id: string
  readonly paymentHash: PaymentHash
  readonly status: PaymentStatus
  /** Null only for a payment that a crash interrupted. */
  readonly nodeId: NodeId | null
  readonly amountMsat: Msat
  readonly feeMsat: Msat
  readonly preimage: string | null
  /** `isOfEarlier`: what is not known is of an earlier try under the same hash. */
  readonly failure: { readonly code: string; readonly detail: string; readonly isOfEarlier?: true } | null
  readonly parts: readonly {
    readonly status: PaymentStatus
    readonly amountMsat: Msat
    readonly feeMsat: Msat
    readonly route: readonly { readonly nodeId: NodeId; readonly shortChannelId: ShortChannelId }[]
    readonly failure: string | null
  }[]
  readonly bolt11: string | null
  readonly createdAt: string
  readonly completedAt: string | null
  /** The API key that began it, last. */
  readonly keyId: string | null
}

export interface GraphNodeView {
  readonly nodeId: NodeId
  readonly alias: string
  readonly addresses: readonly string[]
}
export interface GraphChannelView {
  readonly shortChannelId: ShortChannelId
  readonly nodeId1: NodeId
  readonly nodeId2: NodeId
  readonly capacitySat: Sat | null
  readonly policies: readonly (null | {
    readonly feeBaseMsat: number
    readonly feeProportionalMillionths: number
    readonly cltvExpiryDelta: number
    readonly enabled: boolean
  })[]
}
export interface RouteView {
  readonly amountMsat: Msat
  readonly feeMsat: Msat
  readonly hops: readonly {
    readonly nodeId: NodeId
    readonly shortChannelId: ShortChannelId
    readonly amountMsat: Msat
    readonly cltvExpiry: number
  }[]
}
