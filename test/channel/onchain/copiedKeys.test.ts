import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChannelTypeName } from '../../../src/channel/types.ts'
import { CAPACITY, channelOf, DELAY, type Name, type Setup, START, settled } from './fixture.ts'
import { won, world } from './world.ts'

/* A peer sees our basepoints before it declares its own, or learns them later for a channel of before; it can declare ours. */

describe('BOLT 5 §revoked-transaction-close-handling: a peer that has declared basepoints of ours', () => {
  it('is punished for a revoked commitment all the same', () => {
    fc.assert(
      fc.property(
        fc.record({
          type: fc.constantFrom<ChannelTypeName>('static_remotekey', 'anchors'),
          opener: fc.constantFrom<Name>('alice', 'bob'),
          // Who copies the key of funding or HTLCs cannot sign, and has no channel or no HTLC.
          copied: fc.subarray(['revocationBasepoint', 'paymentBasepoint', 'delayedPaymentBasepoint'] as const, {
            minLength: 1,
          }),
          number: fc.integer({ min: 0, max: 5 }),
          htlcs: fc.constantFrom<Setup['htlcs']>(
            [],
            [{ from: 'alice', amountSat: 100_000, cltvExpiry: START + 90, n: 1, knows: false }],
          ),
        }),
        (s) => {
          const w = world({ ...s, number: 6, htlcs: [] })
          w.alice.revokedHtlcs = settled('alice', s, 6)
          w.bob.channel = channelOf('bob', s)
          w.bob.forceClose()
          w.mine()
          expect(w.alice.onchain).toMatchObject({ how: 'revoked', closing: { kind: 'revoked' } })
          for (let i = 0; i < DELAY.bob && !w.alice.done; i++) w.mine()
          const { closing } = w.alice.onchain!
          expect(won(w, 'alice')).toBe(CAPACITY - closing.feeSat - closing.anchorsSat)
          expect(w.alice.refused).toEqual([])
        },
      ),
      { numRuns: 12 },
    )
  })

  it('pays us what is ours where nothing but a backup is left of the channel', () => {
    const w = world({ type: 'anchors', opener: 'bob', number: 6, htlcs: [], copied: ['paymentBasepoint'] })
    w.alice.channel = { ...w.alice.channel, restored: true }
    w.bob.forceClose()
    w.mine()
    expect(w.alice.onchain).toMatchObject({ how: 'remote-force', closing: { kind: 'future' } })
    for (let i = 0; i < 8; i++) w.mine()
    expect(won(w, 'alice')).toBe(CAPACITY / 2n)
  })
})
