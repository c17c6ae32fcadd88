import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { onchainSat } from './accounts.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

const AMOUNT = msat(100_000_000n)
const PREIMAGES = [1, 2, 3].map((n) => new Uint8Array(32).fill(n))
const HASHES = PREIMAGES.map((p) => createHash('sha256').update(p).digest('hex') as PaymentHash)
/** The last: of what the others left of both channels. */
const LAST = HASHES[2]!

/** Two channels between Alice and Bob. */
let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  await world.open('alice', 'bob', 500_000)
  await world.open('alice', 'bob', 500_000)
  base = world.snapshot()
  world.close()
})

const channelsOf = (world: World) => world.of('alice').node!.channels.all()
const stagesOf = (world: World): readonly string[] =>
  channelsOf(world).flatMap(({ state }) =>
    channelOf(state)!
      .commitments.outgoing.chunks.flat()
      .map((h) => h.stage),
  )
const paymentOf = (world: World, hash: PaymentHash) => world.of('alice').api.payment(hash)

/**
 * Alice pays three times, and Bob, who keeps it all, has not been heard when her disk is copied: what she offers as the second in a channel
 * waits for his revocation there.
 */
async function copied(world: World) {
  const [alice, bob] = [world.of('alice'), world.of('bob')]
  const ids: string[] = []
  for (const paymentHash of HASHES) {
    const { bolt11, id } = await bob.api.createInvoice({ amountMsat: AMOUNT, description: '', paymentHash })
    ids.push(id)
    await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 600 }))
    for (let n = 0; n < 60; n++) {
      world.wire.deliver(alice.nodeId)
      await world.turn()
    }
  }
  expect(stagesOf(world).toSorted()).toEqual(['proposed', 'signed', 'signed'])
  return { ids, data: alice.disk.snapshot() }
}

/** Alice's process dies, and starts again on another content of her disk. */
async function putBack(world: World, data: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const { disk } = world.of('alice')
  world.crash('alice')
  await disk.wipe([...disk.snapshot().keys()])
  for (const [key, value] of data) await disk.harm(key, value)
  await world.boot('alice')
}

describe('a payment whose offer a start takes back', () => {
  it('is not tried another way while the peer may hold it signed, and is settled by what the chain shows', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { ids, data } = await copied(world)
    await world.settle()
    expect(stagesOf(world)).toEqual(['committed', 'committed', 'committed'])
    await putBack(world, data)
    await world.settle()
    expect((await paymentOf(world, LAST)).parts).toHaveLength(1)

    world.connectAll()
    await world.settle()
    expect(channelsOf(world).map(({ state }) => state.tag)).toEqual(['waiting-for-peer', 'waiting-for-peer'])
    expect(stagesOf(world).toSorted()).toEqual(['presumed', 'signed', 'signed'])
    await world.mine(1)
    await world.attempt(world.of('bob').api.settleInvoice(ids[2]!, PREIMAGES[2]!))
    await world.settle()
    await world.mine(1)
    const paid = await paymentOf(world, LAST)
    expect([paid.status, paid.parts.length]).toEqual(['succeeded', 1])
    world.close()
  })

  it('is tried again once the peer has shown that it has not seen it', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { ids, data } = await copied(world)
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    await putBack(world, data)
    await world.settle()
    expect((await paymentOf(world, LAST)).parts).toHaveLength(1)
    world.connectAll()
    await world.settle()
    for (const [i, id] of ids.entries()) await world.attempt(world.of('bob').api.settleInvoice(id, PREIMAGES[i]!))
    await world.settle()
    const payments = await Promise.all(HASHES.map((hash) => paymentOf(world, hash)))
    expect(payments.map((p) => [p.status, p.parts.length])).toEqual([
      ['succeeded', 1],
      ['succeeded', 1],
      ['succeeded', 2],
    ])
    world.close()
  })
})

