import type { ChannelId, NodeId } from '../base/ids.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import { lastSequence } from './paging.ts'
import { PeerBudget } from './peerBudget.ts'
import type { TurnScope } from './reactor.ts'
import type { NodeEvent } from './service.ts'
import { placesIn, recordsFrom } from './timeRange.ts'

/** Older events are deleted as new ones come. */
const EVENTS_KEPT = 1_000_000
/** Of the events that peers can cause without paying for them: beyond these they are only counted. */
const OF_PEERS = {
  perPeer: { burst: 50, refillMs: 60_000 },
  total: { burst: 1_000, refillMs: 5_000 },
}

/** Of forwards that fail, which cost whoever sends them nothing either: for each channel that they come by, and for all. */
const OF_FORWARDS = {
  perPeer: { burst: 1_000, refillMs: 1_000 },
  total: { burst: 10_000, refillMs: 100 },
}

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
  | 'node.alert.cleared'

export type EventData = Readonly<Record<string, string | number | boolean | null>>

interface EventLogOptions {
  /** Unix milliseconds. */
  readonly now: () => number
  /** A listener threw. */
  readonly onError?: (error: unknown, event: NodeEvent) => void
}

/** The durable, numbered log of what happened, and those who listen to it. Listeners hear of an event once it is on disk. */
export class EventLog {
  readonly #driver: Driver
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  readonly #now: () => number
  readonly #ofPeers = new PeerBudget(OF_PEERS, () => performance.now())
  readonly #ofForwards = new PeerBudget(OF_FORWARDS, () => performance.now())
  readonly #onError: (error: unknown, event: NodeEvent) => void
  #leftOut = 0
  #next: number

  private constructor(driver: Driver, next: number, { now, onError = () => {} }: EventLogOptions) {
    this.#driver = driver
    this.#next = next
    this.#now = now
    this.#onError = onError
  }

  static async open(driver: Driver, now: () => number, onError?: EventLogOptions['onError']): Promise<EventLog> {
    const last = await lastSequence(driver, 'event/')
    return new EventLog(driver, last + 1, { now, ...(onError && { onError }) })
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
      for (const listener of this.#listeners) this.#tell(listener, event)
    })
  }

  /** What is to hear of it is not what it depends on: a bug there stops neither the others nor the node. */
  #tell(listener: (event: NodeEvent) => void, event: NodeEvent): void {
    try {
      listener(event)
    } catch (e) {
      this.#onError(e, event)
    }
  }

  /**
   * An event that a peer can bring about as often as it likes: nobody fills the disk with it, or pushes out what matters.
   * @returns whether it was added; otherwise it is counted for `sumUp`
   */
  emitOfPeer(scope: TurnScope, peer: NodeId, type: EventType, data: EventData): boolean {
    return this.#emitWithin(this.#ofPeers.take(peer), scope, type, data)
  }

  /** A forward has failed that came by a channel: as often as its peer likes, a thousand times a second. */
  emitForwardFailed(scope: TurnScope, incoming: ChannelId, data: EventData): boolean {
    return this.#emitWithin(this.#ofForwards.take(incoming), scope, 'forward.failed', data)
  }

  #emitWithin(isAdded: boolean, scope: TurnScope, type: EventType, data: EventData): boolean {
    if (isAdded) this.emit(scope, type, data)
    else this.#leftOut++
    return isAdded
  }

  /** One alert for all events that were left out since the last one. */
  sumUp(scope: TurnScope): void {
    if (this.#leftOut === 0) return
    const message = `${this.#leftOut} events that peers brought about were too many to be listed: bad messages, connections that come and go, or forwards that fail`
    this.#leftOut = 0
    this.emit(scope, 'node.alert', { code: 'EVENTS_LEFT_OUT', message, byPeer: true })
  }

  /** Id of the last event before a time, Unix ms; 0: there was none. */
  async lastBefore(time: number): Promise<number> {
    const at = recordsFrom<NodeEvent>(this.#driver, 'event/', (event) => Date.parse(event.at))
    const { before } = await placesIn({ to: time }, this.#next, at)
    return Math.max(0, (before ?? 0) - 1)
  }

  /** Events with id > since, oldest first; none only where there are no more, however many cannot be read. */
  async since(since: number, limit: number): Promise<readonly NodeEvent[]> {
    const { lt } = prefixRange('event/')
    for (let gt = keys.event(Math.max(0, since)); ; ) {
      const events: NodeEvent[] = []
      let read = 0
      for await (const [key, value] of this.#driver.entries({ gt, lt, limit })) {
        gt = key
        read++
        const event = unpackIfWhole<NodeEvent>(value)
        if (event?.id) events.push(event)
      }
      if (events.length > 0 || read === 0) return events
    }
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
