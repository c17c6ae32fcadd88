import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { IncomingHtlc } from '../../src/channel/types.ts'
import { openErrorPacket } from '../../src/onion/errorPacket.ts'
import {
  cancelInvoice,
  HOLD_RELEASE_BLOCKS,
  type IncomingContext,
  keysendInvoice,
  MPP_TIMEOUT_MS,
  receiveHtlc,
  recoverInvoice,
  recoverSet,
  settleInvoice,
  tickInvoice,
} from '../../src/payment/incoming.ts'
import type { FinalOnion } from '../../src/payment/peel.ts'
import type { InvoiceRecord } from '../../src/payment/types.ts'
import {
  AMOUNT,
  ctx,
  hold,
  htlc,
  invoice,
  NOW,
  onion,
  PREIMAGE,
  REFUSED,
  receive,
  say,
  sharedSecret,
} from './invoices.ts'
import { FINAL_DELTA, HEIGHT, hashOf, preimageOf } from './world.ts'

describe('BOLT 4 §failure-messages: the final node', () => {
  const cases: readonly [string, Partial<IncomingHtlc>, Partial<FinalOnion>, string, Partial<InvoiceRecord>?][] = [
    ['a wrong payment secret', {}, { paymentSecret: new Uint8Array(32) }, REFUSED],
    ['no payment secret', {}, { paymentSecret: null }, REFUSED],
    ['less than the amount', {}, { totalMsat: msat(AMOUNT - 1n) }, REFUSED],
    ['more than twice the amount', {}, { totalMsat: msat(2n * AMOUNT + 1n) }, REFUSED],
    ['an expiry that is too near', { cltvExpiry: HEIGHT + FINAL_DELTA - 1 }, { outgoingCltvValue: HEIGHT }, REFUSED],
    ['an expired invoice', {}, {}, REFUSED, { expiresAt: NOW }],
    ['a cancelled invoice', {}, {}, REFUSED, { status: 'cancelled' }],
    ['less in the HTLC than its onion says', { amountMsat: msat(AMOUNT - 1n) }, {}, 'final_incorrect_htlc_amount 0'],
    [
      'less time in the HTLC than its onion says',
      {},
      { outgoingCltvValue: HEIGHT + 99 },
      'final_incorrect_cltv_expiry 0',
    ],
  ]
  it.each(cases)('refuses %s', (_what, h, o, says, record = {}) => {
    const r = invoice(record)
    const turn = receive(r, htlc(0n, AMOUNT, h), onion(0n, AMOUNT, AMOUNT, o))
    expect([turn.record === r, turn.says]).toEqual([true, [says]])
  })

  it('tells its height to the payer, and the same thing whatever was wrong', () => {
    const { effects } = receiveHtlc(undefined, htlc(0n, AMOUNT), onion(0n, AMOUNT), ctx())
    const command = effects[0]!.tag === 'command' ? effects[0]!.command : null
    if (command?.tag !== 'failHtlc') throw new Error('not failed')
    expect(openErrorPacket([sharedSecret(0n)], command.reason)?.received.failure).toEqual({
      name: 'incorrect_or_unknown_payment_details',
      htlcMsat: AMOUNT,
      height: HEIGHT,
    })
  })

  it.each<[string, Partial<IncomingHtlc>]>([
    ['less', { amountMsat: msat(AMOUNT - 1n) }],
    ['sooner', { cltvExpiry: HEIGHT + FINAL_DELTA - 1 }],
  ])('says of an HTLC that is %s than its onion the same whether it knows the hash or not', (_what, h) => {
    const made = onion(0n, AMOUNT, AMOUNT, { paymentSecret: new Uint8Array(32) })
    const answers = [undefined, invoice(), invoice({ status: 'settled' })].map(
      (r) => receive(r, htlc(0n, AMOUNT, h), made).says,
    )
    expect(new Set(answers.flat()).size).toBe(1)
  })

  it('is not paid more than twice the amount by HTLCs that say less than they bring', () => {
    expect(receive(invoice(), htlc(0n, 2n * AMOUNT + 1n), onion(0n, AMOUNT)).says).toEqual([REFUSED])
    expect(receive(invoice(), htlc(0n, 2n * AMOUNT), onion(0n, AMOUNT)).says).toEqual(['fulfil 0', 'invoice.settled'])
    const { record } = receive(invoice(), htlc(1n, AMOUNT - 1n), onion(1n, AMOUNT - 1n))
    expect(receive(record, htlc(0n, AMOUNT + 2n), onion(0n, AMOUNT + 2n)).says).toEqual([REFUSED])
  })

  it.each([AMOUNT, AMOUNT + 1n, 2n * AMOUNT])('takes %d msat for an invoice of 10000', (amount) => {
    const turn = receive(invoice(), htlc(0n, amount), onion(0n, amount, amount))
    expect(turn.says).toEqual(['fulfil 0', 'invoice.settled'])
    expect(turn.record).toMatchObject({ status: 'settled', settledAt: NOW })
  })

  it('takes any amount where the invoice leaves it open', () => {
    const turn = receive(invoice({ amountMsat: null }), htlc(0n, 5n), onion(0n, 5n, 5n))
    expect(turn.says).toEqual(['fulfil 0', 'invoice.settled'])
  })

  it('fulfils what paid it again when it is there again, and refuses a new payment', () => {
    const { record } = receive(invoice(), htlc(0n, AMOUNT), onion(0n, AMOUNT))
    const replayed = receive(
      record,
      htlc(0n, AMOUNT),
      onion(0n, AMOUNT),
      ctx({ now: NOW * 10, blockHeight: HEIGHT + 99 }),
    )
    expect([replayed.record === record, replayed.says]).toEqual([true, ['fulfil 0']])
    const second = receive(record, htlc(1n, AMOUNT), onion(1n, AMOUNT))
    expect([second.record === record, second.says]).toEqual([true, ['incorrect_or_unknown_payment_details 1']])
  })
})

