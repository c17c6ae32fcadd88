import { equalBytesConstantTime, utf8, utf8Decode } from '../../base/bytes.ts'
import { crypto } from '../../crypto/crypto.ts'
import { ifDamaged } from '../../node/apiStore.ts'
import { ServiceError } from '../../node/errors.ts'
import type { ApiEvent, ApiOp, ApiStore } from '../../node/service.ts'
import { ApiProblem } from '../problems.ts'
import { AuditLog } from './audit.ts'
import type { AuditFact } from './auditChain.ts'
import { type GuestBounds, Guests, isGuest } from './guests.ts'
import { createKey } from './keyChanges.ts'
import { type Caller, isWorking, KeyEntry, type LiveVersion, type VersionUsage } from './keyEntry.ts'
import {
  currentOf,
  type KeyRecord,
  keyState,
  lifeOf,
  noticeFrom,
  readKeyRecord,
  readToken,
  versionState,
  writeKeyRecord,
} from './keyRecord.ts'
import type { Scope } from './scopes.ts'

const PREFIX = 'key/'
const USAGE_PREFIX = 'key-usage/'
const NO_HASH = new Uint8Array(32)
/** When the last emergency was, Unix ms. */
const EMERGENCY = 'tokens-not-before'

/** What a change of keys does besides changing their records. */
export interface KeyChange {
  readonly records: readonly KeyRecord[]
  readonly facts: readonly AuditFact[]
  readonly events?: readonly ApiEvent[]
  /** An emergency: access tokens issued until now are taken no more. */
  readonly endsTokens?: true
}

/**
 * The keys in memory, hashed. Every change is durable before it counts, in one batch with its entry in the audit log; how often a
 * key was used is counted in memory and written now and then, so that a crash forgets the last seconds of it.
 */
export class KeyRing {
  readonly audit: AuditLog
  readonly #store: ApiStore
  readonly #now: () => number
  readonly #entries = new Map<string, KeyEntry>()
  readonly #guests = new Guests()
  #changing: Promise<unknown> = Promise.resolve()
  #emergencyAt: number | null = null

  private constructor(store: ApiStore, now: () => number, audit: AuditLog) {
    this.#store = store
    this.#now = now
    this.audit = audit
  }

  /** @param now Unix milliseconds */
  static async open(store: ApiStore, now: () => number = Date.now): Promise<KeyRing> {
    const ring = new KeyRing(store, now, await AuditLog.open(store, now))
    for (const [, value] of await store.list(PREFIX)) {
      const record = readKeyRecord(value)
      ring.#entries.set(record.id, new KeyEntry(record, now()))
    }
    for (const [key, value] of await store.list(USAGE_PREFIX)) {
      const stored = JSON.parse(utf8Decode(value)) as Record<string, VersionUsage>
      const entry = ring.#entries.get(key.slice(USAGE_PREFIX.length))
      for (const [version, usage] of Object.entries(stored)) entry?.usage.set(Number(version), usage)
    }
    // Where that cannot be read it may have been at any time.
    const emergency = await store.get(EMERGENCY).catch(ifDamaged(utf8(String(now()))))
    if (emergency) ring.#emergencyAt = Number(utf8Decode(emergency))
    return ring
  }

  /** Access tokens that were issued until then are not taken, Unix ms; null: there was no emergency. */
  get emergencyAt(): number | null {
    return this.#emergencyAt
  }

  get size(): number {
    return this.#entries.size
  }

  now(): number {
    return this.#now()
  }

