import { toHex, utf8 } from '../../base/bytes.ts'
import { crypto } from '../../crypto/crypto.ts'

/** What happened, before it has its place in the log. */
export interface AuditFact {
  /** key.created, key.rotated, …, call.made, call.refused, call.refused.many */
  readonly action: string
  /** Who did it or tried to; null: nobody that is known. */
  readonly keyId: string | null
  readonly version: number | null
  readonly address: string | null
  /** What it was done to. */
  readonly target: string | null
  readonly detail: Readonly<Record<string, unknown>>
}

/** An entry of the log. Each holds the hash of the one before it, so that none can be changed, added or removed unseen. */
export interface AuditEntry extends AuditFact {
  /** From 1, without gaps. */
  readonly seq: number
  /** RFC 3339. */
  readonly at: string
  readonly previousHash: string
  /** SHA-256 over everything else in the entry, as JSON with sorted names. */
  readonly hash: string
}

export interface AuditHead {
  /** 0: the log is empty. */
  readonly seq: number
  readonly hash: string
}

/** What the first entry follows. */
export const GENESIS: AuditHead = { seq: 0, hash: '00'.repeat(32) }

/** JSON in one form only: names sorted at every depth, no spaces. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value).filter(([, inner]) => inner !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join()}}`
}

const hashOf = (entry: Omit<AuditEntry, 'hash'>): string => toHex(crypto.sha256(utf8(canonical(entry))))

/** The entry of a fact, following `head`. @param at RFC 3339 */
export function chained(head: AuditHead, fact: AuditFact, at: string): AuditEntry {
  const { action, keyId, version, address, target, detail } = fact
  const place = { seq: head.seq + 1, at, previousHash: head.hash }
  const entry = { ...place, action, keyId, version, address, target, detail }
  return { ...entry, hash: hashOf(entry) }
}

/**
 * Goes through entries in order of their numbers, from the first on.
 * @returns the last of them as a head, or where the chain breaks and why
 */
export function followChain(entries: Iterable<AuditEntry>): {
  readonly head: AuditHead
  readonly fault: null | { readonly seq: number; readonly what: string }
} {
  let head = GENESIS
  for (const { hash, ...entry } of entries) {
    const fault = (what: string) => ({ head, fault: { seq: head.seq + 1, what } })
    if (entry.seq !== head.seq + 1) return fault(`entry ${head.seq + 1} is missing: ${entry.seq} follows ${head.seq}`)
    if (entry.previousHash !== head.hash) return fault(`entry ${entry.seq} does not follow the entry before it`)
    if (hashOf(entry) !== hash) return fault(`entry ${entry.seq} was changed: its hash does not fit`)
    head = { seq: entry.seq, hash }
  }
  return { head, fault: null }
}
