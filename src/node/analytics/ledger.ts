import { pack, unpackIfWhole } from '../../base/pack.ts'
import { keys } from '../../store/schema.ts'
import type { Driver } from '../../store/types.ts'
import type { EventLog } from '../events.ts'
import type { Reactor } from '../reactor.ts'
import type { NodeEvent } from '../service.ts'
import { NOTHING, SPANS, type Span, type Subject, type SumKind, type SumsOf, shareOf, startOf } from './sums.ts'

/** Events taken in at a time: as many as fit a batch that holds up nobody. */
const PAGE = 500
/** So many events are not left waiting. */
const ENOUGH = 400
/** More than this are read from the log rather than kept. */
const MOST = 5_000

/** A sum as it is stored, with the last event that is in it. */
interface Row {
  through: number
  readonly sums: Record<string, bigint>
}

export interface LedgerOptions {
  readonly driver: Driver
  readonly reactor: Reactor
  readonly events: EventLog
}

/**
 * Sums by day, by month and for ever over what the event log tells, so that nobody has to go through history. They follow the log at a
 * distance of seconds: the payment path pays nothing for them. An event is as durable as what it tells of; each sum knows the last event
 * that is in it, and the place in the log from which a start goes on is written after the sums. So every event is in them exactly once,
 * wherever a crash comes, also in a store that tears batches apart.
 */
export class Ledger {
  readonly #options: LedgerOptions
  /** Every event up to this one is in the sums. */
  #position = 0
  /** Those up to this one are to be read from the log; the ones after it wait. */
  #inLog = 0
  #waiting: NodeEvent[] = []
  #folding: Promise<void> = Promise.resolve()

  private constructor(options: LedgerOptions) {
    this.#options = options
  }

  static async open(options: LedgerOptions): Promise<Ledger> {
    const ledger = new Ledger(options)
    const stored = await options.driver.get(keys.sumsPosition)
    // Where that cannot be read the sums go on from here: nothing is counted twice.
    if (stored) ledger.#position = unpackIfWhole<number>(stored) ?? options.events.lastId
    ledger.#inLog = options.events.lastId
    options.events.subscribe((event) => ledger.#hear(event))
    return ledger
  }

  #hear(event: NodeEvent): void {
    this.#waiting.push(event)
    if (this.#waiting.length === ENOUGH) void this.fold().catch(() => {})
    if (this.#waiting.length <= MOST) return
    this.#waiting = []
    this.#inLog = event.id
  }

  get hasWork(): boolean {
    return this.#waiting.length > 0 || this.#position < this.#inLog
  }

  /** Takes in every event that is durable by now. @throws when the node is shutting down */
  fold(): Promise<void> {
    const next = this.#folding.catch(() => {}).then(() => this.#foldAll())
    this.#folding = next
    return next
  }

  /** The sums of one span; call `fold` before. */
  async get<K extends SumKind>(kind: K, subject: Subject, span: Span, start: string): Promise<SumsOf[K]> {
    const stored = await this.#options.driver.get(keys.sums(kind, subject, span) + start)
    return stored ? rowOf(kind, stored) : NOTHING[kind]
  }

  async #foldAll(): Promise<void> {
    for (;;) {
      const page = await this.#next()
      if (page === null) return
      try {
        await this.#take(page.events)
      } catch (e) {
        this.#inLog = Math.max(this.#inLog, page.last) // they wait in the log from now on
        throw e
      }
      this.#position = page.last
      const place = page.last
      // After the sums: what a crash leaves out is taken in again, and is known by them.
      this.#options.reactor.post((scope) => scope.write({ key: keys.sumsPosition, value: pack(place) }))
    }
  }

  async #next(): Promise<{ readonly events: readonly NodeEvent[]; readonly last: number } | null> {
    const { events } = this.#options
    if (this.#position < this.#inLog) {
      const until = this.#inLog
      const page = (await events.since(this.#position, PAGE)).filter((e) => e.id <= until)
      // Events that are no longer kept are not waited for.
      return { events: page, last: page.at(-1)?.id ?? until }
    }
    const waiting = this.#waiting.splice(0, PAGE)
    const last = waiting.at(-1)
    return last ? { events: waiting, last: last.id } : null
  }

  async #take(events: readonly NodeEvent[]): Promise<void> {
    const { driver, reactor } = this.#options
    const shares = events.flatMap(keyedShare)
    const rows = new Map<string, Row>()
    for (const key of new Set(shares.flatMap((s) => s.keys))) {
      const stored = await driver.get(key)
      rows.set(key, rowIn(stored) ?? { through: 0, sums: {} })
    }
    for (const { keys: itsKeys, id, sums } of shares) {
      for (const key of itsKeys) {
        const row = rows.get(key)!
        if (id <= row.through) continue
        row.through = id
        for (const [name, value] of sums) row.sums[name] = (row.sums[name] ?? 0n) + value
      }
    }
    if (rows.size === 0) return
    await reactor.run((scope) => {
      for (const [key, row] of rows) scope.write({ key, value: pack(row) })
    })
  }
}

/** A damaged one begins anew. */
const rowIn = (stored: Uint8Array | undefined): Row | undefined => stored && unpackIfWhole<Row>(stored)

/** Of a stored row; fields that a later version added are zero. */
export const rowOf = <K extends SumKind>(kind: K, stored: Uint8Array): SumsOf[K] => ({
  ...NOTHING[kind],
  ...rowIn(stored)?.sums,
})

interface KeyedShare {
  readonly keys: readonly string[]
  readonly id: number
  readonly sums: readonly (readonly [string, bigint])[]
}

function keyedShare(event: NodeEvent): readonly KeyedShare[] {
  const share = shareOf(event)
  if (share === null) return []
  const { kind, subjects, sums } = share
  const spans = SPANS.map((span) => [span, startOf(span, event.at)] as const)
  const itsKeys = subjects.flatMap((subject) => spans.map(([span, start]) => keys.sums(kind, subject, span) + start))
  return [{ keys: itsKeys, id: event.id, sums: Object.entries(sums as Record<string, bigint>) }]
}
