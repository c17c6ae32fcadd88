import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scidParts } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { acceptChannel, openChannel } from '../../src/channel/advance.ts'
import { identifiers, rebroadcasts, summary, watches } from '../../src/channel/describe.ts'
import { depthFor } from '../../src/channel/parameters.ts'
import { encodeChannelType, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import type { OpenChannel } from '../../src/wire/messages/open.ts'
import { expectAgreement } from './checks.ts'
import {
  expectNext,
  faultsOf,
  fundingTx,
  openParams,
  RELAY,
  reachNormal,
  sentBy,
  World,
  type WorldOptions,
} from './harness.ts'
import { nodeIds } from './side.ts'

/** A world in which open_channel is on its way. */
function asked(options: WorldOptions = {}): { w: World; open: OpenChannel } {
  const w = new World(options)
  w.alice.begin(openChannel(openParams('alice', options), w.alice.ctx))
  return { w, open: expectNext(w, 'alice', 'open_channel') }
}

/** x = 5 is on no point of secp256k1. */
const notOnCurve = Uint8Array.from({ length: 33 }, (_, i) => (i === 0 ? 2 : i === 32 ? 5 : 0))

const accept = (w: World, open: OpenChannel) =>
  acceptChannel(
    open,
    { remoteNodeId: nodeIds.alice, theirFeatures: ourInitFeatures(), relay: RELAY, keyIndex: 0 },
    w.bob.ctx,
  )

describe('BOLT 2 §channel-establishment-v1', () => {
  for (const channelType of ['anchors', 'static_remotekey'] as const) {
    for (const opener of ['alice', 'bob'] as const) {
      it(`${opener} opens a channel of type ${channelType}, both are ready after minimum_depth`, () => {
        const w = new World({ channelType, opener, pushMsat: msat(5_000_000) }).open()
        expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['await-ready', 'await-ready'])
        expect(w.side(opener).replies).toEqual([expect.objectContaining({ requestId: 1, result: 'done' })])
        expect(w.side(opener).broadcasts.length).toBe(1)
        w.mine(2).settle()
        expect(summary(w.alice.state!, w.alice.ctx).waitsFor).toBe('2 of 3 confirmations')
        w.mine().settle()
        expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
        expect(w.bob.notices.map((n) => n.tag)).toEqual(['pending', 'ready'])
        expectAgreement(w)
      })
    }
  }

  // BOLT 2 §the-funding_signed-message
  it('broadcasts the funding only after a valid funding_signed', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.fund()
    w.receive('bob', expectNext(w, 'alice', 'funding_created'))
    expect(w.alice.broadcasts).toEqual([])
    const signed = expectNext(w, 'bob', 'funding_signed')
    w.receive('alice', { ...signed, signature: signed.signature.map((b, i) => (i === 5 ? b ^ 1 : b)) })
    expect(w.alice.state!.tag).toBe('closed')
    expect(w.alice.broadcasts).toEqual([])
    expect(w.alice.released).toBe(1)
    expect(w.alice.replies[0]!.result).toMatchObject({ code: 'BAD_SIGNATURE' })
    expect(sentBy(w.alice)).toEqual(['error'])
  })

  it('the accepter refuses a wrong signature in funding_created', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.fund()
    const created = expectNext(w, 'alice', 'funding_created')
    w.receive('bob', { ...created, signature: new Uint8Array(64).fill(1) })
    expect(w.bob.state!.tag).toBe('closed')
    expect(faultsOf(w.bob)).toMatchObject([{ code: 'BAD_SIGNATURE', response: 'fail-channel' }])
    expect(expectNext(w, 'bob', 'error').channelId).toBe(open.temporaryChannelId)
    expect(w.bob.records.size).toBe(0)
  })

  it('forgets an opening that is cut off before the funding is bound, and frees the coins', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.fund()
    w.disconnect()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['closed', 'closed'])
    expect(w.alice.released).toBe(1)
    expect(w.alice.records.size + w.bob.records.size).toBe(0)
    w.alice.step({
      tag: 'funded',
      tx: fundingTx({ amountSat: sat(1), scriptPubKey: new Uint8Array(34) }),
      outputIndex: 1,
    })
    expect(w.alice.released).toBe(2)
  })

  it('ends when the wallet cannot fund, and tells the peer and the operator', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.alice.step({ tag: 'fundingFailed', reason: 'not enough coins' })
    expect(w.alice.replies[0]!.result).toMatchObject({ code: 'FUNDING_FAILED' })
    w.settle()
    expect(w.bob.state!.tag).toBe('closed')
  })

  it('refuses a funding transaction that does not pay what was agreed', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    const wanted = w.alice.funding!
    w.alice.step({ tag: 'funded', tx: fundingTx({ ...wanted, amountSat: sat(wanted.amountSat - 1n) }), outputIndex: 1 })
    expect(w.alice.state!.tag).toBe('closed')
    expect(w.alice.released).toBe(1)
  })

  it('reports what the peer says when it refuses', () => {
    const { w, open } = asked()
    const data = new TextEncoder().encode('no room\u0007')
    w.receive('alice', { type: 'error', channelId: open.temporaryChannelId, data })
    expect(w.alice.replies[0]!.result).toMatchObject({ code: 'PEER_REFUSED', detail: 'the peer refused: no room' })
  })

  it('takes messages only in their order', () => {
    const { w, open } = asked()
    w.receive('alice', { type: 'funding_signed', channelId: open.temporaryChannelId, signature: new Uint8Array(64) })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })
})

