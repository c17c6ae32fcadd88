import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { toHex } from '../../src/base/bytes.ts'
import { type NodeId, type Txid, txid } from '../../src/base/ids.ts'
import { type Msat, msat, sat } from '../../src/base/units.ts'
import { NOTHING } from '../../src/node/analytics/sums.ts'
import type { AnalyticsService } from '../../src/node/analytics/views.ts'
import { ServiceError } from '../../src/node/errors.ts'
import { heardBy, LogRing } from '../../src/node/logRing.ts'
import { Logs } from '../../src/node/logs.ts'
import { isSweep, type UtxoView, type WalletTransactionView } from '../../src/node/onchainService.ts'
import type {
  ChannelView,
  InvoiceView,
  NodeEvent,
  NodeService,
  Page,
  PageRequest,
  PaymentView,
} from '../../src/node/service.ts'
import { FakeStore } from './fakeStore.ts'
import { channelView, invoiceView, NOW, paymentView, SCID } from './fakeViews.ts'

export const NODE_ID = `02${'ab'.repeat(32)}` as NodeId
export const PEER_ID = `03${'cd'.repeat(32)}` as NodeId

const page = <T>(items: Iterable<T>): Page<T> => ({ items: [...items].reverse(), nextCursor: null })
const found = <T>(what: string, value: T | undefined): T => {
  if (value === undefined) throw new ServiceError('NOT_FOUND', `There is no such ${what}.`)
  return value
}

/**
 * A node of records in memory, for what the API itself does (translation, keys, validation, idempotency, events). It moves no
 * money: the real node is tested elsewhere.
 */
export class FakeNode implements NodeService {
  readonly apiStore: FakeStore
  /** Every line logged. */
  readonly logged: string[] = []
  readonly recentLines = new LogRing()
  readonly logs = new Logs(
    pino(
      { level: 'warn', base: null },
      heardBy(this.recentLines, { write: (line: string) => void this.logged.push(line) }),
    ),
    undefined,
    this.recentLines,
  )
  readonly channelViews = new Map<string, ChannelView>()
  readonly invoiceViews = new Map<string, InvoiceView>()
  readonly paymentViews = new Map<string, PaymentView>()
  readonly transactionViews = new Map<string, WalletTransactionView>()
  readonly events: NodeEvent[] = []
  /** Every call that would move money or change something, in order. */
  readonly calls: string[] = []
  /** Runs before each call that acts; a test makes it throw or wait. */
  beforeAct: (call: string) => Promise<void> = async () => {}
  /** What a new payment starts as. */
  paymentStatus: PaymentView['status'] = 'succeeded'
  readiness: { ready: boolean; reasons: string[] } = { ready: true, reasons: [] }
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  #ids = 0

  constructor(store = new FakeStore()) {
    this.apiStore = store
    store.announce = (type, data) => this.emit(type, data)
  }

  newId(): string {
    return `r${++this.#ids}_${toHex(randomBytes(4))}`
  }

