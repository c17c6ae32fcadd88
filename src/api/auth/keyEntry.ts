import { fromHex } from '../../base/bytes.ts'
import { AllowList } from './cidr.ts'
import { type KeyRecord, lifeOf, noticeFrom } from './keyRecord.ts'
import type { Scope } from './scopes.ts'
import { type RateState, TokenBucket } from './tokenBucket.ts'

/** Who makes a request. */
export interface Caller {
  readonly keyId: string
  readonly version: number
  readonly scopes: readonly Scope[]
}

/** How often a version was used, as far as this process and the last flush know. */
export interface VersionUsage {
  requests: number
  refused: number
  /** Unix ms. */
  lastUsedAt: number
  lastAddress: string
}

/** When clients of a version should rotate, and by when they must, as they are told with every answer. */
export interface RotationNotice {
  readonly from: string
  readonly by: string
}

export interface LiveVersion {
  readonly caller: Caller
  readonly hash: Uint8Array
  /** Unix ms: it works from `from` until before `until`. */
  readonly from: number
  readonly until: number
  readonly stopped: boolean
  readonly notice: RotationNotice | null
}

const MAX_SESSIONS = 1_000

interface OpenStream {
  readonly version: number
  readonly end: () => void
}

/** A key in memory: what each call needs is worked out when the key changes, not when it is used. */
export class KeyEntry {
  #record: KeyRecord
  #versions: readonly LiveVersion[]
  /** What others vouch for, and is never stored: access tokens, each like a version. */
  #sessions: readonly LiveVersion[] = []
  #addresses: AllowList
  #bucket: TokenBucket | null = null
  readonly usage = new Map<number, VersionUsage>()
  readonly #streams = new Set<OpenStream>()
  /** Counted since the last flush. */
  dirty = false

  /** @param now Unix ms */
  constructor(record: KeyRecord, now: number) {
    this.#record = record
    this.#versions = versionsOf(record)
    this.#addresses = new AllowList(record.allowedCidrs)
    this.#renewBucket(now)
  }

  get record(): KeyRecord {
    return this.#record
  }

  get versions(): readonly LiveVersion[] {
    return this.#sessions.length === 0 ? this.#versions : [...this.#versions, ...this.#sessions]
  }

  /** Whether nothing depends on it: no session works, no stream is open, its rate knows of no request. @param now Unix ms */
  isIdle(now: number): boolean {
    if (this.#bucket?.isFull(now) === false) return false
    return this.#streams.size === 0 && !this.#sessions.some((session) => isWorking(session, now))
  }

  /** Past the limit the oldest gives way. @param now Unix ms */
  admit(session: LiveVersion, now: number): void {
    const working = this.#sessions.filter((one) => isWorking(one, now))
    this.#sessions = [...working, session].slice(-MAX_SESSIONS)
  }

  endSession(version: number, now: number): void {
    this.#sessions = this.#sessions.filter(({ caller }) => caller.version !== version)
    this.endStreams(now)
  }

  endSessions(now: number): void {
    this.#sessions = []
    this.endStreams(now)
  }

  replace(record: KeyRecord, now: number): void {
    const before = this.#record
    this.#record = record
    this.#versions = versionsOf(record)
    this.#addresses = new AllowList(record.allowedCidrs)
    if (JSON.stringify(before.rateLimit) !== JSON.stringify(record.rateLimit)) this.#renewBucket(now)
    const isSame = before.scopes.join() === record.scopes.join() && before.allowedCidrs === record.allowedCidrs
    this.endStreams(now, isSame ? undefined : () => true)
  }

  allows(address: string): boolean {
    return this.#addresses.allows(address)
  }

  /** Takes one request off the key's rate; null when it has none. */
  take(now: number): RateState | null {
    return this.#bucket?.take(now) ?? null
  }

  count(version: number, now: number, address: string): VersionUsage {
    const usage = this.usageOf(version)
    usage.requests++
    usage.lastUsedAt = now
    usage.lastAddress = address
    this.dirty = true
    return usage
  }

  usageOf(version: number): VersionUsage {
    const known = this.usage.get(version)
    if (known) return known
    const fresh = { requests: 0, refused: 0, lastUsedAt: 0, lastAddress: '' }
    this.usage.set(version, fresh)
    return fresh
  }

  /** How many streams are open with this key. */
  get streams(): number {
    return this.#streams.size
  }

  /** @param end called when the version stops working @returns takes the stream off the list */
  addStream(version: number, end: () => void): () => void {
    const stream = { version, end }
    this.#streams.add(stream)
    return () => this.#streams.delete(stream)
  }

  /** Ends the streams of versions that do not work any more, and those that `also` names. */
  endStreams(now: number, also: (version: number) => boolean = () => false): void {
    for (const stream of [...this.#streams]) {
      const live = this.versions.find((v) => v.caller.version === stream.version)
      if (live && isWorking(live, now) && !also(stream.version)) continue
      this.#streams.delete(stream)
      stream.end()
    }
  }

  #renewBucket(now: number): void {
    const { rateLimit } = this.#record
    this.#bucket = rateLimit === null ? null : new TokenBucket(rateLimit, now)
  }
}

export const isWorking = (version: LiveVersion, now: number): boolean => now >= version.from && now < version.until

function versionsOf(record: KeyRecord): LiveVersion[] {
  return record.versions.map((v) => ({
    caller: { keyId: record.id, version: v.version, scopes: record.scopes },
    hash: fromHex(v.hash),
    ...lifeOf(record, v),
    stopped: v.stoppedAt !== null || record.revokedAt !== null,
    notice: v.rotateBy === null || !record.selfRotation ? null : noticeOf(v.activatesAt, v.rotateBy),
  }))
}

const noticeOf = (activatesAt: string, by: string): RotationNotice => ({
  from: new Date(noticeFrom(Date.parse(activatesAt), Date.parse(by))).toISOString(),
  by,
})
