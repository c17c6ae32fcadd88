import { beforeAll, expect, it } from 'vitest'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { Node } from '../../src/node/node.ts'
import { onchainSat } from './accounts.ts'
import { estimate, hold, mineEmpty } from './claims.ts'
import { NOBODY, type Snapshot, World } from './world.ts'

/** What bob has in his channels with alice, sat: the last is too little for the highest fees. */
const BALANCES = [400_000, 300_000, 200_000, 2_500]
const DELAY = 10

let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(4)
  for (const sat of BALANCES) await world.open('alice', 'bob', 1_000_000, sat)
  base = world.snapshot()
  world.close()
})

/** What a node hands to its mempool from here on. @param isTaken what a mempool makes of it */
function handed(node: Node, isTaken: (tx: Transaction) => boolean = () => true): Transaction[] {
  const { source } = node
  const broadcast = source.broadcast.bind(source)
  const txs: Transaction[] = []
  source.broadcast = async (tx) => {
    txs.push(tx)
    return isTaken(tx) ? broadcast(tx) : { accepted: false, reason: 'min relay fee not met' }
  }
  return txs
}

/** Alice is gone, and all of bob's commitments are in blocks of one height. */
async function closedTogether(world: World, feerate = 1_000): Promise<void> {
  const { node, api } = world.of('bob')
  estimate(node!, feerate)
  world.crash('alice')
  for (const { meta } of node!.channels.all()) void api.closeChannel(meta.localId, { force: true }).catch(() => {})
  await world.settle()
  await world.mine(1)
}

const waiting = (world: World) => [...world.chain.mempool.entries()]
const sum = (amounts: readonly number[]): bigint => BigInt(amounts.reduce((s, a) => s + a, 0))

it('balances of channels that were closed together come home in one transaction, at less cost, and over a restart in the same', async () => {
  const world = await World.start(['alice', 'bob'], base)
  await closedTogether(world)
  await mineEmpty(world, DELAY - 1)
  const [large, small] = waiting(world).sort((a, b) => b.tx.inputs.length - a.tx.inputs.length)
  expect([large, small].map((e) => e!.tx.inputs.length)).toEqual([3, 1])
  // Each by itself: 500 weight units at the least.
  expect(large!.fee).toBeLessThan(1_500n)
  const before = onchainSat(world).bob

  await world.restart('bob')
  const txs = handed(world.of('bob').node!)
  estimate(world.of('bob').node!, 1_000)
  await mineEmpty(world, 1)
  expect(new Set(txs.map(txidOf))).toEqual(new Set([large!.txid, small!.txid]))
  await world.mine(1)
  expect(waiting(world)).toEqual([])
  expect(onchainSat(world).bob - before).toBe(sum(BALANCES) - large!.fee - small!.fee)
  await world.mine(100)
  expect(
    world
      .of('bob')
      .node!.channels.all()
      .map((e) => e.state.tag),
  ).toEqual(BALANCES.map(() => 'closed'))
  expect(world.of('bob').complaints).toEqual([])
  world.close()
})

it('what balances that come home together pay is counted for each channel by the weight of its own, over a restart too', async () => {
  const world = await World.start(['alice', 'bob'], base)
  await closedTogether(world)
  await mineEmpty(world, DELAY - 1)
  const [large, small] = waiting(world).sort((a, b) => b.tx.inputs.length - a.tx.inputs.length)
  /** Newest first: the one that goes by itself, then the others. */
  const paid = async () => {
    const { items } = await world.of('bob').api.analytics.channelEarnings({ limit: BALANCES.length })
    return items.map((c) => [c.closeFeeSat, c.profitMsat])
  }
  expect(await paid()).toEqual(BALANCES.map(() => [0n, 0n]))
  await world.mine(1)
  const [alone, ...shared] = await paid()
  expect(alone).toEqual([small!.fee, -1000n * small!.fee])
  const shares = shared.map(([sat]) => sat!)
  expect(shares.reduce((sum, sat) => sum + sat)).toBe(large!.fee)
  expect(shares.every((sat) => sat === large!.fee / 3n || sat === large!.fee / 3n + 1n)).toBe(true)
  expect(shared.map(([, msat]) => msat)).toEqual(shares.map((sat) => -1000n * sat))
  await world.mine(100)
  await world.restart('bob')
  expect((await paid()).reduce((sum, [sat]) => sum + sat!, 0n)).toBe(small!.fee + large!.fee)
  world.close()
})

it('in whatever order channels speak, theirs is the same transaction: another one would have to replace it', async () => {
  const world = await World.start(['alice', 'bob'], base)
  await closedTogether(world)
  await mineEmpty(world, DELAY - 1)
  const node = world.of('bob').node!
  const entries = node.channels.all()
  const [large] = waiting(world).filter((e) => e.tx.inputs.length > 1)
  for (const all of [entries, [...entries].reverse()]) {
    const txs = handed(node)
    await node.reactor.run((scope) => {
      for (const entry of all) node.effects.republish(entry, scope)
    })
    await world.settle()
    expect(txs.filter((tx) => tx.inputs.length > 1).map(txidOf)).toEqual([large!.txid])
  }
  world.close()
})

