import type { Decoded } from '../api/decodeSchemas.ts'
import type {
  AuditPage,
  AuditQuery,
  CreateKey,
  IssuedKey,
  Key,
  KeyUsage,
  RotateKey,
  UpdateKey,
} from '../api/keySchemas.ts'
import type {
  Address,
  Block,
  BumpTransaction,
  Chain,
  Fees,
  Mined,
  Psbt,
  SendOnChain,
  Transaction,
  Utxo,
  UtxoQuery,
  Wallet,
  WalletTransaction,
  WalletTransactionQuery,
} from '../api/onchainSchemas.ts'
import type {
  Alert,
  AlertQuery,
  BalanceHistoryQuery,
  BalanceSample,
  ChannelEarnings,
  Forward,
  ForwardQuery,
  ForwardSums,
  ForwardSumsQuery,
  LogLevels,
  LogLine,
  LogPage,
  LogQuery,
  PaymentSums,
  PaymentSumsQuery,
  SetLogLevels,
  Summary,
  SummaryQuery,
} from '../api/operatorSchemas.ts'
import type {
  Backup,
  BackupCheck,
  Balance,
  Channel,
  CloseChannel,
  CreateInvoice,
  Event,
  FindRoute,
  GraphChannel,
  GraphNode,
  Health,
  Invoice,
  InvoiceQuery,
  Node,
  OpenChannel,
  Page,
  Pay,
  Payment,
  PaymentQuery,
  Peer,
  Route,
  SetChannelPolicy,
} from '../api/schemas.ts'
import type { CreateWebhook, IssuedWebhook, UpdateWebhook, Webhook, WebhookDelivery } from '../api/webhookSchemas.ts'
import { ApiError, ConnectionError } from './errors.ts'
import { type EventOptions, followEvents, serverSentEvents } from './events.ts'
import { type CallOptions, Http, type HttpOptions } from './http.ts'
import { type FollowLogOptions, followLogs } from './logs.ts'

/** One page of a list; `allOf` goes through all. */
export interface PageQuery {
  /** 1 to 500. Default 50. */
  readonly limit?: number
  /** `nextCursor` of the page before. */
  readonly cursor?: string
}
export type CsvList =
  | 'forwards'
  | 'analytics/forwards'
  | 'analytics/payments'
  | 'analytics/channels'
  | 'analytics/balance-history'
export interface WaitOptions extends CallOptions {
  /** Seconds, 0 to 300, to hold the answer until the result is final. Answered at once when absent. */
  readonly wait?: number
}
const id = encodeURIComponent
const MAX_PAGE = 500

/**
 * One node over its REST API. Amounts are integers with their unit in the name, times are RFC 3339, ids and hashes lower-case hex.
 * Bodies and answers are those of the OpenAPI document (`/docs` of the node).
 *
 * Every method rejects (`fulmen/client/errors`) with an ApiError when the node refused (`code` for programs, `message` for people), a ConnectionError when no
 * answer came, or an ArgumentError when nothing was sent. Reads, and calls that act, are repeated by themselves when the connection
 * fails; what acts does so once.
 */
export class FulmenClient {
  readonly #http: Http

  constructor(options: HttpOptions) {
    this.#http = new Http(options)
  }

