import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { formatScid } from '../../src/base/ids.ts'
import { encodeAddress } from '../../src/bitcoin/address.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createInvoice, decodeInvoice } from '../../src/invoice/bolt11.ts'
import { InvoiceError, type InvoiceErrorReason } from '../../src/invoice/errors.ts'
import { featureBits } from '../../src/wire/features.ts'
import vectors from './fixtures/bolt11.json' with { type: 'json' }

interface ValidVector {
  name: string
  invoice: string
  network: string
  amount_msat: number | null
  timestamp: number
  payment_hash: string
  payment_secret: string
  description?: string
  description_hash?: string
  description_hash_preimage?: string
  expiry_seconds?: number
  min_final_cltv_expiry_delta?: number
  feature_bits: readonly number[]
  metadata?: string
  fallback_addresses?: readonly { address: string }[]
  route_hints?: readonly (readonly {
    pubkey: string
    short_channel_id: string
    fee_base_msat: number
    fee_proportional_millionths: number
    cltv_expiry_delta: number
  }[])[]
  signature: string
  recovery_id: number
  payee: string
}
const valid = vectors.valid as readonly ValidVector[]
const sign = (hash: Uint8Array) => crypto.ecdsaSignRecoverable(hash, fromHex(vectors.privateKey))

/** Those whose fields stand in our order, lower case and signed low S by the examples' key. */
const CANONICAL = [
  'donation_any_amount',
  'coffee_2500u_expiry_60',
  'utf8_description',
  'description_hash_20m',
  'mainnet_p2pkh_fallback_route_hint_2_hops',
  'p2tr_fallback',
]

describe('BOLT 11 §examples', () => {
  it.each(valid.map((v) => [v.name, v] as const))('reads %s', (_name, v) => {
    const i = decodeInvoice(v.invoice)
    expect(i.network).toBe(v.network === 'mainnet' ? 'bitcoin' : v.network)
    expect(i.amountMsat).toBe(v.amount_msat === null ? null : BigInt(v.amount_msat))
    expect(i.timestamp).toBe(v.timestamp)
    expect(i.paymentHash).toBe(v.payment_hash)
    expect(toHex(i.paymentSecret)).toBe(v.payment_secret)
    expect(i.description).toBe(v.description ?? null)
    expect(i.descriptionHash && toHex(i.descriptionHash)).toBe(v.description_hash ?? null)
    expect(i.expirySeconds).toBe(v.expiry_seconds ?? 3600)
    expect(i.minFinalCltvExpiryDelta).toBe(v.min_final_cltv_expiry_delta ?? 18)
    expect(featureBits(i.features)).toEqual(v.feature_bits)
    expect(i.paymentMetadata && toHex(i.paymentMetadata)).toBe(v.metadata ?? null)
    expect(i.fallbackScripts.map((s) => encodeAddress(s, i.network))).toEqual(
      (v.fallback_addresses ?? []).map((f) => f.address),
    )
    expect(
      i.routeHints.map((hint) =>
        hint.map((h) => ({
          pubkey: h.nodeId,
          short_channel_id: formatScid(h.shortChannelId),
          fee_base_msat: h.feeBaseMsat,
          fee_proportional_millionths: h.feeProportionalMillionths,
          cltv_expiry_delta: h.cltvExpiryDelta,
        })),
      ),
    ).toEqual(v.route_hints ?? [])
    expect(toHex(i.signature)).toBe(v.signature)
    expect(i.recoveryId).toBe(v.recovery_id)
    expect(i.payee).toBe(v.payee)
  })

  it.each(valid.filter((v) => CANONICAL.includes(v.name)).map((v) => [v.name, v] as const))(
    'writes %s byte for byte',
    (_name, v) => {
      const { minFinalCltvExpiryDelta, ...i } = decodeInvoice(v.invoice)
      const delta = v.min_final_cltv_expiry_delta === undefined ? {} : { minFinalCltvExpiryDelta }
      expect(createInvoice({ ...i, ...delta }, sign)).toBe(v.invoice)
    },
  )

  it.each(valid.map((v) => [v.name, v] as const))('what is written from %s reads the same', (_name, v) => {
    const { signature: _s, recoveryId: _r, payee: _p, ...fields } = decodeInvoice(v.invoice)
    expect(decodeInvoice(createInvoice(fields, sign))).toMatchObject(fields)
  })

  it('the description hash is SHA-256 of the description', () => {
    const v = valid.find((x) => x.description_hash_preimage !== undefined)!
    const hash = crypto.sha256(new TextEncoder().encode(v.description_hash_preimage))
    expect(toHex(hash)).toBe(v.description_hash)
  })
})

const REASONS: Readonly<Record<string, InvoiceErrorReason>> = {
  unknown_even_feature_bit_100: 'features',
  bad_bech32_checksum: 'checksum',
  no_bech32_separator: 'format',
  mixed_case: 'format',
  signature_not_recoverable: 'signature',
  too_short: 'truncated',
  invalid_multiplier: 'amount',
  sub_millisatoshi_precision: 'amount',
  missing_payment_secret: 'missing-field',
  high_s_signature_with_n_field: 'signature',
}

// BOLT 11 §encoding-overview, §human-readable-part, §data-part, §tagged-fields: one thing wrong in each.
describe('BOLT 11 §examples-of-invalid-invoices', () => {
  it.each(vectors.invalid.map((v) => [v.reason, v.invoice] as const))('refuses %s and says so', (reason, invoice) => {
    let error: unknown
    try {
      decodeInvoice(invoice)
    } catch (e) {
      error = e
    }
    expect(error).toBeInstanceOf(InvoiceError)
    expect((error as InvoiceError).reason).toBe(REASONS[reason])
  })
})
