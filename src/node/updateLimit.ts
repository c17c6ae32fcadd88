import type { NodeId, ShortChannelId } from '../base/ids.ts'
import { updateChecksum } from '../gossip/checksum.ts'
import { directionOf, STALE_AFTER } from '../gossip/validate.ts'
import { type Bucket, takeToken } from '../peer/limits.ts'
import type { ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'

/** Updates of a channel's direction, or announcements of a node, that are taken at once, and how long each takes to be forgiven. */
const BURST = 10
const REFILL_MS = 60_000
/** Seconds between timestamps beyond which no update counts: old ones, handed on by whoever likes, must not keep the newest out. */
const FAR_APART = 600
/** Seconds within which nobody needs to hear the same again. */
const SAME_AGAIN_AFTER = 24 * 3600

type Limited = ChannelUpdate | NodeAnnouncement

/**
 * How often an end of a channel may have us verify, write and pass on its updates, and a node its announcements: they can sign
 * thousands a second. Remembers the directions of known channels, and the nodes, that spoke in the last ten minutes.
 */
export class UpdateLimit {
  readonly #now: () => number
  /** By direction or node, the one that spoke last at the end. */
  readonly #buckets = new Map<string, Bucket>()

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now
  }

  /**
   * Whether an update is worth verifying. Changes nothing: whoever made the signature up would use up what the channel's owner has.
   * @param previous the last accepted one of the same direction or node
   * @param nowSeconds Unix seconds
   */
  allows<T extends Limited>(m: T, previous: T | null, nowSeconds: number): boolean {
    const apart = m.timestamp - (previous?.timestamp ?? 0)
    if (previous === null || apart <= 0) return true // the first, or one that costs nothing to refuse
    const isFresh = previous.timestamp > nowSeconds - STALE_AFTER / 2
    if (isFresh && apart < SAME_AGAIN_AFTER && saysTheSame(m, previous)) return false
    return isFarApart(m, previous, nowSeconds) || this.#take(m) !== null
  }

  /** It has been verified and taken. The same parameters. */
  count<T extends Limited>(m: T, previous: T | null, nowSeconds: number): void {
    if (previous === null || isFarApart(m, previous, nowSeconds)) return
    const bucket = this.#take(m)
    if (bucket === null) return
    const key = keyOf(m)
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    for (const [old, { at }] of this.#buckets) {
      if (bucket.at - at < BURST * REFILL_MS) break
      this.#buckets.delete(old) // full again
    }
  }

  /** Directions that are remembered. */
  get size(): number {
    return this.#buckets.size
  }

  #take(m: Limited): Bucket | null {
    const now = this.#now()
    return takeToken(this.#buckets.get(keyOf(m)) ?? { tokens: BURST, at: now }, now, BURST, REFILL_MS)
  }
}

const keyOf = (m: Limited): NodeId | `${ShortChannelId}/${0 | 1}` =>
  m.type === 'node_announcement' ? m.nodeId : `${m.shortChannelId}/${directionOf(m)}`

const saysTheSame = (a: Limited, b: Limited): boolean =>
  a.type === 'channel_update' && b.type === 'channel_update' && updateChecksum(a) === updateChecksum(b)

/** Of such there are two thousand in the two weeks that an update counts, and no more at once. */
const isFarApart = (m: Limited, previous: Limited, nowSeconds: number): boolean =>
  m.timestamp >= previous.timestamp + FAR_APART && m.timestamp > nowSeconds - STALE_AFTER
