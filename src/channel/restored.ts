import { EMPTY, equalBytes } from '../base/bytes.ts'
import type { ChannelId, NodeId, Outpoint } from '../base/ids.ts'
import { type Sat, ZERO_MSAT } from '../base/units.ts'
import type { MessageNamed } from '../wire/registry.ts'
import { type BackedUpHtlc, nextId, restoredStages, restoredTable, totalOf } from './backedUpHtlcs.ts'
import { PLEASE_CLOSE } from './doubt.ts'
import type { Channel, Commitments, SideParams, WaitingForPeerState } from './state.ts'
import { recount } from './totals.ts'
import type { Basepoints, ChannelSigner, ChannelTypeName, Effect } from './types.ts'

/** What a static backup knows of a channel. */
export interface RestoredChannel {
  readonly channelId: ChannelId
  readonly remoteNodeId: NodeId
  readonly funding: Outpoint
  readonly capacitySat: Sat
  readonly channelType: ChannelTypeName
  readonly isOpener: boolean
  readonly keyIndex: number
  /** The lowest height at which the funding may have confirmed. */
  readonly openedAt: number
  /** Where that is not known: the height from which the funding has its time to confirm. */
  readonly since?: number
  /** What the funding transaction spends: of a channel that we opened, as long as that had not confirmed. */
  readonly inputs?: readonly Outpoint[]
  /** Null in a backup of version 1: then a commitment of our own is not recognised. */
  readonly remote: RemoteKeys | null
  readonly htlcs?: readonly BackedUpHtlc[]
  /** Of the commitments that the peer had and would have next, 33 B each. */
  readonly points?: readonly Uint8Array[]
}

/** What the peer declared that our own commitment's to_local is made of. */
export interface RemoteKeys {
  readonly basepoints: Basepoints
  /** Blocks that we wait for our own money. */
  readonly toSelfDelay: number
}

/** What is known of a funding that has not been found in the chain. */
export interface FundingSearch {
  /** Height from which the blocks count in which the funding has to confirm: of the opening, or of the last block that it was undone with. */
  readonly since: number
  /** Every block since the opening has been looked through. */
  readonly done: boolean
  /** What the funding transaction spends, where the backup knows it. */
  readonly inputs?: readonly Outpoint[]
  /** Height at which another transaction has spent one of them. */
  readonly rival?: number | null
}

/**
 * A channel of which nothing is left but a backup. No commitment is known, so that there is nothing to publish: the peer is asked to
 * close, and our money is found on chain by the keys alone: to_remote in any commitment of the peer, to_local in one of ours, and in
 * the peer's the HTLCs that hung, where its point is known.
 * @source BOLT 2 §message-retransmission, BOLT 5 §general-nomenclature
 */
export function restoreChannel(r: RestoredChannel, signer: ChannelSigner): WaitingForPeerState {
  const { channelId, remoteNodeId, isOpener, channelType, keyIndex, openedAt, funding, capacitySat } = r
  const local = side(signer.basepoints, 0)
  const remote = r.remote ? side(r.remote.basepoints, r.remote.toSelfDelay) : side(nobody(signer.basepoints), 0)
  const params = {
    ...{ channelId, remoteNodeId, isOpener, channelType, keyIndex, openedAt, local, remote },
    announce: false,
    minimumDepth: 1,
  }
  const nothing = { number: 0, feeratePerKw: 0, shiftMsat: 0n }
  const [outgoing, incoming] = [restoredTable('out', r.htlcs), restoredTable('in', r.htlcs)]
  const ownStages = restoredStages(r.htlcs)
  // Of the balances nothing is known but what is in flight.
  const balance = { baseLocalMsat: totalOf(outgoing), baseRemoteMsat: totalOf(incoming) }
  const [point = EMPTY, nextPoint = null, toldPoint] = r.points ?? []
  const commitments: Omit<Commitments, 'next'> = {
    active: [{ funding, capacitySat, ...balance, signature: new Uint8Array(64), htlcSignatures: [] }],
    outgoing,
    incoming,
    nextOutgoingId: nextId(outgoing),
    nextIncomingId: nextId(incoming),
    feeUpdates: [],
    local: nothing,
    remote: { ...nothing, point },
    remoteSigned: null,
    remoteNextPoint: nextPoint,
    secrets: { count: 0, secrets: EMPTY },
  }
  const channel: Channel = {
    params,
    commitments: { ...commitments, next: recount(params, commitments) },
    funding: { tx: null, confirmed: null },
    relay: {
      ...{ feeBaseMsat: 0, feeProportionalMillionths: 0, cltvExpiryDelta: 0 },
      ...{ htlcMinimumMsat: ZERO_MSAT, htlcMaximumMsat: ZERO_MSAT },
    },
    announcement: { sent: 'never', remote: null },
    localReady: false,
    remoteReady: false,
    remoteAlias: null,
    theirFeatures: EMPTY,
    restored: true,
    ...(toldPoint && { toldPoint }),
    ...(ownStages.length > 0 && { ownStages }),
  }
  const search = { since: r.since ?? openedAt, done: false, ...(r.inputs && { inputs: r.inputs }) }
  return { tag: 'waiting-for-peer', channel, error: PLEASE_CLOSE, search }
}

const side = (basepoints: Basepoints, toSelfDelay: number): SideParams => ({
  dustLimitSat: 0n as Sat,
  maxHtlcValueInFlightMsat: ZERO_MSAT,
  channelReserveSat: 0n as Sat,
  htlcMinimumMsat: ZERO_MSAT,
  toSelfDelay,
  maxAcceptedHtlcs: 0,
  basepoints,
  upfrontShutdownScript: null,
})

/** Points on the curve that no transaction of the channel pays to by these names, in the place of keys that are not known. */
const nobody = ({ htlcBasepoint: point }: Basepoints): Basepoints => ({
  fundingPubkey: point,
  revocationBasepoint: point,
  paymentBasepoint: point,
  delayedPaymentBasepoint: point,
  htlcBasepoint: point,
})

/** The peer's keys, for a backup; null when a backup of version 1 was all that there was. */
export function remoteKeys({ params }: Channel): RemoteKeys | null {
  const { basepoints, toSelfDelay } = params.remote
  const unknown = equalBytes(basepoints.htlcBasepoint, params.local.basepoints.htlcBasepoint)
  return unknown ? null : { basepoints, toSelfDelay }
}

/**
 * A next_commitment_number of 0 has the peer fail the channel and publish its newest commitment, also one that closes for no error, as
 * LND. Its numbers prove nothing and claim nothing, so they are the same for every channel that waits for its peer.
 * @source BOLT 2 §message-retransmission
 */
export const closeRequest = ({ params }: Channel, signer: ChannelSigner): Effect => ({
  tag: 'send',
  message: {
    type: 'channel_reestablish',
    channelId: params.channelId,
    nextCommitmentNumber: 0n,
    nextRevocationNumber: 0n,
    yourLastPerCommitmentSecret: new Uint8Array(32),
    myCurrentPerCommitmentPoint: signer.commitmentPoint(0),
  },
})

/** The same of a peer that has lost its data. LDK answers for a channel that it has forgotten with what is none: its secret is not empty. */
export const isCloseRequest = (m: MessageNamed<'channel_reestablish'>): boolean =>
  m.nextCommitmentNumber === 0n && m.yourLastPerCommitmentSecret.every((byte) => byte === 0)