describe('BOLT 4 §basic-multi-part-payments: the final node', () => {
  const half = AMOUNT / 2n
  it('waits for the whole and takes it at once', () => {
    const one = receive(invoice(), htlc(0n, half), onion(0n, half))
    expect(one.says).toEqual(['wake'])
    const two = receive(one.record, htlc(1n, half), onion(1n, half), ctx({ now: NOW + 59_000 }))
    expect(two.says).toEqual(['fulfil 0', 'fulfil 1', 'invoice.settled'])
  })
  it('completes a set that was begun before the invoice expired', () => {
    const one = receive(invoice({ expiresAt: NOW + 1 }), htlc(0n, half), onion(0n, half))
    const two = receive(one.record, htlc(1n, half), onion(1n, half), ctx({ now: NOW + 2 }))
    expect(two.record?.status).toBe('settled')
  })
  it('gives an incomplete set back after a minute, and takes a new one', () => {
    const one = receive(invoice(), htlc(0n, half), onion(0n, half))
    const before = tickInvoice(one.record!, ctx({ now: NOW + MPP_TIMEOUT_MS - 1 }))
    expect([before.record === one.record, say(before.effects)]).toEqual([true, ['wake']])
    const after = tickInvoice(one.record!, ctx({ now: NOW + MPP_TIMEOUT_MS }))
    expect(say(after.effects)).toEqual(['mpp_timeout 0'])
    expect(receive(after.record, htlc(1n, AMOUNT), onion(1n, AMOUNT)).record?.status).toBe('settled')
  })
  it('holds a whole payment back until it can be claimed, gives it back after a minute, and takes no second one meanwhile', () => {
    const cramped = (more: Partial<IncomingContext> = {}) => ctx({ hasRoom: () => false, ...more })
    const one = receive(invoice(), htlc(0n, half), onion(0n, half), cramped())
    const two = receive(one.record, htlc(1n, half), onion(1n, half), cramped())
    expect([two.says, two.record!.status]).toEqual([['wake'], 'open'])
    const again = receive(two.record, htlc(2n, AMOUNT), onion(2n, AMOUNT), cramped())
    expect([again.says, again.record]).toEqual([['incorrect_or_unknown_payment_details 2'], two.record])
    expect(say(tickInvoice(two.record!, cramped({ now: NOW + MPP_TIMEOUT_MS - 1 })).effects)).toEqual(['wake'])
    const late = tickInvoice(two.record!, cramped({ now: NOW + MPP_TIMEOUT_MS }))
    expect([say(late.effects), late.record.htlcs]).toEqual([['mpp_timeout 0', 'mpp_timeout 1'], []])
    const taken = tickInvoice(two.record!, ctx({ now: NOW + MPP_TIMEOUT_MS }))
    expect(say(taken.effects)).toEqual(['fulfil 0', 'fulfil 1', 'invoice.settled'])
  })
  it('fails the whole set when a part names another total', () => {
    const one = receive(invoice(), htlc(0n, half), onion(0n, half))
    const two = receive(one.record, htlc(1n, half), onion(1n, half, AMOUNT + 1n))
    expect(two.says).toEqual(['incorrect_or_unknown_payment_details 1', 'incorrect_or_unknown_payment_details 0'])
    expect(two.record?.htlcs).toEqual([])
  })
  it('lets nobody without the secret spoil a set', () => {
    const one = receive(invoice(), htlc(0n, half), onion(0n, half))
    const stranger = onion(1n, half, AMOUNT + 1n, { paymentSecret: new Uint8Array(32) })
    const two = receive(one.record, htlc(1n, half), stranger)
    expect([two.record === one.record, two.says]).toEqual([true, ['incorrect_or_unknown_payment_details 1']])
  })
  it('does not wait for a set whose first part is about to expire', () => {
    const one = receive(invoice(), htlc(0n, half), onion(0n, half))
    const turn = tickInvoice(one.record!, ctx({ blockHeight: HEIGHT + FINAL_DELTA - HOLD_RELEASE_BLOCKS }))
    expect(say(turn.effects)).toEqual(['mpp_timeout 0'])
  })
})

