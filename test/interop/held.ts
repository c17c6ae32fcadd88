import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { type PaymentHash, paymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { OurNode } from './ourNode.ts'
import type { World } from './world.ts'

/** Payments that wait at their payee for a word: those of one of our nodes at LDK, those of LDK at that node. */
export interface Held {
  /** Local ids of our payments. */
  readonly toLdk: readonly { readonly id: string; readonly hash: string }[]
  /** Local ids of our invoices. */
  readonly toUs: readonly { readonly id: string; readonly hash: PaymentHash; readonly preimage: Uint8Array }[]
}

/** Makes payments both ways that are held, one of each amount and direction. */
export async function hold(w: World, amounts: readonly number[], { service }: OurNode = w.us): Promise<Held> {
  await w.ldk.cmd('autoclaim', { on: false })
  const toLdk = await Promise.all(
    amounts.map(async (amount) => {
      const { invoice, hash } = await w.ldk.cmd('create_invoice', { msat: amount })
      const { id } = await service.pay({ bolt11: invoice })
      await w.ldk.waitFor('PaymentClaimable', (e) => e.hash === hash)
      return { id, hash }
    }),
  )
  const toUs = await Promise.all(
    amounts.map(async (amount) => {
      const preimage = new Uint8Array(randomBytes(32))
      const hash = paymentHash(toHex(crypto.sha256(preimage)))
      const request = { amountMsat: msat(amount), paymentHash: hash, minFinalCltvExpiryDelta: 18 }
      const { id, bolt11 } = await service.createInvoice(request)
      await w.ldk.cmd('pay', { invoice: bolt11 })
      await w.until('the HTLC to be held', async () => (await service.invoice(id)).status === 'accepted')
      return { id, hash, preimage }
    }),
  )
  return { toLdk, toUs }
}

export async function settle(w: World, { toLdk, toUs }: Held, { service }: OurNode = w.us): Promise<void> {
  for (const { hash } of toLdk) await w.ldk.cmd('claim', { hash })
  for (const { id, preimage } of toUs) await service.settleInvoice(id, preimage)
}

/** Returns when every payer knows that it has paid. */
export async function settled(w: World, { toLdk, toUs }: Held, node: OurNode = w.us): Promise<void> {
  for (const { id } of toLdk) expect((await w.settledPayment(id, node)).status).toBe('succeeded')
  for (const { hash } of toUs) await w.ldk.waitFor('PaymentSent', (e) => e.hash === hash)
}

export async function refuse(w: World, { toLdk, toUs }: Held): Promise<void> {
  for (const { hash } of toLdk) await w.ldk.cmd('fail', { hash })
  for (const { id } of toUs) await w.us.service.cancelInvoice(id)
}

/** Returns when every payer knows that its payment has failed at the payee. */
export async function refused(w: World, { toLdk, toUs }: Held): Promise<void> {
  for (const { id } of toLdk) {
    expect((await w.settledPayment(id)).failure!.detail).toContain('incorrect_or_unknown_payment_details')
  }
  for (const { hash } of toUs) await w.ldk.waitFor('PaymentFailed', (e) => e.hash === hash)
}
