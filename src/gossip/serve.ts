import { equalBytes } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import type {
  GossipTimestampFilter,
  QueryChannelRange,
  QueryShortChannelIds,
  ReplyChannelRange,
} from '../wire/messages/gossip.ts'
import { encodeMessage, type GossipMessage } from '../wire/registry.ts'
import { updateChecksum } from './checksum.ts'
import { channelPasses, passes, type TimestampFilter } from './filter.ts'
import type { GossipTable } from './table.ts'
import { heightOf, isPassedOn } from './validate.ts'

/** Ids that fit into one reply; fewer where checksums are worked out, so that a step stays short. */
const MOST_IDS = { plain: 8_000, withTimestamps: 4_000, withChecksums: 250 } as const
/** Channels or nodes that are looked at in one step, whether the peer gets them or not. */
export const LOOKED_AT = 1_000
/** News that wait for one peer, whether it gets them or not: more are left out for it, and it can ask. */
const MOST_WAITING = 20_000

/** Bits of a query flag. @source BOLT 7 §the-query_short_channel_idsreply_short_channel_ids_end-messages */
export const WANTS = { announcement: 1, update1: 2, update2: 4, node1: 8, node2: 16 } as const
export const WANTS_ALL = 31
const NO_END = 1n << 64n

const firstOf = (block: number): bigint => BigInt(block) << 40n

/**
 * All channels of a range of blocks, in replies that each fit into a message; a block's channels may be spread over several.
 * @source BOLT 7 §the-query_channel_range-and-reply_channel_range-messages
 */
export function* rangeReplies(table: GossipTable, q: QueryChannelRange): Generator<ReplyChannelRange> {
  const { chainHash } = q
  const isOurs = equalBytes(chainHash, table.chainHash)
  const options = (q.queryOptionFlags ?? 0n) & 3n
  const most = MOST_IDS[options >= 2n ? 'withChecksums' : options === 1n ? 'withTimestamps' : 'plain']
  const end = q.firstBlocknum + q.numberOfBlocks
  const reply = (
    first: number,
    blocks: number,
    ids: readonly ShortChannelId[],
    isLast: boolean,
  ): ReplyChannelRange => ({
    type: 'reply_channel_range',
    chainHash,
    firstBlocknum: first,
    numberOfBlocks: blocks,
    syncComplete: isLast ? 1 : 0,
    shortChannelIds: [...ids],
    ...((options & 1n) !== 0n && { timestamps: ids.map((id) => timestampsOf(table, id)) }),
    ...((options & 2n) !== 0n && { checksums: ids.map((id) => checksumsOf(table, id)) }),
  })
  let first = q.firstBlocknum
  let from = firstOf(first)
  for (;;) {
    const found = isOurs ? table.scids(from, firstOf(end), most + 1) : []
    if (found.length <= most) return yield reply(first, end - first, found, true)
    const last = found[most - 1]!
    const block = heightOf(last)
    yield reply(first, block + 1 - first, found.slice(0, most), false)
    first = heightOf(found[most]!) === block ? block : block + 1
    from = last + 1n
  }
}

const timestampsOf = (table: GossipTable, id: ShortChannelId) => {
  const [a, b] = table.channel(id)!.updates
  return { timestamp1: a?.timestamp ?? 0, timestamp2: b?.timestamp ?? 0 }
}
const checksumsOf = (table: GossipTable, id: ShortChannelId) => {
  const [a, b] = table.channel(id)!.updates
  return { checksum1: a ? updateChecksum(a) : 0, checksum2: b ? updateChecksum(b) : 0 }
}

/**
 * Every channel that was asked for and that we know, once, then its nodes, each once, then the end.
 * @source BOLT 7 §the-query_short_channel_idsreply_short_channel_ids_end-messages
 */
export function* channelAnswers(table: GossipTable, q: QueryShortChannelIds): Generator<GossipMessage> {
  const { chainHash, shortChannelIds, queryFlags } = q
  const isOurs = equalBytes(chainHash, table.chainHash)
  const given = new Set<ShortChannelId>()
  const nodes = new Set<NodeId>()
  for (const [i, id] of isOurs ? shortChannelIds.entries() : []) {
    const channel = table.channel(id)
    if (!channel || given.has(id)) continue
    given.add(id)
    const flags = queryFlags ? Number(queryFlags[i]! & BigInt(WANTS_ALL)) : WANTS_ALL
    const { announcement, updates } = channel
    if (flags & WANTS.announcement) yield announcement
    if (flags & WANTS.update1 && updates[0]) yield updates[0]
    if (flags & WANTS.update2 && updates[1]) yield updates[1]
    if (flags & WANTS.node1) nodes.add(announcement.nodeId1)
    if (flags & WANTS.node2) nodes.add(announcement.nodeId2)
  }
  for (const id of nodes) {
    const node = table.node(id)
    if (node && isPassedOn(node)) yield node
  }
  yield { type: 'reply_short_channel_ids_end', chainHash, fullInformation: isOurs ? 1 : 0 }
}

