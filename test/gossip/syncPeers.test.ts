import { beforeEach, describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { GossipSync, type GossipSyncOptions } from '../../src/node/gossipSync.ts'
import type { Link } from '../../src/node/outbox.ts'
import { featuresFromBits } from '../../src/wire/features.ts'
import type { Message } from '../../src/wire/registry.ts'
import { CHAIN, NOW } from './network.ts'

const EXTENDED = featuresFromBits([7, 11])
const PLAIN = featuresFromBits([7])
const HOUR = 3600
const PATIENCE = 1_000
const peer = (n: number, epoch = n): Link => ({ nodeId: `02${`${n}`.repeat(64)}` as NodeId, epoch })

let now: number
let ready: boolean
let knownUntil: number
let said: [Link, Message][]
let warned: Link[]
let sync: GossipSync
beforeEach(() => {
  now = NOW * 1000
  ready = true
  knownUntil = 0
  said = []
  warned = []
  sync = new GossipSync(options())
})

const options = (): GossipSyncOptions => ({
  chainHash: CHAIN,
  push: (link, message) => void said.push([link, message]),
  warn: (link) => void warned.push(link),
  ready: () => ready,
  room: () => true,
  want: () => 31,
  knownUntil: () => knownUntil,
  patienceMs: PATIENCE,
  now: () => now,
})

/** What was said to a peer since the last look, a filter by where it begins. */
function heard(link: Link): readonly (string | number)[] {
  const mine = said.filter(([to]) => to === link)
  said = said.filter(([to]) => to !== link)
  return mine.map(([, m]) => (m.type === 'gossip_timestamp_filter' ? m.firstTimestamp : m.type))
}
const reply = {
  type: 'reply_channel_range',
  chainHash: CHAIN,
  firstBlocknum: 0,
  numberOfBlocks: 0xffffffff,
  syncComplete: 1,
  shortChannelIds: [],
} as const
/** The peer knows of nothing. */
const answer = (link: Link, change: object = {}): void => sync.onReply(link, { ...reply, ...change })
const seconds = (): number => now / 1000

describe('BOLT 7 §query-messages: who is asked', () => {
  it('two peers in a day, one after the other, and all for news', () => {
    const [a, b, c] = [peer(1), peer(2), peer(3)]
    for (const link of [a, b, c]) sync.connected(link, EXTENDED)
    expect([heard(a), heard(b)]).toEqual([['query_channel_range'], []])
    expect(heard(c)).toEqual([0])
    answer(a)
    expect([heard(a), heard(b)]).toEqual([[seconds() - HOUR], ['query_channel_range']])
    answer(b)
    expect([heard(b), heard(c)]).toEqual([[seconds() - HOUR], []])
    const later = peer(4)
    sync.connected(later, EXTENDED)
    expect(heard(later)).toEqual([seconds() - HOUR])
    now += 25 * HOUR * 1000
    expect(sync.isWaiting).toBe(true)
    sync.advance()
    expect(said.map(([, m]) => m.type)).toEqual(['query_channel_range'])
  })

  it('nobody before the chain is followed, and nobody who does not offer it', () => {
    ready = false
    const [a, b] = [peer(1), peer(2)]
    sync.connected(a, PLAIN)
    sync.connected(b, featuresFromBits([1]))
    expect([heard(a), heard(b)]).toEqual([[], [0xffffffff]])
    ready = true
    sync.advance()
    expect(said).toMatchObject([[a, { type: 'query_channel_range' }]])
    expect(said[0]![1]).not.toHaveProperty('queryOptionFlags')
  })

  it('another at once when the connection breaks; the same again when it is back', () => {
    const [a, b, c] = [peer(1), peer(2), peer(3)]
    for (const link of [a, b]) sync.connected(link, EXTENDED)
    heard(a)
    sync.disconnected(a)
    expect(heard(b)).toEqual(['query_channel_range'])
    sync.disconnected(peer(2, 99)) // an older connection of it
    answer(b)
    expect(heard(b)).toEqual([seconds() - HOUR])
    const again = peer(1, 7)
    sync.connected(again, EXTENDED)
    expect(heard(again)).toEqual(['query_channel_range'])
    // Connected anew before the end of the old connection was seen.
    const newer = peer(1, 8)
    sync.connected(newer, EXTENDED)
    expect(heard(newer)).toEqual(['query_channel_range'])
    answer(again)
    answer(newer)
    sync.connected(c, EXTENDED)
    expect([heard(newer), heard(c)]).toEqual([[seconds() - HOUR], [seconds() - HOUR]])
  })

  it('another when one never answers, who is then asked for everything by a filter; it is not asked again', () => {
    const [a, b] = [peer(1), peer(2)]
    for (const link of [a, b]) sync.connected(link, EXTENDED)
    heard(a)
    now += PATIENCE
    sync.advance()
    expect([heard(a), heard(b)]).toEqual([[0], ['query_channel_range']])
    answer(b)
    heard(b)
    sync.disconnected(a)
    sync.connected(peer(1, 5), EXTENDED)
    expect(said.map(([, m]) => m.type)).toEqual(['gossip_timestamp_filter'])
  })

  it('another when one talks nonsense, who is warned', () => {
    const [a, b] = [peer(1), peer(2)]
    for (const link of [a, b]) sync.connected(link, EXTENDED)
    answer(a, { shortChannelIds: [2n, 1n] })
    expect([warned, heard(b)]).toEqual([[a], ['query_channel_range']])
    answer(a) // what it says now is nobody's
    expect(heard(b)).toEqual([])
  })

  it('what came while the node was away is part of the news, once', () => {
    knownUntil = NOW - 50 * HOUR
    const [a, b] = [peer(1), peer(2)]
    for (const link of [a, b]) sync.connected(link, PLAIN)
    answer(a)
    answer(b)
    expect([heard(a).at(-1), heard(b).at(-1)]).toEqual([NOW - 51 * HOUR, NOW - HOUR])
  })

  it('two of those that the operator chose, though strangers came first and know of nothing', () => {
    const chosen = new Set([peer(4), peer(5), peer(6)].map((p) => p.nodeId))
    sync = new GossipSync({ ...options(), isChosen: (id) => chosen.has(id) })
    const asked = (link: Link): boolean => heard(link).includes('query_channel_range')
    for (const n of [1, 2, 3]) {
      sync.connected(peer(n), EXTENDED)
      answer(peer(n))
    }
    const order: number[] = []
    for (const n of [1, 2, 3])
      if (said.some(([to, m]) => to.epoch === n && m.type === 'query_channel_range')) order.push(n)
    expect(order).toEqual([1, 2])
    const links = [4, 5, 6].map((n) => peer(n))
    for (const link of links) sync.connected(link, EXTENDED)
    for (const link of links.slice(0, 2)) {
      expect(asked(link)).toBe(true)
      answer(link)
    }
    expect(asked(links[2]!)).toBe(false)
  })

  it('one that the operator chose before strangers that wait as well', () => {
    const last = peer(7)
    sync = new GossipSync({ ...options(), isChosen: (id) => id === last.nodeId })
    ready = false
    const links = [peer(1), peer(2), peer(3), last]
    for (const link of links) sync.connected(link, EXTENDED)
    ready = true
    sync.advance()
    answer(links[0]!)
    expect(heard(last)).toContain('query_channel_range')
  })

  it('one that the operator chose at once, whatever a stranger still has to say, and which of them waits', () => {
    const last = peer(7)
    sync = new GossipSync({ ...options(), isChosen: (id) => id === last.nodeId })
    const [slow, waiting] = [peer(1), peer(2)]
    for (const link of [slow, waiting]) sync.connected(link, EXTENDED)
    expect([heard(slow), heard(waiting)]).toEqual([['query_channel_range'], []])
    sync.connected(last, EXTENDED)
    expect(heard(last)).toEqual(['query_channel_range'])
    // Those that have to wait bring news, and what they say of the whole is nobody's.
    expect([heard(slow), heard(waiting)]).toEqual([[0], [0]])
    answer(slow, { shortChannelIds: [2n, 1n] })
    expect(warned).toEqual([])
    answer(last)
    expect([heard(last), heard(waiting)]).toEqual([[seconds() - HOUR], ['query_channel_range']])
  })

  it('another when one has taken long over its answers, though each comes in time (stalled gossip sync)', () => {
    const [slow, next] = [peer(1), peer(2)]
    for (const link of [slow, next]) sync.connected(link, EXTENDED)
    heard(slow)
    let replies = 0
    for (; heard(next).length === 0; replies++) {
      now += PATIENCE - 1
      sync.advance()
      answer(slow, { syncComplete: 0, numberOfBlocks: 1 })
      expect(replies).toBeLessThan(100)
    }
    expect(replies).toBeGreaterThan(50)
    expect(heard(slow)).toEqual([0])
  })

  it('of those that talk nonsense, however many come, a thousand are remembered', () => {
    const link = (n: number): Link => ({ nodeId: `02${`${n}`.padStart(64, '0')}` as NodeId, epoch: n })
    const isAsked = (n: number): boolean => {
      said = []
      sync.connected(link(n), EXTENDED)
      const asked = said.some(([, m]) => m.type === 'query_channel_range')
      if (asked) answer(link(n), { shortChannelIds: [2n, 1n] })
      sync.disconnected(link(n))
      return asked
    }
    for (let n = 0; n < 1_000; n++) expect(isAsked(n)).toBe(true)
    expect([isAsked(0), isAsked(1_000), isAsked(0)]).toEqual([false, true, true])
  })
})
