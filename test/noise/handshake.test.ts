import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import {
  type HandshakeFault,
  initiatorActTwo,
  noiseKey,
  responderActOne,
  responderActThree,
  startInitiator,
  startResponder,
  type TransportKeys,
} from '../../src/noise/handshake.ts'

const key = (byte: number) => noiseKey(new Uint8Array(32).fill(byte))
const [ALICE, BOB] = [key(1), key(2)]

/** Both sides up to the end, or to the first fault; `tamper` may change an act on its way. */
function run(
  tamper: (act: number, bytes: Uint8Array) => Uint8Array = (_, b) => b,
  remote = BOB.publicKey,
): HandshakeFault | TransportKeys[] {
  const one = startInitiator({ local: ALICE, ephemeral: key(3), remote })
  if (!one.ok) return one.error
  const two = responderActOne(startResponder({ local: BOB, ephemeral: key(4) }), tamper(1, one.value.message))
  if (!two.ok) return two.error
  const three = initiatorActTwo(one.value.state, tamper(2, two.value.message))
  if (!three.ok) return three.error
  const done = responderActThree(two.value.state, tamper(3, three.value.message))
  if (!done.ok) return done.error
  expect(done.value.remote).toEqual(ALICE.publicKey)
  return [three.value.keys, done.value.keys]
}

describe('BOLT 8 §authenticated-key-exchange-handshake-specification', () => {
  it('leaves both sides with each other’s keys', () => {
    const [ours, theirs] = run() as TransportKeys[]
    expect(toHex(ours!.sendKey)).toBe(toHex(theirs!.receiveKey))
    expect(toHex(ours!.receiveKey)).toBe(toHex(theirs!.sendKey))
    expect(toHex(ours!.chainingKey)).toBe(toHex(theirs!.chainingKey))
    expect(toHex(ours!.sendKey)).not.toBe(toHex(ours!.receiveKey))
  })

  it('fails at the act in which any bit was flipped', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.nat(), (act, bit) => {
        const outcome = run((n, bytes) => {
          const changed = bytes.slice()
          if (n === act) changed[(bit >>> 3) % bytes.length]! ^= 1 << (bit & 7)
          return changed
        })
        return typeof outcome === 'string' && outcome.startsWith(`ACT${act}_`)
      }),
    )
  })

  it('any bytes in place of an act are a fault of that act', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.uint8Array({ maxLength: 120 }), (act, bytes) => {
        const outcome = run((n, good) => (n === act ? bytes : good))
        return typeof outcome === 'string' && outcome.startsWith(`ACT${act}_`)
      }),
    )
  })

  it('the responder refuses who does not know its node id', () => {
    expect(run((_, b) => b, ALICE.publicKey)).toBe('ACT1_BAD_TAG')
  })

  it('refuses a node id that is not a point before it sends anything', () => {
    const notAPoint = fromHex(`02${'ff'.repeat(32)}`)
    expect(crypto.isValidPublicKey(notAPoint)).toBe(false)
    expect(run((_, b) => b, notAPoint)).toBe('REMOTE_KEY_INVALID')
  })
})
