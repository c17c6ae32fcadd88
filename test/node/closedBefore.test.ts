import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { onchainSat } from './accounts.ts'
import { putBack } from './lostOffers.ts'
import { World } from './world.ts'

it.each([false, true])(
  'a node whose disk has lost a close by force (and tells so: %s) does not go on with the channel, and revoke what waits in the mempool',
  async (gap) => {
    const world = await World.start(['alice', 'bob'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const before = onchainSat(world).alice
    const older = alice.disk.snapshot()
    const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(100_000_000n) })
    world.crash('bob')
    const { localId } = alice.node!.channels.all()[0]!.meta
    await world.attempt(alice.api.closeChannel(localId, { force: true }))
    await world.settle()
    await putBack(world, older, gap, 'alice')
    await world.boot('bob')
    world.connectAll()
    await world.settle()
    // It would revoke what waits.
    await world.attempt(alice.api.pay({ bolt11 }).catch(() => undefined))
    await world.settle()
    const state = () => alice.node!.channels.all()[0]!.state
    expect(state().tag).toBe('closing')
    for (let n = 0; n < 160; n++) await world.mine(1)
    expect(state()).toMatchObject({ tag: 'closed', onchain: { closing: { kind: 'local' } } })
    expect(onchainSat(world).alice - before).toBeGreaterThan(990_000n)
    world.close()
  },
)
