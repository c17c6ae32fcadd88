import fc from 'fast-check'
import { msat } from '../../src/base/units.ts'
import type { RouteRequest } from '../../src/routing/path.ts'
import { local, node, type Policy, type TestChannel } from './network.ts'

export const HEIGHT = 1000
export const free: Policy = { base: 0, rate: 0, delta: 10, min: 0, max: 10 ** 12 }
export const request = (target: number, more: Partial<RouteRequest> = {}): RouteRequest => ({
  source: node(0),
  target: node(target),
  amountMsat: msat(100_000n),
  finalCltvExpiry: HEIGHT,
  maxFeeMsat: msat(100_000n),
  maxCltvExpiry: HEIGHT + 1000,
  localChannels: [local(1, 1, 10n ** 9n)],
  ...more,
})
export const both = (id: number, ends: [number, number], p: Policy): TestChannel => ({
  id,
  ends,
  capacitySat: 10 ** 9,
  policies: [p, p],
})

export const NODES = 7
const policy: fc.Arbitrary<Policy> = fc.record({
  base: fc.constantFrom(0, 1, 1000, 20_000),
  rate: fc.constantFrom(0, 1, 500, 30_000, 999_999),
  delta: fc.constantFrom(0, 6, 40, 144),
  min: fc.constantFrom(0, 1, 99_999, 100_001, 130_000),
  max: fc.constantFrom(100_000, 110_000, 10 ** 9),
})
const channel = (id: number): fc.Arbitrary<TestChannel> =>
  fc.record({
    id: fc.constant(id),
    ends: fc
      .tuple(fc.integer({ min: 1, max: NODES - 2 }), fc.integer({ min: 1, max: NODES - 1 }))
      .map(([a, b]) => (a < b ? ([a, b] as const) : ([b, Math.max(a, b + 1)] as const))),
    capacitySat: fc.constantFrom(100, 120, 1_000_000),
    policies: fc.tuple(fc.option(policy), fc.option(policy)) as fc.Arbitrary<readonly [Policy | null, Policy | null]>,
  })
export const network = fc
  .integer({ min: 1, max: 12 })
  .chain((n) => fc.tuple(...Array.from({ length: n }, (_, i) => channel(100 + i))))
export const locals = fc.array(
  fc.tuple(
    fc.integer({ min: 1, max: NODES - 1 }),
    fc.constantFrom(100_000n, 150_000n, 10n ** 9n),
    fc.constantFrom(1n, 120_000n),
  ),
  { minLength: 1, maxLength: 3 },
)
