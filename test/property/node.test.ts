import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Balances, channelMsat, gainedMsat, onchainSat } from '../node/accounts.ts'
import { type Ending, Life, type Step } from '../node/life.ts'
import { NAMES, type Name, nameOf, type Snapshot, World } from '../node/world.ts'

/** FULMEN_RUNS=2000 npx vitest run test/property/node.test.ts looks longer. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 40)
/** FULMEN_SEED=seed:path, as a failure prints them, runs that life alone. */
const [seed, ...path] = (process.env.FULMEN_SEED ?? '').split(':')
const REPLAY = { endOnFailure: true, ...(seed && { seed: Number(seed), path: path.join(':') }) }
const CAPACITY = 1_000_000

let base: Snapshot
let before: Balances
let beforeOnchain: Balances
beforeAll(async () => {
  const world = await World.start()
  await world.fund()
  await world.open('alice', 'bob', CAPACITY, CAPACITY / 2)
  await world.open('bob', 'carol', CAPACITY, CAPACITY / 2)
  base = world.snapshot()
  before = channelMsat(world)
  beforeOnchain = onchainSat(world)
  world.close()
})

// ---------------------------------------------------------------- lives

const name = fc.constantFrom<Name>(...NAMES)
const amount = fc.oneof(
  fc.integer({ min: 1, max: 400_000 }),
  fc.integer({ min: 300_000, max: 3_000_000 }),
  fc.integer({ min: 1_000_000, max: 300_000_000 }),
)
const ending: fc.Arbitrary<Ending> = fc.oneof(
  fc.record({ how: fc.constantFrom('refused' as const, 'lost' as const, 'kept' as const) }),
  fc.record({ how: fc.constant('torn' as const), seed: fc.nat() }),
  fc.record({ how: fc.constant('torn' as const), seed: fc.nat() }),
)
const pay: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('pay' as const),
  from: name,
  to: name,
  amountMsat: amount,
  kind: fc.constantFrom(
    'invoice' as const,
    'invoice' as const,
    'invoice' as const,
    'hold' as const,
    'brief' as const,
    'keysend' as const,
  ),
})
const run: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('run' as const), rounds: fc.integer({ min: 1, max: 6 }) })
const other: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ tag: fc.constantFrom('connect' as const, 'settle' as const, 'mine' as const) }),
  fc.record({ tag: fc.constant('cut' as const), link: fc.constantFrom(0 as const, 1 as const) }),
  fc.record({ tag: fc.constant('crash' as const), who: name }),
  fc.record({ tag: fc.constant('blocks' as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ tag: fc.constant('estimate' as const), feeratePerKw: fc.integer({ min: 253, max: 20_000 }) }),
  fc.record({ tag: fc.constant('reorg' as const), depth: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ tag: fc.constant('decide' as const), pick: fc.nat(8), settle: fc.boolean() }),
  fc.record({
    tag: fc.constant('fee' as const),
    who: fc.constantFrom('alice' as const, 'bob' as const),
    feeratePerKw: fc.integer({ min: 500, max: 3000 }),
  }),
)
const doom: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('doom' as const),
  who: fc.constantFrom<Name>('alice', 'bob', 'bob', 'carol'),
  writes: fc.integer({ min: 1, max: 20 }),
  ending,
})
/** Everybody is up; payments go out until somebody dies, or is cut off; and those who are left go on for a while. */
const chapter: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    fc.option(doom, { freq: 5 }),
    fc.array(fc.oneof(pay, pay, run, run, other), { minLength: 2, maxLength: 14 }),
    run,
  )
  .map(([end, steps, more]) => [{ tag: 'boot' }, ...(end ? [end] : []), ...steps, more, more, more])
const life = fc.array(chapter, { minLength: 1, maxLength: 5, size: 'max' }).map((chapters) => chapters.flat())

const close: fc.Arbitrary<Step> = fc
  .record({
    link: fc.constantFrom<[Name, Name]>(['alice', 'bob'], ['bob', 'carol']),
    swap: fc.boolean(),
    force: fc.boolean(),
  })
  .map(({ link: [a, b], swap, force }) => ({ tag: 'close', who: swap ? b : a, peer: swap ? a : b, force }))
