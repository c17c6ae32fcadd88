import { addresses } from '../address.ts'
import {
  bigsize,
  bytes,
  bytesU16,
  type Codec,
  chainHash,
  channelId,
  listRest,
  msat64,
  nodeIdBytes,
  point,
  prefixedU16,
  rest,
  scid,
  signature,
  struct,
  u8,
  u16,
  u32,
} from '../codec.ts'
import { WireError } from '../errors.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 7 §the-announcement_signatures-message: our half of a channel announcement. */
export const announcementSignatures = message(259, 'announcement_signatures', {
  channelId,
  shortChannelId: scid,
  nodeSignature: signature,
  bitcoinSignature: signature,
})
export type AnnouncementSignatures = MessageOf<typeof announcementSignatures>

/** BOLT 7 §the-channel_announcement-message. `extension`: signed with the rest, so kept as it came; empty in ours. */
export const channelAnnouncement = message(256, 'channel_announcement', {
  nodeSignature1: signature,
  nodeSignature2: signature,
  bitcoinSignature1: signature,
  bitcoinSignature2: signature,
  features: bytesU16,
  chainHash,
  shortChannelId: scid,
  nodeId1: nodeIdBytes,
  nodeId2: nodeIdBytes,
  bitcoinKey1: point,
  bitcoinKey2: point,
  extension: rest,
})
export type ChannelAnnouncement = MessageOf<typeof channelAnnouncement>

/** BOLT 7 §the-node_announcement-message. */
export const nodeAnnouncement = message(257, 'node_announcement', {
  signature,
  features: bytesU16,
  timestamp: u32, // Unix seconds
  nodeId: nodeIdBytes,
  rgbColor: bytes(3),
  alias: bytes(32), // UTF-8, padded with zeros; text from a stranger
  addresses,
  extension: rest,
})
export type NodeAnnouncement = MessageOf<typeof nodeAnnouncement>

/** BOLT 7 §the-channel_update-message: what one end asks for relaying out over the channel. */
export const channelUpdate = message(258, 'channel_update', {
  signature,
  chainHash,
  shortChannelId: scid,
  timestamp: u32,
  messageFlags: u8, // bit 0: must be one, bit 1: dont_forward
  channelFlags: u8, // bit 0: direction, bit 1: disable
  cltvExpiryDelta: u16,
  htlcMinimumMsat: msat64,
  feeBaseMsat: u32,
  feeProportionalMillionths: u32,
  htlcMaximumMsat: msat64,
  extension: rest,
})
export type ChannelUpdate = MessageOf<typeof channelUpdate>

/**
 * The bytes that the signatures of an announcement cover (hash them with SHA-256 twice): everything after the signatures,
 * unknown trailing bytes included. The signatures themselves may still be blank.
 * @source BOLT 7 §the-channel_announcement-message, §the-node_announcement-message, §the-channel_update-message
 */
export function signedBytes(m: ChannelAnnouncement | NodeAnnouncement | ChannelUpdate): Uint8Array {
  switch (m.type) {
    case 'channel_announcement':
      return channelAnnouncement.encode(m).slice(2 + 4 * 64)
    case 'node_announcement':
      return nodeAnnouncement.encode(m).slice(2 + 64)
    case 'channel_update':
      return channelUpdate.encode(m).slice(2 + 64)
  }
}

// ---------------------------------------------------------------- queries

/** BOLT 7 §query-messages: an encoding byte, then the array. Only 0 (uncompressed) is left; zlib (1) must not be used. */
const uncompressed = <T>(items: Codec<T>): Codec<T> => ({
  shape: { kind: 'uncompressed', inner: items.shape },
  least: 1,
  encode: (w, value) => {
    w.u8(0)
    items.encode(w, value)
  },
  decode: (r) => {
    const encoding = r.u8()
    if (encoding !== 0)
      throw new WireError('encoding', `array encoding ${encoding} is not known, only 0 (uncompressed)`)
    return items.decode(r)
  },
})

/** BOLT 7 §the-query_short_channel_ids-message. */
export const queryShortChannelIds = message(
  261,
  'query_short_channel_ids',
  {
    chainHash,
    shortChannelIds: prefixedU16(uncompressed(listRest(scid))),
  },
  {
    /** One per short channel id. */
    queryFlags: [1n, uncompressed(listRest(bigsize))],
  },
)
export type QueryShortChannelIds = MessageOf<typeof queryShortChannelIds>

/** BOLT 7 §the-query_short_channel_ids-message. */
export const replyShortChannelIdsEnd = message(262, 'reply_short_channel_ids_end', {
  chainHash,
  fullInformation: u8,
})
export type ReplyShortChannelIdsEnd = MessageOf<typeof replyShortChannelIdsEnd>

/** BOLT 7 §the-query_channel_range-message. */
export const queryChannelRange = message(
  263,
  'query_channel_range',
  {
    chainHash,
    firstBlocknum: u32,
    numberOfBlocks: u32,
  },
  {
    /** Bit 0: timestamps, bit 1: checksums wanted. */
    queryOptionFlags: [1n, bigsize],
  },
)
export type QueryChannelRange = MessageOf<typeof queryChannelRange>

/** BOLT 7 §the-query_channel_range-message. */
export const replyChannelRange = message(
  264,
  'reply_channel_range',
  {
    chainHash,
    firstBlocknum: u32,
    numberOfBlocks: u32,
    syncComplete: u8,
    shortChannelIds: prefixedU16(uncompressed(listRest(scid))),
  },
  {
    /** Of the channel_updates of each channel; 0: there is none. */
    timestamps: [1n, uncompressed(listRest(struct({ timestamp1: u32, timestamp2: u32 })))],
    /** CRC32C of each channel_update without signature and timestamp. */
    checksums: [3n, listRest(struct({ checksum1: u32, checksum2: u32 }))],
  },
)
export type ReplyChannelRange = MessageOf<typeof replyChannelRange>

/** BOLT 7 §the-gossip_timestamp_filter-message. */
export const gossipTimestampFilter = message(265, 'gossip_timestamp_filter', {
  chainHash,
  firstTimestamp: u32,
  timestampRange: u32, // seconds
})
export type GossipTimestampFilter = MessageOf<typeof gossipTimestampFilter>
