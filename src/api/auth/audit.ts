import { utf8, utf8Decode } from '../../base/bytes.ts'
import type { ApiOp, ApiStore } from '../../node/service.ts'
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

const keyOf = (seq: number): string => PREFIX + String(seq).padStart(16, '0')

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

  private constructor(store: ApiStore, now: () => number, head: AuditHead) {
    this.#store = store
    this.#now = now
    this.#head = head
    this.#listed = new TokenBucket(LISTED_PER_HOUR, now())
  }

  /** @param now Unix ms */
  static async open(store: ApiStore, now: () => number): Promise<AuditLog> {
    const head = await store.get(HEAD)
    return new AuditLog(store, now, head ? (JSON.parse(utf8Decode(head)) as AuditHead) : GENESIS)
  }

  get head(): AuditHead {
    return this.#head
  }

  /** The writes that append facts. They must be committed at once, together with what the facts tell of. */
  append(facts: readonly AuditFact[]): ApiOp[] {
    const at = new Date(this.#now()).toISOString()
    const ops = facts.map((fact): ApiOp => {
      const entry = chained(this.#head, fact, at)
      this.#head = { seq: entry.seq, hash: entry.hash }
      return { key: keyOf(entry.seq), value: utf8(JSON.stringify(entry)) }
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

  /** Entries before `before` (all when undefined), newest first. Reads no more than it returns. */
  async page(limit: number, before?: number): Promise<readonly AuditEntry[]> {
    const newest = Math.min(before === undefined ? this.#head.seq : before - 1, this.#head.seq)
    const numbers = Array.from({ length: Math.max(0, Math.min(limit, newest)) }, (_, i) => newest - i)
    const values = await Promise.all(numbers.map((seq) => this.#store.get(keyOf(seq))))
    return values.flatMap((value) => (value ? [JSON.parse(utf8Decode(value)) as AuditEntry] : []))
  }

  /** A call that changed something is always listed; callers with keys are few. */
  #mayList(fact: AuditFact): boolean {
    if (!fact.action.startsWith('call.refused')) return true
    return this.#waiting.size < LISTED_AT_ONCE && this.#listed.take(this.#now()).allowed
  }
}

/** For facts without anyone to name. */
export const NOBODY = { keyId: null, version: null, address: null, target: null } as const
