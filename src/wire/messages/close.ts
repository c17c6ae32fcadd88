import { bytesU16, channelId, sat64, signature, struct, u32 } from '../codec.ts'
import { type MessageOf, message } from '../message.ts'

/** BOLT 2 §closing-initiation-shutdown: no new HTLCs; where the sender's balance goes. */
export const shutdown = message(38, 'shutdown', {
  channelId,
  scriptPubKey: bytesU16,
})
export type Shutdown = MessageOf<typeof shutdown>

/** BOLT 2 §legacy-closing-negotiation: a closing transaction at this fee, signed. */
export const closingSigned = message(
  39,
  'closing_signed',
  {
    channelId,
    feeSatoshis: sat64,
    signature,
  },
  { feeRange: [1n, struct({ minFeeSatoshis: sat64, maxFeeSatoshis: sat64 })] },
)
export type ClosingSigned = MessageOf<typeof closingSigned>

const closingFields = {
  channelId,
  closerScriptPubKey: bytesU16,
  closeeScriptPubKey: bytesU16,
  feeSatoshis: sat64,
  locktime: u32,
}
/** A signature for each form of the transaction that is on offer. */
const closingTlvs = {
  closerOutputOnly: [1n, signature],
  closeeOutputOnly: [2n, signature],
  closerAndCloseeOutputs: [3n, signature],
} as const

/** BOLT 2 §closing-negotiation: the closer's transactions, for the closee to choose one. */
export const closingComplete = message(40, 'closing_complete', closingFields, closingTlvs)
export type ClosingComplete = MessageOf<typeof closingComplete>

/** BOLT 2 §closing-negotiation: the closee's signature for the one it chose. */
export const closingSig = message(41, 'closing_sig', closingFields, closingTlvs)
export type ClosingSig = MessageOf<typeof closingSig>
