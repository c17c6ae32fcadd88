import { equalBytes } from '../base/bytes.ts'
import type { ShortChannelId } from '../base/ids.ts'
import type {
  QueryChannelRange,
  QueryShortChannelIds,
  ReplyChannelRange,
  ReplyShortChannelIdsEnd,
} from '../wire/messages/gossip.ts'
import { updateChecksum } from './checksum.ts'
import { WANTS, WANTS_ALL } from './serve.ts'
import type { GossipTable } from './table.ts'
import { heightOf, isStale, STALE_AFTER } from './validate.ts'

/** Channels of which one query asks: their announcements all find room among those whose funding is looked up. */
export const BATCH = 500
/** What one peer may name, several times today's network: beyond it, it makes channels up. */
const MOST_CHANNELS = 200_000
const MOST_REPLIES = 5_000
const ALL_BLOCKS = 0xffffffff
/** What all answers of a peer may take, in the times that each may: others wait meanwhile. Some nodes send 100 kB a second, a network of 40 MB. */
const PATIENCE_IN_ALL = 60

/** What a peer says of a channel of its own: updates' timestamps and checksums, 0 where there is none; null where it says nothing. */
export interface Listed {
  readonly shortChannelId: ShortChannelId
  readonly timestamps: readonly [number, number] | null
  readonly checksums: readonly [number, number] | null
}

/**
 * The flags to query a listed channel with; 0: it has nothing that we want. A known update is asked for when the peer's is newer and says
 * something else, or ours may soon count as stale.
 * @source BOLT 7 §the-query_channel_range-and-reply_channel_range-messages
 */
export function wantedOf(table: GossipTable, listed: Listed, nowSeconds: number): number {
  const { shortChannelId, timestamps, checksums } = listed
  const channel = table.channel(shortChannelId)
  if (!channel) return timestamps && isStale(timestamps, nowSeconds) ? 0 : WANTS_ALL
  if (!timestamps) return 0
  const wants = (i: 0 | 1): boolean => {
    const own = channel.updates[i]
    if (timestamps[i] <= (own?.timestamp ?? 0)) return false
    if (!own || own.timestamp < nowSeconds - STALE_AFTER / 2) return true
    return !checksums || checksums[i] !== updateChecksum(own)
  }
  return (wants(0) ? WANTS.update1 : 0) | (wants(1) ? WANTS.update2 : 0)
}

/** complete: all that the peer has was asked for and answered; unanswered: it fell silent; malformed: what it said cannot be. */
export type SyncOutcome = 'complete' | 'unanswered' | 'malformed'
export interface SyncStep {
  readonly send: QueryChannelRange | QueryShortChannelIds | null
  readonly over: { readonly outcome: SyncOutcome; readonly reason: string } | null
}
const NOTHING: SyncStep = { send: null, over: null }
const over = (outcome: SyncOutcome, reason: string): SyncStep => ({ send: null, over: { outcome, reason } })

export interface SyncOptions {
  readonly chainHash: Uint8Array
  /** The peer has gossip_queries_ex. */
  readonly extended: boolean
  /** Within which a query is answered, in milliseconds. */
  readonly patienceMs: number
  /** The flags to ask for a channel with; 0: not at all. Asked again right before the query, as others may have told us meanwhile. */
  readonly want: (listed: Listed) => number
}

/**
 * Asks one peer for all channels that it knows, then for those of which we know less: pure steps, given the time and what the peer says.
 * One query is open at any time.
 * @source BOLT 7 §query-messages
 */
export class SyncSession {
  readonly #options: SyncOptions
  #phase: 'range' | 'channels' = 'range'
  readonly #wanted: Listed[] = []
  #asked = 0
  #replies = 0
  /** Where the last reply began, and the last channel of any reply. */
  #first = 0
  #last = -1n
  /** When the open query counts as unanswered; null: none is open. */
  #deadline: number | null = null
  /** When the peer was asked, or last heard, and for how long it has been waited for. */
  #since = 0
  #waited = 0

  constructor(options: SyncOptions) {
    this.#options = options
  }

