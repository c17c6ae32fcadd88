import { beforeEach, describe, expect, it, vi } from 'vitest'
import { printable } from '../../src/base/bytes.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { p2wpkh } from '../../src/bitcoin/script.ts'
import { ownChannelUpdate } from '../../src/gossip/own.ts'
import { LOG_PARTS } from '../../src/node/logLevels.ts'
import { NotBefore } from '../../src/node/notBefore.ts'
import { MAX_PENDING, MAX_PENDING_PER_PEER } from '../../src/node/openings.ts'
import type { PeerManagerOptions } from '../../src/peer/manager.ts'
import { Stranger } from './stranger.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

const bob = nodeIdOf('bob')
let base: Snapshot | null = null
let world: World
beforeEach(async () => {
  base ??= await World.pair(1_000_000, 0, 1)
  world = await World.start(['alice', 'bob'], base)
  return () => world.close()
})

/** Entries of bob's disk, and those of his channels. */
const entries = (prefix = ''): number =>
  [...world.of('bob').disk.snapshot().keys()].filter((k) => k.startsWith(prefix) && !k.startsWith('journal/')).length
const channelCount = (): number => world.of('bob').node!.channels.all().length
const refusals = (s: Stranger): readonly string[] =>
  s.heard.flatMap((m) => (m.type === 'error' ? [printable(m.data)] : []))
const addressesUsed = (): number => world.of('bob').node!.wallet.state.next[0]