describe('BOLT 2 §the-open_channel-message: receiving node', () => {
  const { w, open } = asked({ pushMsat: msat(1_000_000) })
  const refused = (change: Partial<OpenChannel>) => {
    const turn = accept(w, { ...open, ...change })
    return turn.state.tag === 'closed' ? turn.state.reason : turn.state.tag
  }
  const withoutType = (): OpenChannel => {
    const { channelType: _, ...rest } = open
    return rest
  }

  it('accepts what is in order', () => {
    expect(refused({})).toBe('await-funding-created')
    expect(refused({ channelFlags: 0xfe })).toBe('await-funding-created')
  })
  it('refuses another chain', () => expect(refused({ chainHash: new Uint8Array(32) })).toContain('chain_hash'))
  it('refuses a missing channel_type', () => {
    const { state } = accept(w, withoutType())
    expect(state.tag === 'closed' && state.reason).toContain('channel_type')
  })
  it('refuses an unknown channel_type', () => {
    expect(refused({ channelType: featuresFromBits([12, 22, 46]) })).toContain('channel_type')
    expect(refused({ channelType: encodeChannelType('static_remotekey') })).toBe('await-funding-created')
  })
  it('refuses push_msat above funding_satoshis', () => {
    expect(refused({ pushMsat: msat(1_000_000_001) })).toContain('push_msat')
  })
  it('refuses a to_self_delay that is unreasonably large', () => {
    expect(refused({ toSelfDelay: 2017 })).toContain('to_self_delay')
  })
  it('refuses max_accepted_htlcs above 483', () => {
    expect(refused({ maxAcceptedHtlcs: 484 })).toContain('max_accepted_htlcs')
    expect(refused({ maxAcceptedHtlcs: 0 })).toContain('max_accepted_htlcs')
  })
  it('refuses feerates far from its own estimate', () => {
    expect(refused({ feeratePerKw: 252 })).toContain('feerate_per_kw')
    expect(refused({ feeratePerKw: 10_001 })).toContain('feerate_per_kw')
  })
  it('refuses keys that are not on the curve', () => {
    for (const key of [
      'fundingPubkey',
      'revocationBasepoint',
      'paymentBasepoint',
      'delayedPaymentBasepoint',
      'htlcBasepoint',
      'firstPerCommitmentPoint',
    ] as const) {
      expect(refused({ [key]: notOnCurve })).toContain('points on the curve')
    }
  })
  it('refuses a dust limit above the reserve, below 354 or too large', () => {
    expect(refused({ dustLimitSatoshis: sat(353) })).toContain('dust_limit_satoshis')
    expect(refused({ dustLimitSatoshis: sat(1001) })).toContain('dust_limit_satoshis')
    expect(refused({ channelReserveSatoshis: sat(353) })).toContain('channel_reserve_satoshis')
  })
  it('refuses an opener that cannot pay the fee', () => {
    const change = { fundingSatoshis: sat(20_000), channelReserveSatoshis: sat(1_000) }
    expect(refused({ ...change, pushMsat: msat(19_000_000) })).toContain('opener can pay')
  })
  it('refuses when neither side has more than the reserve', () => {
    const { ctx } = w.bob
    w.bob.ctx = { ...ctx, feerates: { ...ctx.feerates, commitment: 1100 } }
    const change = { fundingSatoshis: sat(20_000), pushMsat: msat(3_938_000), channelReserveSatoshis: sat(4_000) }
    expect(refused({ ...change, feeratePerKw: 10_200 })).toContain('more than the reserve')
    expect(refused({ ...change, feeratePerKw: 10_000 })).toBe('await-funding-created')
    w.bob.ctx = ctx
  })
  it('refuses what its own limits exclude', () => {
    expect(refused({ fundingSatoshis: sat(19_999) })).toContain('funding_satoshis')
    expect(refused({ htlcMinimumMsat: msat(100_000_001) })).toContain('htlc_minimum_msat')
    expect(refused({ maxHtlcValueInFlightMsat: msat(999) })).toContain('max_htlc_value_in_flight_msat')
    expect(refused({ channelReserveSatoshis: sat(200_001) })).toContain('channel_reserve_satoshis')
    expect(refused({ upfrontShutdownScript: new Uint8Array(25) })).toContain('upfront_shutdown_script')
  })
})

