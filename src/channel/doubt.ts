import { buildLocal, wrongSignature } from './commitments.ts'
import { forgetUnsigned } from './dance.ts'
import { errorMessage, refuse } from './faults.ts'
import { neverPublished } from './heldBack.ts'
import type { Channel, ChannelState, FundedState, WaitingForPeerState } from './state.ts'
import type { ChannelContext, ChannelSigner, Effect, Fault, Turn } from './types.ts'

/**
 * The store lost a write: what is stored of a channel may be older than what was said to the peer, so that our commitment may be
 * revoked. It is not published before the peer's channel_reestablish has shown where we stand, and never when the records
 * contradict each other.
 * @param isLate it comes after a start, when peers may have heard where this old state stands: what they say then proves nothing
 * @source docs/architecture.md §Store, BOLT 2 §message-retransmission
 */
export function doubt(state: ChannelState, isLate: boolean, ctx: ChannelContext): Turn {
  switch (state.tag) {
    case 'await-ready':
    case 'normal':
    case 'shutdown':
    case 'negotiating':
      return doubtFunded(state, isLate, ctx.signer, (from) => from)
    case 'offline':
      return doubtFunded(state.from, isLate, ctx.signer, (from) => ({ ...state, from }))
    case 'syncing': {
      // What it has said of where it stands may have been too much: the next connection begins with the peer.
      const { state: next, effects } = doubtFunded(state.from, isLate, ctx.signer, (from) => ({ tag: 'offline', from }))
      return { state: next, effects: [...effects, { tag: 'disconnect', reason: 'a channel is in doubt' }] }
    }
    case 'waiting-for-peer':
      if (state.publishAfter === undefined) return { state, effects: [] }
      return { state: { ...neverPublished(state), channel: doubted(state.channel) }, effects: [] }
    default:
      return { state, effects: [] }
  }
}

function doubtFunded(
  from: FundedState,
  isLate: boolean,
  signer: ChannelSigner,
  wrap: (from: FundedState) => ChannelState,
): Turn {
  const hopeless = whyHopeless(from, isLate, signer)
  if (hopeless !== null) {
    const { channel, effects } = forgetUnsigned(from.channel)
    return lostData(channel, hopeless, effects)
  }
  return { state: wrap({ ...from, channel: doubted(from.channel) }), effects: [] }
}

/** What was lost may be the note of a closing transaction that we signed: none is taken for a stranger's from here on. */
const doubted = ({ closings: _, ...channel }: Channel): Channel => ({ ...channel, unproven: true })

/** Why nothing that the peer may say will prove that our commitment is not revoked, or null. */
function whyHopeless({ tag, channel }: FundedState, isLate: boolean, signer: ChannelSigner): string | null {
  const broken = contradiction(channel, signer)
  if (broken !== null) return `the stored records contradict each other: ${broken}`
  // No commitment is made any more once a close is negotiated: there, ours is the last.
  if (!isLate || tag === 'negotiating') return null
  return 'the database was found to be an old copy after its peers may have heard so: what they say proves nothing'
}

/** What is wrong with the records, or null: whether the peer's signatures fit our commitment, and its secrets their number. */
function contradiction(channel: Channel, signer: ChannelSigner): string | null {
  const { active, remote, secrets } = channel.commitments
  if (secrets.count !== remote.number) return `${secrets.count} secrets of ${remote.number} revoked commitments`
  try {
    for (const commitment of active) {
      const wrong = wrongSignature(buildLocal(channel, commitment, signer), commitment, signer)
      if (wrong !== null) return wrong
    }
    return null
  } catch (e) {
    return e instanceof Error ? e.message : String(e)
  }
}

/** The peer has shown that we are not behind. */
export function proven<S extends FundedState>(state: S): S {
  if (!state.channel.unproven) return state
  const { unproven: _, ...channel } = state.channel
  return { ...state, channel }
}

/** What the peer is told, whenever it connects. */
export const PLEASE_CLOSE = 'we lost data and cannot go on: please close the channel with your newest commitment'
const RULE = 'BOLT 2 §message-retransmission: who has fallen behind does not publish its commitment'

/** We must not publish what we have, now or ever, a reorganisation or not: the peer is asked to publish its own. */
export function lostData(
  channel: Channel,
  detail: string,
  more: readonly Effect[] = [],
): Turn & { readonly state: WaitingForPeerState } {
  const fault = { code: 'DATA_LOSS', response: 'fail-channel', requirement: RULE, detail } as const
  const effects: readonly Effect[] = [
    errorMessage(channel.params.channelId, PLEASE_CLOSE),
    { tag: 'notify', event: { tag: 'fault', fault, byPeer: false } },
    ...more,
  ]
  const lost = { ...channel, unproven: true } as const
  return { state: { tag: 'waiting-for-peer', channel: lost, error: PLEASE_CLOSE, isOld: false }, effects }
}

/** Why the operator cannot close by force at the moment. */
export const unprovenFault = (): Fault =>
  refuse(
    'DATA_LOSS',
    RULE,
    `the database lost a write, so that our commitment may be revoked: connect to the peer first, which shows where the channel stands; ${WAY_OUT}`,
  ).error

/** For people. */
export const WAY_OUT =
  'should it never come, or be in doubt itself, a force close with acceptRisk (--accept-risk) publishes our commitment: if that is revoked, the peer takes the whole channel'

/**
 * Why not even an operator who accepts the risk can have our commitment published, or null.
 * @param isOld whether the peer has proved that it is revoked; undefined of a channel that has waited since before that was noted
 */
export function unpublishable(channel: Channel, isOld: boolean | undefined, signer: ChannelSigner): Fault | null {
  const why = channel.restored
    ? 'the channel was restored from a backup, which has no commitment'
    : isOld
      ? 'the peer has proved that our commitment is revoked: publishing it would lose everything'
      : isOld === undefined
        ? 'an earlier version has not noted whether the peer had proved that our commitment is revoked: connect to it, which shows that'
        : contradiction(channel, signer)
  return why === null ? null : refuse('DATA_LOSS', RULE, `${why}; wait for the peer`).error
}
