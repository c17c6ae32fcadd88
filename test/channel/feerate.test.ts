import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { msat, sat } from '../../src/base/units.ts'
import { buildLocal } from '../../src/channel/commitments.ts'
import { sendableMsat, summary } from '../../src/channel/describe.ts'
import { isWorthUpdating, wantedFeerate } from '../../src/channel/feerate.ts'
import { localMsat } from '../../src/channel/totals.ts'
import { toRemoteScriptPubKey } from '../../src/channel/tx/scripts.ts'
import { commitCost, commitFee } from '../../src/channel/tx/weights.ts'
import { expectAgreement } from './checks.ts'
import { add, faultsOf, reachNormal, sentBy, type World } from './harness.ts'

describe('BOLT 2 §updating-fees', () => {
  it('the opener changes the feerate of both commitments', () => {
    const w = reachNormal({ channelType: 'static_remotekey' })
    w.alice.command(add(1, 2_000_000))
    w.settle()
    w.alice.command({ tag: 'updateFee', feeratePerKw: 2500 })
    w.settle()
    expect([w.alice, w.bob].map((s) => s.channel.commitments.local.feeratePerKw)).toEqual([2500, 2500])
    expect(w.alice.channel.commitments.feeUpdates).toEqual([])
    expect(w.bob.channel.commitments.active[0]!.htlcSignatures.length).toBe(0)
    expectAgreement(w)
  })
  it('the accepter never sends update_fee, and refuses to get one as the opener', () => {
    const w = reachNormal()
    w.bob.command({ tag: 'updateFee', feeratePerKw: 2000 })
    expect(w.bob.outbox).toEqual([])
    w.receive('alice', { type: 'update_fee', channelId: w.alice.channel.params.channelId, feeratePerKw: 2000 })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'PROTOCOL_VIOLATION', response: 'warn-peer' }])
  })
  it('refuses a feerate that is too low or unreasonably large', () => {
    for (const feeratePerKw of [249, 252, 10_001]) {
      const w = reachNormal()
      w.receive('bob', { type: 'update_fee', channelId: w.bob.channel.params.channelId, feeratePerKw })
      expect(faultsOf(w.bob)).toMatchObject([{ code: 'UNACCEPTABLE_FEERATE' }])
    }
  })
  it('is not offered, and not accepted, when the opener cannot pay it', () => {
    const w = reachNormal({ capacitySat: sat(20_000), pushMsat: msat(5_000_000) })
    w.alice.command({ tag: 'updateFee', feeratePerKw: 10_000 })
    expect(w.alice.outbox.length).toBe(2)
    const poor = reachNormal({ capacitySat: sat(20_000), pushMsat: msat(8_000_000) })
    poor.alice.command({ tag: 'updateFee', feeratePerKw: 10_000 })
    expect(poor.alice.outbox).toEqual([])
    poor.receive('bob', { type: 'update_fee', channelId: poor.bob.channel.params.channelId, feeratePerKw: 10_000 })
    expect(faultsOf(poor.bob)).toMatchObject([{ code: 'INSUFFICIENT_BALANCE' }])
  })
  it('the peer may pay for its anchors out of its reserve, and for no more: LDK sends what needs that again in every connection', () => {
    for (const [more, codes] of [
      [0, []],
      [1, ['INSUFFICIENT_BALANCE']],
    ] as const) {
      const w = reachNormal({ capacitySat: sat(20_000), pushMsat: msat(8_000_000) })
      const { channelId, channelType, local } = w.bob.channel.params
      const payable = 12_000n - local.channelReserveSat
      let feeratePerKw = 0
      while (commitFee(feeratePerKw + 1, 0, channelType) <= payable) feeratePerKw++
      w.receive('bob', { type: 'update_fee', channelId, feeratePerKw: feeratePerKw + more })
      expect(faultsOf(w.bob).map((f) => f.code)).toEqual(codes)
    }
  })
  it('a rise is taken back where HTLCs that the peer added at the same time leave too little for it once it is signed', () => {
    for (const htlcs of [0, 4]) {
      const w = reachNormal({ channelType: 'anchors', pushMsat: msat(400_000_000) })
      w.alice.command(add(1, Number(sendableMsat(w.alice.channel))))
      w.alice.command({ tag: 'updateFee', feeratePerKw: 1500 })
      expect(sentBy(w.alice)).toEqual(['update_add_htlc', 'commitment_signed', 'update_fee'])
      for (let n = 0; n < htlcs; n++) w.bob.command(add(2 + n, 5_000_000))
      w.settle()
      const taken = w.bob.channel.commitments.local.feeratePerKw
      expect(w.sides.map((s) => s.channel.commitments.local.feeratePerKw)).toEqual(Array(2).fill(taken))
      expect(taken >= 1000 && taken < 1500).toBe(htlcs > 0)
      expect(w.alice.channel.commitments.feeUpdates).toEqual([])
      for (const view of ['local', 'remote'] as const) {
        const { feeratePerKw, untrimmed } = w.alice.channel.commitments.next[view]
        expect(untrimmed).toBe(1 + htlcs)
        const cost = commitCost(feeratePerKw, untrimmed, 'anchors')
        const { localMsat, localReserveSat } = summary(w.alice.state!, w.alice.ctx)
        expect(localMsat / 1000n).toBeGreaterThanOrEqual(localReserveSat + cost)
      }
      expectAgreement(w)
    }
  })
  it('a rise that is signed is taken back with HTLCs that the peer added at the same time: LND closes a channel whose opener a signature brings below its reserve', () => {
    for (const signed of [1, 4]) {
      const w = reachNormal({ channelType: 'anchors', pushMsat: msat(400_000_000) })
      w.alice.command(add(1, Number(sendableMsat(w.alice.channel))))
      w.settle()
      w.alice.command({ tag: 'updateFee', feeratePerKw: 1500 })
      expect(sentBy(w.alice)).toEqual(['update_fee', 'commitment_signed'])
      for (let n = 0; n < 4; n++) w.bob.command(add(2 + n, 5_000_000), n + 1 >= signed)
      const [{ params }, { params: theirs }] = [w.alice.channel, w.bob.channel]
      const toAlice = toRemoteScriptPubKey(params.local.basepoints.paymentBasepoint, 'anchors')
      let before = 1_000_000n
      const commitments = () => {
        const { channel, ctx } = w.bob
        const { tx } = buildLocal(channel, channel.commitments.active[0]!, ctx.signer)
        const { amountSat } = tx.outputs.find((o) => equalBytes(o.scriptPubKey, toAlice))!
        expect(amountSat >= before || amountSat >= theirs.local.channelReserveSat, `${amountSat}`).toBe(true)
        before = amountSat
      }
      do commitments()
      while (w.deliver('alice') || w.deliver('bob'))
      const { feeratePerKw } = w.alice.channel.commitments.local
      expect(w.bob.channel.commitments.local.feeratePerKw).toBe(feeratePerKw)
      expect(feeratePerKw).toBeGreaterThan(1000)
      // No further than it must: with room for one more HTLC.
      const left = (feerate: number) =>
        localMsat(w.alice.channel.commitments.active[0]!, w.alice.channel.commitments.next.remote) / 1000n -
        commitCost(feerate, 6, 'anchors') -
        params.remote.channelReserveSat
      expect([left(feeratePerKw) >= 0n, left(feeratePerKw + 1) < 0n]).toEqual([true, true])
      expect(w.alice.channel.commitments.feeUpdates).toEqual([])
      expect(w.bob.channel.commitments.incoming.size + w.bob.channel.commitments.outgoing.size).toBe(5)
      expectAgreement(w)
    }
  })
  it('of several updates in one signature the last counts', () => {
    const w = reachNormal()
    for (const feeratePerKw of [2000, 3000, 1500])
      w.alice.command({ tag: 'updateFee', feeratePerKw }, feeratePerKw === 1500)
    w.settle()
    expect(w.bob.channel.commitments.remote.feeratePerKw).toBe(1500)
    expectAgreement(w)
  })
})

