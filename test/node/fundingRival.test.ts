import { expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { msat, type Sat, sat } from '../../src/base/units.ts'
import { encodeAddress } from '../../src/bitcoin/address.ts'
import { type Transaction, txidOf, unsignedInput } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { walletSigner } from '../../src/wallet/keys.ts'
import { signInputs } from '../../src/wallet/sign.ts'
import { only, view } from './restoring.ts'
import { type Name, NOBODY, nodeIdOf, World } from './world.ts'

it('BOLT 5 §general-nomenclature: a channel ends whose coins a wallet of the same words spends elsewhere, and its peer hears of it', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  const alice = world.of('alice')
  const funding = await opened(world)
  world.chain.mineExactly([rivalOf(world, 'alice', funding)], NOBODY)
  await endsWith(world)
  const told = (await alice.api.eventsSince(0, 1_000)).filter((e) => e.type === 'channel.closed')
  expect(told.map((e) => e.data)).toMatchObject([
    { how: 'never-funded', reason: expect.stringContaining('another has spent its coins') },
  ])
  world.connectAll()
  await world.settle()
  expect(world.channelsOf('bob')).toEqual([])
  await world.mine(3)
  await world.restart('alice')
  expect((await view(world)).state).toBe('closed')
  const { outputs } = await alice.node!.source.scanUnspent([...alice.node!.wallet.state.scripts.keys()].map(fromHex))
  const names = (found: Iterable<{ readonly outpoint: Parameters<typeof outpointKey>[0] }>) =>
    [...found].map((c) => outpointKey(c.outpoint)).sort()
  expect(names(alice.node!.wallet.state.coins.values())).toEqual(names(outputs))
  world.close()
})

/** What spends the same coins of a wallet, to nobody: as another wallet of the same words would. */
function rivalOf(world: World, name: Name, tx: Transaction): Transaction {
  const { wallet, resources } = world.of(name).node!
  const coins = new Map(tx.inputs.map((i, n) => [n, wallet.state.coins.get(outpointKey(i))!]))
  const ownedSat = [...coins.values()].reduce((sum, c) => sum + c.amountSat, 0n)
  const inputs = tx.inputs.map((i) => unsignedInput(i, i.sequence))
  const rival = { ...tx, inputs, outputs: [{ amountSat: (ownedSat - 5_000n) as Sat, scriptPubKey: NOBODY }] }
  return signInputs(rival, coins, walletSigner(resources.master))
}

const opened = async (world: World): Promise<Transaction> => {
  const request = { peer: nodeIdOf('bob'), capacitySat: sat(500_000), pushMsat: msat(0n), announce: false }
  await world.attempt(world.of('alice').api.openChannel(request))
  await world.settle()
  return channelOf(only(world, 'alice').state)!.funding.tx!
}

async function pay(world: World, from: Name, address: string): Promise<Transaction> {
  const { wallet } = world.of(from).node!
  const known = new Set(wallet.state.txs.keys())
  await world.attempt(world.of(from).api.sendOnChain({ outputs: [{ address, amountSat: sat(2_000_000) }] }))
  return [...wallet.state.txs.values()].find((t) => !known.has(t.txid))!.tx
}

/** The rival is in the newest block of all: the channel ends with the 99th on it, and not before. */
async function endsWith(world: World): Promise<void> {
  const { height } = world.chain.state
  await world.settle()
  await world.restart('alice')
  expect((await view(world)).waitsFor).toContain(`at height ${height + 99}`)
  for (let n = 0; n < 98; n++) world.chain.mineExactly([], NOBODY)
  await world.settle()
  expect((await view(world)).state).not.toBe('closed')
  await world.mine(1)
  expect(await view(world)).toMatchObject({ state: 'closed', waitsFor: null })
}

it('BOLT 5 §general-nomenclature: a channel ends that is paid for with change of a transaction whose coins are spent elsewhere', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund(1)
  const sent = await pay(world, 'alice', encodeAddress(NOBODY, 'regtest')!)
  const funding = await opened(world)
  expect(funding.inputs.map((i) => i.txid)).toEqual([txidOf(sent)])
  world.chain.mineExactly([rivalOf(world, 'alice', sent)], NOBODY)
  await endsWith(world)
  world.close()
})

it('BOLT 5 §general-nomenclature: a channel ends that is paid for with what a reorganisation takes away for good', async () => {
  const world = await World.start(['alice', 'bob'])
  const [alice, bob] = [world.of('alice').node!, world.of('bob').node!]
  const { scriptPubKey } = await bob.reactor.run(() => bob.wallet.newAddress())
  world.chain.mine(1, scriptPubKey)
  await world.mine(100)
  const { address } = await alice.reactor.run(() => alice.wallet.newAddress())
  const received = await pay(world, 'bob', address)
  const rival = rivalOf(world, 'bob', received)
  await world.mine(1)
  const { height } = world.chain.state
  const funding = await opened(world)
  expect(funding.inputs.map((i) => i.txid)).toEqual([txidOf(received)])
  await world.mine(3)
  expect((await view(world)).state).toBe('normal')
  world.chain.invalidate(world.chain.state.at(height)!)
  for (let n = 0; n < 4; n++) world.chain.mineExactly([], NOBODY)
  world.chain.mineExactly([rival], NOBODY)
  await endsWith(world)
  world.close()
})

it('BOLT 5 §general-nomenclature: a channel ends that is paid for out of a commitment in whose place a reorganisation puts another', async () => {
  const world = await World.start(['alice', 'bob'])
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const { scriptPubKey } = await bob.node!.reactor.run(() => bob.node!.wallet.newAddress())
  world.chain.mine(2, scriptPubKey)
  await world.mine(100)
  await world.open('bob', 'alice', 10_000_000, 2_000_000)
  const [first] = alice.node!.channels.all()
  const channel = channelOf(first!.state)!
  const rival = signedLocal(channel, channel.commitments.active[0]!, alice.node!.context(first!))
  await world.attempt(bob.api.closeChannel(bob.node!.channels.all()[0]!.meta.localId, { force: true }))
  await world.settle()
  const { height } = world.chain.state
  for (let n = 0; n < 3; n++) await world.mine(1)
  expect([...alice.node!.wallet.state.coins.values()].map((c) => c.height)).toEqual([height + 2])
  const request = { peer: nodeIdOf('bob'), capacitySat: sat(500_000), pushMsat: msat(0n), announce: false }
  await world.attempt(alice.api.openChannel(request))
  await world.settle()
  const second = () => alice.node!.channels.all()[1]!.state
  const funding = channelOf(second())!.funding.tx!
  const sweep = alice.node!.wallet.state.txs.get(funding.inputs[0]!.txid)!
  expect(sweep.tx.inputs.map((i) => i.txid)).not.toContain(txidOf(rival))
  world.chain.invalidate(world.chain.state.at(height + 1)!)
  for (let n = 0; n < 4; n++) world.chain.mineExactly(n === 0 ? [rival] : [], NOBODY)
  await world.settle()
  for (let n = 0; n < 95; n++) world.chain.mineExactly([], NOBODY)
  await world.settle()
  expect(second().tag).not.toBe('closed')
  await world.mine(1)
  expect(second()).toMatchObject({ tag: 'closed', reason: expect.stringContaining('another has spent its coins') })
  world.close()
})
