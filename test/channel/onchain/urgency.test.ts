import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outpointKey, type Txid } from '../../../src/base/ids.ts'
import { type Sat, sat } from '../../../src/base/units.ts'
import { txidOf } from '../../../src/bitcoin/transaction.ts'
import { anchorPlan, rivalPlans } from '../../../src/channel/onchain/anchor.ts'
import { planClaims } from '../../../src/channel/onchain/plan.ts'
import { planSweeps, type ReadyOutput } from '../../../src/channel/onchain/sweeps.ts'
import { ceilingOf, feerateFor, offerDeadline, raised, URGENT_BLOCKS } from '../../../src/channel/onchain/urgency.ts'
import { leastDelta, unsafeMargins } from '../../../src/node/margins.ts'
import { channelOf, contextOf, DELAY, FEERATE, type HtlcSpec, type Setup, START, settled } from './fixture.ts'
import { Market } from './market.ts'
import { type World, world } from './world.ts'

const htlc = (from: 'alice' | 'bob', amountSat: number, blocks: number, n: number, knows: boolean): HtlcSpec => ({
  from,
  amountSat,
  cltvExpiry: START + blocks,
  n,
  knows,
})

it('an HTLC that was forwarded is due before the one that it came by expires, whatever our channel asks for by now (claim without its deadline)', () => {
  const channel = channelOf('alice', { type: 'anchors', opener: 'bob', number: 3, htlcs: [] })
  const origin = { tag: 'forward', channelId: channel.params.channelId, htlcId: 7n } as const
  const due = (cltvExpiryDelta: number, cameBy: number | null): number => {
    const asking = { ...channel, relay: { ...channel.relay, cltvExpiryDelta } }
    const { policy } = contextOf('alice', START)
    return offerDeadline(asking, { cltvExpiry: 1_000, origin }, { policy, incomingExpiry: () => cameBy })
  }
  // Twelve blocks are left for what comes after; a long delta is no reason to take one's time.
  for (const asked of [26, 80]) expect([due(asked, 1_026), due(asked, 1_090)]).toEqual([1_014, 1_034])
  // Of one that is gone the channel tells, and nothing comes after.
  expect([due(26, null), due(80, null)]).toEqual([1_020, 1_034])
})

it('an HTLC that was forwarded is due with time for its depth, and for what it came by, in all margins that are taken as safe', () => {
  const channel = channelOf('alice', { type: 'anchors', opener: 'bob', number: 3, htlcs: [] })
  const origin = { tag: 'forward', channelId: channel.params.channelId, htlcId: 7n } as const
  fc.assert(
    fc.property(fc.nat(150), fc.nat(60), fc.nat(60), (htlcFailDepth, closeBeforeExpiry, more) => {
      const minFinalCltvExpiryDelta = closeBeforeExpiry + 6
      const cltvExpiryDelta = leastDelta({ closeBeforeExpiry, htlcFailDepth }) + more
      if (unsafeMargins({ cltvExpiryDelta, closeBeforeExpiry, minFinalCltvExpiryDelta, htlcFailDepth })) return
      const cameBy = 1_000 + cltvExpiryDelta
      const policy = { ...contextOf('alice', START).policy, closeBeforeExpiry, htlcFailDepth }
      const due = offerDeadline(channel, { cltvExpiry: 1_000, origin }, { policy, incomingExpiry: () => cameBy })
      expect(due + htlcFailDepth).toBeLessThanOrEqual(cameBy - 6)
      expect(due).toBeLessThanOrEqual(cameBy - closeBeforeExpiry)
      // Two blocks of grace for the peer, and six for the close and the claim.
      expect(due).toBeGreaterThanOrEqual(1_008)
    }),
    { numRuns: 1_000 },
  )
})

describe('the feerate of what has a deadline', () => {
  const feerates = { commitment: 1_000, closing: 2_000, claim: 4_000, slow: 500 }
  const at = (blocksLeft: number | null, budgetSat = 500_000n as Sat) =>
    feerateFor(
      blocksLeft === null ? null : 1_000 + blocksLeft,
      { weight: 1_000, budgetSat },
      { blockHeight: 1_000, feerates },
    )

  it('is the slow estimate when nothing presses, the soonest near the deadline', () => {
    expect([null, 1_000, 100, 50, 20].map((left) => at(left))).toEqual([500, 500, 2_000, 2_000, 4_000])
  })

  it('climbs within the last 18 blocks, late, and ends at the whole budget', () => {
    const rates = Array.from({ length: URGENT_BLOCKS + 4 }, (_, i) => at(URGENT_BLOCKS - i))
    for (let i = 1; i < rates.length; i++) expect(rates[i]).toBeGreaterThanOrEqual(rates[i - 1]!)
    expect(rates[6]).toBeLessThan(2 * 4_000)
    expect(rates.slice(-4)).toEqual([250_000, 250_000, 250_000, 250_000])
    expect(at(-3, 20_000n as Sat)).toBe(20_000)
  })

  it('never leaves the budget, whatever the estimates say', () => {
    for (const left of [null, 100, 10, 0]) expect(at(left, 300n as Sat)).toBeLessThanOrEqual(300)
    expect(ceilingOf({ weight: 1_000, budgetSat: sat(300), paidSat: sat(200) })).toBe(500)
  })

  it('is raised by what a replacement must pay, or not at all', () => {
    expect(raised(1_000, 1_010, 9_000)).toBeNull()
    expect(raised(1_000, 1_100, 9_000)).toBe(1_253)
    expect(raised(1_000, 3_000, 9_000)).toBe(3_000)
    expect(raised(1_000, 3_000, 2_000)).toBeNull()
  })
})

