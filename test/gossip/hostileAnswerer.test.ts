import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ShortChannelId } from '../../src/base/ids.ts'
import { BATCH, SyncSession, type SyncStep } from '../../src/gossip/sync.ts'
import type { ReplyChannelRange } from '../../src/wire/messages/gossip.ts'
import { CHAIN, scids } from './network.ts'

const PATIENCE = 1_000
const end = { type: 'reply_short_channel_ids_end', chainHash: CHAIN, fullInformation: 1 } as const
const reply = (change: Partial<ReplyChannelRange>): ReplyChannelRange => ({
  type: 'reply_channel_range',
  chainHash: CHAIN,
  firstBlocknum: 0,
  numberOfBlocks: 0xffffffff,
  syncComplete: 0,
  shortChannelIds: [],
  ...change,
})
const session = (want = () => 31): SyncSession =>
  new SyncSession({ chainHash: CHAIN, extended: true, patienceMs: PATIENCE, want })

describe('a hostile answerer (endless gossip answers)', () => {
  const begun = (want?: () => number): SyncSession => {
    const s = session(want)
    s.begin(0)
    return s
  }
  const outcome = (step: SyncStep) => step.over?.outcome

  it.each([
    ['of another chain', { chainHash: new Uint8Array(32) }],
    ['with channels out of order', { shortChannelIds: scids(2).toReversed() }],
    ['with channels out of order', { shortChannelIds: [1n, 1n] as never }],
    ['with channels of other blocks', { firstBlocknum: 1, numberOfBlocks: 1, shortChannelIds: scids(1) }],
    ['without a timestamp for each channel', { shortChannelIds: scids(1), timestamps: [] }],
    ['without a checksum for each channel', { shortChannelIds: scids(1), checksums: [] }],
  ] as const)('whose reply is %s is believed nothing', (what, change) => {
    const step = begun().onRange(reply(change), 1, true)
    expect(step).toMatchObject({ send: null, over: { outcome: 'malformed', reason: expect.stringContaining(what) } })
  })

  it('cannot go back in the range, name channels without end or reply for ever', () => {
    const again = begun()
    again.onRange(reply({ shortChannelIds: scids(9) }), 1, true)
    expect(outcome(again.onRange(reply({ shortChannelIds: scids(2, 9) }), 1, true))).toBe('malformed')
    const back = begun()
    back.onRange(reply({ firstBlocknum: 5 }), 1, true)
    expect(outcome(back.onRange(reply({ firstBlocknum: 4 }), 1, true))).toBe('malformed')
    let replies = 0
    const many = begun()
    for (let step: SyncStep | null = null; !step?.over; replies++)
      step = many.onRange(reply({ shortChannelIds: scids(8_000, 1 + replies * 8_000) }), 1, true)
    expect(replies).toBeLessThan(30)
    const empty = begun()
    for (replies = 0; !empty.onRange(reply({}), 1, true).over; replies++);
    expect(replies).toBeLessThan(10_000)
  })

  it('who says nothing is left after a time, at each point', () => {
    const silent = begun()
    expect(outcome(silent.advance(PATIENCE - 1, true))).toBeUndefined()
    expect(outcome(silent.advance(PATIENCE, true))).toBe('unanswered')
    const half = begun()
    const { send } = half.onRange(reply({ syncComplete: 1, shortChannelIds: scids(3) }), 500, true)
    expect(send).toMatchObject({ type: 'query_short_channel_ids', queryFlags: [31n, 31n, 31n] })
    expect(outcome(half.advance(500 + PATIENCE, true))).toBe('unanswered')
  })

  it('is asked for no more than there is room for', () => {
    const s = begun()
    expect(s.onRange(reply({ syncComplete: 1, shortChannelIds: scids(BATCH + 1) }), 1, false).send).toBeNull()
    expect(s.advance(PATIENCE * 9, false)).toEqual({ send: null, over: null })
    expect(s.advance(PATIENCE * 9, true).send).toMatchObject({ shortChannelIds: scids(BATCH) })
    expect(s.onEnd(end, PATIENCE * 9, false).send).toBeNull()
    expect(s.advance(PATIENCE * 9, true).send).toMatchObject({ shortChannelIds: scids(1, BATCH + 1) })
    expect(s.onEnd(end, PATIENCE * 9, false).over).toMatchObject({ outcome: 'complete' })
  })

  it('is not asked for what others have told meanwhile', () => {
    let known = false
    const s = begun(() => (known ? 0 : 31))
    s.onRange(reply({ shortChannelIds: scids(3) }), 1, true)
    known = true
    expect(s.onRange(reply({ syncComplete: 1 }), 1, true).over).toMatchObject({ outcome: 'complete' })
  })

  it('what nobody asked for changes nothing', () => {
    const s = session()
    const nothing = { send: null, over: null }
    expect(s.onRange(reply({ syncComplete: 1, shortChannelIds: scids(9) }), 0, true)).toEqual(nothing)
    expect(s.onEnd(end, 0, true)).toEqual(nothing)
    s.begin(0)
    expect(s.onEnd(end, 0, true)).toEqual(nothing)
  })

  it('whatever comes, a session asks for each channel once at most, one query at a time, and ends by itself', () => {
    const arbitraryReply = fc
      .record({
        firstBlocknum: fc.constantFrom(0, 0, 1, 0xffffffff),
        numberOfBlocks: fc.constantFrom(0xffffffff, 0xffffffff, 1, 0),
        syncComplete: fc.constantFrom(0, 1, 255),
        count: fc.constantFrom(0, 1, 600),
        from: fc.integer({ min: 1, max: 2_000 }),
      })
      .map(({ count, from, ...rest }) => ({
        do: 'reply' as const,
        m: reply({ ...rest, shortChannelIds: scids(count, from) }),
      }))
    const step = fc.oneof(
      arbitraryReply,
      fc.constant({ do: 'end' as const }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 600 }), room: fc.boolean() }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const s = begun()
        let now = 0
        let open = true
        const queried = new Set<ShortChannelId>()
        const look = ({ send, over }: SyncStep): boolean => {
          if (send?.type === 'query_short_channel_ids') {
            expect(open).toBe(false)
            open = true
            expect(send.shortChannelIds.length).toBeLessThanOrEqual(BATCH)
            for (const id of send.shortChannelIds) {
              expect(queried.has(id)).toBe(false)
              queried.add(id)
            }
          }
          return over !== null
        }
        const isOver = steps.some((x) => {
          if (x.do === 'wait') {
            now += x.ms
            return look(s.advance(now, x.room))
          }
          if (x.do === 'end') {
            if (queried.size > 0) open = false
            return look(s.onEnd(end, now, true))
          }
          if (queried.size === 0) open = false
          return look(s.onRange(x.m, now, true))
        })
        if (!isOver) {
          now += PATIENCE
          const last = s.advance(now, true)
          expect(last.over ?? s.advance(now + PATIENCE, true).over).not.toBeNull()
        }
      }),
      { numRuns: 300 },
    )
  })
})
