import { describe, expect, it } from 'vitest'
import type { Msat } from '../../src/base/units.ts'
import { Liquidity } from '../../src/routing/liquidity.ts'
import { Rng } from '../adversary/rng.ts'
import type { Policy } from '../routing/network.ts'
import { hashOf, preimageOf, World, type WorldChannel } from './world.ts'

const policy: Policy = { base: 0, rate: 10, delta: 40, min: 1, max: 10 ** 12 }
const channel = (a: number, b: number, ours: bigint, theirs = 0n): WorldChannel => ({
  ends: [a, b],
  balances: [ours, theirs],
  policies: [policy, policy],
})
const M = 1_000_000n
const NODES = 8
const PAYEE = NODES - 1

/** The most that can be brought from one node to another when everybody knows where money is: augmenting paths, widest or not. */
function maxFlow(channels: readonly WorldChannel[], source: number, sink: number): bigint {
  const room = Array.from({ length: NODES }, () => new Array<bigint>(NODES).fill(0n))
  for (const { ends, balances } of channels) {
    room[ends[0]]![ends[1]]! += balances[0]
    room[ends[1]]![ends[0]]! += balances[1]
  }
  for (let flow = 0n; ; ) {
    const before = new Map([[source, source]])
    for (const at of before.keys())
      for (let to = 0; to < NODES; to++) if (room[at]![to]! > 0n && !before.has(to)) before.set(to, at)
    if (!before.has(sink)) return flow
    const path: [number, number][] = []
    for (let at = sink; at !== source; at = before.get(at)!) path.push([before.get(at)!, at])
    const least = path.reduce((min, [a, b]) => (room[a]![b]! < min ? room[a]![b]! : min), 10n ** 15n)
    for (const [a, b] of path) {
      room[a]![b]! -= least
      room[b]![a]! += least
    }
    flow += least
  }
}

function someNetwork(rng: Rng): WorldChannel[] {
  return Array.from({ length: 8 + rng.below(10) }, () => {
    const a = rng.below(NODES)
    const b = (a + 1 + rng.below(NODES - 1)) % NODES
    const capacity = BigInt(200_000 + rng.below(2_000_000))
    const ours = (capacity * BigInt(rng.below(101))) / 100n
    return channel(a, b, ours, capacity - ours)
  })
}

/** A payment from node 0, with a memory of its own. */
function pay(world: World, payee: number, amount: bigint) {
  const liquidity = new Liquidity()
  const contextOf = world.context.bind(world)
  world.context = (node) => ({ ...contextOf(node), liquidity })
  const target = { ...world.invoice(payee, preimageOf(9), amount), maxFeeMsat: (amount / 50n) as Msat, maxParts: 16 }
  return world.pay(0, hashOf(preimageOf(9)), target)
}

describe('a payment for which there is room', () => {
  it('goes in parts over two ways of which neither could carry it all, though both have refused it', () => {
    const world = new World([
      channel(0, 1, 10n * M),
      channel(1, 2, (6n * M) / 10n, 9n * M),
      channel(1, 3, 10n * M),
      channel(3, 2, (6n * M) / 10n, 9n * M),
    ])
    const record = pay(world, 2, M)
    expect(record).toMatchObject({ status: 'succeeded' })
    expect(typeof record === 'object' && record.attempts.map((a) => a.status)).toEqual([
      ...['failed', 'failed'],
      ...['succeeded', 'succeeded'],
    ])
    expect(world.balance(2)).toBe((9n + 9n) * M + M)
  })

  it('goes around a channel that has refused it for as long as something leads around', () => {
    const world = new World([
      channel(0, 1, 10n * M),
      channel(1, 2, 0n, 10n * M),
      ...[channel(1, 3, 10n * M), channel(3, 2, (6n * M) / 10n, 9n * M)],
      ...[channel(1, 4, 10n * M), channel(4, 2, (6n * M) / 10n, 9n * M)],
    ])
    const record = pay(world, 2, M)
    expect(record).toMatchObject({ status: 'succeeded' })
    const over = (record as { attempts: readonly { hops: readonly { shortChannelId: bigint }[] }[] }).attempts
    expect(over.filter((a) => a.hops.some((h) => h.shortChannelId === 2n)).length).toBeLessThanOrEqual(3)
  })

  it('goes on over a channel of ours that other payments have taken room of since its routes were found', () => {
    const world = new World([channel(0, 1, M), channel(0, 1, (3n * M) / 10n), channel(1, 2, 10n * M)])
    const asItWas = world.localChannels(0)
    const held = world.invoice(1, preimageOf(7), (6n * M) / 10n, { preimage: null })
    expect(world.pay(0, hashOf(preimageOf(7)), held)).toMatchObject({ status: 'pending' })
    const contextOf = world.context.bind(world)
    let looks = 0
    world.context = (node) => ({ ...contextOf(node), ...(looks++ === 0 && { localChannels: asItWas }) })
    const record = pay(world, 2, (6n * M) / 10n)
    expect(record).toMatchObject({ status: 'succeeded', attempts: [{ status: 'failed' }, {}, {}] })
  })

  it('gets through wherever half of what the network could bring is asked, in fewer than two attempts for each part', () => {
    const rng = new Rng(7)
    const [attempts, parts] = [[] as number[], [] as number[]]
    const failed: string[] = []
    while (parts.length + failed.length < 60) {
      const channels = someNetwork(rng)
      const amount = maxFlow(channels, 0, PAYEE) / 2n
      if (amount < 100_000n) continue
      const record = pay(new World(channels), PAYEE, amount)
      if (typeof record === 'string' || record.status !== 'succeeded')
        failed.push(typeof record === 'string' ? record : record.failure!.detail)
      else {
        attempts.push(record.attempts.length)
        parts.push(record.attempts.filter((a) => a.status === 'succeeded').length)
      }
    }
    const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
    expect(failed.length).toBeLessThanOrEqual(1)
    expect(sum(attempts)).toBeLessThan(2 * sum(parts))
  })

  it('is given up where it is not: every way is tried a few times at most', () => {
    const rng = new Rng(8)
    for (let n = 0; n < 20; ) {
      const channels = someNetwork(rng)
      const flow = maxFlow(channels, 0, PAYEE)
      if (flow < 100_000n) continue
      n++
      const world = new World(channels)
      if (typeof pay(world, PAYEE, flow + flow / 5n) === 'string') continue
      world.wait(61_000) // parts that have arrived come back
      const { record } = world.payments.get(hashOf(preimageOf(9)))!
      expect(record.status).toBe('failed')
      expect(record.attempts.length).toBeLessThan(3 * channels.length)
    }
  })
})
