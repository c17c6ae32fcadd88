import { bytesU16, channelId, flag, listU16, s64, sat64, signature, txid, u32, u64 } from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 2 §the-tx_add_input-message. */
export const txAddInput = message(
  66,
  'tx_add_input',
  {
    channelId,
    serialId: u64,
    prevTx: bytesU16, // empty for the shared input
    prevTxVout: u32,
    sequence: u32,
  },
  { sharedInputTxid: [0n, txid] },
)
export type TxAddInput = MessageOf<typeof txAddInput>

/** BOLT 2 §the-tx_add_output-message. */
export const txAddOutput = message(67, 'tx_add_output', {
  channelId,
  serialId: u64,
  sats: sat64,
  script: bytesU16,
})
export type TxAddOutput = MessageOf<typeof txAddOutput>

/** BOLT 2 §the-tx_remove_input-and-tx_remove_output-messages. */
export const txRemoveInput = message(68, 'tx_remove_input', {
  channelId,
  serialId: u64,
})
export type TxRemoveInput = MessageOf<typeof txRemoveInput>

/** BOLT 2 §the-tx_remove_input-and-tx_remove_output-messages. */
export const txRemoveOutput = message(69, 'tx_remove_output', {
  channelId,
  serialId: u64,
})
export type TxRemoveOutput = MessageOf<typeof txRemoveOutput>

/** BOLT 2 §the-tx_complete-message. */
export const txComplete = message(70, 'tx_complete', { channelId })
export type TxComplete = MessageOf<typeof txComplete>

/** BOLT 2 §the-tx_signatures-message. */
export const txSignatures = message(
  71,
  'tx_signatures',
  {
    channelId,
    txid,
    witnesses: listU16(bytesU16), // each a serialised witness stack
  },
  { sharedInputSignature: [0n, signature] },
)
export type TxSignatures = MessageOf<typeof txSignatures>

const contribution = {
  /** Negative: taken out. */
  fundingOutputContribution: [0n, s64],
  requireConfirmedInputs: [2n, flag],
} as const

/** BOLT 2 §the-tx_init_rbf-message. */
export const txInitRbf = message(
  72,
  'tx_init_rbf',
  {
    channelId,
    locktime: u32,
    feerate: u32, // sat per 1,000 weight units
  },
  contribution,
)
export type TxInitRbf = MessageOf<typeof txInitRbf>

/** BOLT 2 §the-tx_ack_rbf-message. */
export const txAckRbf = message(73, 'tx_ack_rbf', { channelId }, contribution)
export type TxAckRbf = MessageOf<typeof txAckRbf>

/** BOLT 2 §the-tx_abort-message. */
export const txAbort = message(74, 'tx_abort', {
  channelId,
  data: bytesU16,
})
export type TxAbort = MessageOf<typeof txAbort>
