import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import type { IncomingHtlc } from '../../src/channel/types.ts'
import { cancelInvoice, receiveHtlc, settleInvoice, tickInvoice } from '../../src/payment/incoming.ts'
import type { FinalOnion } from '../../src/payment/peel.ts'
import type { InvoiceRecord, PaymentTurn } from '../../src/payment/types.ts'
import { AMOUNT, ctx, hold, htlc, invoice, NOW, onion, PREIMAGE, SECRET } from './invoices.ts'
import { FINAL_DELTA, HEIGHT } from './world.ts'

type Event =
  | {
      readonly tag: 'htlc'
      readonly amount: bigint
      readonly total: bigint
      readonly secret: boolean
      readonly near: boolean
    }
  | { readonly tag: 'replay'; readonly n: number }
  | { readonly tag: 'wait'; readonly ms: number; readonly blocks: number }
  | { readonly tag: 'settle' | 'cancel' }
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      tag: fc.constant('htlc' as const),
      amount: fc.constantFrom(1n, 2_500n, 5_000n, 10_000n, 20_000n),
      total: fc.constantFrom(AMOUNT, AMOUNT, AMOUNT, 9_999n, 12_000n, 20_001n),
      secret: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
      near: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ tag: fc.constant('replay' as const), n: fc.nat(20) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      tag: fc.constant('wait' as const),
      ms: fc.constantFrom(1000, 30_000, 61_000),
      blocks: fc.nat(3),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom<Event>({ tag: 'settle' }, { tag: 'settle' }, { tag: 'cancel' }) },
)

describe('an HTLC set, whatever comes in whatever order', () => {
  it('is fulfilled whole or failed whole, never for less than was asked, and no HTLC gets two answers', () => {
    const ends = new Set<string>()
    fc.assert(
      fc.property(fc.boolean(), fc.array(event, { maxLength: 25 }), (isHold, events) => {
        let record = isHold ? hold() : invoice()
        const seen: { htlc: IncomingHtlc; onion: FinalOnion }[] = []
        const answers = new Map<bigint, 'fulfillHtlc' | 'failHtlc'>()
        let [now, blockHeight] = [NOW, HEIGHT]
        const apply = (turn: PaymentTurn<InvoiceRecord | undefined>): void => {
          for (const e of turn.effects) {
            if (e.tag !== 'command' || (e.command.tag !== 'fulfillHtlc' && e.command.tag !== 'failHtlc')) continue
            const { id, tag } = e.command
            expect(answers.get(id) ?? tag).toBe(tag)
            answers.set(id, tag)
          }
          record = turn.record!
          expect(isDeepStrictEqual(unpack(pack(record)), record)).toBe(true)
          for (const h of record.htlcs)
            if (record.status === 'open' || record.status === 'accepted') expect(answers.has(h.id)).toBe(false)
        }
        const arrive = (one: { htlc: IncomingHtlc; onion: FinalOnion }): void =>
          apply(receiveHtlc(record, one.htlc, one.onion, ctx({ now, blockHeight })))
        const act = (e: Event): void => {
          if (e.tag === 'htlc') {
            const id = BigInt(seen.length)
            const cltvExpiry = blockHeight + FINAL_DELTA - (e.near ? 1 : 0)
            const more = { outgoingCltvValue: cltvExpiry, ...(!e.secret && { paymentSecret: null }) }
            seen.push({ htlc: htlc(id, e.amount, { cltvExpiry }), onion: onion(id, e.amount, e.total, more) })
            arrive(seen.at(-1)!)
          } else if (e.tag === 'replay') {
            // Channels replay what has no answer yet, or a fulfilment that they have not carried out; what failed is gone.
            const one = seen[e.n % (seen.length || 1)]
            if (one && answers.get(one.htlc.id) !== 'failHtlc') arrive(one)
          } else if (e.tag === 'wait') {
            now += e.ms
            blockHeight += e.blocks
            apply(tickInvoice(record, ctx({ now, blockHeight })))
          } else {
            const done = e.tag === 'settle' ? settleInvoice(record, PREIMAGE, now) : cancelInvoice(record, blockHeight)
            if (done.ok) apply(done.value)
          }
        }
        for (const e of events) act(e)
        const fulfilled = seen.filter((x) => answers.get(x.htlc.id) === 'fulfillHtlc')
        expect(fulfilled.length > 0).toBe(record.status === 'settled')
        if (record.status === 'settled') {
          expect(fulfilled.map((x) => x.htlc.id)).toEqual(record.htlcs.map((h) => h.id))
          const got = fulfilled.reduce((s, x) => s + x.htlc.amountMsat, 0n)
          expect(got).toBeGreaterThanOrEqual(AMOUNT)
          for (const x of fulfilled) expect([x.onion.totalMsat <= got, x.onion.paymentSecret]).toEqual([true, SECRET])
        }
        now += 4_000_000
        for (let i = 0; i < 3; i++) act({ tag: 'wait', ms: 61_000, blocks: 30 })
        for (const x of seen) expect(answers.has(x.htlc.id)).toBe(true)
        ends.add(record.status)
      }),
      { numRuns: 500 },
    )
    expect([...ends].sort()).toEqual(['cancelled', 'expired', 'settled'])
  })
})
