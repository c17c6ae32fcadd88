import { describe, expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { closeRequest } from '../../src/channel/restored.ts'
import { reachNormal, type World } from './harness.ts'

/** In a block, but not deep in the chain. */
function closedTogether(simpleClose: boolean): World {
  const w = reachNormal({ simpleClose, pushMsat: msat(400_000_000) })
  w.alice.command({ tag: 'close', requestId: 1 })
  w.settle().mine()
  for (const side of w.sides)
    expect(side.state).toMatchObject({ tag: 'closing', onchain: { closing: { kind: 'mutual' } } })
  w.disconnect()
  return w
}

describe('BOLT 2 §message-retransmission: a channel that both closed together', () => {
  it.each([true, false])(
    'says nothing more of itself once that is in a block: CLN ends connections for it (%s)',
    (simple) => {
      const w = closedTogether(simple)
      w.connect()
      expect([w.alice.outbox, w.bob.outbox]).toEqual([[], []])
      w.disconnect()
      w.reorg(w.height - 1)
      w.connect()
      expect(w.alice.outbox.map((m) => m.type)).toEqual(['channel_reestablish'])
    },
  )
  it('says so to a peer that asks, and where it stands to one that has lost its data', () => {
    const w = closedTogether(true)
    w.connect()
    const asked = closeRequest(w.bob.channel, w.bob.ctx.signer)
    if (asked.tag === 'send') w.receive('alice', asked.message)
    expect(w.alice.outbox.map((m) => m.type)).toEqual(['channel_reestablish', 'error'])
  })
})