describe('BOLT 2 §updating-fees: what is found reasonable', () => {
  const afterFee = (channelType: 'anchors' | 'static_remotekey', estimate: number, feeratePerKw: number): World => {
    const w = reachNormal({ channelType })
    w.bob.ctx = { ...w.bob.ctx, feerates: { ...w.bob.ctx.feerates, commitment: estimate } }
    w.receive('bob', { type: 'update_fee', channelId: w.bob.channel.params.channelId, feeratePerKw })
    return w
  }
  it('with anchors, a low rate beside any estimate: a child pays for the rest', () => {
    for (const estimate of [253, 5_000, 50_000, 250_000]) {
      for (const rate of [253, 1_000, 2_500]) expect(faultsOf(afterFee('anchors', estimate, rate).bob)).toEqual([])
    }
  })
  it('without anchors, none far below the estimate: nothing could help the commitment', () => {
    expect(faultsOf(afterFee('static_remotekey', 10_000, 2_500).bob)).toEqual([])
    expect(faultsOf(afterFee('static_remotekey', 10_000, 2_499).bob)).toMatchObject([{ response: 'warn-peer' }])
  })
  it('what comes down towards our estimate is taken, though it be far above: the channel would only keep what is worse', () => {
    for (const channelType of ['anchors', 'static_remotekey'] as const) {
      const w = reachNormal({
        channelType,
        feeratePerKw: 8_000,
        policy: { feerateTolerancePercent: { low: 25, high: 800 } },
      })
      w.bob.ctx = { ...w.bob.ctx, feerates: { ...w.bob.ctx.feerates, commitment: 253 } }
      const say = (feeratePerKw: number) =>
        w.receive('bob', { type: 'update_fee', channelId: w.bob.channel.params.channelId, feeratePerKw })
      say(6_000)
      expect([faultsOf(w.bob), w.bob.channel.commitments.next.local.feeratePerKw]).toEqual([[], 6_000])
      say(6_001)
      expect(faultsOf(w.bob)).toMatchObject([{ code: 'UNACCEPTABLE_FEERATE', response: 'warn-peer' }])
    }
  })
  it('without anchors, a channel whose feerate estimates have left far behind carries nothing new until that is raised', () => {
    const w = reachNormal({ channelType: 'static_remotekey', pushMsat: msat(400_000_000) })
    const taken = (n: number) => {
      for (const side of w.sides) side.events.length = 0
      w.alice.command(add(2 * n, 10_000_000))
      w.settle()
      w.bob.command(add(2 * n + 1, 10_000_000))
      w.settle()
      const [mark] = w.bob.events.filter((e) => e.tag === 'received')
      return [mark?.tag === 'received' && !mark.htlc.excessDust, !w.bob.events.some((e) => e.tag === 'rejected')]
    }
    const believe = (side: World['bob'], commitment: number) => {
      side.ctx = { ...side.ctx, feerates: { ...side.ctx.feerates, commitment } }
    }
    believe(w.bob, 4_000)
    expect(taken(0)).toEqual([true, true])
    believe(w.bob, 4_001)
    expect(taken(1)).toEqual([false, false])
    w.alice.command({ tag: 'updateFee', feeratePerKw: 4_000 })
    w.settle()
    expect(taken(2)).toEqual([true, true])
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['normal', 'normal'])
  })
  it('no disagreement about a feerate closes a channel (feerate disagreements)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 253, max: 250_000 }), fc.nat(0xffffffff), (estimate, rate) => {
        const w = afterFee('static_remotekey', estimate, rate)
        expect(['normal', 'offline']).toContain(w.bob.state!.tag)
        expect(w.bob.broadcasts.length).toBe(0)
      }),
      { numRuns: 20 },
    )
  })
})

describe('the feerate that we set', () => {
  it('keeps to a low rate with anchors, and to the estimate without (fee ransom)', () => {
    expect([400, 5_000, 90_000].map((e) => wantedFeerate('anchors', e))).toEqual([400, 5_000, 5_000])
    expect([400, 90_000].map((e) => wantedFeerate('static_remotekey', e))).toEqual([400, 90_000])
  })
  it('is never set for a change of a fifth or less, and settles: what was set is not changed again by what set it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 253, max: 250_000 }), fc.integer({ min: 253, max: 250_000 }), (now, wanted) => {
        const near = wanted * 10 >= now * 8 && wanted * 10 <= now * 12
        expect(isWorthUpdating(now, wanted)).toBe(!near)
        expect(isWorthUpdating(wanted, wanted)).toBe(false)
      }),
    )
  })
})
