import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { ShortChannelId } from '../../src/base/ids.ts'
import { MAX_MSAT, type Msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createBlindedPath, encodeRecipientData, unblind } from '../../src/onion/blinding.ts'
import { buildErrorPacket, openErrorPacket, wrapErrorPacket } from '../../src/onion/errorPacket.ts'
import { OnionError } from '../../src/onion/errors.ts'
import {
  BADONION,
  decodeFailure,
  encodeFailure,
  failureCode,
  failureName,
  NODE,
  type OnionFailure,
  PERM,
  UPDATE,
} from '../../src/onion/failure.ts'
import { decodePayload, encodePayload, type OnionPayload } from '../../src/onion/payload.ts'
import { buildOnion, frameLength, PAYMENT_ONION_LENGTH, peelOnion } from '../../src/onion/sphinx.ts'

const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const amount = fc.bigInt({ min: 0n, max: MAX_MSAT }) as fc.Arbitrary<Msat>
const scid = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) as fc.Arbitrary<ShortChannelId>

/** A few nodes, so that routes cost no key generation. */
const NODES = Array.from({ length: 20 }, (_, i) => {
  const secret = new Uint8Array(32).fill(i + 1)
  return { secret, key: crypto.publicKey(secret) }
})
const SESSION = new Uint8Array(32).fill(0x77)

const route = fc
  .array(fc.tuple(fc.constantFrom(...NODES), fc.uint8Array({ minLength: 2, maxLength: 600 })), {
    minLength: 1,
    maxLength: 20,
  })
  .map((hops) => {
    let room = 1300
    return hops.filter(([, payload]) => {
      const fits = frameLength(payload.length) <= room
      if (fits) room -= frameLength(payload.length)
      return fits
    })
  })
  .map((hops) => hops.map(([node, payload]) => ({ node, payload })))
const build = (hops: readonly { node: (typeof NODES)[number]; payload: Uint8Array }[], associatedData: Uint8Array) =>
  buildOnion({
    hops: hops.map((h) => ({ nodeKey: h.node.key, payload: h.payload })),
    sessionKey: SESSION,
    associatedData,
  })

describe('BOLT 4 §packet-construction and §onion-decryption', () => {
  it('each hop of any route reads its own payload, and only the last sees that it is the last', () => {
    fc.assert(
      fc.property(route, bytes(32), (hops, associatedData) => {
        const built = build(hops, associatedData)
        let packet = built.packet
        for (const [i, hop] of hops.entries()) {
          expect(packet.length).toBe(PAYMENT_ONION_LENGTH)
          const peeled = peelOnion({ packet, nodeSecret: hop.node.secret, associatedData })
          if (peeled.tag !== 'forward' && peeled.tag !== 'final') throw new Error(peeled.tag)
          expect(peeled.tag === 'final').toBe(i === hops.length - 1)
          expect(toHex(peeled.payload)).toBe(toHex(hop.payload))
          expect(toHex(peeled.sharedSecret)).toBe(toHex(built.sharedSecrets[i]!))
          if (peeled.tag === 'forward') packet = peeled.packet
        }
      }),
      { numRuns: 60 },
    )
  })

  it('a payload that fills the onion to the last byte fits, one more byte does not', () => {
    const most = { node: NODES[0]!, payload: new Uint8Array(1300 - 32 - 3).fill(9) }
    const { packet } = build([most], new Uint8Array(32))
    const peeled = peelOnion({ packet, nodeSecret: NODES[0]!.secret, associatedData: new Uint8Array(32) })
    expect(peeled).toMatchObject({ tag: 'final', payload: most.payload })
    expect(() => build([{ ...most, payload: new Uint8Array(1300 - 32 - 2) }], new Uint8Array(32))).toThrow(OnionError)
  })

  it('a change anywhere, in the packet or the payment hash, is found at the next hop', () => {
    const hops = NODES.slice(0, 3).map((node) => ({ node, payload: Uint8Array.of(2, 1, 5) }))
    const associatedData = new Uint8Array(32).fill(3)
    const { packet } = build(hops, associatedData)
    fc.assert(
      fc.property(fc.nat(packet.length + 31), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(packet)
        const hash = Uint8Array.from(associatedData)
        if (at < packet.length) changed[at]! ^= flip
        else hash[at - packet.length]! ^= flip
        const peeled = peelOnion({ packet: changed, nodeSecret: NODES[0]!.secret, associatedData: hash })
        const reason = at === 0 ? /version/ : at < 34 ? /key|hmac/ : /hmac/
        expect(peeled.tag === 'malformed' && peeled.reason).toMatch(reason)
      }),
      { numRuns: 300 },
    )
  })

  it('another node cannot read it', () => {
    const { packet } = build([{ node: NODES[0]!, payload: Uint8Array.of(2, 0) }], new Uint8Array(32))
    const peeled = peelOnion({ packet, nodeSecret: NODES[1]!.secret, associatedData: new Uint8Array(32) })
    expect(peeled).toEqual({ tag: 'malformed', reason: 'invalid_onion_hmac' })
  })

  it('any bytes peel or are malformed, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1400 }), fc.option(bytes(33), { nil: undefined }), (packet, pathKey) => {
        expect(peelOnion({ packet, nodeSecret: SESSION, associatedData: packet, pathKey }).tag).toBe('malformed')
      }),
    )
  })

  it('a payload length that is reserved, not minimal or too long is told apart from a bad HMAC', () => {
    // The first byte of the payloads is the length: flip it in a packet of one hop, and sign again as the sender could.
    const { packet, sharedSecrets } = build([{ node: NODES[0]!, payload: Uint8Array.of(0, 5) }], new Uint8Array(32))
    const mu = crypto.hmacSha256(new TextEncoder().encode('mu'), sharedSecrets[0]!)
    for (const length of [0, 1, 0xfd, 0xfe, 0xff]) {
      const changed = Uint8Array.from(packet)
      changed[34]! ^= 2 ^ length
      const covered = new Uint8Array([...changed.subarray(34, 1334), ...new Uint8Array(32)])
      changed.set(crypto.hmacSha256(mu, covered), 1334)
      const peeled = peelOnion({ packet: changed, nodeSecret: NODES[0]!.secret, associatedData: new Uint8Array(32) })
      expect(peeled.tag).toBe('unreadable')
    }
  })

  it('a node key that is no point is refused before anything is sent', () => {
    const bad = { nodeKey: new Uint8Array(33).fill(2, 0, 1).fill(0xff, 1), payload: Uint8Array.of(2, 0) }
    expect(() => buildOnion({ hops: [bad], sessionKey: SESSION, associatedData: new Uint8Array(32) })).toThrow(
      OnionError,
    )
  })
})

