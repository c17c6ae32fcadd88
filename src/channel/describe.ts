import { equalBytes } from '../base/bytes.ts'
import type { ChannelId, NodeId, Outpoint, PaymentHash, ShortChannelId } from '../base/ids.ts'
import { type Msat, type Sat, satToMsat, ZERO_MSAT } from '../base/units.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import { localAlias } from './alias.ts'
import { fundingScriptOf } from './commitments.ts'
import { rivalWatches, waitsForRival } from './fundingRival.ts'
import { type Htlc, incomingHtlc, resultOf, shownPreimage } from './htlc.ts'
import { eachHtlc, getHtlc } from './htlcTable.ts'
import { localBalance, notYetOurs, openerBuffer, payableByOpener, remoteBalance } from './limits.ts'
import { leftoverWatches } from './onchain/leftovers.ts'
import { letGoSat } from './onchain/letGo.ts'
import type { ClaimContext } from './onchain/plan.ts'
import { isIncomingOver, onchainResults, resultsWithoutChain } from './onchain/settle.ts'
import type { OnchainState } from './onchain/types.ts'
import { describeOnchain, type OnchainView, onchainRebroadcasts, onchainWatches } from './onchain/view.ts'
import { bestClosing, closingFeePaid, usesSimpleClose } from './simpleClose.ts'
import type { Channel, ChannelState, NegotiatingState, Proposal, SideParams } from './state.ts'
import { isWithheld } from './states/closing.ts'
import { depthNeeded, fundingDepth, realScid } from './states/shared.ts'
import { searchWatches, waitsForClose } from './states/waitingForPeer.ts'
import type { ChannelContext, ChannelTypeName, Effect, HtlcEvent, IncomingHtlc, RelayPolicy, Watch } from './types.ts'

/** The channel's record, once it is funded. */
export function channelOf(state: ChannelState): Channel | null {
  if ('from' in state) return state.from.channel
  return 'channel' in state ? state.channel : null
}

/** Its end on chain; null before that, and where it was never in the chain. */
export const onchainOf = (state: ChannelState): OnchainState | null => ('onchain' in state ? state.onchain : null)

// ---------------------------------------------------------------- for the shell

/**
 * A channel that the peer wanted and never funded, in which nothing was ours or can be: there is nothing to remember, and a peer could
 * have us remember without end.
 * @source BOLT 2 §the-channel_ready-message: the accepter may forget it
 */
export function isForgettable(state: ChannelState): boolean {
  if (state.tag !== 'closed' || state.onchain !== null || state.channel === null || state.channel.restored) return false
  const { params, funding, commitments } = state.channel
  if (params.isOpener || funding.confirmed !== null) return false
  return state.forGood === true || commitments.active.every((c) => c.baseLocalMsat === 0n)
}

/** Under which ids messages and payments find the channel. Cheap: made at every change. */
export function identifiers(state: ChannelState): {
  readonly channelIds: readonly ChannelId[]
  readonly shortChannelIds: readonly ShortChannelId[]
} {
  const channel = channelOf(state)
  if (channel === null) {
    return { channelIds: 'proposal' in state ? [state.proposal.temporaryChannelId] : [], shortChannelIds: [] }
  }
  const scid = realScid(channel)
  const { channelId } = channel.params
  const channelIds = state.tag === 'await-funding-signed' ? [state.temporaryChannelId, channelId] : [channelId]
  const alias = localAlias(channel)
  return { channelIds, shortChannelIds: scid === null ? [alias] : [scid, alias] }
}

/** What the chain watcher must look out for, as the state stands. */
export function watches(state: ChannelState): readonly Watch[] {
  const channel = channelOf(state)
  if (channel === null || state.tag === 'await-funding-signed') return []
  if (state.tag === 'closed' && state.irrevocable)
    return state.onchain === null ? [] : leftoverWatches(state.onchain, state.shallow === true)
  if (state.tag === 'closed' && state.onchain === null && !channel.restored) return []
  if ((state.tag === 'closing' || state.tag === 'closed') && state.onchain !== null)
    return [...rivalWatches(channel), ...onchainWatches(channel, state.onchain)]
  const scriptPubKey = fundingScriptOf(channel.params.local, channel.params.remote)
  const ofFunding = channel.commitments.active.flatMap(({ funding }): readonly Watch[] => [
    { tag: 'confirmation', txid: funding.txid, scriptPubKey, minDepth: 1 },
    { tag: 'spend', outpoint: funding, scriptPubKey },
  ])
  const ofInputs = state.tag === 'waiting-for-peer' ? searchWatches(state) : []
  return [...ofFunding, ...rivalWatches(channel), ...ofInputs]
}

