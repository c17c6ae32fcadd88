import { describe, expect, it } from 'vitest'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import { add, expectNext, faultsOf, preimageOf, reachNormal, sentBy, type World } from './harness.ts'

describe('BOLT 5 §failing-a-channel', () => {
  it('an error of the peer, also one for all channels, closes by our newest commitment', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    w.receive('alice', {
      type: 'error',
      channelId: '00'.repeat(32),
      data: new TextEncoder().encode('bye'),
    } as ChannelMessage)
    expect(w.alice.state).toMatchObject({ tag: 'closing', onchain: { how: 'local-force' } })
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'PEER_ERROR', detail: 'bye' }])
    expect(sentBy(w.alice)).toEqual([])
    w.mine()
    expect(w.bob.state).toMatchObject({ tag: 'closing', onchain: { how: 'remote-force' } })
  })
  it('a warning of the peer is told and changes nothing', () => {
    const w = reachNormal()
    w.receive('alice', {
      type: 'warning',
      channelId: w.alice.channel.params.channelId,
      data: new TextEncoder().encode('hm'),
    })
    expect([w.alice.state!.tag, faultsOf(w.alice)[0]!.detail]).toEqual(['normal', 'hm'])
  })
  it('the operator may close by force in every phase, online and offline', () => {
    for (const online of [true, false]) {
      const w = reachNormal()
      w.alice.command(add(1, 5_000_000), false)
      if (!online) w.disconnect()
      w.alice.command({ tag: 'forceClose', requestId: 7 })
      expect(w.alice.state!.tag).toBe('closing')
      expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 7, result: 'done' })
      expect(w.alice.events.map((e) => e.tag)).toEqual(['rejected'])
      expect(w.alice.broadcasts.length).toBe(1)
      if (!online) w.connect()
      w.settle()
      expect(w.bob.state!.tag).toBe('closing')
    }
  })
  it('tells why, in every new connection', () => {
    const w = reachNormal()
    w.alice.command({ tag: 'forceClose', requestId: 7 })
    w.disconnect()
    w.connect()
    // Where it stands comes first: a peer that has lost data learns that from it before it hears of the error.
    expectNext(w, 'alice', 'channel_reestablish')
    expect(expectNext(w, 'alice', 'error').channelId).toBe(w.alice.channel.params.channelId)
  })
})

describe('BOLT 2 §cltv_expiry_delta-selection: deadlines', () => {
  const mineTo = (w: World, height: number) => w.mine(height - w.height)

  it('an HTLC that we offered and that times out closes the channel after a grace of 2 blocks', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000, { cltvExpiry: 150 }))
    w.settle()
    w.disconnect()
    mineTo(w, 151)
    expect(w.alice.state!.tag).toBe('offline')
    w.mine()
    expect(w.alice.state!.tag).toBe('closing')
    expect(faultsOf(w.alice)).toMatchObject([{ code: 'EXPIRY_TOO_SOON', response: 'fail-channel' }])
    expect(w.bob.state!.tag).toBe('offline')
  })
  it('an HTLC that we fulfilled closes the channel 18 blocks before it expires, one without preimage does not', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000, { cltvExpiry: 150 }))
    w.settle()
    const idle = reachNormal()
    idle.alice.command(add(1, 5_000_000, { cltvExpiry: 150 }))
    idle.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    w.disconnect()
    mineTo(w, 131)
    expect(w.bob.state!.tag).toBe('offline')
    w.mine()
    expect(w.bob.state!.tag).toBe('closing')
    mineTo(idle, 148)
    expect(idle.bob.state!.tag).toBe('normal')
  })
})