const some = <T>(a: fc.Arbitrary<T>) => fc.option(a, { nil: undefined })
const payload = fc
  .record({
    amtToForward: some(amount),
    outgoingCltvValue: some(u32),
    shortChannelId: some(scid),
    paymentData: some(fc.record({ paymentSecret: bytes(32), totalMsat: amount })),
    encryptedRecipientData: some(fc.uint8Array({ maxLength: 60 })),
    currentPathKey: some(fc.constant(NODES[0]!.key)),
    paymentMetadata: some(fc.uint8Array({ maxLength: 300 })),
    totalAmountMsat: some(amount),
    keysendPreimage: some(bytes(32)),
    unknown: some(fc.constant([{ type: 65_537n, value: Uint8Array.of(1) }])),
  })
  .map((p) => Object.fromEntries(Object.entries(p).filter(([, v]) => v !== undefined)) as OnionPayload)

describe('BOLT 4 §payload-format', () => {
  it('a payload reads back as it was written', () => {
    fc.assert(
      fc.property(payload, (p) => {
        const read = decodePayload(encodePayload(p))
        if (!isDeepStrictEqual(read, { ok: true, value: p })) expect(read).toEqual({ ok: true, value: p })
      }),
    )
  })

  it('an unknown even record is named with its place, an unknown odd one is kept', () => {
    const head = encodePayload({ amtToForward: 5n as Msat })
    expect(decodePayload(Uint8Array.of(...head, 0xfd, 0x01, 0x00, 0))).toEqual({
      ok: false,
      error: { type: 256n, offset: head.length },
    })
    expect(decodePayload(Uint8Array.of(...head, 0xfd, 0x01, 0x01, 0))).toMatchObject({
      ok: true,
      value: { unknown: [{ type: 257n, value: new Uint8Array(0) }] },
    })
  })

  it('a record of the wrong form is named: an amount with leading zeros, a short secret', () => {
    expect(decodePayload(Uint8Array.of(2, 2, 0, 1))).toEqual({ ok: false, error: { type: 2n, offset: 0 } })
    expect(decodePayload(Uint8Array.of(2, 0, 8, 3, 1, 2, 3))).toEqual({ ok: false, error: { type: 8n, offset: 2 } })
  })

  it('any bytes decode or fault, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (b) => {
        const read = decodePayload(b)
        if (read.ok) expect(toHex(encodePayload(read.value))).toBe(toHex(b))
      }),
      { numRuns: 1000 },
    )
  })
})

const withUpdate = fc.uint8Array({ maxLength: 140 })
const failure: fc.Arbitrary<OnionFailure> = fc.oneof(
  fc.record({
    name: fc.constantFrom(
      'temporary_node_failure' as const,
      'permanent_node_failure' as const,
      'required_node_feature_missing' as const,
      'permanent_channel_failure' as const,
      'required_channel_feature_missing' as const,
      'unknown_next_peer' as const,
      'expiry_too_far' as const,
      'mpp_timeout' as const,
    ),
  }),
  fc.record({
    name: fc.constantFrom(
      'invalid_onion_version' as const,
      'invalid_onion_hmac' as const,
      'invalid_onion_key' as const,
      'invalid_onion_blinding' as const,
    ),
    sha256OfOnion: bytes(32),
  }),
  fc.record({
    name: fc.constantFrom('temporary_channel_failure' as const, 'expiry_too_soon' as const),
    channelUpdate: withUpdate,
  }),
  fc.record({
    name: fc.constantFrom('amount_below_minimum' as const, 'fee_insufficient' as const),
    htlcMsat: amount,
    channelUpdate: withUpdate,
  }),
  fc.record({ name: fc.constant('incorrect_cltv_expiry' as const), cltvExpiry: u32, channelUpdate: withUpdate }),
  fc.record({
    name: fc.constant('channel_disabled' as const),
    disabledFlags: fc.nat(0xffff),
    channelUpdate: withUpdate,
  }),
  fc.record({ name: fc.constant('incorrect_or_unknown_payment_details' as const), htlcMsat: amount, height: u32 }),
  fc.record({ name: fc.constant('final_incorrect_cltv_expiry' as const), cltvExpiry: u32 }),
  fc.record({ name: fc.constant('final_incorrect_htlc_amount' as const), incomingHtlcAmt: amount }),
  fc.record({
    name: fc.constant('invalid_onion_payload' as const),
    type: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    offset: fc.nat(0xffff),
  }),
)

