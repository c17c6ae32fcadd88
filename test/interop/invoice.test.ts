import { bech32 } from '@scure/base'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concatBytes, toHex, utf8 } from '../../src/base/bytes.ts'
import type { NodeId, PaymentHash, ShortChannelId } from '../../src/base/ids.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import { p2pkh, p2sh, p2tr, p2wpkh } from '../../src/bitcoin/script.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createInvoice, decodeInvoice, type Invoice, type InvoiceRequest } from '../../src/invoice/bolt11.ts'
import { InvoiceError } from '../../src/invoice/errors.ts'
import { TAGS } from '../../src/invoice/fields.ts'
import { packWords, toWords } from '../../src/invoice/words.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import { Rng } from '../adversary/rng.ts'
import { type LdkPeer, startLdkPeer } from './ldk.ts'

const SECRET = new Uint8Array(32).fill(7)
const PAYEE = toHex(crypto.publicKey(SECRET)) as NodeId
const sign = (hash: Uint8Array) => crypto.ecdsaSignRecoverable(hash, SECRET)

const rng = new Rng(11)
const one = <T>(of: readonly T[]): T => of[rng.below(of.length)]!
const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => rng.below(256))
const many = <T>(most: number, make: () => T): T[] => Array.from({ length: rng.below(most + 1) }, make)
const hop = () => ({
  nodeId: PAYEE,
  shortChannelId: ((BigInt(rng.next()) << 32n) | BigInt(rng.next())) as ShortChannelId,
  feeBaseMsat: rng.next(),
  feeProportionalMillionths: rng.next(),
  cltvExpiryDelta: rng.below(0x1_0000),
})
const someInvoice = (): InvoiceRequest => ({
  network: one(['bitcoin', 'testnet', 'signet', 'regtest'] as const),
  amountMsat: one([null, msat(1n), msat(25_000n), msat(BigInt(1 + rng.next())), msat(10n ** 14n)]) as Msat | null,
  timestamp: 1_700_000_000 + rng.below(10 ** 8),
  paymentHash: toHex(bytes(32)) as PaymentHash,
  paymentSecret: bytes(32),
  ...one([
    { description: 'tea' },
    { description: '' },
    { description: 'ナンセンス 1杯' },
    { descriptionHash: bytes(32) },
  ]),
  ...one([{}, { expirySeconds: 1 + rng.below(10 ** 9) }]),
  ...one([{}, { minFinalCltvExpiryDelta: 1 + rng.below(3_000) }]),
  features: featuresFromBits(
    one([
      [8, 14],
      [9, 15],
      [8, 14, 17],
      [9, 14, 17, 99],
    ]),
  ),
  ...one([{}, { paymentMetadata: bytes(1 + rng.below(100)) }]),
  routeHints: many(3, () => [hop(), ...many(2, hop)]),
  fallbackScripts: many(2, () => one([p2pkh(bytes(20)), p2sh(bytes(20)), p2wpkh(bytes(20)), p2tr(bytes(32))])),
})

const read = (text: string): Invoice | null => {
  try {
    return decodeInvoice(text)
  } catch (e) {
    if (e instanceof InvoiceError) return null
    throw e
  }
}

/** An invoice of any words, with a right signature and checksum. */
function signed(prefix: string, data: readonly number[], change = (s: Uint8Array) => s): string {
  const { signature, recoveryId } = sign(crypto.sha256(concatBytes(utf8(prefix), packWords(data))))
  return bech32.encode(prefix, [...data, ...toWords(change(concatBytes(signature, Uint8Array.of(recoveryId))))], false)
}
const field = (tag: number, data: readonly number[]): number[] => [tag, data.length >>> 5, data.length & 31, ...data]
const TIME = [1, 18, 21, 4, 30, 8, 0]
const p = field(TAGS.paymentHash, toWords(bytes(32)))
const s = field(TAGS.paymentSecret, toWords(bytes(32)))
const d = field(TAGS.description, toWords(utf8('tea')))
const h = field(TAGS.descriptionHash, toWords(bytes(32)))
const nine = field(TAGS.features, [16, 8, 0]) // bits 8 and 14
const whole = [...TIME, ...p, ...s, ...d, ...nine]
const badKey = concatBytes(Uint8Array.of(9), bytes(50))

