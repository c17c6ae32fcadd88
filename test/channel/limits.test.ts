import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { channelOf, sendableMsat } from '../../src/channel/describe.ts'
import { isTooDear } from '../../src/channel/onchain/plan.ts'
import type { ChannelTypeName } from '../../src/channel/types.ts'
import { add, faultsOf, preimageOf, reachNormal, type World, type WorldOptions } from './harness.ts'

describe('BOLT 2 §bounding-exposure-to-trimmed-in-flight-htlcs: dust HTLC exposure (CVE-2021-41591 to -41593)', () => {
  it('counts what both sides add at the same time together', () => {
    const policy = { maxDustExposureMsat: msat(500_000) }
    const w = reachNormal({ pushMsat: msat(500_000_000), policy })
    w.alice.command(add(1, 300_000))
    w.bob.command(add(2, 300_000))
    w.settle()
    // Each found the other's on the way when its own had gone out already: neither gives a preimage for it.
    const marks = w.sides.map((s) => s.events.map((e) => e.tag === 'received' && e.htlc.excessDust === true))
    expect(marks).toEqual([[true], [true]])
  })

  for (const opener of ['alice', 'bob'] as const) {
    it(`a feerate of ${opener} that takes the outputs of too many HTLCs changes neither commitment, and closes nothing`, () => {
      const policy = { maxDustExposureMsat: msat(5_000_000) }
      const w = reachNormal({ channelType: 'static_remotekey', opener, pushMsat: msat(400_000_000), policy })
      for (let n = 0; n < 4; n++) w.side(n % 2 ? 'alice' : 'bob').command(add(n, 3_000_000))
      w.settle()
      const honest = w.side(opener === 'alice' ? 'bob' : 'alice')
      w.side(opener).command({ tag: 'updateFee', feeratePerKw: 9_000 })
      expect(w.side(opener).outbox).toEqual([])
      const { channelId } = w.alice.channel.params
      w.receive(honest.name, { type: 'update_fee', channelId, feeratePerKw: 9_000 })
      expect(faultsOf(honest)).toMatchObject([{ code: 'DUST_EXPOSURE', response: 'warn-peer' }])
      w.connect()
      w.settle()
      expect(w.sides.map((s) => [s.state!.tag, s.channel.commitments.local.feeratePerKw])).toEqual([
        ['normal', 1000],
        ['normal', 1000],
      ])
      // A fall is never refused: it gives outputs back.
      w.side(opener).command({ tag: 'updateFee', feeratePerKw: 600 })
      w.settle()
      expect(w.sides.map((s) => s.channel.commitments.local.feeratePerKw)).toEqual([600, 600])
    })
  }
})

describe('the fee of commitments that the peer pays, and may earn as a miner (fee of an old commitment, 2024)', () => {
  /** bob, who did not open the channel, tolerates 200,000 sat without an output; his estimates are of 1,000 sat per kw. */
  const opened = (feeratePerKw: number, over: object = {}) => {
    const policy = {
      maxDustExposureMsat: msat(200_000_000),
      feerateTolerancePercent: { low: 25, high: 100_000 },
      ...over,
    }
    const w = reachNormal({ channelType: 'anchors', pushMsat: msat(400_000_000), policy })
    w.receive('bob', { type: 'update_fee', channelId: w.bob.channel.params.channelId, feeratePerKw })
    return w
  }
  it('counts against what may be without output, as far as it is beyond every estimate: an old commitment brings no more', () => {
    // 1,124 weight units at 177,935 sat per kw more than the 2,500 that are never too high come to 199,998 sat.
    expect(faultsOf(opened(180_435).bob)).toEqual([])
    expect(faultsOf(opened(180_437).bob)).toMatchObject([{ code: 'DUST_EXPOSURE', response: 'warn-peer' }])
  })
  it('is no matter where the estimates say the same', () => {
    const w = reachNormal({ channelType: 'anchors', pushMsat: msat(400_000_000) })
    w.bob.ctx = { ...w.bob.ctx, feerates: { ...w.bob.ctx.feerates, claim: 200_000, commitment: 20_000 } }
    w.receive('bob', { type: 'update_fee', channelId: w.bob.channel.params.channelId, feeratePerKw: 200_000 })
    expect(faultsOf(w.bob)).toEqual([])
  })
  it('leaves no room for HTLCs that would raise it further', () => {
    const w = reachNormal({
      channelType: 'anchors',
      pushMsat: msat(400_000_000),
      policy: { maxDustExposureMsat: msat(2_000_000) },
    })
    // 1,124 weight units at 1,500 more than is ever needed: 1,686 sat. Each HTLC has 258 of its own.
    w.alice.command({ tag: 'updateFee', feeratePerKw: 4_000 })
    w.settle()
    for (const n of [1, 2]) {
      w.alice.command(add(n, 50_000_000))
      w.settle()
    }
    expect(w.bob.events.map((e) => e.tag === 'received' && e.htlc.excessDust === true)).toEqual([false, true])
    w.bob.command(add(3, 50_000_000))
    expect(w.bob.events.at(-1)).toMatchObject({ tag: 'rejected', fault: { code: 'DUST_EXPOSURE' } })
  })
})

