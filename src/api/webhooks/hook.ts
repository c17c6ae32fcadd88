import { randomBytes } from 'node:crypto'
import { toHex } from '../../base/bytes.ts'
import { ifDamaged } from '../../node/apiStore.ts'
import { ServiceError } from '../../node/errors.ts'
import type { ApiEvent, ApiOp, ApiStore, NodeEvent, NodeService } from '../../node/service.ts'
import type { Message, Outcome } from './post.ts'
import {
  type DeliveryRecord,
  deliveryKey,
  type Failing,
  liveSecrets,
  readDelivery,
  recordKey,
  stored,
  type WebhookRecord,
} from './record.ts'
import { signedHeaders } from './signature.ts'

/** What a hook needs of the world. */
export interface HookParts {
  readonly store: ApiStore
  readonly service: Pick<NodeService, 'eventsSince'>
  /** Id of the last event that was offered to those who want it. */
  readonly heard: () => number
  /** Unix ms */
  readonly now: () => number
  readonly userAgent: string
  /** Posts one message, when its turn among all hooks has come and `still` holds then; null: it did not. */
  readonly post: (make: () => Message, signal: AbortSignal, still: () => boolean) => Promise<Outcome | null>
  /** Which events the key behind the hook may see; null: it does not work, and so the hook does not. */
  readonly sees: (record: WebhookRecord) => ((type: string) => boolean) | null
  readonly onError: (error: unknown) => void
}

type Body = Omit<NodeEvent, 'id'> & { readonly id: number | null }

const PAGE = 256
const DELIVERIES_KEPT = 1_000
const FLUSH_MS = 200
/** Progress over events that the hook does not want is worth a write that often. */
const SKIPPED_UNWRITTEN = 10_000
const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 3_600_000
export const GIVE_UP_AFTER_MS = 24 * 3_600_000
const GONE = 410

export type HookState = 'active' | 'retrying' | 'disabled' | 'failed' | 'stopped'

/**
 * One webhook at work: every event of the log that it wants, one after another, each until it is acknowledged. It reads the log from
 * a stored place on, so that nothing is lost in a crash and the last ones may come twice.
 */
export class Hook {
  readonly #parts: HookParts
  #record: WebhookRecord
  #writtenCursor: number
  #unwritten: DeliveryRecord[] = []
  #flushTimer: NodeJS.Timeout | undefined
  #wanted = false
  #running = false
  /** It waits for a time or a key rather than for an event. */
  #parked = false
  /** It has seen the end of the log: until it is offered an event, there is none that it wants. */
  #caughtUp = false
  readonly #stop = new AbortController()

  constructor(record: WebhookRecord, parts: HookParts) {
    this.#record = record
    this.#writtenCursor = record.cursor
    this.#parts = parts
  }

  get record(): WebhookRecord {
    return this.#record
  }

  /** Id of the last event that was acknowledged or is not wanted. */
  get cursor(): number {
    return this.#caughtUp ? Math.max(this.#record.cursor, this.#parts.heard()) : this.#record.cursor
  }

