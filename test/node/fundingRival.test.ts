import { expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { outpointKey } from '../../src/base/ids.ts'
import { msat, type Sat, sat } from '../../src/base/units.ts'
import { unsignedInput } from '../../src/bitcoin/transaction.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { walletSigner } from '../../src/wallet/keys.ts'
import { signInputs } from '../../src/wallet/sign.ts'
import { only, view } from './restoring.ts'
import { NOBODY, nodeIdOf, World } from './world.ts'

it('BOLT 5 §general-nomenclature: a channel ends whose coins a wallet of the same words spends elsewhere, and its peer hears of it', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  const alice = world.of('alice')
  await world.attempt(
    alice.api.openChannel({ peer: nodeIdOf('bob'), capacitySat: sat(500_000), pushMsat: msat(0n), announce: false }),
  )
  await world.settle()
  const funding = channelOf(only(world, 'alice').state)!.funding.tx!
  const { wallet, resources } = alice.node!
  const coins = new Map(funding.inputs.map((i, n) => [n, wallet.state.coins.get(outpointKey(i))!]))
  const ownedSat = [...coins.values()].reduce((sum, c) => sum + c.amountSat, 0n)
  const elsewhere = {
    ...funding,
    inputs: funding.inputs.map((i) => unsignedInput(i, i.sequence)),
    outputs: [{ amountSat: (ownedSat - 5_000n) as Sat, scriptPubKey: NOBODY }],
  }
  world.chain.mineExactly([signInputs(elsewhere, coins, walletSigner(resources.master))], NOBODY)
  const { height } = world.chain.state
  await world.settle()
  await world.restart('alice')
  expect((await view(world)).waitsFor).toContain(`at height ${height + 99}`)
  for (let n = 0; n < 98; n++) world.chain.mineExactly([], NOBODY)
  await world.settle()
  expect((await view(world)).state).not.toBe('closed')
  await world.mine(1)
  expect(await view(world)).toMatchObject({ state: 'closed', waitsFor: null })
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
