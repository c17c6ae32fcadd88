import { expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { closedByBob, estimate, hold, mineEmpty, withOneCoin } from './claims.ts'
import { World } from './world.ts'

it.each([
  { minimum: 20_000n, what: 'comes in again with' },
  { minimum: 60_000n, what: 'gives the only coin to' },
])(
  'a claim that a mempool full at $minimum sat per 1,000 vbytes has thrown out, and that is too dear for now, $what one that is not',
  async ({ minimum }) => {
    const world = await withOneCoin()
    const small = await hold(world, 1, 15_000n)
    const large = await hold(world, 2, 1_000_000n)
    const node = await closedByBob(world)
    estimate(node, 1_000)
    await small.settle()
    await world.settle()
    const [thrownOut] = small.claims()
    expect(thrownOut).toBeDefined()

    estimate(node, 20_000)
    world.chain.mempool.minFeerate = minimum
    world.chain.mempool.undoAdd(thrownOut!, [])
    await large.settle()
    await world.settle()
    await mineEmpty(world, 2)
    expect(large.claims()).toHaveLength(1)
    expect(small.claims()).toHaveLength(minimum === 20_000n ? 1 : 0)
    world.close()
  },
)

it('a commitment is paid for with the change of a payment that a full mempool has thrown out: that comes in again with it', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  await world.open('alice', 'bob', 1_000_000, 400_000)
  const { api } = world.of('alice')
  const { address } = (await world.attempt(world.of('bob').api.newAddress()))!
  const outputs = [{ address, amountSat: sat(50_000) }]
  const { txid } = (await world.attempt(api.sendOnChain({ outputs, feerateSatPerVbyte: 1.1 })))!
  const entry = world.chain.mempool.get(txid as Txid)!
  expect((await api.utxos()).length).toBe(1)

  world.chain.mempool.minFeerate = 17_036n
  world.chain.mempool.undoAdd(entry, [])
  estimate(world.of('alice').node!, 8_000)
  const { localId } = world.of('alice').node!.channels.all()[0]!.meta
  void world
    .of('alice')
    .api.closeChannel(localId, { force: true })
    .catch(() => {})
  await world.settle()
  expect([...world.chain.mempool.entries()].map((e) => e.parents.size).sort()).toEqual([0, 0, 2])
  expect(world.chain.mempool.get(txid as Txid)).toBeDefined()
  world.close()
})
