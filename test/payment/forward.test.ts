import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { u16be } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import type { Fault, IncomingHtlc } from '../../src/channel/types.ts'
import { buildErrorPacket } from '../../src/onion/errorPacket.ts'
import { BADONION, NODE, type OnionFailure, PERM } from '../../src/onion/failure.ts'
import { blame } from '../../src/payment/blame.ts'
import { decideForward, forwardRecordOf, onForwardResult } from '../../src/payment/forward.ts'
import { failDust, peelIncoming } from '../../src/payment/peel.ts'
import type { ForwardContext, OutgoingChannel } from '../../src/payment/types.ts'
import { directedChannel } from '../../src/routing/types.ts'
import { channelId, scid } from '../routing/network.ts'
import {
  asForward,
  commandOf,
  context,
  HASH,
  incoming,
  LAST,
  NEXT,
  outgoing,
  readBack,
  relay,
  SESSION,
} from './onions.ts'
import { HEIGHT, IDS, preimageOf, SECRETS } from './world.ts'

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
