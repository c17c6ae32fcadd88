import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { updateChecksum } from '../../src/gossip/checksum.ts'
import { Answers } from '../../src/gossip/serve.ts'
import { type SyncOutcome, SyncSession, type SyncStep, wantedOf } from '../../src/gossip/sync.ts'
import type { GossipTable } from '../../src/gossip/table.ts'
import { decodeMessage, type GossipMessage } from '../../src/wire/registry.ts'
import { announcedNode, announcementOf, CHAIN, NOW, type Place, tableOf, take, updateOf } from '../gossip/network.ts'

const PATIENCE = 1_000

/** What one table knows of a channel: 0 nothing of an update, else how many times its end has changed its mind. */
interface Content {
  readonly place: Place
  readonly sides: readonly [Side | null, Side | null]
}
interface Side {
  readonly versions: readonly [number, number]
}
const version = fc.integer({ min: 0, max: 3 })
const side: fc.Arbitrary<Side | null> = fc.option(fc.record({ versions: fc.tuple(version, version) }), { freq: 2 })
const content: fc.Arbitrary<readonly Content[]> = fc.uniqueArray(
  fc.record({
    place: fc.record({ block: fc.constantFrom(100, 101, 7_000, 7_000_000), n: fc.nat({ max: 40 }) }),
    sides: fc.tuple(side, side),
  }),
  { maxLength: 25, selector: ({ place }) => `${place.block}x${place.n}` },
)

/** The content as one of the two tables has it: a later version of an update says something else. */
function tableFrom(all: readonly Content[], which: 0 | 1): GossipTable {
  const table = tableOf()
  for (const { place, sides } of all) {
    const side = sides[which]
    if (!side) continue
    take(table, announcementOf(place))
    for (const d of [0, 1] as const) {
      const v = side.versions[d]
      if (v > 0) take(table, updateOf(place, d, NOW - 1_000 + v, 1_000 + v))
    }
  }
  for (let n = 0; n < 5; n++) take(table, announcedNode(n, NOW))
  return table
}

/** All channels with what their updates say. */
const view = (table: GossipTable) =>
  table.scids(0n, 1n << 64n, 1e9).map((id) => [id, table.channel(id)!.updates.map((u) => u && updateChecksum(u))])

/** Messages of the two that the network loses, as long as it does. */
class Loss {
  readonly #fate: readonly boolean[]
  #at = 0
  constructor(fate: readonly boolean[]) {
    this.#fate = fate
  }
  loses(): boolean {
    return this.#fate[this.#at++] ?? false
  }
  get isOver(): boolean {
    return this.#at >= this.#fate.length
  }
}

/** One table asks another, over a network that loses messages. @returns how it ended, and how many channels were asked for */
function sync(asker: GossipTable, answerer: GossipTable, loss: Loss, extended: boolean): [SyncOutcome, number] {
  const want = (listed: Parameters<typeof wantedOf>[1]): number => wantedOf(asker, listed, NOW)
  const session = new SyncSession({ chainHash: CHAIN, extended, patienceMs: PATIENCE, want })
  const answers = new Answers(answerer)
  let asked = 0
  let step: SyncStep = { send: session.begin(0), over: null }
  for (let now = 0; ; now += PATIENCE) {
    if (step.over) return [step.over.outcome, asked]
    const replies: GossipMessage[] = []
    if (step.send && !loss.loses()) {
      if (step.send.type === 'query_short_channel_ids') asked += step.send.shortChannelIds.length
      expect(answers.ask(step.send)).toBeNull()
      while (!answers.isIdle) replies.push(...answers.take(500).map((bytes) => decodeMessage(bytes) as GossipMessage))
    }
    step = { send: null, over: null }
    for (const m of replies) {
      if (loss.loses()) continue
      if (m.type === 'reply_channel_range') step = session.onRange(m, now, true)
      else if (m.type === 'reply_short_channel_ids_end') step = session.onEnd(m, now, true)
      else take(asker, m)
    }
    if (!step.send && !step.over) step = session.advance(now + PATIENCE, true)
  }
}

describe('BOLT 7 §query-messages: two tables that ask each other', () => {
  it('know the same in the end, whatever each knew and whatever was lost on the way', () => {
    fc.assert(
      fc.property(content, fc.array(fc.boolean(), { maxLength: 60 }), (all, fate) => {
        const [a, b] = [tableFrom(all, 0), tableFrom(all, 1)]
        const loss = new Loss(fate)
        for (let rounds = 0; ; rounds++) {
          expect(rounds).toBeLessThan(100)
          const outcomes = [sync(a, b, loss, true), sync(b, a, loss, true)]
          if (loss.isOver && outcomes.every(([outcome, asked]) => outcome === 'complete' && asked === 0)) break
        }
        if (!isDeepStrictEqual(view(a), view(b))) expect(view(a)).toEqual(view(b))
        // The newest of both, of every channel that either knew.
        const known = all.filter(({ sides }) => sides.some((s) => s !== null))
        expect(view(a)).toHaveLength(known.length)
        for (const { place, sides } of known) {
          for (const d of [0, 1] as const) {
            const newest = Math.max(...sides.map((s) => s?.versions[d] ?? 0))
            const update = a.channel(announcementOf(place).shortChannelId)!.updates[d]
            expect(update?.timestamp ?? 0).toBe(newest === 0 ? 0 : NOW - 1_000 + newest)
          }
        }
      }),
      { numRuns: 60 },
    )
  }, 30_000)

  it('a table that knows nothing takes all over, nodes included, also from one that knows no timestamps', () => {
    fc.assert(
      fc.property(content, (all) => {
        const [full, empty] = [tableFrom(all, 0), tableOf()]
        expect(sync(empty, full, new Loss([]), false)).toEqual(['complete', full.channels().length])
        expect(view(empty)).toEqual(view(full))
        const ids = (t: GossipTable) =>
          t
            .nodes()
            .map((n) => n.nodeId)
            .sort()
        expect(ids(empty)).toEqual(ids(full))
      }),
      { numRuns: 25 },
    )
  }, 30_000)
})
