import { satToMsat } from '../base/units.ts'
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
  /** Unix ms. */
  now(): number
}

/**
 * In normal operation. A peer that is away for a moment does not change it: an update for every lost connection would be a flood
 * (BOLT 7 §the-channel_update-message: no redundant updates).
 */
export function isOpenForRelay(state: ChannelState): boolean {
  const phase = 'from' in state ? state.from : state
  return phase.tag === 'normal' && phase.localShutdown === null && phase.remoteShutdown === null
}

/**
 * Tells others, or the peer alone, how payments are forwarded over the channel.
 * @param isAway the peer has been for long: the channel carries nothing until it is back
 */
export function announce(parts: AnnouncingParts, entry: ChannelEntry, scope: TurnScope, isAway = false): void {
  const channel = channelOf(entry.state)
  const scid = scidOf(entry.state)
  // Told as one that can be used, it has its time again.
  if (!isAway) absences.delete(entry)
  if (channel === null || scid === null || !channel.localReady || !channel.remoteReady) return
  const { funding, capacitySat } = channel.commitments.active[0]!
  const own = {
    // eclair knows a channel that is not announced by its alias alone.
    shortChannelId: isAnnounced(channel) ? scid : (channel.remoteAlias ?? scid),
    remoteNodeId: entry.meta.peer,
    funding,
    capacitySat,
    relay: relayOf(channel, satToMsat(capacitySat)),
    announcement: isAnnounced(channel) ? channelAnnouncement(channel, parts.context(entry)) : null,
    disabled: isAway || !isOpenForRelay(entry.state),
  }
  parts.gossip.announceOwn(own, parts.peers.link(entry.meta.peer), scope)
}

/** Of channels whose peers are away: when a look first found that, Unix ms. */
const absences = new WeakMap<ChannelEntry, number>()
/** Longer than from one look to the next, shorter than to the one after it. */
const NEXT_LOOK_MS = 90 * 60_000

/**
 * Once an hour: makes those of our announcements anew that have grown old, and tells payers which channels had no peer at the look before
 * either: each would try them, and be failed. They are not spoken of again until the peers are back, so that others forget them in time.
 * @source BOLT 7 §the-channel_update-message
 */
export function announceAll(parts: AnnouncingParts, scope: TurnScope): void {
  for (const entry of parts.channels.all()) {
    const { state } = entry
    const channel = channelOf(state)
    if (channel === null || !isAnnounced(channel) || !(state.tag === 'normal' || isOpenForRelay(state))) continue
    const isAway = state.tag !== 'normal'
    const since = isAway ? absences.get(entry) : undefined
    if (!isAway || (since !== undefined && parts.now() - since < NEXT_LOOK_MS)) announce(parts, entry, scope, isAway)
    if (isAway && since === undefined) absences.set(entry, parts.now())
  }
}
