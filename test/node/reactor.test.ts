import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Reactor, type TurnScope } from '../../src/node/reactor.ts'
import { Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import type { Op } from '../../src/store/types.ts'

const put = (key: string): Op => ({ key, value: Uint8Array.of(1) })

function reactorOver(driver: MemoryDriver, endOfTurn: (scope: TurnScope) => void = () => {}) {
  const fatal: unknown[] = []
  let clock = 0
  const reactor = new Reactor({
    journal: new Journal(driver, 0),
    endOfTurn,
    onFatal: (e) => fatal.push(e),
    now: () => clock++ * 0.5,
  })
  return { reactor, fatal }
}

describe('reactor: write before you speak', () => {
  it('releases every act after all that was written before it is durable, and in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ writes: fc.nat(2), speaks: fc.boolean(), pause: fc.boolean() }), { maxLength: 40 }),
        async (script) => {
          const driver = new MemoryDriver()
          const { reactor, fatal } = reactorOver(driver)
          let written = 0
          const spoken: number[] = []
          const early: number[] = []
          for (const [i, step] of script.entries()) {
            reactor.post((scope) => {
              for (let n = 0; n < step.writes; n++) scope.write(put(`k${written++}`))
              const needs = written
              if (step.speaks) {
                scope.after(() => {
                  spoken.push(i)
                  const durable = [...driver.snapshot().keys()].filter((k) => k.startsWith('k')).length
                  if (durable < needs) early.push(i)
                })
              }
            })
            if (step.pause) await new Promise((resolve) => setImmediate(resolve))
          }
          await reactor.stop()
          expect(fatal).toEqual([])
          expect(early).toEqual([])
          expect(spoken).toEqual(script.flatMap((s, i) => (s.speaks ? [i] : [])))
        },
      ),
      { numRuns: 100 },
    )
  })

  it('says nothing more after a failed write', async () => {
    let broken = false
    const driver = new MemoryDriver(new Map(), (ops) => {
      if (broken) throw new Error('disk full')
      return ops
    })
    const { reactor, fatal } = reactorOver(driver)
    await reactor.run((scope) => scope.write(put('a')))
    broken = true
    const spoken: string[] = []
    reactor.post((scope) => {
      scope.write(put('b'))
      scope.after(() => spoken.push('b'))
    })
    await reactor.stop()
    expect(spoken).toEqual([])
    expect(fatal).toHaveLength(1)
    await expect(reactor.run(() => 1)).rejects.toThrow()
  })

  it('shares one batch among the tasks of a turn, and ends each turn once', async () => {
    let batches = 0
    const driver = new MemoryDriver(new Map(), (ops) => {
      batches++
      return ops
    })
    let turns = 0
    const { reactor } = reactorOver(driver, () => void turns++)
    await Promise.all([1, 2, 3].map((n) => reactor.run((scope) => scope.write(put(`${n}`)))))
    expect([batches, turns]).toEqual([1, 1])
  })

  it('makes no batch for a turn that wrote nothing: it waits for the one before', async () => {
    let batches = 0
    let written: () => void = () => {}
    class Slow extends MemoryDriver {
      override async batch(ops: readonly Op[]): Promise<void> {
        batches++
        await new Promise<void>((resolve) => (written = resolve))
        await super.batch(ops)
      }
    }
    const { reactor } = reactorOver(new Slow())
    const said: string[] = []
    reactor.post((scope) => scope.write(put('a')))
    await new Promise((resolve) => setImmediate(resolve))
    const asked = reactor.run((scope) => scope.after(() => said.push('b')))
    await new Promise((resolve) => setImmediate(resolve))
    expect(said).toEqual([])
    written()
    await Promise.race([asked, new Promise((resolve) => setImmediate(resolve))])
    expect([said, batches]).toEqual([['b'], 1])
  })

  it('hands what a task throws to its caller and goes on', async () => {
    const { reactor, fatal } = reactorOver(new MemoryDriver())
    const failing = reactor.run(() => {
      throw new RangeError('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await reactor.run(() => 'yes')).toBe('yes')
    expect(fatal).toEqual([])
  })

  it('waits with a turn, and with those after it, for a file beside the database', async () => {
    const { reactor } = reactorOver(new MemoryDriver())
    const said: string[] = []
    let written: () => void = () => {}
    reactor.post((scope) => {
      scope.write(put('a'))
      scope.hold(() => new Promise((resolve) => (written = resolve)))
      scope.after(() => said.push('first'))
    })
    await new Promise((resolve) => setImmediate(resolve))
    const second = reactor.run((scope) => {
      scope.write(put('b'))
      scope.after(() => said.push('second'))
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(said).toEqual([])
    written()
    await second
    expect(said).toEqual(['first', 'second'])
  })

  it('gives the event loop air within a long turn, which is still one batch; what is read meanwhile waits for it', async () => {
    let batches = 0
    const driver = new MemoryDriver(new Map(), (ops) => {
      batches++
      return ops
    })
    let turns = 0
    const { reactor } = reactorOver(driver, () => void turns++)
    const done: number[] = []
    // By the clock of this test a task takes half a millisecond.
    for (const n of [1, 2, 3, 4, 5]) {
      reactor.post((scope) => {
        done.push(n)
        scope.write(put(`k${n}`))
      })
    }
    await new Promise((resolve) => setImmediate(resolve))
    expect(done.length).toBeGreaterThan(0)
    expect(done.length).toBeLessThan(5)
    expect(turns).toBe(0)
    await reactor.durable()
    expect([done, turns, batches]).toEqual([[1, 2, 3, 4, 5], 1, 1])
    const stored = [...driver.snapshot().keys()].filter((k) => k.startsWith('k'))
    expect(stored).toHaveLength(5)
  })

  it('says that nothing will be durable when a write fails in the middle of a turn', async () => {
    const driver = new MemoryDriver(new Map(), () => {
      throw new Error('disk full')
    })
    const { reactor, fatal } = reactorOver(driver)
    reactor.post((scope) => scope.write(put('a')))
    await new Promise((resolve) => setImmediate(resolve))
    for (let n = 0; n < 5; n++) reactor.post((scope) => scope.write(put(`k${n}`)))
    await expect(reactor.durable()).rejects.toThrow('a write failed')
    await reactor.stop()
    expect(fatal).toHaveLength(1)
  })
})
