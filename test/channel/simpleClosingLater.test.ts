import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { msat, sat } from '../../src/base/units.ts'
import { p2wpkh } from '../../src/bitcoin/script.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { rebroadcasts, summary } from '../../src/channel/describe.ts'
import { loadChannel } from '../../src/channel/persist.ts'
import type { ChannelState, NegotiatingState } from '../../src/channel/state.ts'
import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import { expectNext, faultsOf, other, reachNormal, sentBy, type World } from './harness.ts'
import { canonical, type Side } from './side.ts'
import { blocks, close, confirm, estimate, feeOf, lastReply, offering, phase, published, world } from './simpleClose.ts'

describe('BOLT 2 §message-retransmission: option_simple_close', () => {
  it('closing_complete waits for the shutdown of the peer in each connection, and offers the same transaction', () => {
    const w = world()
    const { alice } = offering(w)
    w.disconnect()
    blocks(w, 3)
    w.connect()
    w.receive('bob', expectNext(w, 'alice', 'channel_reestablish'))
    w.receive('alice', expectNext(w, 'bob', 'channel_reestablish'))
    expect(sentBy(w.alice)).toEqual(['channel_ready', 'shutdown'])
    w.settle()
    expect(published(w.bob).some((tx) => tx.lockTime === alice.locktime)).toBe(true)
    expect(new Set(w.alice.channel.closings).size).toBe(3) // two forms of ours, and the one of the peer's that we signed
    expect(published(w.alice)).toHaveLength(2)
  })

  it('what both have signed is not offered once more in a new connection, and raised in it all the same', () => {
    const w = close(world()).settle()
    const signed = w.sides.map((side) => published(side).length)
    w.disconnect()
    w.connect()
    const said: string[] = []
    for (const side of w.sides)
      side.handler = (effect) => {
        if (effect.tag === 'send') said.push(effect.message.type)
        return false
      }
    w.settle()
    expect(said.filter((type) => type !== 'channel_ready')).toEqual(['shutdown', 'shutdown'])
    w.alice.command({ tag: 'close', requestId: 8, feeratePerKw: 9000 })
    w.settle()
    expect(w.sides.map((side) => published(side).length)).toEqual(signed.map((n) => n + 1))
  })

  it('both name new scripts at once: a new connection puts them in step', () => {
    const w = close(world()).settle()
    const [a, b] = [p2wpkh(new Uint8Array(20).fill(1)), p2wpkh(new Uint8Array(20).fill(2))]
    w.alice.command({ tag: 'close', requestId: 7, scriptPubKey: a })
    w.bob.command({ tag: 'close', requestId: 7, scriptPubKey: b })
    while (w.connected && (w.deliver('alice') || w.deliver('bob'))) {}
    expect(w.connected).toBe(false)
    w.connect()
    w.settle()
    for (const side of w.sides) {
      const last = published(side).filter((tx) =>
        [a, b].every((s) => tx.outputs.some((o) => equalBytes(o.scriptPubKey, s))),
      )
      expect(last).toHaveLength(2)
    }
  })

  it.each(['alice', 'bob'] as const)('%s dies at any message and goes on from its disk', (who) => {
    for (let cut = 0; cut < 8; cut++) {
      const w = close(world())
      for (let n = 0; n < cut; n++) w.deliver('alice') || w.deliver('bob')
      w.side(who).crash()
      w.disconnect()
      w.connect()
      w.settle()
      expect([cut, w.sides.map((s) => published(s).length)]).toEqual([cut, [2, 2]])
    }
  })

  it('a peer that drops the feature closes by closing_signed, and one that gains it by closing_complete', () => {
    const legacy = featuresFromBits(
      featureBits(ourInitFeatures()).filter((x) => x !== FEATURES.option_simple_close.bit + 1),
    )
    for (const [first, then] of [
      [ourInitFeatures(), legacy],
      [legacy, ourInitFeatures()],
    ] as const) {
      const w = world(300_000, { simpleClose: first !== legacy })
      close(w)
      w.deliver('alice')
      w.deliver('bob')
      w.disconnect()
      w.connected = true
      for (const side of w.sides) side.step({ tag: 'connected', theirFeatures: then }, false)
      w.settle()
      for (const side of w.sides)
        expect(published(side)[0]!.inputs[0]!.sequence).toBe(then === legacy ? 0xffffffff : 0xfffffffd)
      expect(w.sides.map((s) => faultsOf(s))).toEqual([[], []])
    }
  })

  it('a message of the way that is not spoken is refused', () => {
    const w = close(world()).settle()
    const { channelId } = w.alice.channel.params
    const wrong: ChannelMessage = {
      type: 'closing_signed',
      channelId,
      feeSatoshis: sat(1),
      signature: new Uint8Array(64),
    }
    w.receive('alice', wrong)
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
    const other = reachNormal({ pushMsat: msat(300_000_000) })
    close(other).settle()
    const complete = offering(world()).alice
    other.receive('bob', complete)
    expect(faultsOf(other.bob)).toMatchObject([{ code: 'PROTOCOL_VIOLATION' }])
  })
})

