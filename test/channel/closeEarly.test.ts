import { describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { p2pkh } from '../../src/bitcoin/script.ts'
import { faultsOf, World } from './harness.ts'

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