describe('BOLT 11 with LDK', () => {
  let peer: LdkPeer
  beforeAll(async () => {
    peer = await startLdkPeer()
  })
  afterAll(() => peer.stop())

  it('what we write is read alike by both', async () => {
    for (let n = 0; n < 150; n++) {
      const text = createInvoice(someInvoice(), sign)
      const ours = decodeInvoice(text)
      expect(await peer.cmd('decode_invoice', { invoice: text })).toEqual({
        payee: ours.payee,
        hash: ours.paymentHash,
        secret: toHex(ours.paymentSecret),
        msat: ours.amountMsat?.toString() ?? null,
        timestamp: ours.timestamp,
        expiry: ours.expirySeconds,
        final_delta: ours.minFinalCltvExpiryDelta,
        fallbacks: ours.fallbackScripts.length,
        hints: ours.routeHints.map((hint) => hint.map((x) => Object.values(x).join())),
      })
    }
  })

  it.each<[string, string, boolean]>([
    ['nothing wrong', signed('lnbcrt25u', whole), true],
    ['fields in another order', signed('lnbcrt25u', [...TIME, ...nine, ...d, ...s, ...p]), true],
    ['an unknown field', signed('lnbcrt25u', [...whole, ...field(2, [1, 2, 3])]), true],
    ['fields of unusual lengths', signed('lnbcrt25u', [...whole, ...field(TAGS.payee, toWords(bytes(32)))]), true],
    ['no amount', signed('lnbcrt', whole), true],
    ['pico-bitcoin that are whole', signed('lnbcrt10p', whole), true],
    ['half a millisatoshi', signed('lnbcrt15p', whole), false],
    ['a multiplier that there is not', signed('lnbcrt1x', whole), false],
    ['no hash', signed('lnbcrt25u', [...TIME, ...s, ...d, ...nine]), false],
    ['no secret', signed('lnbcrt25u', [...TIME, ...p, ...d, ...nine]), false],
    ['no description', signed('lnbcrt25u', [...TIME, ...p, ...s, ...nine]), false],
    ['both descriptions', signed('lnbcrt25u', [...whole, ...h]), false],
    [
      'an even feature of no name',
      signed('lnbcrt25u', [...TIME, ...p, ...s, ...d, ...field(TAGS.features, [1, ...Array(20).fill(0)])]),
      false,
    ],
    ['a hint of half a hop', signed('lnbcrt25u', [...whole, ...field(TAGS.routeHint, toWords(bytes(50)))]), false],
    ['a hint by no public key', signed('lnbcrt25u', [...whole, ...field(TAGS.routeHint, toWords(badKey))]), false],
    ['a field that is cut off', signed('lnbcrt25u', [...whole, TAGS.description, 1, 0, 7]), false],
    [
      'no UTF-8',
      signed('lnbcrt25u', [...TIME, ...p, ...s, ...nine, ...field(TAGS.description, toWords(Uint8Array.of(0xff)))]),
      false,
    ],
    [
      'a key that did not sign',
      signed('lnbcrt25u', [...whole, ...field(TAGS.payee, toWords(crypto.publicKey(bytes(32))))]),
      false,
    ],
    ['a recovery id of 4', signed('lnbcrt25u', whole, (x) => concatBytes(x.subarray(0, 64), Uint8Array.of(4))), false],
  ])('%s: taken or refused by both', async (_, text, isTaken) => {
    const theirs = await peer.cmd('decode_invoice', { invoice: text })
    expect([read(text) !== null, theirs !== null]).toEqual([isTaken, isTaken])
  })
})
