import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pageOf, pageOfViews } from '../../src/node/paging.ts'

const list = fc.uniqueArray(fc.nat(1_000), { maxLength: 60 })

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
