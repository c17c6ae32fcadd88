import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { Changes } from '../../src/node/changes.ts'
import { Reactor } from '../../src/node/reactor.ts'
import { type Bookable, RecordBook } from '../../src/node/recordBook.ts'
import { Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'

interface Note extends Bookable {
  readonly status: 'pending' | 'succeeded' | 'failed'
  readonly text: number
}
const hash = (n: number): PaymentHash => n.toString(16).padStart(64, '0') as PaymentHash

async function open(data?: ReadonlyMap<string, Uint8Array>) {
  const driver = new MemoryDriver(data)
  let ids = 0
  const changes = new Changes()
  const book = new RecordBook<Note>({ kind: 'payment', driver, changes, live: ['pending'], newId: () => `id${ids++}` })
  await book.load()
  const reactor = new Reactor({
    journal: new Journal(driver, 0),
    endOfTurn: (scope) => book.endOfTurn(scope),
    onFatal: (e) => {
      throw e
    },
    now: () => 0,
  })
  return { driver, book, reactor, changes }
}
const put = (n: number, status: Note['status'], text = 0): Note => ({ paymentHash: hash(n), status, text })

const step = fc.record({
  n: fc.nat(6),
  status: fc.constantFrom('pending' as const, 'succeeded' as const, 'failed' as const),
  text: fc.nat(3),
  sameTurn: fc.boolean(),
})

describe('record book', () => {
  it('shows the same after a restart as before: pages, filters, look-ups by id and hash', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const { book, reactor, driver } = await open()
        const model = new Map<number, Note>()
        for (let i = 0; i < steps.length; ) {
          const turn = [steps[i++]!]
          while (i < steps.length && steps[i]!.sameTurn) turn.push(steps[i++]!)
          await reactor.run(() => {
            for (const { n, status, text } of turn) {
              model.set(n, book.put(put(n, status, text)).record)
            }
          })
        }
        const again = (await open(driver.snapshot())).book
        for (const b of [book, again]) {
          for (const status of [undefined, 'pending', 'succeeded', 'failed']) {
            const shown: number[] = []
            let cursor: string | undefined
            do {
              const page = await b.page({ limit: 2, ...(cursor === undefined ? {} : { cursor }) }, status)
              for (const { record, id } of page.items) {
                expect(await b.find(id)).toMatchObject({ record })
                shown.push(Number(`0x${record.paymentHash}`))
              }
              cursor = page.nextCursor ?? undefined
            } while (cursor !== undefined)
            const wanted = [...model].filter(([, r]) => status === undefined || r.status === status).map(([n]) => n)
            expect(shown).toEqual(wanted.reverse())
          }
          for (const [n, record] of model) expect((await b.find(hash(n)))?.record).toEqual(record)
          expect(await b.find('nobody')).toBeNull()
        }
        const live = [...model.values()].filter((r) => r.status === 'pending').length
        expect([book.live().length, again.live().length]).toEqual([live, live])
      }),
      { numRuns: 60 },
    )
  })

  it('writes a record once per turn, however often it changed', async () => {
    const { book, reactor, driver } = await open()
    let records = 0
    const batch = driver.batch.bind(driver)
    driver.batch = (ops) => {
      records += ops.filter((o) => o.key === `payment/${hash(1)}`).length
      return batch(ops)
    }
    await reactor.run(() => {
      for (let i = 0; i < 5; i++) book.put(put(1, 'pending', i))
      book.put(put(1, 'succeeded', 9))
    })
    expect(records).toBe(1)
    expect((await book.page({ limit: 9 }, 'pending')).items).toEqual([])
  })

  it('keeps what was recalled for the turns that follow, however many records become final meanwhile: no invoice paid twice', async () => {
    const { book, reactor } = await open()
    await reactor.run(() => {
      for (let n = 0; n < 4_096; n++) book.put(put(n, 'succeeded'))
    })
    const old = Array.from({ length: 100 }, (_, n) => hash(n))
    await Promise.all(old.map((h) => book.recall(h)))
    await reactor.run(() => {
      for (let n = 5_000; n < 6_000; n++) book.put(put(n, 'succeeded'))
    })
    expect(old.map((h) => book.get(h)?.record.status)).toEqual(old.map(() => 'succeeded'))
    expect(book.get(hash(500))).toBeUndefined()
  })

  it('recalls what a record has become while the disk was read', async () => {
    const { driver, reactor, book: first } = await open()
    await reactor.run(() => void first.put(put(1, 'failed')))
    const again = await open(driver.snapshot())
    const { book } = again
    const get = again.driver.get.bind(again.driver)
    let go = (): void => {}
    again.driver.get = async (key) => {
      const value = await get(key)
      await new Promise<void>((resolve) => {
        go = resolve
      })
      return value
    }
    const recalled = book.recall(hash(1))
    await new Promise((resolve) => setImmediate(resolve))
    await again.reactor.run(() => void book.put(put(1, 'pending')))
    await again.reactor.run(() => void book.put(put(1, 'succeeded')))
    go()
    await recalled
    expect(book.get(hash(1))?.record.status).toBe('succeeded')
  })

  it('refuses a cursor that it did not give', async () => {
    const { book } = await open()
    await expect(book.page({ limit: 1, cursor: 'x' }, undefined)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })
})

describe('waiting for a change', () => {
  it('wakes those who wait for the resource, once it is durable, and only them', async () => {
    const { book, reactor, changes } = await open()
    await reactor.run(() => void book.put(put(1, 'pending')))
    let looks = 0
    const wait = changes.waitFor(
      `payment:${hash(1)}`,
      async () => {
        looks++
        return book.get(hash(1))!.record
      },
      (r) => r.status !== 'pending',
      60_000,
    )
    await reactor.run(() => void book.put(put(2, 'succeeded')))
    await reactor.run(() => void book.put(put(1, 'pending', 1)))
    await reactor.run(() => void book.put(put(1, 'succeeded')))
    expect((await wait).status).toBe('succeeded')
    expect(looks).toBeLessThanOrEqual(3)
  })

  it('gives the last view when the time is up', async () => {
    const view = await new Changes().waitFor(
      'payment:x',
      async () => 'as it is',
      () => false,
      1,
    )
    expect(view).toBe('as it is')
  })

  it('gives the last view to who waits no more', async () => {
    const changes = new Changes()
    const caller = new AbortController()
    const wait = () =>
      changes.waitFor(
        'payment:x',
        async () => 'as it is',
        () => false,
        60_000,
        caller.signal,
      )
    const before = wait()
    caller.abort()
    expect([await before, await wait()]).toEqual(['as it is', 'as it is'])
  })
})
