import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import fc from 'fast-check'
import * as ldk from 'lightningdevkit'
import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { DEFAULT_RELATIVE_EXPIRY_SECONDS, decodeBolt12 } from '../../src/offers/bolt12.ts'
import { chainOf } from '../../src/offers/check.ts'
import { OfferError } from '../../src/offers/errors.ts'
import { WireError } from '../../src/wire/errors.ts'
import * as any from '../offers/encode.ts'

/* LDK's own reader and writer of BOLT 12, in this process: no node of it is needed. */

interface Outcome<T> {
  is_ok(): boolean
  readonly res: T
}
const must = <T>(outcome: unknown): T => {
  const { is_ok, res } = outcome as Outcome<T>
  expect(Boolean(is_ok.call(outcome))).toBe(true)
  return res
}

beforeAll(async () => {
  const file = createRequire(import.meta.url).resolve('lightningdevkit/liblightningjs.wasm')
  const { log } = console
  console.log = () => undefined // its banner
  await ldk.initializeWasmFromBinary(readFileSync(file)).finally(() => {
    console.log = log
  })
})

type Kind = 'offer' | 'invoiceRequest' | 'invoice'
const READERS: Readonly<Record<Kind, (bytes: Uint8Array) => unknown>> = {
  offer: (bytes) => ldk.Offer.constructor_from_str(any.textOf('offer', bytes)),
  invoiceRequest: (bytes) => ldk.InvoiceRequest.constructor_read(bytes),
  invoice: (bytes) => ldk.Bolt12Invoice.constructor_read(bytes),
}
const ldkReads = (kind: Kind, bytes: Uint8Array): boolean => Boolean((READERS[kind](bytes) as Outcome<unknown>).is_ok())

const PAYER_SECRET = new Uint8Array(32).fill(0x42)
/** LDK's requests are in no other currency, and carry no paths of the payer's. */
const plain = (fields: any.Fields): any.Fields => any.without(fields, 'invreqPaths')
const isPlain = ({ offerCurrency }: any.Fields): boolean => offerCurrency === undefined
const BASES = fc.oneof(
  any.offer.map((fields) => ['offer', fields] as const),
  any.response.filter(isPlain).map((fields) => ['invoiceRequest', plain(fields)] as const),
  any.invoice.filter(isPlain).map((fields) => ['invoice', plain(fields)] as const),
)
const EDITS = fc.array(fc.tuple(fc.nat(), fc.nat(3), fc.uint8Array({ maxLength: 3 })), { maxLength: 2 })

