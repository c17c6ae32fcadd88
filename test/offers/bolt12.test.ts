import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { MAX_MSAT, type Msat } from '../../src/base/units.ts'
import { chainHash } from '../../src/bitcoin/networks.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { decodeBolt12 } from '../../src/offers/bolt12.ts'
import { OfferError } from '../../src/offers/errors.ts'
import { isBolt12Text, MAX_LENGTH } from '../../src/offers/text.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import type { TlvRecord } from '../../src/wire/tlv.ts'
import * as any from './encode.ts'
import { type Fields, ISSUER, OTHER, PAYER, SECRET, textOf, without, write, writeSigned } from './encode.ts'

const PAYER_SECRET = new Uint8Array(32).fill(0x42)
const reasonOf = (f: () => unknown): string => {
  try {
    f()
  } catch (e) {
    if (e instanceof OfferError) return e.reason
    throw e
  }
  return 'none'
}
const refusal = (text: string): string => reasonOf(() => decodeBolt12(text))
const expectRead = (text: string, fields: Fields, unknown: readonly TlvRecord[]): void => {
  const read = decodeBolt12(text)
  const { signature: _, ...signed } = read.fields as Fields
  if (!isDeepStrictEqual(signed, fields)) expect(signed).toEqual(fields)
  expect(read.unknown).toEqual([...unknown].sort((a, b) => (a.type < b.type ? -1 : 1)))
}

