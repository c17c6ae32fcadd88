import { describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { formatScid, parseScid as scidOf } from '../../src/base/ids.ts'
import { channelAnnouncement, ourSignatures } from '../../src/channel/announcement.ts'
import { summary } from '../../src/channel/describe.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { signedBytes } from '../../src/wire/messages/gossip.ts'
import { expectNext, faultsOf, reachNormal, sentBy } from './harness.ts'

const announced = () => reachNormal({ announce: true, realSignatures: true })

describe('BOLT 7 §the-announcement_signatures-message, early or repeated messages too', () => {
  it('both halves are exchanged at 6 confirmations and make one announcement that verifies', () => {
    const w = announced()
    w.mine(2).settle()
    expect(summary(w.alice.state!, w.alice.ctx).announced).toBe(false)
    w.mine()
    expect([sentBy(w.alice), sentBy(w.bob)]).toEqual([['announcement_signatures'], ['announcement_signatures']])
    w.settle()
    const [a, b] = w.sides.map((s) => channelAnnouncement(s.channel, s.ctx)!)
    expect(a).toEqual(b)
    const hash = crypto.sha256d(signedBytes(a!))
    expect(a!.nodeId1 < a!.nodeId2).toBe(true)
    expect(crypto.ecdsaVerify(a!.nodeSignature1, hash, fromHex(a!.nodeId1))).toBe(true)
    expect(crypto.ecdsaVerify(a!.nodeSignature2, hash, fromHex(a!.nodeId2))).toBe(true)
    expect(crypto.ecdsaVerify(a!.bitcoinSignature1, hash, a!.bitcoinKey1)).toBe(true)
    expect(crypto.ecdsaVerify(a!.bitcoinSignature2, hash, a!.bitcoinKey2)).toBe(true)
    expect(formatScid(a!.shortChannelId)).toBe('101x1x1')
    // 'ready' and the completed announcement.
    expect(w.sides.map((s) => s.gossiped)).toEqual([2, 2])
    w.mine(3).settle()
    w.reconnect()
    w.mine(3).settle()
    expect(w.sides.map((s) => s.gossiped)).toEqual([2, 2])
  })

  it('is not sent for a private channel, nor once a shutdown is sent', () => {
    const hidden = reachNormal()
    hidden.mine(10)
    expect(sentBy(hidden.alice)).toEqual([])
    const closing = announced()
    closing.alice.command({ tag: 'close', requestId: 1 })
    closing.mine(10)
    expect(sentBy(closing.alice)).toEqual(['shutdown'])
  })

  it('is sent again in a new connection until the other half is there, and in answer to the other half', () => {
    const w = announced()
    w.mine(3)
    w.deliver('alice')
    w.disconnect()
    w.connect()
    w.settle()
    expect(w.sides.map((s) => channelAnnouncement(s.channel, s.ctx) !== null)).toEqual([true, true])
  })

  it('a half that comes ahead of channel_reestablish, as LND may send it, is kept, and answered when the channel goes on', () => {
    for (const sentBefore of [false, true]) {
      const w = announced()
      if (sentBefore) w.mine(3)
      w.disconnect()
      if (!sentBefore) w.mine(3)
      w.connect()
      const half = { type: 'announcement_signatures', channelId: w.bob.channel.params.channelId } as const
      w.receive('alice', { ...half, ...ourSignatures(w.bob.channel, scidOf('101x1x1'), w.bob.ctx) })
      expect(sentBy(w.alice)).toEqual(['channel_reestablish'])
      while (w.deliver('alice') || (w.bob.outbox[0]?.type === half.type ? w.take('bob') : w.deliver('bob')));
      expect(w.sides.map((s) => channelAnnouncement(s.channel, s.ctx) !== null)).toEqual([true, true])
      expect(faultsOf(w.alice)).toEqual([])
    }
  })
  it('a half that comes before we count 6 confirmations is kept', () => {
    const w = announced()
    w.alice.ctx = { ...w.alice.ctx, blockHeight: w.alice.ctx.blockHeight + 3 }
    w.alice.step({ tag: 'chain', event: { tag: 'block', height: w.alice.ctx.blockHeight } })
    w.deliver('alice')
    expect(sentBy(w.bob)).toEqual([])
    w.bob.ctx = { ...w.bob.ctx, blockHeight: w.alice.ctx.blockHeight }
    w.bob.step({ tag: 'chain', event: { tag: 'block', height: w.bob.ctx.blockHeight } })
    w.settle()
    expect(w.sides.map((s) => channelAnnouncement(s.channel, s.ctx) !== null)).toEqual([true, true])
    expect(w.bob.gossiped).toBe(2)
  })

  it('warns of another short_channel_id, refuses wrong signatures', () => {
    const w = announced()
    w.mine(3)
    const message = expectNext(w, 'alice', 'announcement_signatures')
    w.receive('bob', { ...message, shortChannelId: 5n as never })
    expect(sentBy(w.bob)).toEqual(['announcement_signatures', 'warning'])
    expect(w.connected).toBe(true)
    w.receive('bob', { ...message, bitcoinSignature: message.nodeSignature })
    expect(faultsOf(w.bob).map((f) => f.code)).toEqual(['PROTOCOL_VIOLATION', 'BAD_SIGNATURE'])
    expect(w.connected).toBe(false)
  })
})
