import { expect, it } from 'vitest'
import { msat } from '../../src/base/units.ts'
import { onchainSat } from './accounts.ts'
import { putBack } from './lostOffers.ts'
import { nodeIdOf, World } from './world.ts'

/** A channel of alice's, with what she has on chain and on disk when it has just opened. */
async function begin() {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 1_000_000)
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  return { world, alice, bob, before: onchainSat(world).alice, older: alice.disk.snapshot() }
}

it.each([false, true])(
  'a node whose disk has lost a close by force (and tells so: %s) does not go on with the channel, and revoke what waits in the mempool',
  async (gap) => {
    const { world, alice, bob, before, older } = await begin()
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

it.each([false, true])(
  'a node whose disk has lost a close that was agreed (and tells so: %s) publishes nothing older while that waits in the mempool',
  async (gap) => {
    const { world, alice, bob, before, older } = await begin()
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

it('a node whose disk has lost a close by force does not go on with the channel where the peer has another commitment in the mempool', async () => {
  const { world, alice, bob, before, older } = await begin()
  world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
  for (const { node, api } of [bob, alice]) {
    await world.attempt(api.closeChannel(node!.channels.all()[0]!.meta.localId, { force: true }))
    await world.settle()
  }
  world.crash('bob')
  await putBack(world, older, false, 'alice')
  const state = () => alice.node!.channels.all()[0]!.state
  expect(state()).toMatchObject({ tag: 'waiting-for-peer', publishAfter: expect.any(Number) })
  for (let n = 0; n < 8; n++) await world.mine(1)
  expect(state()).toMatchObject({ tag: 'closed', onchain: { closing: { kind: 'remote' } } })
  expect(onchainSat(world).alice - before).toBeGreaterThan(990_000n)
  world.close()
})

it('a node whose disk has lost a close by force does not go on with the channel before it has the block with its commitment', async () => {
  const { world, alice, before, older } = await begin()
  const { localId } = alice.node!.channels.all()[0]!.meta
  world.crash('bob')
  await world.attempt(alice.api.closeChannel(localId, { force: true }))
  await world.mine(2)
  await putBack(world, older, false, 'alice')
  const state = () => alice.node!.channels.all()[0]!.state
  expect(alice.node!.chain.height).toBeLessThan(world.chain.state.height)
  expect(state()).toMatchObject({ tag: 'waiting-for-peer', publishAfter: expect.any(Number) })
  for (let n = 0; n < 160; n++) await world.mine(1)
  expect(state()).toMatchObject({ tag: 'closed', onchain: { closing: { kind: 'local' } } })
  expect(onchainSat(world).alice - before).toBeGreaterThan(990_000n)
  world.close()
})
