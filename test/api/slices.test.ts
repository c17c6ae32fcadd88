import { AsyncLocalStorage } from 'node:async_hooks'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Slices } from '../../src/api/slices.ts'

const iteration = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('calls that come together', () => {
  it('begin in their order, none is lost, and no iteration of the event loop begins one when its slice is used up', async () => {
    const script = fc.array(fc.record({ ms: fc.integer({ min: 0, max: 8 }).map((n) => n / 4), rest: fc.boolean() }), {
      maxLength: 25,
    })
    await fc.assert(
      fc.asyncProperty(script, async (calls) => {
        let clock = 0
        let spent = 0
        // Comes first in each iteration: it was there before any of theirs.
        let mark = setImmediate(function next() {
          spent = 0
          mark = setImmediate(next)
        })
        const slices = new Slices(() => clock)
        const begun: number[] = []
        const late: number[] = []
        for (const [i, { ms, rest }] of calls.entries()) {
          slices.take(() => {
            begun.push(i)
            if (spent >= 1) late.push(i)
            // What it takes in a microtask counts too.
            void Promise.resolve().then(() => {
              clock += ms
              spent += ms
            })
          })
          await Promise.resolve()
          if (rest) await iteration()
        }
        for (let n = 0; n <= calls.length; n++) await iteration()
        clearImmediate(mark)
        expect(late).toEqual([])
        expect(begun).toEqual(calls.map((_, i) => i))
      }),
      { numRuns: 100 },
    )
  })

  it('begin as what they are: what runs in one hangs below no other in a trace', async () => {
    const context = new AsyncLocalStorage<number>()
    let clock = 0
    const slices = new Slices(() => clock)
    const begun: (readonly [number, number | undefined])[] = []
    for (const call of [1, 2, 3, 4])
      context.run(call, () =>
        slices.take(() => {
          clock += call === 3 ? 0 : 2 // the fourth begins in the slice of the third
          begun.push([call, context.getStore()])
        }),
      )
    while (begun.length < 4) await iteration()
    expect(begun).toEqual([1, 2, 3, 4].map((call) => [call, call]))
  })

  it('let one that is alone begin at once', () => {
    let hasBegun = false
    new Slices().take(() => {
      hasBegun = true
    })
    expect(hasBegun).toBe(true)
  })
})
