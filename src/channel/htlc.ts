import { toHex } from '../base/bytes.ts'
import type { ChannelId, PaymentHash } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import type { MessageNamed } from '../wire/registry.ts'
import type { HtlcEvent, HtlcFailure, HtlcOrigin, IncomingHtlc, Removal } from './types.ts'

/** An HTLC as it was offered: never changes. */
export interface HtlcAdd {
  readonly id: bigint
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
  readonly onion: Uint8Array
  readonly pathKey: Uint8Array | null
  /** Null for incoming HTLCs. */
  readonly origin: HtlcOrigin | null
  /** Incoming: adding it exceeded our limit on dust, so that it must be failed (BOLT 2 §bounding-exposure). */
  readonly excessDust: boolean
}

export interface Htlc {
  readonly add: HtlcAdd
  readonly stage: OutgoingStage | IncomingStage
  /** Numbers of the peer's commitments in which it stood: from `remoteFrom` up to before `remoteTo`; 0 when not known yet. */
  readonly remoteFrom: number
  readonly remoteTo: number
  /**
   * How it is removed. An outgoing HTLC keeps a preimage here even if the removal was lost with a connection, or the peer fails it in the
   * next one: it is known for good (`shownPreimage`).
   */
  readonly removal: Removal | null
}

/**
 * The life of an HTLC that we offered, in order:
 * proposed: update_add_htlc is sent · signed: and so is a commitment_signed with it · acked: the peer revoked its older commitment ·
 * committed: the peer signed ours with it and we revoked · removing: the peer sent its removal · removed: and signed our commitment
 * without it, we revoked · removalSigned: we signed theirs without it; when the peer revokes, it is gone.
 * Beside these, presumed: it stands in no commitment that we know, and may in one that we have forgotten (presumed.ts).
 */
export type OutgoingStage =
  | 'proposed'
  | 'signed'
  | 'acked'
  | 'committed'
  | 'removing'
  | 'removed'
  | 'removalSigned'
  | 'presumed'

/**
 * The life of an HTLC that the peer offered, in order:
 * proposed: update_add_htlc is received · received: the peer signed our commitment with it and we revoked · signed: we signed theirs
 * with it · committed: the peer revoked · removing: we sent its removal · removalSigned: and a commitment_signed without it ·
 * removalAcked: the peer revoked; when it signs ours without the HTLC and we revoke, it is gone.
 * Beside these, presumed: it may stand in a commitment that we have forgotten (presumed.ts).
 */
export type IncomingStage =
  | 'proposed'
  | 'received'
  | 'signed'
  | 'committed'
  | 'removing'
  | 'removalSigned'
  | 'removalAcked'
  | 'presumed'

/** A change of the feerate by the opener, on its way into both commitments with the same stages as an HTLC's first half. */
export interface FeeUpdate {
  readonly feeratePerKw: number
  /** Ours: proposed, signed, acked. Theirs: proposed, received, signed. */
  readonly stage: 'proposed' | 'signed' | 'acked' | 'received'
}

/**
 * What is left of an HTLC that had an output in commitments that the peer revoked: enough to rebuild the output's script and
 * punish. Written when the HTLC leaves the channel, never read unless the peer cheats.
 */
export interface RevokedHtlc {
  readonly direction: 'out' | 'in'
  readonly amountMsat: Msat
  readonly paymentHash: PaymentHash
  readonly cltvExpiry: number
  readonly remoteFrom: number
  /** The first of the peer's commitments without it. */
  readonly remoteTo: number
}

export type Direction = 'out' | 'in'

/**
 * The commitments that an HTLC may stand in: ours, the peer's, the one of the peer that we signed last (the peer's, when nothing
 * is outstanding), and what the next commitment_signed of either side would make.
 */
export type View = 'local' | 'remote' | 'remoteSigned' | 'nextLocal' | 'nextRemote'

const everywhere: readonly View[] = ['local', 'remote', 'remoteSigned', 'nextLocal', 'nextRemote']
const table = (
  rows: Readonly<Record<string, readonly View[]>>,
): Readonly<Record<string, Readonly<Record<View, boolean>>>> =>
  Object.fromEntries(
    Object.entries(rows).map(([stage, views]) => [
      stage,
      Object.fromEntries(everywhere.map((v) => [v, views.includes(v)])) as Record<View, boolean>,
    ]),
  )

