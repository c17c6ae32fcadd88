import { afterEach, describe, expect, it, vi } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import { chainHash } from '../../src/bitcoin/networks.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { ownChannelUpdate } from '../../src/gossip/own.ts'
import { isDontForward } from '../../src/gossip/validate.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { decodeMessage } from '../../src/wire/registry.ts'
import { Stranger } from './stranger.ts'
import { DAVE, type Name, nodeIdOf, type Snapshot, World } from './world.ts'

const LINE: readonly Name[] = ['alice', 'bob', 'carol', DAVE]

const graphOf = async (world: World, name: Name) => {
  const { items } = await world.of(name).api.graphChannels({ limit: 20 })
  return items.filter((c) => c.policies.every((p) => p !== null)).map((c) => c.shortChannelId)
}
/** The nodes' own clocks tick once a second. */
async function until(world: World, is: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !(await is()); await world.settle()) {
    if (Date.now() > end) throw new Error('not within the time')
  }
}

let base: Snapshot | null = null
/** alice – bob – carol with two channels, and dave, who has coins and has never been connected. */
async function lateWorld(): Promise<World> {
  if (base === null) {
    const first = await World.start(LINE)
    await first.fund(1)
    first.crash(DAVE)
    await first.open('alice', 'bob', 1_000_000, 500_000)
    await first.open('bob', 'carol', 1_000_000, 500_000)
    base = first.snapshot()
    first.close()
  }
  const world = await World.start(LINE, base)
  return world
}

describe('BOLT 7 §query-messages: a node that comes late', () => {
  it('learns all channels from the one node that it knows, pays through all of them, and is paid', async () => {
    const world = await lateWorld()
    const [alice, dave] = [world.of('alice').api, world.of(DAVE).api]
    const own = await world.open(DAVE, 'carol', 1_000_000, 500_000)
    await until(world, async () => (await graphOf(world, DAVE)).length === 3)
    // The others hear of the newcomer, through a node that is none of its own.
    await until(world, async () => (await graphOf(world, 'alice')).includes(own.shortChannelId!))
    for (const [payer, payee] of [
      [dave, alice],
      [alice, dave],
    ] as const) {
      const { bolt11 } = await payee.createInvoice({ amountMsat: msat(20_000_000) })
      expect(decodeInvoice(bolt11).routeHints).toEqual([])
      const { id } = await payer.pay({ bolt11 })
      await world.settle()
      const paid = await payer.payment(id)
      expect(paid.status).toBe('succeeded')
      expect(paid.parts[0]!.route).toHaveLength(3)
    }
    const aliases = (await alice.graphNodes({ limit: 9 })).items.map((n) => n.alias)
    expect(aliases.toSorted()).toEqual(['alice', 'bob', 'carol', 'dave'])
    expect(world.all.flatMap((p) => p.complaints)).toEqual([])
    world.close()
  }, 30_000)

  it('goes on with another peer when the one that it asks goes away, and when it never answers', async () => {
    const world = await lateWorld()
    world.wire.cut(nodeIdOf(DAVE), nodeIdOf('carol'))
    world.wipe(DAVE)
    await world.boot(DAVE)
    const silent = [1, 2].map((n) => new Stranger(world, n))
    for (const s of silent) await s.connect(nodeIdOf(DAVE))
    world.wire.connect(nodeIdOf(DAVE), nodeIdOf('carol'))
    await until(world, async () => silent[0]!.heard.some((m) => m.type === 'query_channel_range'))
    await silent[0]!.leave()
    await until(world, async () => (await graphOf(world, DAVE)).length === 2)
    expect(silent[1]!.connected).toBe(true)
    world.close()
  }, 30_000)
})

