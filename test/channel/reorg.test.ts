import { describe, expect, it } from 'vitest'
import { watches } from '../../src/channel/describe.ts'
import { rescue } from '../../src/channel/rescue.ts'
import { POLICY, reachNormal, type World } from './harness.ts'
import type { Side } from './side.ts'

const DELAY = 10

/** A channel that alice closed by force, so long ago that nothing is left to do. */
function closed(): World {
  const w = reachNormal({ policy: { ...POLICY, toSelfDelay: DELAY } })
  w.alice.command({ tag: 'forceClose', requestId: 1 })
  for (let i = 0; i < 40 && w.sides.some((s) => s.state!.tag !== 'closed'); i++) w.mine()
  expect(w.sides.map((s) => s.state!.tag)).toEqual(['closed', 'closed'])
  return w
}

const outputs = (side: Side): number => (side.state!.tag === 'closed' ? side.state!.onchain!.outputs : []).length
const anchors = (side: Side): number =>
  side.state!.tag === 'closed' ? Number(side.state!.onchain!.closing.anchorsSat) / 330 : 0
/** Everything since the channel was open. */
const depth = (w: World): number =>
  w.height - Math.min(...[...w.mined.values()].map((m) => m.height)) - POLICY.minimumDepth + 1

describe('BOLT 5 §general-nomenclature: irrevocably resolved, no forgotten close', () => {
  it('a channel that is closed is watched until all of it is 100 blocks deep, and no longer', () => {
    const w = closed()
    const last = [...w.mined.values()].reduce((h, m) => Math.max(h, m.height), 0)
    while (w.height < last + 98) w.mine()
    // And its anchors, and the funding output.
    expect(watches(w.alice.state!).length).toBe(outputs(w.alice) + anchors(w.alice) + 1)
    w.mine()
    for (const side of w.sides) expect([side.state!.tag, watches(side.state!)]).toEqual(['closed', []])
  })

  it('a reorganisation as deep as the close makes it a closing channel again, which publishes and claims everything anew', () => {
    const w = closed()
    const before = [...w.mined.keys()]
    const height = w.height
    w.reorg(w.height - depth(w))
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['closing', 'closing'])
    expect(w.mined.size).toBe(1)
    while (w.height < height + 40) w.mine()
    expect(w.sides.map((s) => s.state!.tag)).toEqual(['closed', 'closed'])
    expect([...w.mined.keys()].sort()).toEqual(before.sort())
  })

  it('does the same in a channel that was set aside after an exception of ours', () => {
    const w = closed()
    const { alice } = w
    const event = { tag: 'reorg', height: w.height - depth(w) } as const
    const ctx = { ...alice.ctx, blockHeight: event.height }
    const turn = rescue(alice.state!, { tag: 'chain', event }, ctx)
    expect(turn.state.tag).toBe('closing')
    expect(turn.effects.map((e) => e.tag)).toContain('broadcast')
  })

  it('a reorganisation that undoes nothing of a closed channel leaves it as it is', () => {
    const w = closed()
    w.mine(12)
    const states = w.sides.map((s) => s.state)
    w.reorg(w.height - 3)
    w.sides.forEach((s, i) => {
      expect(s.state).toBe(states[i])
    })
  })
})
