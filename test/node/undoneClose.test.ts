import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { isCommitment } from '../../src/channel/tx/commitment.ts'
import { onchainSat } from './accounts.ts'
import { putBack } from './lostOffers.ts'
import { World } from './world.ts'

it('a node on an older copy of its disk publishes nothing where a reorganisation undoes a close that it does not remember', async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const older = alice.disk.snapshot()
  const before = onchainSat(world).alice
  // Her older commitment is revoked by this.
  const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(100_000_000n) })
  await world.attempt(alice.api.pay({ bolt11 }))
  await world.settle()
  await world.attempt(bob.api.closeChannel(bob.node!.channels.all()[0]!.meta.localId, {}))
  await world.settle()
  world.crash('bob')
  world.crash('alice')
  await world.mine(2)
  await putBack(world, older, false, 'alice')
  await world.settle()
  const state = () => alice.node!.channels.all()[0]!.state
  expect(state()).toMatchObject({ tag: 'closing', onchain: { closing: { kind: 'unknown' } } })
  const { source } = alice.node!
  const published: Transaction[] = []
  const [send, sendAll] = [source.broadcast.bind(source), source.broadcastPackage.bind(source)]
  source.broadcast = (tx) => {
    published.push(tx)
    return send(tx)
  }
  source.broadcastPackage = (...args) => {
    published.push(...(args.flat() as Transaction[]))
    return sendAll(...args)
  }
  await world.reorg(2)
  expect(published.filter(isCommitment)).toEqual([])
  for (let n = 0; n < 8; n++) await world.mine(1)
  expect(state().tag).toBe('closed')
  expect(onchainSat(world).alice - before).toBeGreaterThan(890_000n)
  world.close()
})