  /** What the node is and how it stands: network, height, whether it is in sync. */
  node = (): Promise<Node> => this.#http.get('/v1/node')
  /** What can be spent, in channels (msat) and on chain (sat). */
  balance = (): Promise<Balance> => this.#http.get('/v1/balance')
  /** The static channel backup, in base64, sealed with a key from the seed. */
  backup = (): Promise<Backup> => this.#http.get('/v1/backup')
  /** At what level each part of the node logs. */
  logLevels = (): Promise<LogLevels> => this.#http.get('/v1/node/log-levels')
  /** Until the node stops; parts that are not named take the default. */
  setLogLevels = (levels: SetLogLevels): Promise<LogLevels> => this.#http.send('PUT', '/v1/node/log-levels', levels)
  /** Recent lines of the node's log, newest first. */
  logs = (query?: LogQuery): Promise<LogPage> => this.#http.get('/v1/logs', { ...query })
  /** As Prometheus reads them. */
  metrics = async (): Promise<string> => (await this.#http.open('/metrics', 'text/plain')).text()
  /** Whether a copy of the backup, in base64, would bring back every channel. */
  verifyBackup = (data: string): Promise<BackupCheck> => this.#http.send('POST', '/v1/backup/verify', { data })
  /** Answers also while the node is not ready. */
  ready = (): Promise<Health> => this.#http.get('/health/ready')
  /** A BOLT 11 invoice, or a BOLT 12 offer, invoice request or invoice. */
  decode = (text: string): Promise<Decoded> => this.#http.send('POST', '/v1/decode', { text })

  peers = {
    /** By node id. */
    list: (query?: PageQuery): Promise<Page<Peer>> => this.#http.get('/v1/peers', { ...query }),
    /** Now and after each restart. @param uri nodeId@host:port @throws ApiError PEER_UNREACHABLE */
    connect: (uri: string): Promise<Peer> => this.#http.send('POST', '/v1/peers', { uri }),
    /** Hangs up, and forgets the address. */
    disconnect: (nodeId: string): Promise<void> => this.#http.send('DELETE', `/v1/peers/${id(nodeId)}`),
  }

  channels = {
    /** Newest first; `state` is one of those of a channel, `peer` a node id. */
    list: (query?: PageQuery & { state?: string; peer?: string }): Promise<Page<Channel>> =>
      this.#http.get('/v1/channels', { ...query }),
    /** By id, channel id or short channel id. */
    get: (channelId: string): Promise<Channel> => this.#http.get(`/v1/channels/${id(channelId)}`),
    /**
     * Funds a channel from the wallet. Answers once its funding transaction is published (with `wait`, when it can be used); the event
     * `channel.ready` tells of that.
     * @throws ApiError PEER_UNREACHABLE, PEER_REFUSED, INSUFFICIENT_BALANCE, LIMIT_EXCEEDED …
     */
    open: (request: OpenChannel, { wait, ...options }: WaitOptions = {}): Promise<Channel> =>
      this.#http.act('/v1/channels', request, { wait }, options),
    /**
     * Together with the peer, or alone with `force: true`. Asked again while it closes together, with a higher feerate or another
     * address, it raises the fee or moves the payout. With `wait`, answers when the channel is closed.
     */
    close: (channelId: string, request: CloseChannel = {}, { wait, ...options }: WaitOptions = {}): Promise<Channel> =>
      this.#http.act(`/v1/channels/${id(channelId)}/close`, request, { wait }, options),
    /** What this channel asks of forwarded payments; what is not named stays. */
    setPolicy: (channelId: string, policy: SetChannelPolicy): Promise<Channel> =>
      this.#http.send('PATCH', `/v1/channels/${id(channelId)}/policy`, policy),
  }

  invoices = {
    /** Newest first; `from` and `to` are of when they were made. */
    list: (query?: InvoiceQuery): Promise<Page<Invoice>> => this.#http.get('/v1/invoices', { ...query }),
    /** By payment hash or id; with `wait`, when its status is another or the time is up. */
    get: (paymentHash: string, { wait, ...options }: WaitOptions = {}): Promise<Invoice> =>
      this.#http.get(`/v1/invoices/${id(paymentHash)}`, { wait }, options),
    /** An invoice of ours, or with `paymentHash` a hold invoice, which `settle` takes. Without `amountMsat` the payer chooses. */
    create: (request: CreateInvoice, options?: CallOptions): Promise<Invoice> =>
      this.#http.act('/v1/invoices', request, {}, options),
    /**
     * Takes the payment of a hold invoice; before the block height `settleBefore`, at which it goes back by itself.
     * @param preimage 32 B in hex, of which the SHA-256 is the payment hash
     */
    settle: (paymentHash: string, preimage: string): Promise<Invoice> =>
      this.#http.send('POST', `/v1/invoices/${id(paymentHash)}/settle`, { preimage }),
    /** An open invoice, or gives back the payment of a hold invoice. */
    cancel: (paymentHash: string): Promise<Invoice> =>
      this.#http.send('POST', `/v1/invoices/${id(paymentHash)}/cancel`),
  }

  payments = {
    /** Newest first; `from` and `to` are of when they were begun. */
    list: (query?: PaymentQuery): Promise<Page<Payment>> => this.#http.get('/v1/payments', { ...query }),
    /** By payment hash or id. */
    get: (paymentHash: string, { wait, ...options }: WaitOptions = {}): Promise<Payment> =>
      this.#http.get(`/v1/payments/${id(paymentHash)}`, { wait }, options),
    /**
     * Pays an invoice (`bolt11`), or a node without one (`nodeId`, `amountMsat`: keysend). An invoice is paid once, however often this is
     * called. Unless given: at most 1 % of fees (5 sat for small ones), 16 parts, 60 seconds.
     * @returns with `wait`, the payment when it has succeeded or failed; look at `status`: a failed one is no error of the call, and one
     * that is `pending` may still succeed
     */
    send: (request: Pay, { wait, ...options }: WaitOptions = {}): Promise<Payment> =>
      this.#http.act('/v1/payments', request, { wait }, options),
    /** Stops further attempts; parts in flight stay pending, and may still succeed. */
    cancel: (paymentHash: string): Promise<Payment> =>
      this.#http.send('POST', `/v1/payments/${id(paymentHash)}/cancel`),
  }

  wallet = {
    /** Confirmed and unconfirmed coins, in sat. */
    get: (): Promise<Wallet> => this.#http.get('/v1/wallet'),
    /** A fresh address to receive at. */
    newAddress: (): Promise<Address> => this.#http.send('POST', '/v1/wallet/addresses'),
    /** One page of the unspent outputs, newest first. */
    utxoPage: (query?: UtxoQuery): Promise<Page<Utxo>> => this.#http.get('/v1/wallet/utxos', { ...query }),
    /** All of them. */
    utxos: (query?: Omit<UtxoQuery, 'limit' | 'cursor'>): Promise<readonly Utxo[]> =>
      whole((page) => this.wallet.utxoPage({ ...query, ...page })),
    /** Newest first; `from` and `to` are of when they were first seen. */
    transactions: (query?: WalletTransactionQuery): Promise<Page<WalletTransaction>> =>
      this.#http.get('/v1/wallet/transactions', { ...query }),
    transaction: (txid: string): Promise<WalletTransaction> => this.#http.get(`/v1/wallet/transactions/${id(txid)}`),
    /**
     * Pays to addresses; `amountSat: 'all'` as the only output sends every confirmed coin, less the fee. Made while the Bitcoin node is
     * away, it goes out when that is back.
     */
    send: (request: SendOnChain, options?: CallOptions): Promise<WalletTransaction> =>
      this.#http.act('/v1/wallet/transactions', request, {}, options),
    /** Replaces an unconfirmed send by one that pays more, or has a child pay for any other transaction. */
    bump: (txid: string, request: BumpTransaction = {}, options?: CallOptions): Promise<WalletTransaction> =>
      this.#http.act(`/v1/wallet/transactions/${id(txid)}/bump`, request, {}, options),
  }

  /** PSBTs (BIP 174, version 0) in base64. */
  psbt = {
    /** Unsigned; its coins stay reserved until broadcast, release or a restart. */
    create: (request: SendOnChain): Promise<Psbt> => this.#http.send('POST', '/v1/wallet/psbt/create', request),
    /** Signs the inputs of this wallet; for keys without a budget. */
    sign: (psbt: string): Promise<Psbt> => this.#http.send('POST', '/v1/wallet/psbt/sign', { psbt }),
    /** Makes signed inputs final; `hex` is the transaction when all are. */
    finalise: (psbt: string): Promise<Psbt> => this.#http.send('POST', '/v1/wallet/psbt/finalise', { psbt }),
    /** Finalises and broadcasts; may be repeated. */
    broadcast: (psbt: string): Promise<WalletTransaction> =>
      this.#http.send('POST', '/v1/wallet/psbt/broadcast', { psbt }),
    /** Frees the coins that were reserved for it. */
    release: (psbt: string): Promise<void> => this.#http.send('POST', '/v1/wallet/psbt/release', { psbt }),
  }

  chain = {
    get: (): Promise<Chain> => this.#http.get('/v1/chain'),
    /** @throws ApiError NOT_FOUND */
    block: (heightOrHash: string | number): Promise<Block> =>
      this.#http.get(`/v1/chain/blocks/${id(String(heightOrHash))}`),
    /** Of the mempool, the Bitcoin node's index or the last 100 blocks. @throws ApiError NOT_FOUND */
    transaction: (txid: string): Promise<Transaction> => this.#http.get(`/v1/chain/transactions/${id(txid)}`),
    /** Estimates, in sat per vbyte, by blocks to wait. */
    fees: async (): Promise<Fees['items']> => (await this.#http.get<Fees>('/v1/chain/fees')).items,
    /** Embedded chain and regtest only. */
    mine: (blocks: number, address?: string): Promise<Mined> =>
      this.#http.send('POST', '/v1/chain/mine', { blocks, ...(address !== undefined && { address }) }),
  }

  graph = {
    nodes: (query?: PageQuery): Promise<Page<GraphNode>> => this.#http.get('/v1/graph/nodes', { ...query }),
    channels: (query?: PageQuery): Promise<Page<GraphChannel>> => this.#http.get('/v1/graph/channels', { ...query }),
    /** The route that a payment would try first. @throws ApiError NO_ROUTE, INSUFFICIENT_BALANCE */
    route: (request: FindRoute): Promise<Route> => this.#http.send('POST', '/v1/graph/routes', request),
  }

  keys = {
    list: (query?: PageQuery): Promise<Page<Key>> => this.#http.get('/v1/keys', { ...query }),
    get: (keyId: string): Promise<Key> => this.#http.get(`/v1/keys/${id(keyId)}`),
    /** The key that this client uses. */
    self: (): Promise<Key> => this.#http.get('/v1/keys/self'),
    /** How often each version was used, and when last. */
    usage: (keyId: string): Promise<KeyUsage> => this.#http.get(`/v1/keys/${id(keyId)}/usage`),
    /** `secret` of the answer is the whole bearer value, shown this once. */
    create: (request: CreateKey): Promise<IssuedKey> => this.#http.send('POST', '/v1/keys', request),
    /** What is not named stays. */
    update: (keyId: string, request: UpdateKey): Promise<Key> =>
      this.#http.send('PATCH', `/v1/keys/${id(keyId)}`, request),
    /** When it is this client's own key, by its id or as `self`, the client goes on with the new version. */
    rotate: (keyId: string, request: RotateKey = {}): Promise<IssuedKey> => {
      const path = `/v1/keys/${id(keyId)}/rotate`
      const isOwn = ['self', this.#http.keys.id].includes(keyId) && request.activatesAt === undefined
      return isOwn ? this.#http.issue(path, request) : this.#http.send('POST', path, request)
    },
    /** Makes the version before current again, while it is in its window. */
    rollback: (keyId: string): Promise<Key> => this.#http.send('POST', `/v1/keys/${id(keyId)}/rollback`),
    /** At once; ends its streams. */
    revoke: (keyId: string): Promise<void> => this.#http.send('DELETE', `/v1/keys/${id(keyId)}`),
    /** Next version of this client's own key; done by itself when the node asks for it. */
    rotateSelf: (graceSeconds?: number): Promise<IssuedKey> =>
      this.#http.issue('/v1/keys/self/rotate', graceSeconds === undefined ? {} : { graceSeconds }),
    /** The emergency: every other key stops, and this client goes on with a new version of its own. */
    rotateAll: (): Promise<IssuedKey> => this.#http.issue('/v1/keys/rotate-all'),
  }

  webhooks = {
    list: (query?: PageQuery): Promise<Page<Webhook>> => this.#http.get('/v1/webhooks', { ...query }),
    get: (webhookId: string): Promise<Webhook> => this.#http.get(`/v1/webhooks/${id(webhookId)}`),
    /** `secret` of the answer is what verifyWebhook takes, shown this once. */
    create: (request: CreateWebhook): Promise<IssuedWebhook> => this.#http.send('POST', '/v1/webhooks', request),
    /** What is not named stays; `enabled: true` switches one on again that was given up. */
    update: (webhookId: string, request: UpdateWebhook): Promise<Webhook> =>
      this.#http.send('PATCH', `/v1/webhooks/${id(webhookId)}`, request),
    delete: (webhookId: string): Promise<void> => this.#http.send('DELETE', `/v1/webhooks/${id(webhookId)}`),
    /** A new secret; the one before signs as well for so many seconds, a day unless given. */
    rotate: (webhookId: string, graceSeconds?: number): Promise<IssuedWebhook> =>
      this.#http.send(
        'POST',
        `/v1/webhooks/${id(webhookId)}/rotate`,
        graceSeconds === undefined ? {} : { graceSeconds },
      ),
    /** Posts a message without an event now; the answer says what the receiver said. */
    ping: (webhookId: string): Promise<WebhookDelivery> =>
      this.#http.send('POST', `/v1/webhooks/${id(webhookId)}/ping`),
    /** Its last thousand attempts, newest first. */
    deliveries: (webhookId: string, query?: PageQuery): Promise<Page<WebhookDelivery>> =>
      this.#http.get(`/v1/webhooks/${id(webhookId)}/deliveries`, { ...query }),
    /** Posts the event of a delivery once more. @param seq of the delivery */
    redeliver: (webhookId: string, seq: number): Promise<WebhookDelivery> =>
      this.#http.send('POST', `/v1/webhooks/${id(webhookId)}/deliveries/${seq}/redeliver`),
  }

  /** What somebody should see to, newest first. */
  alerts = {
    list: (query?: AlertQuery): Promise<Page<Alert>> => this.#http.get('/v1/alerts', { ...query }),
    /** Somebody knows: one that no check would clear is cleared, any other stays until it is put right. */
    acknowledge: (alertId: string): Promise<Alert> => this.#http.send('POST', `/v1/alerts/${id(alertId)}/acknowledge`),
  }

  /** Settled forwards, newest first. */
  forwards = (query?: Omit<ForwardQuery, 'format'>): Promise<Page<Forward>> =>
    this.#http.get('/v1/forwards', { ...query })

  analytics = {
    /** Forwards, payments and what was received, over all time or a range of days (UTC, both included). */
    summary: (query?: SummaryQuery): Promise<Summary> => this.#http.get('/v1/analytics/summary', { ...query }),
    /** By day or month, of all channels or of one, newest first. */
    forwards: (query?: ForwardSumsQuery): Promise<Page<ForwardSums>> =>
      this.#http.get('/v1/analytics/forwards', { ...query }),
    /** Made and received, by day or month, newest first. */
    payments: (query?: PaymentSumsQuery): Promise<Page<PaymentSums>> =>
      this.#http.get('/v1/analytics/payments', { ...query }),
    /** What each channel has carried, earned and cost, newest first. */
    channels: (query?: PageQuery): Promise<Page<ChannelEarnings>> =>
      this.#http.get('/v1/analytics/channels', { ...query }),
    /** What the node held last in each day or hour, newest first. */
    balanceHistory: (query?: BalanceHistoryQuery): Promise<Page<BalanceSample>> =>
      this.#http.get('/v1/analytics/balance-history', { ...query }),
  }

  /** A list as CSV, to be read as it comes: everything, unless the query has a limit. */
  csv = (list: CsvList, query: Readonly<Record<string, string | number | undefined>> = {}): Promise<Response> =>
    this.#http.open(`/v1/${list}`, 'text/csv', query)

  /** The audit log, newest first; with `keyId`, what one key did. */
  audit = (query?: AuditQuery): Promise<AuditPage> => this.#http.get('/v1/audit', { ...query })

  /** Id of the newest event that the node has heard of since its start; 0 when there was none. */
  async lastEventId(): Promise<number> {
    const response = await this.#http.open('/v1/events', 'text/event-stream')
    for await (const { id } of serverSentEvents(response.body as ReadableStream<Uint8Array>)) return id ?? 0
    return 0
  }

  /**
   * Lines of the log as they are written, oldest first; goes on when the node is back. Where more came than the node keeps, a line
   * says that some are missing. Ends when the signal aborts.
   */
  followLogs = (options: FollowLogOptions = {}): AsyncGenerator<LogLine> => followLogs(this.logs, options, mayPass)

  /** Events as they happen, oldest first; reconnects by itself and goes on after the last one seen. Ends when the signal aborts, or with `to`. */
  events = (options: EventOptions = {}): AsyncGenerator<Event> =>
    followEvents((query, signal) => this.#http.open('/v1/events', 'text/event-stream', query, signal), options, mayPass)
}

/** A broken stream (TypeError is what fetch makes of it), or a node that is busy or restarting. */
const mayPass = (error: unknown): boolean =>
  error instanceof ConnectionError ||
  error instanceof TypeError ||
  (error instanceof ApiError && (error.status === 429 || error.status >= 500))

/** Every item of a list, page by page: `for await (const payment of allOf(client.payments.list))`. */
export async function* allOf<T>(list: (query: PageQuery) => Promise<Page<T>>, limit = 100): AsyncGenerator<T> {
  let cursor: string | null = null
  do {
    const page: Page<T> = await list({ limit, ...(cursor !== null && { cursor }) })
    yield* page.items
    cursor = page.nextCursor
  } while (cursor !== null)
}

/** The whole of a list in memory, for those that stay small. */
export async function whole<T>(list: (query: PageQuery) => Promise<Page<T>>): Promise<readonly T[]> {
  const items: T[] = []
  for await (const item of allOf(list, MAX_PAGE)) items.push(item)
  return items
}