describe('BOLT 12: a text', () => {
  it('of an offer reads back as it was written, in either case, as a URI and in pieces', () => {
    const cuts = fc.array(fc.tuple(fc.nat(), fc.constantFrom('+', '+ ', '+\n', '+\r\n  ')), { maxLength: 4 })
    fc.assert(
      fc.property(any.offer, any.others(999_999_999n), cuts, (fields, others, pieces) => {
        const text = write('offer', fields, others)
        expectRead(text, fields, others)
        expectRead(`LIGHTNING:${text.toUpperCase()}`, fields, others)
        const joints = new Map(pieces.map(([at, joint]) => [1 + (at % (text.length - 1)), joint]))
        const inPieces = Array.from(text, (c, i) => `${joints.get(i) ?? ''}${c}`).join('')
        expectRead(inPieces, fields, others)
        expect(isBolt12Text(inPieces)).toBe(true)
      }),
    )
  })

  it('of an invoice request reads back as it was written, whether it answers an offer or not', () => {
    fc.assert(
      fc.property(any.response, any.unasked, any.others(1_499_999_999n), (response, unasked, others) => {
        expectRead(writeSigned('invoiceRequest', response, PAYER_SECRET, others), response, others)
        expectRead(write('invoiceRequest', unasked, others), unasked, others)
        expectRead(writeSigned('invoiceRequest', unasked, PAYER_SECRET, others), unasked, others)
      }),
      { numRuns: 40 },
    )
  })

  it('of an invoice reads back as it was written', () => {
    fc.assert(
      fc.property(any.invoice, any.others(2n ** 62n), (fields, others) => {
        expectRead(writeSigned('invoice', fields, SECRET, others), fields, others)
      }),
      { numRuns: 50 },
    )
  })

  it('that is signed is refused with any one character changed', () => {
    const [response] = fc.sample(any.response, { numRuns: 1, seed: 1 })
    const [invoice] = fc.sample(any.invoice, { numRuns: 1, seed: 1 })
    const texts = [writeSigned('invoiceRequest', response!, PAYER_SECRET), writeSigned('invoice', invoice!, SECRET)]
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.nat(),
        fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l1'),
        (text, n, c) => {
          const at = n % text.length
          fc.pre(text[at] !== c)
          expect(refusal(text.slice(0, at) + c + text.slice(at + 1))).not.toBe('none')
        },
      ),
      { numRuns: 200 },
    )
  })

  it('of any kind, with bytes changed, lost or too many, is read or fails with OfferError, never otherwise', () => {
    const base = fc.oneof(
      any.offer.map((f) => ['offer', any.bytesOf('offer', f)] as const),
      any.response.map((f) => ['invoiceRequest', any.bytesOf('invoiceRequest', f)] as const),
      any.invoice.map((f) => ['invoice', any.bytesOf('invoice', f)] as const),
    )
    const edit = fc.tuple(fc.nat(), fc.nat(3), fc.uint8Array({ maxLength: 3 }))
    fc.assert(
      fc.property(base, fc.array(edit, { minLength: 1, maxLength: 3 }), ([kind, bytes], edits) => {
        const changed = [...bytes]
        for (const [at, lost, added] of edits) changed.splice(at % (changed.length + 1), lost, ...added)
        refusal(textOf(kind, Uint8Array.from(changed)))
      }),
      { numRuns: 500 },
    )
  })

  it('of any characters is read or fails with OfferError, never otherwise', () => {
    const characters = fc.string({
      unit: fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l1b+ \nQ\u00e9'),
      maxLength: 200,
    })
    fc.assert(
      fc.property(
        fc.constantFrom('', 'lno1', 'lnr1', 'lni1', 'LNO1', 'l+n+o1', 'lnbc1'),
        characters,
        (prefix, rest) => {
          refusal(prefix + rest)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('that is too long is refused before it is read, and one of full length read at once', () => {
    expect(refusal(`lno1${'q'.repeat(MAX_LENGTH)}`)).toBe('format')
    // The most fields that fit, each of them hashed several times.
    const others = Array.from({ length: 2_500 }, (_, i) => ({
      type: 1_000_000_001n + 2n * BigInt(i),
      value: new Uint8Array(0),
    }))
    const fitting = others.slice(0, Math.floor((MAX_LENGTH * 5) / 8 / 6) - 60)
    const text = writeSigned('invoiceRequest', response(), PAYER_SECRET, fitting)
    expect(text.length).toBeGreaterThan(MAX_LENGTH * 0.9)
    const before = process.cpuUsage()
    expect(refusal(text)).toBe('none')
    expect(process.cpuUsage(before).user).toBeLessThan(300_000)
  })
})

const path = (last: Uint8Array) => ({
  firstNode: ISSUER,
  firstPathKey: PAYER,
  hops: [{ blindedNodeId: last, encryptedData: new Uint8Array(3) }],
})
const offer = (change: Fields = {}): Fields => ({
  offerAmount: 1_000n,
  offerDescription: 'tea',
  offerIssuerId: ISSUER,
  ...change,
})
const response = (change: Fields = {}): Fields => ({
  ...offer(),
  invreqMetadata: new Uint8Array(8),
  invreqPayerId: PAYER,
  ...change,
})
const unasked = (change: Fields = {}): Fields => ({
  offerDescription: 'refund',
  invreqMetadata: new Uint8Array(8),
  invreqPayerId: PAYER,
  invreqAmount: 5n as Msat,
  ...change,
})
const terms = (bits: readonly number[] = []) => ({
  feeBaseMsat: 1,
  feeProportionalMillionths: 2,
  cltvExpiryDelta: 3,
  htlcMinimumMsat: 4n as Msat,
  htlcMaximumMsat: 5n as Msat,
  features: featuresFromBits(bits),
})
const invoice = (change: Fields = {}): Fields => ({
  ...response(),
  invoicePaths: [path(OTHER)],
  invoiceBlindedpay: [terms()],
  invoiceCreatedAt: 1n,
  invoicePaymentHash: '11'.repeat(32) as never,
  invoiceAmount: 1_000n as Msat,
  invoiceNodeId: ISSUER,
  ...change,
})
const field = (type: bigint): TlvRecord => ({ type, value: new Uint8Array(2) })
type Case = readonly [what: string, text: string, reason: string]

describe('BOLT 11: an offer where an invoice is to be paid', () => {
  it('is refused with the word what to ask for', () => {
    for (const text of [write('offer', offer()), `lightning:${write('offer', offer()).toUpperCase()}`])
      expect(() => decodeInvoice(text)).toThrow(/ask for a BOLT 11 invoice/)
  })
})

describe('BOLT 12 §requirements-for-offers: the reader refuses', () => {
  const cases: Case[] = [
    ...[0n, 80n, 241n, 999_999_999n, 2_000_000_000n, 2n ** 64n - 1n].map(
      (type): Case => [`a field of type ${type}`, write('offer', offer(), [field(type)]), 'range'],
    ),
    ['an unknown even field', write('offer', offer(), [field(78n)]), 'field'],
    ['an unknown even feature', write('offer', offer({ offerFeatures: featuresFromBits([16]) })), 'features'],
    ['more than all bitcoin', write('offer', offer({ offerAmount: MAX_MSAT + 1n })), 'amount'],
    ['a currency that is no code', write('offer', offer({ offerCurrency: 'usd' })), 'amount'],
    [
      'a list of paths without one, and nobody else to ask',
      write('offer', without(offer({ offerPaths: [] }), 'offerIssuerId')),
      'missing-field',
    ],
  ]
  it.each(cases)('%s', (_what, text, reason) => expect(refusal(text)).toBe(reason))
  it('but not what these are made from', () => {
    expect(refusal(write('offer', offer()))).toBe('none')
    expect(refusal(write('offer', offer(), [field(79n), field(1_000_000_001n), field(1_999_999_999n)]))).toBe('none')
    expect(refusal(write('offer', offer({ offerAmount: MAX_MSAT + 1n, offerCurrency: 'VND' })))).toBe('none')
  })
})

describe('BOLT 12 §requirements-for-invoice-requests: the reader refuses', () => {
  const signed = (fields: Fields, others: readonly TlvRecord[] = []): string =>
    writeSigned('invoiceRequest', fields, PAYER_SECRET, others)
  const name = (text: string) => ({
    invreqBip353Name: { name: Uint8Array.from(Buffer.from(text)), domain: Uint8Array.of(65) },
  })
  const cases: Case[] = [
    ['one without payer', signed(without(response(), 'invreqPayerId')), 'missing-field'],
    ['one without metadata', signed(without(response(), 'invreqMetadata')), 'missing-field'],
    ...[161n, 239n, 1_001n, 3_000_000_001n].map(
      (type): Case => [`a field of type ${type}`, signed(response(), [field(type)]), 'range'],
    ),
    ['an unknown even feature', signed(response({ invreqFeatures: featuresFromBits([16]) })), 'features'],
    ['an answer to an offer without a signature', write('invoiceRequest', response()), 'missing-field'],
    ['a signature of another than the payer', writeSigned('invoiceRequest', response(), SECRET), 'signature'],
    ['a wrong signature also where none is needed', writeSigned('invoiceRequest', unasked(), SECRET), 'signature'],
    ['an offer that is not valid', signed(without(response(), 'offerDescription')), 'missing-field'],
    ['a chain that the offer does not take', signed(response({ invreqChain: chainHash('regtest') })), 'mismatch'],
    [
      'no chain where the offer does not take bitcoin',
      signed(response({ offerChains: [chainHash('regtest')] })),
      'mismatch',
    ],
    ['a quantity of what is sold one by one', signed(response({ invreqQuantity: 1n })), 'quantity'],
    ['no quantity of what is sold by the dozen', signed(response({ offerQuantityMax: 12n })), 'quantity'],
    ['a quantity of 0', signed(response({ offerQuantityMax: 0n, invreqQuantity: 0n })), 'quantity'],
    ['more than there is', signed(response({ offerQuantityMax: 12n, invreqQuantity: 13n })), 'quantity'],
    [
      'more than all bitcoin buys',
      signed(response({ offerQuantityMax: 0n, invreqQuantity: MAX_MSAT / 1_000n + 1n })),
      'amount',
    ],
    ['less money than asked for', signed(response({ invreqAmount: 999n as Msat })), 'amount'],
    [
      'less money than so many cost',
      signed(response({ offerQuantityMax: 0n, invreqQuantity: 3n, invreqAmount: 2_999n as Msat })),
      'amount',
    ],
    ['no amount where the offer leaves it to the payer', signed(without(response(), 'offerAmount')), 'missing-field'],
    ['a name with other characters', signed(response(name('a b'))), 'field'],
    [
      'fields of an offer where none is answered',
      write('invoiceRequest', unasked({ offerQuantityMax: 1n })),
      'mismatch',
    ],
    [
      'no amount where no offer is answered',
      write('invoiceRequest', without(unasked(), 'invreqAmount')),
      'missing-field',
    ],
  ]
  it.each(cases)('%s', (_what, text, reason) => expect(refusal(text)).toBe(reason))
  it('but not what these are made from', () => {
    for (const fields of [
      response(),
      response({ offerChains: [chainHash('regtest')], invreqChain: chainHash('regtest') }),
      response({ offerQuantityMax: 12n, invreqQuantity: 12n, invreqAmount: 12_000n as Msat }),
      response({ offerCurrency: 'USD', invreqAmount: 1n as Msat }),
      response(name('a-b_C.9')),
    ])
      expect(refusal(signed(fields, [field(159n), field(2_999_999_999n)]))).toBe('none')
    expect(refusal(write('invoiceRequest', unasked()))).toBe('none')
    expect(refusal(signed(unasked({ invreqChain: chainHash('regtest') })))).toBe('none')
  })
})

describe('BOLT 12 §invoices: a reader refuses', () => {
  const signed = (fields: Fields): string => writeSigned('invoice', fields, SECRET)
  const needed = [
    'invoiceAmount',
    'invoiceCreatedAt',
    'invoicePaymentHash',
    'invoiceNodeId',
    'invoicePaths',
    'invoiceBlindedpay',
  ] as const
  const cases: Case[] = [
    ...needed.map((name): Case => [`one without ${name}`, signed(without(invoice(), name)), 'missing-field']),
    ['one that is not signed', write('invoice', invoice()), 'missing-field'],
    ['a signature of another than the payee', writeSigned('invoice', invoice(), PAYER_SECRET), 'signature'],
    ['an unknown even feature', signed(invoice({ invoiceFeatures: featuresFromBits([18]) })), 'features'],
    ['an unknown even field', writeSigned('invoice', invoice(), SECRET, [field(178n)]), 'field'],
    ['a list of paths without one', signed(invoice({ invoicePaths: [], invoiceBlindedpay: [] })), 'missing-field'],
    ['terms for other paths', signed(invoice({ invoiceBlindedpay: [terms(), terms()] })), 'mismatch'],
    ['paths of which none can be used', signed(invoice({ invoiceBlindedpay: [terms([18])] })), 'no-usable-path'],
    ['another amount than was requested', signed(invoice({ invreqAmount: 1_001n as Msat })), 'amount'],
    ['another payee than the issuer', signed(invoice({ offerIssuerId: toHex(OTHER) as NodeId })), 'mismatch'],
    [
      'a payee at the end of none of the paths',
      signed(without(invoice({ offerPaths: [path(OTHER)] }), 'offerIssuerId')),
      'mismatch',
    ],
  ]
  it.each(cases)('%s', (_what, text, reason) => expect(refusal(text)).toBe(reason))
  it('but not what these are made from', () => {
    for (const fields of [
      invoice({ invoiceFeatures: featuresFromBits([16]) }),
      invoice({ invoicePaths: [path(OTHER), path(PAYER)], invoiceBlindedpay: [terms([18]), terms([19])] }),
      invoice({ invreqAmount: 1_000n as Msat }),
      without(invoice({ invreqAmount: 1_000n as Msat }), 'offerIssuerId', 'offerAmount'),
      without(invoice(), 'offerIssuerId', 'invreqPayerId', 'invreqMetadata'),
      without(
        invoice({ offerPaths: [path(OTHER), path(Uint8Array.from(Buffer.from(ISSUER, 'hex')))] }),
        'offerIssuerId',
      ),
    ])
      expect(refusal(signed(fields))).toBe('none')
  })
})
