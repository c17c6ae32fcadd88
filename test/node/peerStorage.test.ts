import { beforeAll, describe, expect, it } from 'vitest'
import { channelOf } from '../../src/channel/describe.ts'
import { openBackup, type StaticBackup, sealForPeer } from '../../src/node/backup.ts'
import { backupKey } from '../../src/wallet/keys.ts'
import { decodeMessage } from '../../src/wire/registry.ts'
import { Disk } from './disk.ts'
import type { Process } from './process.ts'
import { end, expectAllButFees, type Ground, ground, only, restored } from './restoring.ts'
import { masterOf, nodeIdOf, type Snapshot, World } from './world.ts'

let known: Ground
let base: Snapshot
let backup: StaticBackup
beforeAll(async () => {
  known = await ground()
  ;({ base, backup } = known)
})

/** What bob's disk has of alice's. */
const bobsCopy = (world: World): StaticBackup | null => {
  const blob = world
    .of('bob')
    .disk.snapshot()
    .get(`peer-storage/${nodeIdOf('alice')}`)
  return blob ? openBackup(blob, backupKey(masterOf('alice'))) : null
}

/** Alice has sent more blobs than bob writes in a minute: his disk lacks the channels of the last. */
async function withBlobsThatWait(): Promise<{ readonly world: World; readonly bob: Process }> {
  const world = await World.start(['alice', 'bob'], base)
  const bob = world.of('bob')
  bob.storagePace = { afterConnectMs: 0, betweenMs: 1e9 }
  await world.restart('bob')
  world.connectAll()
  await world.settle()
  await world.open('alice', 'bob', 500_000)
  await world.open('alice', 'bob', 500_000)
  expect(bobsCopy(world)!.channels.length).toBeLessThan(3)
  return { world, bob }
}

