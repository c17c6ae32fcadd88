import { EMPTY, fromHex } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import { crypto } from '../crypto/crypto.ts'
import { type ChannelAnnouncement, signedBytes } from '../wire/messages/gossip.ts'
import type { MessageNamed } from '../wire/registry.ts'
import type { AnnouncementSignatures, Channel } from './state.ts'
import type { ChannelContext, ChannelSigner } from './types.ts'

/** Confirmations after which a reorganisation is not to be expected any more. @source BOLT 7 §the-announcement_signatures-message */
export const ANNOUNCEMENT_DEPTH = 6
const BLANK = new Uint8Array(64)

type Context = Pick<ChannelContext, 'chainHash' | 'nodeId'>

/** The channel's announcement without its signatures, and which of its two ends we are. */
function unsigned(
  channel: Channel,
  scid: ShortChannelId,
  ctx: Context,
): { readonly message: ChannelAnnouncement; readonly weAreFirst: boolean } {
  const { remoteNodeId, local, remote } = channel.params
  const weAreFirst = ctx.nodeId < remoteNodeId
  const [nodeId1, nodeId2]: [NodeId, NodeId] = weAreFirst ? [ctx.nodeId, remoteNodeId] : [remoteNodeId, ctx.nodeId]
  const [first, second] = weAreFirst ? [local, remote] : [remote, local]
  const message: ChannelAnnouncement = {
    type: 'channel_announcement',
    nodeSignature1: BLANK,
    nodeSignature2: BLANK,
    bitcoinSignature1: BLANK,
    bitcoinSignature2: BLANK,
    features: EMPTY,
    chainHash: ctx.chainHash,
    shortChannelId: scid,
    nodeId1,
    nodeId2,
    bitcoinKey1: first.basepoints.fundingPubkey,
    bitcoinKey2: second.basepoints.fundingPubkey,
    extension: EMPTY,
  }
  return { message, weAreFirst }
}

const digest = (message: ChannelAnnouncement): Uint8Array => crypto.sha256d(signedBytes(message))

/** Our signatures on the channel's announcement. @source BOLT 7 §the-announcement_signatures-message */
export function ourSignatures(channel: Channel, scid: ShortChannelId, ctx: ChannelContext): AnnouncementSignatures {
  const hash = digest(unsigned(channel, scid, ctx).message)
  return {
    shortChannelId: scid,
    nodeSignature: ctx.signer.signAnnouncement(hash),
    bitcoinSignature: ctx.signer.signFunding(hash),
  }
}

/**
 * The peer's half as it is in the whole announcement: LND answers ours with that once it has both. Null where nothing is lacking.
 */
export function halfIn(
  announcement: ChannelAnnouncement,
  { params, announcement: known }: Channel,
): MessageNamed<'announcement_signatures'> | null {
  if (!params.announce || known.remote !== null) return null
  const isFirst = announcement.nodeId1 === params.remoteNodeId
  return {
    type: 'announcement_signatures',
    channelId: params.channelId,
    shortChannelId: announcement.shortChannelId,
    nodeSignature: isFirst ? announcement.nodeSignature1 : announcement.nodeSignature2,
    bitcoinSignature: isFirst ? announcement.bitcoinSignature1 : announcement.bitcoinSignature2,
  }
}

/** Whether the peer's signatures are right. */
export function verifySignatures(channel: Channel, theirs: AnnouncementSignatures, ctx: ChannelContext): boolean {
  const hash = digest(unsigned(channel, theirs.shortChannelId, ctx).message)
  const { remoteNodeId, remote } = channel.params
  return (
    ctx.signer.verify(theirs.nodeSignature, hash, fromHex(remoteNodeId)) &&
    ctx.signer.verify(theirs.bitcoinSignature, hash, remote.basepoints.fundingPubkey)
  )
}

/**
 * The signed channel_announcement, for the network; null while the peer's signatures are missing or ours were never due.
 * @source BOLT 7 §the-channel_announcement-message
 */
export function channelAnnouncement(
  channel: Channel,
  ctx: Context & { readonly signer: ChannelSigner },
): ChannelAnnouncement | null {
  const { remote: theirs, sent } = channel.announcement
  if (theirs === null || sent === 'never') return null
  const { message, weAreFirst } = unsigned(channel, theirs.shortChannelId, ctx)
  const hash = digest(message)
  const ours = { nodeSignature: ctx.signer.signAnnouncement(hash), bitcoinSignature: ctx.signer.signFunding(hash) }
  const [first, second] = weAreFirst ? [ours, theirs] : [theirs, ours]
  return {
    ...message,
    nodeSignature1: first.nodeSignature,
    nodeSignature2: second.nodeSignature,
    bitcoinSignature1: first.bitcoinSignature,
    bitcoinSignature2: second.bitcoinSignature,
  }
}
