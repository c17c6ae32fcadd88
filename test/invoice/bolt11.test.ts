import { isDeepStrictEqual } from 'node:util'
import { bech32 } from '@scure/base'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { NodeId, PaymentHash, ShortChannelId } from '../../src/base/ids.ts'
import { MAX_MSAT, type Msat, msat } from '../../src/base/units.ts'
import { NETWORKS } from '../../src/bitcoin/networks.ts'
import { p2pkh, p2sh, p2tr, p2wpkh } from '../../src/bitcoin/script.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createInvoice, decodeInvoice, type InvoiceRequest, isExpired } from '../../src/invoice/bolt11.ts'
import { InvoiceError } from '../../src/invoice/errors.ts'
import { featuresFromBits } from '../../src/wire/features.ts'

const SECRET = new Uint8Array(32).fill(7)
const PAYEE = toHex(crypto.publicKey(SECRET)) as NodeId
const sign = (hash: Uint8Array) => crypto.ecdsaSignRecoverable(hash, SECRET)

const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const hop = fc.record({
  nodeId: fc.constant(PAYEE),
  shortChannelId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) as fc.Arbitrary<ShortChannelId>,
  feeBaseMsat: u32,
  feeProportionalMillionths: u32,
  cltvExpiryDelta: fc.integer({ min: 0, max: 0xffff }),
})
const amount = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: 1n, max: MAX_MSAT }),
  fc.tuple(fc.bigInt({ min: 1n, max: 21n }), fc.integer({ min: 0, max: 14 })).map(([n, e]) => n * 10n ** BigInt(e)),
) as fc.Arbitrary<Msat | null>
const description = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 60 }).map((text) => ({ description: text, descriptionHash: null })),
  bytes(32).map((hash) => ({ description: null, descriptionHash: hash })),
)
const request: fc.Arbitrary<InvoiceRequest> = fc
  .tuple(
    fc.record({
      network: fc.constantFrom(...NETWORKS),
      amountMsat: amount,
      timestamp: fc.integer({ min: 0, max: 2 ** 35 - 1 }),
      paymentHash: bytes(32).map((b) => toHex(b) as PaymentHash),
      paymentSecret: bytes(32),
      expirySeconds: fc.maxSafeNat(),
      minFinalCltvExpiryDelta: u32,
      features: fc.subarray([8, 14, 17, 99, 161]).map(featuresFromBits),
      paymentMetadata: fc.option(fc.uint8Array({ maxLength: 100 })),
      routeHints: fc.array(fc.array(hop, { minLength: 1, maxLength: 3 }), { maxLength: 3 }),
      fallbackScripts: fc.array(
        fc.oneof(bytes(20).map(p2pkh), bytes(20).map(p2sh), bytes(20).map(p2wpkh), bytes(32).map(p2tr)),
        { maxLength: 3 },
      ),
    }),
    description,
  )
  .map(([fields, text]) => ({ ...fields, ...text }))

const minimal: InvoiceRequest = {
  network: 'regtest',
  amountMsat: msat(1000n),
  timestamp: 1_700_000_000,
  paymentHash: '11'.repeat(32) as PaymentHash,
  paymentSecret: new Uint8Array(32).fill(2),
  description: 'tea',
}
const reasonOf = (f: () => unknown): string => {
  try {
    f()
  } catch (e) {
    if (e instanceof InvoiceError) return e.reason
    throw e
  }
  return 'none'
}