describe('a payment whose offer was in lost writes', () => {
  it('is not sent again in the turn in which a channel ends by showing its preimage', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    await world.open('alice', 'bob', 160_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const channels = () => alice.node!.channels.all()
    const localId = channels()[0]!.meta.localId
    const isFirsts = (key: string): boolean => key.startsWith(`channel/${localId}/`)
    const before = alice.disk.snapshot()
    const { bolt11, id } = await bob.api.createInvoice({
      amountMsat: msat(100_000_000n),
      description: '',
      paymentHash: HASHES[0]!,
      minFinalCltvExpiryDelta: 80,
    })
    await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 3000 }))
    await world.settle()
    const offers = () =>
      channels().map(({ state }) =>
        channelOf(state)!
          .commitments.outgoing.chunks.flat()
          .map((h) => h.stage),
      )
    expect(offers()).toEqual([['committed'], []])
    const after = alice.disk.snapshot()
    for (const _ of [1, 2]) {
      const more = await bob.api.createInvoice({ amountMsat: msat(200_000_000), description: '' })
      await world.attempt(alice.api.pay({ bolt11: more.bolt11 }))
      await world.settle()
    }
    world.crash('alice')
    await world.attempt(bob.api.closeChannel(bob.node!.channels.all()[0]!.meta.localId, { force: true }))
    await world.mine(1)
    // Of the first channel's writes those since the payment are lost.
    await alice.disk.wipe([...alice.disk.snapshot().keys()])
    for (const [key, value] of after) if (!isFirsts(key)) await alice.disk.harm(key, value)
    for (const [key, value] of before) if (isFirsts(key)) await alice.disk.harm(key, value)
    await world.boot('alice')
    await world.settle()
    world.connectAll()
    await world.settle()
    await world.mine(12)
    expect((await alice.api.payment(HASHES[0]!)).parts).toHaveLength(1)
    alice.node!.mempoolWatch.tick = () => {}
    await world.attempt(bob.api.settleInvoice(id, PREIMAGES[0]!))
    await world.mine(1)
    await world.settle()
    const paid = await alice.api.payment(HASHES[0]!)
    expect([paid.status, paid.parts.length]).toEqual(['succeeded', 1])
    world.close()
  })

  it('is claimed from what the peer publishes, though it comes back long after its expiry', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund()
    await world.open('alice', 'bob', 1_000_000)
    const [alice, bob] = [world.of('alice'), world.of('bob')]
    const first = () => alice.node!.channels.all()[0]!
    const isFirsts = (key: string): boolean => key.startsWith(`channel/${first().meta.localId}/`)
    const before = alice.disk.snapshot()
    const { bolt11 } = await bob.api.createInvoice({
      amountMsat: msat(100_000_000n),
      description: '',
      paymentHash: HASHES[0]!,
    })
    const wealthBefore = onchainSat(world).alice + 1_000_000n
    await world.attempt(alice.api.pay({ bolt11, timeoutSeconds: 60 }))
    await world.settle()
    const { cltvExpiry } = channelOf(first().state)!.commitments.outgoing.chunks.flat()[0]!.add
    const after = alice.disk.snapshot()
    const mixed = new Map([
      ...[...after].filter(([key]) => !isFirsts(key)),
      ...[...before].filter(([key]) => isFirsts(key)),
    ])
    world.crash('bob')
    world.crash('alice')
    await alice.disk.wipe([...alice.disk.snapshot().keys()])
    for (const [key, value] of mixed) await alice.disk.harm(key, value)
    await world.boot('alice')
    await world.settle()
    await world.mine(cltvExpiry + 146 - world.chain.state.height)
    await world.boot('bob')
    world.connectAll()
    await world.settle()
    await world.mine(2)
    for (let n = 0; n < 150 && first().state.tag !== 'closed'; n++) await world.mine(1)
    expect(onchainSat(world).alice - wealthBefore).toBeGreaterThan(-10_000n)
    world.close()
  })
})
