import { describe, expect, it } from 'vitest'
import { summary } from '../../src/channel/describe.ts'
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

describe('what is shown of a channel', () => {
  it('has an HTLC of ours on one side or in flight at every step of the dance, never both', () => {
    for (const preimage of [preimageOf(1), null]) {
      const w = reachNormal()
      const seen = new Set<bigint>()
      const look = (): void => {
        const { localMsat, pendingMsat } = summary(w.alice.state!, w.alice.ctx)
        seen.add(localMsat + pendingMsat)
      }
      look()
      w.alice.command(add(1, 50_000_000))
      for (let round = 0; round < 2; round++) {
        do look()
        while (w.deliver('alice') || w.deliver('bob'))
        if (preimage === null) w.bob.command({ tag: 'failHtlc', id: 0n, reason: new Uint8Array(1) })
        else w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage })
      }
      const before = Math.max(...[...seen].map(Number))
      expect([...seen].map((s) => before - Number(s))).toEqual(preimage === null ? [0] : [0, 50_000_000])
    }
  })
})