  get state(): HookState {
    const { enabled, gaveUp, failing } = this.#record
    if (!enabled) return 'disabled'
    if (gaveUp !== null) return 'failed'
    if (this.#parts.sees(this.#record) === null) return 'stopped'
    return failing === null ? 'active' : 'retrying'
  }

  /** An event of a type that it asks for is in the log. */
  offer(event: NodeEvent): void {
    if (this.#caughtUp) {
      if (event.id <= this.#record.cursor || this.#parts.sees(this.#record)?.(event.type) === false) return
      this.#record = { ...this.#record, cursor: event.id - 1 }
      this.#caughtUp = false
    }
    this.wake()
  }

  /** Time has passed: a retry may be due, the key may work again, progress over what it does not want is worth a write. */
  tick(): void {
    if (this.#parked && this.#isDue()) this.wake()
    if (this.cursor - this.#writtenCursor >= SKIPPED_UNWRITTEN) this.#flushSoon()
  }

  /** Something may have changed. */
  wake(): void {
    this.#wanted = true
    if (!this.#running && !this.#stop.signal.aborted) void this.#work()
  }

  /** Changes what the operator decides, durably. */
  async change(make: (record: WebhookRecord) => WebhookRecord): Promise<void> {
    this.#record = make(this.#record)
    await this.flush()
    this.wake()
  }

  /** A message of our own, once and at once. @throws ServiceError CONFLICT when the key behind the hook does not work */
  async ping(): Promise<DeliveryRecord> {
    const body = { id: null, type: 'webhook.ping', at: this.#time(), data: { webhookId: this.#record.id } }
    return this.#once(`${this.#record.id}.ping.${toHex(randomBytes(6))}`, body)
  }

  /** Once more, out of order. @throws ServiceError */
  async redeliver(seq: number): Promise<DeliveryRecord> {
    const { eventId, messageId } = await this.delivery(seq)
    if (eventId === null) throw new ServiceError('CONFLICT', 'This was no event of the node: send a ping instead.')
    const [event] = await this.#parts.service.eventsSince(eventId - 1, 1)
    if (event?.id !== eventId) throw new ServiceError('NOT_FOUND', 'The event is no longer kept.')
    if (this.#parts.sees(this.#record)?.(event.type) === false) {
      throw new ServiceError('CONFLICT', 'The webhook does not get events of this type any more.')
    }
    return this.#once(messageId, event)
  }

  async delivery(seq: number): Promise<DeliveryRecord> {
    await this.flush()
    const value = await this.#parts.store.get(deliveryKey(this.#record.id, seq)).catch(ifDamaged(undefined))
    if (!value) throw new ServiceError('NOT_FOUND', `There is no delivery ${seq}, or it is no longer kept.`)
    return readDelivery(value)
  }

  /**
   * Newest first; reads no more than it returns.
   * @returns also before which the list goes on, null: nowhere; fewer than `limit` where some are damaged, or have come meanwhile
   */
  async deliveries(
    limit: number,
    before?: number,
  ): Promise<{ readonly items: readonly DeliveryRecord[]; readonly next: number | null }> {
    await this.flush()
    const { id, attempts } = this.#record
    const newest = Math.min(attempts, before === undefined ? attempts : before - 1)
    const first = Math.max(1, attempts - DELIVERIES_KEPT + 1)
    const oldest = Math.max(first, newest - limit + 1)
    const numbers = Array.from({ length: Math.max(0, newest - oldest + 1) }, (_, i) => newest - i)
    const values = await Promise.all(
      numbers.map((seq) => this.#parts.store.get(deliveryKey(id, seq)).catch(ifDamaged(undefined))),
    )
    const items = values.flatMap((value) => (value ? [readDelivery(value)] : []))
    return { items, next: oldest > first && numbers.length > 0 ? oldest : null }
  }

  async delete(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#flushTimer)
    const { id, attempts } = this.#record
    const kept = Array.from({ length: Math.min(attempts, DELIVERIES_KEPT) }, (_, i) => attempts - i)
    const log = kept.map((seq): ApiOp => ({ key: deliveryKey(id, seq) }))
    await this.#parts.store.commit([{ key: recordKey(id) }, ...log])
  }

  /** What is under way is broken off, and sent again by the next run. */
  async close(): Promise<void> {
    await this.flush()
    this.#stop.abort()
    clearTimeout(this.#flushTimer)
  }

  /** Writes where the hook stands. */
  async flush(events: readonly ApiEvent[] = []): Promise<void> {
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    if (this.#stop.signal.aborted) return
    const { id } = this.#record
    const log = this.#unwritten
    this.#unwritten = []
    this.#record = { ...this.#record, cursor: this.cursor }
    this.#writtenCursor = this.cursor
    const ops = log.flatMap((entry): ApiOp[] => [
      { key: deliveryKey(id, entry.seq), value: stored(entry) },
      ...(entry.seq > DELIVERIES_KEPT ? [{ key: deliveryKey(id, entry.seq - DELIVERIES_KEPT) }] : []),
    ])
    await this.#parts.store.commit([{ key: recordKey(id), value: stored(this.#record) }, ...ops], events)
  }

  async #work(): Promise<void> {
    this.#running = true
    this.#record = { ...this.#record, cursor: this.cursor }
    this.#caughtUp = false
    try {
      while (this.#wanted && !this.#stop.signal.aborted) {
        this.#wanted = false
        this.#parked = !(await this.#drain())
      }
      this.#caughtUp = !this.#parked
    } catch (error) {
      this.#parked = true
      this.#parts.onError(error)
    } finally {
      this.#running = false
    }
  }

  /** Delivers until the log is at its end. @returns false when the hook has to wait before that */
  async #drain(): Promise<boolean> {
    while (this.#isDue()) {
      const events = await this.#parts.service.eventsSince(this.#record.cursor, PAGE)
      if (events.length === 0) return true
      for (const event of events) if (!(await this.#handle(event))) return false
    }
    return false
  }

  #isDue = (): boolean => {
    const { failing } = this.#record
    const state = this.#stop.signal.aborted ? 'disabled' : this.state
    return state === 'active' || (state === 'retrying' && this.#parts.now() >= Date.parse(failing!.nextAttemptAt))
  }

  /** @returns whether the next event may follow */
  async #handle(event: NodeEvent): Promise<boolean> {
    if (!this.#isDue()) return false
    const { cursor, id } = this.#record
    if (event.id > cursor + 1) {
      // Ids have no gaps: what lies between is no longer kept, and the receiver should know.
      const data = { from: cursor + 1, to: event.id - 1 }
      const notice = { id: null, type: 'events.lost', at: this.#time(), data }
      if (!(await this.#deliver(`${id}.lost.${event.id}`, notice, event.id - 1))) return false
    }
    if (this.#parts.sees(this.#record)?.(event.type) === false) {
      this.#record = { ...this.#record, cursor: event.id }
      return true
    }
    return this.#deliver(`${id}.${event.id}`, event, event.id)
  }

  /** One attempt. @returns whether it was acknowledged */
  async #deliver(messageId: string, body: Body, upTo: number): Promise<boolean> {
    const { url, failing } = this.#record
    const outcome = await this.#post(messageId, body, this.#isDue)
    if (outcome === null || this.#stop.signal.aborted) return false
    const entry = this.#enter(messageId, body, outcome, (failing?.attempts ?? 0) + 1)
    if (entry.acknowledged) {
      this.#record = { ...this.#record, failing: null, cursor: Math.max(this.#record.cursor, upTo) }
      this.#flushSoon()
      return true
    }
    if (this.#record.url === url) await this.#fail(outcome)
    else await this.flush() // it has another address since: that one has failed at nothing
    return false
  }

  async #once(messageId: string, body: Body): Promise<DeliveryRecord> {
    const works = () => this.#parts.sees(this.#record) !== null
    const outcome = works() ? await this.#post(messageId, body, works) : null
    if (outcome === null) throw new ServiceError('CONFLICT', 'The key that made this webhook does not work any more.')
    const entry = this.#enter(messageId, body, outcome, 1)
    await this.flush()
    return entry
  }

  #post(id: string, event: Body, still: () => boolean): Promise<Outcome | null> {
    const make = (): Message => {
      const now = this.#parts.now()
      const body = JSON.stringify(event)
      const secrets = liveSecrets(this.#record, now).map(({ secret }) => secret)
      const signed = signedHeaders({ id, timestamp: Math.floor(now / 1000), body }, secrets)
      const headers = { 'content-type': 'application/json', 'user-agent': this.#parts.userAgent, ...signed }
      return { url: this.#record.url, headers, body }
    }
    return this.#parts.post(make, this.#stop.signal, still)
  }

  #enter(messageId: string, { id, type }: Body, outcome: Outcome, attempt: number): DeliveryRecord {
    const seq = this.#record.attempts + 1
    const acknowledged = outcome.status !== null && outcome.status >= 200 && outcome.status < 300
    const entry = { seq, messageId, eventId: id, type, at: this.#time(), attempt, acknowledged, ...outcome }
    this.#record = { ...this.#record, attempts: seq }
    this.#unwritten.push(entry)
    return entry
  }

  async #fail({ status, error }: Outcome): Promise<void> {
    const now = this.#parts.now()
    const failing = failedAgain(this.#record.failing, now)
    const what = error ?? `HTTP ${status}`
    const isOver = status === GONE || now - Date.parse(failing.since) >= GIVE_UP_AFTER_MS
    this.#record = { ...this.#record, failing, gaveUp: isOver ? what : null }
    if (!isOver) return this.flush()
    const { id, name } = this.#record
    const message = `The webhook ${id} gets no more events, after ${failing.attempts} attempts since ${failing.since}: ${what}. Switch it on again once its receiver works.`
    await this.flush([{ type: 'node.alert', data: { code: 'WEBHOOK_FAILED', webhookId: id, name, message } }])
  }

  #flushSoon(): void {
    const flush = () => void this.flush().catch(this.#parts.onError)
    this.#flushTimer ??= setTimeout(flush, FLUSH_MS).unref()
  }

  #time(): string {
    return new Date(this.#parts.now()).toISOString()
  }
}

/** Doubles from a second to an hour, a little less by chance, so that receivers that come back are not met by all at once. */
function failedAgain(failing: Failing | null, now: number): Failing {
  const attempts = (failing?.attempts ?? 0) + 1
  const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1)) * (0.8 + Math.random() / 5)
  return {
    since: failing?.since ?? new Date(now).toISOString(),
    attempts,
    nextAttemptAt: new Date(now + delayMs).toISOString(),
  }
}
