import type { ChannelId, NodeId, ShortChannelId } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import { localAlias } from '../channel/alias.ts'
import { channelOf, onchainOf, receivableMsat, sendableMsat } from '../channel/describe.ts'
import { incomingHtlc } from '../channel/htlc.ts'
import { eachHtlc, getHtlc } from '../channel/htlcTable.ts'
import { offerFor } from '../channel/presumed.ts'
import type { Channel, ChannelState } from '../channel/state.ts'
import { isWithheld } from '../channel/states/closing.ts'
import { realScid } from '../channel/states/shared.ts'
import type { IncomingHtlc, RelayPolicy } from '../channel/types.ts'
import { isFailedUnsigned } from '../channel/updates.ts'
import type { RouteHint } from '../invoice/fields.ts'
import type { OutgoingChannel } from '../payment/types.ts'
import type { LocalChannel } from '../routing/types.ts'
import type { ChannelUpdate } from '../wire/messages/gossip.ts'
import type { ChannelEntry } from './channels.ts'
import type { NodeParts } from './parts.ts'
import type { ChannelHoldings } from './payments.ts'

/**
 * What all channels hold, for the payments' recovery after a start.
 * @param restored they came from a backup, and perhaps their payments are not known: also those that may have been offered keep a hash from
 * being paid again
 */
export function holdingsOf(entries: readonly ChannelEntry[], restored = false): ChannelHoldings {
  const outgoing: ChannelHoldings['outgoing'][number][] = []
  const released: ChannelHoldings['released'][number][] = []
  const undecided: IncomingHtlc[] = []
  for (const { state } of entries) {
    const channel = state.tag === 'closed' ? null : channelOf(state)
    if (channel === null) continue
    const { channelId } = channel.params
    for (const { add, stage } of eachHtlc(channel.commitments.outgoing)) {
      const isOffered = stage !== 'presumed' || (restored && add.origin?.tag === 'payment')
      if (add.origin && isOffered) outgoing.push({ channelId, origin: add.origin, amountMsat: add.amountMsat })
    }
    for (const htlc of eachHtlc(channel.commitments.incoming)) {
      if (htlc.removal === null) undecided.push(incomingHtlc(channelId, htlc))
      else if (htlc.removal.tag === 'fulfilled') {
        released.push({ htlc: incomingHtlc(channelId, htlc), preimage: htlc.removal.preimage })
      }
    }
  }
  return { outgoing, released, undecided }
}

/** An incoming HTLC that its channel still has and that nothing has been decided on. */
export function undecidedIncoming(state: ChannelState, channelId: ChannelId, id: bigint): IncomingHtlc | null {
  const channel = channelOf(state)
  const htlc = channel && getHtlc(channel.commitments.incoming, id)
  return htlc?.removal === null ? incomingHtlc(channelId, htlc) : null
}

/**
 * When the preimage of an incoming HTLC is of use: at once where nothing has been decided on it, or where it was failed and the peer is away
 * that has yet to hear that, or its channel went on chain, where the peer may not have taken it. Later, perhaps, while it is failed and still
 * there. `never` for one that is gone, or that has its preimage.
 */
export function wantsPreimage(state: ChannelState, id: bigint): 'now' | 'later' | 'never' {
  const channel = channelOf(state)
  const htlc = channel && getHtlc(channel.commitments.incoming, id)
  if (!htlc || htlc.removal?.tag === 'fulfilled') return 'never'
  if (htlc.removal === null || ['closing', 'waiting-for-peer', 'closed'].includes(state.tag)) return 'now'
  return 'from' in state && isFailedUnsigned(htlc) ? 'now' : 'later'
}

/**
 * What came in of a forward that was failed before its preimage came, unless the chain shows that the peer has it back, and the channel that has
 * the offer.
 */
export function lateForward(
  { channels }: Pick<NodeParts, 'channels'>,
  { channelId, htlcId }: { readonly channelId: ChannelId; readonly htlcId: bigint },
): { readonly htlc: IncomingHtlc; readonly outgoing: ChannelId | null } | null {
  const state = channels.byChannelId(channelId)?.state
  const channel = state && channelOf(state)
  const htlc = channel && getHtlc(channel.commitments.incoming, htlcId)
  if (!htlc || isBack(state, htlcId) === true) return null
  const all = channels.all().flatMap((entry) => channelOf(entry.state) ?? [])
  const outgoing = all.find((c) => offerFor(c, { tag: 'forward', channelId, htlcId }))
  return { htlc: incomingHtlc(channelId, htlc), outgoing: outgoing?.params.channelId ?? null }
}

