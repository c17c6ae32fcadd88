import type { Logger } from 'pino'
import { utf8, utf8Decode } from '../../base/bytes.ts'
import { ifDamaged } from '../../node/apiStore.ts'
import { ServiceError } from '../../node/errors.ts'
import type { ApiEvent, NodeEvent, NodeService } from '../../node/service.ts'
import type { Looked } from './look.ts'
import {
  ALERT_PREFIX,
  type AlertRecord,
  cureOf,
  dropAlert,
  isChecked,
  nameOf,
  PATIENCE_MS,
  putAlert,
  readAlert,
  scopeOf,
} from './record.ts'

/** The oldest of those that are cleared are forgotten first, then warnings. */
const ALERTS_KEPT = 500
const CURSOR = 'alert-cursor'
const PAGE = 256
/** A node that has kept no alerts yet begins with those among so many events. */
const FIRST_LOOK_BACK = 1_000
/** How far the events are read is worth a write of its own that often. */
const UNWRITTEN = 1_000
const WARNINGS_LAST_MS = 24 * 3_600_000

export interface AlertParts {
  readonly service: Pick<NodeService, 'apiStore' | 'eventsSince' | 'lastEventId' | 'onEvent'>
  /** Unix ms */
  readonly now: () => number
  readonly look: () => Promise<Looked>
  readonly onError: (error: unknown) => void
  readonly log?: Pick<Logger, 'warn'>
}

type Raise = Pick<AlertRecord, 'code' | 'about' | 'severity' | 'reason' | 'cure'>

/**
 * What is wrong with the node, and what was. An alert is raised by an event that tells of it, or by a check that finds it; one that a check
 * can find is cleared when none does any more, any other when somebody acknowledges it. Each change is durable before it is told of.
 */
export class Alerts {
  readonly #parts: AlertParts
  /** In the order of raising. */
  #records: AlertRecord[] = []
  readonly #raised = new Map<string, AlertRecord>()
  /** Since when a check has found what is not raised yet. Unix ms */
  readonly #patient = new Map<string, number>()
  #cursor = 0
  #writtenCursor = 0
  #stopListening: () => void = () => {}
  #looking: Promise<void> | null = null
  #isClosed = false
  #writing: Promise<unknown> = Promise.resolve()

  constructor(parts: AlertParts) {
    this.#parts = parts
  }

  /** Takes up what the last run left, and what has happened since. */
  async load(): Promise<void> {
    const { service } = this.#parts
    for (const [, value] of await service.apiStore.list(ALERT_PREFIX)) this.#keep(readAlert(value))
    // Where that cannot be read some are heard of twice.
    const stored = await service.apiStore.get(CURSOR).catch(ifDamaged(undefined))
    this.#cursor = stored ? Number(utf8Decode(stored)) : Math.max(0, service.lastEventId() - FIRST_LOOK_BACK)
    this.#writtenCursor = this.#cursor
    let early: NodeEvent[] | null = []
    this.#stopListening = service.onEvent((event) => (early ? early.push(event) : this.#hear(event)))
    for (;;) {
      const events = await service.eventsSince(this.#cursor, PAGE)
      if (events.length === 0) break
      for (const event of events) this.#hear(event)
    }
    const heard = early
    early = null
    for (const event of heard) this.#hear(event)
    await this.#writing
  }

  async close(): Promise<void> {
    this.#stopListening()
    this.#isClosed = true
    await this.#commit([])
  }

  /** How many are raised now. */
  get raised(): number {
    return this.#raised.size
  }

  /** Newest first, those that a caller of these powers may see. */
  list(sees: (code: string) => boolean): readonly AlertRecord[] {
    return this.#records.filter(({ code }) => sees(code)).toReversed()
  }

  /** Somebody knows. What no check looks for is cleared by it. @throws ServiceError NOT_FOUND */
  async acknowledge(seq: number): Promise<AlertRecord> {
    const record = this.#records.find((one) => one.seq === seq)
    if (!record) throw new ServiceError('NOT_FOUND', `There is no alert ${seq}, or it is no longer kept.`)
    if (record.acknowledgedAt !== null) return record
    const at = this.#time()
    const isOver = record.clearedAt === null && !this.#isLookedFor(record)
    const known = { ...record, acknowledgedAt: at, ...(isOver && { clearedAt: at }) }
    await this.#change(known)
    return known
  }

  /** Time has passed: raises and clears what the checks find. One look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    const before = new Map(this.#raised)
    const { findings, unknown } = await this.#parts.look()
    if (this.#isClosed) return // the store closes, too
    const found = new Map<string, Raise>()
    for (const { alert, level, message, cure } of findings) {
      if (!alert || level === 'ok') continue
      const one = { ...alert, severity: level, reason: message, cure: cure ?? cureOf(alert.code) }
      if (!found.has(nameOf(one))) found.set(nameOf(one), one)
    }
    for (const name of this.#patient.keys()) if (!found.has(name)) this.#patient.delete(name)
    for (const [name, one] of found) this.#foundNow(name, one)
    for (const [name, record] of this.#raised) {
      const { seq, count } = before.get(name) ?? {}
      // It was told of while the checks looked: they may have been there before.
      if (seq !== record.seq || count !== record.count) continue
      const isOver = this.#isLookedFor(record) ? !found.has(name) && !unknown.has(record.code) : this.#isOld(record)
      if (isOver) this.#clear(record)
    }
    await this.#writing
  }

  #foundNow(name: string, one: Raise): void {
    const raised = this.#raised.get(name)
    if (raised) {
      const { severity, reason, cure } = one
      // Numbers in the words change with every look: that is worth no write.
      if (severity === raised.severity) this.#replace({ ...raised, reason, cure })
      else void this.#change({ ...raised, severity, reason, cure })
      return
    }
    const since = this.#patient.get(name) ?? this.#parts.now()
    this.#patient.set(name, since)
    if (this.#parts.now() - since < (PATIENCE_MS[one.code] ?? 0)) return
    this.#raise(one, { tell: true })
  }

  #hear({ id, type, data, at }: NodeEvent): void {
    if (id <= this.#cursor) return
    this.#cursor = id
    const one = raisedBy(type, data)
    if (one) {
      const raised = this.#raised.get(nameOf(one))
      if (raised) void this.#change({ ...raised, count: raised.count + 1, reason: one.reason })
      else this.#raise(one, { tell: false, at })
    } else if (id - this.#writtenCursor >= UNWRITTEN) void this.#commit([])
  }

  #raise(one: Raise, { tell, at = this.#time() }: { readonly tell: boolean; readonly at?: string }): void {
    const seq = (this.#records.at(-1)?.seq ?? 0) + 1
    const { code, about, severity, reason, cure } = one
    if (tell) this.#parts.log?.warn({ code, about, severity, cure }, reason)
    const record = { seq, code, about, severity, reason, cure, count: 1, raisedAt: at }
    void this.#change({ ...record, clearedAt: null, acknowledgedAt: null }, tell ? 'node.alert' : undefined)
  }

  #clear(record: AlertRecord): void {
    void this.#change({ ...record, clearedAt: this.#time() }, 'node.alert.cleared')
  }

  /** An event that names nothing is nothing that a check could look for. */
  #isLookedFor({ code, about }: AlertRecord): boolean {
    return isChecked(code) && (about !== null || OF_THE_NODE.has(code))
  }

