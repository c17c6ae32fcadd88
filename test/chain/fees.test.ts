import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FEERATE_CEILING, FEERATE_FLOOR } from '../../src/bitcoin/policy.ts'
import { ChainError } from '../../src/chain/errors.ts'
import {
  channelFeerates,
  FEE_TARGETS,
  type FeeEstimates,
  followFees,
  initialEstimates,
  perKw,
  perVbyte,
  type RawEstimates,
  updateEstimates,
  walletFeerate,
} from '../../src/chain/fees.ts'
import { FakeSource, instantClock } from './fakeSource.ts'

const all = <T>(value: T) => ({ 2: value, 6: value, 12: value, 144: value, 1008: value })

describe('fee estimates', () => {
  const feerate = fc.oneof(fc.double(), fc.integer({ min: 0, max: 300_000 }), fc.constant(null))
  const raw: fc.Arbitrary<RawEstimates> = fc.record({
    byTarget: fc.record({ 2: feerate, 6: feerate, 12: feerate, 144: feerate, 1008: feerate }),
    minimum: feerate,
  })

  it('whatever the backend says, they are whole, within bounds, relayable, and no later target costs more than a sooner one', () => {
    fc.assert(
      fc.property(fc.array(raw, { minLength: 1 }), (updates) => {
        let estimates: FeeEstimates | null = null
        for (const update of updates) {
          estimates = updateEstimates(estimates, update)
          const rates = FEE_TARGETS.map((t) => estimates!.byTarget[t])
          for (const rate of [...rates, estimates.minimum]) {
            expect(Number.isInteger(rate)).toBe(true)
            expect(rate).toBeGreaterThanOrEqual(FEERATE_FLOOR)
            expect(rate).toBeLessThanOrEqual(FEERATE_CEILING)
            expect(rate).toBeGreaterThanOrEqual(estimates.minimum)
          }
          expect(rates).toEqual(rates.toSorted((a, b) => b - a))
        }
      }),
    )
  })

  it('what pays the least of them is taken by a node that asks its minimum for whole vbytes, a package of two as well', () => {
    const weight = fc.integer({ min: 400, max: 400_000 })
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 900_000 }), weight, weight, (satPerKvb, one, two) => {
        const minimum = Math.ceil(satPerKvb / 4)
        const rate = updateEstimates(null, { byTarget: all(null), minimum }, 0).byTarget[1008]
        const paid = (w: number): number => Math.floor((w * rate) / 1000)
        const asked = (vsize: number): number => Math.ceil((vsize * satPerKvb) / 1000)
        expect(paid(one)).toBeGreaterThanOrEqual(asked(Math.ceil(one / 4)))
        expect(paid(one + two)).toBeGreaterThanOrEqual(asked(Math.ceil(one / 4) + Math.ceil(two / 4)))
      }),
    )
  })

  it('a rise counts at once, a fall little by little', () => {
    const low = updateEstimates(null, { byTarget: all(1_000), minimum: 253 })
    const high = updateEstimates(low, { byTarget: all(9_000), minimum: 253 })
    expect(high.byTarget[2]).toBe(9_000)
    const falling = updateEstimates(high, { byTarget: all(1_000), minimum: 253 })
    expect(falling.byTarget[2]).toBe(7_000)
    let later = falling
    for (let i = 0; i < 40; i++) later = updateEstimates(later, { byTarget: all(1_000), minimum: 253 })
    expect(later.byTarget[2]).toBeLessThan(1_010)
  })

  it('an absurd answer is not believed at once, a spike that lasts is, within minutes', () => {
    const rate = fc.integer({ min: FEERATE_FLOOR, max: FEERATE_CEILING })
    fc.assert(
      fc.property(fc.option(rate), fc.integer({ min: FEERATE_FLOOR, max: 1e9 }), (before, said) => {
        const raw = { byTarget: all(said), minimum: 253 }
        let estimates = before === null ? null : updateEstimates(null, { byTarget: all(before), minimum: 253 })
        const known = estimates?.byTarget[12] ?? 10_000
        estimates = updateEstimates(estimates, raw)
        // 40 sat per vbyte, or three times what was known.
        expect(estimates.byTarget[12]).toBeLessThanOrEqual(Math.max(10_000, 3 * known))
        if (said >= known) expect(estimates.byTarget[12]).toBeGreaterThanOrEqual(Math.min(said, 10_000))
        // Told once, it is all but forgotten ten polls later.
        let once = estimates
        const usual = { byTarget: all(known), minimum: 253 }
        for (let poll = 0; poll < 10; poll++) once = updateEstimates(once, usual)
        expect(once.byTarget[12]).toBeLessThan(known * 1.2 + 600)
        for (let poll = 0; poll < 3; poll++) estimates = updateEstimates(estimates, raw)
        if (said >= known) expect(estimates.byTarget[12]).toBe(Math.min(said, FEERATE_CEILING))
      }),
    )
  })

  it('what the mempool asks for at least is paid, however far it rose', () => {
    const low = updateEstimates(null, { byTarget: all(1_000), minimum: 253 })
    expect(updateEstimates(low, { byTarget: all(1_000), minimum: 90_000 }).byTarget[1008]).toBeGreaterThanOrEqual(
      90_000,
    )
  })

  it('without an estimate the last one stays, and the fallback where there never was one', () => {
    const known = updateEstimates(null, { byTarget: { ...all(null), 2: 5_000 }, minimum: null }, 800)
    expect(known.byTarget).toEqual({ ...all(800), 2: 5_000 })
    expect(updateEstimates(known, { byTarget: all(null), minimum: null }, 300)).toEqual(known)
    expect(initialEstimates(100).byTarget[6]).toBe(FEERATE_FLOOR)
  })

  it('claims pay for the next blocks, the rest is in less of a hurry', () => {
    const e = updateEstimates(null, { byTarget: { 2: 9_000, 6: 5_000, 12: 3_000, 144: 500, 1008: 260 }, minimum: 253 })
    expect(channelFeerates(e)).toEqual({ commitment: 3_000, closing: 3_000, claim: 9_000, slow: 500 })
    expect(walletFeerate(e)).toBe(5_000)
  })

  it('a sat per vbyte is 250 sat per 1,000 weight units, 253 at the floor', () => {
    expect(perKw(1)).toBe(253)
    expect(perKw(4)).toBe(1_000)
    expect(perVbyte(1_000)).toBe(4)
  })
})