describe('the fee of HTLC transactions without anchors, which the HTLCs pay', () => {
  it('is limited like what has no output: of the HTLCs little more would be left, and a peer that mines has the rest', () => {
    const policy = { maxDustExposureMsat: msat(200_000_000), feerateTolerancePercent: { low: 25, high: 100_000 } }
    const w = reachNormal({
      channelType: 'static_remotekey',
      capacitySat: sat(10_000_000),
      policy,
      feeratePerKw: 40_000,
    })
    for (let n = 0; n < 12; n++) {
      w.alice.command(add(n, 40_000_000))
      w.settle()
    }
    const isTaken = w.bob.events.map((e) => e.tag === 'received' && e.htlc.excessDust !== true)
    // 703 weight units for each HTLC, at 37,500 sat per kw more than is ever needed.
    const claims = (htlcs: number): number => (703 * htlcs * 37_500) / 1000
    expect([claims(7) <= 200_000, claims(8) <= 200_000]).toEqual([true, false])
    expect(isTaken).toEqual([...Array(7).fill(true), ...Array(5).fill(false)])
  })
})

describe('HTLCs that wait for the peer to revoke until they expire', () => {
  const EXPIRY = 600
  /** alice has offered a second HTLC, which she cannot sign for: bob holds back his revocation, and the connection up. */
  function heldBack(): World {
    const w = reachNormal({ pushMsat: msat(500_000_000) })
    w.alice.command(add(1, 50_000_000))
    w.deliver('alice')
    w.deliver('alice')
    w.alice.command(add(2, 50_000_000))
    return w
  }
  const block = (w: World, height: number): void => {
    w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
    w.alice.step({ tag: 'chain', event: { tag: 'block', height } })
  }
  const sent = (w: World): readonly string[] => w.alice.outbox.map((m) => m.type)

  it('are never signed for: the peer could claim them when those that they forward have gone back', () => {
    const w = heldBack()
    block(w, EXPIRY - 1)
    expect(faultsOf(w.alice)).toEqual([])
    block(w, EXPIRY)
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'EXPIRY_TOO_SOON', response: 'warn-peer' }])
    w.alice.outbox.splice(0)
    // The revocation comes before the connection is gone.
    while (w.deliver('bob'));
    expect(sent(w)).not.toContain('commitment_signed')
    w.disconnect()
    expect(w.alice.events.at(-1)).toMatchObject({ tag: 'rejected', fault: { code: 'PEER_OFFLINE' } })
    w.connect()
    w.settle()
    expect(
      w.sides.map(
        (s) => [...s.channel.commitments.outgoing.chunks, ...s.channel.commitments.incoming.chunks].flat().length,
      ),
    ).toEqual([1, 1])
  })

  it('go on when the peer revokes in time', () => {
    const w = heldBack()
    block(w, EXPIRY - 1)
    w.settle()
    expect(w.bob.events.filter((e) => e.tag === 'received')).toHaveLength(2)
  })
})

