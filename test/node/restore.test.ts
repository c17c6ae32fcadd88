import { beforeAll, describe, expect, it } from 'vitest'
import { channelOf } from '../../src/channel/describe.ts'
import { type StaticBackup, sealBackup, sealForPeer } from '../../src/node/backup.ts'
import { checkJournal } from '../../src/store/journal.ts'
import { backupKey } from '../../src/wallet/keys.ts'
import { end, expectAllButFees, type Ground, ground, only, pending, restored, spender, view } from './restoring.ts'
import { masterOf, type Name, nodeIdOf, type Snapshot, World } from './world.ts'

let known: Ground
let base: Snapshot
let backup: StaticBackup
beforeAll(async () => {
  known = await ground()
  ;({ base, backup } = known)
})

describe('a node that lost its disk, and has its seed and a channel backup', () => {
  it('publishes nothing, has the peer close, and takes its balance from the peer’s commitment', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, backup)
    await world.settle()
    expect(await view(world)).toMatchObject({ state: 'waiting-for-peer', peer: nodeIdOf('bob'), usable: false })
    await world.mine(3)
    expect(pending(world)).toBe(0)
    await expect(
      world.attempt(world.of('alice').api.closeChannel((await view(world)).id, { force: true })),
    ).rejects.toMatchObject({ code: 'CONFLICT' })

    world.connectAll()
    await world.settle()
    expect(only(world, 'bob').state.tag).toBe('closing')
    expect(spender(world, known)).toBeDefined()
    await end(world)
    expect(only(world, 'alice').state).toMatchObject({ onchain: { how: 'remote-force', closing: { kind: 'future' } } })
    expectAllButFees(world, known)
    world.close()
  })

  it('goes on with that after restarts at every step', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, backup)
    await world.restart('alice')
    world.connectAll()
    await world.settle()
    await world.restart('alice')
    for (let n = 0; n < 3; n++) {
      await world.mine(1)
      await world.restart('alice')
    }
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })

  it.each([1, 30])('finds a commitment of the peer that was mined %i blocks ago', async (blocks) => {
    const world = await World.start(['alice', 'bob'], base)
    world.wipe('alice')
    await world.attempt(world.of('bob').api.closeChannel(only(world, 'bob').meta.localId, { force: true }))
    await world.mine(blocks)
    await restored(world, backup)
    await world.settle()
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })

  it('finds its own commitment, when it had closed by force before the loss, and takes its balance after the delay', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await world.attempt(world.of('alice').api.closeChannel(only(world, 'alice').meta.localId, { force: true }))
    await world.settle()
    await world.mine(1)
    await restored(world, backup)
    await world.settle()
    expect(only(world, 'alice').state).toMatchObject({
      onchain: { how: 'local-force', closing: { kind: 'local-old' } },
    })
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })

  it('finds a cooperative close, the money of which its wallet has', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await world.attempt(world.of('alice').api.closeChannel(only(world, 'alice').meta.localId, {}))
    await world.settle()
    await world.mine(1)
    await restored(world, backup)
    await world.settle()
    expect(only(world, 'alice').state).toMatchObject({ onchain: { how: 'cooperative' } })
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })

  it('follows a reorganisation that undoes the peer’s commitment', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, backup)
    world.connectAll()
    await world.settle()
    await world.mine(1)
    expect(only(world, 'alice').state.tag).toBe('closing')
    await world.reorg(1)
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })

  it('goes on counting its batches beyond the backup, with no gap that would look like a lost write', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, backup)
    await world.mine(3)
    const { journal } = world.of('alice').node!.resources
    expect(journal.durable).toBeGreaterThan(backup.journal)
    expect(await checkJournal(world.of('alice').disk)).toEqual({ last: journal.durable, missing: [] })
    world.close()
  })

  it('never gives out a key index again', async () => {
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, backup)
    const { node } = world.of('alice')
    const used = node!.channels.all().map((c) => c.meta.keyIndex)
    expect(used).toEqual(backup.channels.map((c) => c.keyIndex))
    const next = await node!.reactor.run(() => node!.numbers.take(nodeIdOf('bob')).keyIndex)
    expect(next).toBeGreaterThan(backup.nextKeyIndex!)
    await world.restart('alice')
    const after = world.of('alice').node!
    expect(await after.reactor.run(() => after.numbers.take(nodeIdOf('bob')).keyIndex)).toBeGreaterThan(next)
    world.close()
  })

  it('takes the place of a channel that a lost write took a record of, which the database alone would not start with', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    world.crash('alice')
    const fixed = [...alice.disk.snapshot().keys()].filter((key) => /^channel\/.*\/fixed$/.test(key))
    await alice.disk.wipe(fixed)
    alice.restoreFrom = backup
    await world.boot('alice')
    alice.restoreFrom = null
    await world.restart('alice')
    expect(alice.node!.channels.all()).toHaveLength(1)
    world.connectAll()
    await world.settle()
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })

  it('does as well with a backup of version 1, which knows less', async () => {
    const channels = backup.channels.map(({ openedAt: _, remote: __, ...known }) => known)
    const { nodeId, journal } = backup
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, { version: 1, nodeId, journal, channels })
    world.connectAll()
    await world.settle()
    await end(world)
    expectAllButFees(world, known)
    world.close()
  })
})

describe('the backup of a node that runs', () => {
  it('knows what the funding transaction of a channel of ours spends, as long as that has not confirmed', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { api, node } = world.of('alice')
    const opening = api.openChannel({ peer: nodeIdOf('bob'), capacitySat: 500_000n as never })
    await world.settle()
    await opening
    const channel = node!.channels.all()[1]!
    const inputs = channelOf(channel.state)!.funding.tx!.inputs.map(({ txid, index }) => ({ txid, index }))
    const kept = (name: Name) => world.of(name).wholeBackup!.channels.map((c) => c.inputs)
    expect([kept('alice'), kept('bob')]).toEqual([
      [undefined, inputs],
      [undefined, undefined],
    ])
    await world.mine(6)
    await node!.backUp()
    expect(kept('alice')).toEqual([undefined, undefined])
    world.close()
  })

  it('remembers where a peer was last, to find it again', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const bob = world.of('bob')
    expect(bob.wholeBackup!.channels).toMatchObject([{ address: null }])
    await bob.api.connectPeer({ nodeId: nodeIdOf('alice'), host: '192.0.2.7', port: 9735 })
    expect(bob.wholeBackup!.channels).toMatchObject([{ address: '192.0.2.7:9735' }])
    world.close()
  })

  it('is told whether a copy of its backup is whole, its own, and has every channel', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { api } = world.of('alice')
    const seal = (b: StaticBackup, name: Name) => sealBackup(b, backupKey(masterOf(name)))
    const good = { valid: true, complete: true, channels: 1, missing: [] }
    expect(await api.verifyBackup(seal(backup, 'alice'))).toMatchObject(good)
    expect(await api.verifyBackup(sealForPeer(backup, backupKey(masterOf('alice'))).blob)).toMatchObject(good)
    const old = await api.verifyBackup(seal({ ...backup, channels: [] }, 'alice'))
    expect(old).toMatchObject({ valid: true, complete: false, missing: [backup.channels[0]!.channelId] })
    expect(await api.verifyBackup(seal(backup, 'bob'))).toMatchObject({ valid: false, complete: false })
    world.close()
  })
})
