import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { InvariantError } from '../../src/base/errors.ts'
import {
  createCipher,
  createReader,
  FRAME_OVERHEAD,
  MAX_MESSAGE_LENGTH,
  openFrames,
  sealFrames,
} from '../../src/noise/cipher.ts'

const KEY = new Uint8Array(32).fill(7)
const CHAINING_KEY = new Uint8Array(32).fill(9)
const sealAll = (messages: readonly Uint8Array[]) => sealFrames(createCipher(KEY, CHAINING_KEY), messages)
const reader = () => createReader(KEY, CHAINING_KEY)

/** Cuts bytes at the given places, each taken modulo the length. */
function split(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = [0, ...places.map((p) => p % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((to, i) => bytes.slice(cuts[i], to))
}

const message = fc.uint8Array({ maxLength: 300 })
const messages = fc.array(message, { maxLength: 12 })

describe('BOLT 8 §receiving-and-decrypting-messages', () => {
  it('gives the same messages however the stream is cut into chunks', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 30 }), (sent, places) => {
        const r = reader()
        const got = split(sealAll(sent), places).flatMap((chunk) => openFrames(r, chunk).messages)
        return r.fault === null && got.length === sent.length && got.every((m, i) => toHex(m) === toHex(sent[i]!))
      }),
    )
  })

  it('gives the same messages byte by byte across a key rotation', () => {
    const sent = Array.from({ length: 502 }, (_, i) => Uint8Array.of(i >>> 8, i & 0xff))
    const r = reader()
    const got = split(
      sealAll(sent),
      Array.from({ length: 502 * 36 }, (_, i) => i),
    ).flatMap((c) => openFrames(r, c).messages)
    expect(got.map(toHex)).toEqual(sent.map(toHex))
  })

  it('any flipped bit is a fault: the messages before it are delivered, nothing after it is', () => {
    const args = [
      fc.array(message, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.array(fc.nat(), { maxLength: 8 }),
    ] as const
    fc.assert(
      fc.property(...args, (sent, bit, places) => {
        const wire = sealAll(sent)
        const at = bit % (wire.length * 8)
        wire[at >>> 3]! ^= 1 << (at & 7)
        let whole = 0
        for (let end = 0; whole < sent.length && end + sent[whole]!.length + FRAME_OVERHEAD <= at >>> 3; whole++) {
          end += sent[whole]!.length + FRAME_OVERHEAD
        }
        const r = reader()
        const got = split(wire, places).flatMap((chunk) => openFrames(r, chunk).messages)
        return r.fault !== null && got.length === whole && got.every((m, i) => toHex(m) === toHex(sent[i]!))
      }),
    )
  })

  it('stays faulty: a good frame after a bad one is not read', () => {
    const wire = sealAll([Uint8Array.of(1)])
    const r = reader()
    const bad = wire.slice()
    bad[0]! ^= 1
    expect(openFrames(r, bad)).toEqual({ messages: [], fault: 'BAD_LENGTH_TAG' })
    expect(openFrames(r, wire)).toEqual({ messages: [], fault: 'BAD_LENGTH_TAG' })
  })

  it('keeps no more than the unfinished piece, whatever arrives', () => {
    const wire = sealAll([new Uint8Array(MAX_MESSAGE_LENGTH), new Uint8Array(MAX_MESSAGE_LENGTH)])
    const r = reader()
    expect(openFrames(r, wire.subarray(0, 18 + 40_000)).messages).toEqual([])
    expect(r.pending.length).toBe(MAX_MESSAGE_LENGTH + 16)
    expect(openFrames(r, wire.subarray(18 + 40_000)).messages.map((m) => m.length)).toEqual([
      MAX_MESSAGE_LENGTH,
      MAX_MESSAGE_LENGTH,
    ])
    expect(r.pending.length).toBe(0)
  })

  it('opened messages do not alias the received chunk', () => {
    const chunk = sealAll([Uint8Array.of(1, 2, 3)])
    const [m] = openFrames(reader(), chunk).messages
    chunk.fill(0)
    expect(m).toEqual(Uint8Array.of(1, 2, 3))
  })
})

describe('BOLT 8 §encrypting-and-sending-messages', () => {
  it('refuses a message of more than 65,535 bytes', () => {
    expect(() => sealAll([new Uint8Array(MAX_MESSAGE_LENGTH + 1)])).toThrow(InvariantError)
  })

  it('one write of several messages has the bytes of several writes', () => {
    fc.assert(
      fc.property(messages, (sent) => {
        const cipher = createCipher(KEY, CHAINING_KEY)
        return toHex(sealAll(sent)) === sent.map((m) => toHex(sealFrames(cipher, [m]))).join('')
      }),
    )
  })
})