describe('HTLCs that the peer does not settle in time, tiny HTLCs among them', () => {
  const EXPIRY = 600
  /** alice has offered, or has the preimage of, one HTLC of each amount; bob is gone. */
  const late = (
    direction: 'out' | 'in',
    amounts: readonly number[],
    claim: number,
    over: Pick<WorldOptions, 'channelType' | 'feeratePerKw'> = {},
  ) => {
    const w = reachNormal({ ...over, pushMsat: msat(500_000_000), policy: { maxDustExposureMsat: msat(1e9) } })
    const from = direction === 'out' ? w.alice : w.bob
    for (const [n, sat] of amounts.entries()) from.command(add(n, sat * 1000))
    w.settle()
    w.disconnect()
    if (direction === 'in') {
      for (const n of amounts.keys()) w.alice.command({ tag: 'fulfillHtlc', id: BigInt(n), preimage: preimageOf(n) })
    }
    w.alice.ctx = { ...w.alice.ctx, feerates: { ...w.alice.ctx.feerates, claim } }
    const at = (height: number): boolean => {
      w.alice.ctx = { ...w.alice.ctx, blockHeight: height }
      w.alice.step({ tag: 'chain', event: { tag: 'block', height } })
      return w.alice.state!.tag === 'closing'
    }
    return { w, at }
  }
  const closesAt = ({ at }: ReturnType<typeof late>): number | null => {
    for (let h = EXPIRY - 30; h < EXPIRY + 30; h++) if (at(h)) return h
    return null
  }

  it('close the channel at their deadlines when they are worth it', () => {
    expect(closesAt(late('out', [50_000], 1_000))).toBe(EXPIRY + 2)
    expect(closesAt(late('in', [50_000], 1_000))).toBe(EXPIRY - 18)
  })

  for (const direction of ['out', 'in'] as const) {
    it(`never close it without an output, however many there are: ${direction}`, () => {
      const dust = Array.from({ length: 40 }, () => 353)
      const run = late(direction, dust, 253)
      expect(closesAt(run)).toBeNull()
      expect(channelOf(run.w.alice.state!)!.commitments[direction === 'out' ? 'outgoing' : 'incoming'].size).toBe(40)
    })

    it(`never close it when none is worth its claim, though all together are, and do when fees fall: ${direction}`, () => {
      // At 20 sat per vbyte a claim costs 8,000 sat, and the close 20,000 sat.
      const run = late(direction, Array(9).fill(900), 5_000)
      expect(closesAt(run)).toBeNull()
      const { w, at } = run
      const atFeerate = (claim: number, height: number): boolean => {
        w.alice.ctx = { ...w.alice.ctx, feerates: { ...w.alice.ctx.feerates, claim } }
        return at(height)
      }
      expect(atFeerate(1_000, EXPIRY + 30)).toBe(false)
      expect(atFeerate(850, EXPIRY + 31)).toBe(true)
    })
  }

  describe('over feerates, amounts and numbers', () => {
    interface Case {
      readonly direction: 'out' | 'in'
      readonly type: ChannelTypeName
      /** Of the commitment, and by the estimate, sat per 1,000 weight units. */
      readonly own: number
      readonly claim: number
      /** Of each HTLC, how far it is from nothing to the most of its kind. */
      readonly parts: readonly number[]
    }
    const cases = (most: number): fc.Arbitrary<Case> =>
      fc.record({
        direction: fc.constantFrom('out', 'in'),
        type: fc.constantFrom<ChannelTypeName>('static_remotekey', 'anchors'),
        own: fc.integer({ min: 253, max: 4_000 }),
        claim: fc.integer({ min: 253, max: 12_000 }),
        parts: fc.array(
          fc.nat(1_000).map((n) => n / 1_000),
          { minLength: 1, maxLength: most },
        ),
      })
    const fee = (weight: number, feerate: number): number => Math.floor((weight * feerate) / 1000)
    /** An HTLC transaction, with the wallet's input and change where there are anchors, and a sweep; what that leaves is no dust. */
    const claimCost = ({ direction, type, own }: Case, estimate: number): number => {
      const stage = direction === 'out' ? 663 : 703
      return fee(type === 'anchors' ? stage + 3 + 396 : stage, type === 'anchors' ? estimate : own) + fee(533, estimate)
    }
    const LEAST_LEFT = 330
    /** The least that is worth its own claim. */
    const worth = (c: Case): number => claimCost(c, c.claim) + LEAST_LEFT
    /** What a claim leaves once fees are at their lowest. */
    const leftAtFloor = (c: Case, amount: number): number => {
      const left = amount - claimCost(c, 253)
      return left < LEAST_LEFT ? 0 : left
    }
    /** The commitment with its child, the anchors, and a sweep of the balance. */
    const closeCost = ({ type, own, claim }: Case, outputs: number): number => {
      const [bare, child, anchors] = type === 'anchors' ? [1124, 718, 660] : [724, 0, 0]
      const weight = bare + 172 * outputs
      return Math.max(fee(weight, own), fee(weight + child, claim)) + anchors + fee(533, claim)
    }
    const play = (c: Case, amounts: readonly number[]) => {
      const run = late(c.direction, amounts, c.claim, { channelType: c.type, feeratePerKw: c.own })
      const { commitments } = run.w.alice.channel
      expect(commitments[c.direction === 'out' ? 'outgoing' : 'incoming'].size).toBe(amounts.length)
      const outputs = commitments.next.local.untrimmed
      const due = c.direction === 'out' ? EXPIRY + 2 : EXPIRY - 18
      expect(run.at(due - 1)).toBe(false)
      return { closes: run.at(due), outputs, alice: run.w.alice }
    }

    it('tiny ones never close it: they hold no more, beyond the cheapest claim, than their outputs cost the commitment', () => {
      fc.assert(
        fc.property(cases(40), (c) => {
          const most = claimCost(c, 253) + Math.max(LEAST_LEFT - 1, fee(172, c.claim))
          const amounts = c.parts.map((part) => Math.max(1, Math.round(part * most)))
          expect(play(c, amounts).closes).toBe(false)
        }),
        { numRuns: 20 },
      )
    })

    it('a single one that is worth its own claim always does, whatever is beside it, and is not too dear for what then claims it', () => {
      fc.assert(
        fc.property(cases(8), fc.nat(20_000), (c, beyond) => {
          const small = c.parts.map((part) => Math.max(1, Math.round(part * (worth(c) - 1))))
          const { closes, alice } = play(c, [...small, worth(c) + beyond])
          expect(closes).toBe(true)
          const { state, ctx } = alice
          const closing = state!.tag === 'closing' ? state : null
          const outputs = closing!.onchain.outputs.filter((o) => o.htlc?.id === BigInt(small.length))
          expect(outputs.map((o) => isTooDear(closing!.channel, o, ctx))).toEqual([false])
        }),
        { numRuns: 20 },
      )
    })

    it('many that are not worth their own claims do when they hold more than the close and their claims at the lowest fees cost', () => {
      const seen = new Set<boolean>()
      fc.assert(
        fc.property(cases(24), (c) => {
          const amounts = c.parts.map((part) => Math.max(1, Math.round(part * (worth(c) - 1))))
          const { closes, outputs } = play(c, amounts)
          const pile = amounts.reduce((sum, amount) => sum + leftAtFloor(c, amount), 0)
          expect(closes).toBe(pile > closeCost(c, outputs))
          seen.add(closes)
        }),
        { numRuns: 40, endOnFailure: true },
      )
      expect(seen).toEqual(new Set([true, false]))
    })
  })
})

