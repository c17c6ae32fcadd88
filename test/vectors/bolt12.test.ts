import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex, toHex } from '../../src/base/bytes.ts'
import { networkOfChainHash } from '../../src/bitcoin/networks.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { decodeBolt12 } from '../../src/offers/bolt12.ts'
import { chainsOf } from '../../src/offers/check.ts'
import { OfferError, type OfferErrorReason } from '../../src/offers/errors.ts'
import { merkleRoot, signedHash } from '../../src/offers/merkle.ts'
import { type OfferFields, STREAMS } from '../../src/offers/records.ts'
import { readText } from '../../src/offers/text.ts'
import { featureBits } from '../../src/wire/features.ts'
import { encodeTlvs, parseTlvRecords } from '../../src/wire/tlv.ts'
import vectors from './fixtures/bolt12.json' with { type: 'json' }

const refusalOf = (text: string): OfferErrorReason | null => {
  try {
    decodeBolt12(text)
    return null
  } catch (e) {
    expect(e).toBeInstanceOf(OfferError)
    return (e as OfferError).reason
  }
}
const offerOf = (name: string): OfferFields => decodeBolt12(vectors.valid.find((v) => v.name === name)!.offer).fields

describe('BOLT 12 §encoding', () => {
  const whole = vectors.texts.find((v) => v.name === 'whole')!.text
  it.each(vectors.texts.map((v) => [v.name, v] as const))('%s', (_name, { text, valid }) => {
    expect(refusalOf(text)).toBe(valid ? null : 'format')
    if (valid) expect(decodeBolt12(text)).toEqual(decodeBolt12(whole))
  })
})

describe('BOLT 12 §offers', () => {
  it.each(vectors.valid.map((v) => [v.name, v] as const))('reads %s', (_name, { offer, fields }) => {
    const { kind, bytes } = readText(offer)
    expect(kind).toBe('offer')
    const records = fields.map(({ type, hex }) => ({ type: BigInt(type), value: fromHex(hex) }))
    expect(parseTlvRecords(bytes)).toEqual(records)
    const decoded = decodeBolt12(offer)
    expect(decoded.kind).toBe('offer')
    // Every field that is known was understood whole: it is written as it was read.
    const unknown = decoded.unknown.map(({ type }) => type)
    expect(parseTlvRecords(encodeTlvs(STREAMS.offer, decoded.fields))).toEqual(
      records.filter(({ type }) => !unknown.includes(type)),
    )
  })

  it('and says what the fields mean', () => {
    const issuer = toHex(crypto.publicKey(new Uint8Array(32).fill(0x41)))
    expect(offerOf('issuer_id_only')).toEqual({ offerIssuerId: issuer })
    expect(offerOf('description_only').offerDescription).toBe('Test vectors')
    expect(chainsOf(offerOf('description_only')).map(networkOfChainHash)).toEqual(['bitcoin'])
    expect(chainsOf(offerOf('chain_testnet')).map(networkOfChainHash)).toEqual(['testnet'])
    expect(chainsOf(offerOf('chains_liquid_and_bitcoin')).map(networkOfChainHash)).toEqual([null, 'bitcoin'])
    expect(offerOf('amount_10000_msat')).toMatchObject({ offerAmount: 10_000n })
    expect(offerOf('amount_100_usd')).toMatchObject({ offerAmount: 10_000n, offerCurrency: 'USD' })
    expect(offerOf('expires_2035').offerAbsoluteExpiry).toBe(2_051_184_600n)
    expect(offerOf('quantity_up_to_5').offerQuantityMax).toBe(5n)
    expect(offerOf('quantity_unlimited').offerQuantityMax).toBe(0n)
    expect(featureBits(offerOf('odd_feature_99').offerFeatures!)).toEqual([99])
    const bob = toHex(crypto.publicKey(new Uint8Array(32).fill(0x42)))
    expect(offerOf('path_from_node').offerPaths![0]!.firstNode).toBe(bob)
    const channel = { shortChannelId: (1n << 40n) | (2n << 16n) | 3n, direction: 1 }
    expect(offerOf('two_paths_without_issuer_id').offerPaths!.map((p) => p.firstNode)).toEqual([bob, channel])
  })

  // The two with types of ten digits write them with fd in front, not fe, and so are broken off as well: test/offers has the ranges.
  const REASONS: Readonly<Record<string, OfferErrorReason>> = {
    nothing_in_it: 'missing-field',
    amount_without_description: 'missing-field',
    nobody_to_ask: 'missing-field',
    type_80: 'range',
    unknown_even_feature_122: 'features',
    currency_without_amount: 'amount',
    amount_0: 'amount',
    amount_0_usd: 'amount',
    a_word_too_many: 'format',
  }
  it.each(vectors.invalid.map((v) => [v.reason, v.offer] as const))('refuses %s and says so', (reason, offer) => {
    expect(refusalOf(offer)).toBe(REASONS[reason] ?? 'field')
  })
})

describe('BOLT 12 §signature-calculation', () => {
  it.each(vectors.merkle.map((v) => [v.name, v] as const))('the root of %s', (_name, { records, root }) => {
    const stream = concatBytes(...records.map(({ record }) => fromHex(record)))
    expect(toHex(merkleRoot(parseTlvRecords(stream)))).toBe(root)
  })

  it('the signature of an invoice request', () => {
    const v = vectors.merkle.find(({ text }) => text !== undefined)!
    const decoded = decodeBolt12(v.text!)
    expect(decoded).toMatchObject({
      kind: 'invoiceRequest',
      fields: { offerDescription: 'A Mathematical Treatise', offerCurrency: 'USD', offerAmount: 100n },
    })
    expect(toHex(signedHash('invoice_request', fromHex(v.root)))).toBe(v.signed_hash)
    if (decoded.kind === 'invoiceRequest') {
      expect(toHex(decoded.fields.signature!)).toBe(v.signature)
      expect(decoded.fields.invreqPayerId).toEqual(crypto.publicKey(fromHex(v.payer_private_key!)))
    }
  })
})
