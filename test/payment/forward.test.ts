import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex, u16be } from '../../src/base/bytes.ts'
import { type NodeId, type PaymentHash, parseScid } from '../../src/base/ids.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import type { Fault, IncomingHtlc, RelayPolicy } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createBlindedPath, encodeRecipientData, type RecipientData } from '../../src/onion/blinding.ts'
import { buildErrorPacket, openErrorPacket } from '../../src/onion/errorPacket.ts'
import { BADONION, NODE, type OnionFailure, PERM } from '../../src/onion/failure.ts'
import { encodePayload, type OnionPayload } from '../../src/onion/payload.ts'
import { buildOnion } from '../../src/onion/sphinx.ts'
import { blame } from '../../src/payment/blame.ts'
import { decideForward, forwardFee, forwardRecordOf, onForwardResult } from '../../src/payment/forward.ts'
import { type ForwardOnion, failDust, peelIncoming } from '../../src/payment/peel.ts'
import {
  DEFAULT_FORWARD_LIMITS,
  type ForwardContext,
  type HtlcCommand,
  type OutgoingChannel,
  type PaymentEffect,
} from '../../src/payment/types.ts'
import { directedChannel } from '../../src/routing/types.ts'
import { channelId, scid } from '../routing/network.ts'
import vectors from '../vectors/fixtures/bolt04-blinding.json' with { type: 'json' }
import { HEIGHT, IDS, preimageOf, SECRETS } from './world.ts'

const HASH = '42'.repeat(32) as PaymentHash
const SESSION = new Uint8Array(32).fill(0x11)
const NEXT: OnionPayload = { amtToForward: msat(100_000n), outgoingCltvValue: HEIGHT + 60, shortChannelId: scid(77) }
const LAST: OnionPayload = { amtToForward: msat(100_000n), outgoingCltvValue: HEIGHT + 18 }

/** An HTLC that node 1 gets, with an onion of these payloads for nodes 1, 2 … */
function incoming(payloads: readonly (OnionPayload | Uint8Array)[], more: Partial<IncomingHtlc> = {}) {
  const hops = payloads.map((p, i) => ({
    nodeKey: fromHex(IDS[i + 1]!),
    payload: p instanceof Uint8Array ? p : encodePayload(p),
  }))
  const { packet, sharedSecrets } = buildOnion({ hops, sessionKey: SESSION, associatedData: fromHex(HASH) })
  const htlc: IncomingHtlc = {
    channelId: channelId(1),
    id: 5n,
    amountMsat: msat(101_010n),
    paymentHash: HASH,
    cltvExpiry: HEIGHT + 100,
    onion: packet,
    ...more,
  }
  return { htlc, sharedSecrets, onion: peelIncoming(htlc, SECRETS[1]!) }
}
const relay: RelayPolicy = {
  feeBaseMsat: 1000,
  feeProportionalMillionths: 100,
  cltvExpiryDelta: 40,
  htlcMinimumMsat: msat(1n),
  htlcMaximumMsat: msat(10n ** 9n),
}
const outgoing = (more: Partial<OutgoingChannel> = {}): OutgoingChannel => ({
  channelId: channelId(2),
  remoteNodeId: IDS[2]!,
  status: 'usable',
  relay,
  sendableMsat: msat(10n ** 9n),
  ...more,
})
const context = (channels: readonly OutgoingChannel[], more: Partial<ForwardContext> = {}): ForwardContext => ({
  blockHeight: HEIGHT,
  channelsTo: () => channels,
  limits: DEFAULT_FORWARD_LIMITS,
  ...more,
})
const asForward = (o: ReturnType<typeof peelIncoming>): ForwardOnion => {
  if (o.tag !== 'forward') throw new Error(o.tag)
  return o
}
const commandOf = (effects: readonly PaymentEffect[]): { channelId: string; command: HtlcCommand } => {
  const found = effects.find((e) => e.tag === 'command')
  if (!found) throw new Error('no command')
  return found
}
/** What the origin reads from a command that fails an HTLC. */
const readBack = (secrets: readonly Uint8Array[], command: HtlcCommand) =>
  command.tag === 'failHtlc' ? openErrorPacket(secrets, command.reason) : null

