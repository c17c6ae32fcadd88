import type { MessageNamed } from '../../wire/registry.ts'
import { resendRemovals } from '../dance.ts'
import { lostData, proven } from '../doubt.ts'
import { warningMessage } from '../faults.ts'
import { reestablished, reestablishMessage, withToldPoint } from '../reestablish.ts'
import type { FundedState, SyncingState } from '../state.ts'
import type { ChannelContext, ChannelInput, Effect, Turn } from '../types.ts'
import { receiveEarlyAnnouncement } from './announce.ts'
import { funded } from './funded.ts'
import { openTalks } from './negotiating.ts'
import { shutdownMessage } from './normal.ts'
import { goOffline, isFunded, withoutPeer } from './offline.ts'
import { endConnection, holdBack, isAgreed, peerError, respond, turn, withChannel } from './shared.ts'

/** Connected again: nothing is said on the channel until the peer's channel_reestablish is here. @source BOLT 2 §message-retransmission */
export function syncing(state: SyncingState, input: ChannelInput, ctx: ChannelContext): Turn {
  switch (input.tag) {
    case 'disconnected':
      return goOffline(state.from)
    case 'chain':
    case 'command':
      return withoutPeer(state, input, ctx)
    case 'message': {
      const { message } = input
      if (message.type === 'channel_reestablish') {
        const { state: next, effects } = receiveReestablish(state, message, ctx)
        return turn(next, [...saidSecond(state.from, ctx), ...effects])
      }
      if (message.type === 'channel_ready' && !state.from.channel.remoteReady) return turn(state, tooEarly(state.from))
      if (message.type === 'announcement_signatures') {
        const { state: from, effects } = receiveEarlyAnnouncement(state.from, message, ctx)
        return turn(isFunded(from) && from !== state.from ? { ...state, from } : state, effects)
      }
      if (message.type !== 'error' && message.type !== 'warning') return turn(state)
      const isUnseen = message.type === 'error' && !state.peerBehind
      const { state: next, effects } = isUnseen
        ? peerError(state.from, message.data, ctx, holdBack)
        : funded(state.from, input, ctx)
      return turn(next === state.from ? state : next, effects)
    }
    default:
      return turn(state)
  }
}

/**
 * LND may begin a connection with the channel_ready of a channel that has just confirmed, and say nothing more on it: the next connection
 * begins as it should.
 */
const tooEarly = ({ channel }: FundedState): readonly Effect[] =>
  endConnection(channel, 'BOLT 2 §message-retransmission: channel_reestablish comes before channel_ready')

/**
 * In doubt, we let the peer speak first: to have us publish what is revoked, a peer that has heard how old our copy is need only agree
 * with it. Which of the two speaks first, the BOLT leaves open.
 */
const saidSecond = ({ channel }: FundedState, { signer }: ChannelContext): readonly Effect[] =>
  channel.unproven ? [reestablishMessage(channel, signer)] : []

function receiveReestablish(state: SyncingState, m: MessageNamed<'channel_reestablish'>, ctx: ChannelContext): Turn {
  const { from } = state
  const judged = reestablished(from.channel, m, ctx.signer)
  // Wherever it ends on chain now, the peer's commitment may be newer than all that we know.
  const told = withChannel<FundedState>(from, withToldPoint(from.channel, m))
  // A peer that has forgotten the channel after the close was agreed makes up numbers, so that we close too.
  if (!judged.ok) return isAgreed(from, ctx) ? turn(state) : respond(told, judged.error, ctx)
  const { channelId } = from.channel.params
  switch (judged.value.tag) {
    case 'we-are-behind': {
      const { state: lost, effects } = lostData(
        told.channel,
        'the peer proved that it knows a newer commitment of ours; restore from a backup no more',
      )
      return turn({ ...lost, isOld: true }, effects)
    }
    case 'peer-is-behind': {
      // That anybody can say, and have us publish what is revoked: it proves nothing.
      if (from.channel.unproven) return lostData(told.channel, `both sides may have lost data: ${judged.value.detail}`)
      // Its own error will ask us to close; until then it may find a newer copy of its state.
      const text = `you seem to have lost data: ${judged.value.detail}`
      return turn({ ...state, from: proven(from), peerBehind: true }, [warningMessage(channelId, text)])
    }
    case 'we-may-be-behind':
      return isAgreed(from, ctx) ? turn(state) : respond(told, judged.value.fault, ctx, holdBack)
    case 'resume':
      return resume(proven(from), judged.value.effects, ctx)
  }
}

/** Sends again what was lost: first what is signed, then shutdown, then what is still to be signed. */
function resume(from: FundedState, missed: readonly Effect[], ctx: ChannelContext): Turn {
  const removals = resendRemovals(from.channel, 'removing')
  switch (from.tag) {
    case 'await-ready':
      return turn(from, missed)
    case 'normal': {
      const shutdown = from.localShutdown === null ? [] : [shutdownMessage(from, from.localShutdown)]
      return turn(from, [...missed, ...shutdown, ...removals])
    }
    case 'shutdown':
      return turn(from, [...missed, shutdownMessage(from, from.localScript), ...removals])
    case 'negotiating': {
      const talks = openTalks(from, ctx)
      return turn(talks.state, [...missed, shutdownMessage(from, from.localScript), ...talks.effects])
    }
  }
}
