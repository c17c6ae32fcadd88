import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outpointKey } from '../../../src/base/ids.ts'
import type { Transaction } from '../../../src/bitcoin/transaction.ts'
import { eachHtlc, replaceHtlc } from '../../../src/channel/htlcTable.ts'
import { planClaims } from '../../../src/channel/onchain/plan.ts'
import { describeOnchain } from '../../../src/channel/onchain/view.ts'
import type { Channel } from '../../../src/channel/state.ts'
import type { ChannelTypeName } from '../../../src/channel/types.ts'
import {
  CAPACITY,
  channelOf,
  contextOf,
  DELAY,
  FEERATE,
  FUNDING,
  type HtlcSpec,
  type Name,
  preimageOf,
  START,
  settled,
} from './fixture.ts'
import { Market } from './market.ts'
import { won, world } from './world.ts'

/** 400 sat per vbyte. */
const DEAR = 100_000
const EXPIRY = START + 10
/** That of the channel (fixture.ts), of which six are for what comes after. */
const DELTA = 40

/** What alice offered came from somebody. */
function forwarded(channel: Channel): Channel {
  const { commitments } = channel
  let { outgoing } = commitments
  for (const htlc of eachHtlc(outgoing)) {
    const origin = { tag: 'forward', channelId: channel.params.channelId, htlcId: htlc.add.id + 7n } as const
    outgoing = replaceHtlc(outgoing, { ...htlc, add: { ...htlc.add, origin } })
  }
  return { ...channel, commitments: { ...commitments, outgoing } }
}

describe('BOLT 5 §htlc-output-handling-local-commitment-local-offers: an HTLC that is too dear to claim for a while', () => {
  it('is not failed upstream as long as fees may fall: its peer, that waited for just that, gets nothing', () => {
    fc.assert(
      fc.property(
        fc.record({
          type: fc.constantFrom<ChannelTypeName>('static_remotekey', 'anchors'),
          closer: fc.constantFrom<Name>('alice', 'bob'),
          amountSat: fc.integer({ min: 2_000, max: 60_000 }),
          dearFor: fc.integer({ min: 0, max: DELTA - 8 }),
        }),
        ({ type, closer, amountSat, dearFor }) => {
          const spec: HtlcSpec = { from: 'alice', amountSat, cltvExpiry: EXPIRY, n: 1, knows: false }
          const setup = { type, opener: 'bob' as const, number: 3, htlcs: [spec] }
          const w = world(setup)
          w.alice.channel = forwarded(channelOf('alice', setup))
          w.alice.claim = DEAR
          w[closer].forceClose()
          while (w.chain.height < EXPIRY + dearFor) w.mine()
          // Bob takes it as soon as alice cannot be paid for it any more.
          if (w.alice.events.some((e) => e.tag === 'failed') && !w.alice.done) w.bob.learn(0n, preimageOf(spec))
          w.alice.claim = FEERATE
          w.finish()
          expect(w.alice.events).toMatchObject([{ tag: 'failed', id: 0n }])
          expect(won(w, 'alice')).toBe(CAPACITY / 2n)
        },
      ),
      { numRuns: 8 },
    )
  })

  it('is let go before the HTLC that it came by expires', () => {
    const spec: HtlcSpec = { from: 'alice', amountSat: 20_000, cltvExpiry: EXPIRY, n: 1, knows: false }
    const setup = { type: 'anchors' as const, opener: 'bob' as const, number: 3, htlcs: [spec] }
    const w = world(setup)
    w.alice.channel = forwarded(channelOf('alice', setup))
    w.alice.claim = DEAR
    w.alice.forceClose()
    while (w.chain.height < EXPIRY + DELTA - 7) w.mine()
    expect(w.alice.events).toEqual([])
    w.mine()
    expect(w.alice.events).toMatchObject([{ tag: 'failed', id: 0n }])
  })

  it('of our own is let go no sooner where the node was away past its expiry: fees may fall as for any other', () => {
    const spec: HtlcSpec = { from: 'alice', amountSat: 20_000, cltvExpiry: EXPIRY, n: 1, knows: false }
    const w = world({ type: 'anchors', opener: 'bob', number: 3, htlcs: [spec] })
    w.chain.height += 1_000
    w.alice.claim = DEAR
    w.alice.forceClose()
    w.mine(100)
    expect(w.alice.events).toEqual([])
    w.mine(50)
    expect(w.alice.events).toMatchObject([{ tag: 'failed', id: 0n }])
  })
})

