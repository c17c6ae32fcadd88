import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { Node } from '../../src/node/node.ts'
import { walletBalance } from '../../src/wallet/status.ts'
import { estimate, hold, mineEmpty } from './claims.ts'
import { childOf, entryOf, force, onchainOf, oneChannel } from './forcedClose.ts'
import { World } from './world.ts'

/** Alice closes by force on records of her channel from before a payment, which she has forgotten. @returns what her wallet could spend before */
async function forcedFromOldCopy(world: World, prepare: (node: Node) => void = () => {}): Promise<bigint> {
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const { localId } = entryOf(world, 'alice').meta
  const isChannels = (key: string): boolean => key.startsWith(`channel/${localId}/`)
  const older = [...alice.disk.snapshot()].filter(([key]) => isChannels(key))
  const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(1_000_000n), description: '' })
  await world.attempt(alice.api.pay({ bolt11 }))
  await world.settle()
  const rest = [...alice.disk.snapshot()].filter(([key]) => !isChannels(key))
  world.crash('alice')
  world.crash('bob')
  await alice.disk.wipe([...alice.disk.snapshot().keys()])
  for (const [key, value] of [...rest, ...older]) await alice.disk.harm(key, value)
  await world.boot('alice')
  await world.settle()
  estimate(alice.node!, 3_000)
  prepare(alice.node!)
  const before = walletBalance(alice.node!.wallet.state).spendableSat
  await force(world, 'alice')
  return before
}

it('gives the coins of the child back where the mempool has lost it and the commitment is given up', async () => {
  const world = await World.start(['alice', 'bob'], await oneChannel())
  const before = await forcedFromOldCopy(world)
  const closing = onchainOf(world, 'alice')!.closing
  expect(closing.kind).toBe('local')
  const child = childOf(world, closing.txid)!
  expect(child).toBeDefined()
  await world.boot('bob')
  world.connectAll()
  await world.settle()
  expect(entryOf(world, 'alice').state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
  const stood = world.snapshot() // the Bitcoin node starts again without its mempool, and Bob never comes back
  world.close()
  const later = await World.start(['alice'], stood)
  await later.mine(20)
  const { node } = later.of('alice')
  expect([...later.chain.mempool.entries()]).toEqual([])
  expect(entryOf(later, 'alice').state.tag).toBe('waiting-for-peer')
  expect(walletBalance(node!.wallet.state).spendableSat).toBe(before)
  later.close()
})

it('gives the coins of the child back, and hands it out no more, where the commitment is withheld since an HTLC of it has gone back', async () => {
  const world = await World.start(['alice', 'bob'], await oneChannel())
  await hold(world, 1, 200n)
  const before = await forcedFromOldCopy(world)
  const { txid } = onchainOf(world, 'alice')!.closing
  const { tx } = world.chain.mempool.get(txid)!
  expect(childOf(world, txid)).toBeDefined()
  await world.boot('bob')
  world.connectAll()
  await world.settle()
  expect(entryOf(world, 'alice').state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
  world.crash('bob')
  const fork = world.snapshot()
  await world.mine(10)
  expect(entryOf(world, 'alice').state).toMatchObject({ isOld: true, onchain: { failed: [0n] } })
  const { disks } = world.snapshot()
  world.close()
  // A longer chain, and somebody who hands out the commitment alone.
  const later = await World.start(['alice'], { disks: {}, blocks: fork.blocks })
  await mineEmpty(later, 20)
  later.crash('alice')
  const { disk } = later.of('alice')
  await disk.wipe([...disk.snapshot().keys()])
  for (const [key, value] of disks.alice!) await disk.harm(key, value)
  expect(later.chain.submit(tx)).toMatchObject({ ok: true })
  await later.boot('alice')
  await later.settle()
  const withheld = { tag: 'closing', isOld: true, onchain: { closing: { kind: 'local', height: null } } }
  const isWithheld = () => expect(entryOf(later, 'alice').state).toMatchObject(withheld)
  isWithheld()
  await later.restart('alice')
  await mineEmpty(later, 2)
  isWithheld()
  expect([...later.chain.mempool.entries()].map((e) => e.txid)).toEqual([txid])
  expect(walletBalance(later.of('alice').node!.wallet.state).spendableSat).toBe(before)
  later.close()
})

it('publishes no commitment whose proof comes while the Bitcoin node is slow to say what is in its mempool', async () => {
  const world = await World.start(['alice', 'bob'], await oneChannel())
  let answer = (): void => {}
  const slow = new Promise<void>((resolve) => {
    answer = resolve
  })
  const before = await forcedFromOldCopy(world, ({ source }) => {
    const mempoolSpends = source.mempoolSpends.bind(source)
    source.mempoolSpends = async (outpoints) => {
      await slow
      return mempoolSpends(outpoints)
    }
  })
  const { txid } = onchainOf(world, 'alice')!.closing
  await world.boot('bob')
  world.connectAll()
  await world.settle()
  expect(entryOf(world, 'alice').state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
  world.crash('bob')
  answer()
  await world.settle()
  const isThere = (): boolean => world.chain.mempool.get(txid) !== undefined
  expect(isThere()).toBe(false)
  await mineEmpty(world, 2)
  expect(isThere()).toBe(false)
  expect(walletBalance(world.of('alice').node!.wallet.state).spendableSat).toBe(before)
  world.close()
})

it('keeps back nothing more for a commitment that is given up, nor for its HTLC transactions', async () => {
  const world = await World.start(['bob', 'alice', 'carol'])
  await world.fund(4)
  await world.open('alice', 'bob', 1_000_000, 400_000)
  await hold(world, 1, 50_000n)
  await world.open('alice', 'carol', 1_000_000, 400_000)
  await forcedFromOldCopy(world)
  const { node, api } = world.of('alice')
  const { wallet, channels } = node!
  expect(node!.reserves.forCloses()).toBe(20_000n)
  await world.boot('bob')
  world.connectAll()
  await world.settle()
  expect(entryOf(world, 'alice').state).toMatchObject({ tag: 'waiting-for-peer', isOld: true })
  world.crash('bob')
  await mineEmpty(world, 1)
  expect(node!.reserves.forCloses()).toBe(10_000n)
  const kept: (bigint | undefined)[] = []
  const bump = wallet.bump.bind(wallet)
  wallet.bump = (request, sign) => {
    kept.push(request.leaveSat)
    return bump(request, sign)
  }
  void api.closeChannel(channels.all()[1]!.meta.localId, { force: true }).catch(() => {})
  await world.settle()
  expect(kept).toEqual([0n])
  world.close()
})