/** What belongs into the mempool as long as it is not confirmed: after a restart, and now and then. */
export function rebroadcasts(state: ChannelState, ctx: ChannelContext): readonly Effect[] {
  if (state.tag === 'closing') return isWithheld(state) ? [] : onchainRebroadcasts(state.channel, state.onchain, ctx)
  const channel = channelOf(state)
  if (channel === null || state.tag === 'await-funding-signed' || state.tag === 'closed') return []
  const { tx, confirmed } = channel.funding
  const funding: readonly Effect[] =
    tx !== null && confirmed === null ? [{ tag: 'broadcast', tx, purpose: 'funding' }] : []
  const phase = 'from' in state ? state.from : state
  if (phase.tag !== 'negotiating') return funding
  // They spend the same output, so that one alone has a chance.
  const best = bestClosing(channel, phase.published, ctx.blockHeight)
  return best === null ? funding : [...funding, { tag: 'broadcast', tx: best, purpose: 'mutual-close' }]
}

/** Incoming HTLCs that are irrevocably committed and not decided on: each is news to a payment machine that lost it. */
export function committedIncoming(state: ChannelState): readonly IncomingHtlc[] {
  const channel = channelOf(state)
  // What a backup brought back was decided on in another life, and has no onion.
  if (channel === null || channel.restored || state.tag === 'closed') return []
  const { channelId } = channel.params
  return select(channel.commitments.incoming.chunks, (h) => h.stage === 'committed' && h.removal === null).map((h) =>
    incomingHtlc(channelId, h),
  )
}

/** Height at which an incoming HTLC expires; null where it is gone: settled, or over on chain, deep enough to be counted on. */
export function expiryOf(state: ChannelState, id: bigint, blockHeight: number): number | null {
  const channel = channelOf(state)
  const htlc = channel && getHtlc(channel.commitments.incoming, id)
  const onchain = onchainOf(state)
  return htlc && !(onchain && isIncomingOver(onchain, id, blockHeight)) ? htlc.add.cltvExpiry : null
}

/** What a closed channel has let go of forwards that came by another one, sat. */
export function letGoOf(state: ChannelState, cameBy: ChannelId): bigint {
  const channel = channelOf(state)
  const onchain = onchainOf(state)
  return channel && onchain ? letGoSat(channel, onchain, cameBy) : 0n
}

/** What is known for good of HTLCs that we offered and that the channel has not forgotten. */
export function knownResults(state: ChannelState): readonly HtlcEvent[] {
  const channel = channelOf(state)
  if (channel === null) return []
  if ((state.tag === 'closing' || state.tag === 'closed') && state.onchain !== null)
    return onchainResults(channel, state.onchain)
  if (state.tag === 'closed' && state.forGood) return resultsWithoutChain(channel)
  const fulfilled = select(channel.commitments.outgoing.chunks, (h) => shownPreimage(h) !== null)
  return fulfilled.flatMap((h) => resultOf(h) ?? [])
}

const select = (chunks: readonly (readonly Htlc[])[], keep: (htlc: Htlc) => boolean): readonly Htlc[] =>
  chunks.flatMap((chunk) => chunk.filter(keep))

// ---------------------------------------------------------------- for people

export interface HtlcSummary {
  readonly id: bigint
  readonly direction: 'in' | 'out'
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
  readonly state: string
}

export interface ChannelSummary {
  /** opening | waiting-confirmations | normal | shutdown | negotiating | waiting-for-peer | closing | closed */
  readonly state: string
  /** Connected, open for HTLCs and not closing. */
  readonly usable: boolean
  readonly connected: boolean
  readonly channelId: ChannelId | null
  readonly shortChannelId: ShortChannelId | null
  readonly remoteNodeId: NodeId | null
  readonly channelType: ChannelTypeName | null
  readonly announce: boolean
  /** Both halves of the announcement are there. */
  readonly announced: boolean
  readonly isOpener: boolean
  readonly capacitySat: Sat
  readonly localMsat: Msat
  /** In HTLCs of ours that are taken off `localMsat`. */
  readonly pendingMsat: Msat
  readonly remoteMsat: Msat
  readonly sendableMsat: Msat
  readonly receivableMsat: Msat
  /** What we must keep, and what the peer must. */
  readonly localReserveSat: Sat
  readonly remoteReserveSat: Sat
  readonly feeratePerKw: number
  /** Blocks that we wait for our money after a force close of ours. */
  readonly toSelfDelay: number
  readonly relay: RelayPolicy | null
  readonly remoteAlias: ShortChannelId | null
  readonly htlcs: readonly HtlcSummary[]
  readonly funding: Outpoint | null
  readonly fundingConfirmations: number
  readonly closing: OnchainView | null
  readonly waitsFor: string | null
}

