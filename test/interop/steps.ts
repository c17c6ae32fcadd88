import fc from 'fast-check'
import type { Pay, Step } from './life.ts'
import type { Real } from './stage.ts'

/** Of two nodes with channels between them, which may have something to do. */
export type Side = 'us' | 'them'
export const side = fc.constantFrom<Side>('us', 'them')

/** Who pays, and who is paid. */
type Ends = Pick<Pay, 'from' | 'to'>
const WITH_US: readonly Ends[] = [
  { from: 'them', to: 'us' },
  { from: 'us', to: 'them' },
]

const payBetween = (ends: readonly Ends[]): fc.Arbitrary<Pay> =>
  fc
    .record({
      ends: fc.constantFrom(...ends),
      // Without an output of its own; with one; in parts, since no channel has as much.
      amountMsat: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 1_000, max: 400_000 }) },
        { weight: 8, arbitrary: fc.integer({ min: 300_000, max: 80_000_000 }) },
        { weight: 1, arbitrary: fc.integer({ min: 2_100_000_000, max: 3_000_000_000 }) },
      ),
      kind: fc.constantFrom('at once' as const, 'at once' as const, 'held' as const),
    })
    .map(({ ends, ...rest }) => ({ tag: 'pay', ...ends, ...rest }))
const runOf = (real: fc.Arbitrary<Real>): fc.Arbitrary<Step> =>
  fc.record({ tag: fc.constant('run' as const), bytes: fc.integer({ min: 1, max: 3_000 }), real })
const brokenOf = (real: fc.Arbitrary<Real>): fc.Arbitrary<Step> =>
  fc.oneof(
    fc.record({
      tag: fc.constant('cut' as const),
      direction: fc.constantFrom('in' as const, 'out' as const),
      bytes: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 6_000 })),
      real,
    }),
    fc.record({ tag: fc.constant('die' as const), before: fc.nat(8), isKept: fc.boolean() }),
    fc.record({ tag: fc.constant('hang up' as const), real }),
  )
const decide: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('decide' as const),
  pick: fc.nat(8),
  settle: fc.boolean(),
})

interface Range {
  readonly min: number
  readonly max: number
}
export interface Bounds {
  /** Estimates, sat per 1,000 weight units. */
  readonly fees: { readonly us: Range; readonly them: Range }
  /** Payments in the same moment. */
  readonly many: number
  /** What this counterpart does besides. */
  readonly more?: readonly fc.Arbitrary<Step>[]
  /** Left out: they and we. */
  readonly ends?: readonly Ends[]
  /** Real nodes that there are; left out: them alone. */
  readonly reals?: readonly Real[]
}

const fee = (who: Side, range: Range): fc.Arbitrary<Step> =>
  fc.record({ tag: fc.constant('fee' as const), who: fc.constant(who), feeratePerKw: fc.integer(range) })

/** Schedules of what nodes with channels with us can do and suffer. */
export function stepsWith({
  fees,
  many,
  more = [],
  ends = WITH_US,
  reals = ['them'],
}: Bounds): fc.Arbitrary<readonly Step[]> {
  const pay = payBetween(ends)
  const real = fc.constantFrom(...reals)
  const [run, broken] = [runOf(real), brokenOf(real)]
  const atOnce: fc.Arbitrary<Step> = fc.record({
    tag: fc.constant('many' as const),
    pays: fc.array(pay, { minLength: 2, maxLength: many, size: 'max' }),
  })
  const other: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ tag: fc.constantFrom('connect' as const, 'connect' as const, 'restart' as const, 'mine' as const) }),
    fee('us', fees.us),
    fee('them', fees.them),
    ...more,
  )
  const step = fc.oneof(pay, pay, atOnce, run, run, broken, decide, other)
  return fc.array(step, { minLength: 5, maxLength: 40, size: 'max' })
}
