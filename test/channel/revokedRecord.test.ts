import { isDeepStrictEqual } from 'node:util'
import { serialize } from 'node:v8'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { pack } from '../../src/base/pack.ts'
import { msat } from '../../src/base/units.ts'
import type { RevokedHtlc } from '../../src/channel/htlc.ts'
import { channelOps, REVOKED_PREFIX } from '../../src/channel/persist.ts'
import { decodeRevoked, encodeRevoked } from '../../src/channel/revokedRecord.ts'
import { add, preimageOf, reachNormal, type World } from './harness.ts'
import type { Side } from './side.ts'

const number = fc.nat(2 ** 32 - 1)
const htlc: fc.Arbitrary<RevokedHtlc> = fc
  .record({
    direction: fc.constantFrom('out' as const, 'in' as const),
    amountMsat: fc.bigInt(1n, 21_000_000n * 10n ** 11n).map(msat),
    paymentHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => toHex(b) as PaymentHash),
    cltvExpiry: number,
    remoteFrom: fc.nat(2 ** 47),
    commitments: number,
  })
  .map(({ commitments, ...h }) => ({ ...h, remoteTo: h.remoteFrom + commitments }))

describe('what is kept of an HTLC that has left the channel', () => {
  it('comes back as it was, also from how it was written before', () => {
    fc.assert(
      fc.property(htlc, (h) => {
        expect(isDeepStrictEqual(decodeRevoked(encodeRevoked(h)), h)).toBe(true)
        expect(isDeepStrictEqual(decodeRevoked(pack(h)), h)).toBe(true)
      }),
    )
  })

  it('is 50 bytes for a payment of some years from now, in the millionth commitment', () => {
    const amountMsat = msat(4_000_000_000n)
    const paymentHash = 'ab'.repeat(32) as PaymentHash
    const h = { amountMsat, paymentHash, cltvExpiry: 1_200_000, remoteFrom: 1_000_000, remoteTo: 1_000_002 }
    expect(encodeRevoked({ direction: 'out', ...h }).length).toBeLessThanOrEqual(50)
  })
})

describe('the HTLCs that a channel has seen', () => {
  /** One payment from offer to settlement, with all that it has written. */
  function payment(w: World, n: number, side: Side) {
    const [payer, payee] = n % 2 === 0 ? [w.alice, w.bob] : [w.bob, w.alice]
    const batches: { readonly ops: number; readonly bytes: number }[] = []
    let before = side.state
    side.onFlush = () => {
      const ops = channelOps(before, side.state!)
      before = side.state
      const live = ops.reduce((sum, op) => sum + op.key.length + (op.value?.length ?? 0), 0)
      batches.push({ ops: ops.length, bytes: live })
    }
    payer.command(add(n, 5_000_000))
    w.settle()
    payee.command({ tag: 'fulfillHtlc', id: BigInt(n >> 1), preimage: preimageOf(n) })
    w.settle()
    side.onFlush = () => {}
    const { next: _, ...channel } = { ...side.channel.commitments }
    return { batches, memory: serialize(channel).length }
  }

  it('are one small record each: no write and no state in memory grows with their number', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    const seen = Array.from({ length: 130 }, (_, n) => payment(w, n, w.alice))
    expect(w.alice.revokedRecords().length).toBe(130)
    const kept = [...w.alice.records].filter(([key]) => key.startsWith(REVOKED_PREFIX))
    expect(Math.max(...kept.map(([, value]) => value.length))).toBeLessThanOrEqual(50)

    const [early, late] = [seen[4]!, seen[128]!]
    expect(late.batches.map((b) => b.ops)).toEqual(early.batches.map((b) => b.ops))
    // Numbers get longer, and the peer's secrets take a slot more each time that their count doubles.
    for (const [i, b] of late.batches.entries()) expect(b.bytes - early.batches[i]!.bytes).toBeLessThan(100)
    expect(late.memory - early.memory).toBeLessThan(32 * 6 + 100)
  })
})
