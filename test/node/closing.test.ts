import { beforeAll, describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { Node } from '../../src/node/node.ts'
import type { ChannelView, CloseChannelRequest } from '../../src/node/service.ts'
import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { onchainSat } from './accounts.ts'
import { mineEmpty } from './claims.ts'
import { entryOf } from './forcedClose.ts'
import { Life } from './life.ts'
import { type Name, nodeIdOf, type Snapshot, World } from './world.ts'

const BOTH: readonly Name[] = ['alice', 'bob']
const CAPACITY = 1_000_000n
const PUSHED = 400_000n
let base: Snapshot
beforeAll(async () => {
  base = await World.pair(Number(CAPACITY), Number(PUSHED), 1)
})

const view = (world: World, name: Name): Promise<ChannelView> =>
  world.of(name).api.channel(entryOf(world, name).meta.localId)
const ask = async (world: World, name: Name, request: CloseChannelRequest = {}): Promise<ChannelView | undefined> => {
  const answer = await world.attempt(world.of(name).api.closeChannel(entryOf(world, name).meta.localId, request))
  await world.settle()
  return answer
}
/** The closing transaction that miners have. */
const waiting = (world: World) => {
  const { funding } = channelOf(entryOf(world, 'alice').state)!.commitments.active[0]!
  return world.chain.mempool.spender(outpointKey(funding))
}
function believe(node: Node, closing: number, claim: number): void {
  const before = node.context.bind(node)
  node.context = (entry) => ({ ...before(entry), feerates: { commitment: 1_000, closing, claim } })
}
const eventsOf = async (world: World, name: Name) =>
  (await world.of(name).api.eventsSince(0, 1000)).filter((e) => e.type.startsWith('channel.clos'))

/** The end: who paid the fee of what confirmed, both balances to the satoshi, and one event each. */
async function confirmed(world: World, before: Awaited<ReturnType<typeof onchainSat>>, payer: Name): Promise<bigint> {
  const { txid, fee } = waiting(world)!
  await world.mine(6)
  const after = onchainSat(world)
  expect(after.alice - before.alice).toBe(CAPACITY - PUSHED - (payer === 'alice' ? fee : 0n))
  expect(after.bob - before.bob).toBe(PUSHED - (payer === 'bob' ? fee : 0n))
  for (const name of BOTH) {
    expect(await view(world, name)).toMatchObject({ state: 'closed', closing: { how: 'cooperative', txid } })
    const events = await eventsOf(world, name)
    expect(events.map((e) => [e.type, e.data.how])).toEqual([
      ['channel.closing', 'cooperative'],
      ['channel.closed', 'cooperative'],
    ])
    expect(events[1]!.data.txid).toBe(txid)
    expect(world.of(name).complaints).toEqual([])
  }
  return fee
}

describe('a cooperative close with option_simple_close', () => {
  it('is raised by asking again, by time and by estimates, over restarts; the one who raised it last pays', async () => {
    const { world } = new Life(await World.start(BOTH, base))
    const before = onchainSat(world)
    await ask(world, 'alice')
    const first = waiting(world)!
    // Who asks for it pays.
    expect(first.tx.outputs.map((o) => o.amountSat)).toContain(PUSHED)
    for (const name of BOTH) {
      const { closing } = await view(world, name)
      expect(closing?.transactions.map((t) => t.txid)).toContain(first.txid)
    }

    await ask(world, 'alice', { feerateSatPerVbyte: 9 })
    const second = waiting(world)!
    expect(Number(second.fee) / second.weight).toBeGreaterThan(2.2)
    for (const name of BOTH) {
      const { state, closing } = await view(world, name)
      expect([state, closing?.txid, closing?.transactions.length]).toEqual(['closing', second.txid, 3])
    }
    await expect(ask(world, 'alice', { feerateSatPerVbyte: 9.1 })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
    await expect(ask(world, 'alice')).rejects.toMatchObject({ code: 'CHANNEL_CLOSING' })

    // Alice chose her feerate, bob did not: his node follows the estimates when they pass what alice pays.
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    believe(world.of('bob').node!, 5_000, 8_000)
    await mineEmpty(world, 1)
    const third = waiting(world)!
    expect(third.txid).not.toBe(second.txid)
    expect(Number(third.fee) / third.weight).toBeGreaterThan(4.9)

    // And once more when six blocks do not take it, though processes die in between.
    for (let n = 0; n < 6; n++) {
      await mineEmpty(world, 1)
      await world.restart(n % 2 === 0 ? 'bob' : 'alice')
      world.connectAll()
      await world.settle()
      believe(world.of('bob').node!, 5_000, 8_000)
    }
    await mineEmpty(world, 1)
    const fourth = waiting(world)!
    expect(fourth.fee).toBeGreaterThan(third.fee)
    expect(await confirmed(world, before, 'bob')).toBe(fourth.fee)
    world.close()
  })

  it.each(BOTH)('goes on in a new connection whichever write of its own %s dies at', async (who) => {
    for (let n = 1, died = true; died; n++) {
      const life = new Life(await World.start(BOTH, base))
      const { world } = life
      const before = onchainSat(world)
      life.doom(who, n, { how: 'lost' })
      void world
        .of('alice')
        .api.closeChannel(entryOf(world, 'alice').meta.localId, {})
        .catch(() => {})
      await world.settle()
      died = world.of(who).node === null
      await life.finish()
      // Nobody was told that it closes: then it goes on.
      if (entryOf(world, 'alice').state.tag === 'normal') await ask(world, 'alice')
      const { tx } = waiting(world)!
      await confirmed(world, before, tx.outputs.some((o) => o.amountSat === PUSHED) ? 'alice' : 'bob')
      world.close()
    }
  })

  it('with a peer that has it not, goes by closing_signed: the opener pays, and nothing is raised', async () => {
    const { world } = new Life(await World.start(BOTH, base))
    const older = featureBits(ourInitFeatures()).filter((bit) => bit !== FEATURES.option_simple_close.bit + 1)
    for (const name of BOTH) world.wire.offers.set(nodeIdOf(name), featuresFromBits(older))
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    world.connectAll()
    await world.settle()
    const before = onchainSat(world)
    await ask(world, 'bob')
    const { tx } = waiting(world)!
    expect(tx.inputs[0]!.sequence).toBe(0xffffffff)
    await expect(ask(world, 'alice', { feerateSatPerVbyte: 20 })).rejects.toMatchObject({ code: 'CHANNEL_CLOSING' })
    await confirmed(world, before, 'alice')
    world.close()
  })
})
