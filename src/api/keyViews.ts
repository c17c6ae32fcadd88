import type { Budgets } from './auth/budgets.ts'
import { isGuest } from './auth/guests.ts'
import type { NewVersion } from './auth/keyAdmin.ts'
import type { Caller, KeyEntry } from './auth/keyEntry.ts'
import { currentOf, type KeyRecord, type KeyVersion, keyState, lifeOf, versionState } from './auth/keyRecord.ts'
import type * as Json from './keySchemas.ts'

/* Keys as JSON. Hashes of secrets never leave. */

const timeOrNull = (ms: number | undefined): string | null =>
  ms === undefined || ms === 0 || !Number.isFinite(ms) ? null : new Date(ms).toISOString()

/** @param now Unix ms */
export function keyJson({ record, usage }: KeyEntry, budgets: Budgets, now: number): Json.Key {
  const current = currentOf(record)
  const lastUsed = (version: number) => usage.get(version)?.lastUsedAt
  return {
    id: record.id,
    name: record.name,
    version: record.current,
    scopes: [...record.scopes],
    state: keyState(record, now),
    createdAt: record.createdAt,
    createdBy: record.createdBy,
    activatesAt: current.activatesAt,
    expiresAt: record.expiresAt,
    rotateBy: current.rotateBy,
    rotateEverySeconds: record.rotateEverySeconds,
    lastUsedAt: timeOrNull(Math.max(0, ...[...usage.values()].map((u) => u.lastUsedAt))),
    allowedCidrs: [...record.allowedCidrs],
    rateLimit: record.rateLimit,
    budget: budgets.view(record.id),
    metadata: { ...record.metadata },
    versions: record.versions.map((v) => ({
      ...lifeJson(record, v, now),
      createdAt: v.createdAt,
      lastUsedAt: timeOrNull(lastUsed(v.version)),
    })),
  }
}

/** What the caller is: its key, or what its access token says, in the same form. @param now Unix ms */
export function callerJson(
  caller: Caller,
  entry: KeyEntry,
  { budgets, now }: { budgets: Budgets; now: number },
): Json.Key {
  if (!isGuest(caller.keyId)) return keyJson(entry, budgets, now)
  const { record, versions } = entry
  const until = versions.find((v) => v.caller.version === caller.version)?.until
  return {
    id: record.id,
    name: record.name,
    version: caller.version,
    scopes: [...caller.scopes],
    state: 'active',
    createdAt: record.createdAt,
    createdBy: null,
    activatesAt: record.createdAt,
    expiresAt: timeOrNull(until),
    rotateBy: null,
    rotateEverySeconds: null,
    lastUsedAt: null,
    allowedCidrs: [],
    rateLimit: record.rateLimit,
    budget: budgets.view(record.id),
    metadata: {},
    versions: [],
  }
}

function lifeJson(record: KeyRecord, version: KeyVersion, now: number) {
  const { until } = lifeOf(record, version)
  return {
    version: version.version,
    state: versionState(record, version, now),
    activatesAt: version.activatesAt,
    expiresAt: timeOrNull(until),
  }
}

/** With the secret, this once. */
export const issuedJson = (
  entry: KeyEntry,
  { bearer, stopped = [] }: Pick<NewVersion, 'bearer'> & Partial<NewVersion>,
  { budgets, now }: { budgets: Budgets; now: number },
): Json.IssuedKey => ({ ...keyJson(entry, budgets, now), secret: bearer, stopped: [...stopped] })

export function usageJson({ record, usage }: KeyEntry, now: number): Json.KeyUsage {
  const counts = [...usage.values()]
  const sum = (of: 'requests' | 'refused') => counts.reduce((total, one) => total + one[of], 0)
  return {
    id: record.id,
    requests: sum('requests'),
    refused: sum('refused'),
    lastUsedAt: timeOrNull(Math.max(0, ...counts.map((one) => one.lastUsedAt))),
    versions: record.versions.map((v) => {
      const { requests = 0, refused = 0, lastUsedAt, lastAddress = '' } = usage.get(v.version) ?? {}
      return {
        version: v.version,
        state: versionState(record, v, now),
        requests,
        refused,
        lastUsedAt: timeOrNull(lastUsedAt),
        lastAddress: lastAddress === '' ? null : lastAddress,
      }
    }),
  }
}
