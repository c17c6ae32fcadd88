import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { HeldGossip } from '../../src/node/gossipHeld.ts'
import { announcedNode, announcementOf, NOW, nodeOf, updateOf } from './network.ts'

const place = { block: 100, n: 0 }
const real = announcementOf(place)
const madeUp = { ...real, bitcoinKey1: real.bitcoinKey2 }
const link = (n: number) => ({ nodeId: `02${n.toString(16).padStart(64, '0')}` as NodeId, epoch: n })
const chosen = link(0xffff)
const start = () => new HeldGossip((peer) => peer === chosen.nodeId)

describe('gossip that waits for its channel', () => {
  it('an announcement that somebody made up keeps the right one, and its updates, from nobody', () => {
    const held = start()
    expect([held.begin(madeUp), held.begin(real), held.begin(real)]).toEqual([true, true, false])
    const update = updateOf(place, 0, NOW)
    expect(held.update(link(1), update)).toBe(true)
    expect(held.end(madeUp, false)).toEqual([])
    expect(held.begin(madeUp)).toBe(true)
    expect(held.end(real, true)).toEqual([[link(1), update]])
    expect(held.end(madeUp, true)).toEqual([])
    expect([held.update(link(1), update), held.begin(real)]).toEqual([false, true])
  })

  it('updates of a channel that nobody could announce are dropped with it', () => {
    const held = start()
    held.begin(madeUp)
    held.update(link(1), updateOf(place, 0, NOW))
    expect(held.end(madeUp, false)).toHaveLength(1)
    expect(held.update(link(1), updateOf(place, 0, NOW))).toBe(false)
  })

  it('strangers hold no more than a few updates of unknown channels, each its newest, and keep those of a chosen peer out with none', () => {
    const held = start()
    held.begin(real)
    for (let n = 0; n < 100; n++) for (const d of [0, 1] as const) held.update(link(n), updateOf(place, d, NOW))
    const newest = updateOf(place, 1, NOW + 2)
    held.update(link(0), newest)
    for (const d of [0, 1] as const) held.update(chosen, updateOf(place, d, NOW + 1))
    const taken = held.end(real, true)
    expect(taken).toHaveLength(8 + 2)
    expect(taken.filter(([from]) => from === chosen)).toHaveLength(2)
    expect(taken).toContainEqual([link(0), newest])
  })

  it('nodes that strangers make up push out none that a chosen peer told of, nor take their places', () => {
    const held = start()
    const honest = announcedNode(0, NOW)
    held.node(chosen, honest)
    held.node(link(1), announcedNode(0, NOW + 9))
    const other = announcedNode(1, NOW)
    for (let n = 0; n < 6_000; n++) held.node(link(1), { ...other, nodeId: link(n).nodeId })
    expect(held.takeNodes([nodeOf(0), nodeOf(1)])).toEqual([[chosen, honest]])
    expect(held.takeNodes([nodeOf(0), link(0).nodeId])).toEqual([])
    expect(held.takeNodes([link(5_999).nodeId])).toHaveLength(1)
  })
})