describe('a stranger who puts no money in (fake channels)', () => {
  it('leaves nothing behind with thousands of bad open_channel messages', async () => {
    const stranger = new Stranger(world, 1)
    await stranger.connect(bob)
    await stranger.open({ capacitySat: sat(15_000) })
    const [disk, addresses] = [entries(), addressesUsed()]
    for (let n = 0; n < 300; n++) await stranger.open({ capacitySat: sat(15_000) })
    expect(entries() - disk).toBeLessThan(60)
    expect(addressesUsed() - addresses).toBeLessThanOrEqual(1)
    expect(channelCount()).toBe(1)
    const said = refusals(stranger)
    expect(said.length).toBe(301)
    expect(new Set(said).size).toBe(2)
  }, 20_000)

  it('has no channel kept that it gives up before it is funded, nor an address', async () => {
    const stranger = new Stranger(world, 2)
    await stranger.connect(bob)
    const [channels, addresses] = [entries('channel'), addressesUsed()]
    for (let n = 0; n < 8; n++) {
      const channelId = await stranger.open()
      expect(channelId).not.toBeNull()
      expect(entries('channel')).toBeGreaterThan(channels)
      stranger.say({ type: 'error', channelId: channelId!, data: new Uint8Array(0) })
      await world.settle()
      expect(entries('channel')).toBe(channels)
    }
    expect(addressesUsed() - addresses).toBe(1)
    expect(channelCount()).toBe(1)
    await world.restart('bob')
    expect(channelCount()).toBe(1)
  })

  it('has nothing kept for it with the channels that it gives up, for longer than a block', async () => {
    const blob = new Uint8Array(60_000)
    const stored = () => entries('peer-storage')
    const before = stored()
    for (let n = 0; n < 3; n++) {
      const stranger = new Stranger(world, 200 + n)
      await stranger.connect(bob)
      const channelId = (await stranger.open())!
      stranger.say({ type: 'peer_storage', blob })
      await world.settle()
      expect(stored()).toBe(before + 1)
      stranger.say({ type: 'error', channelId, data: new Uint8Array(0) })
      await world.settle()
      await stranger.leave()
      await world.mine(1)
      expect(stored()).toBe(before)
    }
  })

  it('gets no room for more channels by hanging up', async () => {
    const stranger = new Stranger(world, 3)
    await stranger.connect(bob)
    for (let n = 0; n < MAX_PENDING_PER_PEER; n++) {
      expect(await stranger.open()).not.toBeNull()
      await stranger.leave()
      await stranger.connect(bob)
    }
    expect(await stranger.open()).toBeNull()
    expect(refusals(stranger).at(-1)).toMatch(/4 channels waiting/)
    expect(channelCount()).toBe(1 + MAX_PENDING_PER_PEER)
  })

  it('gets no room for more channels by having them closed, and is forgotten all the same', async () => {
    const stranger = new Stranger(world, 5)
    await stranger.connect(bob)
    const scriptPubKey = p2wpkh(new Uint8Array(20))
    for (let n = 0; n < MAX_PENDING_PER_PEER; n++) {
      const channelId = (await stranger.open(n < 2 ? {} : { pushMsat: msat(1_000) }))!
      if (n % 2 === 0) stranger.say({ type: 'shutdown', channelId, scriptPubKey })
      else stranger.say({ type: 'error', channelId, data: new Uint8Array(0) })
      await world.settle()
      await stranger.leave()
      await stranger.connect(bob)
    }
    // One without a share of ours was given up with the error.
    expect(channelCount()).toBe(MAX_PENDING_PER_PEER)
    expect(await stranger.open()).not.toBeNull()
    expect(await stranger.open()).toBeNull()
    expect(refusals(stranger).at(-1)).toMatch(/4 channels waiting/)
    const tags = world
      .of('bob')
      .node!.channels.all()
      .map((c) => ('from' in c.state ? c.state.from : c.state).tag)
    expect(tags.sort()).toEqual(['await-ready', 'closing', 'negotiating', 'negotiating', 'normal'])
  })

  it('and all others like it together do not keep out a peer that has put money in', async () => {
    for (let n = 0; n < MAX_PENDING / MAX_PENDING_PER_PEER; n++) {
      const stranger = new Stranger(world, 100 + n)
      await stranger.connect(bob)
      for (let i = 0; i < MAX_PENDING_PER_PEER; i++) await stranger.open()
      await stranger.leave()
    }
    expect(channelCount()).toBe(1 + MAX_PENDING)
    const late = new Stranger(world, 99)
    await late.connect(bob)
    expect(await late.open()).toBeNull()
    expect(refusals(late)).toEqual(['this node cannot take more channels at the moment'])
    await world.open('alice', 'bob', 100_000)
    expect(channelCount()).toBe(2 + MAX_PENDING)
  }, 30_000)

  it('that comes and goes all the time is counted, not listed', async () => {
    const stranger = new Stranger(world, 4)
    const before = entries('event/')
    for (let n = 0; n < 200; n++) {
      await stranger.connect(bob)
      await stranger.leave()
    }
    expect(entries('event/') - before).toBeLessThanOrEqual(50)
    await world.mine(1)
    const events = await world.of('bob').api.eventsSince(0, 1_000)
    const summed = events.find((e) => e.data.code === 'EVENTS_LEFT_OUT')
    expect(summed?.data.message).toMatch(/^350 events/)
    await world.mine(1)
    const again = await world.of('bob').api.eventsSince(summed!.id, 1_000)
    expect(again.map((e) => e.data.code)).not.toContain('EVENTS_LEFT_OUT')
  })
})

describe('a channel that a peer opens while blocks are caught up with', () => {
  it('is refused: its funding would look too late by all the blocks that are to come', async () => {
    const isCurrent = vi.spyOn(world.of('bob').node!.chain, 'isCurrent', 'get').mockReturnValue(false)
    const stranger = new Stranger(world, 9)
    await stranger.connect(bob)
    expect(await stranger.open()).toBeNull()
    expect(refusals(stranger)).toEqual(['this node is catching up with the chain: try again later'])
    isCurrent.mockRestore()
    expect(await stranger.open()).not.toBeNull()
  })
})

describe('a peer with a channel', () => {
  it('is let in however many strangers are connected, also when only it can dial', async () => {
    const { wire } = world
    const made: PeerManagerOptions[] = []
    const factory = wire.factory
    Object.assign(wire, { factory: (options: PeerManagerOptions) => made.push(options) && factory(options) })
    await world.restart('bob')
    const isWelcome = made[0]!.isWelcome!
    const stranger = new Stranger(world, 6)
    expect([isWelcome(nodeIdOf('alice')), isWelcome(stranger.nodeId)]).toEqual([true, false])
    await stranger.connect(bob)
    const channelId = (await stranger.open())!
    expect(isWelcome(stranger.nodeId)).toBe(true)
    stranger.say({ type: 'error', channelId, data: new Uint8Array(0) })
    await world.settle()
    expect(isWelcome(stranger.nodeId)).toBe(false)
  })
})

