import type { Scope } from '../api/auth/scopes.ts'
import type { Key, KeyUsage } from '../api/keySchemas.ts'
import type { Chain, Fees, Utxo, Wallet, WalletTransaction } from '../api/onchainSchemas.ts'
import type { Alert } from '../api/operatorSchemas.ts'
import type { Balance, Channel, Event, Invoice, Node, Payment, Peer } from '../api/schemas.ts'
import { ConnectionError } from '../client/errors.ts'
import { type FulmenClient, whole } from '../client/index.ts'
import { shortId } from './format.ts'
import { PagedResource, type Renewable, Resource } from './resource.ts'

/** Events from before the sign-in that are shown. */
const HISTORY = 500
const EVENTS_KEPT = 1_000
/** A payment is told of as soon as it is certain; the channels that it crossed are done with it some messages later. */
const SETTLING_MS = 1_200

/** What each kind of event may change. The first word of its type decides. */
const CHANGES = {
  channel: ['channels', 'balance', 'wallet', 'transactions', 'utxos'],
  payment: ['payments', 'channels', 'balance'],
  invoice: ['invoices', 'channels', 'balance'],
  forward: ['channels', 'balance'],
  peer: ['peers', 'channels'],
  chain: ['node', 'chain', 'fees', 'channels', 'balance', 'wallet', 'transactions', 'utxos'],
  wallet: ['wallet', 'transactions', 'utxos', 'balance'],
  key: ['keys', 'alerts'],
  node: ['node', 'channels', 'alerts'],
} as const satisfies Readonly<Record<string, readonly (keyof Resources)[]>>

export interface Resources {
  readonly node: Resource<Node>
  readonly balance: Resource<Balance>
  readonly channels: Resource<readonly Channel[]>
  readonly peers: Resource<readonly Peer[]>
  readonly payments: PagedResource<Payment>
  readonly invoices: PagedResource<Invoice>
  readonly wallet: Resource<Wallet>
  readonly utxos: PagedResource<Utxo>
  readonly transactions: PagedResource<WalletTransaction>
  readonly chain: Resource<Chain>
  readonly fees: Resource<Fees['items']>
  readonly keys: Resource<readonly Key[]>
  /** What is wrong now, newest first. */
  readonly alerts: Resource<readonly Alert[]>
  readonly aliases: Resource<ReadonlyMap<string, string>>
}

/** The node as this page knows it, kept up to date by its events. */
export class Live {
  readonly client: FulmenClient
  readonly key: Key
  readonly of: Resources
  /** Newest first. */
  events: readonly Event[] = []
  readonly usage = new Map<string, KeyUsage>()
  readonly #heard = new Set<(event: Event) => void>()
  readonly #shown = new Set<() => void>()
  readonly #own = new Map<Renewable, readonly string[]>()
  readonly #seen = new Set<string>()
  #scheduled = false
  #settling = false
  #head = 0

  constructor(client: FulmenClient, key: Key) {
    this.client = client
    this.key = key
    this.of = {
      node: new Resource(() => client.node()),
      balance: new Resource(() => client.balance()),
      channels: new Resource(() => whole(client.channels.list)),
      peers: new Resource(() => whole(client.peers.list)),
      payments: new PagedResource(client.payments.list, (p) => p.id),
      invoices: new PagedResource(client.invoices.list, (i) => i.id),
      wallet: new Resource(() => client.wallet.get()),
      utxos: new PagedResource(client.wallet.utxoPage, (u) => u.outpoint),
      transactions: new PagedResource(client.wallet.transactions, (t) => t.id),
      chain: new Resource(() => client.chain.get()),
      fees: new Resource(() => client.chain.fees()),
      keys: new Resource(() => whole(client.keys.list)),
      alerts: new Resource(() => whole((page) => client.alerts.list({ ...page, state: 'raised' }))),
      aliases: new Resource(async () => {
        const { items } = await client.graph.nodes({ limit: 500 })
        return new Map(items.map((node) => [node.nodeId, node.alias])) as ReadonlyMap<string, string>
      }),
    }
  }

