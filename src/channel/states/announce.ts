import type { MessageNamed } from '../../wire/registry.ts'
import { ANNOUNCEMENT_DEPTH, ourSignatures, verifySignatures } from '../announcement.ts'
import { warn } from '../faults.ts'
import type { AnnouncementSignatures, FundedState, NormalState } from '../state.ts'
import type { ChannelContext, Effect, Turn } from '../types.ts'
import { fundingDepth, realScid, respond, turn, withChannel } from './shared.ts'

/**
 * The peer's half of a channel announcement, noted. Before the funding is confirmed for us too it cannot be judged: it comes again.
 * @returns the same state where it is not taken
 * @source BOLT 7 §the-announcement_signatures-message
 */
function noted<S extends FundedState>(state: S, m: MessageNamed<'announcement_signatures'>, ctx: ChannelContext): Turn {
  const { channel } = state
  const scid = realScid(channel)
  if (!channel.params.announce || scid === null) return turn(state)
  const rule = 'BOLT 7 §the-announcement_signatures-message'
  if (m.shortChannelId !== scid) {
    const { error } = warn(
      'PROTOCOL_VIOLATION',
      `${rule}: short_channel_id is the funding output's`,
      `${m.shortChannelId}, not ${scid}`,
    )
    return turn(
      state,
      respond(state, error, ctx).effects.filter((e) => e.tag !== 'disconnect'),
    )
  }
  const { shortChannelId, nodeSignature, bitcoinSignature } = m
  const remote: AnnouncementSignatures = { shortChannelId, nodeSignature, bitcoinSignature }
  if (!verifySignatures(channel, remote, ctx)) {
    return respond(state, warn('BAD_SIGNATURE', `${rule}: both signatures are correct`, 'one is not').error, ctx)
  }
  return turn(withChannel<FundedState>(state, { ...channel, announcement: { ...channel.announcement, remote } }))
}

/** The peer's half in a channel that goes on. */
export function receiveAnnouncement(
  state: FundedState,
  m: MessageNamed<'announcement_signatures'>,
  ctx: ChannelContext,
): Turn {
  const heard = noted(state, m, ctx)
  if (heard.state === state) return heard
  const again = state.channel.announcement.remote !== null
  const answered = announce(heard, ctx, again)
  const complete = !again && answered.state.tag === 'normal' && answered.state.channel.announcement.sent !== 'never'
  return complete ? turn(answered.state, [...answered.effects, { tag: 'gossip' }]) : answered
}

/**
 * LND may send its half ahead of its channel_reestablish, and not again once it has ours, which goes out when the channel goes on.
 * @returns the turn of the phase beneath
 */
export function receiveEarlyAnnouncement(
  from: FundedState,
  m: MessageNamed<'announcement_signatures'>,
  ctx: ChannelContext,
): Turn {
  const { announcement } = from.channel
  if (announcement.remote !== null) return turn(from)
  const unsent = withChannel<FundedState>(from, { ...from.channel, announcement: { ...announcement, sent: 'never' } })
  const heard = noted(unsent, m, ctx)
  return heard.state === unsent ? turn(from, heard.effects) : heard
}

/**
 * Sends our half when it is due: once the funding is deep enough, and again in a new connection as long as the peer's half is
 * missing or the peer asks for ours by sending its own.
 */
export function announce(before: Turn, ctx: ChannelContext, asked = false): Turn {
  const { state, effects } = before
  if (state.tag !== 'normal' || !isDue(state, ctx, asked)) return before
  const { channel } = state
  const scid = realScid(channel)!
  const message = {
    type: 'announcement_signatures',
    channelId: channel.params.channelId,
    ...ourSignatures(channel, scid, ctx),
  } as const
  const sent = withChannel(state, { ...channel, announcement: { ...channel.announcement, sent: 'now' } })
  const complete: readonly Effect[] =
    channel.announcement.sent === 'never' && channel.announcement.remote !== null ? [{ tag: 'gossip' }] : []
  return turn(sent, [...effects, { tag: 'send', message }, ...complete])
}

function isDue({ channel, localShutdown }: NormalState, ctx: ChannelContext, asked: boolean): boolean {
  const { sent, remote } = channel.announcement
  if (!channel.params.announce || sent === 'now') return false
  if (sent === 'before' && remote !== null && !asked) return false
  if (!channel.localReady || !channel.remoteReady || localShutdown !== null) return false
  return fundingDepth(channel, ctx.blockHeight) >= ANNOUNCEMENT_DEPTH
}