describe('BOLT 2 §the-accept_channel-message: receiver', () => {
  const refused = (change: object) => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', { ...expectNext(w, 'bob', 'accept_channel'), ...change })
    const { state } = w.alice
    return state?.tag === 'closed' ? state.reason : state?.tag
  }
  it('asks the wallet for the funding when all is in order', () => expect(refused({})).toBe('await-funding'))
  it('refuses another channel_type', () => {
    expect(refused({ channelType: encodeChannelType('static_remotekey') })).toContain('channel_type')
  })
  it('refuses a reserve below its dust limit', () => {
    expect(refused({ channelReserveSatoshis: sat(300) })).toContain('channel_reserve_satoshis')
  })
  it('refuses a dust limit above its own reserve or out of bounds', () => {
    expect(refused({ dustLimitSatoshis: sat(1001) })).toContain('dust_limit_satoshis')
  })
  it('refuses an unreasonable minimum_depth', () => expect(refused({ minimumDepth: 145 })).toContain('minimum_depth'))
  it('refuses keys that are ours', () => {
    const { open } = asked()
    for (const key of ['fundingPubkey', 'paymentBasepoint', 'htlcBasepoint', 'firstPerCommitmentPoint'] as const) {
      expect(refused({ [key]: open.paymentBasepoint })).toContain('one is ours')
    }
  })
})

describe('BOLT 2 §the-accept_channel-message: minimum_depth', () => {
  const policy = { minimumDepth: 3, largeMinimumDepth: 6 }
  it('is what the policy says for small channels, and for large ones so much that as many blocks are worth more', () => {
    const capacity = fc.integer({ min: 20_000, max: 100_000_000_000 })
    fc.assert(
      fc.property(capacity, capacity, fc.integer({ min: 1, max: 144 }), (a, b, minimumDepth) => {
        const [small, large] = [Math.min(a, b), Math.max(a, b)]
        const depth = (n: number) => depthFor(sat(n), { ...policy, minimumDepth })
        expect(depth(large)).toBeGreaterThanOrEqual(depth(small))
        expect(depth(small)).toBeGreaterThanOrEqual(minimumDepth)
        expect(depth(large)).toBeLessThanOrEqual(144)
        if (large < 2 ** 24) expect(depth(large)).toBe(minimumDepth)
        else expect(depth(large)).toBeGreaterThanOrEqual(Math.min(144, Math.max(6, large / 156_250_000)))
        expect(depthFor(sat(large), { minimumDepth })).toBe(minimumDepth)
      }),
    )
    expect(depthFor(sat(2 ** 24), policy)).toBe(6)
    expect(depthFor(sat(10_000_000_000), policy)).toBe(64)
  })

  it('is told to the opener, and waited for by both', () => {
    const w = new World({ policy: { largeMinimumDepth: 6 }, capacitySat: sat(2 ** 24) }).open()
    w.mine(5).settle()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['await-ready', 'await-ready'])
    w.mine().settle()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
  })
})

