import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import type { Msat } from '../../src/base/units.ts'
import type { RouteHint } from '../../src/invoice/fields.ts'
import { relayFee } from '../../src/routing/links.ts'
import { findRoute, MAX_HOPS, type RouteRequest, widestRoute } from '../../src/routing/path.ts'
import { directedChannel, type Route, routeFee } from '../../src/routing/types.ts'
import { channelId, graphOf, local, node, type Policy, scid, type TestChannel } from './network.ts'
import { both, free, HEIGHT, locals, NODES, network, request } from './requests.ts'

const found = (r: ReturnType<typeof findRoute>): Route => {
  if (!r.ok) throw new Error(r.error.detail)
  return r.value
}

// ---------------------------------------------------------------- against every route there is

interface Step {
  readonly id: number
  readonly to: number
  readonly policy: Policy | null
}

/** The cheapest of all simple paths by trying each, in bigints; null when there is none. */
function bruteForce(channels: readonly TestChannel[], r: RouteRequest, nodes: number): bigint | null {
  let best: bigint | null = null
  const steps = (from: number): Step[] =>
    from === 0
      ? r.localChannels.map((c) => ({
          id: Number(c.shortChannelId),
          to: nodeNumber(c.remoteNodeId, nodes),
          policy: null,
        }))
      : channels.flatMap((c) => {
          const direction = c.ends.indexOf(from)
          const policy = c.policies[direction]
          return direction < 0 || !policy || policy.disabled ? [] : [{ id: c.id, to: c.ends[1 - direction]!, policy }]
        })
  const walk = (at: number, seen: readonly number[], path: readonly Step[]): void => {
    if (node(at) === r.target) {
      const cost = costOf(path, channels, r)
      if (cost !== null && (best === null || cost < best)) best = cost
      return
    }
    for (const s of steps(at)) if (!seen.includes(s.to)) walk(s.to, [...seen, s.to], [...path, s])
  }
  walk(0, [0], [])
  return best
}
const nodeNumber = (id: NodeId, nodes: number): number => [...Array(nodes).keys()].find((n) => node(n) === id)!

/** What the first HTLC of a path carries, or null when some rule forbids the path. */
function costOf(path: readonly Step[], channels: readonly TestChannel[], r: RouteRequest): bigint | null {
  if (path.length > (r.maxHops ?? MAX_HOPS)) return null
  let amount: bigint = r.amountMsat
  let cltv = r.finalCltvExpiry
  for (const [back, step] of [...path].reverse().entries()) {
    const own = r.localChannels.find((c) => Number(c.shortChannelId) === step.id)
    const minimum = step.policy === null ? own!.htlcMinimumMsat : BigInt(step.policy.min)
    if (amount < minimum && back === 0) return null
    if (amount < minimum) amount = minimum
    if (step.policy === null) {
      if (amount > own!.sendableMsat) return null
      continue
    }
    const capacity = BigInt(channels.find((c) => c.id === step.id)!.capacitySat) * 1000n
    if (amount > BigInt(step.policy.max) || amount > capacity) return null
    amount += BigInt(step.policy.base) + (amount * BigInt(step.policy.rate)) / 1_000_000n
    cltv += step.policy.delta
  }
  return amount - r.amountMsat > r.maxFeeMsat || cltv > r.maxCltvExpiry ? null : amount
}

