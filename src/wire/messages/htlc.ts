import { bytes, bytes32, bytesU16, channelId, msat64, paymentHash, point, struct, u16, u32, u64 } from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 4 §returning-errors: who held the HTLC for how long, authenticated hop by hop. */
const attributionData = struct({
  htlcHoldTimes: bytes(80), // 20 × u32
  truncatedHmacs: bytes(840), // 210 × 4 B
})

/** BOLT 2 §adding-an-htlc: offers one HTLC; binding only after commitment_signed. */
export const updateAddHtlc = message(
  128,
  'update_add_htlc',
  {
    channelId,
    id: u64, // counts up from 0
    amountMsat: msat64,
    paymentHash,
    cltvExpiry: u32, // block height
    onionRoutingPacket: bytes(1366),
  },
  {
    /** BOLT 4 §route-blinding. */
    pathKey: [0n, point],
  },
)
export type UpdateAddHtlc = MessageOf<typeof updateAddHtlc>

/** BOLT 2 §removing-an-htlc. */
export const updateFulfillHtlc = message(
  130,
  'update_fulfill_htlc',
  {
    channelId,
    id: u64,
    paymentPreimage: bytes32,
  },
  { attributionData: [1n, attributionData] },
)
export type UpdateFulfillHtlc = MessageOf<typeof updateFulfillHtlc>

/** BOLT 2 §removing-an-htlc. */
export const updateFailHtlc = message(
  131,
  'update_fail_htlc',
  {
    channelId,
    id: u64,
    reason: bytesU16, // encrypted for the origin
  },
  { attributionData: [1n, attributionData] },
)
export type UpdateFailHtlc = MessageOf<typeof updateFailHtlc>

/** BOLT 2 §removing-an-htlc: the onion could not be read, so no failure can be encrypted for the origin. */
export const updateFailMalformedHtlc = message(135, 'update_fail_malformed_htlc', {
  channelId,
  id: u64,
  sha256OfOnion: bytes32,
  failureCode: u16,
})
export type UpdateFailMalformedHtlc = MessageOf<typeof updateFailMalformedHtlc>

/** BOLT 2 §updating-fees: the opener's new feerate for both commitments. */
export const updateFee = message(134, 'update_fee', {
  channelId,
  feeratePerKw: u32,
})
export type UpdateFee = MessageOf<typeof updateFee>
