import { bytes32, channelId, listU16, point, signature, struct, txid, u8, u16, u64 } from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 2 §batching-channel-messages: the next messages of this channel belong together. */
export const startBatch = message(
  127,
  'start_batch',
  {
    channelId,
    batchSize: u16,
  },
  { messageType: [1n, u16] },
)
export type StartBatch = MessageOf<typeof startBatch>

/** BOLT 2 §committing-updates-so-far: signs the receiver's next commitment and its HTLC transactions. */
export const commitmentSigned = message(
  132,
  'commitment_signed',
  {
    channelId,
    signature,
    htlcSignatures: listU16(signature), // in the order of the commitment's outputs
  },
  {
    /** Which funding transaction the signed commitment spends. */
    fundingTxid: [1n, txid],
  },
)
export type CommitmentSigned = MessageOf<typeof commitmentSigned>

/** BOLT 2 §completing-the-transition: gives up the old commitment. */
export const revokeAndAck = message(133, 'revoke_and_ack', {
  channelId,
  perCommitmentSecret: bytes32,
  nextPerCommitmentPoint: point,
})
export type RevokeAndAck = MessageOf<typeof revokeAndAck>

/** A funding transaction, and in bits what to send again for it (bit 0: commitment_signed). */
const fundingToResume = struct({ txid, retransmitFlags: u8 })

/** BOLT 2 §message-retransmission: where each side stands, first on a channel after a reconnection. */
export const channelReestablish = message(
  136,
  'channel_reestablish',
  {
    channelId,
    nextCommitmentNumber: u64,
    nextRevocationNumber: u64,
    yourLastPerCommitmentSecret: bytes32, // zeros when none was received
    myCurrentPerCommitmentPoint: point,
  },
  {
    nextFunding: [1n, fundingToResume],
    myCurrentFundingLocked: [5n, fundingToResume],
  },
)
export type ChannelReestablish = MessageOf<typeof channelReestablish>

/** BOLT 2 §channel-quiescence. */
export const stfu = message(2, 'stfu', {
  channelId,
  initiator: u8,
})
export type Stfu = MessageOf<typeof stfu>