describe('BOLT 1 §peer-storage', () => {
  it('a peer keeps the latest backup, across a crash, and gives it back', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { version, channels } = bobsCopy(world)!
    expect([version, channels]).toEqual([2, backup.channels])
    await world.open('alice', 'bob', 500_000)
    expect(bobsCopy(world)!.channels).toHaveLength(2)
    await world.restart('bob')
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    await world.restart('bob')
    expect(bobsCopy(world)!.channels).toHaveLength(2)
    world.close()
  })

  it('a node with nothing but its seed and a peer gets its money', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, bobsCopy(world)!)
    world.connectAll()
    await world.settle()
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })

  it('a copy that is newer than the database puts every channel in doubt and brings back those that it does not know', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const old = world.of('alice').disk.snapshot()
    const { funding } = await world.open('alice', 'bob', 500_000)
    const later = world.snapshot()
    world.close()

    const again = await World.start(['alice', 'bob'], { ...later, disks: { ...later.disks, alice: old } })
    const alice = again.of('alice')
    const events = await alice.api.eventsSince(0, 1_000)
    expect(events.map((e) => e.data.code)).toContain('DATABASE_IS_OLDER')
    expect(alice.keptBackups[0]?.channels).toHaveLength(2)
    const found = alice.node!.channels.all().find((c) => 'channel' in c.state && c.state.channel?.restored)
    expect(found?.state).toMatchObject({ channel: { restored: true, commitments: { active: [{ funding }] } } })
    again.connectAll()
    await again.settle()
    // Bob had heard where the channel that she knows stands before she knew her database to be old: he may only have agreed with that.
    const known = alice.node!.channels.all().find((c) => c !== found)!
    expect([known.state.tag, channelOf(known.state)?.unproven]).toEqual(['waiting-for-peer', true])
    for (let n = 0; n < 30; n++) await again.mine(1)
    expect([found?.state.tag, known.state]).toMatchObject([
      'closed',
      { tag: 'closed', onchain: { how: 'remote-force' } },
    ])
    // The copies that peers keep are not newer from here on.
    await again.restart('alice')
    again.connectAll()
    await again.settle()
    expect(alice.keptBackups).toHaveLength(1)
    again.close()
  })

  it('a copy that is newer counts on a full disk, too, where no file can be made of it', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    const old = alice.disk.snapshot()
    await world.open('alice', 'bob', 500_000)
    world.crash('alice')
    alice.disk = new Disk(old, () => {})
    alice.keptBackups.push = () => {
      throw new Error('no space left on device')
    }
    await world.boot('alice')
    world.connectAll()
    await world.settle()
    const states = alice.node!.channels.all().map((c) => c.state.tag)
    expect([states, await alice.api.eventsSince(0, 1_000)]).toMatchObject([
      ['waiting-for-peer', 'waiting-for-peer'],
      expect.arrayContaining([
        expect.objectContaining({ data: expect.objectContaining({ code: 'DATABASE_IS_OLDER' }) }),
      ]),
    ])
    world.close()
  })

  it('a copy of earlier is no alarm, though it has a channel that was never funded and is forgotten', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { api, node } = world.of('alice')
    const dropped = (): number => world.wire.sent.get(nodeIdOf('bob')) ?? 0
    const opening = api.openChannel({ peer: nodeIdOf('bob'), capacitySat: 600_000n as never })
    opening.catch(() => {})
    // Up to funding_created, with a backup that knows the channel; then the connection breaks.
    const known = (): number => world.of('alice').backup.length
    for (let n = 0; n < 1_000 && known() < 2; n++) {
      world.wire.deliver()
      await world.turn()
    }
    const early = world.of('alice').wholeBackup!
    expect([early.channels.length, dropped() > 0]).toEqual([2, true])
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    await world.settle()
    expect([node!.channels.all().length, known()]).toEqual([1, 1])
    const { blob } = sealForPeer(early, backupKey(masterOf('alice')))
    await world.of('bob').disk.batch([{ key: `peer-storage/${nodeIdOf('alice')}`, value: blob }])
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    expect([world.of('alice').keptBackups, node!.channels.all().length]).toEqual([[], 1])
    world.close()
  })

  it('what is not ours, or damaged, changes nothing but the blob', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const key = `peer-storage/${nodeIdOf('alice')}`
    await world.of('bob').disk.batch([{ key, value: new Uint8Array(65_531).fill(7) }])
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    expect(
      world
        .of('alice')
        .node!.channels.all()
        .map((c) => c.state.tag),
    ).toEqual(['normal'])
    expect(world.of('alice').complaints).toEqual([])
    world.close()
  })

  it('is given back before the channels speak, also when it has to be read from the disk', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await world.restart('bob')
    const { send } = world.wire
    const said: string[] = []
    world.wire.send = (from, what) => {
      if (from === nodeIdOf('bob')) said.push(...what.messages.map((m) => decodeMessage(m).type))
      return send.call(world.wire, from, what)
    }
    world.connectAll()
    await world.settle()
    const order = said.filter((type) => type === 'peer_storage_retrieval' || type === 'channel_reestablish')
    expect(order).toEqual(['peer_storage_retrieval', 'channel_reestablish'])
    world.close()
  })

  it('of blobs that come fast, the latest is written with the next connection, before it is given back', async () => {
    const { world, bob } = await withBlobsThatWait()
    const channels = (): number => bobsCopy(world)!.channels.length
    const written = channels()
    const given = () => world.wire.sent.get(nodeIdOf('bob'))
    const before = given()
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    // The disk fails at that write: nothing is said.
    bob.disk.judge = (ops) => (ops.some((op) => op.key.startsWith('peer-storage/')) ? { tag: 'die', kept: [] } : null)
    world.connectAll()
    await world.settle()
    expect([bob.node, given(), channels()]).toEqual([null, before, written])

    await world.boot('bob')
    world.connectAll()
    await world.settle()
    await world.open('alice', 'bob', 500_000)
    expect(channels()).toBe(3)
    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    world.connectAll()
    await world.settle()
    expect(channels()).toBe(4)
    world.close()
  })

  it('of blobs that wait for their minute, the latest is written when the node stops', async () => {
    const { world, bob } = await withBlobsThatWait()
    await bob.node!.stop()
    expect(bobsCopy(world)!.channels).toHaveLength(3)
    world.close()
  })

  it('our own copy is sent once a minute, the latest then', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    alice.storagePace = { afterConnectMs: 0, betweenMs: 1e9 }
    await world.restart('alice')
    world.connectAll()
    await world.settle()
    const first = bobsCopy(world)!
    await world.open('alice', 'bob', 500_000)
    await world.open('alice', 'bob', 500_000)
    expect(bobsCopy(world)).toEqual(first)
    expect(alice.node!.storage.hasDue()).toBe(true)
    alice.storagePace = { afterConnectMs: 0, betweenMs: 0 }
    await world.restart('alice')
    world.connectAll()
    await world.settle()
    expect(bobsCopy(world)!.channels).toHaveLength(3)
    world.close()
  })

  it('is for peers with a channel, and stays for 2,016 blocks after the last', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await world.attempt(world.of('alice').api.closeChannel(only(world, 'alice').meta.localId, {}))
    await world.settle()
    await world.mine(8)
    const block = async (height: number): Promise<void> => {
      const { reactor, storage } = world.of('bob').node!
      await reactor.run((scope) => storage.onBlock(height, scope))
    }
    const { height } = world.of('bob').node!.chain
    await block(height + 2_000)
    await world.restart('bob')
    expect(bobsCopy(world)).not.toBeNull()
    await block(height + 2_016)
    expect(bobsCopy(world)).toBeNull()
    world.connectAll()
    await world.settle()
    const { node } = world.of('alice')
    const link = node!.peers.link(nodeIdOf('bob'))!
    node!.peers.send(link, [{ type: 'peer_storage', blob: new Uint8Array(100) }])
    await world.settle()
    expect([...world.of('bob').disk.snapshot().keys()].filter((k) => k.startsWith('peer-storage'))).toEqual([])
    world.close()
  })
})