describe('higher fees', () => {
  const best = (side: Side) => summary(side.state!, side.ctx).closing!
  const fees = (side: Side) => published(side).map(feeOf)

  it('asked to close again with a higher feerate, it offers that', () => {
    const w = close(world()).settle()
    close(w, { feeratePerKw: 5000 }).settle()
    const top = best(w.alice)
    expect(Number(top.transactions[0]!.feeSat)).toBeGreaterThan(3300)
    expect(top.transactions.map((t) => t.txid)).toHaveLength(3)
    expect(best(w.bob).txid).toBe(top.txid)
    expect(rebroadcasts(w.bob.state!, w.bob.ctx)).toMatchObject([
      { tx: published(w.bob).find((t) => txidOf(t) === top.txid) },
    ])
  })

  it('refuses what raises nothing, with the feerate that would', () => {
    const w = close(world()).settle()
    const before = fees(w.alice)
    close(w)
    expect(lastReply(w.alice)).toMatchObject({ code: 'CHANNEL_CLOSING' })
    close(w, { feeratePerKw: 1100 })
    expect(lastReply(w.alice)).toMatchObject({ code: 'UNACCEPTABLE_FEERATE' })
    const least = /choose ([\d.]+) sat/.exec((lastReply(w.alice) as { detail: string }).detail)![1]!
    w.settle()
    expect(fees(w.alice)).toEqual(before)
    close(w, { feeratePerKw: Math.ceil(Number(least) * 250) }).settle()
    expect(lastReply(w.alice)).toBe('done')
    expect(fees(w.alice)).toHaveLength(3)
    close(w, { scriptPubKey: new Uint8Array(25) })
    expect(lastReply(w.alice)).toMatchObject({ code: 'INVALID_SCRIPT' })
  })

  it('and what the balance does not pay for', () => {
    const w = close(world(800)).settle()
    close(w, { feeratePerKw: 20_000 }, 'bob')
    expect(lastReply(w.bob)).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
  })

  it('follows the estimates up, and not for a trifle', () => {
    const w = close(world()).settle()
    estimate(w, 1200)
    blocks(w, 1)
    w.settle()
    expect(fees(w.alice)).toHaveLength(2)
    estimate(w, 2000)
    blocks(w, 1)
    w.settle()
    expect(fees(w.alice)).toHaveLength(4)
    expect(Number(best(w.alice).transactions[0]!.feeSat)).toBeGreaterThan(1300)
    blocks(w, 1)
    w.settle()
    expect(fees(w.alice)).toHaveLength(4)
  })

  it('raises what does not confirm in six blocks, up to twice what the next block should cost', () => {
    const w = close(world()).settle()
    blocks(w, 5)
    w.settle()
    expect(fees(w.alice)).toHaveLength(2)
    for (let n = 0; n < 60; n++) {
      blocks(w, 1)
      w.settle()
    }
    const top = Number(best(w.alice).transactions[0]!.feeSat)
    expect(top).toBeGreaterThan(1100)
    expect(top).toBeLessThanOrEqual(1400)
    expect(w.sides.map((s) => faultsOf(s))).toEqual([[], []])
  })

  it('does not raise by itself to more than half of what is ours', () => {
    const w = close(world(3_000)).settle()
    const before = phase(w.bob).simple!.offer
    estimate(w, 3000)
    blocks(w, 1)
    w.settle()
    expect([before!.feeSat, phase(w.bob).simple!.offer!.feeSat]).toEqual([676n, 1500n])
    expect(phase(w.alice).simple!.offer!.feeSat).toBeGreaterThan(2000n)
  })

  it('leaves the feerate that the operator chose alone', () => {
    const w = world()
    estimate(w, 253)
    close(w, { feeratePerKw: 1500 }).settle()
    const before = fees(w.alice).length
    estimate(w, 4000)
    for (let n = 0; n < 20; n++) {
      blocks(w, 1)
      w.alice.outbox = w.alice.outbox.filter((m) => m.type !== 'closing_complete')
      w.bob.outbox = []
    }
    expect(fees(w.alice)).toHaveLength(before)
    expect(phase(w.alice).simple!.offer!.since).toBe(w.height - 20)
  })

  it('pays nothing for a script that the peer changes again and again', () => {
    const w = close(world()).settle()
    const before = phase(w.alice).simple!.offer!.feeSat
    for (let n = 1; n < 10; n++) {
      close(w, { scriptPubKey: p2wpkh(new Uint8Array(20).fill(n)) }, 'bob').settle()
      w.reconnect()
    }
    expect(phase(w.alice).simple!.offer!.feeSat).toBe(before)
  })
})

