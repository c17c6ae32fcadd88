import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { reestablishMessage } from '../../src/channel/reestablish.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import { doubting } from './doubting.ts'
import { add, reachNormal } from './harness.ts'
import type { Side } from './side.ts'

describe('a close by force at the risk of losing all (acceptRisk)', () => {
  const risk = (side: Side) => {
    side.command({ tag: 'forceClose', requestId: 7, evenIfRevoked: true })
    return side.replies.at(-1)!.result
  }

  it('is the way out when both have lost data, and wait for each other', () => {
    const w = doubting()
    w.bob.crash()
    w.bob.step({ tag: 'doubted' })
    w.connect()
    w.settle()
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['syncing', 'syncing'])
    w.alice.command({ tag: 'forceClose', requestId: 6 })
    expect(w.alice.replies.at(-1)!.result).toMatchObject({ detail: expect.stringContaining('acceptRisk') })
    expect(risk(w.alice)).toBe('done')
    w.mine()
    expect(w.sides.map((s) => s.state)).toMatchObject([
      { tag: 'closing', onchain: { how: 'local-force', closing: { height: w.height } } },
      { tag: 'closing', onchain: { how: 'remote-force' } },
    ])
  })

  it('is so too when both have asked the other to close', () => {
    const w = doubting()
    w.connect()
    const { channelId } = w.alice.channel.params
    w.receive('alice', { type: 'error', channelId, data: utf8('please close') })
    expect(w.alice.state!.tag).toBe('waiting-for-peer')
    expect(risk(w.alice)).toBe('done')
    expect([w.alice.state!.tag, w.alice.broadcasts.length]).toEqual(['closing', 1])
  })

  it('is refused once the peer has proved that the commitment is revoked, also while it is waited for', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    w.bob.command(add(1, 5_000_000))
    w.settle()
    const old = new Map(w.alice.records)
    w.bob.command(add(2, 5_000_000))
    w.settle()
    for (const isLate of [false, true]) {
      w.disconnect()
      w.alice.records.clear()
      for (const [key, value] of old) w.alice.records.set(key, value)
      w.alice.crash()
      if (isLate) w.alice.step({ tag: 'doubted', isLate })
      w.bob.step({ tag: 'connected', theirFeatures: new Uint8Array(0) }, false)
      w.alice.step({ tag: 'connected', theirFeatures: new Uint8Array(0) }, false)
      w.deliver('bob')
      expect(w.alice.state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
      w.alice.crash()
      expect([risk(w.alice), w.alice.broadcasts]).toMatchObject([{ code: 'DATA_LOSS' }, []])
    }
  })

  it('is refused of a channel that has waited since before it was noted whether the peer had proved so, until the peer shows it', () => {
    const w = doubting()
    w.connect()
    const { channelId } = w.alice.channel.params
    w.receive('alice', { type: 'error', channelId, data: utf8('please close') })
    const { isOld: _, ...early } = w.alice.state as Extract<ChannelState, { tag: 'waiting-for-peer' }>
    w.disconnect()
    w.alice.begin({ state: early, effects: [] })
    expect([risk(w.alice), w.alice.broadcasts]).toMatchObject([
      { code: 'DATA_LOSS', detail: expect.stringContaining('earlier version') },
      [],
    ])
    const shown = reestablishMessage(w.bob.channel, w.bob.ctx.signer)
    if (shown.tag === 'send') w.receive('alice', shown.message)
    w.alice.crash()
    expect([risk(w.alice), w.alice.broadcasts.length]).toEqual(['done', 1])
  })

  it('is refused of a commitment that the peer has not signed', () => {
    const w = reachNormal({ pushMsat: msat(400_000_000) })
    const signatures = w.alice.records.get('signatures')!
    w.alice.command(add(1, 50_000_000))
    w.settle()
    w.disconnect()
    w.alice.records.set('signatures', signatures)
    w.alice.crash()
    w.alice.step({ tag: 'doubted' })
    expect([risk(w.alice), w.alice.state!.tag, w.alice.broadcasts]).toMatchObject([
      { code: 'DATA_LOSS' },
      'waiting-for-peer',
      [],
    ])
  })

  it('is like any other of a channel that is not in doubt', () => {
    const w = reachNormal()
    expect([risk(w.alice), w.alice.broadcasts.length]).toEqual(['done', 1])
  })
})