it('a channel that speaks again by itself has the others beside it: alone it would be refused for its fee', async () => {
  const world = await World.start(['alice', 'bob'], base)
  await closedTogether(world)
  await mineEmpty(world, DELAY - 1)
  const node = world.of('bob').node!
  const [large] = waiting(world).filter((e) => e.tx.inputs.length > 1)
  const [small] = waiting(world).filter((e) => e.tx.inputs.length === 1)
  for (const entry of node.channels.all()) {
    const txs = handed(node)
    await node.reactor.run((scope) => node.effects.republish(entry, scope))
    await world.settle()
    expect(txs.map(txidOf)).toEqual([entry.meta.seq === BALANCES.length ? small!.txid : large!.txid])
  }
  world.close()
})

it('where mempools do not take them together, each goes by itself', async () => {
  const world = await World.start(['alice', 'bob'], base)
  await closedTogether(world)
  handed(world.of('bob').node!, (tx) => tx.inputs.length === 1)
  await mineEmpty(world, DELAY - 1)
  expect(waiting(world).map((e) => e.tx.inputs.length)).toEqual(BALANCES.map(() => 1))
  world.close()
})

it('a reorganisation that takes one of the closes out of the chain leaves the others on their way', async () => {
  const world = await World.start(['alice', 'bob'], base)
  const before = onchainSat(world).bob
  await closedTogether(world)
  const { state } = world.chain
  const close = state.at(state.height)!
  await mineEmpty(world, DELAY - 1)
  world.chain.invalidate(close)
  const late = waiting(world).find((e) => e.tx.outputs.some((o) => o.amountSat === BigInt(BALANCES[0]!)))!
  const others = waiting(world).filter((e) => e.parents.size === 0 && e !== late)
  world.chain.mineExactly(
    others.map((e) => e.txid),
    NOBODY,
  )
  await mineEmpty(world, DELAY)
  const [two] = waiting(world).filter((e) => e.tx.inputs.length > 1 && e.tx.outputs.length === 1)
  expect(two!.tx.inputs).toHaveLength(2)
  expect(two!.tx.inputs.map((i) => i.txid)).not.toContain(late.txid)
  await world.mine(DELAY)
  await world.mine(1)
  expect(waiting(world)).toEqual([])
  expect(onchainSat(world).bob - before).toBeGreaterThan(sum(BALANCES) - 10_000n)
  world.close()
})

it('a fee is raised for all of them in one transaction', async () => {
  const world = await World.start(['alice', 'bob'], base)
  await closedTogether(world)
  await mineEmpty(world, DELAY - 1)
  const [first] = waiting(world).filter((e) => e.tx.inputs.length > 1)
  await mineEmpty(world, 6)
  const [raised] = waiting(world).filter((e) => e.tx.inputs.length > 1)
  expect(raised!.tx.inputs).toHaveLength(3)
  expect(Number(raised!.fee) / Number(first!.fee)).toBeCloseTo(1.25, 1)
  world.close()
})

it('a raise leaves nobody of them behind who can pay for all raises that there may be', async () => {
  const world = await World.start(['alice', 'bob'], base)
  await closedTogether(world)
  // 200,000 sat can pay four and a half times as much.
  estimate(world.of('bob').node!, 45_000)
  const fees: bigint[] = []
  for (const blocks of [DELAY - 1, 6, 6, 6]) {
    await mineEmpty(world, blocks)
    expect(waiting(world).map((e) => e.tx.inputs.length)).toEqual([3])
    fees.push(waiting(world)[0]!.fee)
  }
  expect(fees.map((f, i) => i === 0 || f > fees[i - 1]!)).toEqual([true, true, true, true])
  world.close()
})

it('what a peer can take is in no transaction with the balance of a channel, be it of another', async () => {
  const world = await World.start(['alice', 'bob'], base)
  const held = await hold(world, 7, 50_000n)
  const alice = world.of('alice')
  estimate(world.of('bob').node!, 1_000)
  for (const { meta } of alice.node!.channels.all()) void alice.api.closeChannel(meta.localId, { force: true })
  await world.settle()
  world.crash('alice')
  // With the preimage, all of it can be claimed from the same height on.
  await held.settle()
  const txs = handed(world.of('bob').node!)
  await world.mine(1)
  const claims = txs.filter((tx) => tx.inputs.some((i) => i.witness.length === 3 && i.witness[1]!.length === 32))
  expect(new Set(claims.map((tx) => tx.inputs.length))).toEqual(new Set([1]))
  expect(
    waiting(world)
      .map((e) => e.tx.inputs.length)
      .sort(),
  ).toEqual([1, 1, 3])
  world.close()
})