describe('a hold invoice', () => {
  const accepted = (): InvoiceRecord => receive(hold(), htlc(0n, AMOUNT), onion(0n, AMOUNT)).record!
  it('holds its payment until it is settled with the preimage', () => {
    const r = accepted()
    expect(r.status).toBe('accepted')
    expect(receive(r, htlc(0n, AMOUNT), onion(0n, AMOUNT)).record).toBe(r)
    expect(settleInvoice(r, preimageOf(4), NOW)).toMatchObject({ ok: false, error: { code: 'WRONG_PREIMAGE' } })
    const settled = settleInvoice(r, PREIMAGE, NOW)
    if (!settled.ok) throw new Error(settled.error.detail)
    expect(say(settled.value.effects)).toEqual(['fulfil 0', 'invoice.settled'])
    const again = settleInvoice(settled.value.record, PREIMAGE, NOW)
    expect(again.ok && [again.value.record === settled.value.record, say(again.value.effects)]).toEqual([
      true,
      ['fulfil 0'],
    ])
    expect(cancelInvoice(settled.value.record, HEIGHT)).toMatchObject({ ok: false, error: { code: 'ALREADY_SETTLED' } })
  })
  it('gives its payment back when it is cancelled', () => {
    const cancelled = cancelInvoice(accepted(), HEIGHT)
    if (!cancelled.ok) throw new Error(cancelled.error.detail)
    expect(say(cancelled.value.effects)).toEqual([REFUSED])
    expect(receive(cancelled.value.record, htlc(0n, AMOUNT), onion(0n, AMOUNT)).says).toEqual([REFUSED])
    expect(settleInvoice(cancelled.value.record, PREIMAGE, NOW)).toMatchObject({
      ok: false,
      error: { code: 'NOT_ACCEPTED' },
    })
  })
  it('gives its payment back before a channel would have to be closed over it', () => {
    const r = accepted()
    const near = HEIGHT + FINAL_DELTA - HOLD_RELEASE_BLOCKS
    expect(tickInvoice(r, ctx({ blockHeight: near - 1 })).record).toBe(r)
    const turn = tickInvoice(r, ctx({ blockHeight: near }))
    expect([turn.record.status, say(turn.effects)]).toEqual(['cancelled', [REFUSED]])
  })
  it('cannot be settled before its payment is there', () => {
    expect(settleInvoice(hold(), PREIMAGE, NOW)).toMatchObject({ ok: false, error: { code: 'NOT_ACCEPTED' } })
  })
})

describe('keysend (bLIP 3)', () => {
  const keysend = { paymentSecret: null, keysendPreimage: PREIMAGE }
  it('is taken when its preimage fits, and makes a settled record', () => {
    const turn = receive(undefined, htlc(0n, 77n), onion(0n, 77n, 77n, keysend))
    expect(turn.says).toEqual(['fulfil 0', 'invoice.settled'])
    expect(turn.record).toMatchObject({ kind: 'keysend', status: 'settled', preimage: PREIMAGE })
    expect(receive(turn.record, htlc(0n, 77n), onion(0n, 77n, 77n, keysend)).says).toEqual(['fulfil 0'])
    expect(receive(turn.record, htlc(1n, 77n), onion(1n, 77n, 77n, keysend)).says).toEqual([
      'incorrect_or_unknown_payment_details 1',
    ])
  })
  it('is refused when its preimage does not fit, when we take none, and in parts', () => {
    const wrong = onion(0n, 77n, 77n, { ...keysend, keysendPreimage: preimageOf(4) })
    const part = onion(0n, 77n, 78n, keysend)
    for (const [o, c] of [
      [wrong, ctx()],
      [onion(0n, 77n, 77n, keysend), ctx({ acceptKeysend: false })],
      [part, ctx()],
    ] as const) {
      const turn = receive(undefined, htlc(0n, 77n), o, c)
      expect([turn.record, turn.says]).toEqual([undefined, [REFUSED]])
    }
  })
  it('that finds no room is given back at once: nobody on the way, who knows its hash, has the preimage for a millisatoshi', () => {
    const cramped = (now: number) => ctx({ now, hasRoom: () => false })
    const one = receive(undefined, htlc(0n, AMOUNT), onion(0n, AMOUNT, AMOUNT, keysend), cramped(NOW))
    const later = one.record && tickInvoice(one.record, cramped(NOW + MPP_TIMEOUT_MS)).record
    const onTheWay = receive(later, htlc(1n, 1n), onion(1n, 1n, 1n, { paymentSecret: null }))
    expect(onTheWay.says).toEqual(['incorrect_or_unknown_payment_details 1'])
    expect([one.record, one.says]).toEqual([undefined, ['temporary_node_failure 0']])
  })
  it('cannot pay an invoice around its secret', () => {
    expect(receive(invoice(), htlc(0n, AMOUNT), onion(0n, AMOUNT, AMOUNT, keysend)).says).toEqual([REFUSED])
  })
})

