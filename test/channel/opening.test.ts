import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scidParts } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { identifiers, rebroadcasts, summary, watches } from '../../src/channel/describe.ts'
import { depthFor } from '../../src/channel/parameters.ts'
import { asked } from './asked.ts'
import { expectAgreement } from './checks.ts'
import { expectNext, faultsOf, fundingTx, reachNormal, sentBy, World } from './harness.ts'

describe('BOLT 2 §channel-establishment-v1', () => {
  for (const channelType of ['anchors', 'static_remotekey'] as const) {
    for (const opener of ['alice', 'bob'] as const) {
      it(`${opener} opens a channel of type ${channelType}, both are ready after minimum_depth`, () => {
        const w = new World({ channelType, opener, pushMsat: msat(5_000_000) }).open()
        expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['await-ready', 'await-ready'])
        expect(w.side(opener).replies).toEqual([expect.objectContaining({ requestId: 1, result: 'done' })])
        expect(w.side(opener).broadcasts.length).toBe(1)
        w.mine(2).settle()
        expect(summary(w.alice.state!, w.alice.ctx).waitsFor).toBe('2 of 3 confirmations')
        w.mine().settle()
        expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
        expect(w.bob.notices.map((n) => n.tag)).toEqual(['pending', 'ready'])
        expectAgreement(w)
      })
    }
  }

  // BOLT 2 §the-funding_signed-message
  it('broadcasts the funding only after a valid funding_signed', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.fund()
    w.receive('bob', expectNext(w, 'alice', 'funding_created'))
    expect(w.alice.broadcasts).toEqual([])
    const signed = expectNext(w, 'bob', 'funding_signed')
    w.receive('alice', { ...signed, signature: signed.signature.map((b, i) => (i === 5 ? b ^ 1 : b)) })
    expect(w.alice.state!.tag).toBe('closed')
    expect(w.alice.broadcasts).toEqual([])
    expect(w.alice.released).toBe(1)
    expect(w.alice.replies[0]!.result).toMatchObject({ code: 'BAD_SIGNATURE' })
    expect(sentBy(w.alice)).toEqual(['error'])
  })

  it('the accepter refuses a wrong signature in funding_created', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.fund()
    const created = expectNext(w, 'alice', 'funding_created')
    w.receive('bob', { ...created, signature: new Uint8Array(64).fill(1) })
    expect(w.bob.state!.tag).toBe('closed')
    expect(faultsOf(w.bob)).toMatchObject([{ code: 'BAD_SIGNATURE', response: 'fail-channel' }])
    expect(expectNext(w, 'bob', 'error').channelId).toBe(open.temporaryChannelId)
    expect(w.bob.records.size).toBe(0)
  })

  it('forgets an opening that is cut off before the funding is bound, and frees the coins', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.fund()
    w.disconnect()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['closed', 'closed'])
    expect(w.alice.released).toBe(1)
    expect(w.alice.records.size + w.bob.records.size).toBe(0)
    w.alice.step({
      tag: 'funded',
      tx: fundingTx({ amountSat: sat(1), scriptPubKey: new Uint8Array(34) }),
      outputIndex: 1,
    })
    expect(w.alice.released).toBe(2)
  })

  it('ends when the wallet cannot fund, and tells the peer and the operator', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    w.alice.step({ tag: 'fundingFailed', reason: 'not enough coins' })
    expect(w.alice.replies[0]!.result).toMatchObject({ code: 'FUNDING_FAILED' })
    w.settle()
    expect(w.bob.state!.tag).toBe('closed')
  })

  it('refuses a funding transaction that does not pay what was agreed', () => {
    const { w, open } = asked()
    w.receive('bob', open)
    w.receive('alice', expectNext(w, 'bob', 'accept_channel'))
    const wanted = w.alice.funding!
    w.alice.step({ tag: 'funded', tx: fundingTx({ ...wanted, amountSat: sat(wanted.amountSat - 1n) }), outputIndex: 1 })
    expect(w.alice.state!.tag).toBe('closed')
    expect(w.alice.released).toBe(1)
  })

  it('reports what the peer says when it refuses', () => {
    const { w, open } = asked()
    const data = new TextEncoder().encode('no room\u0007')
    w.receive('alice', { type: 'error', channelId: open.temporaryChannelId, data })
    expect(w.alice.replies[0]!.result).toMatchObject({ code: 'PEER_REFUSED', detail: 'the peer refused: no room' })
  })

  it('takes messages only in their order', () => {
    const { w, open } = asked()
    w.receive('alice', { type: 'funding_signed', channelId: open.temporaryChannelId, signature: new Uint8Array(64) })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })
})

