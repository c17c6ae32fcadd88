import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planPayments } from '../../../src/cli/demo/plan.ts'
import { quantile } from '../../../src/cli/demo/quantile.ts'

const DUST_MSAT = 354_000

describe('the payments of the demo', () => {
  it('go in every direction, small and large in each', () => {
    const plan = planPayments(1000, 5_000_000_000, 1)
    for (const [from, to, count] of [
      ['alice', 'bob', 400],
      ['bob', 'alice', 300],
      ['alice', 'carol', 300],
    ] as const) {
      const some = plan.filter((p) => p.from === from && p.to === to)
      const small = some.filter((p) => p.amountMsat < DUST_MSAT).length
      expect(some).toHaveLength(count)
      expect(small).toBe(count / 2)
    }
  })

  it('are the same for the same seed and others for another', () => {
    expect(planPayments(100, 5_000_000_000, 7)).toEqual(planPayments(100, 5_000_000_000, 7))
    expect(planPayments(100, 5_000_000_000, 7)).not.toEqual(planPayments(100, 5_000_000_000, 8))
  })

  it('never move more than the budget in one direction while they are large enough to have an output', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4_000 }), fc.nat(), (count, seed) => {
        const budget = 5_000_000_000
        const plan = planPayments(count, budget, seed)
        expect(plan).toHaveLength(count)
        const out = plan.filter((p) => p.from === 'alice').reduce((sum, p) => sum + p.amountMsat, 0)
        expect(out).toBeLessThanOrEqual(budget)
      }),
      { numRuns: 30 },
    )
  })
})

describe('quantile', () => {
  it('is the smallest value that so many do not exceed', () => {
    const values = Array.from({ length: 100 }, (_, i) => i + 1)
    expect([0, 0.5, 0.99, 1].map((q) => quantile(values, q))).toEqual([1, 50, 99, 100])
    expect(quantile([], 0.5)).toBeNull()
    expect(quantile([7], 0.99)).toBe(7)
  })
})