describe('BOLT 11: an invoice', () => {
  it('reads back as it was written, in either case and as a URI', () => {
    fc.assert(
      fc.property(request, (r) => {
        const text = createInvoice(r, sign)
        const { signature: _s, recoveryId: _r, payee, ...read } = decodeInvoice(text)
        expect(payee).toBe(PAYEE)
        if (!isDeepStrictEqual(read, r)) expect(read).toEqual(r)
        expect(decodeInvoice(`LIGHTNING:${text.toUpperCase()}`).paymentHash).toBe(r.paymentHash)
        expect(createInvoice(read, sign)).toBe(text)
      }),
      { numRuns: 200 },
    )
  })

  it('with any one character changed is refused', () => {
    const text = createInvoice(minimal, sign)
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l1'), (at, c) => {
        fc.pre(text[at] !== c)
        expect(reasonOf(() => decodeInvoice(text.slice(0, at) + c + text.slice(at + 1)))).not.toBe('none')
      }),
    )
  })

  it('any text decodes or fails with InvoiceError, never otherwise', () => {
    const bech = fc
      .tuple(
        fc.oneof(fc.constantFrom('lnbc', 'lnbcrt20m', 'lntb1', 'lntbs2500u'), fc.stringMatching(/^ln[a-z0-9]{0,12}$/)),
        fc.array(fc.nat(31), { maxLength: 400 }),
      )
      .map(([prefix, words]) => bech32.encode(prefix, words, false))
    fc.assert(
      fc.property(fc.oneof(fc.string(), bech), (text) => {
        reasonOf(() => decodeInvoice(text))
      }),
      { numRuns: 1000 },
    )
  })

  it('any fields with a right checksum decode or fail with InvoiceError, never otherwise', () => {
    const field = fc
      .tuple(fc.nat(31), fc.oneof(fc.constantFrom(51, 52, 53, 54), fc.nat(90)))
      .chain(([tag, length]) =>
        fc
          .array(fc.nat(31), { minLength: length, maxLength: length })
          .map((data) => [tag, length >>> 5, length & 31, ...data]),
      )
    const base = bech32.decode(createInvoice(minimal, sign), false).words
    fc.assert(
      fc.property(fc.array(field, { maxLength: 5 }), (fields) => {
        const words = [...base.slice(0, -104), ...fields.flat(), ...base.slice(-104)]
        reasonOf(() => decodeInvoice(bech32.encode('lnbcrt10n', words, false)))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('BOLT 11 §human-readable-part', () => {
  it('a writer uses the largest multiplier that fits', () => {
    const amounts: [bigint, string][] = [
      [1n, '10p'],
      [100n, '1n'],
      [150n, '1500p'],
      [250_000_000n, '2500u'],
      [2_000_000_000n, '20m'],
      [100_000_000_000n, '1'],
    ]
    for (const [value, text] of amounts) {
      const invoice = createInvoice({ ...minimal, amountMsat: msat(value) }, sign)
      expect(invoice.startsWith(`lnbcrt${text}1`)).toBe(true)
      expect(decodeInvoice(invoice).amountMsat).toBe(value)
    }
  })

  it('a reader refuses amounts with leading zeros, of zero, or beyond all bitcoin', () => {
    const { words } = bech32.decode(createInvoice(minimal, sign), false)
    for (const prefix of ['lnbcrt01m', 'lnbcrt0', 'lnbcrt99999999', 'lnbcrtm', 'lnbcrt1mm']) {
      expect(reasonOf(() => decodeInvoice(bech32.encode(prefix, words, false)))).toMatch(/amount|network/)
    }
  })
})

describe('BOLT 11 §tagged-fields: a reader refuses', () => {
  const base = bech32.decode(createInvoice(minimal, sign), false).words
  const withField = (tag: number, data: readonly number[]) =>
    bech32.encode(
      'lnbcrt10n',
      [...base.slice(0, -104), tag, data.length >>> 5, data.length & 31, ...data, ...base.slice(-104)],
      false,
    )

  it('an expiry, a final delta or features that begin with zeros', () => {
    for (const tag of [6, 24, 5]) expect(reasonOf(() => decodeInvoice(withField(tag, [0, 1])))).toBe('field')
  })
  it('a description beside a description hash', () => {
    expect(reasonOf(() => decodeInvoice(withField(23, new Array(52).fill(0))))).toBe('field')
  })
  it('a route hint that is not made of whole hops', () => {
    expect(reasonOf(() => decodeInvoice(withField(3, [1, 2, 4, 0])))).toBe('field')
  })
  it('a field that runs into the signature', () => {
    const words = [...base.slice(0, -104), 13, 31, 31, ...base.slice(-104)]
    expect(reasonOf(() => decodeInvoice(bech32.encode('lnbcrt10n', words, false)))).toBe('truncated')
  })
  it('features that build on one another when the ground is missing', () => {
    const text = createInvoice({ ...minimal, features: featuresFromBits([51]) }, sign)
    expect(reasonOf(() => decodeInvoice(text))).toBe('features')
  })
})

describe('BOLT 11: a writer refuses', () => {
  it('what no invoice can carry', () => {
    const both = { ...minimal, descriptionHash: new Uint8Array(32) }
    const { description: _, ...neither } = minimal
    for (const r of [
      both,
      neither,
      { ...minimal, description: 'x'.repeat(640) },
      { ...minimal, timestamp: 2 ** 35 },
      { ...minimal, amountMsat: msat(0n) },
      { ...minimal, expirySeconds: -1 },
      { ...minimal, minFinalCltvExpiryDelta: 1.5 },
      { ...minimal, fallbackScripts: [Uint8Array.of(0x6a)] },
    ]) {
      expect(reasonOf(() => createInvoice(r, sign))).toBe('unencodable')
    }
  })
})

describe('BOLT 11 §payer-payee-requirements', () => {
  it('an invoice is expired from timestamp + expiry on', () => {
    const invoice = { timestamp: 1000, expirySeconds: 60 }
    expect([1059, 1060].map((now) => isExpired(invoice, now))).toEqual([false, true])
  })
})
