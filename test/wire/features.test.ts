import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import {
  checkFeatures,
  combineFeatures,
  decodeChannelType,
  encodeChannelType,
  FEATURES,
  type FeatureName,
  featureBits,
  featureNames,
  featuresFromBits,
  hasBit,
  hasFeature,
  isNegotiated,
  missingDependencies,
  ourInitFeatures,
  ourInvoiceFeatures,
  ourNodeFeatures,
  requiresFeature,
  unknownEvenBits,
} from '../../src/wire/features.ts'

const bitSet = fc.uniqueArray(fc.nat(400), { maxLength: 30 })
const sorted = (bits: readonly number[]): readonly number[] => [...bits].sort((a, b) => a - b)

describe('feature bit fields', () => {
  it('bit 0 is the lowest bit of the last byte, and the field is as short as it can be', () => {
    expect(toHex(featuresFromBits([0]))).toBe('01')
    expect(toHex(featuresFromBits([9, 0]))).toBe('0201')
    expect(toHex(featuresFromBits([]))).toBe('')
    fc.assert(
      fc.property(bitSet, (bits) => {
        const field = featuresFromBits(bits)
        const value = bits.reduce((n, bit) => n | (1n << BigInt(bit)), 0n)
        const hex = value === 0n ? '' : value.toString(16)
        expect(toHex(field)).toBe(hex.padStart(hex.length + (hex.length % 2), '0'))
        expect(featureBits(field)).toEqual(sorted(bits))
        for (const bit of bits) expect(hasBit(field, bit)).toBe(true)
        expect(hasBit(field, 401)).toBe(false)
      }),
    )
  })

  it('BOLT 1 §the-init-message: the two fields of init are combined bit by bit', () => {
    fc.assert(
      fc.property(bitSet, bitSet, (a, b) => {
        const both = combineFeatures(featuresFromBits(a), featuresFromBits(b))
        expect(featureBits(both)).toEqual(sorted([...new Set([...a, ...b])]))
      }),
    )
  })
})

describe('BOLT 9 §requirements', () => {
  const anchors = FEATURES.option_anchors.bit

  it('with both bits of a pair set, the feature is required', () => {
    const both = featuresFromBits([anchors, anchors + 1])
    expect(hasFeature(both, 'option_anchors') && requiresFeature(both, 'option_anchors')).toBe(true)
    const optional = featuresFromBits([anchors + 1])
    expect([hasFeature(optional, 'option_anchors'), requiresFeature(optional, 'option_anchors')]).toEqual([true, false])
    expect(hasFeature(featuresFromBits([]), 'option_anchors')).toBe(false)
  })

  it('the assumed features need no bit', () => {
    for (const [name, f] of Object.entries(FEATURES)) {
      expect(hasFeature(featuresFromBits([]), name as FeatureName)).toBe('assumed' in f)
    }
  })

  it('a feature is negotiated when both offer it, or we require it', () => {
    const [none, optional, required] = [[], [anchors + 1], [anchors]].map(featuresFromBits) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ]
    const cases = [
      [none, required],
      [optional, none],
      [optional, optional],
      [optional, required],
      [required, none],
    ] as const
    expect(cases.map(([ours, theirs]) => isNegotiated(ours, theirs, 'option_anchors'))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ])
  })

  it('every feature that we set comes with what it depends on, and never with both bits', () => {
    for (const field of [ourInitFeatures(), ourNodeFeatures(), ourInvoiceFeatures()]) {
      expect(missingDependencies(field)).toEqual([])
      expect(checkFeatures(field).ok).toBe(true)
      for (const bit of featureBits(field)) expect(hasBit(field, bit ^ 1)).toBe(false)
    }
  })

  it('we set what we have, where it belongs', () => {
    const assumed = ['option_data_loss_protect', 'var_onion_optin', 'option_static_remotekey', 'payment_secret']
    expect(featureNames(ourInitFeatures())).toEqual([
      ...assumed.slice(0, 1),
      'option_upfront_shutdown_script',
      'gossip_queries',
      ...assumed.slice(1, 2),
      'gossip_queries_ex',
      ...assumed.slice(2),
      'basic_mpp',
      'option_support_large_channel',
      'option_anchors',
      'option_shutdown_anysegwit',
      'option_provide_storage',
      'option_channel_type',
      'option_simple_close',
    ])
    expect(featureNames(ourNodeFeatures())).toEqual([
      ...featureNames(ourInitFeatures()).slice(0, -1),
      'keysend',
      'option_simple_close',
    ])
    expect(featureBits(ourInvoiceFeatures())).toEqual([8, 14, 17])
    for (const bit of [0, 8, 12, 14, 44]) expect(hasBit(ourInitFeatures(), bit)).toBe(true)
  })

  it('our tables cannot be changed through what they give out', () => {
    ourInitFeatures().fill(0)
    encodeChannelType('anchors').fill(0)
    expect(featureBits(ourInitFeatures()).length).toBeGreaterThan(5)
    expect(decodeChannelType(encodeChannelType('anchors'))).toBe('anchors')
  })
})