describe('BOLT 5 §mutual-close-handling: option_simple_close', () => {
  it('whichever of the signed transactions confirms is the agreed end, told once, also after a crash and a reorg', () => {
    const w = close(world()).settle()
    close(w, { feeratePerKw: 5000 }).settle()
    for (const tx of published(w.alice)) {
      for (const side of w.sides) side.crash()
      confirm(w, tx)
      for (const side of w.sides) {
        expect(side.state).toMatchObject({
          tag: 'closing',
          onchain: { how: 'cooperative', closing: { txid: txidOf(tx) } },
        })
      }
      const rival = published2(w).find((t) => t !== tx)!
      w.reorg(w.height - 1)
      confirm(w, rival)
      for (const side of w.sides) {
        expect(side.state).toMatchObject({ onchain: { how: 'cooperative', closing: { txid: txidOf(rival) } } })
        expect(side.notices.filter((n) => n.tag === 'closing')).toHaveLength(1)
        expect(faultsOf(side)).toEqual([])
      }
      break
    }
    blocks(w, 5)
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['closed', 'closed'])
  })
  const published2 = (w: World) => [...w.alice.broadcasts]

  it('the form that the peer chose is one that was noted before we signed', () => {
    const w = world(700_000)
    const { bob } = offering(w)
    // Alice has less than bob, who signed two forms: of both bob's note is on disk, though only one comes back.
    expect(loaded(w.bob).channel.closings).toHaveLength(2)
    w.receive('alice', bob)
    expect(loaded(w.alice).channel.closings).toContain(txidOf(published(w.alice)[0]!))
  })
  const loaded = (side: Side) => {
    const state = side.load()
    return ('from' in state ? state.from : state) as NegotiatingState
  }

  it('a transaction that we did not sign is an alert', () => {
    const w = close(world()).settle()
    const [tx] = published(w.alice)
    confirm(w, { ...tx!, lockTime: 7 })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'DATA_LOSS' }])
    expect(w.alice.state).toMatchObject({ onchain: { closing: { kind: 'unknown' } } })
  })

  it('an error of the peer is no reason to close by force, unless no miner would take what is agreed (invalid close)', () => {
    const error = (w: World): ChannelMessage => ({
      type: 'error',
      channelId: w.alice.channel.params.channelId,
      data: new Uint8Array(0),
    })
    const w = close(world()).settle()
    w.receive('alice', error(w))
    expect(w.alice.state!.tag).toBe('negotiating')
    const far = world()
    const { bob } = offering(far)
    const state = phase(far.bob)
    far.bob.ctx = { ...far.bob.ctx, blockHeight: 400_000 }
    far.bob.state = { ...state, simple: { ready: true, offer: null, awaitsSince: null } }
    far.bob.command({ tag: 'close', requestId: 5, feeratePerKw: 3000 })
    const late = expectNext(far, 'bob', 'closing_complete')
    expect(late.locktime).toBe(400_000)
    expect(bob.locktime).toBe(far.alice.ctx.blockHeight)
    far.receive('alice', late)
    expect(published(far.alice)).toHaveLength(1)
    far.receive('alice', error(far))
    expect(far.alice.state).toMatchObject({ tag: 'closing', onchain: { how: 'local-force' } })
  })

  it.each(['alice', 'bob'] as const)('%s goes on from what an older version stored', (who) => {
    const w = reachNormal({ pushMsat: msat(300_000_000) })
    close(w)
    while (!w.sides.every((s) => s.phase.tag === 'negotiating')) w.deliver('alice') || w.deliver('bob')
    const side = w.side(who)
    const strip = (state: ChannelState): ChannelState => {
      const { simple: _, ...old } = state as NegotiatingState
      const { closings: __, ...channel } = old.channel
      return { ...old, channel }
    }
    side.state = strip(side.state!)
    side.flush()
    const restored = loadChannel([...side.records])
    expect(canonical(restored)).toEqual(canonical(side.state))
    side.crash()
    w.disconnect()
    w.connected = true
    for (const s of w.sides) s.step({ tag: 'connected', theirFeatures: ourInitFeatures() }, false)
    w.settle()
    expect(w.sides.map((s) => published(s).length)).toEqual([2, 2])
    confirm(w, published(w.side(other(who)))[0]!)
    expect(w.sides.map((s) => s.state)).toMatchObject([
      { onchain: { how: 'cooperative' } },
      { onchain: { how: 'cooperative' } },
    ])
  })
})
