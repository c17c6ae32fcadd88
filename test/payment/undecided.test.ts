import { describe, expect, it } from 'vitest'
import { onPaymentInput, startPayment } from '../../src/payment/outgoing.ts'
import { doubtMissing, recoverPayment } from '../../src/payment/recovery.ts'
import { context, fault, HASH, PREIMAGE, start, target } from './mesh.ts'
import { NOW } from './world.ts'

const undecided = { tag: 'failed', attempt: 0, failure: { tag: 'onchain', undecided: true } } as const

describe('a payment of which nobody can tell whether it came through', () => {
  it.each([[false], [true]])(
    'is not tried again, and says so, whatever else it was to end for: cancelled %s',
    (isCancelled) => {
      const ctx = context()
      const before = start().record
      const cancelled = isCancelled ? onPaymentInput(before, { tag: 'cancel' }, ctx).record : before
      const { record, effects } = onPaymentInput(cancelled, undecided, ctx)
      expect(record).toMatchObject({ status: 'failed', failure: { code: 'OUTCOME_UNKNOWN' }, attempts: [{}] })
      expect(effects).toEqual([{ tag: 'notify', event: { type: 'payment.failed', paymentHash: record.paymentHash } }])
      const fulfilled = { tag: 'fulfilled', attempt: 0, preimage: PREIMAGE } as const
      expect(onPaymentInput(record, fulfilled, ctx).record).toMatchObject({ status: 'succeeded', failure: null })
    },
  )

  it('is not told as failed for what a later try of it fails for: the payee refuses what it has', () => {
    const ctx = context()
    const unknown = onPaymentInput(start().record, undecided, ctx).record
    const again = startPayment(unknown, { paymentHash: HASH, target: target() }, ctx)
    if (!again.ok) throw new Error(again.error.detail)
    const late = context({ now: NOW + 60_000 })
    const { record } = onPaymentInput(again.value.record, { tag: 'rejected', attempt: 1, fault }, late)
    expect(record).toMatchObject({ status: 'failed', failure: { code: 'OUTCOME_UNKNOWN' } })
    expect(record.failure?.detail).toMatch(/an earlier try .* ask the payee .*the time for new attempts is over/)
    const once = startPayment(record, { paymentHash: HASH, target: target() }, ctx)
    if (!once.ok) throw new Error(once.error.detail)
    const { failure } = onPaymentInput(once.value.record, { tag: 'rejected', attempt: 2, fault }, late).record
    expect(failure).toEqual(record.failure)
    const fulfilled = { tag: 'fulfilled', attempt: 0, preimage: PREIMAGE } as const
    expect(onPaymentInput(record, fulfilled, ctx).record).toMatchObject({ status: 'succeeded', failure: null })
  })

  it('is one whose next attempt was to be made when a write was lost, since that may have had it', () => {
    const begun = start().record
    const planned = onPaymentInput(begun, { tag: 'rejected', attempt: 0, fault }, context({ localChannels: [] }))
    for (const record of [
      { ...begun, attempts: [] },
      { ...planned.record, status: 'pending', failure: null } as const,
    ]) {
      const turn = recoverPayment(doubtMissing(record, []), [], context())
      expect(turn.record).toMatchObject({ status: 'failed', failure: { code: 'OUTCOME_UNKNOWN' } })
      expect(turn.effects).toMatchObject([{ event: { type: 'payment.failed' } }])
    }
    const live = [{ attempt: 0, channelId: begun.attempts[0]!.channelId, amountMsat: target().amountMsat }]
    const found = recoverPayment(doubtMissing({ ...begun, attempts: [] }, live), live, context())
    expect(found).toMatchObject({ record: { status: 'pending', failure: null, attempts: [{}] }, effects: [] })
  })
})