describe('BOLT 2 §the-accept_channel-message: minimum_depth', () => {
  const policy = { minimumDepth: 3, largeMinimumDepth: 6 }
  it('is what the policy says for small channels, and for large ones so much that as many blocks are worth more', () => {
    const capacity = fc.integer({ min: 20_000, max: 100_000_000_000 })
    fc.assert(
      fc.property(capacity, capacity, fc.integer({ min: 1, max: 144 }), (a, b, minimumDepth) => {
        const [small, large] = [Math.min(a, b), Math.max(a, b)]
        const depth = (n: number) => depthFor(sat(n), { ...policy, minimumDepth })
        expect(depth(large)).toBeGreaterThanOrEqual(depth(small))
        expect(depth(small)).toBeGreaterThanOrEqual(minimumDepth)
        expect(depth(large)).toBeLessThanOrEqual(144)
        if (large < 2 ** 24) expect(depth(large)).toBe(minimumDepth)
        else expect(depth(large)).toBeGreaterThanOrEqual(Math.min(144, Math.max(6, large / 156_250_000)))
        expect(depthFor(sat(large), { minimumDepth })).toBe(minimumDepth)
      }),
    )
    expect(depthFor(sat(2 ** 24), policy)).toBe(6)
    expect(depthFor(sat(10_000_000_000), policy)).toBe(64)
  })

  it('is told to the opener, and waited for by both', () => {
    const w = new World({ policy: { largeMinimumDepth: 6 }, capacitySat: sat(2 ** 24) }).open()
    w.mine(5).settle()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['await-ready', 'await-ready'])
    w.mine().settle()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
  })
})

describe('BOLT 2 §the-channel_ready-message', () => {
  it('waits for the depth, and takes back the confirmation on a reorg', () => {
    const w = new World().open()
    w.mine(2).settle()
    w.reorg(100)
    expect(w.bob.channel.funding.confirmed).toBeNull()
    w.mine(2).settle()
    expect(w.bob.state!.tag).toBe('await-ready')
  })

  it('is sent after the reconnection when the depth was reached while offline', () => {
    const w = new World().open()
    w.disconnect()
    w.mine(3)
    expect([w.alice.channel.localReady, w.bob.channel.localReady]).toEqual([true, true])
    w.connect()
    w.settle()
    expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
  })

  it('may carry an alias, also again', () => {
    const w = reachNormal()
    const message = {
      type: 'channel_ready',
      channelId: w.bob.channel.params.channelId,
      secondPerCommitmentPoint: w.bob.ctx.signer.commitmentPoint(1),
      shortChannelId: 77n,
    } as never
    const point = w.alice.channel.commitments.remoteNextPoint
    w.receive('alice', message)
    expect(w.alice.channel.remoteAlias).toBe(77n)
    expect(w.alice.channel.commitments.remoteNextPoint).toBe(point)
    expect(faultsOf(w.alice)).toEqual([])
  })

  it('carries an alias of ours by which payments find the channel: no block’s, each side’s own, the same again', () => {
    const w = reachNormal()
    const [ours, theirs] = [w.bob.channel.remoteAlias!, w.alice.channel.remoteAlias!]
    expect(ours).not.toBe(theirs)
    for (const [side, alias] of [
      [w.alice, ours],
      [w.bob, theirs],
    ] as const) {
      const { shortChannelIds } = identifiers(side.state!)
      expect(shortChannelIds).toHaveLength(2)
      expect(shortChannelIds).toContain(alias)
      expect(scidParts(alias).blockHeight).toBeGreaterThanOrEqual(1 << 23)
    }
    w.reconnect()
    expect([w.bob.channel.remoteAlias, w.alice.channel.remoteAlias]).toEqual([ours, theirs])
  })

  it('makes the accepter forget a funding that does not confirm in 2016 blocks, never the opener', () => {
    const w = new World().open()
    w.alice.broadcasts = []
    w.mine(2017)
    expect(w.bob.state!.tag).toBe('closed')
    expect(w.alice.state!.tag).toBe('await-ready')
    const again = rebroadcasts(w.alice.state!, w.alice.ctx)
    expect(again).toMatchObject([{ tag: 'broadcast', purpose: 'funding' }])
    // The funding output, and the coin that pays for it: another transaction may take that.
    const [coin] = w.alice.channel.funding.tx!.inputs
    expect(watches(w.alice.state!)).toMatchObject([
      { tag: 'confirmation' },
      { tag: 'spend', outpoint: w.alice.channel.commitments.active[0]!.funding },
      { tag: 'spend', outpoint: { txid: coin!.txid, index: coin!.index } },
    ])
    expect(watches(w.bob.state!)).toEqual([])
    const { tx } = w.alice.channel.funding
    expect(w.alice.channel.commitments.active[0]!.funding.txid).toBe(txidOf(tx!))
  })
})
