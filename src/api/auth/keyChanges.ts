import { ApiProblem } from '../problems.ts'
import {
  bearerOf,
  currentOf,
  type KeyRecord,
  type KeySettings,
  type KeyVersion,
  lifeOf,
  newKeyId,
  newSecret,
  versionOf,
  versionState,
} from './keyRecord.ts'

/*
 * What can be done to a key, as pure functions of its record: the ring stores the result, the audit log tells of it.
 */

/** A changed record with the bearer value of its new version, which is never to be seen again. */
export interface Issued {
  readonly record: KeyRecord
  readonly bearer: string
}

/** An old version works on for so long beside the new one, unless said otherwise. */
const DEFAULT_GRACE_SECONDS = 3_600
/** Dead versions that are remembered, so that their users are told that they expired. */
const MAX_VERSIONS = 20
const MAX_LIVE = 8

const iso = (ms: number): string => new Date(ms).toISOString()
const conflict = (why: string): ApiProblem => new ApiProblem('CONFLICT', why)
const isLive = (record: KeyRecord, version: KeyVersion, now: number): boolean => now < lifeOf(record, version).until
const earlier = (a: string | null, b: string): string => (a !== null && Date.parse(a) <= Date.parse(b) ? a : b)
const change = (record: KeyRecord, map: (version: KeyVersion) => KeyVersion): KeyRecord => ({
  ...record,
  versions: record.versions.map(map),
})

/** @param activatesAt Unix ms */
function issue(record: KeyRecord, activatesAt: number, now: number): Issued {
  const { secret, hash } = newSecret()
  const { rotateEverySeconds } = record
  const version: KeyVersion = {
    version: Math.max(0, ...record.versions.map((v) => v.version)) + 1,
    hash,
    createdAt: iso(now),
    activatesAt: iso(activatesAt),
    graceUntil: null,
    rotateBy: rotateEverySeconds === null ? null : iso(activatesAt + rotateEverySeconds * 1000),
    stoppedAt: null,
  }
  const versions = [...record.versions, version].slice(-MAX_VERSIONS)
  return { record: { ...record, current: version.version, versions }, bearer: bearerOf(record.id, secret) }
}

/** @param activatesAt Unix ms */
export function createKey(
  settings: KeySettings,
  { createdBy, activatesAt, now }: { createdBy: string | null; activatesAt: number; now: number },
): Issued {
  const fresh = { id: newKeyId(), createdAt: iso(now), createdBy, revokedAt: null, current: 0, versions: [] }
  return issue({ ...settings, ...fresh, selfRotation: true, compromisedAt: null }, activatesAt, now)
}

export interface Rotation {
  readonly graceSeconds?: number
  /** Unix ms; now when absent. */
  readonly activatesAt?: number
  /** The secret is in wrong hands: older versions stop at once, and nothing of them can come back. */
  readonly compromised?: boolean
}

/** Version n+1. Versions before it work on through the window, which begins when n+1 works. @throws ApiProblem */
export function rotateKey(record: KeyRecord, rotation: Rotation, now: number): Issued {
  if (record.revokedAt !== null) throw conflict('The key is revoked: create a new one.')
  if (record.expiresAt !== null && Date.parse(record.expiresAt) <= now) {
    throw conflict('The key has expired: give it a later expiresAt first, or create a new one.')
  }
  const { compromised = false } = rotation
  if (compromised) return issue({ ...stopVersions(record, now), selfRotation: false }, now, now)
  const activatesAt = Math.max(now, rotation.activatesAt ?? now)
  if (record.expiresAt !== null && Date.parse(record.expiresAt) <= activatesAt) {
    throw conflict('The key expires before the new version would work.')
  }
  const until = iso(activatesAt + (rotation.graceSeconds ?? DEFAULT_GRACE_SECONDS) * 1000)
  const withdrawn = withdrawPending(record, now)
  const waned = change(withdrawn, (v) =>
    isLive(withdrawn, v, now) ? { ...v, graceUntil: earlier(v.graceUntil, until) } : v,
  )
  return issue({ ...fewLive(waned, now), selfRotation: true }, activatesAt, now)
}

/** A version that was announced and does not work yet gives way to the next. */
const withdrawPending = (record: KeyRecord, now: number): KeyRecord =>
  change(record, (v) => (versionState(record, v, now) === 'pending' ? { ...v, stoppedAt: iso(now) } : v))

function fewLive(record: KeyRecord, now: number): KeyRecord {
  const live = record.versions.filter((v) => isLive(record, v, now))
  const surplus = new Set(live.slice(0, Math.max(0, live.length - MAX_LIVE + 1)))
  return change(record, (v) => (surplus.has(v) ? { ...v, stoppedAt: iso(now) } : v))
}

