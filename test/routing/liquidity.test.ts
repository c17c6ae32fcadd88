import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import { type Crossing, Liquidity, priceOfChance } from '../../src/routing/liquidity.ts'
import { findRoute, type RouteRequest } from '../../src/routing/path.ts'
import { findRoutes } from '../../src/routing/split.ts'
import { type DirectedChannel, directedChannel, type Route, routeAmount, routeFee } from '../../src/routing/types.ts'
import { Rng } from '../adversary/rng.ts'
import { graphOf, local, node, type Policy, scid, type TestChannel } from './network.ts'

const HOUR = 3_600_000
const NOW = 1_000 * HOUR
const crossing = (amount: number): Crossing => ({ key: '7/0', back: '7/1', from: node(1), to: node(2), amount })
const UNKNOWN = { lower: 0, upper: Number.POSITIVE_INFINITY }

describe('what payments teach of a direction', () => {
  it('is what it carried and what it refused, and the newer wins over what contradicts it', () => {
    const liquidity = new Liquidity()
    liquidity.carried(crossing(100), NOW)
    liquidity.refused(crossing(900), NOW)
    expect(liquidity.bounds('7/0', NOW)).toEqual({ lower: 100, upper: 900 })
    liquidity.carried(crossing(50), NOW)
    liquidity.refused(crossing(950), NOW)
    expect(liquidity.bounds('7/0', NOW)).toEqual({ lower: 100, upper: 900 })
    liquidity.refused(crossing(80), NOW)
    expect(liquidity.bounds('7/0', NOW)).toEqual({ lower: 0, upper: 80 })
    liquidity.carried(crossing(80), NOW)
    expect(liquidity.bounds('7/0', NOW)).toEqual({ lower: 80, upper: UNKNOWN.upper })
    expect(liquidity.bounds('7/1', NOW)).toEqual(UNKNOWN)
  })

  it('of a payment that settled is that its amount is at the other end', () => {
    const liquidity = new Liquidity()
    liquidity.refused(crossing(900), NOW)
    liquidity.settled(crossing(300), NOW)
    expect(liquidity.bounds('7/0', NOW)).toEqual({ lower: 0, upper: 600 })
    expect(liquidity.bounds('7/1', NOW)).toEqual({ lower: 300, upper: UNKNOWN.upper })
  })

  it('fades by half in six hours, and is gone after two days', () => {
    const liquidity = new Liquidity()
    liquidity.carried(crossing(100), NOW)
    liquidity.refused(crossing(900), NOW)
    expect(liquidity.bounds('7/0', NOW + 6 * HOUR)).toEqual({ lower: 50, upper: 1_800 })
    expect(liquidity.bounds('7/0', NOW + 48 * HOUR)).toEqual(UNKNOWN)
    expect(liquidity.bounds('7/0', NOW - HOUR)).toEqual({ lower: 100, upper: 900 }) // a clock that was set back
  })

  it('is kept of the 2,000 directions that were last heard of', () => {
    const liquidity = new Liquidity()
    for (let i = 0; i < 2_500; i++) liquidity.refused({ ...crossing(900), key: `${i % 2_200}/0` }, NOW)
    expect(liquidity.size).toBe(2_000)
    expect(liquidity.bounds('299/0', NOW).upper).toBe(900)
    expect(liquidity.bounds('400/0', NOW)).toEqual(UNKNOWN)
  })

  it('never has less below than above, whatever came in whatever order', () => {
    const event = fc.record({
      what: fc.constantFrom('carried' as const, 'refused' as const, 'settled' as const),
      amount: fc.integer({ min: 1, max: 1_000 }),
      later: fc.nat(20 * HOUR),
    })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        const liquidity = new Liquidity()
        let now = NOW
        for (const { what, amount, later } of events) {
          now += later
          liquidity[what](crossing(amount), now)
          for (const key of ['7/0', '7/1']) {
            const { lower, upper } = liquidity.bounds(key, now)
            expect(lower).toBeGreaterThanOrEqual(0)
            expect(upper).toBeGreaterThanOrEqual(lower)
          }
        }
      }),
    )
  })

  it('has a price that rises with the amount, is nothing for what was carried and finite for what was refused', () => {
    const amount = fc.integer({ min: 0, max: 2_000 })
    const bounds = fc.record({ lower: amount, upper: fc.oneof(amount, fc.constant(UNKNOWN.upper)) })
    fc.assert(
      fc.property(amount, amount, bounds, (a, b, known) => {
        fc.pre(known.lower <= known.upper)
        const price = (x: number) => priceOfChance(x, 1_000, known)
        expect(price(known.lower)).toBe(0)
        expect(price(Math.min(a, b))).toBeLessThanOrEqual(price(Math.max(a, b)))
        expect(Number.isSafeInteger(price(a)) && price(a) >= 0).toBe(true)
      }),
    )
  })
})

