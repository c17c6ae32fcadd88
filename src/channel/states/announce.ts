import type { MessageNamed } from '../../wire/registry.ts'
import { ANNOUNCEMENT_DEPTH, ourSignatures, verifySignatures } from '../announcement.ts'
import { warn } from '../faults.ts'
import type { AnnouncementSignatures, FundedState, NormalState } from '../state.ts'
import type { ChannelContext, Effect, Turn } from '../types.ts'
import { fundingDepth, realScid, respond, turn, withChannel } from './shared.ts'

/**
 * The peer's half of a channel announcement. Before the funding is confirmed for us too it cannot be judged: it comes again.
 * @source BOLT 7 §the-announcement_signatures-message
 */
export function receiveAnnouncement(
  state: FundedState,
  m: MessageNamed<'announcement_signatures'>,
  ctx: ChannelContext,
): Turn {
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
  const again = channel.announcement.remote !== null
  const announced = withChannel(state, { ...channel, announcement: { ...channel.announcement, remote } })
  const answered = announced.tag === 'normal' ? announce(turn(announced), ctx, again) : turn(announced)
  const complete = !again && answered.state.tag === 'normal' && answered.state.channel.announcement.sent !== 'never'
  return complete ? turn(answered.state, [...answered.effects, { tag: 'gossip' }]) : answered
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
