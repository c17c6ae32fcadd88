import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import type { Htlc } from '../../src/channel/htlc.ts'
import { htlcTable } from '../../src/channel/htlcTable.ts'
import type { Channel, ChannelState } from '../../src/channel/state.ts'
import type { ChannelContext } from '../../src/channel/types.ts'
import { ClaimRoom } from '../../src/node/claimRoom.ts'
import { reachNormal } from '../channel/harness.ts'

/** As much as may have no output (node/policy.ts). */
const EXPOSURE_SAT = 200_000
/** As much as may not be worth its claim. */
const SMALL_SAT = 500_000

const at = (claim: number) => (): ChannelContext['feerates'] => ({ commitment: claim, closing: claim, claim })

describe('what there is room for', () => {
  const { bob } = reachNormal()
  const { channelId } = bob.channel.params
  const amount = fc.integer({ min: 5_000, max: 400_000 })
  const payments = fc.array(fc.array(amount, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 })
  /** How many of the payments are taken, one after the other, none of which is settled. */
  const taken = (
    amounts: readonly (readonly number[])[],
    coinsSat: number,
    { claim = 1000, onShort = () => {} } = {},
  ): readonly boolean[] => {
    let id = 0n
    const state = stateWith(amounts.flat().length)
    const room = new ClaimRoom({
      stateOf: () => state,
      feerates: at(claim),
      coinsSat: () => sat(coinsSat),
      exposureMsat: msat(EXPOSURE_SAT * 1000),
      onShort,
    })
    return amounts.map((parts, n) => {
      const htlcs = parts.map((part) => ({ channelId, id: id++, amountMsat: msat(part * 1000) }))
      const fits = room.hasRoom(htlcs, `${n}`)
      if (fits) room.keep(htlcs, `${n}`)
      else room.refused(htlcs, `${n}`)
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

  it('of HTLCs that are not worth their claims is as little, whatever the wallet has, which nobody is asked to fill', () => {
    fc.assert(
      // The claim of one costs 55,100 sat.
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 55_000 }), { minLength: 1, maxLength: 8 }), { size: 'large' }),
        (amounts) => {
          const fits = taken(amounts, 100_000_000, { claim: 50_000, onShort: () => expect.unreachable() })
          const sums = amounts.map((parts) => parts.reduce((a, b) => a + b, 0))
          let [sum, largest] = [0, 0]
          sums.forEach((next, n) => {
            const has = sum + next - Math.max(largest, next) <= SMALL_SAT
            expect(fits[n]).toBe(has)
            if (has) [sum, largest] = [sum + next, Math.max(largest, next)]
          })
        },
      ),
    )
  })

  it('of those that the wallet claims is as if the others were not there', () => {
    // As many as there may be without a claim.
    const small = Array.from({ length: 501 }, () => [1_000])
    fc.assert(
      fc.property(payments, fc.nat(40_000), (amounts, coins) => {
        const fits = taken([...small, [1_000], ...amounts], coins, { claim: 2_000 })
        expect(fits).toEqual([...small.map(() => true), false, ...taken(amounts, coins, { claim: 2_000 })])
      }),
    )
  })

  it('is there again once they are settled', () => {
    const many = Array.from({ length: 500 }, (_, n) => ({ channelId, id: BigInt(n), amountMsat: msat(1_000_000) }))
    const [next, last] = [500n, 501n].map((id) => [{ channelId, id, amountMsat: msat(1_000_000) }])
    let state = stateWith(502)
    const room = new ClaimRoom({
      stateOf: () => state,
      feerates: at(2_000),
      coinsSat: () => sat(0),
      exposureMsat: msat(EXPOSURE_SAT * 1000),
      onShort: () => {},
    })
    for (const htlc of many) room.keep([htlc], `${htlc.id}`)
    room.keep(next!, 'next')
    expect(room.hasRoom(last!, 'last')).toBe(false)
    state = stateWith(0)
    expect(room.hasRoom(last!, 'last')).toBe(true)
  })

  it('is told of where it is wanting: once, and again where coins that sufficed have gone', () => {
    let [coins, told] = [0n, 0]
    const state = stateWith(2)
    const room = new ClaimRoom({
      stateOf: () => state,
      feerates: at(1000),
      coinsSat: () => sat(coins),
      exposureMsat: msat(0),
      onShort: () => told++,
    })
    const [first, htlc] = [0n, 1n].map((id) => ({ channelId, id, amountMsat: msat(50_000_000) }))
    room.keep([first!], 'first')
    const after = (coinsSat: bigint): number => {
      coins = coinsSat
      room.hasRoom([htlc!], 'one')
      room.refused([htlc!], 'one')
      return told
    }
    expect([0n, 0n, 1_000n, 1_000_000n, 0n, 500n].map(after)).toEqual([1, 1, 1, 1, 2, 2])
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
    {
      restored,
      later,
      takenAt = 253,
    }: Pick<Partial<Channel>, 'restored'> & { later?: Partial<ChannelState>; takenAt?: number } = {},
  ): bigint => {
    const incoming = htlcTable(small.map((add) => ({ add, stage: 'committed', removal: null }) as unknown as Htlc))
    const channel = {
      ...bob.channel,
      ...(restored && { restored }),
      commitments: { ...bob.channel.commitments, incoming },
    }
    let state = { ...bob.state, channel } as ChannelState
    let feerate = takenAt
    const room = new ClaimRoom({
      stateOf: () => state,
      feerates: () => at(feerate)(),
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

  it('is nothing for those that are not worth their claims when they are taken', () => {
    expect(needs(2_500, { takenAt: 2_500 })).toBe(0n)
  })

  it('is nothing in a channel that a backup brought back: there is no commitment to claim them from', () => {
    expect(needs(253, { restored: true })).toBe(0n)
  })

  it('is nothing once the peer has proved that our commitment is revoked', () => {
    expect(needs(253, { later: { tag: 'waiting-for-peer' } })).toBeGreaterThan(200_000n)
    expect(needs(253, { later: { tag: 'waiting-for-peer', isOld: true } })).toBe(0n)
  })
})
