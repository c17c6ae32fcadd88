import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import { type Msat, msat } from '../../src/base/units.ts'
import { paymentFee } from '../../src/payment/outgoing.ts'
import type { Policy } from '../routing/network.ts'
import { hashOf, type Mischief, preimageOf, World, type WorldChannel } from './world.ts'

const policy: Policy = { base: 1000, rate: 100, delta: 40, min: 1, max: 10 ** 12 }
const channel = (a: number, b: number, ours: bigint, theirs = 0n, p: Policy = policy): WorldChannel => ({
  ends: [a, b],
  balances: [ours, theirs],
  policies: [p, p],
})
const M = 1_000_000n

describe('a payment through the network', () => {
  it('over two hops costs the fee that the node between asks, and reaches the payee', () => {
    const world = new World([channel(0, 1, 10n * M), channel(1, 2, 10n * M)])
    const target = world.invoice(2, preimageOf(9), M)
    const record = world.pay(0, hashOf(preimageOf(9)), target)
    expect(record).toMatchObject({ status: 'succeeded', preimage: preimageOf(9) })
    expect([0, 1, 2].map((n) => world.balance(n))).toEqual([9n * M - 1100n, 10n * M + 1100n, M])
    expect(world.events.map((e) => e.type)).toEqual([
      'payment.pending',
      'invoice.settled',
      'forward.settled',
      'payment.succeeded',
    ])
  })

  it('is retried another way when a channel on the way has no room', () => {
    const world = new World([
      channel(0, 1, 10n * M),
      channel(1, 2, M / 2n, 9n * M, { ...policy, base: 0 }),
      channel(1, 3, 10n * M),
      channel(3, 2, 10n * M),
    ])
    const record = world.pay(0, hashOf(preimageOf(9)), world.invoice(2, preimageOf(9), M))
    expect(record).toMatchObject({ status: 'succeeded', attempts: [{ status: 'failed' }, { status: 'succeeded' }] })
    expect(typeof record === 'object' && record.attempts[0]!.failure).toMatch(/^temporary_channel_failure at /)
  })

  it('goes in parts when no channel alone has room', () => {
    const world = new World([channel(0, 1, M), channel(0, 1, M), channel(0, 2, M), channel(1, 2, 9n * M)])
    const amount = (5n * M) / 2n
    const record = world.pay(0, hashOf(preimageOf(9)), world.invoice(2, preimageOf(9), amount))
    expect(record).toMatchObject({ status: 'succeeded' })
    expect(typeof record === 'object' && record.attempts.length).toBeGreaterThanOrEqual(3)
    expect(world.balance(2)).toBe(9n * 0n + amount)
  })

  it('fails for good when the payee does not know it', () => {
    const world = new World([channel(0, 1, 10n * M), channel(1, 2, 10n * M)])
    const target = world.invoice(2, preimageOf(9), M)
    const record = world.pay(0, hashOf(preimageOf(8)), target)
    expect(record).toMatchObject({ status: 'failed', failure: { code: 'REJECTED_BY_PAYEE' } })
    expect(world.offered.length).toBe(2)
    expect(world.balance(0)).toBe(10n * M)
  })

  it('without an invoice brings its own preimage', () => {
    const world = new World([channel(0, 1, 10n * M), channel(1, 2, 10n * M)])
    const target = { ...world.invoice(2, preimageOf(1), M), paymentSecret: null, keysendPreimage: preimageOf(9) }
    expect(world.pay(0, hashOf(preimageOf(9)), target)).toMatchObject({ status: 'succeeded' })
  })

  it('of a hash that has been paid, or is being paid, is not begun', () => {
    const world = new World([channel(0, 1, 10n * M)])
    const hash = hashOf(preimageOf(9))
    const target = world.invoice(1, preimageOf(9), M)
    world.pay(0, hash, target)
    expect(world.pay(0, hash, target)).toBe('ALREADY_PAID')
    const held = world.invoice(1, preimageOf(7), M, { preimage: null })
    expect(world.pay(0, hashOf(preimageOf(7)), held)).toMatchObject({ status: 'pending' })
    expect(world.pay(0, hashOf(preimageOf(7)), held)).toBe('PAYMENT_PENDING')
  })

  it('of which a part is missing comes back after the time for parts, and can be tried again', () => {
    const world = new World([channel(0, 1, 10n * M)])
    const hash = hashOf(preimageOf(9))
    const target = world.invoice(1, preimageOf(9), 2n * M)
    world.mischief = (_node, htlc) => (htlc.id === 0n ? 'none' : 'timeout')
    const half = { ...target, amountMsat: msat(M), maxFeeMsat: msat(M) }
    // The payer says that the total is M; the invoice asks for 2 M: refused at once.
    expect(world.pay(0, hash, half)).toMatchObject({ status: 'failed', failure: { code: 'REJECTED_BY_PAYEE' } })
    world.mischief = () => 'none'
    const again = world.pay(0, hash, target)
    expect(again).toMatchObject({ status: 'succeeded', since: 1 })
  })
})

