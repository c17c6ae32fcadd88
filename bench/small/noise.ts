import { createCipher, createReader, openFrames, sealFrames } from '../../src/noise/cipher.ts'
import { type Suite, task, timeSuite } from '../harness.ts'

const key = new Uint8Array(32).fill(1)
const chainingKey = new Uint8Array(32).fill(2)
/** An update_add_htlc. */
const MESSAGE = new Uint8Array(1452).fill(3)
const FRAMES = 50

/** Sealing and opening are timed together: a frame can be opened once alone, by the reader whose turn it is. */
export function noiseSuite(): Promise<Suite> {
  const roundTrip = (messages: readonly Uint8Array[]) => {
    const cipher = createCipher(key, chainingKey)
    const reader = createReader(key, chainingKey)
    return () => openFrames(reader, sealFrames(cipher, messages)).messages
  }
  const one = [MESSAGE]
  const many = Array.from({ length: FRAMES }, () => MESSAGE)
  const small = Array.from({ length: FRAMES }, () => MESSAGE.subarray(0, 101))
  return timeSuite('Transport frames (BOLT 8), sealed and opened', [
    task({ name: 'one frame of 1,452 bytes', run: roundTrip(one), expect: one }),
    task({ name: 'frames of 1,452 bytes, 50 at once', run: roundTrip(many), expect: many, operations: FRAMES }),
    task({ name: 'frames of 101 bytes, 50 at once', run: roundTrip(small), expect: small, operations: FRAMES }),
  ])
}
