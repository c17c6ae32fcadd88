import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, printable, u64be } from '../../src/base/bytes.ts'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { decodeTransaction, encodeTransaction, type Transaction } from '../../src/bitcoin/transaction.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { InvoiceError } from '../../src/invoice/errors.ts'
import { peelOnion } from '../../src/onion/sphinx.ts'

/** Surrogates without their halves too; the library's own unit of this kind takes seconds to set up. */
const anyCharacter = fc.integer({ min: 0, max: 0x10ffff }).map((c) => String.fromCodePoint(c))

describe('unreadable transaction (CVE-2022-39389 and -44797): transactions that only a miner would take', () => {
  it('a witness of half a million items is read like any other, so that the chain is followed', () => {
    const tx: Transaction = {
      version: 2,
      inputs: [
        {
          txid: '11'.repeat(32) as Txid,
          index: 0,
          scriptSig: new Uint8Array(0),
          sequence: 0xffffffff,
          witness: [...new Array<Uint8Array>(500_001).fill(new Uint8Array(0)), Uint8Array.of(0x50), new Uint8Array(33)],
        },
      ],
      outputs: [{ amountSat: sat(1_000), scriptPubKey: new Uint8Array(34).fill(0x51) }],
      lockTime: 0,
    }
    expect(decodeTransaction(encodeTransaction(tx)).inputs[0]!.witness.length).toBe(500_003)
  })
  it('a count that the bytes cannot hold ends at once, whatever it claims', () => {
    const claims = concatBytes(Uint8Array.of(2, 0, 0, 0, 0xff), u64be(2n ** 64n - 1n))
    expect(() => decodeTransaction(claims)).toThrow()
  })
})

describe('onion bomb (LND, 2024-06): a payload length that asks for more memory than there is', () => {
  it('no bytes make an onion cost more than its own size', () => {
    const secret = new Uint8Array(32).fill(1)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1366, maxLength: 1366 }), (packet) => {
        packet[0] = 0
        const before = process.memoryUsage().arrayBuffers
        const peeled = peelOnion({ packet, associatedData: new Uint8Array(32), nodeSecret: secret } as never)
        expect(peeled.tag).toBe('malformed')
        expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000)
      }),
      { numRuns: 50 },
    )
  })
})

describe('malformed invoices (LDK 0.0.123 and 0.2.3): what is none', () => {
  it('text of any alphabet, amount or multiplier decodes or is refused, never otherwise', () => {
    const parts = fc.tuple(
      fc.constantFrom('lnbc', 'lnbcrt', 'lntb', 'LNBC', 'lnbc\u00e9', '\ud83d\ude00'),
      fc.oneof(fc.string({ maxLength: 8 }), fc.bigInt({ min: 0n, max: 2n ** 200n }).map(String)),
      fc.constantFrom('', 'm', 'u', 'n', 'p', 'x'),
      fc.string({ unit: fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l1'), maxLength: 300 }),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          parts.map((p) => p.join('')),
          fc.string({ unit: anyCharacter, maxLength: 200 }),
        ),
        (text) => {
          try {
            decodeInvoice(text)
          } catch (e) {
            expect(e).toBeInstanceOf(InvoiceError)
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('terminal injection (LDK 0.2.3 and 0.2.5): text from others in logs and on screens', () => {
  it('has no character left that moves the cursor, turns the text around or breaks a line', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: anyCharacter }), (bytes, text) => {
        for (const shown of [printable(bytes), printable(`${text}\u202e\u2028\u2029\u0000\u001b[2J\u200b\ufeff`)]) {
          expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
          expect(shown.length).toBeLessThanOrEqual(201)
        }
      }),
    )
  })
})