/**
 * What a client does for itself: version n+1, while n works on to its own deadline. Only the current version can, so that nobody
 * follows with an old one; a newer version that nobody has used is the lost answer of an earlier try, and gives way.
 * @param isUsed whether a version was ever used
 */
export function rotateSelf(
  record: KeyRecord,
  { version, graceSeconds, isUsed }: { version: number; graceSeconds?: number; isUsed: (version: number) => boolean },
  now: number,
): Issued {
  if (!record.selfRotation) {
    throw new ApiProblem('SELF_ROTATION_FORBIDDEN', 'The key was compromised: an operator must rotate it.')
  }
  const own = versionOf(record, version)
  if (!own || !maySucceed(record, own, isUsed)) {
    throw conflict('This key has another current version: take that one.')
  }
  const isLost = (v: KeyVersion) => version !== record.current && v.version > version && v.stoppedAt === null
  const alone = change(record, (v) => (v === own ? unwaned(v) : isLost(v) ? { ...v, stoppedAt: iso(now) } : v))
  const left = own.rotateBy === null ? DEFAULT_GRACE_SECONDS : Math.ceil((Date.parse(own.rotateBy) - now) / 1000)
  return markSelf(rotateKey(alone, { graceSeconds: graceSeconds ?? Math.max(left, 0) }, now))
}

/** The current version, or the one before it when all that came since are lost answers. */
function maySucceed(record: KeyRecord, own: KeyVersion, isUsed: (version: number) => boolean): boolean {
  if (own.version === record.current) return true
  const since = record.versions.filter((v) => v.version > own.version)
  return record.current > own.version && since.every((v) => v.bySelf === true && !isUsed(v.version))
}

const markSelf = ({ record, bearer }: Issued): Issued => ({
  record: change(record, (v) => (v.version === record.current ? { ...v, bySelf: true } : v)),
  bearer,
})

const unwaned = (version: KeyVersion): KeyVersion => ({ ...version, graceUntil: null })

/**
 * The version before the current one is current again, while it is in its window. The two change places: the version that is rolled
 * back works on until the window ends, unless it never worked.
 */
export function rollbackKey(record: KeyRecord, now: number): KeyRecord {
  if (!record.selfRotation) throw conflict('After a compromise there is no way back: rotate the key again.')
  const current = currentOf(record)
  const previous = record.versions
    .filter((v) => v.version !== current.version && v.graceUntil !== null && versionState(record, v, now) === 'grace')
    .at(-1)
  if (!previous) throw conflict('No earlier version of this key is in its window: rotate the key instead.')
  const swapped = change(record, (v) => {
    if (v.version === previous.version) return unwaned(v)
    if (v.version !== current.version) return v
    return versionState(record, v, now) === 'pending'
      ? { ...v, stoppedAt: iso(now) }
      : { ...v, graceUntil: previous.graceUntil }
  })
  return { ...swapped, current: previous.version }
}

/**
 * Every version stops, since others may have it; the key can be rotated to bring it back. So does one that the key's end or its own deadline
 * holds up alone: an operator may put those off.
 */
export function stopVersions(record: KeyRecord, now: number): KeyRecord {
  const endless = { ...record, expiresAt: null }
  const stop = (v: KeyVersion): KeyVersion =>
    isLive(endless, { ...v, rotateBy: null }, now) ? { ...v, stoppedAt: iso(now) } : v
  return { ...change(record, stop), compromisedAt: iso(now) }
}

export const revokeKey = (record: KeyRecord, now: number): KeyRecord => ({ ...record, revokedAt: iso(now) })

/** New settings; a new rhythm of rotation counts from when the current version began to work, or from now when that is over. */
export function updateKey(record: KeyRecord, settings: Partial<KeySettings>, now: number): KeyRecord {
  if (record.revokedAt !== null) throw conflict('The key is revoked: create a new one.')
  const changed = { ...record, ...settings }
  const { expiresAt, rotateEverySeconds: every } = changed
  if (expiresAt === record.expiresAt && every === record.rotateEverySeconds) return changed
  return change(changed, (v) => {
    if (v.version !== record.current) return v
    const { alerted: _, ...rest } = v // its end is another: to be told of anew
    if (every === record.rotateEverySeconds) return rest
    if (every === null) return { ...rest, rotateBy: null }
    const due = Date.parse(v.activatesAt) + every * 1000
    return { ...rest, rotateBy: iso(due > now ? due : now + every * 1000) }
  })
}