const OUTGOING: Readonly<Record<OutgoingStage, readonly View[]>> = {
  proposed: ['nextRemote'],
  signed: ['remoteSigned', 'nextRemote'],
  acked: ['remote', 'remoteSigned', 'nextRemote', 'nextLocal'],
  committed: everywhere,
  removing: ['local', 'remote', 'remoteSigned', 'nextRemote'],
  removed: ['remote', 'remoteSigned'],
  removalSigned: ['remote'],
  presumed: [],
}
const INCOMING: Readonly<Record<IncomingStage, readonly View[]>> = {
  proposed: ['nextLocal'],
  received: ['local', 'nextLocal', 'nextRemote'],
  signed: ['local', 'remoteSigned', 'nextLocal', 'nextRemote'],
  committed: everywhere,
  removing: ['local', 'remote', 'remoteSigned', 'nextLocal'],
  removalSigned: ['local', 'remote', 'nextLocal'],
  removalAcked: ['local'],
  presumed: [],
}
const STANDS = { out: table(OUTGOING), in: table(INCOMING) }

/** Whether an HTLC stands in a commitment: nothing but its stage decides. */
export const stands = (htlc: Htlc, direction: Direction, view: View): boolean => STANDS[direction][htlc.stage]![view]

/** Something of this HTLC waits for our next commitment_signed. */
export const waitsForSignature = (htlc: Htlc, direction: Direction): boolean => {
  const standing = STANDS[direction][htlc.stage]!
  return standing.remoteSigned !== standing.nextRemote
}

// ---------------------------------------------------------------- the dance: each step moves every HTLC that waits for it

/** We sign the peer's commitment number n. */
export function onSign(htlc: Htlc, direction: Direction, n: number): Htlc {
  if (htlc.stage === (direction === 'out' ? 'proposed' : 'received')) return { ...htlc, stage: 'signed', remoteFrom: n }
  if (htlc.stage === (direction === 'out' ? 'removed' : 'removing'))
    return { ...htlc, stage: 'removalSigned', remoteTo: n }
  return htlc
}

/**
 * The peer revokes the commitment before the one we signed; null: the HTLC is gone. An incoming one is committed; if we know its
 * preimage already, its removal is due at once.
 */
export function onRevoked(htlc: Htlc, direction: Direction): Htlc | null {
  if (htlc.stage === 'signed' && direction === 'out') return { ...htlc, stage: 'acked' }
  if (htlc.stage === 'signed') return { ...htlc, stage: htlc.removal === null ? 'committed' : 'removing' }
  if (htlc.stage === 'removalSigned') return direction === 'out' ? null : { ...htlc, stage: 'removalAcked' }
  return htlc
}

/** The peer signs our next commitment, and we revoke the one before; null: the HTLC is gone. */
export function onCommit(htlc: Htlc, direction: Direction): Htlc | null {
  if (direction === 'out') {
    if (htlc.stage === 'acked') return { ...htlc, stage: 'committed' }
    if (htlc.stage === 'removing') return { ...htlc, stage: 'removed' }
  } else {
    if (htlc.stage === 'proposed') return { ...htlc, stage: 'received' }
    if (htlc.stage === 'removalAcked') return null
  }
  return htlc
}

/**
 * The connection is lost; null: the HTLC was never bound and is gone. The peer's unsigned updates are reversed; our own unsigned
 * adds are taken back too, so that their payments can go another way at once; our own removals stay and are sent again, also one
 * that was only noted while the channel was set aside (rescue.ts).
 * @source BOLT 2 §message-retransmission
 */
export function onDisconnect(htlc: Htlc, direction: Direction): Htlc | null {
  if (htlc.stage === 'proposed') return null
  if (direction === 'in' && htlc.stage === 'committed' && htlc.removal !== null) return { ...htlc, stage: 'removing' }
  if (direction === 'out' && htlc.stage === 'removing') {
    const preimage = shownPreimage(htlc)
    return { ...htlc, stage: 'committed', removal: preimage && { tag: 'fulfilled', preimage } }
  }
  return htlc
}

/** A fee update is in both commitments and needs no record any more: null. */
export function feeOnRevoked(fee: FeeUpdate, isOpener: boolean): FeeUpdate | null {
  if (fee.stage !== 'signed') return fee
  return isOpener ? { ...fee, stage: 'acked' } : null
}
export function feeOnCommit(fee: FeeUpdate, isOpener: boolean): FeeUpdate | null {
  if (isOpener) return fee.stage === 'acked' ? null : fee
  return fee.stage === 'proposed' ? { ...fee, stage: 'received' } : fee
}
export const feeOnSign = (fee: FeeUpdate, isOpener: boolean): FeeUpdate =>
  fee.stage === (isOpener ? 'proposed' : 'received') ? { ...fee, stage: 'signed' } : fee