  /** What peers did wrong, and what nobody has to do anything about, is not kept up for ever. */
  #isOld({ severity, raisedAt }: AlertRecord): boolean {
    return severity === 'warning' && this.#parts.now() - Date.parse(raisedAt) > WARNINGS_LAST_MS
  }

  /** @param tell the event that tells of the change; keys have events of their own, which not everybody sees */
  #change(record: AlertRecord, tell?: ApiEvent['type']): Promise<void> {
    this.#keep(record)
    const told = tell !== undefined && scopeOf(record.code) === 'node:read'
    const { seq, code, about, severity, reason: message, cure } = record
    const data = { alertId: String(seq), code, id: about, severity, message, cure, byPeer: false }
    return this.#commit([putAlert(record), ...this.#forget()], told ? [{ type: tell, data }] : [])
  }

  #commit(ops: readonly ReturnType<typeof putAlert>[], events: readonly ApiEvent[] = []): Promise<void> {
    const cursor = this.#cursor
    if (ops.length === 0 && cursor === this.#writtenCursor) return Promise.resolve()
    this.#writtenCursor = cursor
    const place = { key: CURSOR, value: utf8(String(cursor)) }
    const done = this.#parts.service.apiStore.commit([...ops, place], events).catch(this.#parts.onError)
    this.#writing = Promise.all([this.#writing, done])
    return done
  }

  #keep(record: AlertRecord): void {
    if (this.#records.some(({ seq }) => seq === record.seq)) this.#replace(record)
    else {
      this.#records.push(record)
      this.#point(record)
    }
  }

  #replace(record: AlertRecord): void {
    this.#records = this.#records.map((one) => (one.seq === record.seq ? record : one))
    this.#point(record)
  }

  #point(record: AlertRecord): void {
    if (record.clearedAt === null) this.#raised.set(nameOf(record), record)
    else this.#raised.delete(nameOf(record))
  }

  #forget(): readonly ReturnType<typeof dropAlert>[] {
    if (this.#records.length <= ALERTS_KEPT) return []
    const worth = ({ clearedAt, severity }: AlertRecord): number =>
      clearedAt !== null ? 0 : severity === 'warning' ? 1 : 2
    const least = Math.min(...this.#records.map(worth))
    const gone = this.#records.find((record) => worth(record) === least)!
    this.#records = this.#records.filter((record) => record !== gone)
    if (gone.clearedAt === null) this.#raised.delete(nameOf(gone))
    return [dropAlert(gone)]
  }

  #time(): string {
    return new Date(this.#parts.now()).toISOString()
  }
}

/** Codes of which a check finds the node itself. */
const OF_THE_NODE: ReadonlySet<string> = new Set([
  'CERTIFICATE_EXPIRING',
  'WALLET_RESERVE_SHORT',
  'CHAIN_BEHIND',
  'DISK_LOW',
])

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** What an event tells of; null: no alert, or one that was raised here. */
function raisedBy(type: string, data: NodeEvent['data']): Raise | null {
  if (type === 'key.expiring') {
    const about = textOf(data.id)
    const reason = `${textOf(data.name) ?? about} ends at ${textOf(data.expiresAt)}`
    return { code: 'KEY_EXPIRING', about, severity: 'warning', reason, cure: `fulmen key rotate ${about}` }
  }
  const code = textOf(data.code)
  if (type !== 'node.alert' || code === null || data.alertId !== undefined) return null
  return {
    code,
    about: textOf(data.id) ?? textOf(data.webhookId),
    severity: data.byPeer === true ? 'warning' : 'problem',
    reason: textOf(data.message) ?? '',
    cure: cureOf(code),
  }
}