/** The amounts are worth a claim on chain: what is not may be lost to a close, on either side. */
function worthy(s: Step): Step {
  if (s.tag === 'pay') return { ...s, amountMsat: 15_000_000 + (s.amountMsat % 60_000_000) }
  return s.tag === 'estimate' ? { ...s, feeratePerKw: Math.min(s.feeratePerKw, 5_000) } : s
}
const closingLife = fc
  .tuple(
    fc.array(chapter, { minLength: 1, maxLength: 3, size: 'max' }),
    fc.array(close, { minLength: 1, maxLength: 2 }),
    fc.nat(),
  )
  .map(([chapters, closes, at]) => {
    const steps = chapters.flat().map(worthy)
    for (const [i, c] of closes.entries()) steps.splice((at * (i + 1)) % (steps.length + 1), 0, c)
    return steps
  })

// ---------------------------------------------------------------- what must hold of each

/** Every payment has ended, on both sides in the same way, and no channel holds anything of it. */
async function expectPaymentsOver(life: Life): Promise<void> {
  expect(life.openHtlcs()).toBe(0)
  for (const p of life.payments) {
    const [outcome, received] = [await life.outcome(p), await life.received(p)]
    expect([p, outcome]).not.toEqual([p, 'pending'])
    expect([p, outcome === 'succeeded']).toEqual([p, received !== null])
    if (received !== null) expect([p, received]).toEqual([p, p.amountMsat])
  }
}

async function within(steps: readonly Step[], judge: (life: Life) => Promise<void>): Promise<void> {
  const life = await Life.begin(base)
  try {
    for (const s of steps) await life.step(s)
    await life.finish()
    await judge(life)
    expect(life.complaints()).toEqual([])
  } finally {
    life.world.close()
  }
}

async function keepsEverything(life: Life): Promise<void> {
  const { world } = life
  for (const { node } of world.alive) {
    const states = node!.channels.all().map((e) => [e.state.tag, e.quarantined])
    expect(states).toEqual(states.map(() => ['normal', null]))
  }
  await expectPaymentsOver(life)
  const gained = await gainedMsat(life)
  expect(channelMsat(world)).toEqual(Object.fromEntries(NAMES.map((n) => [n, before[n] + gained[n]])))
}

/** Only what was to be closed is; each node has what it is owed, less what all the closing cost. */
async function closesWhatItShould(life: Life): Promise<void> {
  const { world } = life
  await life.mineToTheEnd()
  await life.finish()
  for (const { name, node } of world.alive) {
    for (const { meta, state } of node!.channels.all()) {
      const isAsked = life.closes.some((c) => c.has(name) && c.has(nameOf(meta.peer)))
      expect([name, state.tag]).toEqual([name, isAsked && state.tag === 'closed' ? 'closed' : 'normal'])
    }
  }
  await expectPaymentsOver(life)
  const [gained, left, onchain] = [await gainedMsat(life), channelMsat(world), onchainSat(world)]
  let missingMsat = 0n
  for (const name of NAMES) {
    const has = left[name] + onchain[name] * 1000n
    const owed = before[name] + beforeOnchain[name] * 1000n + gained[name]
    expect([name, has - owed < 2_000n]).toEqual([name, true])
    missingMsat += owed - has
  }
  // Fractions of a satoshi aside, which closing transactions cannot pay.
  const costMsat = life.costSat() * 1000n
  expect(missingMsat >= costMsat && missingMsat < costMsat + 6_000n).toBe(true)
}

describe('three nodes in a line that crash at any write', () => {
  it('lose no payment, pay none twice, keep every msat and close no channel', async () => {
    const lives = fc.asyncProperty(life, (steps) => within(steps, keepsEverything))
    await fc.assert(lives, { numRuns: RUNS, ...REPLAY })
  })

  it('and when channels are closed in the middle, lose nothing but what closing costs', async () => {
    const lives = fc.asyncProperty(closingLife, (steps) => within(steps, closesWhatItShould))
    await fc.assert(lives, { numRuns: Math.ceil(RUNS / 3), ...REPLAY })
  })
})
