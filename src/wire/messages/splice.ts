import { channelId, flag, point, s64, txid, u32 } from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 2 §the-splice_init-message. */
export const spliceInit = message(
  80,
  'splice_init',
  {
    channelId,
    fundingContributionSatoshis: s64, // negative: taken out
    fundingFeeratePerKw: u32,
    locktime: u32,
    fundingPubkey: point,
  },
  { requireConfirmedInputs: [2n, flag] },
)
export type SpliceInit = MessageOf<typeof spliceInit>

/** BOLT 2 §the-splice_ack-message. */
export const spliceAck = message(
  81,
  'splice_ack',
  {
    channelId,
    fundingContributionSatoshis: s64,
    fundingPubkey: point,
  },
  { requireConfirmedInputs: [2n, flag] },
)
export type SpliceAck = MessageOf<typeof spliceAck>

/** BOLT 2 §the-splice_locked-message. */
export const spliceLocked = message(77, 'splice_locked', {
  channelId,
  spliceTxid: txid,
})
export type SpliceLocked = MessageOf<typeof spliceLocked>
