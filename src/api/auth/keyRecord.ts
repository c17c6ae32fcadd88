import { randomBytes } from 'node:crypto'
import { toHex, utf8, utf8Decode } from '../../base/bytes.ts'
import { crypto } from '../../crypto/crypto.ts'
import { SCOPES, type Scope } from './scopes.ts'
import type { RateLimit } from './tokenBucket.ts'

/** What a key may spend in a period; `periodSeconds` null: ever. */
export interface Budget {
  readonly maxMsat: number
  readonly periodSeconds: number | null
}

/** Of a secret only its hash is kept: 32 random bytes need no slow hash. Times are RFC 3339; null: none. */
export interface KeyVersion {
  readonly version: number
  /** SHA-256 of the secret, hex. */
  readonly hash: string
  readonly createdAt: string
  /** It works from then on. */
  readonly activatesAt: string
  /** The end of the window in which it works beside the version that replaces it. */
  readonly graceUntil: string | null
  /** It is to be replaced by then, and ends then. */
  readonly rotateBy: string | null
  /** It was stopped: revoked, replaced without a window, or rolled back before it worked. */
  readonly stoppedAt: string | null
  /** The client asked for it itself. */
  readonly bySelf?: true
  /** An operator has been told that it is to be replaced or ends soon. */
  readonly alerted?: true
}

/** What an operator decides about a key. */
export interface KeySettings {
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly expiresAt: string | null
  readonly allowedCidrs: readonly string[]
  readonly rateLimit: RateLimit | null
  readonly budget: Budget | null
  readonly rotateEverySeconds: number | null
  readonly metadata: Readonly<Record<string, string>>
}

/** One client's key; it may have several live versions while it rotates. */
export interface KeyRecord extends KeySettings {
  readonly id: string
  readonly createdAt: string
  /** The key that made it; null: the machine itself. */
  readonly createdBy: string | null
  readonly revokedAt: string | null
  /** The version that clients should use. */
  readonly current: number
  /** Oldest first; those that ended long ago are forgotten. */
  readonly versions: readonly KeyVersion[]
  /** False after a compromise, until an operator rotates the key in the usual way: a thief cannot rotate it along. */
  readonly selfRotation: boolean
  /** When its versions were last stopped because somebody else may have had them: what they set up before is not trusted. */
  readonly compromisedAt: string | null
}

export type KeyState = 'pending' | 'active' | 'expired' | 'stopped' | 'revoked'
export type VersionState = 'pending' | 'active' | 'grace' | 'expired' | 'stopped'

/** The whole bearer value of a secret, and how it is taken apart. */
export const bearerOf = (id: string, secret: string): string => `fulmen_${id}_${secret}`
const TOKEN = /^Bearer fulmen_([0-9a-z]{1,32})_([0-9A-Za-z]{16,128})$/i

/** @param authorization the header's value @returns null when it is no token of ours */
export function readToken(authorization: string): { id: string; secret: string } | null {
  const match = TOKEN.exec(authorization)
  return match ? { id: match[1]!.toLowerCase(), secret: match[2]! } : null
}

export const newKeyId = (): string => toHex(randomBytes(6))

/** A secret and what is kept of it. */
export function newSecret(): { secret: string; hash: string } {
  const secret = toHex(randomBytes(32))
  return { secret, hash: toHex(crypto.sha256(utf8(secret))) }
}

const msOf = (time: string | null): number => (time === null ? Number.POSITIVE_INFINITY : Date.parse(time))

/** When a version works: from `from` until before `until`, Unix ms. */
export function lifeOf(record: KeyRecord, version: KeyVersion): { from: number; until: number } {
  const ends = [version.graceUntil, version.rotateBy, version.stoppedAt, record.expiresAt, record.revokedAt]
  return { from: Date.parse(version.activatesAt), until: Math.min(...ends.map(msOf)) }
}

export function versionState(record: KeyRecord, version: KeyVersion, now: number): VersionState {
  const { from, until } = lifeOf(record, version)
  if (now >= until) return version.stoppedAt !== null || record.revokedAt !== null ? 'stopped' : 'expired'
  if (now < from) return 'pending'
  return version.graceUntil === null ? 'active' : 'grace'
}

export function keyState(record: KeyRecord, now: number): KeyState {
  if (record.revokedAt !== null) return 'revoked'
  if (now >= msOf(record.expiresAt)) return 'expired'
  const states = record.versions.map((version) => versionState(record, version, now))
  if (states.includes('active') || states.includes('grace')) return 'active'
  if (states.includes('pending')) return 'pending'
  return states.at(-1) === 'stopped' ? 'stopped' : 'expired'
}

export const versionOf = (record: KeyRecord, version: number): KeyVersion | undefined =>
  record.versions.find((v) => v.version === version)

/** The version that clients should use. */
export const currentOf = (record: KeyRecord): KeyVersion => versionOf(record, record.current) ?? record.versions.at(-1)!

const DAY_MS = 24 * 3_600_000
const LONGEST_NOTICE_MS = 7 * DAY_MS

/** When to ask for a rotation before the deadline of a version, or to tell of the end of a key: in the last third, a week at most. */
export const noticeFrom = (from: number, until: number): number =>
  until - Math.min((until - from) / 3, LONGEST_NOTICE_MS)

/** A stored record, also one from before keys had more than scopes. A scope that no longer exists grants nothing. */
export function readKeyRecord(value: Uint8Array): KeyRecord {
  const stored = JSON.parse(utf8Decode(value)) as Partial<KeyRecord> & Pick<KeyRecord, 'id' | 'name' | 'scopes'>
  const versions = ((stored.versions ?? []) as (Partial<KeyVersion> & { expiresAt?: string | null })[]).map(
    ({ expiresAt = null, ...v }) =>
      ({ activatesAt: v.createdAt, graceUntil: expiresAt, rotateBy: null, stoppedAt: null, ...v }) as KeyVersion,
  )
  return {
    createdAt: versions[0]?.createdAt ?? new Date(0).toISOString(),
    createdBy: null,
    expiresAt: null,
    revokedAt: null,
    current: versions.at(-1)?.version ?? 0,
    allowedCidrs: [],
    rateLimit: null,
    budget: null,
    rotateEverySeconds: null,
    metadata: {},
    selfRotation: true,
    compromisedAt: null,
    ...stored,
    scopes: stored.scopes.filter((scope) => SCOPES.includes(scope)),
    versions,
  }
}

export const writeKeyRecord = (record: KeyRecord): Uint8Array => utf8(JSON.stringify(record))