describe('BOLT 5 §failing-a-channel (option_anchors): what pays for a commitment', () => {
  const plan = (htlcs: readonly HtlcSpec[], blocks = 0, rates = { slow: 300, closing: 1_000, claim: 2_000 }) => {
    const w = world({ type: 'anchors', opener: 'alice', number: 3, htlcs }, Market)
    w.chain.height += blocks
    w.alice.forceClose()
    const ctx = { ...w.alice.ctx, feerates: { ...w.alice.ctx.feerates, ...rates } }
    return {
      own: anchorPlan(w.alice.channel, w.alice.onchain!, ctx)!,
      rivals: rivalPlans(w.alice.channel, w.alice.onchain!, ctx),
    }
  }

  it('is a slow feerate when nothing is at stake but time, and little of our balance', () => {
    const { own } = plan([])
    expect(own.feeratePerKw).toBe(300)
    expect(own.budgetSat).toBeLessThan(120_000n)
    // HTLCs that the peer offered and that we know no preimage of are not ours to lose.
    expect(plan([htlc('bob', 500_000, 10, 1, false)]).own.feeratePerKw).toBe(300)
  })

  it('follows the nearest deadline of the HTLCs in it, up to half of their value', () => {
    const far = htlc('bob', 200_000, 60, 1, true)
    const near = htlc('bob', 100_000, 16, 2, true)
    expect(plan([far]).own.feeratePerKw).toBe(1_000)
    const { own } = plan([far, near])
    expect(own.feeratePerKw).toBeGreaterThan(2_000)
    expect(own.budgetSat).toBe(150_000n)
    expect(plan([far, near], 9).own.feeratePerKw).toBeGreaterThan(own.feeratePerKw)
  })

  /** What a child adds to what the commitment pays by itself. */
  const added = ({ own }: ReturnType<typeof plan>): number =>
    (own.feeratePerKw * (own.weight + 42 + 280 + 272 + 124)) / 1000 - Number(own.feeSat)

  it('is no more than half of what is lost by then: a small HTLC that is due has nothing of a large one that is not', () => {
    const small = htlc('bob', 6_000, 5, 1, true)
    const large = htlc('bob', 3_000_000, 500, 2, true)
    for (const blocks of [0, 5, 100]) {
      const both = plan([small, large], blocks)
      expect(both.own.feeratePerKw).toBeGreaterThan(1_000)
      expect(added(both)).toBeLessThanOrEqual(3_000)
      expect(both.own.budgetSat).toBe(1_503_000n)
    }
    // The other way round there is all of it, and what was due before is lost as well.
    expect(added(plan([small, large], 500))).toBeGreaterThan(500_000)
  })

  it('is never less for a small HTLC beside our balance: a peer that lets one hang would keep all of it', () => {
    const dear = { slow: 5_000, closing: 8_000, claim: 10_000 }
    expect(plan([], 0, dear).own.feeratePerKw).toBe(5_000)
    for (const from of ['alice', 'bob'] as const) {
      const { own, rivals } = plan([htlc(from, 1_000, 60, 1, true)], 0, dear)
      expect([own, ...rivals].map((p) => p.feeratePerKw)).toEqual([5_000, 5_000])
    }
  })

  it('has no haste with a payment of our own that expired while the node was away, for as long as with one that expires now', () => {
    const paid = htlc('alice', 200_000, 10, 1, false)
    const began = plan([paid], 10)
    expect(began.own.feeratePerKw).toBe(1_000)
    expect(plan([paid], 1_000)).toMatchObject({
      own: { feeratePerKw: 1_000, urgentSat: 0n },
      rivals: [{ feeratePerKw: 1_000, urgentSat: 0n }],
    })
    // Where its commitment comes into no block, it has in the end.
    const w = world({ type: 'anchors', opener: 'alice', number: 3, htlcs: [paid] }, Market)
    w.chain.height += 1_000
    w.alice.forceClose()
    const feerateAfter = (blocks: number): number =>
      anchorPlan(w.alice.channel, w.alice.onchain!, { ...w.alice.ctx, blockHeight: w.chain.height + blocks })!
        .feeratePerKw
    expect([0, 100, 137].map(feerateAfter).map((rate) => rate > 10_000)).toEqual([false, false, true])
  })

  it('leaves the wallet what the HTLC transactions need that follow, and each of those what the others need', () => {
    const claims = [
      htlc('bob', 100_000, 60, 1, true),
      htlc('bob', 200_000, 40, 2, true),
      htlc('alice', 150_000, 50, 3, false),
    ]
    const { own, rivals } = plan([...claims, htlc('bob', 300_000, 30, 4, false)])
    // Weights of BOLT 3 and what a wallet adds to them, at 2,000 sat per kw; the last one is nobody's to claim.
    const [success, timeout] = [2n * (706n + 396n), 2n * (666n + 396n)]
    expect(own.leaveSat).toBe(2n * success + timeout)
    expect(rivals.map((r) => r.leaveSat)).toEqual([0n])

    const w = world({ type: 'anchors', opener: 'alice', number: 3, htlcs: claims }, Market)
    w.alice.forceClose()
    w.mine()
    const ctx = { ...w.alice.ctx, feerates: { ...w.alice.ctx.feerates, claim: 2_000 } }
    const stages = planClaims(w.alice.channel, w.alice.onchain!, ctx).publish.filter((p) => p.addFees !== undefined)
    expect(stages.map((p) => [p.signAgain!.stage.cltvExpiry - w.chain.height, p.leaveSat])).toEqual([
      [39, success + timeout],
      [59, success + timeout],
    ])
  })

  it('is the same for the peer’s commitment, should that be the one in the mempools', () => {
    const { own, rivals } = plan([htlc('bob', 100_000, 16, 2, true)])
    expect(rivals.length).toBe(1)
    expect(rivals[0]!.txid).not.toBe(own.txid)
    expect(rivals[0]!.budgetSat).toBe(own.budgetSat)
    const bobs = world({ type: 'anchors', opener: 'alice', number: 3, htlcs: [htlc('bob', 100_000, 16, 2, true)] })
    bobs.bob.forceClose()
    expect(rivals[0]!.txid).toBe(bobs.bob.onchain!.closing.txid)
  })
})