  can(scope: Scope): boolean {
    return this.key.scopes.includes('*') || this.key.scopes.includes(scope)
  }

  /** What a node calls itself, else the ends of its id. */
  nameOf(nodeId: string): string {
    const alias =
      this.of.peers.value?.find((peer) => peer.nodeId === nodeId)?.alias ?? this.of.aliases.value?.get(nodeId)
    return alias?.trim() || shortId(nodeId)
  }

  /** Follows the events until the signal aborts. @throws ApiError when the key works no more */
  async follow(signal: AbortSignal): Promise<void> {
    this.#head = await this.client.lastEventId().catch((error: unknown) => {
      if (error instanceof ConnectionError) return 0
      throw error
    })
    const since = this.#head > 0 ? { since: Math.max(0, this.#head - HISTORY) } : {}
    for await (const event of this.client.events({ ...since, signal })) this.#take(event)
  }

  /** What one view alone shows: loaded again after events of these kinds, until the signal aborts. */
  keep<T>(resource: Resource<T>, kinds: readonly string[], signal: AbortSignal): Resource<T> {
    this.#own.set(resource, kinds)
    signal.addEventListener('abort', () => this.#own.delete(resource), { once: true })
    return resource
  }

  #all(): readonly Renewable[] {
    return [...Object.values(this.of), ...this.#own.keys()]
  }

  /** The connection was away: what is shown may be old. */
  touchAll(): void {
    for (const resource of this.#all()) resource.touch()
  }

  /** Somebody looks again. */
  refreshAll(): void {
    for (const resource of this.#all()) resource.refresh()
  }

  /** Alerts of which nobody has said that they know, newest first. */
  newAlerts(): readonly Alert[] {
    const { value = [] } = this.of.alerts
    return value.filter(({ id, acknowledgedAt }) => acknowledgedAt === null && !this.#seen.has(id))
  }

  /** Somebody knows: for the node, where this key may say so, else for this session. */
  async seeAlerts(): Promise<void> {
    const { alerts } = this.of
    for (const { id } of this.newAlerts()) {
      if (this.can('*')) await this.client.alerts.acknowledge(id)
      else this.#seen.add(id)
    }
    if (this.can('*')) alerts.hurry()
    else alerts.set(alerts.value ?? [])
  }

  /** Calls back, now and when there are others. */
  watchAlerts(signal: AbortSignal, show: () => void): void {
    show()
    if (this.can('node:read')) this.of.alerts.watch(signal, show)
  }

  /** Each event that happens from now on. */
  hear(signal: AbortSignal, listener: (event: Event) => void): void {
    this.#heard.add(listener)
    signal.addEventListener('abort', () => this.#heard.delete(listener), { once: true })
  }

  /** Calls back, now and at most once a frame, when there are further events, old or new. */
  watchEvents(signal: AbortSignal, show: () => void): void {
    this.#shown.add(show)
    signal.addEventListener('abort', () => this.#shown.delete(show), { once: true })
    show()
  }

  #take(event: Event): void {
    this.events = [event, ...this.events.slice(0, EVENTS_KEPT - 1)]
    this.#tell()
    if (event.id !== null && event.id <= this.#head) return
    const kind = event.type.split('.')[0] as keyof typeof CHANGES
    for (const name of Object.hasOwn(CHANGES, kind) ? CHANGES[kind] : []) this.of[name].touch()
    for (const [resource, kinds] of this.#own) if (kinds.includes(kind)) resource.touch()
    if (kind === 'payment' || kind === 'invoice' || kind === 'forward') this.#lookAgain()
    if (event.type === 'key.rotated') this.usage.clear()
    for (const listener of this.#heard) listener(event)
  }

  #tell(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    requestAnimationFrame(() => {
      this.#scheduled = false
      for (const show of this.#shown) show()
    })
  }

  #lookAgain(): void {
    if (this.#settling) return
    this.#settling = true
    setTimeout(() => {
      this.#settling = false
      for (const resource of [this.of.channels, this.of.balance]) resource.touch()
    }, SETTLING_MS)
  }
}
