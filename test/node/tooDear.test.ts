import { expect, it } from 'vitest'
import { closedByBob, estimate, hold, mineEmpty, withOneCoin } from './claims.ts'

it('an HTLC transaction that a full mempool has thrown out gives its coin back while it is too dear to come in again', async () => {
  const world = await withOneCoin()
  const { api } = world.of('bob')
  const before = await api.utxos()
  const htlc = await hold(world, 1, 15_000n)
  const node = await closedByBob(world)
  estimate(node, 1_000)
  await htlc.settle()
  await world.settle()
  const [claim] = htlc.claims()
  expect(claim).toBeDefined()
  estimate(node, 20_000)
  world.chain.mempool.minFeerate = 60_000n
  world.chain.mempool.undoAdd(claim!, [])
  expect((await api.utxos()).map((u) => u.confirmations)).toEqual([0])
  await mineEmpty(world, 2)
  expect(await api.utxos()).toMatchObject([{ outpoint: before[0]!.outpoint }])

  // It is claimed with the same coin when that costs less again, and kept from then on.
  estimate(node, 1_000)
  world.chain.mempool.minFeerate = 1_000n
  for (let block = 0; block < 3; block++) {
    await mineEmpty(world, 1)
    expect(htlc.claims()).toHaveLength(1)
    expect((await api.utxos()).map((u) => u.confirmations)).toEqual([0])
  }
  world.close()
})
