import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bolt12Json } from '../../src/api/decodeViews.ts'
import { ApiProblem } from '../../src/api/problems.ts'
import { toHex } from '../../src/base/bytes.ts'
import type { Msat } from '../../src/base/units.ts'
import { chainHash } from '../../src/bitcoin/networks.ts'
import { decodeBolt12 } from '../../src/offers/bolt12.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import * as any from '../offers/encode.ts'
import vectors from '../vectors/fixtures/bolt12.json' with { type: 'json' }
import { testApi } from './harness.ts'

const PAYER_SECRET = new Uint8Array(32).fill(0x42)
const vector = (name: string): string => vectors.valid.find((v) => v.name === name)!.offer
const BITCOIN = { chainHash: toHex(chainHash('bitcoin')), network: 'bitcoin' }
const REGTEST = { chainHash: toHex(chainHash('regtest')), network: 'regtest' }
const PATH = {
  firstNode: any.ISSUER,
  firstPathKey: any.PAYER,
  hops: [{ blindedNodeId: any.OTHER, encryptedData: Uint8Array.of(1, 2) }],
}
const pathJson = {
  introductionNodeId: any.ISSUER,
  introductionShortChannelId: null,
  introductionDirection: null,
  pathKey: toHex(any.PAYER),
  hops: [{ blindedNodeId: toHex(any.OTHER), encryptedData: '0102' }],
}

