import { beforeAll, describe, expect, it } from 'vitest'
import { type Msat, msat, sat } from '../../src/base/units.ts'
import { realScid } from '../../src/channel/states/shared.ts'
import { relayOf } from '../../src/node/holdings.ts'
import { decodeMessage } from '../../src/wire/registry.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

const PAID = 400_000n
let base: Snapshot
beforeAll(async () => {
  const world = await World.start(undefined, undefined, { maxHtlcValueInFlightPercent: 80 })
  await world.fund()
  await world.open('alice', 'bob', 600_000_000)
  const hidden = { peer: nodeIdOf('carol'), capacitySat: sat(1_000_000n), announce: false }
  const opening = world.of('bob').api.openChannel(hidden)
  await world.settle()
  await opening
  await world.mine(6)
  base = world.snapshot()
  world.close()
})

describe('BOLT 7 §the-channel_update-message: the origin node', () => {
  it('announces no more than the peer takes at a time, and no less than it takes at least', () => {
    const relay = { feeBaseMsat: 1, feeProportionalMillionths: 2, cltvExpiryDelta: 40 }
    const of = (ours: [bigint, bigint], theirs: [bigint, bigint]) => {
      const policy = { ...relay, htlcMinimumMsat: ours[0] as Msat, htlcMaximumMsat: ours[1] as Msat }
      const remote = { htlcMinimumMsat: theirs[0], maxHtlcValueInFlightMsat: theirs[1] }
      const got = relayOf({ relay: policy, params: { remote } } as never)
      expect(got).toMatchObject(relay)
      return [got.htlcMinimumMsat, got.htlcMaximumMsat]
    }
    expect(of([1n, 1000n], [10n, 500n])).toEqual([10n, 500n])
    expect(of([10n, 500n], [1n, 1000n])).toEqual([10n, 500n])
    expect(of([1n, 1000n], [0n, 2n ** 64n - 1n])).toEqual([1n, 1000n])
    expect(of([600n, 1000n], [1n, 500n])).toEqual([500n, 500n])
  })

  it('announces no more than the channel has, whatever its operator sets: others refuse what says so', async () => {
    const world = await World.start(undefined, await World.line())
    await world.settle()
    const { api, node } = world.of('alice')
    const [channel] = world.channelsOf('alice')
    const { localId } = node!.channels.all()[0]!.meta
    await world.attempt(api.setChannelPolicy(localId, { htlcMaximumMsat: msat(2_000_000_000n), feeBaseMsat: 7 }))
    await world.settle()
    const update = decodeMessage(node!.gossip.publicUpdate(realScid(channel!)!))
    expect(update).toMatchObject({ htlcMaximumMsat: 1_000_000_000n, feeBaseMsat: 7 })
    world.close()
  })

  it('says so in its channel_update', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    await world.settle()
    const [channel] = [...world.of('bob').node!.graph.channels()]
    expect(channel!.policies.map((p) => p?.htlcMaximumMsat)).toEqual([480_000_000_000, 480_000_000_000])
    world.close()
  })
})

describe('BOLT 7 §htlc-fees: the origin node', () => {
  it.each([
    [0, 'succeeded'],
    [3, 'failed'],
  ])(
    'takes what it asked before from whoever cannot have heard: after %d blocks such a payment has %s',
    async (blocks, status) => {
      const world = await World.start(['alice', 'bob', 'carol'], base)
      await world.settle()
      const [alice, bob, carol] = [world.of('alice'), world.of('bob'), world.of('carol')]
      // The invoice's hint says what bob asked when it was made.
      const { bolt11, paymentHash } = await carol.api.createInvoice({ amountMsat: msat(PAID), description: '' })
      const { meta } = bob.node!.channels.ofPeer(carol.nodeId)[0]!
      for (const feeBaseMsat of [9_000, 9_000])
        await bob.api.setChannelPolicy(meta.localId, { feeBaseMsat, cltvExpiryDelta: 60 })
      await world.mine(blocks)
      await alice.api.pay({ bolt11, timeoutSeconds: 1 })
      await world.settle()
      expect(await alice.api.payment(paymentHash)).toMatchObject({ status })
      world.close()
    },
  )
})

describe('what a channel asks of forwarded payments', () => {
  it('keeps each of two changes that come at once', async () => {
    const world = await World.start(['alice', 'bob', 'carol'], base)
    const { api } = world.of('alice')
    const { id } = (await api.channels({ limit: 1 }, {})).items[0]!
    await Promise.all([api.setChannelPolicy(id, { feeBaseMsat: 7 }), api.setChannelPolicy(id, { cltvExpiryDelta: 77 })])
    expect((await api.channel(id)).policy).toMatchObject({ feeBaseMsat: 7, cltvExpiryDelta: 77 })
    // One that is right by itself, and wrong with the one before it.
    const [low, high] = await Promise.allSettled([
      api.setChannelPolicy(id, { htlcMaximumMsat: msat(5_000n) }),
      api.setChannelPolicy(id, { htlcMinimumMsat: msat(6_000n) }),
    ])
    expect([low.status, high.status]).toEqual(['fulfilled', 'rejected'])
    expect((await api.channel(id)).policy).toMatchObject({ htlcMinimumMsat: 1n, htlcMaximumMsat: 5_000n })
    world.close()
  })
})
