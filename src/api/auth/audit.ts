import { utf8, utf8Decode } from '../../base/bytes.ts'
import { ifDamaged } from '../../node/apiStore.ts'
import type { ApiOp, ApiStore } from '../../node/service.ts'
import { type Placed, placesIn, type TimeRange } from '../../node/timeRange.ts'
import { padded } from '../../store/schema.ts'
import { type AuditEntry, type AuditFact, type AuditHead, chained, GENESIS } from './auditChain.ts'
import { TokenBucket } from './tokenBucket.ts'

const PREFIX = 'audit/'
const HEAD = 'audit-head'
const FLUSH_MS = 1_000
/** Different refusals that one flush lists; more are counted together. */
const LISTED_AT_ONCE = 50
/** Refusals listed in an hour: whoever is refused for days must not fill the disk. */
const LISTED_PER_HOUR = { maxRequests: 2_000, periodSeconds: 3_600 }
/** Refusals that are counted together are written so often. */
const MANY_MS = 60_000

/** Entries by the key that called: `audit-key/<key>/<seq>`, without a value. */
const BY_KEY = 'audit-key/'
/** All entries from before there was such a list are in it. */
const SORTED = 'audit-keys-sorted'
const SORT_PAGE = 1_000
/** Newest entries among which one is looked for that can be read. */
const LOOKED_AT = 1_000

const keyOf = (seq: number): string => PREFIX + padded(seq)
const ofKey = ({ keyId, seq }: AuditEntry): readonly ApiOp[] =>
  keyId === null ? [] : [{ key: `${BY_KEY}${keyId}/${padded(seq)}`, value: new Uint8Array(0) }]

export interface AuditFilter extends TimeRange {
  /** Who called. */
  readonly keyId?: string
}

export interface AuditList {
  readonly items: readonly AuditEntry[]
  readonly next: number | null
}

/**
 * The append-only log of changes and refused calls. A change of a key is one batch with its entry; refused calls, and calls that
 * changed the node, are gathered for a second and written beside the traffic, equal ones as one entry with a count.
 */
export class AuditLog {
  readonly #store: ApiStore
  readonly #now: () => number
  readonly #listed: TokenBucket
  readonly #waiting = new Map<string, { fact: AuditFact; count: number }>()
  #timer: NodeJS.Timeout | undefined
  #head: AuditHead
  #many = 0
  #manySince = 0
  #sorting: Promise<void> | undefined

  private constructor(store: ApiStore, now: () => number, head: AuditHead) {
    this.#store = store
    this.#now = now
    this.#head = head
    this.#listed = new TokenBucket(LISTED_PER_HOUR, now())
  }

  /** @param now Unix ms */
  static async open(store: ApiStore, now: () => number): Promise<AuditLog> {
    const head = await store.get(HEAD).catch(ifDamaged(null))
    const log = new AuditLog(store, now, head ? (JSON.parse(utf8Decode(head)) as AuditHead) : GENESIS)
    if (head === null) await log.#goOnFromNewest()
    return log
  }

