import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { sat } from '../../src/base/units.ts'
import { Graph } from '../../src/routing/graph.ts'
import { Heap } from '../../src/routing/heap.ts'
import { FROM, MAXIMUM, rowFee, STRIDE } from '../../src/routing/links.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import type { NodeAnnouncement } from '../../src/wire/messages/gossip.ts'
import { node, type Policy, scid, update } from './network.ts'

const policy: Policy = { base: 1, rate: 2, delta: 3, min: 4, max: 5_000_000 }
const add = (graph: Graph, id: number, a: number, b: number, features: Uint8Array = new Uint8Array(0)) =>
  graph.addChannel({ shortChannelId: scid(id), nodeId1: node(a), nodeId2: node(b), capacitySat: sat(1000), features })
const announcement = (n: number, timestamp: number, alias: string, bits: readonly number[] = []): NodeAnnouncement => {
  const padded = new Uint8Array(32)
  padded.set(utf8(alias))
  return {
    type: 'node_announcement',
    signature: new Uint8Array(64),
    features: featuresFromBits(bits),
    timestamp,
    nodeId: node(n),
    rgbColor: new Uint8Array(3),
    alias: padded,
    addresses: [],
    extension: new Uint8Array(0),
  }
}

describe('BOLT 7: the network graph', () => {
  it('has no direction until an update comes, and each update for its own direction', () => {
    const graph = new Graph()
    expect(add(graph, 1, 2, 1)).toBe(true)
    expect(add(graph, 1, 1, 2)).toBe(false)
    expect(graph.edgesTo(node(2))).toEqual([])
    expect(graph.applyUpdate(update(1, 0, policy))).toBe(true)
    expect(graph.edgesTo(node(2))).toMatchObject([
      { from: node(1), to: node(2), key: '1/0', policy: { feeBaseMsat: 1 } },
    ])
    expect(graph.edgesTo(node(1))).toEqual([])
    expect(graph.channel(scid(1))).toMatchObject({ nodeId1: node(1), policies: [{ cltvExpiryDelta: 3 }, null] })
  })

  it('never lets more through a channel than it holds', () => {
    const graph = new Graph()
    add(graph, 1, 1, 2)
    graph.applyUpdate(update(1, 0, policy))
    expect(graph.edgesTo(node(2))[0]!.policy.htlcMaximumMsat).toBe(1_000_000)
  })

  it('takes only newer updates, and none for channels that it does not know', () => {
    const graph = new Graph()
    add(graph, 1, 1, 2)
    expect(graph.applyUpdate(update(2, 0, policy))).toBe(false)
    const apply = (timestamp: number, base: number) => graph.applyUpdate(update(1, 0, { ...policy, base }, timestamp))
    expect([apply(5, 50), apply(5, 51), apply(4, 52), apply(6, 53)]).toEqual([true, false, false, true])
    expect(graph.edgesTo(node(2))[0]!.policy.feeBaseMsat).toBe(53)
  })

  it('leaves disabled directions out until they are enabled again', () => {
    const graph = new Graph()
    add(graph, 1, 1, 2)
    graph.applyUpdate(update(1, 0, { ...policy, disabled: true }, 1))
    expect(graph.edgesTo(node(2))).toEqual([])
    graph.applyUpdate(update(1, 0, policy, 2))
    expect(graph.edgesTo(node(2)).length).toBe(1)
  })

  it('routes over no channel and through no node that asks for features we do not have', () => {
    const graph = new Graph()
    add(graph, 1, 1, 2, featuresFromBits([100]))
    graph.applyUpdate(update(1, 0, policy))
    expect(graph.edgesTo(node(2))).toEqual([])
    graph.applyNode(announcement(1, 1, 'a', [100]))
    expect(graph.mayRelay(node(1))).toBe(false)
    graph.applyNode(announcement(1, 2, 'a', [101]))
    expect(graph.mayRelay(node(1))).toBe(true)
  })

  it('knows nodes by their channels, and shows what they say of themselves cleaned', () => {
    const graph = new Graph()
    expect(graph.applyNode(announcement(1, 9, 'early'))).toBe(false)
    add(graph, 1, 1, 2)
    expect(graph.node(node(1))).toMatchObject({ alias: '', timestamp: 0 })
    expect(graph.applyNode(announcement(1, 9, 'evil\u001b[31m\u202ename'))).toBe(true)
    expect(graph.applyNode(announcement(1, 9, 'again'))).toBe(false)
    expect(graph.node(node(1))!.alias).toBe('evil[31mname')
    expect([...graph.nodes()].map((n) => n.nodeId)).toEqual([node(1), node(2)])
  })

  it('forgets a closed channel, and a node with its last', () => {
    const graph = new Graph()
    add(graph, 1, 1, 2)
    add(graph, 2, 2, 3)
    for (const id of [1, 2]) for (const d of [0, 1] as const) graph.applyUpdate(update(id, d, policy))
    graph.removeChannel(scid(1))
    graph.removeChannel(scid(9))
    expect([graph.channelCount, graph.nodeCount, graph.node(node(1)), graph.channel(scid(1))]).toEqual([
      1,
      2,
      undefined,
      undefined,
    ])
    expect(graph.edgesTo(node(2)).map((e) => e.from)).toEqual([node(3)])
    expect(graph.channelsOf(node(2)).map((c) => c.shortChannelId)).toEqual([scid(2)])
  })
})

