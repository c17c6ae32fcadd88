import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UpdateLimit } from '../../src/node/updateLimit.ts'
import type { ChannelUpdate, NodeAnnouncement } from '../../src/wire/messages/gossip.ts'
import { announcedNode, NOW, updateOf } from './network.ts'

const MINUTE = 60_000
const DAY = 24 * 3600
const place = { block: 100, n: 0 }

/** A node that takes what the limit allows, with a clock of the test's own. */
function start() {
  let [ms, previous] = [0, null as ChannelUpdate | null]
  const limit = new UpdateLimit(() => ms)
  const seconds = (): number => NOW + Math.floor(ms / 1000)
  return {
    limit,
    pass: (by: number) => {
      ms += by
    },
    now: seconds,
    say: (m: ChannelUpdate, isReal = true): boolean => {
      if (!limit.allows(m, previous, seconds())) return false
      if (!isReal || m.timestamp <= (previous?.timestamp ?? 0)) return true
      limit.count(m, previous, seconds())
      previous = m
      return true
    },
  }
}

describe('updates of one direction of a channel', () => {
  it('a burst, then one a minute, whatever they say and how they are spread', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200_000), { minLength: 20, maxLength: 60 }), (gaps) => {
        const { say, pass } = start()
        let [taken, ms] = [0, 0]
        for (const [n, gap] of gaps.entries()) {
          pass(gap)
          ms += gap
          if (say(updateOf(place, 0, NOW + n, n))) taken++
        }
        expect(taken).toBeLessThanOrEqual(11 + ms / MINUTE)
        pass(MINUTE)
        expect(say(updateOf(place, 0, NOW + 100, 999))).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  it('old ones, all handed on at once, do not keep the newest out', () => {
    const { say } = start()
    const week = NOW - 7 * DAY
    for (let n = 0; n < 50; n++) say(updateOf(place, 0, week + n, n))
    expect(say(updateOf(place, 0, week + 60, 60))).toBe(false)
    expect(say(updateOf(place, 0, NOW, 61))).toBe(true)
  })

  it('what strangers make up costs the owner nothing (made-up updates)', () => {
    const { say } = start()
    say(updateOf(place, 0, NOW - 1, 0))
    for (let n = 0; n < 100; n++) say(updateOf(place, 0, NOW + n, n), false)
    expect(say(updateOf(place, 0, NOW, 5))).toBe(true)
  })

  it('the same again is taken once a day, and sooner where the channel would soon count as stale', () => {
    const { say, pass } = start()
    const from = NOW - 10 * DAY
    expect(say(updateOf(place, 1, from))).toBe(true)
    expect(say(updateOf(place, 1, from + 3600))).toBe(true)
    expect(say(updateOf(place, 1, NOW))).toBe(true)
    pass(DAY * 1000)
    expect(say(updateOf(place, 1, NOW + DAY - 1))).toBe(false)
    expect(say(updateOf(place, 1, NOW + DAY))).toBe(true)
  })

  it('directions that have been silent for a while are forgotten', () => {
    const { limit, pass, now } = start()
    for (let n = 0; n < 400; n++) {
      const own = { block: 100 + n, n }
      const before = updateOf(own, 0, now(), 1)
      limit.count(updateOf(own, 0, now() + 1, 2), before, now())
      pass(6_000)
      expect(limit.size).toBeLessThanOrEqual(100)
    }
  })
})

describe('announcements of one node', () => {
  it('a burst, then one a minute; old ones that are handed on do not keep the newest out', () => {
    let [ms, taken, previous] = [0, 0, null as NodeAnnouncement | null]
    const limit = new UpdateLimit(() => ms)
    const say = (timestamp: number, n = 0): boolean => {
      const m = announcedNode(n, timestamp)
      if (!limit.allows(m, previous, NOW)) return false
      limit.count(m, previous, NOW)
      previous = m
      return true
    }
    for (let n = 0; n < 200; n++) if (say(NOW - 9 * DAY + n)) taken++
    expect(taken).toBe(11)
    expect(say(NOW - 8 * DAY)).toBe(true)
    expect(say(NOW - 8 * DAY + 1)).toBe(false)
    ms += MINUTE
    expect(say(NOW - 8 * DAY + 1)).toBe(true)
    expect(limit.size).toBe(1)
  })
})
