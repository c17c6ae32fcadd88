import { beforeEach, describe, expect, it, vi } from 'vitest'
import { sat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { STALE_AFTER } from '../../src/gossip/validate.ts'
import { GossipRecords } from '../../src/node/gossipRecords.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import { Graph } from '../../src/routing/graph.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import type { Op } from '../../src/store/types.ts'
import { announcedNode, announcementOf, CHAIN, NOW, nodeOf, type Place, scidOf, updateOf } from './network.ts'

const driver = new MemoryDriver()
let now = NOW
let unreadable: number
const open = async (graph = new Graph()): Promise<GossipRecords> => {
  const records = new GossipRecords({ chainHash: CHAIN, nodeId: nodeOf(0), graph, driver, now: () => now * 1000 })
  unreadable = await records.load()
  return records
}
/** What is written in one turn. */
async function turn(act: (scope: TurnScope) => void): Promise<void> {
  const ops: Op[] = []
  act({ write: (op: Op) => void ops.push(op) } as unknown as TurnScope)
  await driver.batch(ops)
}
const own: Place = { block: 100, n: 0 }
const others: readonly Place[] = [
  { block: 101, n: 1 },
  { block: 102, n: 5 },
]
const funding = (place: Place) => ({
  outpoint: { txid: `${place.block}`.padStart(64, '0') as never, index: 0 },
  capacitySat: sat(1_000_000),
})

beforeEach(async () => {
  now = NOW
  const records = await open()
  await turn((scope) => {
    for (const place of [own, ...others]) {
      records.addChannel(announcementOf(place), funding(place), scope)
      for (const d of [0, 1] as const) records.acceptUpdate(updateOf(place, d, NOW - d * 100), scope)
    }
    for (let n = 0; n < 5; n++) records.acceptNode(announcedNode(n, NOW), scope)
  })
})

describe('BOLT 7 §recommendation-on-pruning-stale-entries', () => {
  it('forgets others’ channels of which one end is silent, and their nodes; never its own', async () => {
    const graph = new Graph()
    const records = await open(graph)
    expect(announcementOf(own).nodeId1).toBe(nodeOf(0))
    now = NOW + STALE_AFTER - 100
    await turn((scope) => records.prune(scope))
    expect(graph.channelCount).toBe(3)
    await turn((scope) => {
      records.acceptUpdate(updateOf(others[0]!, 1, now), scope)
    })
    now += 1
    await turn((scope) => records.prune(scope))
    const left = [own, others[0]!].map(scidOf)
    expect([...graph.channels()].map((c) => c.shortChannelId)).toEqual(left)
    // And on disk.
    const again = await open()
    expect(again.table.channels().map((c) => c.announcement.shortChannelId)).toEqual(left)
    expect(again.table.channel(left[1]!)!.updates.map((u) => u?.timestamp)).toEqual([NOW, NOW + STALE_AFTER - 100])
  })

  it('knows which announcements are ours', async () => {
    const records = await open()
    const ours = [...records.ours()]
    expect(ours.map((m) => m.type)).toEqual(['channel_announcement', 'channel_update', 'node_announcement'])
    expect(ours[1]).toMatchObject({ channelFlags: 0, shortChannelId: scidOf(own) })
    expect(records.newest()).toBe(NOW)
  })
})

describe('BOLT 7 §the-channel_announcement-message: a channel whose funding is spent', () => {
  const spend = (place: Place, height: number) =>
    ({ height, transactions: [{ inputs: [{ txid: funding(place).outpoint.txid, index: 0 }] }] }) as never
  const empty = (height: number) => ({ height, transactions: [] }) as never
  const [first, second] = others.map((o) => scidOf(o)) as [ReturnType<typeof scidOf>, ReturnType<typeof scidOf>]

  it('is announced no more, and carries payments for 72 blocks, since it may have been spliced; one of ours does not', async () => {
    const graph = new Graph()
    const records = await open(graph)
    await turn((scope) => {
      for (const place of [own, others[0]!]) records.onBlock(spend(place, 500), scope)
    })
    const announced = async () =>
      [records, await open()].map((r) => r.table.channels().map((c) => c.announcement.shortChannelId))
    expect(await announced()).toEqual([[second], [second]])
    const routed = () => [...graph.channels()].map((c) => c.shortChannelId)
    expect(routed()).toEqual([first, second])
    expect(graph.edgesTo(announcementOf(others[0]!).nodeId2).map((e) => e.shortChannelId)).toEqual([first])
    await turn((scope) => records.onBlock(empty(571), scope))
    expect(routed()).toEqual([first, second])
    await turn((scope) => records.onBlock(empty(572), scope))
    expect(routed()).toEqual([second])
  })

  it('is gone as soon as what it was spliced to can be used, or a reorganisation undoes its own funding', async () => {
    const adds =
      (place: Place) =>
      (r: GossipRecords, scope: TurnScope): void => {
        r.addChannel(announcementOf(place), funding(place), scope)
        expect([r.table.channels().length, r.acceptUpdate(updateOf(place, 0, NOW), scope).ok]).toEqual([3, true])
      }
    for (const [what, left, isLeft] of [
      [adds({ block: 500, n: 13 }), 3, false], // between its ends
      [adds({ block: 500, n: 2 }), 4, true],
      [adds({ block: 501, n: 13 }), 4, true],
      [(r: GossipRecords, scope: TurnScope) => r.onReorg(101, scope), 2, true],
      [(r: GossipRecords, scope: TurnScope) => r.onReorg(100, scope), 1, false],
    ] as const) {
      const graph = new Graph()
      const records = await open(graph)
      const unwritten = { write: () => {} } as unknown as TurnScope
      records.onBlock(spend(others[0]!, 500), unwritten)
      expect(graph.channelCount).toBe(3)
      what(records, unwritten)
      expect([graph.channelCount, graph.channel(first) !== undefined]).toEqual([left, isLeft])
    }
  })
})

describe('a reorganisation', () => {
  it('takes channels out that were funded in the blocks that it undoes, ours too, and leaves the others', async () => {
    const graph = new Graph()
    const records = await open(graph)
    const undone: unknown[] = []
    await turn((scope) => undone.push(...records.onReorg(101, scope)))
    expect(undone).toEqual([scidOf(others[1]!)])
    await turn((scope) => undone.push(...records.onReorg(99, scope)))
    expect(undone).toEqual([others[1]!, own, others[0]!].map(scidOf))
    expect([graph.channelCount, records.table.channels().length, (await open()).table.channels().length]).toEqual([
      0, 0, 0,
    ])
    // The same output may be another channel's now.
    const unwritten = { write: () => {} } as unknown as TurnScope
    expect(records.addChannel(announcementOf({ block: 101, n: 3 }), funding(others[0]!), unwritten)).toBe(true)
  })
})

describe('at a start', () => {
  it('everything is there again without a signature being verified: a network has 100,000 of them', async () => {
    const before = await open()
    const verify = vi.spyOn(crypto, 'ecdsaVerify')
    const graph = new Graph()
    const { table } = await open(graph)
    expect(verify).not.toHaveBeenCalled()
    verify.mockRestore()
    expect([table.channels(), table.nodes()]).toEqual([before.table.channels(), before.table.nodes()])
    expect([table.nodes().length, table.channels().flatMap((c) => c.updates.filter((u) => u !== null)).length]).toEqual(
      [4, 6],
    )
    expect([...graph.channels()].flatMap((c) => c.policies.filter((p) => p !== null))).toHaveLength(6)
  })

  it('records that cannot be read are left out, and come again: nothing else waits for them', async () => {
    const damaged: string[] = []
    for await (const [key, value] of driver.entries({})) {
      if (!key.endsWith('102x5x0') && !key.endsWith('101x1x0/0') && !key.endsWith(nodeOf(3))) continue
      damaged.push(key)
      await driver.batch([{ key, value: value.slice(0, -9) }])
    }
    expect(damaged).toHaveLength(3)
    const graph = new Graph()
    const records = await open(graph)
    expect(unreadable).toBe(3)
    expect(records.table.channels().map((c) => c.updates.map((u) => u !== null))).toEqual([
      [true, true],
      [false, true],
    ])
    expect([graph.channelCount, records.table.node(nodeOf(3))]).toEqual([2, undefined])
    await turn((scope) => {
      expect(records.addChannel(announcementOf(others[1]!), funding(others[1]!), scope)).toBe(true)
      expect(records.acceptUpdate(updateOf(others[0]!, 0, NOW), scope).ok).toBe(true)
    })
    await open()
    expect(unreadable).toBe(1)
  })
})