describe('what the search reads', () => {
  const change = fc.record({
    what: fc.constantFrom('add', 'update', 'update', 'disable', 'remove'),
    channel: fc.integer({ min: 1, max: 8 }),
    direction: fc.constantFrom(0 as const, 1 as const),
    base: fc.nat(1000),
  })
  /** Of each node: who leads to it, over which direction, and for which fee; from the edges, and from the rows of numbers. */
  const read = (graph: Graph) =>
    Array.from({ length: 6 }, (_, n) => {
      const { edges, rows } = graph.links.into(graph.links.numberOf(node(n)))
      return edges
        .map((e, i) => {
          expect(rows[i * STRIDE + FROM]).toBe(graph.links.numberOf(e.from))
          expect(rows[i * STRIDE + MAXIMUM]).toBe(e.policy.htlcMaximumMsat)
          expect(rowFee(rows, i * STRIDE, 0)).toBe(e.policy.feeBaseMsat)
          return `${e.key} ${e.from} ${e.policy.feeBaseMsat}`
        })
        .sort()
    })
  const ends = (channel: number): [number, number] => [channel % 3, 3 + (channel % 2)]

  it('is the same whatever came and went as of a graph made anew', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const graph = new Graph()
        const now = new Map<number, Map<0 | 1, Policy>>()
        changes.forEach(({ what, channel, direction, base }, i) => {
          if (what === 'add' && add(graph, channel, ...ends(channel))) now.set(channel, new Map())
          if (what === 'remove') {
            graph.removeChannel(scid(channel))
            now.delete(channel)
          }
          if (what !== 'update' && what !== 'disable') return
          const p = { ...policy, base, max: 500_000 + base, disabled: what === 'disable' }
          if (graph.applyUpdate(update(channel, direction, p, i + 1))) now.get(channel)!.set(direction, p)
        })
        const anew = new Graph()
        for (const [channel, policies] of now) {
          add(anew, channel, ...ends(channel))
          for (const [direction, p] of policies) anew.applyUpdate(update(channel, direction, p))
        }
        expect(read(graph)).toEqual(read(anew))
        expect(graph.links.size).toBeLessThanOrEqual(5)
      }),
    )
  })
})

describe('the heap', () => {
  it('gives back what was put in, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (numbers) => {
        const heap = new Heap<number>((a, b) => a < b)
        for (const n of numbers) heap.push(n)
        expect(Array.from(numbers, () => heap.pop())).toEqual([...numbers].sort((a, b) => a - b))
        expect(heap.pop()).toBeUndefined()
      }),
    )
  })
})
