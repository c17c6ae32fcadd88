import { describe, expect, it } from 'vitest'
import { updateChecksum } from '../../src/gossip/checksum.ts'
import { isFor, Outgoing } from '../../src/gossip/outgoing.ts'
import { Answers, backlog, channelAnswers, rangeReplies, WANTS } from '../../src/gossip/serve.ts'
import { wantedOf } from '../../src/gossip/sync.ts'
import { heightOf, isStale } from '../../src/gossip/validate.ts'
import { encodeMessage, type GossipMessage } from '../../src/wire/registry.ts'
import {
  announcedNode,
  announcementOf,
  CHAIN,
  NOW,
  nodeOf,
  type Place,
  scidOf,
  tableOf,
  take,
  updateOf,
} from './network.ts'

const OTHER_CHAIN = new Uint8Array(32).fill(7)
const [a, b, c]: readonly Place[] = [
  { block: 100, n: 1 },
  { block: 100, n: 2 },
  { block: 700, n: 3 },
] as const
const channels = [a!, b!, c!]
const known = () =>
  tableOf(
    ...channels.map(announcementOf),
    updateOf(a!, 0, NOW - 50),
    updateOf(a!, 1, NOW - 40),
    updateOf(b!, 0, NOW - 30),
    ...[0, 1, 2, 3, 4].map((n) => announcedNode(n, NOW - 20)),
  )
const range = (firstBlocknum: number, numberOfBlocks: number, queryOptionFlags?: bigint) =>
  ({
    type: 'query_channel_range',
    chainHash: CHAIN,
    firstBlocknum,
    numberOfBlocks,
    ...(queryOptionFlags !== undefined && { queryOptionFlags }),
  }) as const
const asked = (places: readonly Place[], queryFlags?: readonly number[]) =>
  ({
    type: 'query_short_channel_ids',
    chainHash: CHAIN,
    shortChannelIds: places.map(scidOf),
    ...(queryFlags && { queryFlags: queryFlags.map(BigInt) }),
  }) as const
const named = (m: GossipMessage | null): string => {
  if (m?.type === 'channel_update') return `update ${heightOf(m.shortChannelId)}/${m.channelFlags & 1}`
  return m?.type === 'channel_announcement' ? `channel ${heightOf(m.shortChannelId)}` : (m?.type ?? 'nothing')
}

describe('BOLT 7 §the-query_channel_range-and-reply_channel_range-messages: receiver', () => {
  it('names the channels of the range, in one reply when they fit, which covers all of it', () => {
    expect([...rangeReplies(known(), range(100, 600))]).toEqual([
      { ...range(100, 600), type: 'reply_channel_range', syncComplete: 1, shortChannelIds: [a!, b!].map(scidOf) },
    ])
    expect([...rangeReplies(known(), range(0, 0xffffffff))][0]).toMatchObject({
      numberOfBlocks: 0xffffffff,
      shortChannelIds: channels.map(scidOf),
    })
  })

  it('adds timestamps and checksums of the updates where they are asked for, 0 where there is none', () => {
    const table = known()
    const [reply] = rangeReplies(table, range(100, 1, 3n))
    expect(reply!.timestamps).toEqual([
      { timestamp1: NOW - 50, timestamp2: NOW - 40 },
      { timestamp1: NOW - 30, timestamp2: 0 },
    ])
    const [first, second] = table.channel(scidOf(a!))!.updates
    expect(reply!.checksums![0]).toEqual({ checksum1: updateChecksum(first!), checksum2: updateChecksum(second!) })
    expect(reply!.checksums![1]).toMatchObject({ checksum2: 0 })
    const [plain] = rangeReplies(table, range(100, 1, 1n))
    expect([plain!.timestamps?.length, plain!.checksums]).toEqual([2, undefined])
  })

  it.each([undefined, 1n, 3n])(
    'splits what does not fit, also within a block, without a gap (options %s)',
    (options) => {
      // 9,000 in one block, then one in every tenth block.
      const places = [
        ...Array.from({ length: 9_000 }, (_, n) => ({ block: 500, n })),
        ...Array.from({ length: 9_000 }, (_, n) => ({ block: 510 + 10 * n, n })),
      ]
      const table = tableOf(...places.toReversed().map(announcementOf))
      const q = range(400, 200_000, options)
      const replies = [...rangeReplies(table, q)]
      expect(replies.length).toBeGreaterThan(2)
      expect(replies.flatMap((r) => r.shortChannelIds)).toEqual(places.map(scidOf))
      let covered = q.firstBlocknum
      for (const [i, r] of replies.entries()) {
        expect(encodeMessage(r).length).toBeLessThanOrEqual(65_535)
        expect(r.syncComplete).toBe(i === replies.length - 1 ? 1 : 0)
        expect(r.numberOfBlocks).toBeGreaterThanOrEqual(1)
        // Each goes on where the last ended, or in the same block once more.
        expect(r.firstBlocknum === covered || r.firstBlocknum === covered - 1).toBe(true)
        const end = r.firstBlocknum + r.numberOfBlocks
        for (const id of r.shortChannelIds) expect(heightOf(id) >= r.firstBlocknum && heightOf(id) < end).toBe(true)
        covered = end
      }
      expect(covered).toBe(q.firstBlocknum + q.numberOfBlocks)
    },
  )

  it('knows nothing of other chains, and says so for that chain', () => {
    const reply = [...rangeReplies(known(), { ...range(0, 1000), chainHash: OTHER_CHAIN })]
    expect(reply).toMatchObject([{ chainHash: OTHER_CHAIN, shortChannelIds: [], syncComplete: 1 }])
    expect([...channelAnswers(known(), { ...asked(channels), chainHash: OTHER_CHAIN })]).toEqual([
      { type: 'reply_short_channel_ids_end', chainHash: OTHER_CHAIN, fullInformation: 0 },
    ])
  })
})

