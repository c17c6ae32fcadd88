import { expect, it } from 'vitest'
import { ChannelNumbers } from '../../src/node/channelNumbers.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import { nodeIdOf, World } from './world.ts'

const bob = nodeIdOf('bob')

/** The index that a node would give its next channel. */
const nextIndex = (world: World): Promise<number> => {
  const { reactor, numbers } = world.of('alice').node!
  return reactor.run(() => numbers.take(bob).keyIndex)
}

it('BOLT 3 §per-commitment-secret-requirements: words that start on an empty disk get keys for their channels that no old peer knows secrets of', async () => {
  const world = await World.start(['alice', 'bob'])
  const used: number[] = []
  for (let n = 0; n < 20; n++) used.push(await nextIndex(world))
  expect(Math.max(...used)).toBeLessThan(70_000)
  const alice = world.of('alice')
  for (let n = 0; n < 2; n++) {
    world.wipe('alice')
    alice.hasLived = true
    await world.boot('alice')
    const index = await nextIndex(world)
    expect(used).not.toContain(index)
    expect(index).toBeLessThan(2 ** 31)
    used.push(index)
  }
  world.close()
})

it('a copy of some time ago that is started again goes another way from there, by chance alone', () => {
  const writes: unknown[] = []
  const scope = { write: (op: unknown) => writes.push(op) } as unknown as TurnScope
  /** @param chance 0 up to before 1 */
  const started = (chance: number, last = 41): number => {
    const numbers = new ChannelNumbers({ newId: () => 'id', now: () => 0, newScript: () => new Uint8Array(22) })
    numbers.reserve({ keyIndex: last, seq: 9 })
    numbers.leap(false, (limit) => Math.floor(chance * limit))
    numbers.endOfTurn(scope)
    return numbers.take(bob).keyIndex
  }
  expect([started(0), started(0.5), started(0.999_999)]).toEqual([42, 42 + 2 ** 15, 42 + 2 ** 16 - 1])
  expect(writes).toHaveLength(3)
  // Not beyond the last index that there is, though it be started without end.
  const late = 2 ** 31 - 2 ** 24
  expect([started(0.999_999, late - 100), started(0.999_999, late + 5)]).toEqual([late - 1, late + 6])
})
