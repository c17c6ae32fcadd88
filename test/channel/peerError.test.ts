import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { faultsOf, reachNormal, sentBy } from './harness.ts'

describe('BOLT 1 §the-error-and-warning-messages: an error of the peer', () => {
  it.each(['internal error', 'link failed to shutdown'])(
    '“%s” of LND heals in a new connection, and closes nothing',
    (text) => {
      const w = reachNormal()
      const { channelId } = w.bob.channel.params
      w.bob.step({ tag: 'message', message: { type: 'error', channelId, data: utf8(text) } })
      expect(sentBy(w.bob)).toEqual(['warning'])
      expect(w.bob.wantsDisconnect).toBe(true)
      expect(w.bob.broadcasts).toEqual([])
      expect(faultsOf(w.bob)).toMatchObject([{ code: 'PEER_ERROR', response: 'warn-peer', detail: text }])
      w.reconnect()
      expect([w.alice.state!.tag, w.bob.state!.tag]).toEqual(['normal', 'normal'])
    },
  )

  it('while the channel is brought in step, too', () => {
    const w = reachNormal()
    const { channelId } = w.bob.channel.params
    w.disconnect()
    w.bob.step({ tag: 'connected', theirFeatures: w.bob.channel.theirFeatures })
    w.bob.step({ tag: 'message', message: { type: 'error', channelId, data: utf8('internal error') } })
    expect(w.bob.state!.tag).toBe('syncing')
    expect(w.bob.wantsDisconnect).toBe(true)
  })

  it.each(['', 'internal error: give up', 'sync error'])('of another text fails the channel: “%s”', (text) => {
    const w = reachNormal()
    const { channelId } = w.bob.channel.params
    w.bob.step({ tag: 'message', message: { type: 'error', channelId, data: utf8(text) } })
    expect(w.bob.state!.tag).toBe('closing')
    expect(w.bob.broadcasts).toHaveLength(1)
  })
})
