import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../src/base/bytes.ts'
import type { Sat } from '../../src/base/units.ts'
import { Reader, Writer } from '../../src/bitcoin/serialize.ts'
import { decodeTransaction, encodeTransaction, type Transaction } from '../../src/bitcoin/transaction.ts'

describe('Writer', () => {
  const writes: Readonly<Record<string, { write(w: Writer): Writer; read(r: Reader): unknown; value: unknown }>> = {
    u8: { write: (w) => w.u8(0xab), read: (r) => r.u8(), value: 0xab },
    u16: { write: (w) => w.u16(0xabcd), read: (r) => r.u16(), value: 0xabcd },
    u32: { write: (w) => w.u32(0xabcdef01), read: (r) => r.u32(), value: 0xabcdef01 },
    i32: { write: (w) => w.i32(-2), read: (r) => r.i32(), value: -2 },
    u64: { write: (w) => w.u64(0xabcdef0123456789n), read: (r) => r.u64(), value: 0xabcdef0123456789n },
    varint: { write: (w) => w.varint(0xabcdef), read: (r) => r.varint(), value: 0xabcdef },
    varbytes: {
      write: (w) => w.varbytes(Uint8Array.of(1, 2, 3)),
      read: (r) => [...r.bytes(r.varint())],
      value: [1, 2, 3],
    },
  }

  it.each(Object.keys(writes))('%s loses nothing wherever the buffer grows', (name) => {
    const { write, read, value } = writes[name]!
    const isRight = (before: number): boolean => {
      const filler = new Uint8Array(before).fill(0x77)
      const r = new Reader(write(new Writer().bytes(filler)).u8(0x99).finish())
      return isDeepStrictEqual([r.bytes(before), read(r), r.u8(), r.remaining], [filler, value, 0x99, 0])
    }
    const lengths = Array.from({ length: 2_100 }, (_, i) => i)
    expect(lengths.filter((n) => !isRight(n))).toEqual([])
  })
})

describe('encodeTransaction', () => {
  /** Eleven HTLCs in a static_remotekey commitment: the length of the last script was the 513th byte of what is signed. */
  it('keeps every output, however many of which size there are', () => {
    for (let short = 0; short < 30; short++) {
      for (let long = 0; long < 30; long++) {
        if (short + long === 0) continue
        const script = (n: number) => concatBytes(Uint8Array.of(0, n), new Uint8Array(n).fill(7))
        const outputs = [...Array(short).fill(20), ...Array(long).fill(32)].map((n: number, i) => {
          return { amountSat: BigInt(i) as Sat, scriptPubKey: script(n) }
        })
        const input = { txid: '11'.repeat(32), index: 0, scriptSig: new Uint8Array(), sequence: 0, witness: [] }
        const tx = { version: 2, inputs: [input], outputs, lockTime: 0 } as unknown as Transaction
        const read = decodeTransaction(encodeTransaction(tx)).outputs
        expect([short, long, isDeepStrictEqual(read, outputs)]).toEqual([short, long, true])
      }
    }
  })
})
