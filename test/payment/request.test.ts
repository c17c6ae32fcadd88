import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createInvoice, decodeInvoice, type InvoiceRequest } from '../../src/invoice/bolt11.ts'
import { InvoiceError } from '../../src/invoice/errors.ts'
import { defaultMaxFee, type PayOptions, payInvoice, payKeysend } from '../../src/payment/request.ts'
import {
  FEATURES,
  featureBits,
  featuresFromBits,
  missingDependencies,
  ourInvoiceFeatures,
} from '../../src/wire/features.ts'
import { hashOf, IDS, preimageOf, SECRETS } from './world.ts'

const NOW_SECONDS = 1_700_000_000
const invoiceOf = (
  more: Partial<InvoiceRequest> = {},
): { bolt11: string; invoice: ReturnType<typeof decodeInvoice> } => {
  const request: InvoiceRequest = {
    network: 'regtest',
    amountMsat: msat(1000n),
    timestamp: NOW_SECONDS,
    paymentHash: hashOf(preimageOf(1)),
    paymentSecret: new Uint8Array(32).fill(2),
    description: 'tea',
    features: featuresFromBits([8, 14, 17]),
    ...more,
  }
  const bolt11 = createInvoice(request, (h) => crypto.ecdsaSignRecoverable(h, SECRETS[2]!))
  return { bolt11, invoice: decodeInvoice(bolt11) }
}
const pay = (
  more: Partial<InvoiceRequest> = {},
  options: PayOptions = {},
  now = NOW_SECONDS * 1000,
  network = 'regtest' as const,
) => payInvoice(invoiceOf(more), options, { now, network })
const codeOf = (r: ReturnType<typeof payInvoice>): string => (r.ok ? 'ok' : r.error.code)

describe('BOLT 11 §payer-payee-requirements: the payer', () => {
  it('takes payee, secret, expiry delta and hints from the invoice', () => {
    const { invoice, bolt11 } = invoiceOf({ minFinalCltvExpiryDelta: 50, paymentMetadata: Uint8Array.of(1) })
    const got = payInvoice({ invoice, bolt11 }, {}, { now: NOW_SECONDS * 1000, network: 'regtest' })
    expect(got).toMatchObject({
      ok: true,
      value: {
        paymentHash: hashOf(preimageOf(1)),
        target: {
          payee: IDS[2],
          amountMsat: 1000n,
          maxFeeMsat: 5000n,
          maxParts: 16,
          finalCltvDelta: 50,
          paymentSecret: new Uint8Array(32).fill(2),
          paymentMetadata: Uint8Array.of(1),
          deadline: NOW_SECONDS * 1000 + 60_000,
          bolt11,
        },
      },
    })
  })
  it('does not pay in parts unless the invoice offers basic_mpp', () => {
    const got = pay({ features: featuresFromBits([8, 14]) }, { maxParts: 9 })
    expect(got.ok && got.value.target.maxParts).toBe(1)
  })
  it('does not pay an expired invoice, nor one for another network', () => {
    expect(codeOf(pay({}, {}, (NOW_SECONDS + 3600) * 1000))).toBe('INVOICE_EXPIRED')
    expect(codeOf(pay({ network: 'testnet' }))).toBe('INVOICE_INVALID')
  })
  it('pays from the amount of the invoice to twice that, and needs an amount where it has none', () => {
    const amounts = [999n, 1000n, 2000n, 2001n].map((a) => codeOf(pay({}, { amountMsat: msat(a) })))
    expect(amounts).toEqual(['VALIDATION_FAILED', 'ok', 'ok', 'VALIDATION_FAILED'])
    expect(codeOf(pay({ amountMsat: null }))).toBe('VALIDATION_FAILED')
    expect(codeOf(pay({ amountMsat: null }, { amountMsat: msat(7n) }))).toBe('ok')
  })
})

describe('BOLT 11 §feature-bits', () => {
  const known = featureBits(ourInvoiceFeatures()).map((bit) => bit & ~1)
  /** What an invoice with these bits comes to: whether it is read at all, and in how many parts it is paid. */
  const partsOf = (bits: readonly number[]): number | 'refused' => {
    try {
      const got = pay({ features: featuresFromBits(bits) }, { maxParts: 9 })
      return got.ok ? got.value.target.maxParts : 'refused'
    } catch (e) {
      if (e instanceof InvoiceError && e.reason === 'features') return 'refused'
      throw e
    }
  }

  it('our invoices ask for what BOLT 9 has for invoices, with all that it builds on', () => {
    const ours = ourInvoiceFeatures()
    const table = Object.values(FEATURES) as readonly { readonly bit: number; readonly contexts: readonly string[] }[]
    for (const bit of known) expect(table.find((f) => f.bit === bit)?.contexts).toContain('invoice')
    expect(missingDependencies(ours)).toEqual([])
    expect(partsOf(featureBits(ours))).toBe(9)
  })

  it('an unknown bit keeps us from paying when it is even, and only then', () => {
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 900 }), (bit) => {
        expect(partsOf([8, 14, 17, bit])).toBe(bit % 2 === 0 ? 'refused' : 9)
      }),
    )
  })

  it('one without what it builds on keeps us from paying; parts take basic_mpp', () => {
    // option_zeroconf builds on option_scid_alias.
    expect(partsOf([8, 14, 17, 51])).toBe('refused')
    expect(
      [
        [8, 14],
        [8, 14, 16],
        [8, 14, 17],
      ].map(partsOf),
    ).toEqual([1, 9, 9])
  })
})

describe('keysend (bLIP 3): the payer', () => {
  it('pays the hash of the preimage that it sends along, in one part', () => {
    expect(payKeysend(IDS[2]!, preimageOf(3), { amountMsat: msat(5n) }, 0)).toMatchObject({
      ok: true,
      value: {
        paymentHash: hashOf(preimageOf(3)),
        target: { keysendPreimage: preimageOf(3), maxParts: 1, paymentSecret: null },
      },
    })
  })
  it('needs an amount and a node id on the curve', () => {
    const offCurve = `02${'ff'.repeat(32)}` as NodeId
    expect(payKeysend(offCurve, preimageOf(3), { amountMsat: msat(5n) }, 0).ok).toBe(false)
    expect(payKeysend(IDS[2]!, preimageOf(3), {}, 0).ok).toBe(false)
  })
})

describe('the fee limit, unless another is given', () => {
  it('is 1 %, and 5 sat for small payments', () => {
    expect([1n, 500_000n, 500_100n, 10n ** 9n].map((a) => defaultMaxFee(msat(a)))).toEqual([
      5000n,
      5000n,
      5001n,
      10n ** 7n,
    ])
  })
})
