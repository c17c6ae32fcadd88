import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { type PaymentHash, paymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { OurNode } from '../interop/ourNode.ts'
import type { Lnd } from './lnd.ts'
import { type Answers, base64 } from './rest.ts'
import type { World } from './world.ts'

interface Secret {
  readonly hash: PaymentHash
  readonly preimage: Uint8Array
}
/** Payments that wait at their payee for a word: those of one of our nodes at an LND, those of that LND at our node. */
export interface Held {
  /** Local ids of our payments. */
  readonly toLnd: readonly (Secret & { readonly id: string })[]
  /** Local ids of our invoices. */
  readonly toUs: readonly (Secret & { readonly id: string; readonly payment: Answers })[]
}

export const newSecret = (): Secret => {
  const preimage = new Uint8Array(randomBytes(32))
  return { preimage, hash: paymentHash(toHex(crypto.sha256(preimage))) }
}

/** Makes payments both ways that are held, one of each amount and direction. */
export async function hold(w: World, lnd: Lnd, amounts: readonly number[], node = w.us): Promise<Held> {
  const { service } = node
  const toLnd = await Promise.all(
    amounts.map(async (amount) => {
      const made = newSecret()
      const invoice = { hash: base64(made.hash), value_msat: amount, private: true }
      const { payment_request } = await lnd.rest.post('/v2/invoices/hodl', invoice)
      const { id } = await service.pay({ bolt11: payment_request })
      await w.until('LND to hold the HTLC', async () => (await invoiceOf(lnd, made.hash)).state === 'ACCEPTED')
      return { id, ...made }
    }),
  )
  const toUs = await Promise.all(
    amounts.map(async (amount) => {
      const made = newSecret()
      const { id, bolt11 } = await service.createInvoice({
        amountMsat: msat(amount),
        paymentHash: made.hash,
        minFinalCltvExpiryDelta: 18,
      })
      const payment = w.lndBegins(lnd, { payment_request: bolt11 })
      await w.until('the HTLC to be held', async () => (await service.invoice(id)).status === 'accepted')
      return { id, payment, ...made }
    }),
  )
  return { toLnd, toUs }
}

export const invoiceOf = (lnd: Lnd, hash: PaymentHash) => lnd.rest.get(`/v1/invoice/${hash}`)

export async function settle(lnd: Lnd, { toLnd, toUs }: Held, { service }: OurNode): Promise<void> {
  for (const { preimage } of toLnd) await lnd.rest.post('/v2/invoices/settle', { preimage: base64(toHex(preimage)) })
  for (const { id, preimage } of toUs) await service.settleInvoice(id, preimage)
}

/** Returns when every payer knows that it has paid. */
export async function settled(w: World, { toLnd, toUs }: Held, node = w.us): Promise<void> {
  for (const { id } of toLnd) expect((await w.settledPayment(id, node)).status).toBe('succeeded')
  for (const { payment, preimage } of toUs) {
    const end = await payment.find((p) => p.status === 'SUCCEEDED' || p.status === 'FAILED')
    expect(end.status).toBe('SUCCEEDED')
    expect(fromHex(end.payment_preimage)).toEqual(preimage)
  }
}

export async function refuse(lnd: Lnd, { toLnd, toUs }: Held, { service }: OurNode): Promise<void> {
  for (const { hash } of toLnd) await lnd.rest.post('/v2/invoices/cancel', { payment_hash: base64(hash) })
  for (const { id } of toUs) await service.cancelInvoice(id)
}

/** Returns when every payer knows that its payment has failed at the payee. */
export async function refused(w: World, { toLnd, toUs }: Held, node = w.us): Promise<void> {
  for (const { id } of toLnd) {
    expect((await w.settledPayment(id, node)).failure!.detail).toContain('incorrect_or_unknown_payment_details')
  }
  for (const { payment } of toUs) {
    const end = await payment.find((p) => p.status === 'FAILED')
    expect(end.failure_reason).toBe('FAILURE_REASON_INCORRECT_PAYMENT_DETAILS')
  }
}
