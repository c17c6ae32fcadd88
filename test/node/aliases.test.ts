import { expect, it } from 'vitest'
import { World } from './world.ts'

it('BOLT 7 §the-node_announcement-message: a name that comes before its channel is taken in is not lost', async () => {
  const names = ['alice', 'bob', 'carol'] as const
  const world = await World.start([...names])
  world.connectAll()
  await world.settle()
  await world.fund()
  await world.open('alice', 'bob', 500_000)
  await world.open('bob', 'carol', 500_000)
  await world.mine(10)
  for (let i = 0; i < 5; i++) await world.settle()
  for (const name of names) {
    const { items } = await world.of(name).api.graphNodes({ limit: 10 })
    expect([name, items.map(({ alias }) => alias).sort()]).toEqual([name, [...names]])
  }
  world.close()
})
