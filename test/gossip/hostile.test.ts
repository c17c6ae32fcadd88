import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { Answers } from '../../src/gossip/serve.ts'
import { GossipServing } from '../../src/node/gossipServing.ts'
import type { Reactor, TurnScope } from '../../src/node/reactor.ts'
import { announcementOf, CHAIN, NOW, scidOf, scids, tableOf, updateOf } from './network.ts'

const everything = {
  type: 'query_channel_range',
  chainHash: CHAIN,
  firstBlocknum: 0,
  numberOfBlocks: 0xffffffff,
  queryOptionFlags: 0xffffffffffffffffn,
} as const
const filter = {
  type: 'gossip_timestamp_filter',
  chainHash: CHAIN,
  firstTimestamp: 0,
  timestampRange: 0xffffffff,
} as const

describe('BOLT 7 §the-query_channel_range-and-reply_channel_range-messages: a hostile asker (gossip query flood)', () => {
  const table = tableOf(
    ...Array.from({ length: 3_000 }, (_, n) => announcementOf({ block: 100 + n, n })),
    ...[0, 1].map((d) => updateOf({ block: 100, n: 0 }, d as 0 | 1, NOW)),
  )

  it('gets any range answered to its end, at the edges of what can be asked, too', () => {
    for (const [firstBlocknum, numberOfBlocks] of [
      [0, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [3_000, 1],
    ] as const) {
      const answers = new Answers(table)
      expect(answers.ask({ ...everything, firstBlocknum, numberOfBlocks })).toBeNull()
      let steps = 0
      for (; !answers.isIdle; steps++) answers.take(1_000)
      expect(steps).toBeLessThan(20)
    }
    expect(new Answers(table).ask({ ...everything, numberOfBlocks: 0 })).toContain('no blocks')
  })

  it('may ask one thing of a kind at a time, and with a flag for each channel', () => {
    const query = { type: 'query_short_channel_ids', chainHash: CHAIN, shortChannelIds: scids(2) } as const
    const answers = new Answers(table)
    expect([answers.ask(everything), answers.ask(query)]).toEqual([null, null])
    expect(answers.ask(everything)).toContain('before the last one was answered')
    expect(answers.ask(query)).toContain('before the last one was answered')
    expect(new Answers(table).ask({ ...query, queryFlags: [1n] })).toContain('exactly one flag')
  })

  it('who repeats a channel a thousand times gets it once; unknown ones give nothing', () => {
    const answers = new Answers(table)
    const shortChannelIds = [...Array.from({ length: 4_000 }, () => scidOf({ block: 100, n: 0 })), ...scids(4_000)]
    answers.ask({ type: 'query_short_channel_ids', chainHash: CHAIN, shortChannelIds })
    expect(answers.take(1e9)).toHaveLength(4)
  })

  it('is given as much as it reads, no more than its budget, and makes nothing wait in memory', () => {
    const [me, other] = ['02'.repeat(33), '03'.repeat(33)].map((nodeId, epoch) => ({ nodeId: nodeId as NodeId, epoch }))
    let now = 0
    let [queued, sent] = [0, 0]
    const turns: ((scope: TurnScope) => void)[] = []
    const blamed: string[] = []
    const serving = new GossipServing({
      table,
      reactor: { post: (task: (scope: TurnScope) => void) => void turns.push(task) } as unknown as Reactor,
      send: (_, messages) => {
        for (const m of messages) [queued, sent] = [queued + m.length, sent + 1]
      },
      queuedBytes: () => queued,
      blame: (_, reason) => void blamed.push(reason),
      flushMs: 0,
      now: () => now,
    })
    const run = (): void => {
      for (let turn = turns.shift(); turn; turn = turns.shift()) {
        turn({ after: (act: () => void) => act() } as unknown as TurnScope)
      }
    }
    for (const link of [me!, other!]) serving.connected(link)
    const shortChannelIds = [...table.scids(0n, 1n << 64n, 3_000)]
    serving.onQuery(me!, { type: 'query_short_channel_ids', chainHash: CHAIN, shortChannelIds })
    serving.onQuery(me!, filter)
    run()
    // It reads nothing: a few steps are in its line, and nothing comes after them.
    expect(queued).toBeLessThan(150_000)
    for (let n = 0; n < 50; n++) serving.tick()
    run()
    expect(queued).toBeLessThan(150_000)
    const read = (): number => {
      const before = sent
      queued = 0
      serving.drained(me!)
      run()
      return sent - before
    }
    while (read() > 0);
    // All that it asked for, once it has read.
    expect(sent).toBe(3_000 + 1 + 3 + 2)
    // It reads, and asks again and again.
    const ask = (): number => {
      serving.onQuery(me!, { ...everything, numberOfBlocks: 1 })
      return read()
    }
    let rounds = 0
    for (; ask() > 0; rounds++) expect(rounds).toBeLessThan(3_000)
    expect(rounds).toBeGreaterThan(1_000)
    now += 1_000
    queued = 0
    serving.tick()
    run()
    for (rounds = 0; ask() > 0; rounds++) expect(rounds).toBeLessThan(10)
    serving.disconnected(me!)
    serving.onQuery(me!, everything)
    expect(turns).toEqual([])
    expect(blamed.every((reason) => reason.includes('before the last one was answered'))).toBe(true)
  })
})

describe('BOLT 7 §rebroadcasting: news for many peers', () => {
  it('are looked at as each peer takes them, and go to all but who told them, each once', () => {
    const places = Array.from({ length: 300 }, (_, n) => ({ block: 100 + n, n }))
    const table = tableOf(...places.map(announcementOf), ...places.map((p) => updateOf(p, 0, NOW)))
    let looks = 0
    const channel = table.channel.bind(table)
    table.channel = (scid) => {
      looks++
      return channel(scid)
    }
    const links = Array.from({ length: 50 }, (_, n) => ({
      nodeId: `02${n.toString(16).padStart(64, '0')}` as NodeId,
      epoch: n,
    }))
    let now = 0
    const turns: ((scope: TurnScope) => void)[] = []
    const got = new Map<NodeId, number>()
    const serving = new GossipServing({
      table,
      reactor: { post: (task: (scope: TurnScope) => void) => void turns.push(task) } as unknown as Reactor,
      send: ({ nodeId }, messages) => void got.set(nodeId, (got.get(nodeId) ?? 0) + messages.length),
      queuedBytes: () => 0,
      isChosen: () => true, // what all together may have is another matter
      blame: () => {},
      flushMs: 60_000,
      now: () => now,
    })
    for (const link of links) {
      serving.connected(link)
      serving.onQuery(link, { ...filter, firstTimestamp: NOW, timestampRange: 0 })
      serving.onQuery(link, { ...filter, firstTimestamp: link.epoch === 9 ? NOW + 1 : 0 })
    }
    const run = (): void => {
      for (let turn = turns.shift(); turn; turn = turns.shift())
        turn({ after: (act: () => void) => act() } as unknown as TurnScope)
    }
    run()
    got.clear()
    for (const p of places) serving.relay(announcementOf(p), links[p.n % 2]!.nodeId)
    looks = 0
    now += 60_000
    serving.tick()
    expect(looks).toBe(places.length)
    run()
    expect(looks).toBeGreaterThan(places.length * 40)
    expect(links.map(({ nodeId }) => got.get(nodeId) ?? 0)).toEqual(
      links.map(({ epoch }) => (epoch === 9 ? 0 : epoch < 2 ? 150 : 300)),
    )
    serving.tick()
    expect([turns.length, serving.hasDue()]).toEqual([0, false])
  })
})

describe('who connects again and again', () => {
  it('is told what is our own within what it may have, and never faster than it reads', () => {
    const turns: ((scope: TurnScope) => void)[] = []
    let [now, queued, made, sent] = [0, 0, 0, 0]
    const serving = new GossipServing({
      table: tableOf(),
      reactor: { post: (task: (scope: TurnScope) => void) => void turns.push(task) } as unknown as Reactor,
      send: (_, messages) => {
        for (const m of messages) [queued, sent] = [queued + m.length, sent + m.length]
      },
      queuedBytes: () => queued,
      blame: () => {},
      flushMs: 60_000,
      now: () => now,
    })
    const run = (): void => {
      for (let turn = turns.shift(); turn; turn = turns.shift())
        turn({ after: (act: () => void) => act() } as unknown as TurnScope)
    }
    function* own(): Generator<Uint8Array> {
      for (let n = 0; n < 1_000; n++) {
        made++
        yield new Uint8Array(430)
      }
    }
    const link = (epoch: number) => ({ nodeId: `02${'1'.repeat(64)}` as NodeId, epoch })
    serving.connected(link(1), own())
    run()
    expect([queued > 0, queued < 150_000, made < 400]).toEqual([true, true, true])
    for (let reads = 0; reads < 9; reads++) {
      queued = 0
      serving.drained(link(1))
      run()
    }
    expect([made, sent]).toEqual([1_000, 430_000])
    for (let epoch = 2; epoch < 5_000; epoch++) {
      serving.connected(link(epoch), own())
      queued = 0
      run()
      serving.disconnected(link(epoch))
    }
    expect(sent).toBeLessThan(70e6)
    now += 1_000
    const before = sent
    serving.connected(link(6_000), own())
    queued = 0
    run()
    expect([sent > before, sent - before < 150_000]).toEqual([true, true])
  })
})
