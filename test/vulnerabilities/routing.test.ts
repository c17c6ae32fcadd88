import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { findRoute, type RouteRequest } from '../../src/routing/path.ts'
import { findRoutes } from '../../src/routing/split.ts'
import { type Route, routeFee } from '../../src/routing/types.ts'
import { graphOf, local, node, scid } from '../routing/network.ts'

const HEIGHT = 1000
const CAPACITY_SAT = 1000
/** We are node 0, the payee is node 4; hints may lead through both, in circles, and along channels that are announced. */
const hop = fc.record({
  nodeId: fc.integer({ min: 0, max: 6 }).map(node),
  shortChannelId: fc.constantFrom(0, 1, 10, 11, 50, 51, 52).map(scid),
  feeBaseMsat: fc.constantFrom(0, 1, 100, 0xffff_ffff),
  feeProportionalMillionths: fc.constantFrom(0, 1, 100, 1_000_000, 0xffff_ffff),
  cltvExpiryDelta: fc.constantFrom(0, 40, 0xffff),
})
const hints = fc.array(fc.array(hop, { maxLength: 6 }), { maxLength: 5 })
const policy = { base: 0, rate: 0, delta: 10, min: 0, max: CAPACITY_SAT * 1000 }
const graph = graphOf(
  (
    [
      [10, [1, 2]],
      [11, [2, 3]],
    ] as const
  ).map(([id, ends]) => ({ id, ends, capacitySat: CAPACITY_SAT, policies: [policy, policy] })),
)

// BOLT 11 §tagged-fields
describe('hostile route hints (LDK 0.0.105, 2022-02; CLN 25.12.1 and 26.06, 2026): hints of an invoice that lead in circles, or cost more than there is', () => {
  it('whatever they are, a route is found within all limits, or none', () => {
    let routes = 0
    fc.assert(
      fc.property(hints, fc.constantFrom(1n, 999_900n, 1_000_000n), (routeHints, amount) => {
        const request: RouteRequest = {
          source: node(0),
          target: node(4),
          amountMsat: msat(amount),
          finalCltvExpiry: HEIGHT,
          maxFeeMsat: msat(5_000n),
          maxCltvExpiry: HEIGHT + 1000,
          localChannels: [local(1, 1, 1_000_000n)],
          routeHints,
        }
        const one = findRoute(graph, request)
        const parts = findRoutes(graph, request, 4)
        const found: readonly Route[] = [...(one.ok ? [one.value] : []), ...(parts.ok ? parts.value : [])]
        routes += found.length
        for (const route of found) {
          const nodes = [node(0), ...route.hops.map((h) => h.nodeId)]
          expect(new Set(nodes).size).toBe(nodes.length)
          expect(nodes.at(-1)).toBe(node(4))
          expect(routeFee(route)).toBeLessThanOrEqual(5_000n)
          expect(route.hops[0]!.amountMsat).toBeLessThanOrEqual(1_000_000n)
          expect(route.hops[0]!.cltvExpiry).toBeLessThanOrEqual(HEIGHT + 1000)
        }
      }),
      { numRuns: 200 },
    )
    expect(routes).toBeGreaterThan(10)
  })
})