describe('BOLT 4 §failure-messages: a forwarding node', () => {
  const { htlc, onion, sharedSecrets } = incoming([NEXT, LAST])
  const forward = asForward(onion)
  const decide = (channels: readonly OutgoingChannel[], more: Partial<ForwardContext> = {}, h = htlc, o = forward) => {
    const turn = decideForward(h, o, context(channels, more))
    const { channelId: on, command } = commandOf(turn.effects)
    return { ...turn, on, command, failure: readBack(sharedSecrets, command)?.received.failure ?? null }
  }

  it('passes on what the onion says, over the channel that it names', () => {
    const { on, command, record } = decide([outgoing()])
    expect(on).toBe(channelId(2))
    expect(command).toEqual({
      tag: 'addHtlc',
      amountMsat: 100_000n,
      paymentHash: HASH,
      cltvExpiry: HEIGHT + 60,
      onion: forward.onion,
      origin: { tag: 'forward', channelId: channelId(1), htlcId: 5n },
    })
    expect(record).toMatchObject({ outgoingChannelId: channelId(2), amountInMsat: 101_010n, amountOutMsat: 100_000n })
    expect(peelIncoming({ ...htlc, onion: forward.onion }, SECRETS[2]!).tag).toBe('final')
  })

  const update = new Uint8Array(0)
  const cases: readonly [
    string,
    Partial<OutgoingChannel>,
    Partial<ForwardContext>,
    OnionFailure,
    Partial<IncomingHtlc>?,
  ][] = [
    [
      'too little fee',
      {},
      {},
      { name: 'fee_insufficient', htlcMsat: msat(101_009n), channelUpdate: update },
      { amountMsat: msat(101_009n) },
    ],
    [
      'less than is to go on',
      {},
      {},
      { name: 'fee_insufficient', htlcMsat: msat(99_999n), channelUpdate: update },
      { amountMsat: msat(99_999n) },
    ],
    [
      'too little time between the HTLCs',
      {},
      {},
      { name: 'incorrect_cltv_expiry', cltvExpiry: HEIGHT + 60, channelUpdate: update },
      { cltvExpiry: HEIGHT + 99 },
    ],
    [
      'too small an amount',
      { relay: { ...relay, htlcMinimumMsat: msat(100_001n) } },
      {},
      { name: 'amount_below_minimum', htlcMsat: msat(100_000n), channelUpdate: update },
    ],
    [
      'too large an amount',
      { relay: { ...relay, htlcMaximumMsat: msat(99_999n) } },
      {},
      { name: 'temporary_channel_failure', channelUpdate: update },
    ],
    [
      'no room in the channel',
      { sendableMsat: msat(99_999n) },
      {},
      { name: 'temporary_channel_failure', channelUpdate: update },
    ],
    ['a peer that is away', { status: 'offline' }, {}, { name: 'temporary_channel_failure', channelUpdate: update }],
    [
      'a channel that we disabled',
      { status: 'disabled' },
      {},
      { name: 'channel_disabled', disabledFlags: 0, channelUpdate: update },
    ],
    ['a channel that is closing', { status: 'closing' }, {}, { name: 'permanent_channel_failure' }],
    ['an expiry that is near', {}, { blockHeight: HEIGHT + 47 }, { name: 'expiry_too_soon', channelUpdate: update }],
    ['an expiry that is far', {}, { blockHeight: HEIGHT + 59 - 2016 }, { name: 'expiry_too_far' }],
    [
      'the way back over the same channel',
      { channelId: channelId(1) },
      {},
      { name: 'temporary_channel_failure', channelUpdate: update },
    ],
  ]
  it.each(cases)('refuses %s and tells the origin', (_what, channel, more, failure, h = {}) => {
    const got = decide([outgoing(channel)], more, { ...htlc, ...h })
    expect([got.on, got.failure, got.record.outgoingChannelId]).toEqual([channelId(1), failure, null])
    expect(got.effects[1]).toMatchObject({ tag: 'notify', event: { type: 'forward.failed', detail: failure.name } })
  })

  it('returns, with each failure that has room for it, our channel_update of the channel that the onion names', () => {
    const asked: unknown[] = []
    const publicUpdate = (next: unknown) => {
      asked.push(next)
      return Uint8Array.of(1, 2, 3)
    }
    let withOne = 0
    for (const [, channel, more, failure, h = {}] of cases) {
      const got = decide([outgoing(channel)], { ...more, publicUpdate }, { ...htlc, ...h })
      const has = 'channelUpdate' in failure
      expect(got.failure).toEqual(has ? { ...failure, channelUpdate: Uint8Array.of(1, 2, 3) } : failure)
      if (has) withOne++
    }
    expect(withOne).toBeGreaterThan(5)
    expect(asked.every((next) => isDeepStrictEqual(next, { tag: 'channel', shortChannelId: scid(77) }))).toBe(true)
    const dust = readBack(sharedSecrets, failDust(htlc, forward, publicUpdate))
    expect(dust?.received.failure).toMatchObject({ channelUpdate: Uint8Array.of(1, 2, 3) })
  })

  it('says that it does not know the next node', () => {
    expect(decide([]).failure).toEqual({ name: 'unknown_next_peer' })
  })

  it('takes fee and time of the policy that senders may still know', () => {
    const dearer = { ...relay, feeBaseMsat: 5000, cltvExpiryDelta: 41 }
    expect(decide([outgoing({ relay: dearer })]).failure?.name).toBe('fee_insufficient')
    expect(decide([outgoing({ relay: dearer, previousRelay: relay })]).command.tag).toBe('addHtlc')
  })

  it('uses another channel with the same node when the one that is named has no room', () => {
    const got = decide([outgoing({ sendableMsat: msat(0n) }), outgoing({ channelId: channelId(3) })])
    expect([got.on, got.command.tag]).toEqual([channelId(3), 'addHtlc'])
  })
})

