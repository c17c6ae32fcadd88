import { expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { isHtlcStage } from '../../src/channel/onchain/claims.ts'
import type { Node } from '../../src/node/node.ts'
import { believe, closedByBob, estimate, hold, mineEmpty, withOneCoin } from './claims.ts'
import { World } from './world.ts'

/** A claim of 15,000 sat that bob pays for with his only coin, at 1,000 sat per 1,000 weight units. */
async function claimed() {
  const world = await withOneCoin()
  const { api } = world.of('bob')
  const before = await api.utxos()
  const htlc = await hold(world, 1, 15_000n)
  const node = await closedByBob(world)
  estimate(node, 1_000)
  await htlc.settle()
  await world.settle()
  return { world, node, api, htlc, before }
}

it('an HTLC transaction that a full mempool has thrown out gives its coin back while it is too dear to come in again', async () => {
  const { world, node, api, htlc, before } = await claimed()
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
  const { world, node, api, htlc, before } = await claimed()
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
