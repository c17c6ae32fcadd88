import { randomBytes } from 'node:crypto'
import { toHex, utf8, utf8Decode } from '../../base/bytes.ts'

/** A secret that signs; `until` (RFC 3339) is the end of the overlap with the one that replaced it, null for the present one. */
export interface WebhookSecret {
  /** `whsec_` and 32 random bytes in base64. */
  readonly secret: string
  readonly until: string | null
}

/** Attempts that failed in a row. */
export interface Failing {
  readonly since: string
  readonly attempts: number
  readonly nextAttemptAt: string
}

/** One subscription of a key, as it is stored. Times are RFC 3339. */
export interface WebhookRecord {
  readonly id: string
  /** The key that made it: it sees what that key may see, and lives as long as that key works. */
  readonly keyId: string
  readonly name: string
  readonly url: string
  /** As the client wrote them, `payment.*` included; null: all. */
  readonly types: readonly string[] | null
  readonly createdAt: string
  /** When it was made or last switched on: a compromise of its key after that stops it. */
  readonly armedAt: string
  /** Newest first. */
  readonly secrets: readonly WebhookSecret[]
  readonly enabled: boolean
  /** Why it was given up; null: it was not. */
  readonly gaveUp: string | null
  readonly failing: Failing | null
  /** Id of the last event that was acknowledged or is not wanted. */
  readonly cursor: number
  /** Number of the newest entry in the delivery log. */
  readonly attempts: number
}

/** One attempt, as the delivery log keeps it. What the receiver answered beyond its status is not kept: it may be nobody's business. */
export interface DeliveryRecord {
  readonly seq: number
  /** `webhook-id`: the same for every attempt of one message. */
  readonly messageId: string
  readonly eventId: number | null
  readonly type: string
  readonly at: string
  /** 1 for the first try of a message. */
  readonly attempt: number
  readonly acknowledged: boolean
  readonly status: number | null
  readonly latencyMs: number
  /** A short code when no answer came. */
  readonly error: string | null
}

export const RECORD_PREFIX = 'webhook/'
export const recordKey = (id: string): string => RECORD_PREFIX + id
export const deliveryKey = (id: string, seq: number): string =>
  `webhook-delivery/${id}/${String(seq).padStart(12, '0')}`

export const newWebhookId = (): string => `wh_${toHex(randomBytes(8))}`
export const newWebhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

export const stored = (value: WebhookRecord | DeliveryRecord): Uint8Array => utf8(JSON.stringify(value))
export const readRecord = (value: Uint8Array): WebhookRecord => JSON.parse(utf8Decode(value)) as WebhookRecord
export const readDelivery = (value: Uint8Array): DeliveryRecord => JSON.parse(utf8Decode(value)) as DeliveryRecord

/** The secrets that sign now: the present one and those in their overlap. @param now Unix ms */
export const liveSecrets = ({ secrets }: WebhookRecord, now: number): readonly WebhookSecret[] =>
  secrets.filter(({ until }) => until === null || now < Date.parse(until))
