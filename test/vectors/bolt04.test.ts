import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { buildErrorPacket, openErrorPacket, plainErrorPacket, wrapErrorPacket } from '../../src/onion/errorPacket.ts'
import { deriveKey } from '../../src/onion/keys.ts'
import { decodePayload, encodePayload } from '../../src/onion/payload.ts'
import { buildOnion, peelOnion, sharedSecretsOf } from '../../src/onion/sphinx.ts'
import vectors from './fixtures/bolt04.json' with { type: 'json' }

/** The vectors' payloads carry their BigSize length. */
const unframe = (framed: string): Uint8Array => fromHex(framed).slice(framed.startsWith('fd') ? 3 : 1)

describe('BOLT 4 §test-vector: onion packets', () => {
  const { onion } = vectors
  const hops = onion.hops.map((h) => ({ nodeKey: fromHex(h.nodeKey), payload: unframe(h.framedPayload) }))
  const associatedData = fromHex(onion.associatedData)

  it('builds the packet', () => {
    const built = buildOnion({ hops, sessionKey: fromHex(onion.sessionKey), associatedData })
    expect(toHex(built.packet)).toBe(onion.packet)
  })

  it('every hop reads its payload and hands the rest on', () => {
    let packet = fromHex(onion.packet)
    onion.nodeSecrets.forEach((secret, i) => {
      const peeled = peelOnion({ packet, nodeSecret: fromHex(secret), associatedData })
      const last = i === hops.length - 1
      expect(peeled.tag).toBe(last ? 'final' : 'forward')
      if (peeled.tag !== 'final' && peeled.tag !== 'forward') return
      expect(toHex(peeled.payload)).toBe(toHex(hops[i]!.payload))
      if (peeled.tag === 'forward') packet = peeled.packet
    })
  })

  it('the payloads mean what they say', () => {
    const decoded = hops.map((h) => decodePayload(h.payload))
    expect(decoded[0]).toEqual({
      ok: true,
      value: { amtToForward: 15000n, outgoingCltvValue: 1500, shortChannelId: 1n },
    })
    for (const [i, d] of decoded.entries()) {
      expect(d.ok && toHex(encodePayload(d.value))).toBe(toHex(hops[i]!.payload))
    }
  })
})

describe('BOLT 4 §test-vector: returning errors', () => {
  const simple = vectors.simpleError
  const returning = vectors.returningError
  const secretsOf = (v: { sessionKey: string }, keys: readonly string[]) =>
    sharedSecretsOf(fromHex(v.sessionKey), keys.map(fromHex))

  it('derives shared secrets and keys', () => {
    const secrets = secretsOf(
      simple,
      simple.hops.map((h) => h.nodeKey),
    )
    expect(secrets.map(toHex)).toEqual(simple.hops.map((h) => h.sharedSecret))
    expect(secrets.map((s) => toHex(deriveKey('ammag', s)))).toEqual(simple.hops.map((h) => h.ammag))
    expect(toHex(deriveKey('um', secrets[4]!))).toBe(simple.hops[4]!.um)
  })

  it('a failure without data travels from the last hop to the origin', () => {
    const secrets = simple.hops.map((h) => fromHex(h.sharedSecret))
    expect(toHex(plainErrorPacket(secrets[4]!, fromHex(simple.failure))).slice(64)).toBe(simple.hops[4]!.payload)
    let packet = buildErrorPacket(secrets[4]!, { name: 'temporary_node_failure' })
    for (const i of [3, 2, 1, 0]) packet = wrapErrorPacket(secrets[i]!, packet)
    expect(toHex(packet)).toBe(simple.packet)
    expect(openErrorPacket(secrets, packet)).toEqual({
      hop: 4,
      received: { code: 0x2002, failure: { name: 'temporary_node_failure' } },
    })
  })

  it('a failure with data and an extension travels from the last hop to the origin', () => {
    const secrets = secretsOf(returning, returning.nodeKeys)
    const length = Number.parseInt(returning.payload.slice(0, 4), 16)
    const message = fromHex(returning.payload.slice(4, 4 + 2 * length))
    expect(toHex(plainErrorPacket(fromHex(returning.sharedSecret), message, 1024))).toBe(returning.raw)

    let packet = buildErrorPacket(secrets[4]!, message, 1024)
    for (const step of returning.returned) {
      if (step.node !== 4) packet = wrapErrorPacket(secrets[step.node]!, packet)
      expect(toHex(packet)).toBe(step.packet)
    }
    expect(openErrorPacket(secrets, packet)).toEqual({
      hop: 4,
      received: {
        code: 0x400f,
        failure: {
          name: 'incorrect_or_unknown_payment_details',
          htlcMsat: BigInt(returning.htlcMsat),
          height: returning.height,
        },
      },
    })
  })
})