describe('BOLT 5 §htlc-output-handling-local-commitment-local-offers: many HTLCs that are too dear to claim', () => {
  /** 12 sat per vbyte. */
  const RATE = 3_000
  const CAME_BY = EXPIRY + DELTA
  const closes = ({ inputs }: Transaction) => outpointKey(inputs[0]!) === outpointKey(FUNDING)

  function closedOver(closer: Name, amountSat: number) {
    const htlcs = Array.from({ length: 12 }, (_, i): HtlcSpec => {
      return { from: 'alice', amountSat, cltvExpiry: EXPIRY, n: i + 1, knows: false }
    })
    const setup = { type: 'anchors' as const, opener: 'bob' as const, number: 3, htlcs }
    const w = world(setup)
    w.alice.channel = forwarded(channelOf('alice', setup))
    const feerates = { commitment: FEERATE, closing: RATE, claim: RATE }
    w.alice.about = { feerates, incomingExpiry: () => CAME_BY }
    w[closer].forceClose()
    // At that feerate nothing that alice pays for her claims is enough.
    const until = (height: number) => w.mine(height - w.chain.height, closes)
    const letGoSat = () => w.alice.events.filter((e) => e.tag === 'failed').length * amountSat
    const take = () => htlcs.forEach((spec, i) => void w.bob.learn(BigInt(i), preimageOf(spec)))
    return { w, until, letGoSat, take, totalSat: amountSat * htlcs.length }
  }

  it('lets the smallest go at their expiry for no more than 1,000 sat together', () => {
    for (const closer of ['alice', 'bob'] as const) {
      const { until, letGoSat } = closedOver(closer, closer === 'alice' ? 800 : 1_000)
      until(CAME_BY - 7)
      expect(letGoSat()).toBeGreaterThan(0)
      expect(letGoSat()).toBeLessThanOrEqual(1_000)
    }
  })

  it('lets no more go than the close costs that it spares: the peer, with a node before us, takes the others for nothing', () => {
    const { w, until, letGoSat, take, totalSat } = closedOver('bob', 2_000)
    until(CAME_BY + 20)
    const lost = letGoSat()
    expect(lost).toBeGreaterThan(1_000)
    expect(lost).toBeLessThanOrEqual(7_000)
    take()
    w.mine(10)
    expect(w.alice.events.filter((e) => e.tag === 'fulfilled').length * 2_000).toBe(totalSat)
  })

  it('counts what other channels have let go of the same node before us', () => {
    const { w, until, letGoSat } = closedOver('bob', 2_000)
    w.alice.about = { ...w.alice.about, letGoElsewhere: () => 4_000n }
    until(CAME_BY + 20)
    expect(letGoSat()).toBe(2_000)
  })

  it('lets none go amid a block that they are due in: the peer may take them in the rest of it', () => {
    const { w, until, take } = closedOver('bob', 2_000)
    until(CAME_BY - 7)
    expect(w.alice.events).toEqual([])
    take()
    w.mine()
    expect(w.alice.events.map((e) => e.tag)).toEqual(Array.from({ length: 12 }, () => 'fulfilled'))
  })

  it('lets none go while blocks are caught up with: the peer may have taken them in the next one', () => {
    const { w, until, take } = closedOver('bob', 2_000)
    w.alice.about = { ...w.alice.about, isBehind: true }
    until(CAME_BY + 10)
    take()
    w.mine()
    expect(w.alice.events.map((e) => e.tag)).toEqual(Array.from({ length: 12 }, () => 'fulfilled'))
  })

  it('asks others once a block what they have let go by one channel, not for each HTLC or spend', () => {
    const { w, until, take } = closedOver('bob', 2_000)
    const { alice } = w
    let asked = 0
    const letGoElsewhere = () => {
      asked++
      return 10_000n
    }
    alice.about = { ...alice.about, letGoElsewhere }
    until(CAME_BY + 20)
    expect(asked).toBeGreaterThan(0)
    expect(asked).toBeLessThanOrEqual(CAME_BY + 21 - EXPIRY)
    take()
    asked = 0
    w.mine()
    expect(alice.events.filter((e) => e.tag === 'fulfilled')).toHaveLength(12)
    expect(asked).toBe(0)
  })

  it('lets more go with each day, where the node before spares its channel, and the rest once that has ended', () => {
    const { w, until, letGoSat, totalSat } = closedOver('bob', 1_000)
    until(CAME_BY)
    const first = letGoSat()
    until(CAME_BY + 2 * 144)
    expect(letGoSat()).toBe(first + 2_000)
    w.alice.about = { ...w.alice.about, incomingExpiry: () => null }
    w.mine(1, closes)
    expect(letGoSat()).toBe(totalSat)
    w.finish()
  })
})

