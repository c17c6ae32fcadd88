import { expect, it } from 'vitest'
import { readyMessage } from '../../src/channel/reestablish.ts'
import { reachNormal, sentBy, World } from './harness.ts'

it('BOLT 2 §message-retransmission: a peer that says channel_ready first, and then nothing as LND may, gets a new connection', () => {
  const w = new World().open()
  w.disconnect()
  w.mine(3)
  w.alice.step({ tag: 'connected', theirFeatures: w.alice.channel.theirFeatures })
  const ready = readyMessage(w.bob.channel, w.bob.ctx.signer)
  if (ready.tag === 'send') w.alice.step({ tag: 'message', message: ready.message })
  expect(sentBy(w.alice)).toEqual(['channel_reestablish', 'warning'])
  expect(w.alice.wantsDisconnect).toBe(true)
  expect(w.alice.state!.tag).toBe('syncing')
  w.reconnect()
  expect(w.sides.map((s) => s.state!.tag)).toEqual(['normal', 'normal'])
})

it('one that says it again on a channel in use does not', () => {
  const w = reachNormal()
  w.disconnect()
  w.alice.step({ tag: 'connected', theirFeatures: w.alice.channel.theirFeatures })
  const ready = readyMessage(w.bob.channel, w.bob.ctx.signer)
  if (ready.tag === 'send') w.alice.step({ tag: 'message', message: ready.message })
  expect(w.alice.wantsDisconnect).toBe(false)
})
