import { utf8, utf8Decode } from '../../base/bytes.ts'
import type { ApiOp } from '../../node/service.ts'
import type { Scope } from '../auth/scopes.ts'
import { CHECKED } from '../checks/finding.ts'

/** What is wrong, or was, as it is stored. Times are RFC 3339. */
export interface AlertRecord {
  /** In the order of raising. */
  readonly seq: number
  readonly code: string
  /** Id of the key, channel or webhook; null: the node itself. */
  readonly about: string | null
  readonly severity: 'warning' | 'problem'
  readonly reason: string
  readonly cure: string
  /** How often it was told of while it was raised. */
  readonly count: number
  readonly raisedAt: string
  readonly clearedAt: string | null
  /** Somebody knows. */
  readonly acknowledgedAt: string | null
}

export const ALERT_PREFIX = 'alert/'
const keyOf = (seq: number): string => `${ALERT_PREFIX}${String(seq).padStart(12, '0')}`

export const putAlert = (record: AlertRecord): ApiOp => ({
  key: keyOf(record.seq),
  value: utf8(JSON.stringify(record)),
})
export const dropAlert = ({ seq }: AlertRecord): ApiOp => ({ key: keyOf(seq) })
export const readAlert = (value: Uint8Array): AlertRecord => JSON.parse(utf8Decode(value)) as AlertRecord

/** One alert of a code is raised about one thing at a time. */
export const nameOf = ({ code, about }: Pick<AlertRecord, 'code' | 'about'>): string => `${code} ${about ?? ''}`

/** Keys are their managers' business; all else is seen by whoever sees the node. */
export const scopeOf = (code: string): Scope => (code === 'KEY_EXPIRING' ? 'keys:admin' : 'node:read')

/** Something is wrong as long as a check finds it; of other codes it is known only that they happened. */
export const isChecked = (code: string): boolean => (CHECKED as readonly string[]).includes(code)

/** So long it has to be so before anybody is told: what passes by itself is no alert. */
export const PATIENCE_MS: Readonly<Record<string, number>> = {
  CHAIN_BEHIND: 120_000,
  WALLET_RESERVE_SHORT: 60_000,
  CHANNEL_IN_DOUBT: 30_000,
  HTLC_DEADLINE: 10_000,
}

/** What to do about what the node tells of by an event, where its message does not say it. */
const CURES: Readonly<Record<string, string>> = {
  CHANNEL_QUARANTINED: 'report it with the log; claims with a deadline go on by themselves',
  MESSAGE_NOT_HANDLED: 'report it with the log; channels and payments go on',
  CHANNEL_EVENT_NOT_HANDLED: 'report it with the log; claims with a deadline go on by themselves',
  PART_FAILED: 'report it with the log; channels and claims go on',
  BACKUP_NOT_WRITTEN: 'see that there is room on the disk, and that channels.backup can be written by the node',
  CHANNEL_DAMAGED: 'have the peer close the channel; what it pays comes back with fulmen restore',
  RECORDS_DAMAGED: 'see whether the disk is sound, and that a recent channel backup lies elsewhere',
  DATABASE_IS_OLDER: 'if the newer database is anywhere, put it back; otherwise keep the peers reachable',
  NO_COINS_FOR_CLAIMS: 'send some coins to an address of fulmen wallet address',
  NO_COINS_FOR_FEES: 'send some coins to an address of fulmen wallet address',
  WEBHOOK_FAILED: 'see that its receiver works, then switch it on again: fulmen webhook update',
  EVENTS_LEFT_OUT: 'see in the log which peers come and go: fulmen logs --part peer',
}
const USUAL_CURE = 'see what came before it (fulmen logs), then say that somebody knows: fulmen alert acknowledge'
export const cureOf = (code: string): string => CURES[code] ?? USUAL_CURE
