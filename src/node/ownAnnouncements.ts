import { channelAnnouncement } from '../channel/announcement.ts'
import { channelOf } from '../channel/describe.ts'
import type { ChannelState } from '../channel/state.ts'
import type { ChannelContext } from '../channel/types.ts'
import type { ChannelEntry } from './channels.ts'
import { isAnnounced, relayOf, scidOf } from './holdings.ts'
import type { NodeParts } from './parts.ts'
import type { TurnScope } from './reactor.ts'

/** What the gossip about our own channels is made of. */
export type AnnouncingParts = Pick<NodeParts, 'channels' | 'gossip' | 'peers'> & {
  context(entry: ChannelEntry): ChannelContext
}

/**
 * In normal operation. A peer that is away for a moment does not change it: an update for every lost connection would be a flood
 * (BOLT 7 §the-channel_update-message: no redundant updates).
 */
export function isOpenForRelay(state: ChannelState): boolean {
  const phase = 'from' in state ? state.from : state
  return phase.tag === 'normal' && phase.localShutdown === null && phase.remoteShutdown === null
}

/** Tells others, or the peer alone, how payments are forwarded over the channel. */
export function announce(parts: AnnouncingParts, entry: ChannelEntry, scope: TurnScope): void {
  const channel = channelOf(entry.state)
  const scid = scidOf(entry.state)
  if (channel === null || scid === null || !channel.localReady || !channel.remoteReady) return
  const { funding, capacitySat } = channel.commitments.active[0]!
  const own = {
    // eclair knows a channel that is not announced by its alias alone.
    shortChannelId: isAnnounced(channel) ? scid : (channel.remoteAlias ?? scid),
    remoteNodeId: entry.meta.peer,
    funding,
    capacitySat,
    relay: relayOf(channel),
    announcement: isAnnounced(channel) ? channelAnnouncement(channel, parts.context(entry)) : null,
    disabled: !isOpenForRelay(entry.state),
  }
  parts.gossip.announceOwn(own, parts.peers.link(entry.meta.peer), scope)
}

/** Makes those of our announcements anew that have grown old. */
export function announceAll(parts: AnnouncingParts, scope: TurnScope): void {
  for (const entry of parts.channels.all()) {
    const channel = entry.state.tag === 'normal' && channelOf(entry.state)
    if (channel && isAnnounced(channel)) announce(parts, entry, scope)
  }
}
