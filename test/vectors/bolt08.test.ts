import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { type Cipher, createCipher, createReader, openFrames, sealFrames } from '../../src/noise/cipher.ts'
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
import vectors from './fixtures/bolt08.json' with { type: 'json' }

interface Handshake {
  readonly name: string
  readonly local: string
  readonly ephemeral: string
  readonly remote?: string
  readonly acts: readonly { readonly act: number; readonly direction: string; readonly bytes: string }[]
  readonly keys?: { readonly send: string; readonly receive: string }
  readonly fault?: string
}
interface Outcome {
  readonly sent: readonly string[]
  readonly fault?: HandshakeFault
  readonly keys?: TransportKeys
  readonly remote?: Uint8Array
}

const keysOf = (v: Handshake) => ({ local: noiseKey(fromHex(v.local)), ephemeral: noiseKey(fromHex(v.ephemeral)) })
const inputOf = (v: Handshake, act: number) =>
  fromHex(v.acts.find((a) => a.act === act && a.direction === 'input')!.bytes)

function runInitiator(v: Handshake): Outcome {
  const one = startInitiator({ ...keysOf(v), remote: fromHex(v.remote!) })
  if (!one.ok) return { sent: [], fault: one.error }
  const sent = [toHex(one.value.message)]
  const three = initiatorActTwo(one.value.state, inputOf(v, 2))
  return three.ok
    ? { sent: [...sent, toHex(three.value.message)], keys: three.value.keys }
    : { sent, fault: three.error }
}

function runResponder(v: Handshake): Outcome {
  const two = responderActOne(startResponder(keysOf(v)), inputOf(v, 1))
  if (!two.ok) return { sent: [], fault: two.error }
  const sent = [toHex(two.value.message)]
  const done = responderActThree(two.value.state, inputOf(v, 3))
  return done.ok ? { sent, ...done.value } : { sent, fault: done.error }
}

function check(v: Handshake, run: (v: Handshake) => Outcome): Outcome {
  const outcome = run(v)
  expect(outcome.sent).toEqual(v.acts.filter((a) => a.direction === 'output').map((a) => a.bytes))
  expect(outcome.fault).toBe(v.fault)
  const keys = outcome.keys && { send: toHex(outcome.keys.sendKey), receive: toHex(outcome.keys.receiveKey) }
  expect(keys).toEqual(v.keys)
  return outcome
}

// BOLT 8 §handshake-versioning, §act-one, §act-two, §act-three: each with a wrong version, key and MAC.
describe('BOLT 8 appendix A: handshake', () => {
  it.each(vectors.initiator as readonly Handshake[])('initiator: $name', (v) => {
    check(v, runInitiator)
  })

  it.each(vectors.responder as readonly Handshake[])('responder: $name', (v) => {
    const { remote } = check(v, runResponder)
    const dialler = toHex(crypto.publicKey(fromHex(vectors.initiator[0]!.local)))
    expect(remote && toHex(remote)).toBe(v.keys && dialler)
  })
})

// BOLT 8 §lightning-message-key-rotation
describe('BOLT 8 appendix A: message encryption', () => {
  const { transport } = vectors
  const plaintext = fromHex(transport.plaintext)
  const expected = new Map(transport.outputs.map((o) => [o.index, o.bytes]))
  const rotated = (c: Cipher) => ({ key: toHex(c.key), chainingKey: toHex(c.chainingKey) })

  it('seals 1,002 messages, rotating the key after every 500', () => {
    const cipher = createCipher(fromHex(transport.sk), fromHex(transport.ck))
    const rotations: unknown[] = []
    let seen = 0
    for (let i = 0; i < transport.messages; i++) {
      const frame = sealFrames(cipher, [plaintext])
      if (expected.has(i)) {
        expect(toHex(frame)).toBe(expected.get(i))
        seen++
      }
      if (cipher.uses === 0) rotations.push(rotated(cipher))
    }
    expect(seen).toBe(expected.size)
    expect(rotations).toEqual(transport.rotations)
  })

  it('seals the same bytes when all messages go out in one write, and opens them again', () => {
    const all = Array.from({ length: transport.messages }, () => plaintext)
    const wire = sealFrames(createCipher(fromHex(transport.sk), fromHex(transport.ck)), all)
    const frame = plaintext.length + 34
    for (const [i, bytes] of expected) expect(toHex(wire.subarray(i * frame, (i + 1) * frame))).toBe(bytes)

    const reader = createReader(fromHex(transport.sk), fromHex(transport.ck))
    const opened = openFrames(reader, wire)
    expect(opened.fault).toBeNull()
    expect(opened.messages.map(toHex)).toEqual(all.map(toHex))
    expect(rotated(reader.cipher)).toEqual(transport.rotations.at(-1))
  })
})
