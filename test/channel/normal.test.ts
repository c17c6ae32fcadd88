import { describe, expect, it } from 'vitest'
import { expectAgreement } from './checks.ts'
import { add, preimageOf, reachNormal } from './harness.ts'

describe('a payment', () => {
  for (const channelType of ['anchors', 'static_remotekey'] as const) {
    it(`${channelType}: moves money for a preimage`, () => {
      const w = reachNormal({ channelType, realSignatures: true })
      w.alice.command(add(1, 50_000_000))
      w.settle()
      expectAgreement(w)
      expect(w.bob.events).toMatchObject([{ tag: 'received', htlc: { id: 0n, amountMsat: 50_000_000n } }])
      w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
      w.settle()
      expect(w.alice.events).toMatchObject([{ tag: 'fulfilled', id: 0n, preimage: preimageOf(1) }])
      expectAgreement(w)
      expect(w.bob.channel.commitments.local.shiftMsat).toBe(50_000_000n)
      expect(w.alice.channel.commitments.outgoing.size).toBe(0)
    })
  }
})
