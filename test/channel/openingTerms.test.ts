import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { encodeChannelType, featuresFromBits } from '../../src/wire/features.ts'
import type { OpenChannel } from '../../src/wire/messages/open.ts'
import { accept, asked } from './asked.ts'
import { expectNext, World } from './harness.ts'

/** x = 5 is on no point of secp256k1. */
const notOnCurve = Uint8Array.from({ length: 33 }, (_, i) => (i === 0 ? 2 : i === 32 ? 5 : 0))

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
  it('refuses a missing channel type, that is an open_channel without channel_type', () => {
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

describe('BOLT 2 §the-open_channel-message: max_htlc_value_in_flight_msat that we declare', () => {
  const declares = (millionths: number, capacitySat: bigint) => {
    const policy = { maxHtlcValueInFlightMillionths: millionths }
    const { w, open } = asked({ capacitySat: sat(capacitySat), policy })
    w.receive('bob', open)
    return [open, expectNext(w, 'bob', 'accept_channel')].map((m) => m.maxHtlcValueInFlightMsat)
  }
  it('is a share of the capacity, and never less than we take from a peer', () => {
    expect(declares(1_000_000, 30_000_000n)).toEqual([30_000_000_000n, 30_000_000_000n])
    expect(declares(250_000, 1_000_001n)).toEqual([250_000_250n, 250_000_250n])
    expect(declares(10_000, 20_000n)).toEqual([1_000_000n, 1_000_000n])
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
