import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { onchainSat } from './accounts.ts'
import { putBack } from './lostOffers.ts'
import { World } from './world.ts'

it.each([false, true])(
  'a node whose disk has lost a close that was agreed (and tells so: %s) publishes nothing older while that waits in the mempool',
  async (gap) => {
    const world = await World.start(['alice', 'bob'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const before = onchainSat(world).alice
    const older = alice.disk.snapshot()
    // Her older commitment is revoked by this.
    const { bolt11 } = await bob.api.createInvoice({ amountMsat: msat(100_000_000n) })
    await world.attempt(alice.api.pay({ bolt11 }))
    await world.settle()
    const { localId } = alice.node!.channels.all()[0]!.meta
    await world.attempt(bob.api.closeChannel(bob.node!.channels.all()[0]!.meta.localId, {}))
    await world.settle()
    world.crash('bob')
    await putBack(world, older, gap, 'alice')
    const state = () => alice.node!.channels.all()[0]!.state
    expect(state()).toMatchObject({ tag: 'waiting-for-peer', channel: { unproven: true } })
    expect(await world.attempt(alice.api.closeChannel(localId, { force: true }).catch((e) => e.code))).toBe('CONFLICT')
    for (let n = 0; n < 8; n++) await world.mine(1)
    expect(state()).toMatchObject({ tag: 'closed', onchain: { closing: { kind: 'mutual' } } })
    expect(onchainSat(world).alice - before).toBeGreaterThan(890_000n)
    world.close()
  },
)
