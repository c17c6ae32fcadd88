import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import { expectNext, faultsOf, other, reachNormal, World } from './harness.ts'
import type { Name } from './side.ts'

/** Both connect, and one no longer knows the channel: it makes up a channel_reestablish and calls the channel unknown, as LDK does. */
function meetForgetful(w: World, forgetful: Name): void {
  w.disconnect()
  w.connect()
  const told = expectNext(w, forgetful, 'channel_reestablish')
  w.side(forgetful).outbox = []
  const { channelId } = told
  const answers: readonly ChannelMessage[] = [
    { ...told, nextCommitmentNumber: 0n, nextRevocationNumber: 0n },
    { type: 'error', channelId, data: utf8('unknown channel') },
  ]
  for (const answer of answers) w.receive(other(forgetful), answer)
}

describe('BOLT 2 §message-retransmission: a peer that has forgotten the channel', () => {
  it.each(['alice', 'bob'] as const)('after the close was agreed, %s waits for what both signed', (who) => {
    const w = reachNormal({ pushMsat: msat(300_000_000) })
    w.alice.command({ tag: 'close', requestId: 5 })
    w.settle()
    const side = w.side(who)
    side.broadcasts = []
    meetForgetful(w, other(who))
    expect(side.phase.tag).toBe('negotiating')
    expect(side.broadcasts).toEqual([])
    expect(faultsOf(side)).toEqual([])
  })

  it('in operation, the newest commitment is published', () => {
    const w = reachNormal()
    meetForgetful(w, 'bob')
    expect(w.alice.state?.tag).toBe('closing')
    expect(w.alice.broadcasts).toHaveLength(1)
  })

  it('before it funded the channel, which holds nothing of ours: we forget it too', () => {
    const w = new World().open()
    meetForgetful(w, 'alice')
    expect(w.bob.state?.tag).toBe('closed')
    expect(w.bob.notices.at(-1)).toMatchObject({ tag: 'closed', how: 'never-funded' })
    expect(w.bob.broadcasts).toEqual([])
  })

  it('before it funded the channel, in which we were given something: ours is claimed if the funding comes after all', () => {
    const w = new World({ pushMsat: msat(300_000_000) }).open()
    meetForgetful(w, 'alice')
    expect(w.bob.state?.tag).toBe('closing')
    expect(w.bob.broadcasts).toHaveLength(1)
  })

  it('before we funded it: we publish, the coins are ours', () => {
    const w = new World().open()
    w.alice.broadcasts = []
    meetForgetful(w, 'bob')
    expect(w.alice.state?.tag).toBe('closing')
    expect(w.alice.broadcasts).toHaveLength(1)
  })

  it('the operator gives up what the peer has not funded: there is nothing to publish', () => {
    const w = new World().open()
    w.bob.command({ tag: 'forceClose', requestId: 7 })
    expect(w.bob.state?.tag).toBe('closed')
    expect(w.bob.replies.at(-1)).toMatchObject({ requestId: 7, result: 'done' })
    expect(w.bob.broadcasts).toEqual([])
  })
})
