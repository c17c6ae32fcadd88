import { type Msat, msat } from '../../src/base/units.ts'
import type { IncomingHtlc } from '../../src/channel/types.ts'
import { openErrorPacket } from '../../src/onion/errorPacket.ts'
import { type IncomingContext, newInvoice, receiveHtlc } from '../../src/payment/incoming.ts'
import type { FinalOnion } from '../../src/payment/peel.ts'
import type { InvoiceRecord, PaymentEffect } from '../../src/payment/types.ts'
import { channelId } from '../routing/network.ts'
import { FINAL_DELTA, HEIGHT, hashOf, preimageOf } from './world.ts'

export const PREIMAGE = preimageOf(3)
export const SECRET = new Uint8Array(32).fill(0x55)
export const NOW = 1_000_000
export const AMOUNT = 10_000n
export const ctx = (more: Partial<IncomingContext> = {}): IncomingContext => ({
  now: NOW,
  blockHeight: HEIGHT,
  acceptKeysend: true,
  minFinalCltvExpiryDelta: FINAL_DELTA,
  ...more,
})
export const invoice = (more: Partial<InvoiceRecord> = {}): InvoiceRecord => ({
  ...newInvoice({
    paymentHash: hashOf(PREIMAGE),
    preimage: PREIMAGE,
    paymentSecret: SECRET,
    amountMsat: msat(AMOUNT),
    minFinalCltvExpiryDelta: FINAL_DELTA,
    bolt11: null,
    description: null,
    createdAt: NOW,
    expiresAt: NOW + 3_600_000,
  }),
  ...more,
})
export const hold = (): InvoiceRecord => invoice({ preimage: null, kind: 'hold' })
export const sharedSecret = (id: bigint): Uint8Array => new Uint8Array(32).fill(Number(id) + 1)
export const htlc = (id: bigint, amount: bigint, more: Partial<IncomingHtlc> = {}): IncomingHtlc => ({
  channelId: channelId(1),
  id,
  amountMsat: amount as Msat,
  paymentHash: hashOf(PREIMAGE),
  cltvExpiry: HEIGHT + FINAL_DELTA,
  onion: new Uint8Array(0),
  ...more,
})
export const onion = (id: bigint, amount: bigint, total = AMOUNT, more: Partial<FinalOnion> = {}): FinalOnion => ({
  tag: 'final',
  sharedSecret: sharedSecret(id),
  amtToForward: amount as Msat,
  outgoingCltvValue: HEIGHT + FINAL_DELTA,
  paymentSecret: SECRET,
  totalMsat: total as Msat,
  paymentMetadata: null,
  keysendPreimage: null,
  ...more,
})
/** `fulfil 0`, `incorrect_or_unknown_payment_details 1`, `invoice.settled`, `wake`. */
export const say = (effects: readonly PaymentEffect[]): string[] =>
  effects.map((e) => {
    if (e.tag === 'notify') return e.event.type
    if (e.tag === 'wake') return 'wake'
    const { command } = e
    if (command.tag === 'fulfillHtlc') return `fulfil ${command.id}`
    if (command.tag !== 'failHtlc') return command.tag
    return `${openErrorPacket([sharedSecret(command.id)], command.reason)?.received.failure?.name} ${command.id}`
  })
export const receive = (r: InvoiceRecord | undefined, h: IncomingHtlc, o: FinalOnion, c = ctx()) => {
  const turn = receiveHtlc(r, h, o, c)
  return { ...turn, says: say(turn.effects) }
}
export const REFUSED = 'incorrect_or_unknown_payment_details 0'