describe('BOLT 2 §adding-an-htlc: sending node', () => {
  /** LDK fails the channel for one: it counts what a fulfilled HTLC brings from the commitment_signed on that is without it. */
  it.each(['alice', 'bob'] as const)(
    'offers nothing of what it has by an update_fulfill_htlc that it has not signed for; %s opened',
    (opener) => {
      const w = reachNormal({ opener, pushMsat: msat(500_000_000) })
      w.alice.command(add(1, 50_000_000))
      w.settle()
      const sendable = (): bigint => sendableMsat(w.bob.channel)
      // While alice has yet to revoke, bob signs nothing more.
      w.bob.command(add(2, 1_000_000))
      const before = sendable()
      w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
      // The fee of an HTLC less is what an opener may have more.
      expect(sendable() - before).toBeLessThan(1_000_000n)
      const spending = add(3, Number(before) + 1_000_000)
      w.bob.command(spending)
      expect(w.bob.channel.commitments.outgoing.size).toBe(1)
      w.settle()
      expect(sendable()).toBeGreaterThan(before + 49_000_000n)
      w.bob.command(spending)
      expect(w.bob.channel.commitments.outgoing.size).toBe(2)
      w.settle()
      expect(w.sides.map((s) => [s.state!.tag, s.channel.commitments.local.number > 0])).toEqual([
        ['normal', true],
        ['normal', true],
      ])
    },
  )
})