// ---------------------------------------------------------------- any network, any mischief

const anyPolicy: fc.Arbitrary<Policy> = fc.record({
  base: fc.constantFrom(0, 1000, 5000),
  rate: fc.constantFrom(0, 100, 10_000),
  delta: fc.constantFrom(6, 40, 144),
  min: fc.constantFrom(1, 1000, 400_000),
  max: fc.constantFrom(500_000, 10 ** 9),
})
const NODES = 6
const anyChannel = fc
  .record({
    ends: fc.tuple(fc.nat(NODES - 1), fc.nat(NODES - 2)).map(([a, b]) => [a, b >= a ? b + 1 : b] as const),
    balances: fc.tuple(fc.bigInt({ min: 0n, max: 2n * M }), fc.bigInt({ min: 0n, max: 2n * M })),
    policies: fc.tuple(anyPolicy, anyPolicy),
  })
  .map((c) => ({ ...c, balances: [...c.balances] as [bigint, bigint] }))
const anyMischief = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.constant<Mischief>('none') },
    { weight: 2, arbitrary: fc.constantFrom<Mischief>('timeout', 'garble', 'reject', 'unreadable') },
  ),
  { minLength: 1, maxLength: 30 },
)

describe('payments through any network, whatever nodes do', () => {
  it('end, conserve every msat, cost no more than allowed, and never pay twice or in part', () => {
    let succeeded = 0
    let parts = 0
    fc.assert(
      fc.property(
        fc.array(anyChannel, { minLength: 4, maxLength: 14 }),
        fc.array(fc.tuple(fc.nat(NODES - 1), fc.nat(NODES - 1), fc.bigInt({ min: 1n, max: 2n * M })), {
          minLength: 1,
          maxLength: 4,
        }),
        anyMischief,
        (channels, wishes, mischief) => {
          const world = new World(channels.map((c) => ({ ...c, balances: [...c.balances] as [bigint, bigint] })))
          const { total } = world
          let n = 0
          world.mischief = () => mischief[n++ % mischief.length]!
          for (const [i, [payer, payee, amount]] of wishes.entries()) {
            if (payer === payee) continue
            const preimage = preimageOf(100 + i)
            const hash = hashOf(preimage)
            const target = { ...world.invoice(payee, preimage, amount), maxFeeMsat: (amount / 8n) as Msat }
            const balances = [...Array(NODES).keys()].map((x) => world.balance(x))
            const [before, beforePayee] = [balances[payer]!, balances[payee]!]
            let record = world.pay(payer, hash, target)
            if (typeof record === 'string') continue
            for (let rounds = 0; world.inFlight > 0 && rounds < 3; rounds++) world.wait(61_000)
            record = world.payments.get(hash)!.record
            const invoice = world.invoices.get(`${payee}:${hash}`)!
            expect(world.inFlight).toBe(0)
            expect(world.total).toBe(total)
            expect(record.status).toBe(invoice.status === 'settled' ? 'succeeded' : 'failed')
            const paid = before - world.balance(payer)
            balances.forEach((b, x) => {
              if (x !== payer) expect(world.balance(x)).toBeGreaterThanOrEqual(b)
            })
            if (record.status === 'failed') expect([paid, world.balance(payee)]).toEqual([0n, beforePayee])
            else {
              succeeded++
              const good = record.attempts.filter((a) => a.status === 'succeeded')
              if (good.length > 1) parts++
              expect(paid).toBe(amount + paymentFee(record))
              expect(paymentFee(record)).toBeLessThanOrEqual(target.maxFeeMsat)
              expect(world.balance(payee) - beforePayee).toBeGreaterThanOrEqual(amount)
              expect(good.reduce((s, a) => s + a.amountMsat, 0n)).toBe(amount)
            }
            expect(isDeepStrictEqual(unpack(pack(record)), record)).toBe(true)
            expect(isDeepStrictEqual(unpack(pack(invoice)), invoice)).toBe(true)
          }
        },
      ),
      { numRuns: 150 },
    )
    expect(succeeded).toBeGreaterThan(20)
    expect(parts).toBeGreaterThan(0)
  })
})
