import { expect, it } from 'vitest'
import { sat } from '../../src/base/units.ts'
import { CheckedDriver } from '../../src/store/checked.ts'
import type { Driver } from '../../src/store/types.ts'
import { nodeIdOf, World } from './world.ts'

const checked = { driverOf: (disk: Driver) => new CheckedDriver(disk) }
const OPENING = { id: 'opening', peer: nodeIdOf('bob'), capacitySat: sat(1_000_000n) }

/** Alice has opened a channel, and a record of it is damaged. @param hasBackup whether the file beside the database has it */
async function damaged(hasBackup: boolean): Promise<World> {
  const world = await World.start(['alice', 'bob'], null, checked)
  await world.fund()
  const alice = world.of('alice')
  const opening = alice.api.openChannel(OPENING)
  await world.settle()
  await opening
  await world.mine(6)
  world.crash('alice')
  if (!hasBackup) alice.wholeBackup = null
  alice.disk.harm('channel/opening/core', alice.disk.snapshot().get('channel/opening/core')!.with(3, 0x93))
  await world.boot('alice')
  world.connectAll()
  await world.settle()
  return world
}

it('of a channel whose record is damaged nobody is told that there is none: it would be opened once more', async () => {
  const world = await damaged(false)
  const { api } = world.of('alice')
  const refused = { code: 'CONFLICT', message: expect.stringContaining('a record of the channel opening is damaged') }
  await expect(api.channel('opening')).rejects.toMatchObject(refused)
  await expect(api.closeChannel('opening', {})).rejects.toMatchObject(refused)
  await expect(api.channel('none')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  world.close()
})

it('what the backup has of a channel is found by the id that the channel had', async () => {
  const world = await damaged(true)
  const { api } = world.of('alice')
  const [only, ...others] = (await api.channels({ limit: 10 }, {})).items
  expect(others).toEqual([])
  expect(await api.channel('opening')).toEqual(only)
  await world.restart('alice')
  expect((await world.of('alice').api.channel('opening')).id).toBe(only!.id)
  world.close()
})