describe('path finding', () => {
  it('finds the cheapest route under the limits, as trying all of them does', () => {
    let routes = 0
    fc.assert(
      fc.property(
        network,
        locals,
        fc.constantFrom(0n, 5_000n, 50_000n),
        fc.constantFrom(20, 90, 1000),
        fc.constantFrom(2, 3, 20),
        (channels, ours, maxFee, blocks, maxHops) => {
          const r = request(NODES - 1, {
            maxFeeMsat: maxFee as Msat,
            maxCltvExpiry: HEIGHT + blocks,
            maxHops,
            localChannels: ours.map(([peer, sendable, minimum], i) => local(i + 1, peer, sendable, minimum)),
          })
          const expected = bruteForce(channels, r, NODES)
          const got = findRoute(graphOf(channels), r)
          expect(got.ok ? got.value.hops[0]!.amountMsat : null).toBe(expected)
          if (got.ok) routes++
        },
      ),
      { numRuns: 1500 },
    )
    expect(routes).toBeGreaterThan(100)
  })

  it('every hop of a route gets the fee and the time that it asks for', () => {
    fc.assert(
      fc.property(network, locals, (channels, ours) => {
        const localChannels = ours.map(([peer, sendable, minimum], i) => local(i + 1, peer, sendable, minimum))
        const got = findRoute(graphOf(channels), request(NODES - 1, { localChannels }))
        if (!got.ok) return
        const { hops } = got.value
        expect(hops.at(-1)).toMatchObject({ nodeId: node(NODES - 1), amountMsat: 100_000n, cltvExpiry: HEIGHT })
        hops.slice(1).forEach((out, i) => {
          const incoming = hops[i]!
          const c = channels.find((x) => scid(x.id) === out.shortChannelId)!
          const p = c.policies[node(c.ends[0]) === incoming.nodeId ? 0 : 1]!
          const fee = BigInt(p.base) + (out.amountMsat * BigInt(p.rate)) / 1_000_000n
          expect(incoming.amountMsat - out.amountMsat).toBeGreaterThanOrEqual(fee)
          expect(incoming.cltvExpiry - out.cltvExpiry).toBe(p.delta)
          expect(out.amountMsat).toBeGreaterThanOrEqual(BigInt(p.min))
          expect(out.amountMsat).toBeLessThanOrEqual(BigInt(p.max))
        })
      }),
    )
  })

  it('fees are exact where amount times rate passes 2^53', () => {
    const amount = fc.bigInt({ min: 0n, max: 10n ** 14n })
    const rate = fc.integer({ min: 0, max: 50_000_000 })
    fc.assert(
      fc.property(amount, rate, (a, r) => {
        const fee = relayFee({ feeBaseMsat: 7, feeProportionalMillionths: r }, Number(a))
        expect(BigInt(fee)).toBe(7n + (a * BigInt(r)) / 1_000_000n)
      }),
    )
  })

  it('a payment to a direct peer costs nothing and uses the channel with the most room', () => {
    const r = request(1, { localChannels: [local(1, 1, 200_000n), local(2, 1, 300_000n), local(3, 2, 900_000n)] })
    expect(findRoute(graphOf([]), r)).toEqual({
      ok: true,
      value: {
        channelId: channelId(2),
        hops: [{ nodeId: node(1), shortChannelId: scid(2), amountMsat: 100_000n, cltvExpiry: HEIGHT }],
      },
    })
  })

  it('is deterministic', () => {
    fc.assert(
      fc.property(network, locals, (channels, ours) => {
        const r = request(NODES - 1, { localChannels: ours.map(([peer, sendable], i) => local(i + 1, peer, sendable)) })
        expect(findRoute(graphOf(channels), r)).toEqual(findRoute(graphOf(channels), r))
      }),
    )
  })

  it('keeps away from excluded channels, nodes and channels of ours, and from disabled directions', () => {
    const channels = [
      both(10, [1, 3], free),
      both(11, [1, 2], { ...free, base: 5 }),
      both(12, [2, 3], { ...free, base: 5 }),
    ]
    const graph = graphOf(channels)
    const via = (more: Partial<RouteRequest>) => {
      const got = findRoute(graph, request(3, more))
      return got.ok ? got.value.hops.map((h) => Number(h.shortChannelId)) : got.error.code
    }
    expect(via({})).toEqual([1, 10])
    const key = directedChannel(scid(10), node(1), node(3))
    expect(via({ excludedChannels: new Set([key]) })).toEqual([1, 11, 12])
    expect(via({ excludedChannels: new Set([key]), excludedNodes: new Set([node(2)]) })).toBe('NO_ROUTE')
    expect(via({ excludedLocal: new Set([channelId(1)]) })).toBe('INSUFFICIENT_BALANCE')
    const closed = graphOf([{ ...channels[0]!, policies: [{ ...free, disabled: true }, free] }])
    expect(findRoute(closed, request(3)).ok).toBe(false)
  })

  it('says when the balance is what is missing', () => {
    const got = findRoute(graphOf([]), request(1, { localChannels: [local(1, 1, 99_999n)] }))
    expect(got).toMatchObject({ ok: false, error: { code: 'INSUFFICIENT_BALANCE' } })
  })

  it('never goes through ourselves, and never to ourselves', () => {
    const channels = [both(10, [0, 1], free), both(11, [0, 3], free)]
    expect(findRoute(graphOf(channels), request(3)).ok).toBe(false)
    expect(findRoute(graphOf(channels), request(0)).ok).toBe(false)
  })

  it('follows the hints of an invoice over several private channels, and believes them over gossip', () => {
    const hop = (n: number, id: number, base: number) => ({
      nodeId: node(n),
      shortChannelId: scid(id),
      feeBaseMsat: base,
      feeProportionalMillionths: 0,
      cltvExpiryDelta: 30,
    })
    const routeHints: RouteHint[] = [[hop(2, 50, 100), hop(3, 51, 200)]]
    const graph = graphOf([both(10, [1, 2], free)])
    const route = found(findRoute(graph, request(4, { routeHints })))
    expect(route.hops.map((h) => [h.nodeId, h.shortChannelId, h.amountMsat, h.cltvExpiry])).toEqual([
      [node(1), 1n, 100_300n, HEIGHT + 70],
      [node(2), 10n, 100_300n, HEIGHT + 60],
      [node(3), 50n, 100_200n, HEIGHT + 30],
      [node(4), 51n, 100_000n, HEIGHT],
    ])
    const cheaper = found(findRoute(graph, request(2, { routeHints: [[hop(1, 10, 77)]] })))
    expect(routeFee(cheaper)).toBe(77n)
  })

  it('takes a dearer route where the cheapest is too slow or too long', () => {
    const channels = [
      both(10, [1, 2], { ...free, delta: 900 }),
      both(11, [2, 3], { ...free, delta: 900 }),
      both(12, [1, 3], { ...free, base: 9 }),
    ]
    expect(routeFee(found(findRoute(graphOf(channels), request(3))))).toBe(9n)
    expect(findRoute(graphOf(channels), request(3, { maxHops: 1 })).ok).toBe(false)
  })
})

