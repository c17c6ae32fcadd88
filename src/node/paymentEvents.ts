import { paymentFee } from '../payment/outgoing.ts'
import type { InvoiceRecord, PaymentRecord } from '../payment/types.ts'
import type { EventData } from './events.ts'
import type { Booked } from './recordBook.ts'

/** What the events of a payment tell of it. Why it failed, too: of one whose outcome is unknown, whoever reads no more pays again. */
export function aboutPayment(booked: Booked<PaymentRecord> | undefined): EventData {
  if (booked === undefined) return {}
  const { id, record } = booked
  const { target, status, failure, createdAt, completedAt } = record
  return {
    id,
    amountMsat: Number(target.amountMsat),
    feeMsat: Number(paymentFee(record)),
    ...(status === 'failed' && failure !== null && { failureCode: failure.code }),
    ...(completedAt !== null && { durationMs: Math.max(0, completedAt - createdAt) }),
  }
}

/** With what has come for it, once something has. */
export function aboutInvoice(booked: Booked<InvoiceRecord> | undefined): EventData {
  if (booked === undefined) return {}
  const { id, record } = booked
  if (record.status !== 'settled' && record.status !== 'accepted') return { id }
  return { id, amountMsat: Number(record.htlcs.reduce((sum, h) => sum + h.amountMsat, 0n)) }
}
