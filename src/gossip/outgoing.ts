import type { NodeId } from '../base/ids.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { encodeMessage } from '../wire/registry.ts'
import { channelPasses, passes, type TimestampFilter } from './filter.ts'
import { LOOKED_AT } from './serve.ts'
import type { GossipTable } from './table.ts'
import { directionOf } from './validate.ts'

export type Announcement = ChannelAnnouncement | ChannelUpdate | NodeAnnouncement

export interface News {
  readonly message: Announcement
  /** Who told us: it does not get it back. */
  readonly from: NodeId
}

/**
 * What others announced since the last flush: the newest of each origin, channels before their updates.
 * @source BOLT 7 §rebroadcasting
 */
export class Outgoing {
  #news = new Map<string, News>()

  get isEmpty(): boolean {
    return this.#news.size === 0
  }

  add(message: Announcement, from: NodeId): void {
    const key = keyOf(message)
    this.#news.delete(key)
    this.#news.set(key, { message, from })
  }

  /** Everything, but announcements of channels without an update: they wait for one. */
  take(table: GossipTable): readonly News[] {
    const taken: News[] = []
    const waiting = new Map<string, News>()
    for (const [key, news] of this.#news) {
      const { message } = news
      if (message.type === 'node_announcement') taken.push(news)
      else {
        const channel = table.channel(message.shortChannelId)
        if (!channel) continue
        if (channel.updates.every((u) => u === null)) waiting.set(key, news)
        else taken.push(news)
      }
    }
    this.#news = waiting
    return taken
  }
}

const keyOf = (m: Announcement): string => {
  if (m.type === 'node_announcement') return m.nodeId
  return m.type === 'channel_announcement' ? `${m.shortChannelId}` : `${m.shortChannelId}/${directionOf(m)}`
}

/** Whether a peer with this filter is told. @source BOLT 7 §the-gossip_timestamp_filter-message */
export function isFor(peer: NodeId, filter: TimestampFilter, { message, from }: News, table: GossipTable): boolean {
  if (from === peer) return false
  if (message.type !== 'channel_announcement') return passes(filter, message.timestamp)
  const channel = table.channel(message.shortChannelId)
  return channel !== undefined && channelPasses(filter, channel)
}

/** What of the news a peer is told, encoded when the first peer takes it; null: looked at a good many and none was for it. */
export function* newsFor(
  peer: NodeId,
  filter: TimestampFilter,
  news: readonly (News & { encoded?: Uint8Array })[],
  table: GossipTable,
): Generator<Uint8Array | null> {
  for (const [i, n] of news.entries()) {
    if (isFor(peer, filter, n, table)) {
      n.encoded ??= encodeMessage(n.message)
      yield n.encoded
    }
    if (i % LOOKED_AT === LOOKED_AT - 1) yield null
  }
}