describe('BOLT 1 §the-init-message: features of a peer', () => {
  it('unknown odd bits are ignored', () => {
    expect(checkFeatures(featuresFromBits([1, 101, 2001])).ok).toBe(true)
  })

  it('an even bit that we do not know, or know and do not have, is refused and named', () => {
    expect(unknownEvenBits(featuresFromBits([100, 62, 13, 12]))).toEqual([62, 100])
    const refused = checkFeatures(featuresFromBits([100, 62]))
    expect(refused.ok).toBe(false)
    if (!refused.ok) {
      expect(refused.error.code).toBe('UNKNOWN_REQUIRED_FEATURE')
      expect(refused.error.message).toContain('62 (option_splice), 100 (unknown)')
    }
  })

  it('of however many that we do not have, the lowest eight are looked for and named', () => {
    const known = new Set([0, 4, 6, 8, 10, 12, 14, 16, 18, 22, 26, 42, 44, 54, 60])
    fc.assert(
      fc.property(fc.array(fc.nat(4_000), { maxLength: 40 }), (bits) => {
        const unknown = [...new Set(bits)].sort((a, b) => a - b).filter((bit) => bit % 2 === 0 && !known.has(bit))
        expect(unknownEvenBits(featuresFromBits(bits))).toEqual(unknown.slice(0, 8))
      }),
    )
    const all = checkFeatures(new Uint8Array(65_000).fill(0xff))
    expect(all.ok ? '' : all.error.message.length).toBeLessThan(300)
    expect(unknownEvenBits(new Uint8Array(65_000).fill(0xff))).toHaveLength(8)
  })

  it('a feature without what it depends on is refused', () => {
    const zeroconf = checkFeatures(featuresFromBits([51]))
    expect(!zeroconf.ok && zeroconf.error).toMatchObject({
      code: 'MISSING_DEPENDENCY',
      missing: [{ feature: 'option_zeroconf', needs: 'option_scid_alias' }],
    })
    expect(checkFeatures(featuresFromBits([51, 47])).ok).toBe(true)
    expect(checkFeatures(featuresFromBits([61])).ok).toBe(false)
  })

  it('a dependency on an assumed feature needs no bit', () => {
    expect(checkFeatures(featuresFromBits([17])).ok).toBe(true)
  })

  it('what an LDK node sends is accepted', () => {
    const ldk = fromHex('08a0800a8a51a1')
    expect(checkFeatures(ldk).ok).toBe(true)
    expect(isNegotiated(ourInitFeatures(), ldk, 'option_anchors')).toBe(true)
  })
})

describe('BOLT 2 §defined-channel-types', () => {
  it('anchors is bits 12 and 22, static_remotekey bit 12', () => {
    expect(featureBits(encodeChannelType('anchors'))).toEqual([12, 22])
    expect(featureBits(encodeChannelType('static_remotekey'))).toEqual([12])
  })

  it('leading zeros change nothing; any other set of bits is none of ours', () => {
    expect(decodeChannelType(fromHex('0000401000'))).toBe('anchors')
    expect(decodeChannelType(fromHex('1000'))).toBe('static_remotekey')
    for (const bits of [[], [13], [22], [12, 23], [12, 22, 46], [12, 22, 50], [12, 20]]) {
      expect(decodeChannelType(featuresFromBits(bits))).toBeNull()
    }
  })
})
