import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Htlc } from '../../src/channel/htlc.ts'
import {
  appendHtlc,
  EMPTY_TABLE,
  eachHtlc,
  getHtlc,
  type HtlcTable,
  htlcTable,
  mapHtlcs,
  replaceHtlc,
  someHtlc,
} from '../../src/channel/htlcTable.ts'

const htlc = (id: bigint, remoteFrom = 0): Htlc =>
  ({ add: { id }, stage: 'committed', remoteFrom, remoteTo: 0, removal: null }) as unknown as Htlc
const ids = (t: HtlcTable) => [...eachHtlc(t)].map((h) => h.add.id)

describe('the table of HTLCs', () => {
  it('does what a Map does, and leaves every older version as it was', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.constant({ tag: 'append' as const, n: 0 }) },
      { weight: 3, arbitrary: fc.record({ tag: fc.constant('replace' as const), n: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ tag: fc.constant('drop' as const), n: fc.integer({ min: 2, max: 5 }) }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
        let table = EMPTY_TABLE
        const model = new Map<bigint, Htlc>()
        let next = 0n
        for (const s of steps) {
          const before = table
          const held = ids(before)
          if (s.tag === 'append') {
            model.set(next, htlc(next))
            table = appendHtlc(table, model.get(next)!)
            next++
          } else if (s.tag === 'replace' && model.size > 0) {
            const id = [...model.keys()][s.n % model.size]!
            model.set(id, htlc(id, s.n))
            table = replaceHtlc(table, model.get(id)!)
          } else if (s.tag === 'drop') {
            for (const id of [...model.keys()]) if (id % BigInt(s.n) === 0n) model.delete(id)
            table = mapHtlcs(table, (h) => (h.add.id % BigInt(s.n) === 0n ? null : h))
          }
          expect(ids(before)).toEqual(held)
        }
        expect([...eachHtlc(table)]).toEqual([...model.values()])
        expect(table.size).toBe(model.size)
        for (let id = 0n; id < next; id++) expect(getHtlc(table, id)).toBe(model.get(id))
        expect(table.chunks.every((c) => c.length > 0 && c.length <= 32)).toBe(true)
        expect(someHtlc(table, (h) => h.remoteFrom > 0)).toBe([...model.values()].some((h) => h.remoteFrom > 0))
      }),
      { numRuns: 50 },
    )
  })

  it('keeps the references of what does not change', () => {
    const table = htlcTable(Array.from({ length: 100 }, (_, i) => htlc(BigInt(i))))
    expect(mapHtlcs(table, (h) => h)).toBe(table)
    const changed = replaceHtlc(table, htlc(50n, 9))
    expect(changed.chunks.filter((c, i) => c !== table.chunks[i]).length).toBe(1)
    const mapped = mapHtlcs(table, (h) => (h.add.id === 5n ? htlc(5n, 1) : h))
    expect(mapped.chunks.filter((c, i) => c !== table.chunks[i]).length).toBe(1)
  })

  it('refuses an id that does not rise, and one that it does not have', () => {
    const table = htlcTable([htlc(3n)])
    expect(() => appendHtlc(table, htlc(3n))).toThrow(RangeError)
    expect(() => replaceHtlc(table, htlc(4n))).toThrow(RangeError)
  })
})
