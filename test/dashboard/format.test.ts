import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { duration, grouped, groupsOf, parseSat, percent, relative, satText, uriOf } from '../../src/dashboard/format.ts'
import { isUnpaid } from '../../src/dashboard/views/paymentDialog.ts'

const sat = fc.integer({ min: 0, max: 2_100_000_000_000_000 })

it('only a payment that has certainly failed is told as not paid', () => {
  const unpaid = (status: 'failed' | 'pending' | 'succeeded', code?: string): boolean =>
    isUnpaid({ status, failure: code === undefined ? null : { code, detail: '' } })
  expect([unpaid('failed', 'NO_ROUTE'), unpaid('failed', 'OUTCOME_UNKNOWN')]).toEqual([true, false])
  expect([unpaid('pending'), unpaid('succeeded')]).toEqual([false, false])
})

describe('amounts', () => {
  it('groups hold all the digits, in threes from the right', () => {
    fc.assert(
      fc.property(sat, (n) => {
        const groups = groupsOf(String(n))
        expect(groups.join('')).toBe(String(n))
        expect(groups.slice(1).every((g) => g.length === 3)).toBe(true)
        expect(groups[0]!.length).toBeGreaterThan(0)
      }),
    )
  })

  it('what is shown can be typed: parseSat is the inverse of grouped', () => {
    fc.assert(fc.property(sat, (n) => parseSat(grouped(n)) === n))
    for (const text of ['25 000', '25_000', "25'000", '25,000']) expect(parseSat(text)).toBe(25_000)
    for (const text of ['', '-1', '1.5', '1e3', 'ten', '0x10', '2100000000000001', '9'.repeat(40)]) {
      expect(() => parseSat(text)).toThrow(RangeError)
    }
    // Of a bitcoin, perhaps: never 5, 500 or 100,000 sat.
    for (const text of ['0,5', '0,500', '0,00100000', '1,5', '1 0', '1,0000', '_1', '0 000'])
      expect(() => parseSat(text)).toThrow(RangeError)
  })

  it('millisatoshis are neither lost nor made up', () => {
    expect(['1 sat', '1.5 sat', '1.005 sat', '0.001 sat', '0 sat']).toEqual([1000, 1500, 1005, 1, 0].map(satText))
    expect(satText(1_234_567_890)).toBe('1\u202f234\u202f567.89 sat')
  })
})

it('a share that is not all is not told as all', () => {
  expect([0, 0.283, 0.5, 0.99999, 1].map(percent)).toEqual(['0', '28.3', '50', '99.9', '100'].map((n) => `${n}\u202f%`))
})

describe('times', () => {
  it('are told in the largest unit', () => {
    expect([1, 60, 3_600, 90_000, 1_300_000].map(duration)).toEqual([
      '1 second',
      '1 minute',
      '1 hour',
      '1 day',
      '2 weeks',
    ])
    const now = Date.UTC(2026, 0, 1)
    const at = (seconds: number) => relative(new Date(now + seconds * 1000).toISOString(), now)
    expect([0, -44, -120, 7_200, 20].map(at)).toEqual([
      'just now',
      'just now',
      '2 minutes ago',
      'in 2 hours',
      'in a moment',
    ])
  })
})

it('the address of a node has its id once', () => {
  expect([uriOf('ab', undefined), uriOf('ab', 'h:1'), uriOf('ab', 'ab@h:1')]).toEqual(['ab', 'ab@h:1', 'ab@h:1'])
})