  /** The entries say what the head says. No number comes twice, also where the newest are damaged with it: they may lie side by side. */
  async #goOnFromNewest(): Promise<void> {
    const names = await this.#store.newest(PREFIX, {}, LOOKED_AT)
    for (const [i, name] of names.entries()) {
      const entry = await this.#read(Number(name))
      if (!entry) continue
      const newest = Number(names[0])
      this.#head = { seq: newest === entry.seq + i ? newest : entry.seq, hash: entry.hash }
      return
    }
  }

  get head(): AuditHead {
    return this.#head
  }

  /** The writes that append facts. They must be committed at once, together with what the facts tell of. */
  append(facts: readonly AuditFact[]): ApiOp[] {
    const at = new Date(this.#now()).toISOString()
    const ops = facts.flatMap((fact): readonly ApiOp[] => {
      const entry = chained(this.#head, fact, at)
      this.#head = { seq: entry.seq, hash: entry.hash }
      return [{ key: keyOf(entry.seq), value: utf8(JSON.stringify(entry)) }, ...ofKey(entry)]
    })
    return [...ops, { key: HEAD, value: utf8(JSON.stringify(this.#head)) }]
  }

  /** A fact that nobody waits for. */
  note(fact: AuditFact): void {
    const name = JSON.stringify(fact)
    const known = this.#waiting.get(name)
    if (known) known.count++
    else if (this.#mayList(fact)) this.#waiting.set(name, { fact, count: 1 })
    else this.#many++
    this.#timer ??= setTimeout(() => void this.flush().catch(() => {}), FLUSH_MS).unref()
  }

  /** Writes what was noted. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const facts = [...this.#waiting.values()].map(({ fact, count }) => ({ ...fact, detail: { ...fact.detail, count } }))
    this.#waiting.clear()
    if (this.#many > 0 && this.#now() - this.#manySince >= MANY_MS) {
      facts.push({ ...NOBODY, action: 'call.refused.many', detail: { count: this.#many } })
      this.#many = 0
      this.#manySince = this.#now()
    }
    if (facts.length > 0) await this.#store.commit(this.append(facts))
  }

  /** Entries before `before` (all when undefined) that fit, newest first. Reads little more than it returns. */
  async page(limit: number, before?: number, filter?: AuditFilter): Promise<readonly AuditEntry[]> {
    return (await this.list(limit, before, filter)).items
  }

  /**
   * The same, and where it goes on: before that entry; null: nowhere. Fewer than `limit` come where some are damaged, or on their way to
   * the disk.
   */
  async list(limit: number, before?: number, { keyId, ...range }: AuditFilter = {}): Promise<AuditList> {
    const end = this.#head.seq + 1
    const places = await placesIn(range, end, async (seq) => this.#placed(await this.#read(Math.max(1, seq))))
    const first = Math.max(1, places.from ?? 1)
    const last = Math.min(end, before ?? end, places.before ?? end) - 1
    const numbers =
      keyId === undefined
        ? Array.from({ length: Math.max(0, Math.min(limit + 1, last - first + 1)) }, (_, i) => last - i)
        : await this.#ofKey(keyId, { first, last }, limit + 1)
    const shown = numbers.slice(0, limit)
    const entries = await Promise.all(shown.map((seq) => this.#read(seq)))
    const next = numbers.length > limit ? (shown.at(-1) ?? null) : null
    return { items: entries.filter((entry) => entry !== undefined), next }
  }

  async #read(seq: number): Promise<AuditEntry | undefined> {
    const value = await this.#store.get(keyOf(seq)).catch(ifDamaged(undefined))
    return value && (JSON.parse(utf8Decode(value)) as AuditEntry)
  }

  #placed = (entry: AuditEntry | undefined): Placed | null =>
    entry === undefined ? null : { place: entry.seq, time: Date.parse(entry.at) }

  async #ofKey(keyId: string, { first, last }: { first: number; last: number }, limit: number): Promise<number[]> {
    this.#sorting ??= this.#sort().catch((error) => {
      this.#sorting = undefined
      throw error
    })
    await this.#sorting
    const range = { from: padded(first), before: padded(last + 1) }
    return (await this.#store.newest(`${BY_KEY}${keyId}/`, range, limit)).map(Number)
  }

  /** Once: a log from before entries were found by their key. */
  async #sort(): Promise<void> {
    if (await this.#store.get(SORTED).catch(ifDamaged(undefined))) return
    const { seq: newest } = this.#head
    for (let seq = 1; seq <= newest; seq += SORT_PAGE) {
      const numbers = Array.from({ length: Math.min(SORT_PAGE, newest - seq + 1) }, (_, i) => seq + i)
      const entries = await Promise.all(numbers.map((one) => this.#read(one)))
      await this.#store.commit(entries.flatMap((entry) => (entry ? ofKey(entry) : [])))
    }
    await this.#store.put(SORTED, utf8('1'))
  }

  /** A call that changed something is always listed; callers with keys are few. */
  #mayList(fact: AuditFact): boolean {
    if (!fact.action.startsWith('call.refused')) return true
    return this.#waiting.size < LISTED_AT_ONCE && this.#listed.take(this.#now()).allowed
  }
}

/** For facts without anyone to name. */
export const NOBODY = { keyId: null, version: null, address: null, target: null } as const
