import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import type { Sat } from '../../src/base/units.ts'
import { decodeAddress, encodeAddress } from '../../src/bitcoin/address.ts'
import { BitcoinFormatError } from '../../src/bitcoin/errors.ts'
import { NETWORKS, type Network } from '../../src/bitcoin/networks.ts'
import { dustThreshold, isDust } from '../../src/bitcoin/policy.ts'
import { p2pkh, p2sh, p2tr, p2wpkh, p2wsh } from '../../src/bitcoin/script.ts'

/** [address, script, network]: the valid ones of BIP 173 and BIP 350 with a network of ours. */
const VALID: readonly [string, string, Network][] = [
  ['BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4', '0014751e76e8199196d454941c45d1b3a323f1433bd6', 'bitcoin'],
  [
    'tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7',
    '00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262',
    'testnet',
  ],
  [
    'bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y',
    '5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6',
    'bitcoin',
  ],
  ['BC1SW50QGDZ25J', '6002751e', 'bitcoin'],
  ['bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs', '5210751e76e8199196d454941c45d1b3a323', 'bitcoin'],
  [
    'tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy',
    '0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433',
    'signet',
  ],
  [
    'tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c',
    '5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433',
    'testnet',
  ],
  [
    'bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0',
    '512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
    'bitcoin',
  ],
  ['1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa', '76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac', 'bitcoin'],
  ['3P14159f73E4gFr7JterCCQh9QjiTjiZrG', 'a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87', 'bitcoin'],
]

/** [address, why]: the invalid ones of BIP 350. */
const INVALID: readonly [string, RegExp][] = [
  ['tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut', /base58/],
  ['bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd', /bech32m/],
  ['BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL', /bech32m/],
  ['bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh', /bech32/],
  ['bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4', /checksum/],
  ['BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R', /version/],
  ['bc1pw5dgrnzv', /2 – 40/],
  ['bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav', /2 – 40/],
  ['BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P', /20 or 32/],
  ['bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf', /2 – 40/],
  ['bc1gmk9yu', /./],
  ['tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx', /"tb1"/],
  ['mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn', /version byte/],
  ['1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb', /checksum/],
  ['', /./],
]

describe('BIP 173, BIP 350: addresses', () => {
  it.each(VALID)('%s is %s on %s', (address, script, network) => {
    expect(toHex(decodeAddress(address, network))).toBe(script)
    const again = encodeAddress(fromHex(script), network)
    expect(again).toBe(/^(bc|tb)1/i.test(address) ? address.toLowerCase() : address)
  })

  it.each(INVALID)('%s is refused', (address, why) => {
    expect(() => decodeAddress(address, 'bitcoin')).toThrow(BitcoinFormatError)
    expect(() => decodeAddress(address, 'bitcoin')).toThrow(why)
  })

  it('every standard script has an address that decodes to it, on every network', () => {
    const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n })
    const script = fc.oneof(
      bytes(20).map(p2wpkh),
      bytes(32).map(p2wsh),
      bytes(32).map(p2tr),
      bytes(20).map(p2pkh),
      bytes(20).map(p2sh),
    )
    fc.assert(
      fc.property(script, fc.constantFrom(...NETWORKS), (s, network) => {
        expect(decodeAddress(encodeAddress(s, network)!, network)).toEqual(s)
      }),
    )
  })

  it('any text is an address or a BitcoinFormatError', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string().map((s) => `bcrt1${s}`),
    )
    fc.assert(
      fc.property(text, (s) => {
        try {
          decodeAddress(s, 'regtest')
        } catch (e) {
          expect(e).toBeInstanceOf(BitcoinFormatError)
        }
      }),
    )
  })
})

describe('BOLT 3 §dust-limits', () => {
  it.each([
    ['P2PKH', p2pkh(new Uint8Array(20)), 546n],
    ['P2SH', p2sh(new Uint8Array(20)), 540n],
    ['P2WPKH', p2wpkh(new Uint8Array(20)), 294n],
    ['P2WSH', p2wsh(new Uint8Array(20)), 330n],
    ['the largest unknown segwit program', fromHex(`6028${'00'.repeat(40)}`), 354n],
    ['OP_RETURN', fromHex('6a0100'), 0n],
  ])('%s', (_name, script, threshold) => {
    expect(dustThreshold(script)).toBe(threshold)
    expect(isDust(threshold as Sat, script)).toBe(false)
    if (threshold > 0n) expect(isDust((threshold - 1n) as Sat, script)).toBe(true)
  })
})