const NAMES = {
  'await-accept': 'opening',
  'await-funding': 'opening',
  'await-funding-signed': 'opening',
  'await-funding-created': 'opening',
  'await-ready': 'waiting-confirmations',
  normal: 'normal',
  shutdown: 'shutdown',
  negotiating: 'negotiating',
  closing: 'closing',
  'waiting-for-peer': 'waiting-for-peer',
  closed: 'closed',
} as const

/** Everything that the API shows of a channel. */
export function summary(state: ChannelState, ctx: ClaimContext): ChannelSummary {
  const phase = 'from' in state ? state.from : state
  const published = phase.tag === 'negotiating' && phase.published.length > 0
  const name = published ? 'closing' : NAMES[phase.tag]
  const channel = channelOf(state)
  if (channel === null) return beforeFunding(name, 'proposal' in state ? state.proposal : null)
  const { params, commitments, relay, remoteAlias, announcement } = channel
  const base = commitments.active[0]!
  const totals = commitments.next.local
  const local = localBalance(channel, totals)
  const remote = remoteBalance(channel, totals)
  const open = phase.tag === 'normal' && phase.localShutdown === null && phase.remoteShutdown === null
  const usable = open && phase.closeRequest === null && state === phase
  return {
    state: name,
    usable,
    connected: !['offline', 'closed'].includes(state.tag),
    channelId: params.channelId,
    shortChannelId: realScid(channel),
    remoteNodeId: params.remoteNodeId,
    channelType: params.channelType,
    announce: params.announce,
    announced: announcement.remote !== null && announcement.sent !== 'never',
    isOpener: params.isOpener,
    capacitySat: base.capacitySat,
    localMsat: local as Msat,
    pendingMsat: totals.outMsat as Msat,
    remoteMsat: remote as Msat,
    sendableMsat: usable ? sendableMsat(channel) : ZERO_MSAT,
    receivableMsat: usable ? receivableMsat(channel) : ZERO_MSAT,
    localReserveSat: params.remote.channelReserveSat,
    remoteReserveSat: params.local.channelReserveSat,
    feeratePerKw: commitments.local.feeratePerKw,
    toSelfDelay: params.remote.toSelfDelay,
    relay,
    remoteAlias,
    htlcs: htlcSummaries(channel),
    funding: base.funding,
    fundingConfirmations: fundingDepth(channel, ctx.blockHeight),
    closing: closingView(state, ctx),
    waitsFor: waitsFor(state, ctx),
  }
}

/** The most that one more HTLC of ours may carry now. */
export function sendableMsat(channel: Channel): Msat {
  const { params, commitments } = channel
  const next = commitments.next.remote
  if (next.outCount >= params.remote.maxAcceptedHtlcs) return ZERO_MSAT
  const buffer = params.isOpener ? openerBuffer(channel) : 0n
  const has = localBalance(channel, next) - notYetOurs(channel)
  const funds = has - satToMsat(params.remote.channelReserveSat) - buffer
  const most = least(funds, params.remote.maxHtlcValueInFlightMsat - next.outMsat)
  return params.isOpener ? most : (payableByOpener(channel, 'out', most) as Msat)
}

/** The most that one more HTLC of the peer's may carry now; the peer keeps a buffer for fees as we do. */
export function receivableMsat(channel: Channel): Msat {
  const { params, commitments } = channel
  const next = commitments.next.local
  if (next.inCount >= params.local.maxAcceptedHtlcs) return ZERO_MSAT
  const buffer = params.isOpener ? 0n : openerBuffer(channel)
  const funds = remoteBalance(channel, next) - satToMsat(params.local.channelReserveSat) - buffer
  const most = least(funds, params.local.maxHtlcValueInFlightMsat - next.inMsat)
  return params.isOpener ? (payableByOpener(channel, 'in', most) as Msat) : most
}

const least = (a: bigint, b: bigint): Msat => {
  const lower = [a, b].reduce((x, y) => (y < x ? y : x))
  return (lower > 0n ? lower : 0n) as Msat
}

function htlcSummaries(channel: Channel): readonly HtlcSummary[] {
  const { outgoing, incoming } = channel.commitments
  const show =
    (direction: 'in' | 'out') =>
    ({ add, stage }: Htlc): HtlcSummary => {
      const { id, amountMsat, paymentHash, cltvExpiry } = add
      return { id, direction, amountMsat, paymentHash, cltvExpiry, state: stage }
    }
  return [...[...eachHtlc(outgoing)].map(show('out')), ...[...eachHtlc(incoming)].map(show('in'))]
}

/**
 * A cooperative close shows from when a transaction is published, though the state waits for a confirmation. There may be several that
 * both signed: the one that miners would take comes first.
 */