// ---------------------------------------------------------------- payments through money that nobody shows

const CAPACITY_SAT = 1_000_000
const free = (base: number, capacitySat = CAPACITY_SAT): Policy => ({
  base,
  rate: 0,
  delta: 10,
  min: 1,
  max: capacitySat * 1000,
})

/** Where the money is: of each direction, msat. */
type Hidden = Map<DirectedChannel, number>

interface Scene {
  readonly channels: readonly TestChannel[]
  readonly hidden: Hidden
}

function scene(seed: number, nodes: number, channels: number): Scene {
  const rng = new Rng(seed)
  const hidden: Hidden = new Map()
  const all = Array.from({ length: channels }, (_, i): TestChannel => {
    const a = i < nodes - 1 ? i + 1 : 1 + rng.below(nodes - 1)
    const b = a + 1 + rng.below(nodes - a)
    const capacitySat = [CAPACITY_SAT / 2, CAPACITY_SAT, CAPACITY_SAT * 5][rng.below(3)]!
    const there = rng.below(1001) * capacitySat
    hidden.set(`${100 + i}/0`, there)
    hidden.set(`${100 + i}/1`, capacitySat * 1000 - there)
    const policies = [free(rng.below(3_000), capacitySat), free(rng.below(3_000), capacitySat)] as const
    return { id: 100 + i, ends: [a, b], capacitySat, policies }
  })
  return { channels: all, hidden }
}

const crossings = (route: Route): readonly Crossing[] =>
  route.hops.slice(1).map(({ nodeId: to, shortChannelId, amountMsat }, i) => {
    const from: NodeId = route.hops[i]!.nodeId
    const [key, back] = [directedChannel(shortChannelId, from, to), directedChannel(shortChannelId, to, from)]
    return { key, back, from, to, amount: Number(amountMsat) }
  })

/** Tries routes until one carries, learning from each. The attempts that it took; null when no route is left. */
function pay(graph: ReturnType<typeof graphOf>, hidden: Hidden, r: RouteRequest, known: Liquidity, at: number) {
  const excludedChannels = new Set<DirectedChannel>()
  for (let attempts = 1; ; attempts++) {
    const found = findRoute(graph, { ...r, excludedChannels })
    if (!found.ok) return null
    expect(routeFee(found.value)).toBeLessThanOrEqual(r.maxFeeMsat)
    const all = crossings(found.value)
    const failed = all.findIndex((c) => c.amount > hidden.get(c.key)!)
    for (const c of failed < 0 ? [] : all.slice(0, failed)) known.carried(c, at)
    if (failed >= 0) {
      known.refused(all[failed]!, at)
      excludedChannels.add(all[failed]!.key)
      continue
    }
    for (const c of all) known.carried(c, at)
    return attempts
  }
}

const NODES = 25
const requestTo = (target: number, amount: number, fee: number): RouteRequest => ({
  source: node(0),
  target: node(target),
  amountMsat: msat(amount),
  finalCltvExpiry: 1_000,
  maxFeeMsat: BigInt(fee) as Msat,
  maxCltvExpiry: 3_000,
  localChannels: [local(1, 1, 10n ** 12n), local(2, 2, 10n ** 12n), local(3, 3, 10n ** 12n)],
})

/** What the payments of some networks needed together. */
function simulate(kind: 'fees alone' | 'chance' | 'memory'): { attempts: number; paid: number } {
  const total = { attempts: 0, paid: 0 }
  for (let seed = 1; seed <= 4; seed++) {
    const { channels, hidden } = scene(seed, NODES, 90)
    const graph = graphOf(channels)
    const rng = new Rng(seed + 100)
    const memory = new Liquidity()
    for (let i = 0; i < 50; i++) {
      const r = requestTo(4 + rng.below(NODES - 4), 1_000_000 * (20 + rng.below(300)), 100_000)
      const at = NOW + i * 60_000
      // The money stays as it lies, so that all kinds see the same.
      const known = kind === 'memory' ? memory : new Liquidity()
      const liquidity = kind === 'fees alone' ? {} : { liquidity: { known, now: at } }
      const needed = pay(graph, hidden, { ...r, ...liquidity }, known, at)
      if (needed === null) continue
      total.attempts += needed
      total.paid++
    }
  }
  return total
}

