import { paymentFee } from '../payment/outgoing.ts'
import type { InvoiceRecord, PaymentRecord } from '../payment/types.ts'
import type { EventData } from './events.ts'
import type { Booked } from './recordBook.ts'

/** What the events of a payment tell of it. */
export const aboutPayment = (booked: Booked<PaymentRecord> | undefined): EventData =>
  booked === undefined
    ? {}
    : {
        id: booked.id,
        amountMsat: Number(booked.record.target.amountMsat),
        feeMsat: Number(paymentFee(booked.record)),
        ...(booked.record.completedAt !== null && {
          durationMs: Math.max(0, booked.record.completedAt - booked.record.createdAt),
        }),
      }

/** With what has come for it, once something has. */
export function aboutInvoice(booked: Booked<InvoiceRecord> | undefined): EventData {
  if (booked === undefined) return {}
  const { id, record } = booked
  if (record.status !== 'settled' && record.status !== 'accepted') return { id }
  return { id, amountMsat: Number(record.htlcs.reduce((sum, h) => sum + h.amountMsat, 0n)) }
}
