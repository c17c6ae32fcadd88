import { beforeAll, describe, expect, it } from 'vitest'
import type { NodeId, ShortChannelId } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { ownChannelUpdate } from '../../src/gossip/own.ts'
import { gossipDigest } from '../../src/gossip/validate.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { type Snapshot, World } from './world.ts'

/** What bob can send to carol over each of their channels, in sat. */
const ROOMS = [20_000n, 100_000n, 50_000n, 300_000n]
let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['bob', 'carol'])
  await world.fund()
  for (const capacitySat of ROOMS) {
    const opening = world
      .of('bob')
      .api.openChannel({ peer: world.of('carol').nodeId, capacitySat: sat(capacitySat), announce: false })
    await world.settle()
    await opening
  }
  await world.mine(6)
  base = world.snapshot()
  world.close()
})

const hintsOf = async (world: World) => {
  const { bolt11 } = await world.of('carol').api.createInvoice({ amountMsat: msat(1_000n), description: '' })
  return decodeInvoice(bolt11).routeHints.map(([hop]) => hop!)
}

describe('route hints', () => {
  it('name the channels that can bring most', async () => {
    const world = await World.start(['bob', 'carol'], base)
    await world.settle()
    const { channels } = world.of('bob').node!
    const capacities = (await hintsOf(world)).map((h) => channels.byScid(h.shortChannelId)?.meta.localId)
    const views = await Promise.all(capacities.map((id) => world.of('bob').api.channel(id!)))
    expect(views.map((v) => v.capacitySat)).toEqual([300_000n, 100_000n, 50_000n])
    world.close()
  })

  it('stay while the peer is away for a moment: nobody could pay an invoice of then, for as long as it lives', async () => {
    const world = await World.start(['bob', 'carol'], base)
    await world.settle()
    const before = await hintsOf(world)
    world.crash('bob')
    await world.settle()
    expect(world.of('carol').node!.localChannels()).toEqual([])
    expect(before).toHaveLength(3)
    expect(await hintsOf(world)).toEqual(before)
    world.close()
  })

  it('stay, whatever else the peer tells, and are no word of our own that it gives back', async () => {
    const world = await World.start(['bob', 'carol'], base)
    await world.settle()
    const [bob, carol] = [world.of('bob').node!, world.of('carol').node!]
    const before = await hintsOf(world)
    const link = carol.peers.link(bob.own.nodeId)!
    const policy = {
      feeBaseMsat: 77,
      feeProportionalMillionths: 0,
      cltvExpiryDelta: 1,
      htlcMinimumMsat: msat(1n),
      htlcMaximumMsat: msat(9n),
    }
    const about = { disabled: false, dontForward: true, timestamp: 2_000_000_000, policy }
    const reflected = before.map((h) =>
      ownChannelUpdate(carol.own, { ...about, shortChannelId: h.shortChannelId, remoteNodeId: bob.own.nodeId }),
    )
    const other = ownChannelUpdate(bob.own, { ...about, shortChannelId: 1n as never, remoteNodeId: carol.own.nodeId })
    await carol.reactor.run((scope) => {
      for (const update of reflected) carol.gossip.onMessage(link, update, scope)
      for (let n = 1n; n <= 5_001n; n++) carol.gossip.onMessage(link, { ...other, shortChannelId: n as never }, scope)
    })
    expect(before).toHaveLength(3)
    expect(await hintsOf(world)).toEqual(before)
    world.close()
  })

  it('wait for a channel that is not known yet, whatever strangers tell of theirs', async () => {
    const world = await World.start(['bob', 'carol'], base)
    await world.settle()
    const [bob, carol] = [world.of('bob').node!, world.of('carol').node!]
    const link = carol.peers.link(bob.own.nodeId)!
    const early = ownChannelUpdate(bob.own, {
      ...{ disabled: false, dontForward: true, timestamp: 2_000_000_000, shortChannelId: 7n as ShortChannelId },
      policy: {
        ...{ feeBaseMsat: 77, feeProportionalMillionths: 0, cltvExpiryDelta: 1 },
        ...{ htlcMinimumMsat: msat(1n), htlcMaximumMsat: msat(9n) },
      },
      remoteNodeId: carol.own.nodeId,
    })
    const stranger = { nodeId: `02${'0'.repeat(64)}` as NodeId, epoch: 99 }
    const theirs = { ...early, channelFlags: 0 }
    await carol.reactor.run((scope) => {
      carol.gossip.onMessage(link, early, scope)
      for (let n = 1n; n <= 5_001n; n++)
        carol.gossip.onMessage(stranger, { ...theirs, shortChannelId: n as ShortChannelId }, scope)
    })
    expect(carol.gossip.privateUpdate(bob.own.nodeId, 7n as ShortChannelId)).toBe(early)
    const told = (n: bigint) => carol.gossip.privateUpdate(stranger.nodeId, n as ShortChannelId)
    expect([told(1n), told(5_001n)?.feeBaseMsat]).toEqual([undefined, 77])
    world.close()
  })

  it('are made of what the peer says under the alias that it gave last: no others are kept', async () => {
    const world = await World.start(['bob', 'carol'], base)
    await world.settle()
    const [bob, carol] = [world.of('bob').node!, world.of('carol').node!]
    const link = carol.peers.link(bob.own.nodeId)!
    const [entry] = carol.channels.all()
    const { channelId } = channelOf(entry!.state)!.params
    const before = await hintsOf(world)
    const policy = { ...before[0]!, feeBaseMsat: 77, htlcMinimumMsat: msat(1n), htlcMaximumMsat: msat(9n) }
    const about = { disabled: false, dontForward: true, timestamp: 2_000_000_000, policy }
    const secondPerCommitmentPoint = crypto.publicKey(new Uint8Array(32).fill(1))
    const aliases = [7n, 8n, 9n] as ShortChannelId[]
    for (const shortChannelId of aliases) {
      await carol.reactor.run((scope) => {
        const message = { type: 'channel_ready', channelId, secondPerCommitmentPoint, shortChannelId } as const
        carol.channels.deliver(entry!, { tag: 'message', message })
        carol.channels.drain(scope)
        const update = ownChannelUpdate(bob.own, { ...about, shortChannelId, remoteNodeId: carol.own.nodeId })
        carol.gossip.onMessage(link, update, scope)
      })
    }
    const told = aliases.map((alias) => carol.gossip.privateUpdate(bob.own.nodeId, alias)?.feeBaseMsat)
    expect(told).toEqual([undefined, undefined, 77])
    expect(await hintsOf(world)).toEqual(before)
    world.close()
  })

  it('are not made of an announcement that is longer than any has to be, which nobody keeps', async () => {
    const world = await World.start(['bob', 'carol'], base)
    await world.settle()
    const [bob, carol] = [world.of('bob').node!, world.of('carol').node!]
    const link = carol.peers.link(bob.own.nodeId)!
    const [known] = await hintsOf(world)
    const policy = { ...known!, htlcMinimumMsat: msat(1n), htlcMaximumMsat: msat(9n) }
    const about = { disabled: false, dontForward: true, timestamp: 2_000_000_000, policy }
    const heard = async (shortChannelId: ShortChannelId, bytes: number) => {
      const blank = ownChannelUpdate(bob.own, { ...about, shortChannelId, remoteNodeId: carol.own.nodeId })
      const long = { ...blank, extension: new Uint8Array(bytes) }
      const signature = crypto.ecdsaSign(gossipDigest(long), bob.own.nodeSecret)
      bob.peers.send(bob.peers.link(carol.own.nodeId)!, [{ ...long, signature }])
      await world.settle()
      return carol.gossip.privateUpdate(link.nodeId, shortChannelId)?.timestamp === about.timestamp
    }
    for (const [bytes, taken] of [
      [60_000, false],
      [2_049, false],
      [2_048, true],
    ] as const) {
      expect(await heard(7n as ShortChannelId, bytes)).toBe(taken)
      expect(await heard(known!.shortChannelId, bytes)).toBe(taken)
    }
    world.close()
  })
})