/** Whether the peer has an incoming HTLC back; null while its channel is closing, and the close is in no block. */
export function isBack(state: ChannelState, id: bigint): boolean | null {
  const channel = channelOf(state)
  if (!channel || !getHtlc(channel.commitments.incoming, id)) return true
  if (state.tag === 'waiting-for-peer') return null
  const onchain = onchainOf(state)
  if (!onchain) return false
  const { closing, outputs, spenders } = onchain
  if (closing.height === null) return null
  const theirs = spenders.flatMap(({ txid, kind }) => (kind === 'theirs' ? [txid] : []))
  const isOurs = ({ spent }: (typeof outputs)[number]): boolean => spent === null || !theirs.includes(spent.txid)
  return !outputs.some((o) => o.htlc?.direction === 'in' && o.htlc.id === id && isOurs(o))
}

/** Whether the channel's funding is confirmed, which a reorganisation may have undone. */
export function isInChain({ channels }: Pick<NodeParts, 'channels'>, channelId: ChannelId): boolean {
  const entry = channels.byChannelId(channelId)
  const channel = entry ? channelOf(entry.state) : null
  return channel !== null && channel.funding.confirmed !== null
}

/**
 * Open, or holding its commitment back, and closed by us as soon as something late in it is worth that; or closed, and nothing of that is in
 * the chain yet.
 */
export function keepsDeadlines(state: ChannelState): boolean {
  if (state.tag === 'closing') return state.onchain.closing.height === null
  if (state.tag === 'waiting-for-peer') return state.publishAfter !== undefined
  const { tag } = 'from' in state ? state.from : state
  return (tag === 'normal' || tag === 'shutdown') && channelOf(state)?.unproven !== true
}

/**
 * Channels with anchors for which the wallet keeps a reserve (wallet/build.ts): not done with, ours or with a funding that is in the chain,
 * since anybody can name one that does not exist. Of a restored one, or one that the peer has proved to be older, there is no commitment to pay
 * for.
 */
export const anchorChannels = (entries: readonly ChannelEntry[]): number =>
  entries.filter(({ state }) => {
    const channel = state.tag === 'closed' || isGivenUp(state) ? null : channelOf(state)
    if (channel?.params.channelType !== 'anchors' || channel.restored) return false
    return channel.params.isOpener || channel.funding.confirmed !== null
  }).length

/** Our commitment is revoked, as the peer has proved, and stays here. */
export const isGivenUp = (state: ChannelState): boolean =>
  state.tag === 'waiting-for-peer' ? state.isOld === true : state.tag === 'closing' && isWithheld(state)

/** In normal operation, connected and not closing. */
const isUsable = (state: ChannelState): boolean => state.tag === 'normal' && isKept(state)

/** In normal operation and not closing, whether or not the peer is there. */
function isKept(state: ChannelState): boolean {
  const phase = 'from' in state ? state.from : state
  if (phase.tag !== 'normal') return false
  return phase.localShutdown === null && phase.remoteShutdown === null && phase.closeRequest === null
}

/** What payments may go over now. Asked for at every payment: made again only when a channel has changed, or was set aside. */
export class LocalChannels {
  #states: readonly (ChannelState | null)[] = []
  #list: readonly LocalChannel[] = []

