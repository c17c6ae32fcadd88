import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Ledger } from '../../src/node/analytics/ledger.ts'
import { addSums, NOTHING, SPANS, type SumKind, shareOf, startOf } from '../../src/node/analytics/sums.ts'
import { EventLog, type EventType } from '../../src/node/events.ts'
import { Reactor } from '../../src/node/reactor.ts'
import type { NodeEvent } from '../../src/node/service.ts'
import { checkJournal, Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { keys } from '../../src/store/schema.ts'
import type { Op } from '../../src/store/types.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 10, 28)
const CHANNELS = ['aa', 'bb', 'cc'].map((c) => c.repeat(32))

/** What a crash leaves of the last batch: events whole, anything else in part. */
type Tear = (ops: readonly Op[]) => readonly Op[]

async function run(data: ReadonlyMap<string, Uint8Array> = new Map()) {
  const disk: { tear: Tear | null; dead: boolean } = { tear: null, dead: false }
  const clock = { ms: START }
  const memory = new MemoryDriver(data)
  const driver = new MemoryDriver(data)
  driver.batch = async (ops) => {
    if (disk.dead) return new Promise(() => {})
    await memory.batch(disk.tear?.(ops) ?? ops)
    if (!disk.tear) return
    disk.dead = true
    return new Promise(() => {})
  }
  driver.get = (key) => memory.get(key)
  driver.entries = (range) => memory.entries(range)
  const { last } = await checkJournal(driver)
  const events = await EventLog.open(driver, () => clock.ms)
  const reactor = new Reactor({
    journal: new Journal(driver, last),
    endOfTurn: () => {},
    onFatal: () => {},
    now: () => 0,
  })
  const ledger = await Ledger.open({ driver, reactor, events })
  return { disk, clock, memory, driver, events, reactor, ledger }
}
type Run = Awaited<ReturnType<typeof run>>

/** Everything that happened, read from the log itself. */
async function scan({ events }: Run): Promise<readonly NodeEvent[]> {
  return events.since(0, Number.MAX_SAFE_INTEGER)
}

async function expectSumsOf(r: Run, all: readonly NodeEvent[]): Promise<void> {
  await r.ledger.fold()
  const expected = new Map<string, object>()
  for (const event of all) {
    const share = shareOf(event)
    for (const subject of share?.subjects ?? []) {
      for (const span of SPANS) {
        const key = keys.sums(share!.kind, subject, span) + startOf(span, event.at)
        expected.set(key, addSums(expected.get(key) ?? NOTHING[share!.kind], share!.sums))
      }
    }
  }
  const stored = [...r.memory.snapshot().keys()].filter((k) => k.startsWith('sums/')).sort()
  expect(stored).toEqual([...expected.keys()].sort())
  for (const [key, sums] of expected) {
    const [, kind, subject, span, start] = key.split('/')
    expect(await r.ledger.get(kind as SumKind, subject as 'all', span as 'day', start!)).toEqual(sums)
  }
}

const event = fc.record({
  type: fc.constantFrom<EventType>(
    'forward.settled',
    'forward.settled',
    'forward.failed',
    'payment.succeeded',
    'payment.failed',
    'invoice.settled',
    'chain.block',
  ),
  from: fc.constantFrom(...CHANNELS),
  to: fc.constantFrom(...CHANNELS, null),
  amount: fc.integer({ min: 0, max: 1_000_000 }),
  fee: fc.integer({ min: 0, max: 9_000 }),
})
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ tag: fc.constant('emit' as const), events: fc.array(event, { maxLength: 5 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ tag: fc.constantFrom('fold' as const, 'foldLater' as const, 'nextDay' as const) }),
  },
  { weight: 2, arbitrary: fc.record({ tag: fc.constant('crash' as const), kept: fc.infiniteStream(fc.boolean()) }) },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant('restart' as const) }) },
)

const emit = (r: Run, list: readonly (typeof event extends fc.Arbitrary<infer T> ? T : never)[]): Promise<void> =>
  r.reactor.run((scope) => {
    for (const { type, from, to, amount, fee } of list) {
      const forward = {
        incomingChannelId: from,
        outgoingChannelId: to,
        amountInMsat: amount + fee,
        amountOutMsat: amount,
      }
      r.events.emit(scope, type, { ...forward, amountMsat: amount, feeMsat: fee })
    }
  })

/** The next writes are cut apart and the process is gone; a fold may be among them. */
async function crash(r: Run, kept: Iterator<boolean>): Promise<Run> {
  r.disk.tear = (ops) =>
    ops.filter(({ key }) => key.startsWith('event/') || key.startsWith('journal/') || kept.next().value)
  void r.ledger.fold().catch(() => {})
  r.reactor.post((scope) => scope.write({ key: 'other' }))
  while (!r.disk.dead) await new Promise((resolve) => setImmediate(resolve))
  const again = await run(r.memory.snapshot())
  again.clock.ms = r.clock.ms
  return again
}

describe('sums over what happened', () => {
  it('are those of the event log after any life: crashes that tear a batch of sums apart, restarts, days that pass', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        let r = await run()
        for (const s of steps) {
          if (s.tag === 'emit') await emit(r, s.events)
          else if (s.tag === 'fold') await r.ledger.fold()
          else if (s.tag === 'foldLater') void r.ledger.fold()
          else if (s.tag === 'nextDay') r.clock.ms += DAY_MS
          else if (s.tag === 'crash') r = await crash(r, s.kept[Symbol.iterator]())
          else r = await run(r.memory.snapshot())
        }
        await expectSumsOf(r, await scan(r))
      }),
      { numRuns: 150 },
    )
  })

  it('and after more events at once than are kept in memory, which are read from the log', async () => {
    const r = await run()
    const one = { type: 'forward.settled' as const, from: CHANNELS[0]!, to: CHANNELS[1]!, amount: 1_000, fee: 1 }
    await emit(
      r,
      Array.from({ length: 6_000 }, () => one),
    )
    await emit(r, [one])
    await r.ledger.fold()
    expect(await r.ledger.get('forward', 'all', 'ever', 'ever')).toMatchObject({ settled: 6_001n, feeMsat: 6_001n })
    expect(r.ledger.hasWork).toBe(false)
  })

  it('go on behind events that are no longer kept', async () => {
    const r = await run()
    const one = { type: 'payment.failed' as const, from: '', to: null, amount: 0, fee: 0 }
    await emit(r, [one, one, one])
    const data = new Map([...r.memory.snapshot()].filter(([key]) => !key.startsWith('sums') && key !== keys.event(1)))
    data.delete(keys.event(2))
    const later = await run(data)
    await later.ledger.fold()
    expect(await later.ledger.get('payment', 'all', 'ever', 'ever')).toMatchObject({ failed: 1n })
    const none = await run(new Map([...data].filter(([key]) => !key.startsWith('event/'))))
    await none.ledger.fold()
    expect(none.ledger.hasWork).toBe(false)
  })

  it('cost a payment no write of their own', async () => {
    const r = await run()
    const written: string[] = []
    const batch = r.driver.batch.bind(r.driver)
    r.driver.batch = (ops) => {
      written.push(...ops.map((o) => o.key))
      return batch(ops)
    }
    const one = { type: 'forward.settled' as const, from: CHANNELS[0]!, to: CHANNELS[1]!, amount: 1_000, fee: 1 }
    for (let i = 0; i < 50; i++) await emit(r, [one])
    expect(written.filter((key) => key.startsWith('sums'))).toEqual([])
    await r.ledger.fold()
    expect(written.filter((key) => key.startsWith('sums/'))).toHaveLength(9)
  })
})
