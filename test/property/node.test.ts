import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { unpack } from '../../src/base/pack.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { localBalance, remoteBalance } from '../../src/channel/limits.ts'
import { type Ending, Life, type Step } from '../node/life.ts'
import { NAMES, type Name, type Snapshot, World } from '../node/world.ts'

/** FULMEN_RUNS=2000 npx vitest run test/property/node.test.ts looks longer. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 40)
/** FULMEN_SEED=seed:path, as a failure prints them, runs that life alone. */
const [seed, ...path] = (process.env.FULMEN_SEED ?? '').split(':')
const REPLAY = { endOnFailure: true, ...(seed && { seed: Number(seed), path: path.join(':') }) }
const CAPACITY = 1_000_000

let base: Snapshot
beforeAll(async () => {
  const world = await World.start()
  await world.fund()
  await world.open('alice', 'bob', CAPACITY, CAPACITY / 2)
  await world.open('bob', 'carol', CAPACITY, CAPACITY / 2)
  base = world.snapshot()
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
    'keysend' as const,
  ),
})
const run: fc.Arbitrary<Step> = fc.record({ tag: fc.constant('run' as const), rounds: fc.integer({ min: 1, max: 6 }) })
const other: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ tag: fc.constantFrom('connect' as const, 'settle' as const, 'mine' as const) }),
  fc.record({ tag: fc.constant('cut' as const), link: fc.constantFrom(0 as const, 1 as const) }),
  fc.record({ tag: fc.constant('crash' as const), who: name }),
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
const stats = new Map<string, number>()

// ---------------------------------------------------------------- what must hold of each

type Balances = Record<Name, bigint>

/** msat of each node in its channels, once both ends agree on every one. */
function balances(world: World): Balances {
  const views = new Map<string, { readonly name: Name; readonly local: bigint; readonly remote: bigint }[]>()
  for (const { name, node } of world.alive) {
    for (const { state } of node!.channels.all()) {
      const channel = channelOf(state)!
      const totals = channel.commitments.next.local
      const view = { name, local: localBalance(channel, totals), remote: remoteBalance(channel, totals) }
      const { channelId } = channel.params
      views.set(channelId, [...(views.get(channelId) ?? []), view])
    }
  }
  const sums: Balances = { alice: 0n, bob: 0n, carol: 0n }
  for (const [a, b] of views.values()) {
    expect([a!.local, a!.remote]).toEqual([b!.remote, b!.local])
    sums[a!.name] += a!.local
    sums[b!.name] += b!.local
  }
  return sums
}

/** What each node should have gained, by its own records. */
async function gains(life: Life): Promise<Balances> {
  const sums: Balances = { alice: 0n, bob: 0n, carol: 0n }
  for (const name of NAMES) {
    const { node } = life.world.of(name)
    const { outgoing, invoices } = node!.payments
    for (const book of [outgoing, invoices] as const) {
      const { items } = await book.page({ limit: 1_000 }, undefined)
      for (const { record } of items) {
        if ('attempts' in record) {
          for (const a of record.attempts) if (a.status === 'succeeded') sums[name] -= a.amountMsat + a.feeMsat
        } else if (record.status === 'settled') for (const h of record.htlcs) sums[name] += h.amountMsat
      }
    }
    for await (const [, value] of node!.driver.entries({ gte: 'forward/', lt: 'forward0' })) {
      sums[name] += BigInt(unpack<{ feeMsat: number }>(value).feeMsat)
    }
  }
  return sums
}

async function live(steps: readonly Step[]): Promise<void> {
  const life = await Life.begin(base)
  const { world } = life
  try {
    const before = balances(world)
    for (const s of steps) await life.step(s)
    await life.finish()

    expect(life.complaints()).toEqual([])
    for (const { node } of world.alive) {
      expect(node!.channels.all().map((e) => [e.state.tag, e.quarantined])).toEqual(
        node!.channels.all().map(() => ['normal', null]),
      )
    }
    expect(life.openHtlcs()).toBe(0)
    for (const p of life.payments) {
      const [outcome, received] = [await life.outcome(p), await life.received(p)]
      expect([p, outcome]).not.toEqual([p, 'pending'])
      expect([p, outcome === 'succeeded']).toEqual([p, received !== null])
      if (process.env.STATS)
        stats.set(`${p.payer}-${p.payee} ${outcome}`, (stats.get(`${p.payer}-${p.payee} ${outcome}`) ?? 0) + 1)
      if (received !== null) expect([p, received]).toEqual([p, p.amountMsat])
    }
    const gained = await gains(life)
    const after = balances(world)
    expect(after).toEqual(Object.fromEntries(NAMES.map((n) => [n, before[n] + gained[n]])))
  } finally {
    world.close()
  }
}

describe('three nodes in a line that crash at any write', () => {
  it('lose no payment, pay none twice, keep every msat and close no channel', async () => {
    await fc.assert(fc.asyncProperty(life, live), { numRuns: RUNS, ...REPLAY })
    if (process.env.STATS) console.log(stats)
  })
})