  of(entries: readonly ChannelEntry[]): readonly LocalChannel[] {
    const states = entries.map(({ state, quarantined }) => (quarantined === null ? state : null))
    if (this.#states.length === states.length && states.every((s, i) => s === this.#states[i])) return this.#list
    this.#list = entries.flatMap((entry) => localChannel(entry) ?? [])
    this.#states = states
    return this.#list
  }
}

/** A channel as the path finder sees it; null when it carries nothing now. */
function localChannel({ state, quarantined }: ChannelEntry): LocalChannel | null {
  const channel = channelOf(state)
  if (channel === null || quarantined !== null || !isUsable(state)) return null
  const shortChannelId = scidOf(state)
  if (shortChannelId === null) return null
  return {
    channelId: channel.params.channelId,
    shortChannelId,
    remoteNodeId: channel.params.remoteNodeId,
    sendableMsat: sendableMsat(channel),
    htlcMinimumMsat: channel.params.remote.htlcMinimumMsat,
  }
}

/** The short channel id by which we know the channel: the real one, or an alias of the peer's while the funding is unconfirmed. */
export function scidOf(state: ChannelState): ShortChannelId | null {
  const channel = channelOf(state)
  return channel && (realScid(channel) ?? channel.remoteAlias)
}

/**
 * What we ask for forwarding over a channel, within what its peer takes.
 * @param capacityMsat no HTLC is larger: what is announced may not say so, or others refuse it
 * @source BOLT 7 §the-channel_update-message
 */
export function relayOf({ relay, params }: Pick<Channel, 'relay' | 'params'>, capacityMsat?: Msat): RelayPolicy {
  const { htlcMinimumMsat, maxHtlcValueInFlightMsat: inFlight } = params.remote
  const least = relay.htlcMinimumMsat > htlcMinimumMsat ? relay.htlcMinimumMsat : htlcMinimumMsat
  const taken = relay.htlcMaximumMsat < inFlight ? relay.htlcMaximumMsat : inFlight
  const most = capacityMsat !== undefined && capacityMsat < taken ? capacityMsat : taken
  return { ...relay, htlcMinimumMsat: least < most ? least : most, htlcMaximumMsat: most }
}

/**
 * A channel as the forwarder sees it; null before it is open and once it is closed.
 * @param blockHeight tells whether what the channel asked before still counts; left out: it does not
 */
export function outgoingChannel(
  { state, quarantined, formerRelay }: ChannelEntry,
  blockHeight = Number.POSITIVE_INFINITY,
): OutgoingChannel | null {
  const channel = channelOf(state)
  if (channel === null || state.tag === 'closed') return null
  const phase = 'from' in state ? state.from : state
  if (phase.tag === 'await-ready' || phase.tag === 'await-funding-signed') return null
  const status =
    quarantined === null && isUsable(state)
      ? 'usable'
      : phase.tag === 'normal' && phase.localShutdown === null
        ? 'offline'
        : 'closing'
  return {
    channelId: channel.params.channelId,
    remoteNodeId: channel.params.remoteNodeId,
    status,
    relay: relayOf(channel),
    previousRelay:
      formerRelay && blockHeight < formerRelay.until ? relayOf({ ...channel, relay: formerRelay.relay }) : null,
    sendableMsat: status === 'usable' ? sendableMsat(channel) : (0n as LocalChannel['sendableMsat']),
  }
}

/** In channel_flags. @source BOLT 7 §the-channel_update-message */
const DISABLED = 2
/** How many hints an invoice carries: each is 51 bytes of text. */
const MAX_HINTS = 3

/** Every short channel id by which a peer may speak of the channel. */
export function namesOf(state: ChannelState): readonly ShortChannelId[] {
  const channel = channelOf(state)
  if (channel === null) return []
  return [scidOf(state), localAlias(channel), channel.remoteAlias].filter((name) => name !== null)
}

/**
 * Ways to us over private channels whose peers told us what they ask, those first that can bring most; empty when a public channel
 * leads to us. Where no peer is there at the moment, those that were: an invoice lives longer than a broken connection.
 */
export function routeHintsOf(
  entries: readonly ChannelEntry[],
  privateUpdate: (peer: NodeId, scid: ShortChannelId) => ChannelUpdate | undefined,
): readonly RouteHint[] {
  const hints: { readonly room: bigint; readonly hint: RouteHint }[] = []
  const kept = entries.filter(({ state, quarantined }) => quarantined === null && isKept(state))
  const usable = kept.filter(({ state }) => isUsable(state))
  for (const { state } of usable.length > 0 ? usable : kept) {
    const channel = channelOf(state)!
    if (isAnnounced(channel)) return []
    const shown = channel.remoteAlias ?? scidOf(state)
    if (shown === null) continue
    const nodeId = channel.params.remoteNodeId
    const update = namesOf(state)
      .map((name) => privateUpdate(nodeId, name))
      .find((u) => u !== undefined)
    if (!update || (update.channelFlags & DISABLED) !== 0) continue
    const { feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta } = update
    const hop = { nodeId, shortChannelId: shown, feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta }
    hints.push({ room: receivableMsat(channel), hint: [hop] })
  }
  const mostFirst = hints.sort((a, b) => (a.room > b.room ? -1 : a.room < b.room ? 1 : 0))
  return mostFirst.slice(0, MAX_HINTS).map(({ hint }) => hint)
}

/** Both halves of its announcement are there. */
export const isAnnounced = ({ announcement }: Channel): boolean =>
  announcement.remote !== null && announcement.sent !== 'never'

/**
 * The lowest block in which something that the channel waits for may have happened without its having been told: a crash can come
 * between a block and what was found by looking back. Undefined when it has everything.
 */
export function watchedFrom(state: ChannelState): number | undefined {
  if (state.tag === 'closed' && state.irrevocable) return undefined
  if (state.tag === 'closing' || state.tag === 'closed') return state.onchain?.closing.height ?? undefined
  const channel = channelOf(state)
  return channel !== null && channel.funding.confirmed === null ? channel.params.openedAt : undefined
}