function closingView(state: ChannelState, ctx: ClaimContext): OnchainView | null {
  if ((state.tag === 'closing' || state.tag === 'closed') && state.channel !== null && state.onchain !== null) {
    const view = describeOnchain(state.channel, state.onchain, ctx)
    // What is left over may be worth its claim again: that reopens nothing.
    return state.tag === 'closed' ? { ...view, resolved: true, waitsFor: null } : view
  }
  const phase = 'from' in state ? state.from : state
  if (phase.tag !== 'negotiating') return null
  const { channel, published } = phase
  const tx = bestClosing(channel, published, ctx.blockHeight) ?? published[published.length - 1]
  if (!tx) return null
  const txid = txidOf(tx)
  const all = [tx, ...published.filter((t) => t !== tx).toReversed()]
  return {
    how: 'cooperative',
    txid,
    confirmations: 0,
    resolved: false,
    transactions: all.map((t) => {
      return { txid: txidOf(t), kind: 'mutual', confirmed: false, feeSat: closingFeePaid(channel, t) }
    }),
    unclaimedSat: 0n as Sat,
    pendingSat: paidTo(tx, ctx.sweepScriptPubKey),
    waitsFor: `the confirmation of ${txid}`,
  }
}

const paidTo = ({ outputs }: Transaction, script: Uint8Array): Sat =>
  outputs.reduce((sum, o) => (equalBytes(o.scriptPubKey, script) ? sum + o.amountSat : sum), 0n) as Sat

/** What comes next in the negotiation. */
function closingMessage({ channel, simple }: NegotiatingState): string {
  if (!usesSimpleClose(channel))
    return 'closing_signed (if it does not agree to the fee, close again with another feerate)'
  return simple === undefined || simple.awaitsSince === null ? 'closing_complete' : 'closing_sig'
}

function waitsFor(state: ChannelState, ctx: ClaimContext): string | null {
  const channel = channelOf(state)
  const rival = channel && state.tag !== 'closed' ? waitsForRival(channel) : null
  if (rival !== null) return rival
  switch (state.tag) {
    case 'await-accept':
      return "the peer's answer"
    case 'await-funding':
      return "the wallet's funding transaction"
    case 'await-funding-signed':
    case 'await-funding-created':
      return "the peer's signature"
    case 'await-ready': {
      const { channel } = state
      const depth = fundingDepth(channel, ctx.blockHeight)
      const needed = depthNeeded(channel)
      return depth < needed ? `${depth} of ${needed} confirmations` : "the peer's channel_ready"
    }
    case 'normal':
      return state.localShutdown !== null ? "the peer's shutdown" : null
    case 'shutdown':
      return `${state.channel.commitments.outgoing.size + state.channel.commitments.incoming.size} HTLCs to be settled`
    case 'negotiating':
      return closingView(state, ctx)?.waitsFor ?? `the peer's ${closingMessage(state)}`
    case 'offline':
      return state.from.tag === 'await-ready' || state.from.tag === 'negotiating'
        ? waitsFor(state.from, ctx)
        : state.from.channel.unproven
          ? 'the peer to connect and show where the channel stands, since the database lost a write'
          : 'the peer to connect'
    case 'syncing':
      return state.peerBehind ? 'the peer, which lost data, to ask for a close' : "the peer's channel_reestablish"
    case 'closing':
      return describeOnchain(state.channel, state.onchain, ctx).waitsFor
    case 'waiting-for-peer':
      return waitsForClose(state)
    case 'closed':
      return null
  }
}

function beforeFunding(name: string, proposal: Proposal | null): ChannelSummary {
  const local: SideParams | null = proposal?.local ?? null
  return {
    state: name,
    usable: false,
    connected: name !== 'closed',
    channelId: null,
    shortChannelId: null,
    remoteNodeId: proposal?.remoteNodeId ?? null,
    channelType: proposal?.channelType ?? null,
    announce: proposal?.announce ?? false,
    announced: false,
    isOpener: proposal?.isOpener ?? false,
    capacitySat: proposal?.capacitySat ?? (0n as Sat),
    localMsat: ZERO_MSAT,
    pendingMsat: ZERO_MSAT,
    remoteMsat: ZERO_MSAT,
    sendableMsat: ZERO_MSAT,
    receivableMsat: ZERO_MSAT,
    localReserveSat: 0n as Sat,
    remoteReserveSat: local?.channelReserveSat ?? (0n as Sat),
    feeratePerKw: proposal?.feeratePerKw ?? 0,
    toSelfDelay: 0,
    relay: proposal?.relay ?? null,
    remoteAlias: null,
    htlcs: [],
    funding: null,
    fundingConfirmations: 0,
    closing: null,
    waitsFor: null,
  }
}
