import { describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { p2pkh } from '../../src/bitcoin/script.ts'
import { awaitedAnswer } from '../../src/channel/awaited.ts'
import { faultsOf, sentBy, World } from './harness.ts'

/** No witness program, and none of the forms that LND still sends. */
const NO_SCRIPT = fromHex('51')

describe('BOLT 2 §closing-initiation-shutdown: a close that is refused before the channel is ready', () => {
  it('of the peer: the channel opens all the same, in a new connection', () => {
    for (const opener of ['alice', 'bob'] as const) {
      const w = new World({ opener, pushMsat: msat(5_000_000) }).open()
      const { channelId } = w.bob.channel.params
      w.receive('bob', { type: 'shutdown', channelId, scriptPubKey: NO_SCRIPT })
      expect(faultsOf(w.bob)).toMatchObject([{ code: 'INVALID_SCRIPT', response: 'warn-peer' }])
      expect(w.bob.phase.tag).toBe('await-ready')
      w.connect()
      w.settle().mine(3).settle()
      expect(w.sides.map((s) => [s.state!.tag, s.channel.localReady])).toEqual([
        ['normal', true],
        ['normal', true],
      ])
    }
  })

  it('of the operator, for a script that the peer does not take: the channel opens all the same', () => {
    const w = new World().open()
    w.alice.command({ tag: 'close', requestId: 5, scriptPubKey: p2pkh(new Uint8Array(20)) })
    expect(w.alice.replies.at(-1)).toMatchObject({ requestId: 5, result: { code: 'INVALID_SCRIPT' } })
    expect(w.alice.state!.tag).toBe('await-ready')
    w.settle().mine(3).settle()
    expect(w.sides.map((s) => s.channel.localReady)).toEqual([true, true])
  })
})

describe('a close before the channel is ready, with a peer that hears no shutdown before that, as LND and eclair do', () => {
  /** Until nothing moves any more, where bob does not hear a shutdown while he waits for the channel. */
  function run(w: World): World {
    for (;;) {
      if (w.alice.outbox[0]?.type === 'shutdown' && w.bob.phase.tag === 'await-ready') w.take('alice')
      else if (!w.deliver('alice') && !w.deliver('bob')) return w
    }
  }
  const closing = (): World => {
    const w = new World({ pushMsat: msat(5_000_000) }).open()
    w.alice.command({ tag: 'close', requestId: 5 })
    expect(sentBy(w.alice)).toEqual(['shutdown'])
    return run(w)
  }
  const ready = (w: World) => w.sides.map(({ channel: c }) => [c.localReady, c.remoteReady])
  const BOTH_READY = [
    [true, true],
    [true, true],
  ]
  it('waits for no channel_reestablish of one that says nothing before it has seen the funding, as LND does', () => {
    const w = closing()
    w.disconnect()
    w.connect()
    expect([w.alice.state!.tag, w.alice.phase.tag, awaitedAnswer(w.alice.state!)]).toEqual(['syncing', 'normal', null])
  })

  it('goes on in a new connection once the channel is ready', () => {
    const w = run(closing().mine(3))
    expect([ready(w), w.bob.phase.tag, awaitedAnswer(w.alice.state!)]).toEqual([BOTH_READY, 'normal', 'shutdown'])
    w.disconnect()
    w.connect()
    run(w)
    expect(w.sides.map((s) => [s.phase.tag, awaitedAnswer(s.state!)])).toEqual([
      ['negotiating', null],
      ['negotiating', null],
    ])
    expect(w.bob.broadcasts.length).toBeGreaterThan(0)
  })
  it('goes on in the next where the channel became ready while the peer was away', () => {
    const w = closing()
    w.disconnect()
    w.mine(3)
    w.connect()
    run(w)
    expect([ready(w), w.sides.map((s) => s.phase.tag)]).toEqual([BOTH_READY, ['negotiating', 'negotiating']])
  })
})
