import fc from 'fast-check'
import type { Name } from '../../node/world.ts'

/** How much of what Bob's disk holds becomes older: all of it, or the channels that these bits choose, in the order of their opening. */
export type Extent = 'all' | number

export type Step =
  | {
      readonly tag: 'pay'
      readonly from: 'alice' | 'bob'
      readonly amountSat: number
      /** Of Carol's HTLC, in blocks. */
      readonly delta: number
      readonly patienceS: number
    }
  /** Rounds in which only what these send arrives. */
  | { readonly tag: 'run'; readonly heard: readonly Name[]; readonly rounds: number }
  | { readonly tag: 'settle' | 'connect' | 'look' }
  | { readonly tag: 'mine'; readonly blocks: number }
  | { readonly tag: 'cut'; readonly link: 0 | 1 }
  | { readonly tag: 'crash'; readonly who: Name }
  | { readonly tag: 'boot'; readonly who: Name }
  | { readonly tag: 'decide'; readonly pick: number; readonly settle: boolean }
  /** Carol closes a channel by force. */
  | { readonly tag: 'close'; readonly pick: number }
  /** Bob stops, and starts on a disk that is so many writes behind. */
  | { readonly tag: 'back'; readonly writes: number; readonly extent: Extent; readonly gap: boolean }
  /** Of Bob's n-th batch from here nothing of these channels is found, and he stops. */
  | { readonly tag: 'tear'; readonly writes: number; readonly without: number }

export interface Schedule {
  /** Channels between Alice and Bob, and between Bob and Carol. */
  readonly channels: readonly [1 | 2, 1 | 2]
  /** Bob looks at the mempool. */
  readonly watches: boolean
  readonly steps: readonly Step[]
  /** What Carol does at the end with what she still holds, one after the other: null lets it expire. */
  readonly ends: readonly (boolean | null)[]
}

const NAMES = ['alice', 'bob', 'carol'] as const
const pay: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('pay' as const),
  from: fc.constantFrom('alice' as const, 'alice' as const, 'bob' as const),
  // What is worth a claim on chain: what is not may be lost to a close.
  amountSat: fc.integer({ min: 20_000, max: 120_000 }),
  delta: fc.constantFrom(30, 60, 100),
  patienceS: fc.constantFrom(1, 3_000, 20_000),
})
const run: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('run' as const),
  heard: fc.oneof(fc.constant(NAMES), fc.subarray([...NAMES], { minLength: 1 })),
  rounds: fc.integer({ min: 1, max: 12 }),
})
const back: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('back' as const),
  writes: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 60 })),
  extent: fc.oneof(fc.constant('all' as const), fc.integer({ min: 1, max: 15 })),
  gap: fc.boolean(),
})
const tear: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('tear' as const),
  writes: fc.integer({ min: 1, max: 12 }),
  without: fc.integer({ min: 1, max: 15 }),
})
const decide: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('decide' as const),
  pick: fc.nat(5),
  settle: fc.boolean(),
})
const close: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('close' as const), pick: fc.nat(1) })
const other: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ tag: fc.constantFrom('settle' as const, 'settle' as const, 'connect' as const, 'look' as const) }),
  fc.record({ tag: fc.constant('mine' as const), blocks: fc.constantFrom(1, 1, 2, 5, 12) }),
  fc.record({ tag: fc.constant('cut' as const), link: fc.constantFrom(0 as const, 1 as const) }),
  fc.record({ tag: fc.constant('crash' as const), who: fc.constantFrom<Name>('alice', 'bob', 'bob', 'carol') }),
  fc.record({ tag: fc.constant('boot' as const), who: fc.constantFrom<Name>(...NAMES) }),
)
/** Payments go out; something is lost; and those who are there go on for a while. */
const chapter = fc
  .tuple(
    fc.option(tear, { freq: 2 }),
    fc.array(fc.oneof(pay, pay, run, run, other), { minLength: 2, maxLength: 8 }),
    fc.option(close, { freq: 1 }),
    fc.option(back, { freq: 3 }),
    fc.array(fc.oneof(run, decide, decide, other, other, close), { minLength: 1, maxLength: 8 }),
  )
  .map(([torn, before, closed, lost, after]): readonly Step[] => [
    ...(torn ? [torn] : []),
    ...before,
    ...(closed ? [closed] : []),
    ...(lost ? [lost] : []),
    ...after,
  ])

export const schedule: fc.Arbitrary<Schedule> = fc.record({
  channels: fc.tuple(fc.constantFrom(1 as const, 1 as const, 2 as const), fc.constantFrom(1 as const, 2 as const)),
  watches: fc.boolean(),
  steps: fc
    .array(chapter, { minLength: 1, maxLength: 3, size: 'max' })
    .map((all) => [{ tag: 'settle' } as Step, ...all.flat()]),
  ends: fc.array(fc.constantFrom(true, false, null), { minLength: 1, maxLength: 4 }),
})