describe('BOLT 7 §the-gossip_timestamp_filter-message, §rebroadcasting', () => {
  const filter = (firstTimestamp: number) =>
    ({
      type: 'gossip_timestamp_filter',
      chainHash: chainHash('regtest'),
      firstTimestamp,
      timestampRange: 0xffffffff,
    }) as const
  const types = (s: Stranger) => s.heard.map((m) => m.type).filter((t) => /announcement|channel_update/.test(t))

  it('who has sent no filter hears of a node’s own channels alone, then of what the filter lets through', async () => {
    const world = await lateWorld()
    const stranger = new Stranger(world, 3)
    await stranger.connect(nodeIdOf('alice'))
    await until(world, async () => (await graphOf(world, 'alice')).length === 2)
    expect(types(stranger)).toEqual(['channel_announcement', 'channel_update', 'node_announcement'])
    stranger.heard.length = 0
    stranger.say(filter(0xfffffff0))
    await world.settle()
    expect(types(stranger)).toEqual([])
    stranger.say(filter(0))
    await world.settle()
    const got = types(stranger)
    expect(got.filter((t) => t === 'channel_announcement')).toHaveLength(2)
    expect(got.filter((t) => t === 'channel_update')).toHaveLength(4)
    expect(got.filter((t) => t === 'node_announcement')).toHaveLength(3)
    // News of others now comes as well, and a channel before its updates.
    stranger.heard.length = 0
    await world.open('bob', 'carol', 400_000)
    expect(types(stranger)[0]).toBe('channel_announcement')
    expect(types(stranger).filter((t) => t === 'channel_update')).toHaveLength(2)
    world.close()
  }, 30_000)
})

describe('BOLT 7 §the-channel_announcement-message: a new channel', () => {
  it('is announced to its own peer by the peer alone, and described once more when the peer has done it', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund(1)
    const heard = new Map<string, string[]>()
    const { send } = world.wire
    world.wire.send = (from, what) => {
      const told = what.messages.map(decodeMessage).filter((m) => !('messageFlags' in m) || !isDontForward(m))
      const types = told.map((m) => m.type).filter((t) => /_announcement|channel_update/.test(t))
      heard.set(from, [...(heard.get(from) ?? []), ...types])
      return send.call(world.wire, from, what)
    }
    await world.open('alice', 'bob', 1_000_000, 500_000)
    await until(world, async () => (await graphOf(world, 'alice')).length === 1)
    await until(world, async () => (await graphOf(world, 'bob')).length === 1)
    for (const name of ['alice', 'bob'] as const) {
      const told = heard.get(nodeIdOf(name))!
      expect(told.slice(0, 2)).toEqual(['channel_update', 'node_announcement'])
      expect(told.slice(-2)).toEqual(['channel_update', 'node_announcement'])
      expect(told).not.toContain('channel_announcement')
      expect(told).toHaveLength(4)
    }
    world.close()
  })
})

describe('BOLT 7 §recommendation-on-pruning-stale-entries', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('a channel whose ends live on stays known for ever, one with an end that is gone is forgotten by others', async () => {
    const world = await lateWorld()
    await until(world, async () => (await graphOf(world, 'alice')).length === 2)
    const ends = new Map(LINE.map((name) => [nodeIdOf(name), name]))
    const between = async (name: Name) =>
      (await world.of(name).api.graphChannels({ limit: 9 })).items.map((c) =>
        [c.nodeId1, c.nodeId2]
          .map((id) => ends.get(id)!)
          .toSorted()
          .join('–'),
      )
    expect((await between('alice')).toSorted()).toEqual(['alice–bob', 'bob–carol'])
    vi.useFakeTimers({ toFake: ['Date'] })
    const weeks = async (): Promise<void> => {
      for (const _ of [1, 2, 3]) {
        vi.setSystemTime(Date.now() + 8 * 24 * 3_600_000)
        for (const { node } of world.alive) await node!.reactor.run((scope) => node!.gossip.tick(scope))
        await world.settle()
      }
    }
    await weeks()
    expect((await between('alice')).toSorted()).toEqual(['alice–bob', 'bob–carol'])
    world.crash('carol')
    await world.settle()
    await weeks()
    expect([await between('alice'), (await between('bob')).toSorted()]).toEqual([
      ['alice–bob'],
      ['alice–bob', 'bob–carol'],
    ])
    world.close()
  }, 30_000)
})