describe('BOLT 4 §returning-errors: an intermediate node', () => {
  const { htlc, onion, sharedSecrets } = incoming([NEXT, LAST])
  const { record } = decideForward(htlc, asForward(onion), context([outgoing()]))

  it('passes the preimage back', () => {
    const effects = onForwardResult(record, { tag: 'fulfilled', preimage: preimageOf(1) })
    expect(effects).toEqual([
      { tag: 'command', channelId: channelId(1), command: { tag: 'fulfillHtlc', id: 5n, preimage: preimageOf(1) } },
      { tag: 'notify', event: { type: 'forward.settled', forward: record, detail: null } },
    ])
  })
  it('adds its layer to a failure from further on', () => {
    const reason = buildErrorPacket(sharedSecrets[1]!, { name: 'mpp_timeout' })
    const effects = onForwardResult(record, { tag: 'failed', failure: { tag: 'onion', reason } })
    expect(readBack(sharedSecrets, commandOf(effects).command)).toMatchObject({
      hop: 1,
      received: { failure: { name: 'mpp_timeout' } },
    })
  })
  it('passes on no failure that is shorter than any is: nodes fail channels over that', () => {
    for (const [length, passedOn] of [
      [0, 292],
      [260, 292],
      [291, 292],
      [292, 292],
      [1_000, 1_000],
    ] as const) {
      const result = { tag: 'failed', failure: { tag: 'onion', reason: new Uint8Array(length).fill(7) } } as const
      const { command } = commandOf(onForwardResult(record, result))
      expect([length, command.tag === 'failHtlc' && command.reason.length]).toEqual([length, passedOn])
      expect(readBack(sharedSecrets, command)).toBeNull()
    }
  })
  it('makes a failure of its own where the next node could not read the onion', () => {
    const sha256OfOnion = new Uint8Array(32).fill(8)
    const effects = onForwardResult(record, {
      tag: 'failed',
      failure: { tag: 'malformed', failureCode: 0xc005, sha256OfOnion },
    })
    expect(readBack(sharedSecrets, commandOf(effects).command)).toEqual({
      hop: 0,
      received: { code: 0xc005, failure: { name: 'invalid_onion_hmac', sha256OfOnion } },
    })
  })
  it('signs no failure of the next node that speaks ill of ourselves', () => {
    const names = ['invalid_onion_version', 'invalid_onion_hmac', 'invalid_onion_key', 'invalid_onion_blinding']
    const sha256OfOnion = new Uint8Array(32).fill(8)
    for (let code = BADONION; code <= 0xffff; code += code < 0x8020 ? 1 : 0x3ff) {
      for (const failureCode of [code, code | PERM, code | NODE, code | PERM | NODE]) {
        const failure = { tag: 'malformed', failureCode, sha256OfOnion } as const
        const back = readBack(sharedSecrets, commandOf(onForwardResult(record, { tag: 'failed', failure })).command)!
        expect(back.hop).toBe(0)
        expect(names).toContain(back.received.failure?.name)
      }
    }
  })
  it('fails what timed out on chain, and what its channel did not take', () => {
    const fault = (code: Fault['code']): Fault => ({ code, response: 'reject-command', requirement: '', detail: '' })
    const results = [
      [{ tag: 'failed', failure: { tag: 'onchain' } }, 'permanent_channel_failure'],
      [{ tag: 'rejected', fault: fault('TOO_MANY_HTLCS') }, 'temporary_channel_failure'],
      [{ tag: 'rejected', fault: fault('CHANNEL_CLOSING') }, 'permanent_channel_failure'],
      [{ tag: 'rejected', fault: fault('EXPIRY_TOO_SOON') }, 'expiry_too_soon'],
    ] as const
    for (const [result, name] of results) {
      const back = readBack(sharedSecrets, commandOf(onForwardResult(record, result)).command)
      expect(back).toMatchObject({ hop: 0, received: { failure: { name } } })
    }
  })
  it('can do so after a restart, from the incoming HTLC alone', () => {
    expect(forwardRecordOf(htlc, SECRETS[1]!)).toEqual({ ...record, outgoingChannelId: null })
    expect(forwardRecordOf(incoming([LAST]).htlc, SECRETS[1]!)).toBeNull()
  })
})