describe('BOLT 12 with LDK', () => {
  it('both read the same texts and refuse the same, with bytes changed before they were signed', () => {
    const read = { offer: 0, invoiceRequest: 0, invoice: 0 }
    fc.assert(
      fc.property(BASES, EDITS, ([kind, fields], edits) => {
        const changed = [...any.bytesOf(kind, fields)]
        for (const [at, lost, added] of edits) changed.splice(at % (changed.length + 1), lost, ...added)
        const bytes = Uint8Array.from(changed)
        const signed = kind === 'offer' ? bytes : signedAsItIs(kind, bytes)
        const refusal = refusalOf(any.textOf(kind, signed))
        // LDK looks at features later, when it answers or pays.
        if (refusal === 'features' || refusal === 'no-usable-path') return
        if (refusal === null) read[kind]++
        expect([refusal, ldkReads(kind, signed)]).toEqual([refusal, refusal === null])
      }),
      { numRuns: Number(process.env.RUNS ?? 600), ...(process.env.RUNS ? {} : { seed: 12 }) },
    )
    for (const count of Object.values(read)) expect(count).toBeGreaterThan(40)
  })

  it('and understand the same by them', () => {
    fc.assert(
      fc.property(any.invoice.filter(isPlain), (fields) => {
        const { invoiceBlindedpay, ...f } = plain(fields)
        const bytes = any.signedStream('invoice', any.bytesOf('invoice', plain(fields)), any.SECRET)
        const theirs = must<ldk.Bolt12Invoice>(ldk.Bolt12Invoice.constructor_read(bytes))
        const ours = decodeAs('invoice', any.textOf('invoice', bytes))
        expect(ours.signature).toEqual(theirs.signature())
        expect(ours.invoiceAmount).toBe(theirs.amount_msats())
        expect(ours.invoicePaymentHash).toBe(toHex(theirs.payment_hash()))
        expect(ours.invoiceCreatedAt).toBe(BigInt.asUintN(64, theirs.created_at())) // WASM's i64 has a sign
        expect(BigInt(ours.invoiceRelativeExpiry ?? DEFAULT_RELATIVE_EXPIRY_SECONDS)).toBe(theirs.relative_expiry())
        expect(ours.invoiceNodeId).toBe(toHex(theirs.signing_pubkey()))
        expect(ours.invreqPayerId).toEqual(theirs.payer_signing_pubkey())
        expect(ours.invreqMetadata).toEqual(theirs.payer_metadata())
        expect(chainOf(ours)).toEqual(theirs.chain())
        const terms = theirs.payment_paths().map((path) => {
          const payinfo = path.get_payinfo()
          return {
            hops: path.blinded_hops().map((hop) => toHex(hop.get_blinded_node_id())),
            pathKey: toHex(path.blinding_point()),
            feeBaseMsat: payinfo.get_fee_base_msat(),
            cltvExpiryDelta: payinfo.get_cltv_expiry_delta(),
            htlcMaximumMsat: payinfo.get_htlc_maximum_msat(),
          }
        })
        expect(terms).toEqual(
          f.invoicePaths!.map(({ hops, firstPathKey }, n) => ({
            hops: hops.map(({ blindedNodeId }) => toHex(blindedNodeId)),
            pathKey: toHex(firstPathKey),
            feeBaseMsat: invoiceBlindedpay![n]!.feeBaseMsat,
            cltvExpiryDelta: invoiceBlindedpay![n]!.cltvExpiryDelta,
            htlcMaximumMsat: invoiceBlindedpay![n]!.htlcMaximumMsat,
          })),
        )
      }),
      { numRuns: 50 },
    )
  })

  it('we read offers and refunds that LDK wrote', () => {
    const entropy = ldk.EntropySource.new_impl({ get_secure_random_bytes: () => new Uint8Array(32).fill(9) })
    const nonce = ldk.Nonce.constructor_from_entropy_source(entropy)
    const key = ldk.ExpandedKey.constructor_new(new Uint8Array(32).fill(1))
    const issuer = fromHex(any.ISSUER)
    const offers = ldk.OfferWithDerivedMetadataBuilder.constructor_deriving_signing_pubkey(issuer, key, nonce)
    const { offerMetadata, ...offer } = decodeAs('offer', must<ldk.Offer>(offers.build()).to_str())
    expect(offer).toEqual({ offerIssuerId: any.ISSUER })
    expect(offerMetadata?.length).toBeGreaterThan(16)

    const metadata = new Uint8Array(16).fill(5)
    const refunds = must<ldk.RefundMaybeWithDerivedMetadataBuilder>(
      ldk.RefundMaybeWithDerivedMetadataBuilder.constructor_new(metadata, any.PAYER, 20_000n),
    )
    expect(decodeAs('invoiceRequest', must<ldk.Refund>(refunds.build()).to_str())).toEqual({
      offerDescription: '',
      invreqMetadata: metadata,
      invreqPayerId: any.PAYER,
      invreqAmount: 20_000n,
    })
  })
})

function decodeAs(kind: Kind, text: string): any.Fields {
  const decoded = decodeBolt12(text)
  expect(decoded.kind).toBe(kind)
  return decoded.fields
}

function refusalOf(text: string): string | null {
  try {
    decodeBolt12(text)
    return null
  } catch (error) {
    if (error instanceof OfferError) return error.reason
    throw error
  }
}
/** Signed where the bytes are a stream at all. */
function signedAsItIs(kind: Kind, bytes: Uint8Array): Uint8Array {
  try {
    return any.signedStream(kind, bytes, kind === 'invoice' ? any.SECRET : PAYER_SECRET)
  } catch (error) {
    if (error instanceof WireError) return bytes
    throw error
  }
}