describe('BOLT 5 §htlc-output-handling-local-commitment-remote-offers: an HTLC that is too dear to claim in haste', () => {
  it('is claimed at the pace that its deadline allows, for no more than half of it', () => {
    const spec: HtlcSpec = { from: 'bob', amountSat: 25_000, cltvExpiry: START + 60, n: 1, knows: true }
    const w = world({ type: 'anchors', opener: 'bob', number: 3, htlcs: [spec] })
    w.alice.forceClose()
    w.mine()
    const { channel, onchain } = w.alice
    const feerates = { commitment: FEERATE, closing: FEERATE, claim: DEAR, slow: FEERATE }
    const ctx = { ...contextOf('alice', w.chain.height), feerates }
    const [claim] = planClaims(channel, onchain!, ctx).publish
    expect(claim).toMatchObject({ purpose: 'htlc', addFees: FEERATE, budgetSat: 12_500n })
  })
})

describe('BOLT 5: what needs no coin of ours to be claimed, and costs more than it holds by the estimate', () => {
  /** Blocks take what pays 4 sat per vbyte, whatever the estimate says. */
  const CHEAP = 1_000

  it('is claimed for its budget, in a transaction of its own: the estimate may be wrong, or fees fall', () => {
    fc.assert(
      fc.property(
        fc.record({
          type: fc.constantFrom<ChannelTypeName>('static_remotekey', 'anchors'),
          amounts: fc.array(fc.integer({ min: 3_000, max: 15_000 }), { minLength: 2, maxLength: 4 }),
          revoked: fc.boolean(),
        }),
        ({ type, amounts, revoked }) => {
          const htlcs = amounts.map((amountSat, i): HtlcSpec => {
            const from = i % 2 === 0 ? 'alice' : 'bob'
            return { from, amountSat, cltvExpiry: EXPIRY + 8, n: i + 1, knows: !revoked && from === 'bob' }
          })
          const setup = { type, opener: 'bob' as const, number: 3, htlcs }
          const w = world(revoked ? { ...setup, number: 6, htlcs: [] } : setup, Market)
          if (revoked) {
            w.alice.revokedHtlcs = settled('alice', setup, 5)
            w.bob.channel = channelOf('bob', setup)
          }
          w.alice.claim = DEAR
          w.chain.floor = CHEAP
          w.bob.forceClose()
          w.mine(160)
          const claims = w.alice.onchain!.outputs.filter((o) => o.htlc !== null)
          expect(claims.map((o) => o.spent !== null && w.alice.paid.has(o.spent.txid))).toEqual(htlcs.map(() => true))
          for (const o of claims) {
            const fee = w.chain.fees.get(o.spent!.txid)!
            expect(fee).toBeLessThanOrEqual(o.amountSat / 2n)
            expect(claims.filter((c) => c.spent!.txid === o.spent!.txid)).toEqual([o])
          }
          expect(w.alice.refused).toEqual([])
        },
      ),
      { numRuns: 8 },
    )
  })

  it('is waited for where nobody races for it, and claimed for its budget before it is given up', () => {
    const spec: HtlcSpec = { from: 'alice', amountSat: 20_000, cltvExpiry: EXPIRY, n: 1, knows: false }
    const w = world({ type: 'static_remotekey', opener: 'bob', number: 3, htlcs: [spec] })
    w.alice.claim = DEAR
    w.alice.forceClose()
    const second = () => w.alice.onchain!.outputs.find((o) => o.spend.tag === 'delayed' && o.amountSat < 20_000n)
    w.mine(40)
    const ready = second()!.since! + DELAY.alice - 1
    w.mine(ready + 1008 - 144 - w.chain.height - 1)
    expect(w.alice.onchain!.sweeps).toEqual([])
    expect(describeOnchain(w.alice.channel, w.alice.onchain!, w.alice.ctx).waitsFor).toMatch(/fees/)
    w.mine(2)
    expect(second()!.spent).not.toBeNull()
    const budget = Number(second()!.amountSat / 2n)
    expect(budget - Number(w.chain.fees.get(second()!.spent!.txid))).toBeOneOf([0, 1])
  })
})