describe('the widest way', () => {
  const sized = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 12, maxLength: 12 })
  it('is as much as one route can carry where nothing costs, and no route carries more', () => {
    let ways = 0
    fc.assert(
      fc.property(
        network,
        sized,
        fc.array(fc.bigInt({ min: 1n, max: 300_000n }), { minLength: 3, maxLength: 3 }),
        (channels, sizes, rooms) => {
          const graph = graphOf(
            channels.map((c, i) => {
              const free0 = (p: Policy | null) => p && { ...p, base: 0, rate: 0, min: 0 }
              return { ...c, capacitySat: sizes[i]!, policies: [free0(c.policies[0]), free0(c.policies[1])] as const }
            }),
          )
          const localChannels = rooms.map((room, i) => local(i + 1, 1 + i, room))
          const of = (amountMsat: bigint) =>
            request(NODES - 1, { localChannels, amountMsat: amountMsat as Msat, maxCltvExpiry: HEIGHT * 9 })
          const widest = widestRoute(graph, of(400_000n))
          if (widest > 0n) {
            ways++
            expect(findRoute(graph, of(widest)).ok).toBe(true)
          }
          expect(findRoute(graph, of(widest + 1n)).ok).toBe(false)
        },
      ),
      { numRuns: 200 },
    )
    expect(ways).toBeGreaterThan(50)
  })
})