  entries(): readonly KeyEntry[] {
    return [...this.#entries.values()]
  }

  find(id: string): KeyEntry | undefined {
    return this.#entries.get(id)
  }

  /** Of a key, or of a subject of the issuer. @throws ServiceError NOT_FOUND */
  entry(id: string): KeyEntry {
    const entry = isGuest(id) ? this.#guests.entry(id, this.#now()) : this.find(id)
    if (!entry) throw new ServiceError('NOT_FOUND', `There is no key ${id}.`)
    return entry
  }

  /** A key, the key that made it, and so on: it spends from the budgets of all. @throws ApiProblem KEY_DAMAGED where one is lost */
  lineage(id: string): readonly KeyRecord[] {
    const records = [this.entry(id).record]
    for (let { createdBy } = records[0]!; createdBy !== null; ) {
      const { record } = (isGuest(createdBy) ? this.entry(createdBy) : this.find(createdBy)) ?? lost(id, createdBy)
      records.push(record)
      createdBy = record.createdBy
    }
    return records
  }

  /** What bounds the keys that a caller makes or changes. */
  powersOf({ keyId, scopes }: Caller): KeyRecord {
    const { record } = this.entry(keyId)
    return isGuest(keyId) ? { ...record, scopes } : record
  }

  boundGuests(bounds: GuestBounds): void {
    this.#guests.bound(bounds)
  }

  /** A token of a subject was verified. @param until Unix ms */
  admitGuest(subject: string, session: { scopes: readonly Scope[]; until: number }): Caller {
    return this.#guests.admit(subject, session, this.#now())
  }

  /** A token works no more. */
  endGuest(caller: Caller): void {
    this.#guests.end(caller, this.#now())
  }

  /**
   * The caller of an Authorization header.
   * @throws ApiProblem KEY_MISSING, KEY_INVALID, KEY_EXPIRED, KEY_REVOKED or KEY_NOT_ACTIVE
   */
  verify(authorization: string | undefined): Caller {
    if (!authorization)
      throw new ApiProblem('KEY_MISSING', 'Send "Authorization: Bearer fulmen_…" with a key of this node.')
    const token = readToken(authorization)
    const versions = token ? this.#entries.get(token.id)?.versions : undefined
    const hash = crypto.sha256(utf8(token?.secret ?? ''))
    let found: LiveVersion | undefined
    for (const version of versions ?? []) if (equalBytesConstantTime(hash, version.hash)) found = version
    if (!versions) equalBytesConstantTime(hash, NO_HASH)
    if (!found) throw new ApiProblem('KEY_INVALID', 'The bearer token is not a key of this node.')
    if (isWorking(found, this.#now())) return found.caller
    throw endOf(found, this.#now())
  }

  /** The working version of a key that was verified before. */
  live(keyId: string, version: number): LiveVersion | undefined {
    const entry = this.#entries.get(keyId) ?? this.#guests.find(keyId)
    const found = entry?.versions.find((v) => v.caller.version === version)
    return found && isWorking(found, this.#now()) ? found : undefined
  }

  /**
   * A new key, made by the machine itself. `beforeCommit` gets the whole bearer value before it counts, so that a crash cannot leave
   * a key that nobody holds.
   * @returns the bearer value, which is never to be seen again
   */
  async create(
    name: string,
    scopes: readonly Scope[],
    beforeCommit?: (bearer: string) => Promise<void>,
  ): Promise<string> {
    const now = this.#now()
    const { record, bearer } = createKey({ ...PLAIN, name, scopes }, { createdBy: null, activatesAt: now, now })
    await beforeCommit?.(bearer)
    const detail = { name, scopes: [...scopes] }
    const about = { keyId: null, version: null, address: null, target: record.id, detail }
    await this.change(() => ({ records: [record], facts: [{ ...about, action: 'key.created' }] }))
    return bearer
  }

  /** Makes changes one after another, so that each sees what the one before it did. What `make` throws changes nothing. */
  change<T extends KeyChange>(make: () => T): Promise<T> {
    const changed = this.#changing.then(async () => {
      const made = make()
      const writes = made.records.map((record): ApiOp => ({ key: PREFIX + record.id, value: writeKeyRecord(record) }))
      const now = this.#now()
      const emergency = made.endsTokens ? [{ key: EMERGENCY, value: utf8(String(now)) }] : []
      await this.#store.commit([...writes, ...emergency, ...this.audit.append(made.facts)], made.events)
      for (const record of made.records) this.#put(record)
      if (made.endsTokens) {
        this.#emergencyAt = now
        this.#guests.endAll(now)
      }
      return made
    })
    this.#changing = changed.catch(() => {})
    return changed
  }

  /** Counts a call. The first of a version is written at once: it decides whether an older one may still rotate itself. */
  count(caller: Caller, address: string): void {
    const entry = this.#entries.get(caller.keyId)
    if (!entry) return
    if (entry.count(caller.version, this.#now(), address).requests === 1) void this.flush().catch(() => {})
  }

  countRefused(caller: Caller): void {
    const entry = this.#entries.get(caller.keyId)
    if (!entry) return
    entry.usageOf(caller.version).refused++
    entry.dirty = true
  }

  /** Writes what was counted and noted since the last time. */
  async flush(): Promise<void> {
    const dirty = this.entries().filter((entry) => entry.dirty)
    const ops = dirty.map((entry): ApiOp => {
      entry.dirty = false
      return { key: USAGE_PREFIX + entry.record.id, value: utf8(JSON.stringify(Object.fromEntries(entry.usage))) }
    })
    if (ops.length > 0) await this.#store.commit(ops)
    await this.audit.flush()
  }

  /** Time has passed: ends the streams of versions that ended, and tells of those that soon will. */
  async tick(): Promise<void> {
    const now = this.#now()
    for (const entry of this.#entries.values()) entry.endStreams(now)
    this.#guests.tick(now)
    const due = this.entries().filter(({ record }) => endingSoon(record, now) !== null)
    if (due.length === 0) return
    await this.change(() => {
      const ending = due.flatMap(({ record }) => endingSoon(record, now) ?? [])
      return { ...ALERTED, records: ending.map((e) => e.record), events: ending.map((e) => e.event) }
    })
  }

  #put(record: KeyRecord): void {
    const entry = this.#entries.get(record.id)
    if (entry) entry.replace(record, this.#now())
    else this.#entries.set(record.id, new KeyEntry(record, this.#now()))
  }
}

const ALERTED = { facts: [] as readonly AuditFact[] }

/** Settings of a key that nothing limits but its scopes. */
const PLAIN = {
  expiresAt: null,
  allowedCidrs: [],
  rateLimit: null,
  budget: null,
  rotateEverySeconds: null,
  metadata: {},
} as const

function endOf(version: LiveVersion, now: number): ApiProblem {
  if (now < version.from) {
    return new ApiProblem('KEY_NOT_ACTIVE', `This version works from ${new Date(version.from).toISOString()} on.`)
  }
  return version.stopped
    ? new ApiProblem('KEY_REVOKED', 'This version of the key was stopped: ask the operator for the present one.')
    : new ApiProblem('KEY_EXPIRED', 'Use the newer version of this key, or ask the operator for one.')
}

/** Keys are never deleted: it was damaged on disk. */
function lost(id: string, parent: string): never {
  throw new ApiProblem(
    'KEY_DAMAGED',
    `The record of key ${parent}, from which key ${id} has what it may spend, is damaged on disk, and its budget is not known with it. Nothing was done: make a new key with one that may (keys:admin), and revoke this one.`,
  )
}

/** The event that tells of the coming end of the current version, and the record that remembers it; null when it is not due. */
function endingSoon(record: KeyRecord, now: number): { record: KeyRecord; event: ApiEvent } | null {
  const current = currentOf(record)
  const { from, until } = lifeOf(record, current)
  if (current.alerted || versionState(record, current, now) !== 'active' || keyState(record, now) !== 'active')
    return null
  if (!Number.isFinite(until) || now < noticeFrom(from, until)) return null
  const data = {
    id: record.id,
    version: current.version,
    name: record.name,
    expiresAt: new Date(until).toISOString(),
    rotate: current.rotateBy !== null && Date.parse(current.rotateBy) === until,
  }
  const versions = record.versions.map((v) => (v === current ? { ...v, alerted: true as const } : v))
  return { record: { ...record, versions }, event: { type: 'key.expiring', data } }
}