  async #act(call: string): Promise<void> {
    await this.beforeAct(call)
    this.calls.push(call)
  }

  info() {
    return {
      nodeId: NODE_ID,
      alias: 'fake',
      network: 'regtest',
      version: '0.0.0',
      features: '2200',
      addresses: ['127.0.0.1:9735'],
      blockHeight: 100,
      synced: true,
      uptimeSeconds: 1,
    }
  }
  async balance() {
    const [s, m] = [sat(1n), msat(1000n)]
    return {
      onchainConfirmedSat: s,
      onchainUnconfirmedSat: s,
      onchainClosingSat: s,
      channelSendableMsat: m,
      channelReceivableMsat: m,
      channelLocalMsat: m,
      channelPendingMsat: m,
    }
  }

  async peers() {
    return page([this.#peer()])
  }
  async connectPeer() {
    await this.#act('connectPeer')
    return this.#peer()
  }
  async disconnectPeer() {
    await this.#act('disconnectPeer')
  }
  #peer() {
    return {
      nodeId: PEER_ID,
      address: '127.0.0.1:9735',
      connected: true,
      inbound: false,
      features: null,
      alias: null,
      channels: 0,
    }
  }

  async openChannel(request: Parameters<NodeService['openChannel']>[0]): Promise<ChannelView> {
    await this.#act('openChannel')
    const view = channelView(request.id ?? this.newId(), request)
    this.channelViews.set(view.id, view)
    return view
  }
  async channels() {
    return page(this.channelViews.values())
  }
  async channel(id: string): Promise<ChannelView> {
    return found(
      'channel',
      this.channelViews.get(id) ?? [...this.channelViews.values()].find((c) => c.channelId === id),
    )
  }
  async closeChannel(id: string): Promise<ChannelView> {
    const view = await this.channel(id)
    await this.#act('closeChannel')
    return this.#setChannel({ ...view, state: 'shutdown', usable: false })
  }
  async setChannelPolicy(id: string, policy: Partial<ChannelView['policy']>): Promise<ChannelView> {
    const view = await this.channel(id)
    await this.#act('setChannelPolicy')
    return this.#setChannel({ ...view, policy: { ...view.policy, ...policy } })
  }
  #setChannel(view: ChannelView): ChannelView {
    this.channelViews.set(view.id, view)
    return view
  }

  async createInvoice(request: Parameters<NodeService['createInvoice']>[0]): Promise<InvoiceView> {
    await this.#act('createInvoice')
    const view = invoiceView(request.id ?? this.newId(), request)
    this.invoiceViews.set(view.id, view)
    return view
  }
  async invoices() {
    return page(this.invoiceViews.values())
  }
  async invoice(id: string): Promise<InvoiceView> {
    return found(
      'invoice',
      this.invoiceViews.get(id) ?? [...this.invoiceViews.values()].find((i) => i.paymentHash === id),
    )
  }
  async settleInvoice(id: string, preimage: Uint8Array): Promise<InvoiceView> {
    const view = { ...(await this.invoice(id)), status: 'settled' as const, preimage: toHex(preimage) }
    this.invoiceViews.set(view.id, view)
    return view
  }
  async cancelInvoice(id: string): Promise<InvoiceView> {
    const view = { ...(await this.invoice(id)), status: 'cancelled' as const }
    this.invoiceViews.set(view.id, view)
    return view
  }

  async pay(request: Parameters<NodeService['pay']>[0]): Promise<PaymentView> {
    await this.#act('pay')
    const about = { status: this.paymentStatus, payee: request.nodeId ?? PEER_ID }
    const view = paymentView(request.id ?? this.newId(), about, request)
    const known = [...this.paymentViews.values()].find((p) => p.paymentHash === view.paymentHash)
    if (known) return known
    this.paymentViews.set(view.id, view)
    return view
  }
  async payments() {
    return page(this.paymentViews.values())
  }
  async payment(id: string): Promise<PaymentView> {
    return found(
      'payment',
      this.paymentViews.get(id) ?? [...this.paymentViews.values()].find((p) => p.paymentHash === id),
    )
  }
  async cancelPayment(id: string): Promise<PaymentView> {
    return this.payment(id)
  }

  async wallet() {
    return {
      confirmedSat: sat(1n),
      unconfirmedSat: sat(0n),
      lockedSat: sat(0n),
      immatureSat: sat(0n),
      reservedSat: sat(0n),
    }
  }
  async newAddress() {
    return { address: 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080', path: "m/84'/1'/0'/0/0" }
  }
  async utxos(): Promise<readonly UtxoView[]> {
    const outpoint = { txid: txid('11'.repeat(32)), index: 1 }
    return [{ outpoint, amountSat: sat(5n), address: 'bcrt1q', blockHeight: 100, confirmations: 1, locked: false }]
  }
  async walletTransactions() {
    return page(this.transactionViews.values())
  }
  async walletTransaction(id: string): Promise<WalletTransactionView> {
    return found('transaction', this.transactionViews.get(id))
  }
  async sendOnChain(request: Parameters<NodeService['sendOnChain']>[0]): Promise<WalletTransactionView> {
    await this.#act('sendOnChain')
    const { outputs } = request
    const view = {
      id: request.id ?? this.newId(),
      txid: txid(toHex(randomBytes(32))),
      netSat: -1n * (isSweep(outputs) ? 5n : outputs.reduce((sum, o) => sum + o.amountSat, 0n)),
      feeSat: sat(200n),
      status: 'unconfirmed' as const,
      blockHeight: null,
      label: null,
      hex: '02',
      createdAt: NOW,
    }
    this.transactionViews.set(view.id, view)
    return view
  }

  async bumpTransaction(id: string, request: Parameters<NodeService['bumpTransaction']>[1]) {
    await this.#act('bumpTransaction')
    const view = { ...(await this.walletTransaction(id)), id: request.id ?? this.newId(), feeSat: sat(300n) }
    this.transactionViews.set(view.id, view)
    return view
  }
  readonly psbt: NodeService['psbt'] = {
    create: async () => this.#psbtView(),
    sign: async () => this.#psbtView(),
    finalise: async () => this.#psbtView(),
    broadcast: async () => (await this.sendOnChain({ id: '66'.repeat(32), outputs: [] })).id as Txid,
    release: async () => {},
  }
  #psbtView() {
    return { psbt: 'cHNidP8=', txid: txid('66'.repeat(32)), feeSat: null, complete: false, hex: null }
  }

  chain() {
    return { network: 'regtest', backend: 'embedded', height: 100, hash: '22'.repeat(32), synced: true }
  }
  async chainBlock() {
    return {
      hash: '22'.repeat(32),
      height: 100,
      time: 1,
      previousHash: '33'.repeat(32),
      txids: ['44'.repeat(32) as Txid],
    }
  }
  async chainTransaction(id: Txid) {
    return { txid: id, hex: '02', vsize: 100, weight: 400, confirmations: null }
  }
  async chainFees() {
    return [{ targetBlocks: 6, feerateSatPerVbyte: 1.5 }]
  }
  async mine(blocks: number) {
    await this.#act('mine')
    return { blockHashes: Array.from({ length: blocks }, () => '55'.repeat(32)) }
  }

  async graphNodes() {
    return page([{ nodeId: PEER_ID, alias: 'peer', addresses: [] }])
  }
  async graphChannels() {
    const policy = { feeBaseMsat: 1, feeProportionalMillionths: 2, cltvExpiryDelta: 3, enabled: true }
    return page([
      { shortChannelId: SCID, nodeId1: NODE_ID, nodeId2: PEER_ID, capacitySat: null, policies: [policy, null] },
    ])
  }
  async findRoute(request: { nodeId: NodeId; amountMsat: Msat }) {
    const hop = { nodeId: request.nodeId, shortChannelId: SCID, amountMsat: request.amountMsat, cltvExpiry: 140 }
    return { amountMsat: request.amountMsat, feeMsat: msat(0n), hops: [hop] }
  }

  async backup() {
    return Uint8Array.of(1, 2, 3)
  }
  async verifyBackup(file: Uint8Array) {
    const valid = file.length === 3
    const problem = valid ? null : 'it is damaged'
    return { valid, complete: valid, channels: valid ? 1 : 0, missing: [], problem }
  }
  ready() {
    return this.readiness
  }
  async metrics({ eventSubscribers }: { eventSubscribers: number }) {
    return `fulmen_event_subscribers ${eventSubscribers}\n`
  }

  /** Answers of `analytics`, by method. */
  readonly analyticsItems: Partial<Record<keyof AnalyticsService, readonly unknown[]>> = {}
  readonly analytics: AnalyticsService = {
    forwards: (request) => this.#analyticsPage('forwards', request),
    summary: async (range) => ({
      ...range,
      forwards: { ...NOTHING.forward, successRate: null },
      payments: { ...NOTHING.payment, successRate: null },
    }),
    forwardSums: (request) => this.#analyticsPage('forwardSums', request),
    paymentSums: (request) => this.#analyticsPage('paymentSums', request),
    channelEarnings: (request) => this.#analyticsPage('channelEarnings', request),
    balanceHistory: (request) => this.#analyticsPage('balanceHistory', request),
  }
  /** The cursor is how many have been shown. */
  async #analyticsPage<T>(method: keyof AnalyticsService, { limit, cursor = '0' }: PageRequest): Promise<Page<T>> {
    const items = (this.analyticsItems[method] ?? []) as readonly T[]
    const end = Number(cursor) + limit
    return { items: items.slice(Number(cursor), end), nextCursor: end < items.length ? String(end) : null }
  }

  emit(type: string, data: Record<string, unknown> = {}): NodeEvent {
    const event = { id: this.events.length + 1, type, at: NOW, data }
    this.events.push(event)
    for (const listener of this.#listeners) listener(event)
    return event
  }
  lastEventId(): number {
    return this.events.length
  }
  async lastEventBefore(time: number): Promise<number> {
    return this.events.findLast((event) => Date.parse(event.at) < time)?.id ?? 0
  }
  async eventsSince(since: number, limit: number): Promise<readonly NodeEvent[]> {
    return this.events.filter((event) => event.id > since).slice(0, limit)
  }
  onEvent(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
  async waitFor<T>(
    _resource: string,
    get: () => Promise<T>,
    done: (view: T) => boolean,
    _timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<T> {
    for (;;) {
      const view = await get()
      if (done(view) || signal?.aborted) return view
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