describe('followFees', () => {
  it('keeps asking, over failures and missing estimates', async () => {
    const source = new FakeSource()
    const stop = new AbortController()
    const seen: FeeEstimates[] = []
    let calls = 0
    Object.assign(source, {
      mempoolMinFeerate: async () => {
        if (calls++ % 2 === 0) throw new ChainError('UNAVAILABLE', 'gone')
        return 300
      },
      estimateFeerate: async (blocks: number) => {
        if (blocks === 2) throw new ChainError('RPC_ERROR', 'estimatesmartfee: no')
        return blocks > 100 ? null : 2_000
      },
    })
    await followFees({
      source,
      signal: stop.signal,
      clock: instantClock,
      fallback: 700,
      onEstimates: (e) => {
        seen.push(e)
        if (seen.length === 3) stop.abort()
      },
    })
    expect(seen).toHaveLength(3)
    expect(seen[2]).toEqual({ byTarget: { 2: 2_000, 6: 2_000, 12: 2_000, 144: 700, 1008: 700 }, minimum: 300 })
  })

  it('an answer that is none leaves the others as they are', async () => {
    const source = new FakeSource()
    const stop = new AbortController()
    const unlike = new ChainError('BAD_RESPONSE', 'feerate is not an amount in BTC')
    Object.assign(source, {
      mempoolMinFeerate: async () => {
        throw unlike
      },
      estimateFeerate: async (blocks: number) => {
        if (blocks > 12) throw unlike
        return 9_000
      },
    })
    const seen = await new Promise<FeeEstimates | null>((resolve) => {
      const clock = {
        sleep: async () => {
          stop.abort()
          resolve(null)
        },
      }
      void followFees({ source, signal: stop.signal, clock, fallback: 700, onEstimates: resolve })
    })
    expect(seen).toEqual({ byTarget: { 2: 9_000, 6: 9_000, 12: 9_000, 144: 700, 1008: 700 }, minimum: 253 })
  })
})
