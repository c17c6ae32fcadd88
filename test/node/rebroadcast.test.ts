import { beforeAll, describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, txidOf, unsignedInput } from '../../src/bitcoin/transaction.ts'
import type { Spend } from '../../src/channel/onchain/claims.ts'
import type { Node } from '../../src/node/node.ts'
import { walletBalance } from '../../src/wallet/status.ts'
import { believe, mineEmpty } from './claims.ts'
import { childOf, force, onchainOf, oneChannel } from './forcedClose.ts'
import { Life } from './life.ts'
import { NOBODY, type Snapshot, World } from './world.ts'

let base: Snapshot
beforeAll(async () => {
  base = await oneChannel()
})

const begin = async (): Promise<Life> => new Life(await World.start(['alice', 'bob'], base))

describe('what waits for a block', () => {
  /** How often a node hands each transaction to the chain. */
  function counted({ source }: Node): Map<Txid, number> {
    const times = new Map<Txid, number>()
    const note = (txs: readonly Transaction[]): void => {
      for (const tx of txs) times.set(txidOf(tx), (times.get(txidOf(tx)) ?? 0) + 1)
    }
    const { broadcast, broadcastPackage } = source
    source.broadcast = (tx) => {
      note([tx])
      return broadcast.call(source, tx)
    }
    source.broadcastPackage = (txs) => {
      note(txs)
      return broadcastPackage.call(source, txs)
    }
    return times
  }
  const emptyBlock = (world: World): Promise<void> => mineEmpty(world, 1)

  it('is planned and handed over once with each block: commitment and child, HTLC transactions, sweeps', async () => {
    const life = await begin()
    const { world } = life
    await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat: 200_000_000, kind: 'hold' })
    await world.settle()
    const { node } = world.of('alice')
    believe(node!, { slow: 3_000, claim: 3_000, closing: 3_000 })
    await force(world, 'alice')
    const { closing, outputs } = onchainOf(world, 'alice')!
    const times = counted(node!)
    await emptyBlock(world)
    expect([...times]).toEqual([closing.txid, childOf(world, closing.txid)!.txid].map((id) => [id, 1]))

    const { cltvExpiry } = outputs.find((o) => o.htlc)!.spend as Extract<Spend, { readonly cltvExpiry: number }>
    world.crash('bob')
    await world.mine(1)
    while (world.chain.state.height < cltvExpiry) await emptyBlock(world)
    times.clear()
    await emptyBlock(world)
    const waiting = [...world.chain.mempool.entries()].map((e) => e.txid)
    expect(waiting.length).toBe(2)
    expect(new Map(times)).toEqual(new Map(waiting.map((id) => [id, 1])))
    world.close()
  })

  it('is paid for with a coin of the same block', async () => {
    const life = await begin()
    const { world } = life
    await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat: 200_000_000, kind: 'hold' })
    await world.settle()
    const { node, api } = world.of('alice')
    const { address } = await api.newAddress()
    const coin = await world.of('bob').api.sendOnChain({ outputs: [{ address, amountSat: sat(50_000n) }] })
    await world.settle()
    world.crash('bob')
    await force(world, 'alice')
    const { closing, outputs } = onchainOf(world, 'alice')!
    world.chain.mineExactly([closing.txid], NOBODY)
    await world.settle()
    const { cltvExpiry } = outputs.find((o) => o.htlc)!.spend as Extract<Spend, { readonly cltvExpiry: number }>
    while (world.chain.state.height < cltvExpiry - 1) await emptyBlock(world)
    const claim = () => [...world.chain.mempool.entries()].find((e) => e.tx.lockTime === cltvExpiry)

    // All coins are set aside for something else; one more comes with the block after which the HTLC can be claimed.
    await node!.reactor.run(() => {
      const most = walletBalance(node!.wallet.state).spendableSat - 1_000n
      const output = { amountSat: sat(most), scriptPubKey: NOBODY }
      node!.wallet.fund({ outputs: [output], feeratePerKw: 253, owner: 'channel:none', reserveSat: sat(0) })
    })
    expect(walletBalance(node!.wallet.state).spendableSat).toBe(0n)
    expect(claim()).toBeUndefined()
    world.chain.mineExactly([coin.txid], NOBODY)
    await world.settle()
    expect(claim()?.tx.inputs[1]?.txid).toBe(coin.txid)
    world.close()
  })
})

it('a transaction beside an output that never comes gives its coin back after twelve blocks, and not before', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  const { wallet, reactor } = world.of('alice').node!
  const spendable = (): bigint => walletBalance(wallet.state).spendableSat
  const before = spendable()
  await reactor.run(() => {
    const outputs = [{ amountSat: sat(100_000), scriptPubKey: p2wsh(Uint8Array.of(1)) }]
    const { tx } = wallet.fund({ outputs, feeratePerKw: 1000, owner: 'us', reserveSat: sat(0) })
    const foreign = unsignedInput({ txid: 'ab'.repeat(32) as Txid, index: 0 }, 0xfffffffd)
    wallet.sent({ ...tx, inputs: [foreign, ...tx.inputs] }, {})
    wallet.release('us')
  })
  expect(spendable()).toBeLessThan(before - 100_000n)
  await world.mine(12)
  expect(spendable()).toBeLessThan(before - 100_000n)
  await world.mine(2)
  expect(spendable()).toBe(before)
  world.close()
})
