import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { Changes } from '../../src/node/changes.ts'
import { pageWhere } from '../../src/node/paging.ts'
import { Reactor } from '../../src/node/reactor.ts'
import { type Bookable, type BookFilter, RecordBook } from '../../src/node/recordBook.ts'
import type { Page } from '../../src/node/service.ts'
import { placesIn } from '../../src/node/timeRange.ts'
import { Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import type { Range } from '../../src/store/types.ts'

describe('a range of time in an order of time', () => {
  it('is where a look at every place finds it, whatever gaps there are, in few looks', async () => {
    const entries = fc.array(fc.record({ gap: fc.integer({ min: 1, max: 5 }), wait: fc.nat(3) }), { maxLength: 60 })
    const edge = fc.option(fc.integer({ min: -1, max: 100 }), { nil: undefined })
    await fc.assert(
      fc.asyncProperty(entries, edge, edge, async (steps, from, to) => {
        let [place, time] = [-1, 0]
        const all = steps.map(({ gap, wait }) => {
          place += gap
          time += wait
          return { place, time }
        })
        let looks = 0
        const range = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) }
        const found = await placesIn(range, place + 1, async (at) => {
          looks++
          return all.find((entry) => entry.place >= at) ?? null
        })
        const isIn = (entry: { place: number }) =>
          entry.place >= (found.from ?? 0) && entry.place < (found.before ?? Number.POSITIVE_INFINITY)
        const isWanted = (entry: { time: number }) =>
          entry.time >= (from ?? -1) && entry.time < (to ?? Number.POSITIVE_INFINITY)
        expect(all.filter(isIn)).toEqual(all.filter(isWanted))
        expect(looks).toBeLessThanOrEqual(2 * (Math.ceil(Math.log2(place + 2)) + 1))
      }),
      { numRuns: 500 },
    )
  })

  it('pages of what is wanted are full, and have all of it once', async () => {
    const numbers = Array.from({ length: 100 }, (_, i) => i)
    const list = async ({ limit, cursor = '0' }: { limit: number; cursor?: string }) => {
      const end = Number(cursor) + limit
      return { items: numbers.slice(Number(cursor), end), nextCursor: end < 100 ? String(end) : null }
    }
    const seen: number[] = []
    for (let cursor: string | null = '0'; cursor !== null; ) {
      const page: Page<number> = await pageWhere(list, (n) => n % 7 === 0, { limit: 4, cursor })
      if (page.nextCursor !== null) expect(page.items).toHaveLength(4)
      seen.push(...page.items)
      cursor = page.nextCursor
    }
    expect(seen).toEqual(numbers.filter((n) => n % 7 === 0))
  })
})

interface Note extends Bookable {
  readonly createdAt: number
}
const hash = (n: number): PaymentHash => n.toString(16).padStart(64, '0') as PaymentHash

class CountingDriver extends MemoryDriver {
  read = 0
  /** What a driver that reads ahead may have read. */
  asked = 0
  override async *entries(range: Range) {
    this.asked += range.limit ?? Number.POSITIVE_INFINITY
    for await (const entry of super.entries(range)) {
      this.read++
      yield entry
    }
  }
}

async function open(driver = new CountingDriver()) {
  let ids = 0
  const options = { kind: 'payment', driver, changes: new Changes(), live: ['pending'] } as const
  const book = new RecordBook<Note>({ ...options, newId: () => `id${ids++}` })
  await book.load()
  const reactor = new Reactor({
    journal: new Journal(driver, 0),
    endOfTurn: (scope) => book.endOfTurn(scope),
    onFatal: (e) => {
      throw e
    },
    now: () => 0,
  })
  return { driver, book, reactor }
}

/** Every page of a list, two at a time. */
async function all(book: RecordBook<Note>, filter: BookFilter): Promise<number[]> {
  const found: number[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Awaited<ReturnType<typeof book.select>> = await book.select(
      { limit: 2, ...(cursor && { cursor }) },
      filter,
    )
    found.push(...page.items.map(({ record }) => Number(`0x${record.paymentHash}`)))
    cursor = page.nextCursor
  }
  return found
}

describe('a book, by time, key and status', () => {
  const statuses = ['pending', 'succeeded', 'failed'] as const
  const step = fc.record({
    n: fc.nat(7),
    wait: fc.nat(3),
    keyId: fc.constantFrom(undefined, 'aa', 'oidc:b%2Fc'),
    end: fc.constantFrom(...statuses),
  })

  it('has what a look at every record finds, after a restart too; what begins anew is the newest, of the key that began it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), fc.nat(20), fc.nat(20), async (steps, a, b) => {
        const { book, reactor, driver } = await open()
        const model = new Map<number, Note & { keyId: string | undefined }>()
        let now = 0
        for (const { n, wait, keyId, end } of steps) {
          const known = model.get(n)
          now += wait
          const record = { paymentHash: hash(n), createdAt: now, status: 'pending' }
          if (known === undefined || known.status === 'failed') {
            model.delete(n)
            model.set(n, { ...record, keyId })
            await reactor.run(() => void book.begin(record, { keyId }))
          }
          const begun = model.get(n)!
          if (begun.status !== 'pending') continue
          const { keyId: _, ...last } = { ...begun, status: end }
          model.set(n, { ...begun, status: end })
          await reactor.run(() => void book.put(last))
        }
        const [from, to] = [Math.min(a, b), Math.max(a, b)]
        for (const one of [book, (await open(new CountingDriver(driver.snapshot()))).book]) {
          for (const status of [undefined, ...statuses]) {
            for (const keyId of [undefined, 'aa', 'oidc:b%2Fc', 'bb']) {
              const wanted = [...model].filter(
                ([, r]) => (status === undefined || r.status === status) && (keyId === undefined || r.keyId === keyId),
              )
              const filter = { ...(status && { status }), ...(keyId && { keyId }) }
              expect(await all(one, filter)).toEqual(wanted.map(([n]) => n).reverse())
              const within = wanted.filter(([, { createdAt }]) => createdAt >= from && createdAt < to)
              expect(await all(one, { ...filter, from, to })).toEqual(within.map(([n]) => n).reverse())
            }
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  it('reads little more than the page, however long the history', async () => {
    const count = 3_000
    const { book, reactor, driver } = await open()
    await reactor.run(() => {
      for (let n = 1; n <= count; n++) {
        book.begin({ paymentHash: hash(n), createdAt: n, status: 'succeeded' }, { keyId: n % 100 === 0 ? 'aa' : 'bb' })
      }
    })
    const read = async (filter: BookFilter): Promise<[number, number]> => {
      driver.read = 0
      driver.asked = 0
      const { items } = await book.select({ limit: 10 }, filter)
      return [items.length, Math.max(driver.read, driver.asked)]
    }
    for (const filter of [
      { from: 5, to: 1_500 },
      { keyId: 'aa', from: 700 },
      { keyId: 'aa', status: 'succeeded' },
    ]) {
      const [shown, entries] = await read(filter)
      expect(shown).toBe(10)
      expect(entries).toBeLessThan(2 * 13 + 11)
    }
  })
})
