import { expect, it } from 'vitest'
import { isHtlcStage } from '../../src/channel/onchain/claims.ts'
import type { Node } from '../../src/node/node.ts'
import { believe, closedByBob, estimate, hold, mineEmpty, withOneCoin } from './claims.ts'

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

const blocksLeft = ({ channels, chain }: Node): number => {
  const { state } = channels.all()[0]!
  if (state.tag !== 'closing') throw new Error(`the channel is ${state.tag}`)
  const stages = state.onchain.outputs.flatMap((o) => (isHtlcStage(o.spend) ? [o.spend.cltvExpiry] : []))
  return Math.min(...stages) - chain.height
}

it('an HTLC transaction that has become too dear is raised near its deadline, to half of what it saves; thrown out all the same, it gives its coin back', async () => {
  const world = await withOneCoin()
  const { api } = world.of('bob')
  const before = await api.utxos()
  const htlc = await hold(world, 1, 15_000n)
  const node = await closedByBob(world)
  estimate(node, 1_000)
  await htlc.settle()
  await world.settle()
  const first = htlc.claims()[0]!.fee
  believe(node, { claim: 20_000, closing: 20_000 })
  while (blocksLeft(node) > 19) {
    await mineEmpty(world, 1)
    expect(htlc.claims().map((c) => c.fee)).toEqual([first])
  }
  await mineEmpty(world, 1)
  const [raised] = htlc.claims()
  expect(raised!.fee).toBeGreaterThan(7_400n)
  expect(raised!.fee).toBeLessThanOrEqual(7_500n)

  world.chain.mempool.minFeerate = 60_000n
  world.chain.mempool.undoAdd(raised!, [])
  await mineEmpty(world, 2)
  expect(htlc.claims()).toEqual([])
  expect(await api.utxos()).toMatchObject([{ outpoint: before[0]!.outpoint }])
  world.close()
})