  begin(now: number): QueryChannelRange {
    this.#wait(now)
    return {
      type: 'query_channel_range',
      chainHash: this.#options.chainHash,
      firstBlocknum: 0,
      numberOfBlocks: ALL_BLOCKS,
      ...(this.#options.extended && { queryOptionFlags: 3n }),
    }
  }

  /** A reply that nobody asked for changes nothing. @param room for answers to another query */
  onRange(m: ReplyChannelRange, now: number, room: boolean): SyncStep {
    if (this.#phase !== 'range' || this.#deadline === null) return NOTHING
    const fault = this.#faultOf(m)
    if (fault !== null) return over('malformed', `reply_channel_range ${fault}`)
    this.#first = m.firstBlocknum
    this.#last = m.shortChannelIds.at(-1) ?? this.#last
    this.#waited += now - this.#since
    this.#wait(now)
    for (const [i, shortChannelId] of m.shortChannelIds.entries()) {
      const times = m.timestamps?.[i]
      const sums = m.checksums?.[i]
      const listed: Listed = {
        shortChannelId,
        timestamps: times ? [times.timestamp1, times.timestamp2] : null,
        checksums: sums ? [sums.checksum1, sums.checksum2] : null,
      }
      if (this.#options.want(listed) !== 0) this.#wanted.push(listed)
    }
    if (this.#wanted.length > MOST_CHANNELS || ++this.#replies > MOST_REPLIES)
      return over('malformed', 'reply_channel_range names more than there can be')
    // Older nodes set the flag in every reply, and blocks may be split behind the end: both must be there.
    if (m.syncComplete !== 1 || m.firstBlocknum + m.numberOfBlocks < ALL_BLOCKS) return NOTHING
    this.#phase = 'channels'
    this.#deadline = null
    return this.advance(now, room)
  }

  /** The same. */
  onEnd(m: ReplyShortChannelIdsEnd, now: number, room: boolean): SyncStep {
    if (this.#phase !== 'channels' || this.#deadline === null) return NOTHING
    if (!equalBytes(m.chainHash, this.#options.chainHash))
      return over('malformed', 'reply_short_channel_ids_end of another chain')
    this.#waited += now - this.#since
    this.#deadline = null
    return this.advance(now, room)
  }

  /** Time has passed, or there is room again. */
  advance(now: number, room: boolean): SyncStep {
    if (this.#deadline !== null)
      return now < this.#deadline
        ? NOTHING
        : over('unanswered', `no answer to a query within the time (${this.#phase})`)
    if (this.#phase === 'range' || (!room && this.#asked < this.#wanted.length)) return NOTHING
    const ids: ShortChannelId[] = []
    const queryFlags: bigint[] = []
    while (ids.length < BATCH && this.#asked < this.#wanted.length) {
      const listed = this.#wanted[this.#asked++]!
      const flags = this.#options.want(listed)
      if (flags === 0) continue
      ids.push(listed.shortChannelId)
      queryFlags.push(BigInt(flags))
    }
    if (ids.length === 0) return over('complete', 'all that the peer knows is asked for')
    this.#wait(now)
    const { chainHash, extended } = this.#options
    const query = { type: 'query_short_channel_ids', chainHash, shortChannelIds: ids } as const
    return { send: extended ? { ...query, queryFlags } : query, over: null }
  }

  #wait(now: number): void {
    const { patienceMs } = this.#options
    this.#since = now
    this.#deadline = now + Math.min(patienceMs, PATIENCE_IN_ALL * patienceMs - this.#waited)
  }

  #faultOf(m: ReplyChannelRange): string | null {
    const end = m.firstBlocknum + m.numberOfBlocks
    if (!equalBytes(m.chainHash, this.#options.chainHash)) return 'of another chain'
    if (m.firstBlocknum < this.#first) return 'out of order'
    if (m.timestamps && m.timestamps.length !== m.shortChannelIds.length) return 'without a timestamp for each channel'
    if (m.checksums && m.checksums.length !== m.shortChannelIds.length) return 'without a checksum for each channel'
    let last = this.#last
    for (const id of m.shortChannelIds) {
      if (id <= last) return 'with channels out of order'
      last = id
      const block = heightOf(id)
      if (block < m.firstBlocknum || block >= end) return 'with channels of other blocks'
    }
    return null
  }
}