describe('payments through channels whose money nobody shows', () => {
  it('need fewer attempts by the chance of each channel, and fewer again by memory', () => {
    const [fees, chance, memory] = (['fees alone', 'chance', 'memory'] as const).map(simulate)
    const mean = (x: typeof fees) => x!.attempts / x!.paid
    expect(fees!.paid).toBeGreaterThan(150)
    expect(chance!.paid).toBeGreaterThanOrEqual(fees!.paid * 0.97)
    expect(memory!.paid).toBeGreaterThanOrEqual(fees!.paid * 0.97)
    expect(mean(chance)).toBeLessThan(mean(fees))
    expect(mean(memory)).toBeLessThan(mean(chance) * 0.9)
  })

  it('find a way that is there, whatever memory holds', () => {
    // No direction has so much, and not fees on top of it.
    const AMOUNT = 200_250_000
    const lies = fc.array(fc.tuple(fc.integer({ min: 100, max: 130 }), fc.nat(1), fc.integer({ min: 1, max: 10 ** 9 })))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 6 }), lies, fc.integer({ min: 4, max: 9 }), (seed, all, target) => {
        const { channels, hidden } = scene(seed, 9, 30)
        const graph = graphOf(channels)
        const known = new Liquidity()
        for (const [id, direction, amount] of all) {
          const c = channels[id - 100]
          if (c)
            known.refused(
              { key: `${id}/${direction}`, back: '', from: node(0), to: node(c.ends[1 - direction]!), amount },
              NOW,
            )
        }
        const r = { ...requestTo(target, AMOUNT, 10 ** 8), liquidity: { known, now: NOW } }
        const without = pay(graph, hidden, requestTo(target, AMOUNT, 10 ** 8), new Liquidity(), NOW)
        const withLies = pay(graph, hidden, r, known, NOW)
        expect(withLies === null).toBe(without === null)
      }),
      { numRuns: 100 },
    )
  })

  it('in parts bring the amount within the limit on fees', () => {
    let split = 0
    const inputs = [fc.integer({ min: 1, max: 10 ** 6 }), fc.integer({ min: 1, max: 8_000 }), fc.nat(40_000)] as const
    fc.assert(
      fc.property(...inputs, (seed, million, fee) => {
        const { channels, hidden } = scene(seed, 9, 30)
        const known = new Liquidity()
        for (const [key, amount] of hidden) known.carried({ key, back: '', from: node(0), to: node(5), amount }, NOW)
        const r = { ...requestTo(9, million * 1_000_000, fee), liquidity: { known, now: NOW } }
        const found = findRoutes(graphOf(channels), r, 16)
        if (!found.ok) return
        if (found.value.length > 1) split++
        expect(found.value.reduce((sum, x) => sum + routeAmount(x), 0n)).toBe(r.amountMsat)
        expect(found.value.reduce((sum, x) => sum + routeFee(x), 0n)).toBeLessThanOrEqual(r.maxFeeMsat)
      }),
      { numRuns: 100 },
    )
    expect(split).toBeGreaterThan(5)
  })

  it('keep to the limit on fees, however likely a dearer route is, and choose the same route again', () => {
    const channels: TestChannel[] = [
      { id: 100, ends: [1, 4], capacitySat: CAPACITY_SAT, policies: [free(0), free(0)] },
      { id: 101, ends: [2, 4], capacitySat: CAPACITY_SAT * 100, policies: [free(50_000), free(0)] },
    ]
    const graph = graphOf(
      channels.map((c) => ({ ...c, policies: [{ ...c.policies[0]!, max: 10 ** 12 }, null] as const })),
    )
    const via = (maxFee: number, known: Liquidity) => {
      const found = findRoute(graph, { ...requestTo(4, 900_000_000, maxFee), liquidity: { known, now: NOW } })
      return found.ok && found.value.hops.map((h) => h.shortChannelId)
    }
    expect(via(60_000, new Liquidity())).toEqual([scid(2), scid(101)])
    expect(via(60_000, new Liquidity())).toEqual([scid(2), scid(101)])
    expect(via(49_999, new Liquidity())).toEqual([scid(1), scid(100)])
    const known = new Liquidity()
    known.carried({ key: '100/0', back: '100/1', from: node(1), to: node(4), amount: 900_000_000 }, NOW)
    expect(via(60_000, known)).toEqual([scid(1), scid(100)])
  })
})