describe('BOLT 5 §unilateral-close-handling-remote-commitment-transaction: an HTLC that costs more to claim in haste than it holds', () => {
  it('is claimed at the pace that its deadline allows, though haste may be dear until then', () => {
    const far = htlc('bob', 15_000, 400, 1, true)
    const w = world({ type: 'anchors', opener: 'alice', number: 3, htlcs: [far] }, Market)
    w.alice.claim = 40_000
    w.bob.forceClose()
    w.mine()
    const at = (blocks: number): number => {
      const feerates = { ...w.alice.ctx.feerates, slow: 400, closing: 20_000, claim: 40_000 }
      const ctx = { ...w.alice.ctx, blockHeight: START + blocks, feerates }
      return planClaims(w.alice.channel, w.alice.onchain!, ctx).publish.filter((p) => p.purpose === 'htlc').length
    }
    // In the last blocks before it, its budget may do where the estimate does not.
    expect([at(1), at(200), at(380), at(390)]).toEqual([1, 1, 0, 1])
  })
})

describe('BOLT 5 §revoked-transaction-close-handling (option_anchors): penalties, which no pinning holds back', () => {
  const old = [
    htlc('alice', 100_000, 90, 1, true),
    htlc('alice', 200_000, 90, 2, false),
    htlc('bob', 150_000, 95, 3, false),
  ]

  function cheating(delay: number, htlcs: readonly HtlcSpec[] = old): World<Market> {
    const setup: Setup = { type: 'anchors', opener: 'bob', number: 3, htlcs }
    const w = world({ type: 'anchors', opener: 'bob', number: 6, htlcs: [] }, Market)
    const { params } = w.alice.channel
    w.alice.channel = { ...w.alice.channel, params: { ...params, local: { ...params.local, toSelfDelay: delay } } }
    w.alice.revokedHtlcs = settled('alice', setup, 5)
    w.bob.channel = channelOf('bob', setup)
    return w
  }
  const shapes = (w: World): readonly number[] => w.alice.onchain!.sweeps.map((s) => s.outpoints.length).sort()
  const bobsOnly = (w: World) => (tx: Parameters<typeof txidOf>[0]) => !w.alice.paid.has(txidOf(tx))

  it('share transactions, those of HTLCs apart from what the peer cannot touch', () => {
    const w = cheating(DELAY.bob)
    w.bob.forceClose()
    w.mine()
    expect(shapes(w)).toEqual([1, 1, 3])
  })

  it('are split into transactions of their own 18 blocks before their deadline, which get into the mempool', () => {
    const w = cheating(DELAY.bob)
    w.bob.forceClose()
    w.mine()
    const together = w.alice.onchain!.sweeps.find((s) => s.outpoints.length === 3)!
    w.mine(DELAY.bob - URGENT_BLOCKS - 1, bobsOnly(w))
    // Bob's own HTLC transactions confirm now: what is left of the sweep is claimed at once, the outputs that they made as well.
    const open = w.alice.onchain!.outputs.filter((o) => !o.spent)
    for (const o of open) expect(w.chain.spender(o.outpoint), outpointKey(o.outpoint)).toBeDefined()
    w.mine(1, () => false)
    expect(w.alice.onchain!.sweeps).not.toContainEqual(together)
    for (const s of w.alice.onchain!.sweeps) {
      const urgent = w.alice.onchain!.outputs.some(
        (o) =>
          s.outpoints.includes(outpointKey(o.outpoint)) &&
          o.since === w.alice.onchain!.closing.height &&
          o.spend.tag === 'penalty',
      )
      if (urgent) expect(s.outpoints.length).toBe(1)
    }
    for (const o of w.alice.onchain!.outputs.filter((o) => !o.spent)) expect(w.chain.spender(o.outpoint)).toBeDefined()
    expect(w.alice.refused).toEqual([])
  })

  it('of many small HTLCs are still raised together where none of them can pay for the removal of what they share', () => {
    const small = Array.from({ length: 20 }, (_, i) => htlc('alice', 6_000, 90, i + 1, false))
    const w = cheating(URGENT_BLOCKS + 4, small)
    w.bob.forceClose()
    w.mine()
    const penalties = () => w.alice.onchain!.outputs.filter((o) => o.spend.tag === 'penalty' && o.htlc !== null)
    expect(penalties().length).toBe(small.length)
    w.mine(4, () => false)
    // Blocks ask for twice of what they pay from here on, and a fee of half of what they hold would be enough.
    w.chain.floor = 2 * FEERATE
    w.alice.claim = w.chain.floor
    w.mine(URGENT_BLOCKS)
    expect(penalties().filter((o) => o.spent === null)).toEqual([])
  })

  it('that a reorganisation undoes are the same transactions again: what replaces them has to pay more than they do', () => {
    const w = cheating(
      DELAY.bob,
      old.map((h) => ({ ...h, knows: false })),
    )
    w.bob.forceClose()
    w.mine()
    const published = () => {
      const { outputs, sweeps } = w.alice.onchain!
      const txids = outputs.map((o) => w.chain.spender(o.outpoint)).map((tx) => tx && txidOf(tx))
      return { txids, shapes: sweeps.map((s) => s.outpoints.length).sort() }
    }
    const before = published()
    w.mine()
    expect(w.alice.onchain!.sweeps).toEqual([])
    w.alice.claim = 300
    w.chain.reorg(1)
    w.alice.reorg(w.chain.height)
    expect(published()).toEqual(before)
    w.mine(DELAY.bob - URGENT_BLOCKS, () => false)
    for (const o of w.alice.onchain!.outputs)
      if (o.spend.tag === 'penalty') expect(w.chain.spender(o.outpoint)?.inputs.length, outpointKey(o.outpoint)).toBe(1)
    expect(w.alice.refused).toEqual([])
  })
})

describe('a sweep that waits for long', () => {
  it('is raised with every six blocks, but not with those that are caught up with in seconds', () => {
    const { ctx } = world({ type: 'anchors', opener: 'alice', number: 3, htlcs: [] }, Market).alice
    const outpoint = { txid: '11'.repeat(32) as Txid, index: 0 }
    const spend = { tag: 'to-remote', witnessScript: null } as const
    const output: ReadyOutput = { outpoint, amountSat: sat(1_000_000), spend, preimage: null, deadline: null }
    const ready = new Map([[outpointKey(outpoint), output]])
    const rateAfter = (blocks: number, isBehind: boolean): number => {
      let sweeps = planSweeps([], ready, ctx)
      for (let i = 1; i <= blocks; i++) {
        sweeps = planSweeps(sweeps, ready, { ...ctx, blockHeight: ctx.blockHeight + i, isBehind })
      }
      expect(sweeps.length).toBe(1)
      return sweeps[0]!.feeratePerKw
    }
    const first = rateAfter(0, false)
    expect(rateAfter(5, false)).toBe(first)
    expect(rateAfter(100, false)).toBeGreaterThan(3 * first)
    expect(rateAfter(100, true)).toBe(first)
  })
})
