import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { fields, onReaderGone, table } from '../../src/cli/output.ts'
import { commandOf } from '../../src/cli/program.ts'

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

describe('a reader that has seen enough', () => {
  it('is no failure of the program; anything else that keeps it from writing is', () => {
    const output = new EventEmitter()
    let isGone = false
    onReaderGone(output, () => {
      isGone = true
    })
    expect(() => output.emit('error', Object.assign(new Error('no room'), { code: 'ENOSPC' }))).toThrow('no room')
    expect(isGone).toBe(false)
    output.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    expect(isGone).toBe(true)
  })

  it('ends what only reads, and no node: the command is found among the options', () => {
    expect(commandOf(['--data-dir', 'logs', 'start', '--alias', 'x'])).toBe('start')
    expect(commandOf(['logs', '--part', 'chain', '-f'])).toBe('logs')
    expect(commandOf([])).toBeUndefined()
  })
})