/** Is in the next commitment of the peer, or of ours. */
export const feeInNextRemote = (fee: FeeUpdate, isOpener: boolean): boolean => isOpener || fee.stage !== 'proposed'
export const feeInNextLocal = (fee: FeeUpdate, isOpener: boolean): boolean => !isOpener || fee.stage === 'acked'

// ---------------------------------------------------------------- messages and events

/** The offer of an HTLC as it goes to the peer, at first and again after a reconnection. */
export function addMessage(channelId: ChannelId, htlc: Htlc): MessageNamed<'update_add_htlc'> {
  const { add } = htlc
  return {
    type: 'update_add_htlc',
    channelId,
    id: add.id,
    amountMsat: add.amountMsat,
    paymentHash: add.paymentHash,
    cltvExpiry: add.cltvExpiry,
    onionRoutingPacket: add.onion,
    ...(add.pathKey && { pathKey: add.pathKey }),
  }
}

export type RemovalMessage =
  | MessageNamed<'update_fulfill_htlc'>
  | MessageNamed<'update_fail_htlc'>
  | MessageNamed<'update_fail_malformed_htlc'>

/** How a removal is told to the peer. */
export function removalMessage(channelId: ChannelId, id: bigint, removal: Removal): RemovalMessage {
  switch (removal.tag) {
    case 'fulfilled':
      return { type: 'update_fulfill_htlc', channelId, id, paymentPreimage: removal.preimage }
    case 'failed':
      return { type: 'update_fail_htlc', channelId, id, reason: removal.reason }
    case 'malformed':
      return {
        type: 'update_fail_malformed_htlc',
        channelId,
        id,
        sha256OfOnion: removal.sha256OfOnion,
        failureCode: removal.failureCode,
      }
  }
}

/** What a peer's message means, the other way round. */
export function removalOf(message: RemovalMessage): Removal {
  switch (message.type) {
    case 'update_fulfill_htlc':
      return { tag: 'fulfilled', preimage: message.paymentPreimage }
    case 'update_fail_htlc':
      return { tag: 'failed', reason: message.reason }
    case 'update_fail_malformed_htlc':
      return { tag: 'malformed', sha256OfOnion: message.sha256OfOnion, failureCode: message.failureCode }
  }
}

/** Whether it is the preimage of this hash. */
export const hashes = (preimage: Uint8Array, to: PaymentHash): boolean => toHex(crypto.sha256(preimage)) === to

/** An HTLC of the peer's as the payment machine sees it. */
export function incomingHtlc(channelId: ChannelId, htlc: Htlc): IncomingHtlc {
  const { id, amountMsat, paymentHash, cltvExpiry, onion, pathKey, excessDust } = htlc.add
  const base = { channelId, id, amountMsat, paymentHash, cltvExpiry, onion }
  return { ...base, ...(pathKey && { pathKey }), ...(excessDust && { excessDust }) }
}

/**
 * The preimage of an HTLC that its receiver has given out, however the HTLC leaves the commitments: whoever it is paid for is told of the
 * payment and of nothing else.
 * @source BOLT 2 §message-retransmission: the preimage may have been used though the update was reversed
 */
export function shownPreimage({ removal }: Pick<Htlc, 'removal'>): Uint8Array | null {
  if (removal === null) return null
  return removal.tag === 'fulfilled' ? removal.preimage : (removal.shown ?? null)
}

/** What became of an HTLC that we offered; null while that is open. */
export function resultOf(htlc: Htlc): HtlcEvent | null {
  const { removal } = htlc
  const { id, origin } = htlc.add
  if (removal === null || origin === null) return null
  if (removal.tag === 'fulfilled' || removal.shown)
    return { tag: 'fulfilled', id, origin, preimage: shownPreimage(htlc)! }
  const failure: HtlcFailure =
    removal.tag === 'failed'
      ? { tag: 'onion', reason: removal.reason }
      : { tag: 'malformed', failureCode: removal.failureCode, sha256OfOnion: removal.sha256OfOnion }
  return { tag: 'failed', id, origin, failure }
}

/** What is kept of an HTLC that stood in commitments which the peer has revoked. */
export const revokedHtlc = (htlc: Htlc, direction: Direction): RevokedHtlc => ({
  direction,
  amountMsat: htlc.add.amountMsat,
  paymentHash: htlc.add.paymentHash,
  cltvExpiry: htlc.add.cltvExpiry,
  remoteFrom: htlc.remoteFrom,
  remoteTo: htlc.remoteTo,
})