describe('a reorganisation', () => {
  it('takes the channels out that were funded in the blocks that it undoes; once they are back they are announced anew', async () => {
    const world = await lateWorld()
    const fresh = await world.open('bob', 'carol', 400_000)
    await until(world, async () => (await graphOf(world, 'alice')).length === 3)
    await world.reorg(7) // its funding and the six blocks behind it, of eight
    await world.settle()
    expect(await graphOf(world, 'alice')).toHaveLength(2)
    await world.mine(8)
    await until(world, async () => (await graphOf(world, 'alice')).length === 3)
    const scid = (await world.of('bob').api.channel(fresh.id)).shortChannelId
    expect(await graphOf(world, 'alice')).toContain(scid)
    expect(await graphOf(world, 'bob')).toHaveLength(3)
    expect(world.all.flatMap((p) => p.complaints)).toEqual([])
    world.close()
  }, 30_000)
})

describe('an end of a channel that signs updates without end', () => {
  it('has few of them verified, written and passed on, and is heard again with a later one', async () => {
    const world = await lateWorld()
    const stranger = new Stranger(world, 6)
    await stranger.connect(nodeIdOf('carol'))
    const known = async () =>
      (await world.of('carol').api.graphChannels({ limit: 9 })).items.find(
        (c) => ![c.nodeId1, c.nodeId2].includes(nodeIdOf('carol')),
      )!
    await until(world, async () => (await known())?.policies.every((p) => p !== null))
    const { node } = world.of('alice')
    const { shortChannelId } = await known()
    const timestamp = Math.floor(Date.now() / 1000) + 60 // later than those of the opening
    const update = (n: number, feeBaseMsat = n) =>
      ownChannelUpdate(node!.own, {
        shortChannelId,
        remoteNodeId: nodeIdOf('bob'),
        policy: {
          ...{ feeBaseMsat, feeProportionalMillionths: 1, cltvExpiryDelta: 40 },
          ...{ htlcMinimumMsat: msat(1), htlcMaximumMsat: msat(1_000_000) },
        },
        ...{ disabled: false, dontForward: false, timestamp: timestamp + n },
      })
    const fee = async () => (await known()).policies[nodeIdOf('alice') < nodeIdOf('bob') ? 0 : 1]!.feeBaseMsat
    const verify = vi.spyOn(crypto, 'ecdsaVerify')
    for (let n = 1; n <= 200; n++) stranger.say(update(n))
    await world.settle()
    expect(await fee()).toBe(10)
    // All nodes of this process, as they hear it from one another.
    expect(verify.mock.calls.length).toBeLessThanOrEqual(10 * LINE.length)
    verify.mockRestore()
    stranger.say(update(3_600, 77))
    await world.settle()
    expect([await fee(), stranger.connected]).toEqual([77, true])
    world.close()
  }, 30_000)
})

describe('who sends what cannot be', () => {
  it('has one signature verified, is told why and is hung up on, whatever it sent behind it', async () => {
    const world = await lateWorld()
    const stranger = new Stranger(world, 8)
    await stranger.connect(nodeIdOf('bob'))
    const { node } = world.of('bob')
    const [known] = (await world.of('bob').api.graphChannels({ limit: 9 })).items
    const forged = (n: number) => ({
      ...ownChannelUpdate(node!.own, {
        shortChannelId: known!.shortChannelId,
        remoteNodeId: nodeIdOf('alice'),
        policy: {
          ...{ feeBaseMsat: 1, feeProportionalMillionths: 1, cltvExpiryDelta: 40 },
          ...{ htlcMinimumMsat: msat(1), htlcMaximumMsat: msat(1_000_000) },
        },
        ...{ disabled: false, dontForward: false, timestamp: Math.floor(Date.now() / 1000) + 60 + n },
      }),
      signature: new Uint8Array(64).fill(1),
    })
    const verify = vi.spyOn(crypto, 'ecdsaVerify')
    stranger.say(...Array.from({ length: 100 }, (_, n) => forged(n)))
    await world.settle()
    expect(verify.mock.calls.length).toBe(1)
    verify.mockRestore()
    expect(stranger.connected).toBe(false)
    expect(stranger.heard.filter((m) => m.type === 'warning')).toHaveLength(1)
    world.close()
  }, 30_000)
})

