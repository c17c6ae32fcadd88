import { expect, it } from 'vitest'
import { keys } from '../../src/store/schema.ts'
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

  // Another name is told; the same one is not told again.
  const { alice, carol } = { alice: world.of('alice'), carol: world.of('carol') }
  const announced = (): unknown => alice.disk.snapshot().get(keys.gossip(`3-node/${carol.nodeId}`))
  const first = announced()
  carol.alias = 'caroline'
  await world.restart('carol')
  world.connectAll()
  for (let i = 0; i < 5; i++) await world.settle()
  const { items } = await world.of('alice').api.graphNodes({ limit: 10 })
  expect(items.map(({ alias }) => alias).sort()).toEqual(['alice', 'bob', 'caroline'])
  const second = announced()
  expect(second).not.toEqual(first)
  await world.restart('carol')
  world.connectAll()
  for (let i = 0; i < 5; i++) await world.settle()
  expect(announced()).toEqual(second)
  world.close()
})
