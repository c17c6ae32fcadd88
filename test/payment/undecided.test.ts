import { describe, expect, it } from 'vitest'
import { onPaymentInput } from '../../src/payment/outgoing.ts'
import { context, PREIMAGE, start } from './mesh.ts'

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
})
