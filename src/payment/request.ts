import { fromHex, toHex } from '../base/bytes.ts'
import type { NodeId, PaymentHash } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { Msat } from '../base/units.ts'
import type { Network } from '../bitcoin/networks.ts'
import { crypto } from '../crypto/crypto.ts'
import { type Invoice, isExpired } from '../invoice/bolt11.ts'
import { hasFeature } from '../wire/features.ts'
import type { PaymentTarget } from './types.ts'

const DEFAULT_PAYMENT_TIMEOUT_MS = 60_000
const DEFAULT_MAX_PARTS = 16
/** For keysend, where no invoice says it; more than the usual 18. */
const KEYSEND_FINAL_CLTV_DELTA = 40

/** 1 %, but at least 5 sat, so that small payments get through. */
export const defaultMaxFee = (amount: Msat): Msat => (amount > 500_000n ? amount / 100n : 5_000n) as Msat

export interface PayOptions {
  /** Needed where the invoice leaves it open; else from its amount to twice that. */
  readonly amountMsat?: Msat | undefined
  readonly maxFeeMsat?: Msat | undefined
  readonly maxParts?: number | undefined
  readonly timeoutMs?: number | undefined
}

export interface PaymentRequest {
  readonly paymentHash: PaymentHash
  readonly target: PaymentTarget
}

export type PaymentRequestFault =
  | { readonly code: 'INVOICE_EXPIRED' | 'INVOICE_INVALID'; readonly detail: string }
  | { readonly code: 'VALIDATION_FAILED'; readonly field: 'amountMsat' | 'nodeId'; readonly detail: string }

/**
 * What an invoice asks for, as a target.
 * @param now Unix ms
 * @source BOLT 11 §payer-payee-requirements, §feature-bits, BOLT 4 §basic-multi-part-payments
 */
export function payInvoice(
  { invoice, bolt11 }: { readonly invoice: Invoice; readonly bolt11: string },
  options: PayOptions,
  { now, network }: { readonly now: number; readonly network: Network },
): Result<PaymentRequest, PaymentRequestFault> {
  if (invoice.network !== network) {
    return err({ code: 'INVOICE_INVALID', detail: `the invoice is for ${invoice.network}, this node is on ${network}` })
  }
  if (isExpired(invoice, Math.floor(now / 1000)))
    return err({ code: 'INVOICE_EXPIRED', detail: 'the invoice has expired: ask the payee for a new one' })
  const amount = amountToPay(invoice.amountMsat, options.amountMsat)
  if (!amount.ok) return amount
  const mpp = hasFeature(invoice.features, 'basic_mpp')
  const target: PaymentTarget = {
    ...common(amount.value, options, now),
    payee: invoice.payee,
    maxParts: mpp ? Math.max(1, options.maxParts ?? DEFAULT_MAX_PARTS) : 1,
    finalCltvDelta: invoice.minFinalCltvExpiryDelta,
    paymentSecret: invoice.paymentSecret,
    paymentMetadata: invoice.paymentMetadata,
    keysendPreimage: null,
    routeHints: invoice.routeHints,
    bolt11,
  }
  return ok({ paymentHash: invoice.paymentHash, target })
}

/** A payment without an invoice (bLIP 3). @param preimage 32 random bytes */
export function payKeysend(
  payee: NodeId,
  preimage: Uint8Array,
  options: PayOptions,
  now: number,
): Result<PaymentRequest, PaymentRequestFault> {
  if (!crypto.isValidPublicKey(fromHex(payee)))
    return err({ code: 'VALIDATION_FAILED', field: 'nodeId', detail: 'nodeId is no public key' })
  const amount = amountToPay(null, options.amountMsat)
  if (!amount.ok) return amount
  const target: PaymentTarget = {
    ...common(amount.value, options, now),
    payee,
    maxParts: 1,
    finalCltvDelta: KEYSEND_FINAL_CLTV_DELTA,
    paymentSecret: null,
    paymentMetadata: null,
    keysendPreimage: preimage,
    routeHints: [],
    bolt11: null,
  }
  return ok({ paymentHash: toHex(crypto.sha256(preimage)) as PaymentHash, target })
}

const common = (amountMsat: Msat, o: PayOptions, now: number) => ({
  amountMsat,
  maxFeeMsat: o.maxFeeMsat ?? defaultMaxFee(amountMsat),
  deadline: now + (o.timeoutMs ?? DEFAULT_PAYMENT_TIMEOUT_MS),
})

function amountToPay(asked: Msat | null, chosen: Msat | undefined): Result<Msat, PaymentRequestFault> {
  const fault = (detail: string) => err({ code: 'VALIDATION_FAILED' as const, field: 'amountMsat' as const, detail })
  if (asked === null) {
    return chosen !== undefined && chosen > 0n
      ? ok(chosen)
      : fault('amountMsat is needed: nothing else says how much to pay')
  }
  const amount = chosen ?? asked
  if (amount < asked) return fault(`amountMsat is less than the ${asked} msat that the invoice asks for`)
  if (amount > 2n * asked)
    return fault(`amountMsat is more than twice the ${asked} msat of the invoice: payees refuse that`)
  return ok(amount)
}