describe('our own request', () => {
  const result = (params: Parameters<World['open']>[0]) => {
    const w = new World()
    w.open(params)
    return w.alice.replies[0]?.result
  }
  it('is refused with a reason when it cannot work', () => {
    expect(result({ capacitySat: sat(10_000) })).toMatchObject({ detail: expect.stringContaining('20000') })
    expect(result({ theirFeatures: featuresFromBits([12]) })).toMatchObject({
      detail: expect.stringContaining('anchors'),
    })
    const large = { capacitySat: sat(20_000_000), theirFeatures: featuresFromBits([12, 22]) }
    expect(result(large)).toMatchObject({ detail: expect.stringContaining('16777216') })
    expect(result({ pushMsat: msat(999_999_000) })).toMatchObject({ code: 'UNACCEPTABLE_PARAMETERS' })
    expect(result({})).toBe('done')
  })
})

describe('BOLT 2 §the-channel_ready-message', () => {
  it('waits for the depth, and takes back the confirmation on a reorg', () => {
    const w = new World().open()
    w.mine(2).settle()
    w.reorg(100)
    expect(w.bob.channel.funding.confirmed).toBeNull()
    w.mine(2).settle()
    expect(w.bob.state!.tag).toBe('await-ready')
  })

  it('is sent after the reconnection when the depth was reached while offline', () => {
    const w = new World().open()
    w.disconnect()
    w.mine(3)
    expect([w.alice.channel.localReady, w.bob.channel.localReady]).toEqual([true, true])
    w.connect()
    w.settle()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
  })

  it('may carry an alias, also again', () => {
    const w = reachNormal()
    const message = {
      type: 'channel_ready',
      channelId: w.bob.channel.params.channelId,
      secondPerCommitmentPoint: w.bob.ctx.signer.commitmentPoint(1),
      shortChannelId: 77n,
    } as never
    const point = w.alice.channel.commitments.remoteNextPoint
    w.receive('alice', message)
    expect(w.alice.channel.remoteAlias).toBe(77n)
    expect(w.alice.channel.commitments.remoteNextPoint).toBe(point)
    expect(faultsOf(w.alice)).toEqual([])
  })

  it('carries an alias of ours by which payments find the channel: no block’s, each side’s own, the same again', () => {
    const w = reachNormal()
    const [ours, theirs] = [w.bob.channel.remoteAlias!, w.alice.channel.remoteAlias!]
    expect(ours).not.toBe(theirs)
    for (const [side, alias] of [
      [w.alice, ours],
      [w.bob, theirs],
    ] as const) {
      const { shortChannelIds } = identifiers(side.state!)
      expect(shortChannelIds).toHaveLength(2)
      expect(shortChannelIds).toContain(alias)
      expect(scidParts(alias).blockHeight).toBeGreaterThanOrEqual(1 << 23)
    }
    w.reconnect()
    expect([w.bob.channel.remoteAlias, w.alice.channel.remoteAlias]).toEqual([ours, theirs])
  })

  it('makes the accepter forget a funding that does not confirm in 2016 blocks, never the opener', () => {
    const w = new World().open()
    w.alice.broadcasts = []
    w.mine(2017)
    expect(w.bob.state!.tag).toBe('closed')
    expect(w.alice.state!.tag).toBe('await-ready')
    const again = rebroadcasts(w.alice.state!, w.alice.ctx)
    expect(again).toMatchObject([{ tag: 'broadcast', purpose: 'funding' }])
    expect(watches(w.alice.state!).map((x) => x.tag)).toEqual(['confirmation', 'spend'])
    expect(watches(w.bob.state!)).toEqual([])
    const { tx } = w.alice.channel.funding
    expect(w.alice.channel.commitments.active[0]!.funding.txid).toBe(txidOf(tx!))
  })
})
