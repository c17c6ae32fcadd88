import { beforeAll, expect, it } from 'vitest'
import { watchedFrom } from '../../src/node/holdings.ts'
import type { Node } from '../../src/node/node.ts'
import { onchainSat } from './accounts.ts'
import { closedByBob, estimate, mineEmpty } from './claims.ts'
import { entryOf, onchainOf, oneChannel } from './forcedClose.ts'
import { type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await oneChannel()
})

/** Fees at which 400,000 sat are not worth their claim, and mempools that take in nothing below them. */
function dear(node: Node): { over: () => void } {
  const context = node.context
  const { source } = node
  const broadcast = source.broadcast.bind(source)
  estimate(node, 2_000_000)
  source.broadcast = async () => ({ accepted: false, reason: 'mempool min fee not met' })
  return {
    over() {
      node.context = context
      source.broadcast = broadcast
    },
  }
}

it('a balance of a closed channel that was too dear to claim for longer than a week comes home when fees fall, over restarts', async () => {
  const world = await World.start(['alice', 'bob'], base)
  const before = onchainSat(world).bob
  dear(await closedByBob(world))
  await mineEmpty(world, 1_100)
  const state = () => entryOf(world, 'bob').state
  const output = () => onchainOf(world, 'bob')!.outputs[0]!
  const closed = async () =>
    (await world.of('bob').api.eventsSince(0, 5_000)).filter((e) => e.type === 'channel.closed').length
  expect(state()).toMatchObject({ tag: 'closed', irrevocable: true })
  // Of what it was tried for last.
  expect(world.of('bob').complaints.splice(0).length).toBeLessThan(200)
  expect(output()).toMatchObject({ spend: { tag: 'delayed' }, spent: null, amountSat: 400_000n })
  // Nothing is kept back for it, no block is read again for it, and people hear that it is over.
  const { api, node } = world.of('bob')
  expect(node!.reserves.forCloses()).toBe(0n)
  expect(watchedFrom(state())).toBeUndefined()
  expect((await api.channel(entryOf(world, 'bob').meta.localId)).closing).toMatchObject({
    resolved: true,
    unclaimedSat: 400_660n,
  })
  expect((await api.balance()).onchainClosingSat).toBe(400_000n)
  expect(await closed()).toBe(1)

  await world.restart('bob')
  const again = dear(world.of('bob').node!)
  await mineEmpty(world, 2)
  expect(output().spent).toBeNull()
  again.over()
  await mineEmpty(world, 1)
  const [claim] = [...world.chain.mempool.entries()]
  expect(claim!.fee).toBeLessThan(4_000n)
  // What was handed out before is asked for once more after a start.
  await world.restart('bob')
  await world.mine(1)
  expect(output().spent).toMatchObject({ txid: claim!.txid })
  expect(onchainSat(world).bob - before).toBeGreaterThan(400_000n - 4_000n - 1_000n)
  expect((await world.of('bob').api.balance()).onchainClosingSat).toBe(0n)

  await world.restart('bob')
  await world.reorg(1)
  await world.mine(1)
  expect(onchainSat(world).bob - before).toBeGreaterThan(400_000n - 4_000n - 1_000n)
  await mineEmpty(world, 100)
  expect(state()).toMatchObject({ tag: 'closed', irrevocable: true })
  expect(state()).not.toHaveProperty('shallow')
  expect(await closed()).toBe(1)
  expect(world.of('bob').complaints).toEqual([])
  world.close()
})
