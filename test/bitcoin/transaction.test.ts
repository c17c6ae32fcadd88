import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import type { Txid } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { blockSizes, encodeBlock } from '../../src/bitcoin/block.ts'
import { BitcoinFormatError } from '../../src/bitcoin/errors.ts'
import { genesisBlock } from '../../src/bitcoin/genesis.ts'
import { SIGHASH_ALL, SIGHASH_SINGLE, sighashV0 } from '../../src/bitcoin/sighash.ts'
import {
  decodeTransaction,
  encodeTransaction,
  encodeTransactionStripped,
  sizesOf,
  type Transaction,
} from '../../src/bitcoin/transaction.ts'

const core = JSON.parse(
  readFileSync(new URL('../vectors/fixtures/core-transactions.json', import.meta.url), 'utf8'),
) as {
  valid: [unknown, string, string][]
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
const u32 = fc.integer({ min: 0, max: 0xffffffff })
const transaction: fc.Arbitrary<Transaction> = fc.record({
  version: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  inputs: fc.array(
    fc.record({
      txid: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => toHex(b) as Txid),
      index: u32,
      scriptSig: bytes(300),
      sequence: u32,
      witness: fc.array(bytes(300), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  outputs: fc.array(
    fc.record({
      amountSat: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((v) => v as Sat),
      scriptPubKey: bytes(300),
    }),
    { maxLength: 4 },
  ),
  lockTime: u32,
})

describe('BIP 144: transactions', () => {
  it('come back from their bytes, and their sizes are known without encoding', () => {
    fc.assert(
      fc.property(transaction, (tx) => {
        const encoded = encodeTransaction(tx)
        expect(decodeTransaction(encoded)).toEqual(tx)
        expect(sizesOf(tx)).toEqual({ stripped: encodeTransactionStripped(tx).length, full: encoded.length })
      }),
    )
  })

  it('Bitcoin Core tx_valid: every one encodes to the bytes that it came from', () => {
    for (const [, hex] of core.valid) expect(toHex(encodeTransaction(decodeTransaction(fromHex(hex))))).toBe(hex)
  })

  it('any bytes decode or are refused with BitcoinFormatError', () => {
    const sample = fromHex(core.valid[0]![1])
    const cut = fc.nat(sample.length).map((n) => sample.slice(0, n))
    const flipped = fc.tuple(fc.nat(sample.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, x]) => {
      const b = sample.slice()
      b[at]! ^= x
      return b
    })
    fc.assert(
      fc.property(fc.oneof(bytes(200), cut, flipped), (b) => {
        try {
          decodeTransaction(b)
        } catch (e) {
          expect(e).toBeInstanceOf(BitcoinFormatError)
        }
      }),
    )
  })

  it('block sizes are those of its bytes', () => {
    const genesis = genesisBlock('bitcoin')
    expect(blockSizes(genesis)).toEqual({ stripped: 285, full: encodeBlock(genesis).length })
  })
})

describe('BIP 143: published digests', () => {
  it('native P2WPKH, SIGHASH_ALL', () => {
    const tx = decodeTransaction(
      fromHex(
        '0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000',
      ),
    )
    const digest = sighashV0(
      tx,
      {
        index: 1,
        scriptCode: fromHex('76a9141d0f172a0ecb48aee1be1f2687d2963ae33f71a188ac'),
        amountSat: 600_000_000n as Sat,
      },
      SIGHASH_ALL,
    )
    expect(toHex(digest)).toBe('c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670')
  })

  it('P2WSH with SIGHASH_SINGLE', () => {
    const tx = decodeTransaction(
      fromHex(
        '0100000002fe3dc9208094f3ffd12645477b3dc56f60ec4fa8e6f5d67c565d1c6b9216b36e0000000000ffffffff0815cf020f013ed6cf91d29f4202e8a58726b1ac6c79da47c23d1bee0a6925f80000000000ffffffff0100f2052a010000001976a914a30741f8145e5acadf23f751864167f32e0963f788ac00000000',
      ),
    )
    const scriptCode = fromHex(
      '21026dccc749adc2a9d0d89497ac511f760f45c47dc5ed9cf352a58ac706453880aeadab210255a9626aebf5e29c0e6538428ba0d1dcf6ca98ffdf086aa8ced5e0d0215ea465ac',
    )
    const digest = sighashV0(tx, { index: 1, scriptCode, amountSat: 4_900_000_000n as Sat }, SIGHASH_SINGLE)
    expect(toHex(digest)).toBe('82dde6e4f1e94d02c2b7ad03d2115d691f48d064e9d52f58194a6637e4194391')
  })
})
