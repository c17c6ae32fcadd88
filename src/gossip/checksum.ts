import { type ChannelUpdate, signedBytes } from '../wire/messages/gossip.ts'

/** Castagnoli's polynomial, reflected. */
const POLYNOMIAL = 0x82f63b78
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let bit = 0; bit < 8; bit++) c = (c & 1) === 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1
  return c
})

/** CRC32C (RFC 3720, appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (const b of bytes) c = TABLE[(c ^ b) & 0xff]! ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

/** Where the timestamp lies in what the signature covers: behind chain_hash and short_channel_id. */
const TIMESTAMP_AT = 32 + 8
const known = new WeakMap<ChannelUpdate, number>()

/**
 * What an update says, as one number: of everything but signature and timestamp. Two updates with the same say the same.
 * @source BOLT 7 §the-query_channel_range-and-reply_channel_range-messages
 */
export function updateChecksum(update: ChannelUpdate): number {
  const before = known.get(update)
  if (before !== undefined) return before
  const bytes = signedBytes(update)
  bytes.copyWithin(TIMESTAMP_AT, TIMESTAMP_AT + 4)
  const sum = crc32c(bytes.subarray(0, bytes.length - 4))
  known.set(update, sum)
  return sum
}