describe('BOLT 4 §failure-messages', () => {
  it('a failure reads back as it was written, whatever follows its data', () => {
    fc.assert(
      fc.property(failure, fc.uint8Array({ maxLength: 20 }), (f, extra) => {
        const encoded = encodeFailure(f)
        const read = decodeFailure(Uint8Array.of(...encoded, ...extra))
        const expected = { code: failureCode(f.name), failure: f }
        if (!isDeepStrictEqual(read, expected)) expect(read).toEqual(expected)
        expect(failureName(failureCode(f.name))).toBe(f.name)
      }),
    )
  })

  it('codes carry the flags that the list gives them', () => {
    expect(failureCode('temporary_channel_failure')).toBe(UPDATE | 7)
    expect(failureCode('permanent_node_failure')).toBe(PERM | NODE | 2)
    expect(failureCode('invalid_onion_hmac')).toBe(BADONION | PERM | 5)
    expect(failureCode('mpp_timeout')).toBe(23)
  })

  it('any bytes decode, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (b) => {
        expect(decodeFailure(b) === null).toBe(b.length < 2)
      }),
      { numRuns: 500 },
    )
  })
})

describe('BOLT 4 §returning-errors', () => {
  const secrets = fc.array(bytes(32), { minLength: 1, maxLength: 20 })
  const returned = (keys: readonly Uint8Array[], from: number, f: OnionFailure): Uint8Array => {
    let packet = buildErrorPacket(keys[from]!, f)
    for (let i = from - 1; i >= 0; i--) packet = wrapErrorPacket(keys[i]!, packet)
    return packet
  }

  it('the origin finds the hop that failed, wherever it is, and what it said', () => {
    fc.assert(
      fc.property(secrets, fc.nat(), failure, (keys, n, f) => {
        const from = n % keys.length
        const packet = returned(keys, from, f)
        expect(packet.length).toBe(32 + 2 + 256 + 2)
        const opened = openErrorPacket(keys, packet)
        const expected = { hop: from, received: { code: failureCode(f.name), failure: f } }
        if (!isDeepStrictEqual(opened, expected)) expect(opened).toEqual(expected)
      }),
    )
  })

  it("a packet that was changed on the way back is nobody's", () => {
    fc.assert(
      fc.property(secrets, fc.nat(), fc.nat(291), fc.integer({ min: 1, max: 255 }), (keys, n, at, flip) => {
        const packet = returned(keys, n % keys.length, { name: 'mpp_timeout' })
        packet[at]! ^= flip
        expect(openErrorPacket(keys, packet)).toBeNull()
      }),
    )
  })

  it('any bytes open or not, and never throw', () => {
    fc.assert(
      fc.property(secrets, fc.uint8Array({ maxLength: 400 }), (keys, b) => {
        expect(openErrorPacket(keys, b)).toBeNull()
      }),
    )
  })
})

describe('BOLT 4 §route-blinding', () => {
  it('each hop of any blinded path reads its data and the next path key; nobody else can', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...NODES), { minLength: 1, maxLength: 5 }),
        amount,
        (nodes, htlcMinimumMsat) => {
          const data = { paymentConstraints: { maxCltvExpiry: 7, htlcMinimumMsat } }
          const encoded = encodeRecipientData(data)
          const path = createBlindedPath(
            SESSION,
            nodes.map((n) => ({ nodeKey: n.key, data: encoded })),
          )
          let pathKey = path.firstPathKey
          for (const [i, node] of nodes.entries()) {
            const { encryptedData, blindedNodeId } = path.hops[i]!
            expect(unblind(SESSION, pathKey, encryptedData)).toBeNull()
            const got = unblind(node.secret, pathKey, encryptedData)
            expect(got?.data).toEqual(data)
            const onion = {
              hops: [{ nodeKey: blindedNodeId, payload: encoded }],
              sessionKey: SESSION,
              associatedData: encoded,
            }
            const { packet } = buildOnion(onion)
            expect(peelOnion({ packet, nodeSecret: node.secret, associatedData: encoded, pathKey }).tag).toBe('final')
            pathKey = got!.nextPathKey
          }
        },
      ),
      { numRuns: 30 },
    )
  })
})
