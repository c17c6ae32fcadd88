import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Msat, msat } from '../../src/base/units.ts'
import { findRoutes } from '../../src/routing/split.ts'
import { type Route, routeFee } from '../../src/routing/types.ts'
import { largeNetwork } from './large.ts'
import { channelId, graphOf, local, node, scid } from './network.ts'
import { both, free, NODES, network, request } from './requests.ts'

describe('splitting', () => {
  const fee = (routes: readonly Route[]) => routes.reduce((sum, r) => sum + routeFee(r), 0n)
  const sum = (routes: readonly Route[]) => routes.reduce((s, r) => s + r.hops.at(-1)!.amountMsat, 0n)

  it('uses one part where one will do, and as many channels as it takes where not', () => {
    const three = [local(1, 1, 50_000n), local(2, 1, 40_000n), local(3, 2, 30_000n)]
    const graph = graphOf([both(10, [1, 2], free), both(11, [1, 3], free), both(12, [2, 3], free)])
    const parts = (amountMsat: bigint, maxParts: number) =>
      findRoutes(graph, request(3, { localChannels: three, amountMsat: amountMsat as Msat }), maxParts)
    expect(parts(50_000n, 8)).toMatchObject({ ok: true, value: [{ channelId: channelId(1) }] })
    const all = parts(120_000n, 8)
    expect(all.ok && sum(all.value)).toBe(120_000n)
    expect(all.ok && all.value.length).toBe(3)
    expect(parts(120_000n, 2)).toMatchObject({ ok: false })
    expect(parts(120_001n, 8)).toMatchObject({ ok: false, error: { code: 'INSUFFICIENT_BALANCE' } })
  })

  it('delivers the amount exactly, within the fee limit, and never overfills a channel', () => {
    const sizes = fc.array(fc.bigInt({ min: 1n, max: 100_000n }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(
        network,
        sizes,
        fc.bigInt({ min: 1n, max: 200_000n }),
        fc.integer({ min: 1, max: 6 }),
        (channels, rooms, amount, maxParts) => {
          const localChannels = rooms.map((room, i) => local(i + 1, 1 + (i % 3), room))
          const r = request(NODES - 1, { localChannels, amountMsat: amount as Msat, maxFeeMsat: msat(20_000n) })
          const got = findRoutes(graphOf(channels), r, maxParts)
          if (!got.ok) return
          expect(sum(got.value)).toBe(amount)
          expect(fee(got.value)).toBeLessThanOrEqual(20_000n)
          expect(got.value.length).toBeLessThanOrEqual(maxParts)
          for (const c of localChannels) {
            const used = got.value
              .filter((x) => x.channelId === c.channelId)
              .reduce((s, x) => s + x.hops[0]!.amountMsat, 0n)
            expect(used).toBeLessThanOrEqual(c.sendableMsat)
          }
          for (const c of channels) {
            const over = got.value.flatMap((x) => x.hops.slice(1)).filter((h) => h.shortChannelId === scid(c.id))
            for (const direction of [0, 1] as const) {
              const to = node(c.ends[1 - direction]!)
              const used = over.filter((h) => h.nodeId === to).reduce((s, h) => s + h.amountMsat, 0n)
              expect(used).toBeLessThanOrEqual(BigInt(c.capacitySat) * 1000n)
            }
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('sends several parts over one channel that takes no larger HTLC, as far as its capacity goes', () => {
    const narrow = { ...both(10, [1, 3], { ...free, max: 40_000 }), capacitySat: 100 }
    const parts = (amount: number) => findRoutes(graphOf([narrow]), request(3, { amountMsat: msat(amount) }), 8)
    const all = parts(100_000)
    expect(all.ok && all.value.map((r) => r.hops.at(-1)!.amountMsat)).toEqual([40_000n, 40_000n, 20_000n])
    expect(parts(100_001)).toMatchObject({ ok: false, error: { code: 'NO_ROUTE' } })
  })

  it('of a network as large as the real one makes no more labels than it may, and says when it ended early', () => {
    const { graph, nodes } = largeNetwork(1_500, 6_000)
    const localChannels = [3, 40, 900].map((n, i) => ({ ...local(i, 1, 3n * 10n ** 9n), remoteNodeId: nodes[n]! }))
    const results = [400_000, 1_500].map((labels) =>
      nodes.slice(1, 9).map((target) => {
        const effort = { labels }
        const more = { amountMsat: msat(6n * 10n ** 9n), maxFeeMsat: msat(6n * 10n ** 7n), localChannels, effort }
        return findRoutes(graph, { ...request(1, more), target }, 16)
      }),
    )
    const [enough, tooFew] = results as [(typeof results)[0], (typeof results)[0]]
    for (const r of enough.filter((x) => x.ok)) expect(r.ok && sum(r.value)).toBe(6n * 10n ** 9n)
    expect(enough.filter((r) => r.ok).length).toBeGreaterThan(3)
    const ended = tooFew.flatMap((r) => (r.ok ? [] : [r.error.detail]))
    expect(ended.some((detail) => detail.includes('ended before'))).toBe(true)
  })
})
