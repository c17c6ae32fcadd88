import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type ForwardSums, type PaymentSums, SPANS } from '../../src/node/analytics/sums.ts'
import type { Node } from '../../src/node/node.ts'
import type { NodeService, Page, PageRequest } from '../../src/node/service.ts'
import { Life, type Step } from '../node/life.ts'
import { NAMES, type Name, type Snapshot, World } from '../node/world.ts'

/** FULMEN_RUNS=2000 npx vitest run test/property/analytics.test.ts looks longer. */
const RUNS = Number(process.env.FULMEN_RUNS ?? 12)

let base: Snapshot
beforeAll(async () => {
  base = await World.line()
})

const name = fc.constantFrom<Name>(...NAMES)
const pay: fc.Arbitrary<Step> = fc.record({
  tag: fc.constant('pay' as const),
  from: name,
  to: name,
  amountMsat: fc.oneof(fc.integer({ min: 1, max: 3_000_000 }), fc.integer({ min: 1_000_000, max: 400_000_000 })),
  kind: fc.constantFrom('invoice' as const, 'invoice' as const, 'hold' as const, 'keysend' as const),
})
const other: fc.Arbitrary<Step | { readonly tag: 'fold'; readonly who: Name }> = fc.oneof(
  fc.record({ tag: fc.constant('run' as const), rounds: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ tag: fc.constant('fold' as const), who: name }),
  fc.record({ tag: fc.constant('fold' as const), who: name }),
  fc.record({ tag: fc.constant('crash' as const), who: name }),
  fc.record({ tag: fc.constantFrom('boot' as const, 'settle' as const) }),
  fc.record({ tag: fc.constant('decide' as const), pick: fc.nat(8), settle: fc.boolean() }),
  // A batch as the store writes it: all or nothing.
  fc.record({
    tag: fc.constant('doom' as const),
    who: name,
    writes: fc.integer({ min: 1, max: 12 }),
    ending: fc.record({ how: fc.constantFrom('refused' as const, 'lost' as const, 'kept' as const) }),
  }),
)
const life = fc.array(fc.oneof(pay, pay, other), { minLength: 5, maxLength: 40, size: 'max' })

async function everyItem<T>(list: (page: PageRequest) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page: Page<T> = await list({ limit: 3, ...(cursor !== undefined && { cursor }) })
    items.push(...page.items)
    cursor = page.nextCursor
  }
  return items
}

/** What the records say that the sums must be: gone through one by one. */
async function scanned(node: Node, api: NodeService): Promise<{ forwards: ForwardSums; payments: PaymentSums }> {
  const forwards = await everyItem((page) => api.analytics.forwards(page))
  // The id of a forward, as a line of the CSV has it, is a cursor.
  const { items: rest } = await api.analytics.forwards({ limit: 100, cursor: forwards[0]?.id ?? '0' })
  expect(rest).toEqual(forwards.slice(1))
  const payments = (await everyItem((page) => node.payments.outgoing.page(page, undefined))).map((b) => b.record)
  const invoices = (await everyItem((page) => node.payments.invoices.page(page, 'settled'))).map((b) => b.record)
  const views = await everyItem((page) => api.payments(page, { status: 'succeeded' }))
  const failedForwards = (await api.eventsSince(0, 100_000)).filter((e) => e.type === 'forward.failed').length
  const sum = (list: readonly (bigint | number)[]): bigint => list.reduce<bigint>((a, b) => a + BigInt(b), 0n)
  return {
    forwards: {
      settled: BigInt(forwards.length),
      failed: BigInt(failedForwards),
      amountInMsat: sum(forwards.map((f) => f.amountInMsat)),
      amountOutMsat: sum(forwards.map((f) => f.amountOutMsat)),
      feeMsat: sum(forwards.map((f) => f.feeMsat)),
    },
    payments: {
      succeeded: BigInt(views.length),
      failed: BigInt(payments.filter((p) => p.status === 'failed').length),
      amountMsat: sum(views.map((p) => p.amountMsat)),
      feeMsat: sum(views.map((p) => p.feeMsat)),
      received: BigInt(invoices.length),
      receivedMsat: sum(invoices.flatMap((i) => i.htlcs.map((h) => h.amountMsat))),
    },
  }
}

async function expectSumsOf(node: Node, api: NodeService): Promise<{ forwards: ForwardSums; payments: PaymentSums }> {
  const expected = await scanned(node, api)
  const { forwards, payments } = await api.analytics.summary({})
  expect(forwards).toMatchObject(expected.forwards)
  expect(payments).toMatchObject(expected.payments)
  // The same by day, by month and over the channels.
  for (const period of SPANS.filter((s) => s !== 'ever')) {
    const rows = await everyItem((page) => api.analytics.forwardSums(page, { period }))
    expect(rows.reduce((sum, r) => sum + r.feeMsat, 0n)).toBe(expected.forwards.feeMsat)
    const paid = await everyItem((page) => api.analytics.paymentSums(page, { period }))
    expect(paid.reduce((sum, r) => sum + r.amountMsat + r.receivedMsat, 0n)).toBe(
      expected.payments.amountMsat + expected.payments.receivedMsat,
    )
  }
  const { payments: ranged } = await api.analytics.summary({ from: '2000-01-01' })
  expect(ranged).toEqual(payments)
  const channels = await everyItem((page) => api.analytics.channelEarnings(page))
  const over = (field: 'feeInMsat' | 'feeOutMsat' | 'forwardsIn' | 'amountOutMsat') =>
    channels.reduce((sum, c) => sum + c[field], 0n)
  expect([over('feeInMsat'), over('feeOutMsat')]).toEqual([expected.forwards.feeMsat, expected.forwards.feeMsat])
  expect([over('forwardsIn'), over('amountOutMsat')]).toEqual([
    expected.forwards.settled,
    expected.forwards.amountOutMsat,
  ])
  return expected
}

describe('sums of a node that forwards, pays and is paid', () => {
  it('equal what its records say, after lives with crashes at any write', async () => {
    let [settled, failed, paid] = [0n, 0n, 0n]
    await fc.assert(
      fc.asyncProperty(life, async (steps) => {
        const lived = await Life.begin(base)
        const { world } = lived
        try {
          for (const s of steps) {
            if (s.tag !== 'fold') await lived.step(s)
            else
              void world
                .of(s.who)
                .node?.ledger.fold()
                .catch(() => {})
          }
          await lived.finish()
          for (const { node, service } of world.alive) {
            const { forwards, payments } = await expectSumsOf(node!, service!)
            settled += forwards.settled
            failed += forwards.failed
            paid += payments.succeeded
          }
        } finally {
          world.close()
        }
      }),
      { numRuns: RUNS },
    )
    expect(settled > 5n && failed > 0n && paid > 5n, `${settled} ${failed} ${paid}`).toBe(true)
  })
})