describe('BOLT 7 §the-query_short_channel_idsreply_short_channel_ids_end-messages: receiver', () => {
  it('gives every known channel with its updates, then each node once, then the end; what is unknown is left out', () => {
    const answers = [...channelAnswers(known(), asked([a!, { block: 5, n: 5 }, a!, c!]))]
    expect(answers.map(named)).toEqual([
      'channel 100',
      'update 100/0',
      'update 100/1',
      'channel 700',
      ...answers.filter((m) => m.type === 'node_announcement').map(named),
      'reply_short_channel_ids_end',
    ])
    const nodes = answers.flatMap((m) => (m.type === 'node_announcement' ? [m.nodeId] : []))
    expect(nodes.length).toBeGreaterThan(2)
    expect(new Set(nodes).size).toBe(nodes.length)
    expect(answers.at(-1)).toMatchObject({ fullInformation: 1 })
  })

  it('takes the next query of who has read the end, wherever the bytes of a step ran out', () => {
    const { length } = encodeMessage([...channelAnswers(known(), asked(channels))].at(-1)!)
    const all = [...channelAnswers(known(), asked(channels))].reduce((sum, m) => sum + encodeMessage(m).length, 0)
    for (const most of [all, all - length + 1]) {
      const answers = new Answers(known())
      expect(answers.ask(asked(channels))).toBeNull()
      expect(answers.take(most).at(-1)).toHaveLength(length)
      expect([answers.ask(asked(channels)), answers.isIdle]).toEqual([null, false])
    }
  })

  it('gives what the flags ask for alone', () => {
    const { announcement, update1, update2, node1, node2 } = WANTS
    const give = (flags: number): readonly string[] =>
      [...channelAnswers(known(), asked([a!], [flags]))].slice(0, -1).map(named)
    expect(give(0)).toEqual([])
    expect(give(announcement)).toEqual(['channel 100'])
    expect(give(update1)).toEqual(['update 100/0'])
    expect(give(update2)).toEqual(['update 100/1'])
    expect(give(node1 | node2)).toEqual(['node_announcement', 'node_announcement'])
    const [node] = channelAnswers(known(), asked([a!], [node2]))
    expect(node).toMatchObject({ nodeId: announcementOf(a!).nodeId2 })
  })

  it('BOLT 7 §the-node_announcement-message: several hostnames are not passed on', () => {
    const host = (name: string) => ({ tag: 'dns', host: name, port: 9735 }) as const
    const table = tableOf(announcementOf(a!), ...[0, 1, 2, 3, 4].map((n) => announcedNode(n, NOW, [host('a.example')])))
    expect([...channelAnswers(table, asked([a!], [24]))]).toHaveLength(3)
    for (const n of [0, 1, 2, 3, 4]) take(table, announcedNode(n, NOW + 1, [host('a.example'), host('b.example')]))
    expect([...channelAnswers(table, asked([a!], [24]))]).toHaveLength(1)
    expect([...backlog(table, { from: 0, before: 2 * NOW })].filter((m) => m?.type === 'node_announcement')).toEqual([])
  })
})

