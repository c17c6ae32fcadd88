import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import type { Htlc } from '../../src/channel/htlc.ts'
import { htlcTable } from '../../src/channel/htlcTable.ts'
import type { Channel, ChannelState } from '../../src/channel/state.ts'
import { ClaimRoom } from '../../src/node/claimRoom.ts'
import { reachNormal } from '../channel/harness.ts'

/** As much as may have no output (node/policy.ts). */
const EXPOSURE_SAT = 200_000

describe('what there is room for', () => {
  const { bob } = reachNormal()
  const { channelId } = bob.channel.params
  const amount = fc.integer({ min: 5_000, max: 400_000 })
  const payments = fc.array(fc.array(amount, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 })
  /** How many of the payments are taken, one after the other, none of which is settled. */
  const taken = (amounts: readonly (readonly number[])[], coinsSat: number): readonly boolean[] => {
    let id = 0n
    const state = stateWith(amounts.flat().length)
    const room = new ClaimRoom({
      stateOf: () => state,
      feeratePerKw: () => 1000,
      coinsSat: () => sat(coinsSat),
      exposureMsat: msat(EXPOSURE_SAT * 1000),
      onShort: () => {},
    })
    return amounts.map((parts, n) => {
      const htlcs = parts.map((part) => ({ channelId, id: id++, amountMsat: msat(part * 1000) }))
      const fits = room.hasRoom(htlcs, `${n}`)
      if (fits) room.keep(htlcs, `${n}`)
      return fits
    })
  }
  /** Of so many HTLCs that nothing has been decided on: only that counts here. */
  const stateWith = (many: number): ChannelState => {
    const htlcs = Array.from({ length: many }, (_, n) => ({ add: { id: BigInt(n) }, removal: null }) as unknown as Htlc)
    const channel = {
      ...bob.channel,
      commitments: { ...bob.channel.commitments, incoming: htlcTable(htlcs) },
    }
    return { ...bob.state, channel } as ChannelState
  }

  it('is a first payment always, in how many parts it comes, and as much beside it as may have no output', () => {
    fc.assert(
      fc.property(payments, (amounts) => {
        const fits = taken(amounts, 0)
        expect(fits[0]).toBe(true)
        const sums = amounts.map((parts) => parts.reduce((a, b) => a + b, 0)).filter((_, n) => fits[n])
        const largest = Math.max(...sums)
        expect(sums.reduce((a, b) => a + b, 0) - largest).toBeLessThanOrEqual(EXPOSURE_SAT)
      }),
    )
  })

  it('is told of where it is wanting: once, and again where coins that sufficed have gone', () => {
    let [coins, told] = [0n, 0]
    const room = new ClaimRoom({
      stateOf: () => stateWith(1),
      feeratePerKw: () => 1000,
      coinsSat: () => sat(coins),
      exposureMsat: msat(0),
      onShort: () => told++,
    })
    const htlc = { channelId, id: 0n, amountMsat: msat(50_000_000) }
    const after = (coinsSat: bigint): number => {
      coins = coinsSat
      room.hasRoom([htlc], 'one')
      room.refused()
      return told
    }
    expect([0n, 0n, 1_000n, 1_000_000n, 0n, 500n].map(after)).toEqual([1, 1, 1, 2, 2, 2])
  })

  it('for the next payment never gets less by more coins', () => {
    fc.assert(
      fc.property(payments, amount, fc.nat(20_000), fc.nat(20_000), (amounts, next, coins, more) => {
        const before = amounts.slice(0, taken(amounts, coins).lastIndexOf(true) + 1)
        const all = (sat: number): boolean => taken([...before, [next]], sat).every((fits) => fits)
        if (all(coins)) expect(all(coins + more)).toBe(true)
      }),
    )
  })
})

describe('what HTLCs under way may need', () => {
  const { bob } = reachNormal()
  const { channelId } = bob.channel.params
  const small = Array.from({ length: 400 }, (_, n) => ({ channelId, id: BigInt(n), amountMsat: msat(2_000_000) }))
  const needs = (
    feeratePerKw: number,
    { restored, later }: { restored?: Channel['restored']; later?: Partial<ChannelState> } = {},
  ): bigint => {
    const incoming = htlcTable(small.map((add) => ({ add, stage: 'committed', removal: null }) as unknown as Htlc))
    const channel = {
      ...bob.channel,
      ...(restored && { restored }),
      commitments: { ...bob.channel.commitments, incoming },
    }
    let state = { ...bob.state, channel } as ChannelState
    let feerate = 253
    const room = new ClaimRoom({
      stateOf: () => state,
      feeratePerKw: () => feerate,
      coinsSat: () => sat(1_000_000),
      exposureMsat: msat(EXPOSURE_SAT * 1000),
      onShort: () => {},
    })
    room.keep(small, 'one')
    state = { ...state, ...later } as ChannelState
    feerate = feeratePerKw
    return room.needSat(sat(0), sat(0))
  }

  it('is never more than they hold, however high the feerate gets', () => {
    expect(needs(253)).toBeGreaterThan(200_000n)
    expect(needs(253)).toBeLessThan(300_000n)
    expect(needs(25_000)).toBe(800_000n)
  })

  it('is nothing in a channel that a backup brought back: there is no commitment to claim them from', () => {
    expect(needs(253, { restored: true })).toBe(0n)
  })

  it('is nothing once the peer has proved that our commitment is revoked', () => {
    expect(needs(253, { later: { tag: 'waiting-for-peer' } })).toBeGreaterThan(200_000n)
    expect(needs(253, { later: { tag: 'waiting-for-peer', isOld: true } })).toBe(0n)
  })
})
