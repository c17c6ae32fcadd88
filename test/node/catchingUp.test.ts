import { expect, it } from 'vitest'
import { entryOf, oneChannel } from './forcedClose.ts'
import { NOBODY, World } from './world.ts'

it('channels know that the Bitcoin node itself catches up, though all blocks that it has are here', async () => {
  const world = await World.start(['alice', 'bob'], await oneChannel())
  const { source, chain } = world.of('alice').node!
  const isBehind = () => world.of('alice').node!.context(entryOf(world, 'alice')).isBehind
  expect(isBehind()).toBe(false)
  const tip = source.tip.bind(source)
  source.tip = async () => ({ ...(await tip()), syncing: true })
  world.chain.mineExactly([], NOBODY)
  const { height } = await tip()
  while (chain.height < height) await new Promise((resolve) => setImmediate(resolve))
  expect([chain.isBehind, isBehind()]).toEqual([false, true])
  source.tip = tip
  await world.mine(1)
  expect(isBehind()).toBe(false)
  world.close()
})
