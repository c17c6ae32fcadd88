import { expect, it } from 'vitest'
import type { NodeId } from '../../src/base/ids.ts'
import { PeerBudget } from '../../src/node/peerBudget.ts'

it('a budget for each and for all: strangers, however many, take nothing from those who were chosen', () => {
  let now = 0
  const sizes = { perPeer: { burst: 3, refillMs: 1_000 }, total: { burst: 5, refillMs: 100 } }
  const budget = new PeerBudget(sizes, () => now)
  const peer = (n: number): NodeId => `02${n}` as NodeId
  const takes = (n: number, isChosen = false): number => {
    let taken = 0
    for (; budget.has(peer(n), isChosen); taken++) expect(budget.take(peer(n), isChosen)).toBe(true)
    expect(budget.take(peer(n), isChosen)).toBe(false)
    return taken
  }
  expect([takes(1), takes(2), takes(3)]).toEqual([3, 2, 0])
  expect(takes(4, true)).toBe(3)
  now += 1_000
  expect([takes(4, true), takes(1), takes(3)]).toEqual([1, 1, 3])
})
