import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pageByKey, pageOf, pageOfViews } from '../../src/node/paging.ts'

const list = fc.uniqueArray(fc.nat(1_000), { maxLength: 60 })

const downwards = {
  key: (n: number) => n,
  isBefore: (a: number, b: number) => a > b,
  write: String,
  read: (text: string) => Number(BigInt(text)),
}

describe('a page of a collection in no order', () => {
  it('page by page is all of it in order, whatever goes and comes between the pages', () => {
    const changes = fc.array(fc.tuple(fc.boolean(), fc.nat(1_000)), { maxLength: 20 })
    fc.assert(
      fc.property(list, fc.integer({ min: 1, max: 9 }), fc.array(changes), (all, limit, between) => {
        const present = new Set(all)
        const everPresent = new Set(all)
        const gone = new Set<number>()
        const seen: number[] = []
        let cursor: string | undefined
        for (let page = 0; ; page++) {
          const { items, nextCursor } = pageByKey(present, downwards, { limit, ...(cursor && { cursor }) })
          expect(items.length).toBeLessThanOrEqual(limit)
          seen.push(...items)
          if (nextCursor === null) break
          expect(items).toHaveLength(limit)
          cursor = nextCursor
          for (const [isNew, n] of between[page] ?? []) {
            if (isNew) present.add(n)
            else present.delete(n)
            if (isNew) everPresent.add(n)
            else gone.add(n)
          }
        }
        expect(seen).toEqual([...new Set(seen)].sort((a, b) => b - a))
        for (const n of seen) expect(everPresent.has(n)).toBe(true)
        for (const n of all) if (!gone.has(n)) expect(seen).toContain(n)
      }),
      { numRuns: 200 },
    )
  })

  it('refuses a cursor that is no key', () => {
    expect(() => pageByKey([1, 2], downwards, { limit: 1, cursor: 'x' })).toThrow(/cursor/)
    expect(pageByKey([1, 2], downwards, { limit: 1, cursor: '7' })).toEqual({ items: [2], nextCursor: '2' })
  })
})

describe('a page of a list in memory', () => {
  it('page by page is the list of what is wanted, and looks at no item twice or beyond the next page', () => {
    fc.assert(
      fc.property(list, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), (all, limit, every) => {
        const wanted = all.filter((n) => n % every === 0)
        const seen: string[] = []
        let cursor: string | undefined
        let looked = 0
        do {
          const view = (n: number): string | null => {
            looked++
            return n % every === 0 ? `v${n}` : null
          }
          const page = pageOfViews(all, { key: String, view }, { limit, ...(cursor && { cursor }) })
          expect(page.items.length).toBeLessThanOrEqual(limit)
          if (page.nextCursor !== null) expect(page.items).toHaveLength(limit)
          seen.push(...page.items)
          cursor = page.nextCursor ?? undefined
        } while (cursor)
        expect(seen).toEqual(wanted.map((n) => `v${n}`))
        // Each page looks for the first item of the next, which that sees again.
        if (every === 1) expect(looked).toBeLessThanOrEqual(all.length + Math.ceil(all.length / limit))
      }),
      { numRuns: 200 },
    )
  })

  it('refuses a cursor that it did not give', () => {
    expect(() => pageOf(['a', 'b'], (x) => x, { limit: 1, cursor: 'c' })).toThrow(/cursor/)
    expect(pageOf(['a', 'b'], (x) => x, { limit: 1, cursor: 'b' })).toEqual({ items: [], nextCursor: null })
  })
})
