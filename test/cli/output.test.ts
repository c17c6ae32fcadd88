import { describe, expect, it } from 'vitest'
import { fields, table } from '../../src/cli/output.ts'

describe('tables', () => {
  it('line up, with numbers to the right', () => {
    expect(
      table(
        ['name', 'sat'],
        [
          ['a', 5],
          ['long name', 1_234_567],
        ],
      ),
    ).toBe(['name             sat', 'a                  5', 'long name  1,234,567'].join('\n'))
    expect(table(['x'], [])).toBe('none')
    expect(table(['ok', 'note'], [[true, null]])).toBe('ok   note\nyes  -')
  })

  it('never carry control characters of a peer to the terminal', () => {
    const text = table(['alias'], [['\u001b[2Jevil\r\n\u202etxet']])
    expect(text).toBe('alias\n[2Jeviltxet')
    expect(fields({ alias: '\u001b]0;title\u0007' })).toBe('alias  ]0;title')
  })
})

describe('fields', () => {
  it('show nested objects and lists below their name', () => {
    expect(fields({ id: 'x', policy: { base: 1, rate: 20 }, hops: [{ a: 1 }, { a: 2 }], tags: ['t'], none: [] })).toBe(
      ['id      x', 'policy', '  base  1', '  rate  20', 'hops', '  a  1', '  a  2', 'tags', '  t', 'none    -'].join(
        '\n',
      ),
    )
  })
})