describe('what anybody can say as often as they like (filled disk)', () => {
  it('fills no log', async () => {
    const { logs, gossip, graph } = world.of('bob').node!
    const [channel] = [...graph.channels()]
    const wrong = ownChannelUpdate(world.of('alice').node!.own, {
      ...{ shortChannelId: channel!.shortChannelId, remoteNodeId: bob, disabled: false, dontForward: false },
      ...{ policy: { ...channel!.policies[0]!, htlcMinimumMsat: msat(1), htlcMaximumMsat: msat(2) } },
      timestamp: Math.floor(Date.now() / 1000) + 60,
    })
    const blob = new Uint8Array(100)
    const lines = LOG_PARTS.flatMap((part) => {
      const log = logs.of(part)
      return [vi.spyOn(log, 'info'), vi.spyOn(log, 'warn'), vi.spyOn(log, 'error')]
    })
    const stranger = new Stranger(world, 7)
    await stranger.connect(bob)
    for (let n = 0; n < 100; n++) stranger.say({ type: 'peer_storage_retrieval', blob })
    await world.settle()
    expect(stranger.connected).toBe(true)
    const forged = { ...wrong, signature: new Uint8Array(64) }
    stranger.say(...Array.from({ length: 100 }, () => forged))
    await world.settle()
    expect(stranger.connected).toBe(false)
    expect(gossip.channelOf(channel!.shortChannelId)).toBeDefined()
    expect(lines.flatMap((l) => l.mock.calls)).toEqual([])
  })

  it('costs no more than the connection where a bug of ours meets it: channels and payments go on', async () => {
    const { gossip, storage } = world.of('bob').node!
    const stranger = new Stranger(world, 8)
    for (const [part, name, message] of [
      [gossip, 'onMessage', { type: 'reply_short_channel_ids_end', chainHash: new Uint8Array(32), fullInformation: 1 }],
      [storage, 'message', { type: 'peer_storage', blob: new Uint8Array(1) }],
    ] as const) {
      await stranger.connect(bob)
      const broken = vi.spyOn(part as typeof gossip, name as 'onMessage').mockImplementation(() => {
        throw new TypeError('a bug')
      })
      stranger.say(message)
      await world.settle()
      broken.mockRestore()
      expect(stranger.connected).toBe(false)
    }
    const alerts = (await world.of('bob').api.eventsSince(0, 1_000)).filter(
      (e) => e.data.code === 'MESSAGE_NOT_HANDLED',
    )
    expect(alerts.map((e) => e.data.peer)).toEqual([stranger.nodeId, stranger.nodeId])
    const { bolt11 } = await world.of('bob').api.createInvoice({ amountMsat: msat(1_000_000) })
    const { id } = await world.of('alice').api.pay({ bolt11 })
    await world.settle()
    expect((await world.of('alice').api.payment(id)).status).toBe('succeeded')
  })

  it('what is remembered of those who connect is forgotten when it is over', () => {
    let now = 0
    const waits = new NotBefore(() => now)
    const peer = (n: number) => `02${n.toString(16).padStart(64, '0')}` as NodeId
    for (let n = 0; n < 10_000; n++) {
      waits.wait(peer(n), n === 0 ? 60_000 : 5_000)
      now += 10
    }
    expect(waits.size).toBeLessThan(1_000)
    expect([waits.isWaiting(peer(0)), waits.isWaiting(peer(9_000)), waits.isWaiting(peer(9_999))]).toEqual([
      false,
      false,
      true,
    ])
    waits.wait(peer(1), 60_000)
    waits.wait(peer(1), 5_000)
    now += 59_000
    expect(waits.isWaiting(peer(1))).toBe(true)
    waits.wait(peer(2), 1)
    expect(waits.size).toBe(2)
  })
})