describe('a hostile asker (gossip query flood)', () => {
  const chain = chainHash('regtest')
  const everything = {
    type: 'query_channel_range',
    chainHash: chain,
    firstBlocknum: 0,
    numberOfBlocks: 0xffffffff,
    queryOptionFlags: 3n,
  } as const

  it('who asks again before the answer is cut off, and the node goes on', async () => {
    const world = await lateWorld()
    const stranger = new Stranger(world, 4)
    await stranger.connect(nodeIdOf('bob'))
    stranger.say(everything)
    await world.settle()
    expect(stranger.heard.filter((m) => m.type === 'reply_channel_range')).toMatchObject([{ syncComplete: 1 }])
    stranger.say(everything, everything)
    await world.settle()
    expect(stranger.connected).toBe(false)
    expect(stranger.heard.filter((m) => m.type === 'warning')).toHaveLength(1)
    expect(await graphOf(world, 'bob')).toHaveLength(2)
    world.close()
  }, 30_000)

  it('who is back before that is noticed keeps the new connection', async () => {
    const world = await lateWorld()
    const stranger = new Stranger(world, 7)
    await stranger.connect(nodeIdOf('bob'))
    stranger.say(everything, everything)
    const again = (): void => {
      world.wire.deliver(stranger.nodeId)
      world.wire.cut(stranger.nodeId, nodeIdOf('bob'))
      world.wire.connect(stranger.nodeId, nodeIdOf('bob'))
    }
    again()
    await world.settle()
    expect(stranger.connected).toBe(true)
    // The same where a channel ends the connection.
    const shutdown = { type: 'shutdown', scriptPubKey: fromHex('51') } as const
    stranger.say({ ...shutdown, channelId: (await stranger.open())! })
    again()
    await world.settle()
    expect(stranger.connected).toBe(true)
    const warned = (): boolean => stranger.heard.some((m) => m.type === 'warning')
    expect(warned()).toBe(false)
    // Over a connection that lasts it is told, and cut off.
    stranger.say({ ...shutdown, channelId: (await stranger.open())! })
    await world.settle()
    expect([warned(), stranger.connected]).toEqual([true, false])
    world.close()
  }, 30_000)

  it('a thousand filters at once cost one walk, and replies that nobody asked for nothing', async () => {
    const world = await lateWorld()
    const stranger = new Stranger(world, 5)
    await stranger.connect(nodeIdOf('bob'))
    stranger.heard.length = 0
    const filters = Array.from({ length: 1_000 }, () => ({
      type: 'gossip_timestamp_filter' as const,
      chainHash: chain,
      firstTimestamp: 0,
      timestampRange: 0xffffffff,
    }))
    stranger.say(...filters)
    await world.settle()
    expect(stranger.heard.filter((m) => m.type === 'channel_announcement')).toHaveLength(2)
    const before = world.of('bob').disk.writes
    const reply = { type: 'reply_channel_range', chainHash: chain, firstBlocknum: 0, numberOfBlocks: 9 } as const
    for (let n = 0; n < 50; n++)
      stranger.say(
        { ...reply, syncComplete: 1, shortChannelIds: [1n as never] },
        { type: 'reply_short_channel_ids_end', chainHash: chain, fullInformation: 1 },
      )
    await world.settle()
    expect([stranger.connected, world.of('bob').disk.writes - before]).toEqual([true, 0])
    world.close()
  }, 30_000)
})
