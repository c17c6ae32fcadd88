import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadBooks, queryOf, RANGES, spansOf, spanText } from '../../src/dashboard/views/books.ts'

const rangeOf = (name: (typeof RANGES)[number]['name']) => RANGES.find((range) => range.name === name)!
const at = (text: string): number => Date.parse(`${text}T12:00:00Z`)

describe('the ranges of the books', () => {
  it('end today, or with this month, and leave no day or month out', () => {
    expect(spansOf(rangeOf('7'), at('2024-03-03'))).toEqual([
      ...['2024-02-26', '2024-02-27', '2024-02-28', '2024-02-29', '2024-03-01', '2024-03-02', '2024-03-03'],
    ])
    const year = spansOf(rangeOf('365'), at('2026-03-31'))
    expect([year?.length, year?.[0], year?.[8], year?.[9], year?.at(-1)]).toEqual([
      ...[12, '2025-04', '2025-12', '2026-01', '2026-03'],
    ])
    expect(spansOf(rangeOf('all'), at('2026-03-31'))).toBeNull()
    const days = fc.integer({ min: at('2020-01-01'), max: at('2060-12-31') })
    fc.assert(
      fc.property(days, fc.constantFrom(...RANGES.slice(0, 3)), (now, range) => {
        const spans = spansOf(range, now)!
        expect([spans.length, spans.at(-1)]).toEqual([range.spans, new Date(now).toISOString().slice(0, 10)])
        for (const [i, day] of spans.slice(1).entries()) expect(at(day) - at(spans[i]!)).toBe(86_400_000)
      }),
    )
  })

  it('ask the API from a day on', () => {
    expect(queryOf(rangeOf('7'), at('2026-01-03'))).toEqual({ from: '2025-12-28' })
    expect(queryOf(rangeOf('365'), at('2026-11-27'))).toEqual({ from: '2025-12-01' })
    expect(queryOf(rangeOf('all'), at('2026-11-27'))).toEqual({})
  })

  it('go back to the first month in which something happened, when all of it is wanted', async () => {
    const month = new Date().toISOString().slice(0, 7)
    const items = [{ period: month }, { period: '2025-11' }]
    const page = async () => ({ items, nextCursor: null })
    const summary = async () => ({})
    const client = { analytics: { summary, forwards: page, payments: async () => ({ items: [], nextCursor: null }) } }
    const { rows } = await loadBooks(client as never, rangeOf('all'))
    expect(rows.slice(0, 3).map(({ span }) => span)).toEqual(['2025-11', '2025-12', '2026-01'])
    expect(rows.filter(({ forwards }) => forwards).map(({ span }) => span)).toEqual(['2025-11', month])
  })

  it('name days and months', () => {
    expect([spanText('2026-11-01'), spanText('2026-01')]).toEqual(['1 Nov', 'Jan 2026'])
  })
})