/**
 * What we know that a new filter lets through, each channel before its updates and all channels before the nodes. null: looked at a
 * good many and none was wanted.
 * @source BOLT 7 §the-gossip_timestamp_filter-message
 */
export function* backlog(table: GossipTable, filter: TimestampFilter): Generator<GossipMessage | null> {
  for (let from = 0n; ; ) {
    const ids = table.scids(from, NO_END, LOOKED_AT)
    if (ids.length === 0) break
    from = ids.at(-1)! + 1n
    for (const id of ids) {
      const channel = table.channel(id) // may have gone since
      if (!channel || !channelPasses(filter, channel)) continue
      yield channel.announcement
      for (const u of channel.updates) if (u && passes(filter, u.timestamp)) yield u
    }
    yield null
  }
  for (const [i, node] of table.nodes().entries()) {
    if (passes(filter, node.timestamp) && isPassedOn(node)) yield node
    if (i % LOOKED_AT === LOOKED_AT - 1) yield null
  }
}

/**
 * What one peer has asked for and not been given yet. Nothing is made before it is taken, so whatever a peer asks for costs no memory;
 * at most one query of a kind is open, as the BOLT says.
 */
export class Answers {
  readonly #table: GossipTable
  #range: Iterator<ReplyChannelRange, void> | null = null
  #channels: Iterator<GossipMessage> | null = null
  #backlog: Iterator<GossipMessage | null> | null = null
  #filter: TimestampFilter | null = null
  readonly #news: { readonly count: number; readonly items: Iterator<Uint8Array | null> }[] = []

  constructor(table: GossipTable) {
    this.#table = table
  }

  /** null: the peer has sent none, and gets nothing of others'. */
  get filter(): TimestampFilter | null {
    return this.#filter
  }
  get isIdle(): boolean {
    return !this.#range && !this.#channels && !this.#backlog && this.#news.length === 0
  }

  /** @returns what the peer did wrong, or null */
  ask(m: QueryChannelRange | QueryShortChannelIds | GossipTimestampFilter): string | null {
    switch (m.type) {
      case 'query_channel_range':
        if (this.#range) return 'query_channel_range before the last one was answered'
        if (m.numberOfBlocks === 0) return 'query_channel_range of no blocks'
        this.#range = rangeReplies(this.#table, m)
        return null
      case 'query_short_channel_ids':
        if (this.#channels) return 'query_short_channel_ids before the last one was answered'
        if (m.queryFlags && m.queryFlags.length !== m.shortChannelIds.length)
          return 'query_short_channel_ids without exactly one flag for each channel'
        this.#channels = channelAnswers(this.#table, m)
        return null
      case 'gossip_timestamp_filter':
        if (!equalBytes(m.chainHash, this.#table.chainHash)) return null
        this.#filter = { from: m.firstTimestamp, before: m.firstTimestamp + m.timestampRange }
        this.#backlog = m.timestampRange === 0 ? null : backlog(this.#table, this.#filter)
        return null
    }
  }

  /** News that the filter lets through. @param items encoded, looked at as they are taken; null as of a backlog @param count of all that are looked at */
  relay(items: Iterable<Uint8Array | null>, count: number): void {
    const waiting = this.#news.reduce((sum, n) => sum + n.count, 0)
    if (waiting === 0 || waiting + count <= MOST_WAITING) this.#news.push({ count, items: items[Symbol.iterator]() })
  }

  /** The next messages, encoded: about `most` bytes and never less than one message; empty when there was nothing in a good many. */
  take(most: number): readonly Uint8Array[] {
    const reply = this.#range?.next()
    if (reply && !reply.done) {
      if (reply.value.syncComplete === 1) this.#range = null
      return [encodeMessage(reply.value)] // large, or much work: a step of its own
    }
    const out: Uint8Array[] = []
    let bytes = 0
    for (;;) {
      const next = this.#next()
      if (next === null) return out
      out.push(next)
      bytes += next.length
      if (bytes >= most) return out
    }
  }

  #next(): Uint8Array | null {
    const answer = this.#channels?.next()
    if (answer && !answer.done) {
      // The peer may ask again as soon as it has read this, whether or not anything more is taken before.
      if (answer.value.type === 'reply_short_channel_ids_end') this.#channels = null
      return encodeMessage(answer.value)
    }
    const old = this.#backlog?.next()
    if (old && !old.done) return old.value && encodeMessage(old.value)
    this.#backlog = null
    for (let news = this.#news[0]; news; news = this.#news[0]) {
      const next = news.items.next()
      if (!next.done) return next.value
      this.#news.shift()
    }
    return null
  }
}
