import type { Caller } from './keyEntry.ts'
import { KeyEntry } from './keyEntry.ts'
import type { KeyRecord, KeySettings } from './keyRecord.ts'
import type { Scope } from './scopes.ts'

/** What bounds each subject of the issuer, by configuration. */
export type GuestBounds = Pick<KeySettings, 'budget' | 'rateLimit'>

const PREFIX = 'oidc:'

/** The id of a subject where a key's would stand: in the audit log, with idempotency keys, budgets and rates. */
const guestId = (subject: string): string => PREFIX + encodeURIComponent(subject)
export const isGuest = (id: string): boolean => id.startsWith(PREFIX)

/**
 * Those that come with a token of an issuer instead of a key. Nothing of them is stored: what they may do stands in the token, what
 * bounds them in the configuration. Each subject has one entry, each token of it a session.
 */
export class Guests {
  #bounds: GuestBounds = { budget: null, rateLimit: null }
  readonly #entries = new Map<string, KeyEntry>()
  #sessions = 0

  bound(bounds: GuestBounds): void {
    this.#bounds = bounds
  }

  find(id: string): KeyEntry | undefined {
    return this.#entries.get(id)
  }

  /** The entry of a subject; there is one for every name. @param now Unix ms */
  entry(id: string, now: number): KeyEntry {
    const known = this.#entries.get(id)
    if (known) return known
    const entry = new KeyEntry(recordOf(id, this.#bounds), now)
    this.#entries.set(id, entry)
    return entry
  }

  /** Every token that was taken until now works no more. @param now Unix ms */
  endAll(now: number): void {
    for (const entry of this.#entries.values()) entry.endSessions(now)
  }

  admit(subject: string, { scopes, until }: { scopes: readonly Scope[]; until: number }, now: number): Caller {
    const keyId = guestId(subject)
    const caller = { keyId, version: ++this.#sessions, scopes }
    const session = { caller, hash: new Uint8Array(0), from: 0, until, stopped: false, notice: null }
    this.entry(keyId, now).admit(session, now)
    return caller
  }

  end({ keyId, version }: Caller, now: number): void {
    this.#entries.get(keyId)?.endSession(version, now)
  }

  /** Ends the streams of tokens that ended, and forgets whom nothing depends on. */
  tick(now: number): void {
    for (const [id, entry] of this.#entries) {
      entry.endStreams(now)
      if (entry.isIdle(now)) this.#entries.delete(id)
    }
  }
}

/** Periods of its budget are counted from 1970 on, so that a restart does not begin a new one. */
const recordOf = (id: string, bounds: GuestBounds): KeyRecord => ({
  id,
  name: decodeURIComponent(id.slice(PREFIX.length)),
  scopes: [],
  createdAt: new Date(0).toISOString(),
  createdBy: null,
  expiresAt: null,
  revokedAt: null,
  current: 0,
  versions: [],
  allowedCidrs: [],
  rotateEverySeconds: null,
  metadata: {},
  selfRotation: false,
  compromisedAt: null,
  ...bounds,
})
