import type { NodeEvent, NodeService } from '../node/service.ts'
import { grants, type Scope } from './auth/scopes.ts'

/** The events of the node, each with the scope that a key needs to see it. */
export const EVENT_SCOPES: Readonly<Record<string, Scope>> = {
  'channel.pending': 'channels:read',
  'channel.ready': 'channels:read',
  'channel.closing': 'channels:read',
  'channel.closed': 'channels:read',
  'invoice.accepted': 'invoices:read',
  'invoice.settled': 'invoices:read',
  'invoice.expired': 'invoices:read',
  'payment.pending': 'payments:read',
  'payment.succeeded': 'payments:read',
  'payment.failed': 'payments:read',
  'forward.settled': 'node:read',
  'forward.failed': 'node:read',
  'peer.connected': 'node:read',
  'peer.disconnected': 'node:read',
  'chain.block': 'chain:read',
  'chain.reorg': 'chain:read',
  'wallet.transaction': 'wallet:read',
  'key.rotated': 'keys:admin',
  'key.expiring': 'keys:admin',
  'node.alert': 'node:read',
  'node.alert.cleared': 'node:read',
}

/** A connection holds no more than this in memory; past it the client lags and is served from the store. */
const MAX_BUFFERED_BYTES = 256 * 1024
const CATCH_UP_PAGE = 256
const HEARTBEAT_MS = 15_000

/** An event as text, made once for all subscribers. */
interface Frame {
  readonly id: number
  readonly type: string
  readonly json: string
}

/** A connection that takes events. */
export interface EventSink {
  readonly closed: boolean
  /** What was sent and has not left the process. */
  readonly bufferedBytes: number
  /** @param id null for a notice, which is not an event to resume from */
  send(id: number | null, type: string, json: string): void
  /** Shows the other side, and whatever stands between, that the connection lives. */
  beat(): void
  /** Resolves when everything sent has left the process, or the connection is closed. */
  drained(): Promise<void>
  /** `refused`: the key that opened it works no more. */
  close(why?: 'refused'): void
}

export type Accepts = (type: string) => boolean

const frameOf = (event: NodeEvent): Frame => ({ id: event.id, type: event.type, json: JSON.stringify(event) })

/** Hands each event of the node to every subscriber, exactly once and in order, however slow the subscriber is. */
export class EventHub {
  readonly #service: Pick<NodeService, 'eventsSince'>
  readonly #subscribers = new Set<Subscriber>()
  readonly #stop: () => void
  #lastId: number

  constructor(service: Pick<NodeService, 'eventsSince' | 'onEvent' | 'lastEventId'>) {
    this.#service = service
    this.#lastId = service.lastEventId()
    this.#stop = service.onEvent((event) => this.#publish(event))
  }

  get size(): number {
    return this.#subscribers.size
  }

  /** Id of the newest event. */
  get lastId(): number {
    return this.#lastId
  }

