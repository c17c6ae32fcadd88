import { beforeAll, describe, expect, it, vi } from 'vitest'
import { CHAIN_METHODS } from '../../src/chain/embedded/rpc/chainMethods.ts'
import { ChainShell } from '../../src/node/chain.ts'
import { keys } from '../../src/store/schema.ts'
import { Disk } from './disk.ts'
import { expectAllButFees, type Ground, ground, only, view } from './restoring.ts'
import { type Name, NOBODY, World } from './world.ts'

const METHOD = CHAIN_METHODS.gettxout! as { run: NonNullable<typeof CHAIN_METHODS.gettxout>['run'] }

let start: Ground
beforeAll(async () => {
  start = await ground()
})

/** One channel's records are older than all else that alice has, as if its last writes had been lost. */
async function withOldRecords(world: World): Promise<void> {
  const alice = world.of('alice')
  const prefix = keys.channel(only(world, 'alice').meta.localId, '')
  const others = [...alice.disk.snapshot()].filter(([key]) => !key.startsWith(prefix))
  const old = [...start.base.disks.alice!].filter(([key]) => key.startsWith(prefix))
  world.crash('alice')
  alice.disk = new Disk(new Map([...others, ...old]), () => {})
  await world.boot('alice')
  world.connectAll()
  await world.settle()
}

describe('a channel whose records do not know of its close, though the place in the chain is past it', () => {
  it.each<Name>(['alice', 'bob'])('ends as it did, closed by %s', async (closer) => {
    const world = await World.start(['alice', 'bob'], start.base)
    await world.attempt(world.of(closer).api.closeChannel(only(world, closer).meta.localId, { force: true }))
    await world.settle()
    await world.mine(3)
    expect((await view(world)).state).toBe('closing')
    await withOldRecords(world)
    expect((await view(world)).state).toBe('closing')
    for (let n = 0; n < 200 && (await view(world)).state !== 'closed'; n++) await world.mine(1)
    expect(await view(world)).toMatchObject({ state: 'closed', waitsFor: null })
    expectAllButFees(world, start)
    world.close()
  })

  it('is looked for again where the newest block did not come in time', async () => {
    const world = await World.start(['alice', 'bob'], start.base)
    await world.attempt(world.of('bob').api.closeChannel(only(world, 'bob').meta.localId, { force: true }))
    await world.settle()
    await world.mine(3)
    const { run } = METHOD
    // A start asks first whether the channel may go on, then where its close is.
    let asked = 0
    const mineOnce: typeof run = (...args) => {
      if (++asked === 2) world.chain.mine(1, NOBODY)
      return run(...args)
    }
    const reach = vi.spyOn(ChainShell.prototype, 'reach').mockResolvedValueOnce(undefined)
    METHOD.run = mineOnce
    try {
      await withOldRecords(world)
      expect(reach).toHaveBeenCalledTimes(2)
    } finally {
      METHOD.run = run
      reach.mockRestore()
    }
    expect((await view(world)).state).toBe('closing')
    world.close()
  })

  it('is not looked for where blocks that are still to come tell of it: those alone are read', async () => {
    const world = await World.start(['alice', 'bob'], start.base)
    await world.mine(20)
    world.crash('alice')
    const bob = world.of('bob')
    await world.attempt(bob.api.closeChannel(only(world, 'bob').meta.localId, { force: true }))
    await world.settle()
    await world.mine(3)
    const method = CHAIN_METHODS.getblock!
    const { run } = method
    const asked = new Set<unknown>()
    const count: typeof run = (...args) => {
      asked.add(JSON.stringify(args[0]))
      return run(...args)
    }
    Object.assign(method, { run: count })
    try {
      await world.boot('alice')
      await world.settle()
    } finally {
      Object.assign(method, { run })
    }
    expect((await view(world)).state).toBe('closing')
    expect(asked.size).toBeLessThan(10)
    world.close()
  })
})
