import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { onPaymentInput, startPayment } from '../../src/payment/outgoing.ts'
import { interruptedPayment, recoverPayment, reopenPayment } from '../../src/payment/recovery.ts'
import { channelId } from '../routing/network.ts'
import { context, fault, HASH, M, PREIMAGE, start, target } from './mesh.ts'
import { NOW } from './world.ts'

describe('an outgoing payment after a restart', () => {
  it('sends again what no channel holds and none has told about', () => {
    const { record } = start()
    const turn = recoverPayment(record, [], context())
    expect(turn.record.attempts.map((a) => a.status)).toEqual(['failed', 'pending'])
    expect(turn.effects.map((e) => e.tag)).toEqual(['command'])
  })

  it('waits for what a channel holds', () => {
    const { record } = start()
    const live = [{ attempt: 0, channelId: channelId(1), amountMsat: msat(M) }]
    expect(recoverPayment(record, live, context())).toEqual({ record, effects: [] })
  })

  it('takes in HTLCs that its record does not know, and does not send their amount again', () => {
    const { record } = start()
    const live = [2, 0].map((attempt) => ({ attempt, channelId: channelId(1), amountMsat: msat(M) }))
    const { record: r, effects } = recoverPayment(record, live, context())
    expect(effects).toEqual([])
    expect(r.attempts.map((a) => a.status)).toEqual(['pending', 'failed', 'pending'])
    const paid = onPaymentInput(r, { tag: 'fulfilled', attempt: 2, preimage: PREIMAGE }, context())
    expect(paid.record.status).toBe('succeeded')
  })

  it('is not sent again where its channel has lost records, until the HTLC has long expired', () => {
    const { record } = start()
    const { cltvExpiry } = record.attempts[0]!.hops[0]!
    const recovered = (blockHeight: number) => recoverPayment(record, [], context({ blockHeight }), () => false)
    expect(recovered(cltvExpiry + 144)).toEqual({ record, effects: [] })
    expect(recovered(cltvExpiry + 145).record.attempts[0]!.status).toBe('failed')
  })

  it('that had failed is pending again where a backup knows of an HTLC of it, and ends with that', () => {
    const late = context({ now: NOW + 60_000 })
    const failed = onPaymentInput(start().record, { tag: 'rejected', attempt: 0, fault }, late).record
    const live = [{ attempt: 0, channelId: channelId(9), amountMsat: msat(M) }]
    const { record } = reopenPayment(failed, live)
    expect(startPayment(record, { paymentHash: HASH, target: target() }, context())).toMatchObject({ ok: false })
    const { record: ended, effects } = onPaymentInput(
      record,
      { tag: 'failed', attempt: 0, failure: { tag: 'onchain' } },
      context(),
    )
    expect([ended.status, effects]).toEqual([
      'failed',
      [{ tag: 'notify', event: { type: 'payment.failed', paymentHash: HASH } }],
    ])
    const paid = onPaymentInput(record, { tag: 'fulfilled', attempt: 0, preimage: PREIMAGE }, context())
    expect(paid.record).toMatchObject({ status: 'succeeded', preimage: PREIMAGE })
  })

  it('without any record is neither forgotten nor begun again', () => {
    const live = [{ attempt: 0, channelId: channelId(1), amountMsat: msat(M) }]
    const { record } = interruptedPayment(HASH, live, context())
    expect(record).toMatchObject({ status: 'pending', failure: { code: 'INTERRUPTED' } })
    const begun = startPayment(record, { paymentHash: HASH, target: target() }, context())
    expect(begun).toMatchObject({ ok: false, error: { code: 'PAYMENT_PENDING' } })
    const failed = onPaymentInput(record, { tag: 'failed', attempt: 0, failure: { tag: 'onchain' } }, context())
    expect(failed.record.status).toBe('failed')
    expect(startPayment(failed.record, { paymentHash: HASH, target: target() }, context()).ok).toBe(true)
  })

  it('that was taken for failed is succeeded when the preimage comes after all', () => {
    const { record } = start()
    const failed = onPaymentInput(record, { tag: 'rejected', attempt: 0, fault }, context({ now: NOW + 60_000 })).record
    expect(failed.status).toBe('failed')
    const paid = onPaymentInput(failed, { tag: 'fulfilled', attempt: 0, preimage: PREIMAGE }, context())
    expect(paid.record).toMatchObject({ status: 'succeeded', preimage: PREIMAGE, failure: null })
  })
})
