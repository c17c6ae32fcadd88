import { toHex } from '../base/bytes.ts'
import type { ChannelId } from '../base/ids.ts'
import { channelOf } from '../channel/describe.ts'
import { incomingHtlc } from '../channel/htlc.ts'
import { eachHtlc, getHtlc } from '../channel/htlcTable.ts'
import { offerFor } from '../channel/presumed.ts'
import type { ChannelState } from '../channel/state.ts'
import { isFunded } from '../channel/states/offline.ts'
import type { HtlcOrigin } from '../channel/types.ts'
import { crypto } from '../crypto/crypto.ts'
import type { HeldContext, Standing } from '../payment/held.ts'
import type { NextHop } from '../payment/types.ts'
import type { ChannelEntry } from './channels.ts'
import { isInChain } from './holdings.ts'
import type { Node } from './node.ts'
import type { NodeParts } from './parts.ts'
import type { TurnScope } from './reactor.ts'

/**
 * Where a channel stands, as to the offer of an HTLC that may have been in lost writes.
 * @param origin null: of an incoming HTLC, nothing is looked for
 */
export function standingOf({ state, quarantined }: ChannelEntry, origin: HtlcOrigin | null): Standing {
  const channel = channelOf(state)
  if (channel === null || state.tag === 'closed') return 'over'
  if (state.tag === 'waiting-for-peer') return origin && offerFor(channel, origin) ? 'noted' : 'lost'
  if (state.tag === 'closing') return onItsWay(state, origin)
  return isFunded(state) && quarantined === null && !channel.unproven ? 'current' : 'unheard'
}

function onItsWay(
  { channel, onchain }: Extract<ChannelState, { tag: 'closing' }>,
  origin: HtlcOrigin | null,
): Standing {
  const offer = origin && offerFor(channel, origin)
  if (!offer) return 'lost'
  if (onchain.failed.includes(offer.add.id)) return 'over'
  return onchain.closing.height === null ? 'noted' : 'onchain'
}

/**
 * Whether an incoming HTLC that its channel told of is still what it was then: committed and undecided, in operation, and by the height of
 * now. Of any other the peer may have it back by the time of its preimage.
 */
export function stillStands(
  node: Pick<Node, 'channels' | 'chain'>,
  { channelId, id }: { readonly channelId: ChannelId; readonly id: bigint },
): boolean {
  const entry = node.channels.byChannelId(channelId)
  const channel = entry ? channelOf(entry.state) : null
  const htlc = channel && getHtlc(channel.commitments.incoming, id)
  if (!entry || htlc?.stage !== 'committed' || htlc.removal !== null) return false
  return standingOf(entry, null) === 'current' && node.chain.isCurrent && isInChain(node, channelId)
}

/** All channels with the node at the other end of a hop, and where they stand. */
export function standingsOf(
  { channels }: Pick<NodeParts, 'channels'>,
  next: NextHop,
  origin: HtlcOrigin,
): HeldContext['outgoing'] {
  const peer = next.tag === 'node' ? next.nodeId : channels.byScid(next.shortChannelId)?.meta.peer
  const entries = peer === undefined ? channels.all().filter(isNameless) : channels.ofPeer(peer)
  return entries.flatMap((entry) => {
    const channelId = channelOf(entry.state)?.params.channelId
    if (channelId === undefined) return []
    return [{ channelId, standing: peer === undefined ? ('unheard' as const) : standingOf(entry, origin) }]
  })
}

/** A channel that cannot be read, and that no backup has, may be with the node at the other end of a hop, and hold the offer. */
export function mayBeUnread({ channels, damaged }: Pick<Node, 'channels' | 'damaged'>, next: NextHop): boolean {
  const peer = next.tag === 'node' ? next.nodeId : channels.byScid(next.shortChannelId)?.meta.peer
  return [...damaged.values()].some((of) => of === null || peer === undefined || of.peer === peer)
}

/** It came from a backup, and the block that tells its name is still looked for. */
function isNameless({ state }: ChannelEntry): boolean {
  const channel = channelOf(state)
  return state.tag === 'waiting-for-peer' && channel?.restored === true && channel.funding.confirmed === null
}

/** At a start: what was concluded from where channels stand is not stored with that. */
export function holdAllForwards(parts: Pick<Node, 'channels' | 'payments' | 'shown'>, scope: TurnScope): void {
  for (const entry of parts.channels.all()) {
    if (isBehind(entry.state)) holdForwards(parts, entry, scope)
    else if (mayTake(entry.state)) parts.shown.look(entry)
  }
}

/** A channel has changed: forwards of before the start may have waited for that, or have to wait now, or be found by what it shows. */
export function holdForwards(
  { shown, payments }: Pick<Node, 'shown' | 'payments'>,
  entry: ChannelEntry,
  scope: TurnScope,
): void {
  const { state } = entry
  if (!isNews(entry)) return
  if (isLost(state) || state.tag === 'closed') shown.look(entry)
  if (isBehind(state) && !state.channel.restored) {
    const { params, commitments } = state.channel
    const undecided = [...eachHtlc(commitments.incoming)].filter((h) => h.removal === null)
    const htlcs = undecided.map((h) => incomingHtlc(params.channelId, h))
    payments.holdForwards(htlcs, scope)
  }
  payments.goOn(scope)
}

/** Its peer has commitments, or one of them is in the chain, in which there may be more than we know. */
const isBehind = (state: ChannelState): state is Extract<ChannelState, { tag: 'waiting-for-peer' | 'closing' }> =>
  state.tag === 'waiting-for-peer' || (state.tag === 'closing' && state.onchain.closing.kind === 'future')

/** What was last seen of channels that end. */
const ends = new WeakMap<ChannelEntry, readonly unknown[]>()

/**
 * Not so where the end of a channel has gone on without a change in what others conclude from it: each of its HTLCs makes one, as does each
 * that is noted in it, and everything would be looked at again for all of them.
 */
function isNews(entry: ChannelEntry): boolean {
  const { state } = entry
  if (state.tag !== 'closing' && state.tag !== 'closed') return true
  const { closing, failed, strange } = state.onchain ?? {}
  const is = [state.tag, closing?.txid, closing?.height === null, failed, strange]
  const was = ends.get(entry)
  ends.set(entry, is)
  return !was?.every((part, i) => part === is[i])
}

/** Also of one that is over as far as we know: HTLCs that we do not know may be on its commitment yet. */
export const mayTake = (state: ChannelState): boolean => isLost(state) || (state.tag === 'closed' && !state.irrevocable)
const isLost = ({ tag }: ChannelState): boolean => tag === 'waiting-for-peer' || tag === 'closing'

/** The channel has noted an HTLC for this preimage, beside those that it knows of; or nothing of it is open any more. */
export function needsNoPreimage(state: ChannelState, preimage: Uint8Array): boolean {
  if (state.tag === 'closed' && state.irrevocable) return true
  const incoming = channelOf(state)?.commitments.incoming
  const hash = toHex(crypto.sha256(preimage))
  return (
    incoming !== undefined && [...eachHtlc(incoming)].some((h) => h.stage === 'presumed' && h.add.paymentHash === hash)
  )
}
