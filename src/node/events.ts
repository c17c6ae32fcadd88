import { pack, unpack } from '../base/pack.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { TurnScope } from './reactor.ts'
import type { NodeEvent } from './service.ts'

/** Older events are deleted as new ones come. */
const EVENTS_KEPT = 1_000_000

export type EventType =
  | 'channel.pending'
  | 'channel.ready'
  | 'channel.closing'
  | 'channel.closed'
  | 'invoice.accepted'
  | 'invoice.settled'
  | 'invoice.expired'
  | 'payment.pending'
  | 'payment.succeeded'
  | 'payment.failed'
  | 'forward.settled'
  | 'forward.failed'
  | 'peer.connected'
  | 'peer.disconnected'
  | 'chain.block'
  | 'chain.reorg'
  | 'wallet.transaction'
  | 'key.rotated'
  | 'key.expiring'
  | 'node.alert'

export type EventData = Readonly<Record<string, string | number | boolean | null>>

/** The durable, numbered log of what happened, and those who listen to it. Listeners hear of an event once it is on disk. */
export class EventLog {
  readonly #driver: Driver
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  readonly #now: () => number
  #next: number

  private constructor(driver: Driver, next: number, now: () => number) {
    this.#driver = driver
    this.#next = next
    this.#now = now
  }

  /** @param now Unix milliseconds */
  static async open(driver: Driver, now: () => number): Promise<EventLog> {
    let last = 0
    for await (const [key] of driver.entries({ ...prefixRange('event/'), reverse: true, limit: 1 }))
      last = Number(key.slice(6))
    return new EventLog(driver, last + 1, now)
  }

  /** Of the newest event, which may be on its way to the disk; 0: there was none. */
  get lastId(): number {
    return this.#next - 1
  }

  /** Adds the event to the turn's batch. */
  emit(scope: TurnScope, type: EventType, data: EventData): void {
    const event: NodeEvent = { id: this.#next++, type, at: new Date(this.#now()).toISOString(), data }
    scope.write({ key: keys.event(event.id), value: pack(event) })
    if (event.id > EVENTS_KEPT) scope.write({ key: keys.event(event.id - EVENTS_KEPT) })
    scope.after(() => {
      for (const listener of this.#listeners) listener(event)
    })
  }

  /** Events with id > since, oldest first. */
  async since(since: number, limit: number): Promise<readonly NodeEvent[]> {
    const events: NodeEvent[] = []
    const { lt } = prefixRange('event/')
    for await (const [, value] of this.#driver.entries({ gt: keys.event(Math.max(0, since)), lt, limit })) {
      events.push(unpack<NodeEvent>(value))
    }
    return events
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