  /**
   * @param since id of the last event that the client has seen; undefined: from now on
   * @param until id of the last event that it is to see, one of the past; undefined: all to come
   */
  subscribe(sink: EventSink, accepts: Accepts, since: number | undefined, until?: number): () => void {
    const subscriber = new Subscriber(sink, accepts, { service: this.#service, hub: this, until })
    this.#subscribers.add(subscriber)
    const heartbeat = setInterval(() => subscriber.beat(), HEARTBEAT_MS).unref()
    if (since !== undefined) void subscriber.catchUp(since)
    return () => {
      clearInterval(heartbeat)
      this.#subscribers.delete(subscriber)
    }
  }

  close(): void {
    this.#stop()
    for (const subscriber of this.#subscribers) subscriber.sink.close()
    this.#subscribers.clear()
  }

  #publish(event: NodeEvent): void {
    this.#lastId = event.id
    if (this.#subscribers.size === 0) return
    const frame = frameOf(event)
    for (const subscriber of this.#subscribers) subscriber.offer(frame)
  }
}

class Subscriber {
  readonly sink: EventSink
  readonly #accepts: Accepts
  readonly #service: Pick<NodeService, 'eventsSince'>
  readonly #hub: EventHub
  readonly #until: number
  /** Live: takes events as they come. Otherwise it reads the store, where it will meet them. */
  #live = true
  /** Everything up to this id has been sent or filtered out. */
  #cursor = 0

  constructor(
    sink: EventSink,
    accepts: Accepts,
    { service, hub, until }: { service: Pick<NodeService, 'eventsSince'>; hub: EventHub; until: number | undefined },
  ) {
    this.sink = sink
    this.#accepts = accepts
    this.#service = service
    this.#hub = hub
    this.#until = until ?? Number.POSITIVE_INFINITY
  }

  /** Nothing is added to a connection that does not move. */
  beat(): void {
    if (!this.sink.closed && this.sink.bufferedBytes === 0) this.sink.beat()
  }

  offer(frame: Frame): void {
    // An event can be met in the store just before it is announced.
    if (!this.#live || frame.id <= this.#cursor) return
    if (this.#accepts(frame.type) && this.sink.bufferedBytes > MAX_BUFFERED_BYTES) {
      const since = frame.id - 1
      this.#notice('events.lagging', { since })
      void this.catchUp(since)
      return
    }
    this.#cursor = frame.id
    if (this.#accepts(frame.type)) this.sink.send(frame.id, frame.type, frame.json)
  }

  /** Sends what the store has after `since`, no faster than the client reads, and goes live when nothing is left. */
  async catchUp(since: number): Promise<void> {
    this.#live = false
    this.#cursor = since
    try {
      for (;;) {
        if (this.sink.bufferedBytes > MAX_BUFFERED_BYTES) await this.sink.drained()
        if (this.sink.closed) return
        if (this.#cursor >= this.#until) return this.#end()
        const newest = this.#hub.lastId
        const events = await this.#service.eventsSince(this.#cursor, CATCH_UP_PAGE)
        if (events.length === 0 && this.#hub.lastId === newest) break
        await this.#sendPage(events)
      }
      this.#live = true
    } catch {
      this.sink.close() // the client comes back with the last id it saw
    }
  }

  async #sendPage(events: readonly NodeEvent[]): Promise<void> {
    for (const event of events) {
      if (this.sink.bufferedBytes > MAX_BUFFERED_BYTES) await this.sink.drained()
      if (this.sink.closed) return
      this.#tellOfGap(Math.min(event.id, this.#until + 1))
      if (event.id > this.#until) {
        this.#cursor = this.#until
        return
      }
      this.#cursor = event.id
      if (this.#accepts(event.type)) this.sink.send(event.id, event.type, JSON.stringify(event))
    }
  }

  /** Ids have no gaps: what lies between the cursor and the next event of the store is no longer kept. */
  #tellOfGap(nextId: number): void {
    if (nextId > this.#cursor + 1) this.#notice('events.lost', { from: this.#cursor + 1, to: nextId - 1 })
  }

  /** There is no more of what was asked for: whoever comes back after it would wait in vain. */
  #end(): void {
    this.#notice('events.end', { until: this.#until })
    this.sink.close()
  }

  #notice(type: string, data: Record<string, unknown>): void {
    this.sink.send(null, type, JSON.stringify({ id: null, type, at: new Date().toISOString(), data }))
  }
}

/** Which events a subscription gets: those named by `?types=` (all when absent) that the key's scopes cover. */
export function eventFilter(types: string | undefined, scopes: readonly Scope[]): Accepts {
  if (types === undefined) return (type) => seenBy(scopes, type)
  const wanted = typesNamed(types.split(','))
  return (type) => wanted.has(type) && seenBy(scopes, type)
}

/** Whether a key with these scopes may see events of the type. */
export const seenBy = (scopes: readonly Scope[], type: string): boolean =>
  grants(scopes, EVENT_SCOPES[type] ?? 'node:read')

const ALL_TYPES = Object.keys(EVENT_SCOPES)
const matching = (name: string): readonly string[] =>
  ALL_TYPES.filter((type) => (name.endsWith('.*') ? type.startsWith(name.slice(0, -1)) : type === name))

/** The event types that names like `payment.*` and `chain.block` stand for. */
export const typesNamed = (names: readonly string[]): ReadonlySet<string> => new Set(names.flatMap(matching))

/** Says which names stand for no event type; null: there is none such. */
export function unknownTypes(names: readonly string[]): string | null {
  const unknown = names.filter((name) => matching(name).length === 0).map((name) => JSON.stringify(name.slice(0, 50)))
  return unknown.length === 0 ? null : `no such event type: ${unknown.join(', ')}; there are ${ALL_TYPES.join(', ')}`
}