describe('BOLT 7 §the-gossip_timestamp_filter-message: receiver', () => {
  const through = (from: number, before: number): readonly string[] =>
    [...backlog(known(), { from, before })].filter((m) => m !== null).map(named)

  it('gives what the range lets through; a channel has the time of its updates, and comes before them', () => {
    expect(through(NOW - 45, NOW - 30)).toEqual(['channel 100', 'update 100/1'])
    expect(through(NOW - 30, NOW - 20)).toEqual(['channel 100', 'update 100/0'])
    expect(through(NOW - 20, NOW - 19)).toEqual(Array.from({ length: 5 - 1 }, () => 'node_announcement'))
    expect(through(NOW, NOW + 1)).toEqual([])
  })

  it('never gives a channel without an update', () => {
    expect(through(0, 2 * NOW)).not.toContain('channel 700')
    expect(through(0, 2 * NOW)).toContain('channel 100')
  })

  it('a new filter replaces the old one and what it was still to bring', () => {
    const answers = new Answers(known())
    const filter = (firstTimestamp: number, timestampRange: number) =>
      ({ type: 'gossip_timestamp_filter', chainHash: CHAIN, firstTimestamp, timestampRange }) as const
    expect(answers.filter).toBeNull()
    answers.ask(filter(0, 0xffffffff))
    answers.ask(filter(0xffffffff, 0))
    expect([answers.isIdle, answers.filter]).toEqual([true, { from: 0xffffffff, before: 0xffffffff }])
    answers.ask({ ...filter(0, 5), chainHash: OTHER_CHAIN })
    expect(answers.filter).toMatchObject({ from: 0xffffffff })
  })
})

describe('BOLT 7 §rebroadcasting', () => {
  const [me, other] = [nodeOf(0), nodeOf(1)]

  it('passes the newest of each origin on, a channel before its updates and not before it has one', () => {
    const table = tableOf(announcementOf(a!))
    const out = new Outgoing()
    out.add(announcementOf(a!), other)
    expect([out.take(table), out.isEmpty]).toEqual([[], false])
    for (const timestamp of [NOW - 9, NOW - 8]) {
      const update = updateOf(a!, 0, timestamp)
      take(table, update)
      out.add(update, other)
    }
    const news = out.take(table)
    expect(news.map((n) => named(n.message))).toEqual(['channel 100', 'update 100/0'])
    expect(news[1]!.message).toMatchObject({ timestamp: NOW - 8 })
    expect(out.isEmpty).toBe(true)
  })

  it('tells those whose filter it passes, never who told us; channels that have gone are forgotten', () => {
    const table = known()
    const all = { from: 0, before: 2 * NOW }
    const news = { message: announcementOf(a!), from: other }
    expect(isFor(me, all, news, table)).toBe(true)
    expect(isFor(other, all, news, table)).toBe(false)
    expect(isFor(me, { from: NOW - 39, before: NOW }, news, table)).toBe(false)
    expect(isFor(me, { from: NOW - 40, before: NOW }, news, table)).toBe(true)
    const update = { message: updateOf(a!, 0, NOW - 50), from: other }
    expect(isFor(me, { from: NOW - 50, before: NOW }, update, table)).toBe(true)
    expect(isFor(me, { from: NOW - 49, before: NOW }, update, table)).toBe(false)
    const out = new Outgoing()
    out.add(announcementOf(a!), other)
    table.removeChannel(scidOf(a!))
    expect([out.take(table), out.isEmpty]).toEqual([[], true])
  })
})

describe('what is asked for', () => {
  const listed = (place: Place, timestamps: [number, number] | null, checksums: [number, number] | null = null) => ({
    shortChannelId: scidOf(place),
    timestamps,
    checksums,
  })
  const DAY = 24 * 3600

  it('everything of an unknown channel, unless the peer itself shows that it is stale', () => {
    const unknown = { block: 9, n: 9 }
    expect(wantedOf(known(), listed(unknown, null), NOW)).toBe(31)
    expect(wantedOf(known(), listed(unknown, [NOW, 0]), NOW)).toBe(31)
    expect(wantedOf(known(), listed(unknown, [NOW, NOW - 15 * DAY]), NOW)).toBe(0)
  })

  it('of a known one, updates that are newer and say something else, or replace one that grows stale', () => {
    const table = known()
    const sums = table.channel(scidOf(a!))!.updates.map((u) => updateChecksum(u!)) as [number, number]
    expect(wantedOf(table, listed(a!, null), NOW)).toBe(0)
    expect(wantedOf(table, listed(a!, [NOW - 50, NOW - 40]), NOW)).toBe(0)
    expect(wantedOf(table, listed(a!, [NOW - 49, NOW - 40]), NOW)).toBe(WANTS.update1)
    expect(wantedOf(table, listed(a!, [NOW - 49, NOW - 39], [sums[0], sums[1] ^ 1]), NOW)).toBe(WANTS.update2)
    expect(wantedOf(table, listed(a!, [NOW + 8 * DAY, NOW - 40], sums), NOW + 8 * DAY)).toBe(WANTS.update1)
    expect(wantedOf(table, listed(b!, [NOW - 30, NOW - 10]), NOW)).toBe(WANTS.update2)
  })

  it('BOLT 7 §recommendation-on-pruning-stale-entries: the older update of the two decides', () => {
    expect(isStale([NOW - 14 * DAY, NOW], NOW)).toBe(false)
    expect(isStale([NOW - 14 * DAY - 1, NOW], NOW)).toBe(true)
    expect(isStale([0, NOW], NOW)).toBe(false)
    expect(isStale([0, 0], NOW)).toBe(false)
  })
})