describe('BOLT 4 §receiving-failure-codes: the origin', () => {
  it('keeps away from the channel, and not from the node that passes on what the next said of its onion', () => {
    const { sharedSecrets } = incoming([NEXT, LAST])
    const hops = [1, 2].map((n) => ({ nodeId: IDS[n]!, shortChannelId: scid(n), amountMsat: msat(1n), cltvExpiry: 1 }))
    const attempt = { hops, sessionKey: SESSION, channelId: channelId(1), amountMsat: msat(1n), feeMsat: msat(0n) }
    const told = (code: number) => {
      const reason = buildErrorPacket(sharedSecrets[0]!, u16be(code))
      return blame({ ...attempt, status: 'pending', failure: null }, { tag: 'onion', reason })
    }
    const key = directedChannel(scid(2), IDS[1]!, IDS[2]!)
    expect(told(BADONION | NODE | 2)).toMatchObject({ channels: [key], nodes: [] })
    expect(told(NODE | 2)).toMatchObject({ channels: [], nodes: [IDS[1]] })
  })
})

describe('BOLT 4 §payload-format: the reader', () => {
  it('reads what is for it, and treats a total that is not given as the amount', () => {
    expect(incoming([LAST]).onion).toMatchObject({
      tag: 'final',
      amtToForward: 100_000n,
      outgoingCltvValue: HEIGHT + 18,
      totalMsat: 100_000n,
      paymentSecret: null,
      keysendPreimage: null,
    })
    const paymentData = { paymentSecret: new Uint8Array(32).fill(4), totalMsat: msat(9n) }
    expect(incoming([{ ...LAST, paymentData }]).onion).toMatchObject(paymentData)
  })

  const { amtToForward: _a, ...noAmount } = NEXT
  const { outgoingCltvValue: _c, ...noExpiry } = LAST
  const { shortChannelId: _s, ...noChannel } = NEXT
  it.each([
    ['an amount', [noAmount, LAST], 2n],
    ['an expiry', [noExpiry], 4n],
    ['a channel to go on over', [noChannel, LAST], 6n],
    ['a reason for a path key', [{ ...LAST, currentPathKey: fromHex(IDS[3]!) }], 12n],
    ['meaning in an even record', [Uint8Array.of(2, 0, 4, 0, 20, 0)], 20n],
  ] as const)('fails a payload that lacks %s, and names the record', (_what, payloads, type) => {
    const { onion, sharedSecrets } = incoming(payloads)
    if (onion.tag !== 'refused') throw new Error(onion.tag)
    expect(readBack(sharedSecrets, onion.command)).toMatchObject({
      hop: 0,
      received: { failure: { name: 'invalid_onion_payload', type } },
    })
  })

  it('answers an onion that it cannot read with update_fail_malformed_htlc', () => {
    const { htlc } = incoming([LAST])
    const onion = Uint8Array.from(htlc.onion)
    for (const [at, code] of [
      [0, 0xc004],
      [1, 0xc006],
      [500, 0xc005],
    ] as const) {
      const changed = onion.map((b, i) => (i === at ? b ^ 0x55 : b))
      expect(peelIncoming({ ...htlc, onion: changed }, SECRETS[1]!)).toMatchObject({
        tag: 'refused',
        command: { tag: 'failMalformedHtlc', id: 5n, failureCode: code, sha256OfOnion: crypto.sha256(changed) },
      })
    }
  })
})

describe('BOLT 2 §bounding-exposure: an HTLC that is too much dust', () => {
  it('fails with what a node of its place may say: one on the way of its channel, the last of itself', () => {
    const failed = (payloads: Parameters<typeof incoming>[0]) => {
      const { htlc, onion, sharedSecrets } = incoming(payloads)
      if (onion.tag === 'refused') throw new Error(onion.tag)
      return readBack(sharedSecrets, failDust(htlc, onion))?.received.failure?.name
    }
    expect([failed([NEXT, LAST]), failed([LAST])]).toEqual(['temporary_channel_failure', 'temporary_node_failure'])
  })
})

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