describe('an invoice after a crash', () => {
  it('that gave its preimage out for one part takes the others when they come again', () => {
    const half = AMOUNT / 2n
    const released = [{ htlc: htlc(0n, half), onion: onion(0n, half), preimage: PREIMAGE }]
    const recovered = recoverInvoice(invoice(), released, NOW)
    expect(recovered.record.status).toBe('settled')
    const other = receive(recovered.record, htlc(1n, half), onion(1n, half))
    expect(other.says).toEqual(['fulfil 1'])
    const third = receive(other.record, htlc(2n, half), onion(2n, half))
    expect(third.says).toEqual(['incorrect_or_unknown_payment_details 2'])
    expect(recoverInvoice(other.record!, released, NOW).record).toBe(other.record)
  })

  it('that holds what its channels still hold is as it was', () => {
    const { record } = receive(hold(), htlc(0n, AMOUNT), onion(0n, AMOUNT))
    expect(recoverSet(record!, () => true, HEIGHT)).toEqual({ record, effects: [] })
  })

  it('that is settled gives its preimage again to what is undecided', () => {
    const settled = receive(invoice(), htlc(0n, AMOUNT), onion(0n, AMOUNT)).record!
    expect(recoverSet(settled, () => false, HEIGHT)).toEqual({ record: settled, effects: [] })
    const again = recoverSet(settled, (h) => h.id === 0n, HEIGHT)
    expect([again.record, say(again.effects)]).toEqual([settled, ['fulfil 0']])
  })

  it('of which a channel has failed a part gives the others back: a hold invoice is over, an open one can be paid again', () => {
    const half = AMOUNT / 2n
    const parts = (first: InvoiceRecord) => {
      const one = receive(first, htlc(0n, half), onion(0n, half)).record!
      return receive(one, htlc(1n, half), onion(1n, half)).record!
    }
    const held = recoverSet(parts(hold()), (h) => h.id === 1n, HEIGHT)
    expect([held.record.status, say(held.effects)]).toEqual(['cancelled', ['incorrect_or_unknown_payment_details 1']])
    const one = receive(invoice(), htlc(0n, half), onion(0n, half)).record!
    const open = recoverSet(one, () => false, HEIGHT)
    expect([open.record.status, open.record.htlcs, say(open.effects)]).toEqual(['open', [], []])
    expect(parts(open.record).status).toBe('settled')
  })

  it('that was a keysend is made again from the HTLC that its channel has settled', () => {
    const o = onion(0n, 77n, 77n, { paymentSecret: null, keysendPreimage: PREIMAGE })
    const made = keysendInvoice(hashOf(PREIMAGE), o, ctx())!
    const { record } = recoverInvoice(made, [{ htlc: htlc(0n, 77n), onion: o, preimage: PREIMAGE }], NOW)
    expect(record).toMatchObject({ kind: 'keysend', status: 'settled', htlcs: [{ amountMsat: 77n }] })
  })
})

describe('an invoice that nobody pays', () => {
  it('expires once', () => {
    const r = invoice()
    expect(tickInvoice(r, ctx({ now: r.expiresAt - 1 })).record).toBe(r)
    const turn = tickInvoice(r, ctx({ now: r.expiresAt }))
    expect([turn.record.status, say(turn.effects)]).toEqual(['expired', ['invoice.expired']])
    expect(tickInvoice(turn.record, ctx({ now: r.expiresAt })).effects).toEqual([])
  })
})