describe('POST /v1/decode of BOLT 12', () => {
  it('says what an offer says', async () => {
    const { call } = await testApi()
    const decode = async (text: string) => (await call('POST', '/v1/decode', { text })).json()
    const usd = vector('amount_100_usd')
    for (const text of [usd, `lightning:${usd}`, usd.toUpperCase(), `${usd.slice(0, 20)}+\n ${usd.slice(20)}`])
      expect(await decode(text)).toEqual({
        type: 'bolt12Offer',
        chains: [BITCOIN],
        amountMsat: null,
        currency: 'USD',
        currencyAmount: 10_000,
        description: 'Test vectors',
        issuer: null,
        issuerId: any.ISSUER,
        paths: [],
        quantityMax: null,
        expiresAt: null,
        expired: false,
        metadata: null,
        features: '',
        unknownFields: [],
      })
    expect(await decode(vector('amount_10000_msat'))).toMatchObject({ amountMsat: 10_000, currency: null })
    expect(await decode(vector('expires_2035'))).toMatchObject({
      expiresAt: '2034-12-31T13:30:00.000Z',
      expired: false,
    })
    expect(await decode(vector('quantity_unlimited'))).toMatchObject({ quantityMax: 0 })
    expect(await decode(vector('unknown_odd_field'))).toMatchObject({
      unknownFields: [{ type: '33', value: toHex(Buffer.from('helloworld')) }],
    })
    const { chains } = await decode(vector('chains_liquid_and_bitcoin'))
    expect(chains).toEqual([{ chainHash: expect.stringMatching(/^[0-9a-f]{64}$/), network: null }, BITCOIN])
    const { paths } = await decode(vector('two_paths_without_issuer_id'))
    expect(paths).toMatchObject([
      { introductionNodeId: toHex(any.PAYER), introductionShortChannelId: null },
      { introductionNodeId: null, introductionShortChannelId: '1x2x3', introductionDirection: 1 },
    ])
  })

  const request: any.Fields = {
    offerDescription: 'refund\u202e\u0007',
    offerAbsoluteExpiry: 2n ** 60n,
    invreqMetadata: Uint8Array.of(7),
    invreqPayerId: any.PAYER,
    invreqAmount: 5_000n as Msat,
    invreqChain: chainHash('regtest'),
    invreqPayerNote: 'hi',
    invreqPaths: [PATH],
    invreqBip353Name: { name: Buffer.from('ann'), domain: Buffer.from('example.com') },
  }
  const requestJson = {
    chain: REGTEST,
    amountMsat: 5_000,
    quantity: null,
    payerNote: 'hi',
    paths: [pathJson],
    bip353Name: 'ann@example.com',
    features: '',
    payerId: toHex(any.PAYER),
    metadata: '07',
  }

  it('an invoice request, without characters that would turn text around', async () => {
    const { call } = await testApi()
    const answer = await call('POST', '/v1/decode', { text: any.write('invoiceRequest', request) })
    expect(answer.json()).toMatchObject({
      type: 'bolt12InvoiceRequest',
      ...requestJson,
      answersOffer: false,
      offer: { chains: [BITCOIN], description: 'refund', issuerId: null, expiresAt: '9999-12-31T23:59:59.000Z' },
      signature: null,
    })
  })

  it('and an invoice', async () => {
    const { call } = await testApi()
    const terms = {
      feeBaseMsat: 1,
      feeProportionalMillionths: 2,
      cltvExpiryDelta: 3,
      htlcMinimumMsat: 4n as Msat,
      htlcMaximumMsat: (2n ** 60n) as Msat,
    }
    const invoice: any.Fields = {
      ...request,
      invoicePaths: [PATH, PATH],
      invoiceBlindedpay: [
        { ...terms, features: featuresFromBits([18]) },
        { ...terms, features: featuresFromBits([]) },
      ],
      invoiceCreatedAt: 1_700_000_000n,
      invoiceRelativeExpiry: 60,
      invoicePaymentHash: '11'.repeat(32) as never,
      invoiceAmount: 5_000n as Msat,
      invoiceFallbacks: [
        { version: 0, program: new Uint8Array(20).fill(1) },
        { version: 1, program: new Uint8Array(2).fill(1) }, // anyone could take it
        { version: 1, program: new Uint8Array(32).fill(1) },
        { version: 17, program: new Uint8Array(32).fill(1) },
      ],
      invoiceNodeId: any.ISSUER,
    }
    const answer = await call('POST', '/v1/decode', { text: any.writeSigned('invoice', invoice, any.SECRET) })
    const shown = { feeBaseMsat: 1, feeProportionalMillionths: 2, cltvExpiryDelta: 3, htlcMinimumMsat: 4 }
    expect(answer.json()).toMatchObject({
      type: 'bolt12Invoice',
      chain: REGTEST,
      nodeId: any.ISSUER,
      paymentHash: '11'.repeat(32),
      amountMsat: 5_000,
      createdAt: '2023-11-14T22:13:20.000Z',
      expiresAt: '2023-11-14T22:14:20.000Z',
      expired: true,
      paths: [
        { ...pathJson, ...shown, features: '040000', usable: false },
        { ...pathJson, ...shown, htlcMaximumMsat: Number.MAX_SAFE_INTEGER, features: '', usable: true },
      ],
      fallbackAddresses: [expect.stringMatching(/^bcrt1q.{38}$/), expect.stringMatching(/^bcrt1p.{58}$/)],
      request: requestJson,
      offer: { description: 'refund' },
      signature: expect.stringMatching(/^[0-9a-f]{128}$/),
    })
  })

  it('or why it is not valid', async () => {
    const { call } = await testApi()
    for (const { offer } of vectors.invalid) {
      const answer = await call('POST', '/v1/decode', { text: offer })
      expect(answer.json()).toMatchObject({ status: 400, code: 'OFFER_INVALID', detail: expect.any(String) })
    }
    const huge = any.write('offer', { offerIssuerId: any.ISSUER, offerQuantityMax: 2n ** 60n })
    expect((await call('POST', '/v1/decode', { text: huge })).json()).toMatchObject({
      status: 400,
      code: 'OFFER_INVALID',
    })
  })

  it('whatever it says, the answer leaves out nothing of it', async () => {
    const { call } = await testApi()
    const text = fc.oneof(
      fc.tuple(any.offer, any.others(999_999_999n)).map(([f, o]) => any.write('offer', f, o)),
      any.response.map((f) => any.writeSigned('invoiceRequest', f, PAYER_SECRET)),
      any.invoice.map((f) => any.writeSigned('invoice', f, any.SECRET)),
    )
    await fc.assert(
      fc.asyncProperty(text, async (text) => {
        const answer = await call('POST', '/v1/decode', { text })
        try {
          expect(answer.json()).toEqual(bolt12Json(decodeBolt12(text), Date.now() / 1000))
        } catch (error) {
          if (!(error instanceof ApiProblem)) throw error
          expect(answer.json().code).toBe('OFFER_INVALID') // more than JSON can carry
        }
      }),
      { numRuns: 60 },
    )
  })
})
