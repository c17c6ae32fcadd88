import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { LOG_LEVELS, LOG_PARTS, readLogLevels } from '../../src/node/logLevels.ts'
import { heardBy, LINE_LEVELS, LogRing } from '../../src/node/logRing.ts'
import { Logs } from '../../src/node/logs.ts'

const said = LOG_LEVELS.filter((level) => level !== 'silent')
const lines = fc.array(
  fc.record({
    part: fc.constantFrom(...LOG_PARTS),
    level: fc.constantFrom(...said),
    message: fc.string({ unit: 'binary', maxLength: 40 }),
    // Whatever stands in fields, also what looks like the head of a line.
    fields: fc.dictionary(
      fc.constantFrom('peer', 'text', 'part2', 'a"b'),
      fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.integer(), fc.constant('","part":"peer","level":10')),
    ),
  }),
  { maxLength: 30 },
)

function collected(max = { lines: 1_000, length: 1_000_000 }, now: () => number = Date.now) {
  const written: string[] = []
  const ring = new LogRing(now, max)
  const base = pino({ level: 'trace', base: null }, heardBy(ring, { write: (line) => void written.push(line) }))
  return { ring, written, logs: new Logs(base, readLogLevels('trace'), ring) }
}

describe('the last lines of the log', () => {
  it('are those that were written, newest first, however they are filtered and cut into pages', () => {
    fc.assert(
      fc.property(
        lines,
        fc.constantFrom(...LINE_LEVELS),
        fc.option(fc.constantFrom(...LOG_PARTS), { nil: undefined }),
        fc.integer({ min: 1, max: 7 }),
        (all, level, part, limit) => {
          const { ring, written, logs } = collected()
          for (const one of all) logs.of(one.part)[one.level](one.fields, one.message)
          expect(written).toHaveLength(all.length)
          const seen = []
          let cursor: string | undefined
          do {
            const page = ring.page({ limit, ...(cursor && { cursor }) }, { level, ...(part && { part }) })
            seen.push(...page.items)
            cursor = page.nextCursor ?? undefined
          } while (cursor)
          const isWanted = (one: (typeof all)[number]) =>
            LINE_LEVELS.indexOf(one.level) <= LINE_LEVELS.indexOf(level) && (part === undefined || one.part === part)
          expect(
            seen.map(({ part: p, level: l, message, fields }) => ({ part: p, level: l, message, fields })),
          ).toEqual(all.filter(isWanted).toReversed())
          const ids = seen.map(({ id }) => id)
          expect(ids).toEqual([...new Set(ids)].toSorted((a, b) => b - a))
        },
      ),
      { numRuns: 150 },
    )
  })

  it('are bounded in number and length, and those after a line are found again', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 80 }),
        fc.integer({ min: 1, max: 20 }),
        (lengths, most) => {
          const { ring, written, logs } = collected({ lines: most, length: 3_000 })
          let seen: string[] = []
          let since = 0
          for (const [n, length] of lengths.entries()) {
            logs.of('node').info(`${n} ${'x'.repeat(length)}`)
            const { items } = ring.page({ limit: 500 }, { since })
            since = items[0]?.id ?? since
            seen = [...seen, ...items.map(({ message }) => message).toReversed()]
          }
          expect(seen.map((text) => Number(text.split(' ')[0]))).toEqual(lengths.map((_, n) => n))
          const kept = ring.page({ limit: 500 }, {}).items
          expect(kept.length).toBeLessThanOrEqual(most)
          let [room, fit] = [3_000, 0]
          for (const line of written.toReversed()) {
            room -= line.length
            if (room < 0) break
            fit++
          }
          expect(kept.length).toBe(Math.min(most, fit))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('grow over a restart, also when the clock goes back a little meanwhile', () => {
    let now = 1_800_000_000_000
    const first = collected(undefined, () => now)
    for (let i = 0; i < 5; i++) first.logs.of('node').info('before')
    now -= 1
    first.logs.of('node').info('before')
    const last = first.ring.page({ limit: 1 }, {}).items[0]!.id
    now += 2
    const second = collected(undefined, () => now)
    second.logs.of('node').fatal('after')
    expect(second.ring.page({ limit: 10 }, { since: last }).items).toMatchObject([{ message: 'after', level: 'fatal' }])
  })

  it('a line that is too long is cut, and says so', () => {
    const { ring, logs } = collected()
    logs.of('chain').warn({ text: 'y'.repeat(50_000) }, 'long')
    expect(ring.page({ limit: 1 }, {}).items).toMatchObject([
      { level: 'warn', part: 'chain', message: 'long', fields: { cutFrom: expect.any(Number) } },
    ])
  })
})
