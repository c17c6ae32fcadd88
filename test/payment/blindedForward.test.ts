import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { type NodeId, type PaymentHash, parseScid } from '../../src/base/ids.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import type { IncomingHtlc } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createBlindedPath, encodeRecipientData, type RecipientData } from '../../src/onion/blinding.ts'
import { buildErrorPacket } from '../../src/onion/errorPacket.ts'
import type { OnionPayload } from '../../src/onion/payload.ts'
import { decideForward, forwardFee, onForwardResult } from '../../src/payment/forward.ts'
import { peelIncoming } from '../../src/payment/peel.ts'
import { channelId, scid } from '../routing/network.ts'
import vectors from '../vectors/fixtures/bolt04-blinding.json' with { type: 'json' }
import { asForward, commandOf, context, incoming, LAST, outgoing, readBack, relay, SESSION } from './onions.ts'
import { HEIGHT, IDS } from './world.ts'

describe('BOLT 4: forwarding inside a blinded path', () => {
  const { payment } = vectors

  it('computes what the published route forwards, hop by hop, and finds that it is not the recipient of such paths', () => {
    const expected = [
      { blinding: 'none', amtToForward: 110_125n, outgoingCltvValue: 749_150, next: parseScid('0x0x10') },
      { blinding: 'introduction', amtToForward: 100_125n, outgoingCltvValue: 749_100, next: parseScid('0x0x1') },
      { blinding: 'inside', amtToForward: 100_010n, outgoingCltvValue: 749_025, next: parseScid('0x0x2') },
      { blinding: 'inside', amtToForward: 100_000n, outgoingCltvValue: 749_000, next: parseScid('0x0x3') },
    ]
    let htlc: IncomingHtlc = {
      channelId: channelId(1),
      id: 0n,
      amountMsat: msat(110_125n),
      paymentHash: payment.associatedData as PaymentHash,
      cltvExpiry: 749_150,
      onion: fromHex(payment.packet),
    }
    for (const [i, want] of expected.entries()) {
      const onion = asForward(peelIncoming(htlc, fromHex(payment.peel[i]!.nodeSecret)))
      const { blinding, amtToForward, outgoingCltvValue, next } = onion
      expect({
        blinding,
        amtToForward,
        outgoingCltvValue,
        next: next.tag === 'channel' && next.shortChannelId,
      }).toEqual(want)
      const pathKey = onion.pathKey === null ? {} : { pathKey: onion.pathKey }
      htlc = { ...htlc, amountMsat: amtToForward, cltvExpiry: outgoingCltvValue, onion: onion.onion, ...pathKey }
    }
    expect(peelIncoming(htlc, fromHex(payment.peel[4]!.nodeSecret))).toMatchObject({
      tag: 'refused',
      command: { tag: 'failMalformedHtlc', failureCode: 0xc018 },
    })
  })

  /** Node 1 is the introduction point of a path to node 2. */
  const blinded = (data: RecipientData, payload: OnionPayload = {}, more: Partial<IncomingHtlc> = {}) => {
    const keys = [1, 2].map((n) => fromHex(IDS[n]!))
    const path = createBlindedPath(
      SESSION,
      keys.map((nodeKey) => ({ nodeKey, data: encodeRecipientData(data) })),
    )
    const encryptedRecipientData = path.hops[0]!.encryptedData
    return incoming([{ encryptedRecipientData, currentPathKey: path.firstPathKey, ...payload }, LAST], more)
  }
  const paymentRelay = { cltvExpiryDelta: 40, feeProportionalMillionths: 100, feeBaseMsat: 1000 }
  const good: RecipientData = { shortChannelId: scid(77), paymentRelay }

  it('takes the next node by its id as well', () => {
    const { onion } = blinded({ nextNodeId: IDS[2] as NodeId, paymentRelay })
    expect(asForward(onion).next).toEqual({ tag: 'node', nodeId: IDS[2] })
  })

  it.each<[string, RecipientData, OnionPayload?, Partial<IncomingHtlc>?]>([
    ['a channel beside a node id', { ...good, nextNodeId: IDS[2] as NodeId }],
    ['neither channel nor node id', { paymentRelay }],
    ['no fees to take', { shortChannelId: scid(77) }],
    ['a feature that nobody knows', { ...good, allowedFeatures: Uint8Array.of(2) }],
    [
      'a path that has expired',
      { ...good, paymentConstraints: { maxCltvExpiry: HEIGHT + 99, htlcMinimumMsat: msat(0n) } },
    ],
    [
      'too small an amount',
      { ...good, paymentConstraints: { maxCltvExpiry: HEIGHT + 100, htlcMinimumMsat: msat(101_011n) } },
    ],
    ['a fee above the amount', good, {}, { amountMsat: msat(999n) }],
    ['other records in the payload', good, { amtToForward: 1n as Msat }],
    ['a path key from two sides', good, {}, { pathKey: fromHex(IDS[4]!) }],
  ])('tells nothing but invalid_onion_blinding about %s', (_what, data, payload = {}, more = {}) => {
    const { htlc, onion, sharedSecrets } = blinded(data, payload, more)
    if (onion.tag !== 'refused') throw new Error(onion.tag)
    const failure = { name: 'invalid_onion_blinding', sha256OfOnion: crypto.sha256(htlc.onion) }
    if (more.pathKey) expect(onion.command).toMatchObject({ tag: 'failMalformedHtlc', failureCode: 0xc018 })
    else expect(readBack(sharedSecrets, onion.command)).toMatchObject({ hop: 0, received: { failure } })
  })

  it('passes on whatever a payer sends beyond the base fee, where the path asks what the channel asks', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 2_000_000n }), fc.nat(500_000), fc.nat(500), (beyond, rate, base) => {
        const asked = { cltvExpiryDelta: 40, feeProportionalMillionths: rate, feeBaseMsat: base }
        const { htlc, onion } = blinded(
          { shortChannelId: scid(77), paymentRelay: asked },
          {},
          { amountMsat: (beyond + BigInt(base)) as Msat },
        )
        const { effects, record } = decideForward(
          htlc,
          asForward(onion),
          context([outgoing({ relay: { ...relay, ...asked } })]),
        )
        expect(commandOf(effects).command.tag).toBe('addHtlc')
        expect(record.amountInMsat - record.amountOutMsat).toBeGreaterThanOrEqual(
          forwardFee({ ...relay, ...asked }, record.amountOutMsat) - 1n,
        )
      }),
      { numRuns: 100, examples: [[1_000n, 1_000, 0]] },
    )
  })

  it('hides every later failure as well: the introduction point as an error, those inside as malformed', () => {
    const { htlc, onion, sharedSecrets } = blinded(good)
    const { record } = decideForward(htlc, asForward(onion), context([outgoing()]))
    const reason = buildErrorPacket(sharedSecrets[1]!, { name: 'mpp_timeout' })
    const result = { tag: 'failed', failure: { tag: 'onion', reason } } as const
    expect(readBack(sharedSecrets, commandOf(onForwardResult(record, result)).command)).toEqual({
      hop: 0,
      received: { code: 0xc018, failure: { name: 'invalid_onion_blinding', sha256OfOnion: crypto.sha256(htlc.onion) } },
    })
    const inside = onForwardResult({ ...record, blinding: 'inside' }, result)
    expect(commandOf(inside).command).toMatchObject({ tag: 'failMalformedHtlc', failureCode: 0xc018 })
    expect(toHex(record.sha256OfOnion!)).toBe(toHex(crypto.sha256(htlc.onion)))
  })
})
