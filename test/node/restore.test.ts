import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { type ChannelId, type Outpoint, outpointKey } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { CHAIN_METHODS } from '../../src/chain/embedded/rpc/chainMethods.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { openBackup, type StaticBackup, sealBackup, sealForPeer } from '../../src/node/backup.ts'
import { checkJournal } from '../../src/store/journal.ts'
import { backupKey } from '../../src/wallet/keys.ts'
import { outputOf, spend, TRUE_OUTPUT } from '../chain/embedded/harness.ts'
import { onchainSat } from './accounts.ts'
import { masterOf, type Name, NOBODY, nodeIdOf, type Snapshot, World } from './world.ts'

/** More than all fees of a close. */
const FEES = 20_000n
const CAPACITY = 1_000_000n
const PAID = 300_000n

/** Alice has opened a channel of 1,000,000 sat and paid Bob 300,000 in it. */
let base: Snapshot
let backup: StaticBackup
let before: bigint
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  before = onchainSat(world).alice
  await world.open('alice', 'bob', Number(CAPACITY))
  await pay(world, 'alice', 'bob', PAID)
  // As it is after the next change of the set of channels, or the next start: the funding has confirmed.
  await world.of('alice').node!.backUp()
  base = world.snapshot()
  backup = world.of('alice').wholeBackup!
  world.close()
})

async function pay(world: World, from: Name, to: Name, amountSat: bigint): Promise<void> {
  const { bolt11 } = await world.of(to).api.createInvoice({ amountMsat: (amountSat * 1000n) as never, description: '' })
  await world.of(from).api.pay({ bolt11 })
  await world.settle()
}
const only = (world: World, name: Name) => world.of(name).node!.channels.all()[0]!
const spender = (world: World) => world.chain.mempool.spender(outpointKey(backup.channels[0]!.funding))
const pending = (world: World): number => [...world.chain.mempool.entries()].length
const view = async (world: World) => (await world.of('alice').api.channels({ limit: 10 }, {})).items[0]!

/** Alice's disk is gone; she starts again on her seed and a backup. */
async function restored(world: World, from: StaticBackup): Promise<void> {
  world.wipe('alice')
  world.of('alice').restoreFrom = from
  await world.boot('alice')
  world.of('alice').restoreFrom = null
}
/** Mines until nothing of the channel is left. */
async function end(world: World): Promise<void> {
  for (let n = 0; n < 40 && only(world, 'alice').state.tag !== 'closed'; n++) await world.mine(1)
  expect(await view(world)).toMatchObject({ state: 'closed', waitsFor: null })
}
/** What the channel and its end have cost alice, beyond what she paid bob. */
const cost = (world: World): bigint => before - PAID - onchainSat(world).alice
const expectAllButFees = (world: World): void => {
  expect(cost(world)).toBeGreaterThan(0n)
  expect(cost(world)).toBeLessThan(FEES)
}

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
    expect(spender(world)).toBeDefined()
    await end(world)
    expect(only(world, 'alice').state).toMatchObject({ onchain: { how: 'remote-force', closing: { kind: 'future' } } })
    expectAllButFees(world)
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
    expectAllButFees(world)
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
    expectAllButFees(world)
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
    expectAllButFees(world)
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
    expectAllButFees(world)
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
    expectAllButFees(world)
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

  it('gives out no address again, and finds coins behind all that were given out', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    expect(backup.addresses).toEqual([...alice.node!.wallet.state.next])
    await alice.node!.reactor.run(() => {
      for (let i = 0; i < 300; i++) alice.node!.wallet.newAddress()
    })
    const { address } = (await world.attempt(alice.api.newAddress()))!
    await alice.node!.backUp()
    const newer = alice.wholeBackup!
    await world.attempt(world.of('bob').api.sendOnChain({ outputs: [{ address, amountSat: sat(77_000) }] }))
    await world.mine(1)
    await restored(world, newer)
    await world.settle()
    expect((await alice.api.utxos()).map((u) => u.amountSat)).toContain(77_000n)
    expect(alice.node!.wallet.state.next[0]).toBeGreaterThan(newer.addresses![0] - 1)
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
    expectAllButFees(world)
    world.close()
  })

  it('reads the chain once, however many channels it looks for', async () => {
    const world = await World.start(['alice', 'bob'], base)
    for (let n = 0; n < 3; n++) await world.open('alice', 'bob', 500_000)
    const four = world.of('alice').wholeBackup!
    const method = CHAIN_METHODS.getblock!
    const { run } = method
    let asked = 0
    const count: typeof run = (...args) => {
      asked++
      return run(...args)
    }
    Object.assign(method, { run: count })
    try {
      await restored(world, four)
      await world.settle()
    } finally {
      Object.assign(method, { run })
    }
    const found = world.of('alice').node!.channels.all()
    expect([found.length, found.every((c) => channelOf(c.state)?.funding.confirmed)]).toEqual([4, true])
    // As far before the oldest as reorganisations are followed.
    const { height } = world.chain.state
    const since = height - Math.max(0, Math.min(...four.channels.map((c) => c.openedAt!)) - 100) + 1
    expect(asked).toBeGreaterThan(10)
    expect(asked).toBeLessThan(since + 5)
    world.close()
  })

  it('goes on where a reorganisation comes while its coins are looked for, with the coins of the chain that is left', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { scriptPubKey } = await world
      .of('alice')
      .node!.reactor.run(() => world.of('alice').node!.wallet.newAddress())
    await world.mine(1, scriptPubKey)
    const method = CHAIN_METHODS.scantxoutset!
    const { run } = method
    const scan: typeof run = (...args) => {
      const found = run(...args)
      const { state } = world.chain
      world.chain.invalidate(state.at(state.height)!)
      world.chain.mine(1, scriptPubKey)
      return found
    }
    Object.assign(method, { run: scan })
    try {
      await restored(world, backup)
    } finally {
      Object.assign(method, { run })
    }
    await world.settle()
    await world.mine(3)
    expect(world.of('alice').complaints.filter((c) => c instanceof Error)).toEqual([])
    const { source, wallet } = world.of('alice').node!
    const { outputs } = await source.scanUnspent([...wallet.state.scripts.keys()].map(fromHex))
    const names = (coins: Iterable<{ readonly outpoint: Outpoint; readonly height: number | null }>) =>
      [...coins].map(({ outpoint, height }) => `${outpointKey(outpoint)} ${height}`).sort()
    expect(names(wallet.state.coins.values())).toEqual(names(outputs))
    await world.restart('alice')
    expect(world.of('alice').node).not.toBeNull()
    world.close()
  })

  it('finds a funding that a reorganisation has put below the block at which the opening began', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const channel = backup.channels[0]!
    const { confirmed } = world.channelsOf('alice')[0]!.funding
    await restored(world, { ...backup, channels: [{ ...channel, openedAt: confirmed!.height + 3 }] })
    await world.settle()
    expect(world.channelsOf('alice')[0]!.funding.confirmed).toEqual(confirmed)
    world.close()
  })

  it('gives a channel up 2,016 blocks after its opening when no block has its funding, and takes it in after all when one does', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    world.crash('bob')
    const channel = backup.channels[0]!
    const { height } = world.chain.state
    world.chain.mine(1, TRUE_OUTPUT)
    const tx = spend([outputOf(world.chain.state.tip.block.transactions[0]!, 0)])
    const funding = { txid: txidOf(tx), index: 0 }
    const lost = { ...channel, channelId: 'ab'.repeat(32) as ChannelId, funding, openedAt: height }
    await restored(world, { ...backup, channels: [lost] })
    await world.settle()
    expect(channelOf(only(world, 'alice').state)!.funding.confirmed).toBeNull()
    const never = `its funding transaction, which is in no block yet and is given up after height ${height + 2016}`
    expect((await view(world)).waitsFor).toBe(never)
    for (let n = 1; n < 2016; n++) world.chain.mineExactly([], NOBODY)
    await world.settle()
    await world.restart('alice')
    expect((await view(world)).state).toBe('waiting-for-peer')
    await world.mine(1)
    expect(await view(world)).toMatchObject({ state: 'closed', waitsFor: null })
    const told = (await alice.api.eventsSince(0, 5_000)).filter((e) => e.type === 'channel.closed')
    expect(told.map((e) => e.data)).toMatchObject([
      { how: 'never-funded', reason: expect.stringContaining(funding.txid) },
    ])
    await world.restart('alice')
    expect([(await view(world)).state, alice.backup]).toEqual(['closed', []])

    world.chain.mineExactly([tx], NOBODY)
    await world.settle()
    expect([(await view(world)).state, alice.backup]).toMatchObject(['waiting-for-peer', [{ funding }]])
    world.close()
  })

  it('gives a channel up at once when the coins of its funding were spent otherwise, long before the restoring', async () => {
    const world = await World.start(['alice', 'bob'], base)
    world.crash('bob')
    const { height } = world.chain.state
    world.chain.mine(1, TRUE_OUTPUT)
    const coin = outputOf(world.chain.state.tip.block.transactions[0]!, 0)
    await world.mine(100)
    world.chain.mineExactly([spend([coin])], NOBODY)
    await world.mine(7)
    const funding = { txid: txidOf(spend([coin], { fee: 5_000n })), index: 0 }
    const inputs = [{ txid: coin.txid, index: coin.index }]
    const channelId = 'ab'.repeat(32) as ChannelId
    const lost = { ...backup.channels[0]!, channelId, funding, inputs, openedAt: height }
    await restored(world, { ...backup, channels: [lost] })
    await world.settle()
    const events = await world.of('alice').api.eventsSince(0, 1_000)
    const reason = expect.stringContaining('another has spent its coins')
    expect(events.filter((e) => e.type === 'channel.closed').map((e) => e.data)).toMatchObject([{ reason }])
    world.close()
  })

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

  it('does as well with a backup of version 1, which knows less', async () => {
    const channels = backup.channels.map(({ openedAt: _, remote: __, ...known }) => known)
    const { nodeId, journal } = backup
    const world = await World.start(['alice', 'bob'], base)
    await restored(world, { version: 1, nodeId, journal, channels })
    world.connectAll()
    await world.settle()
    await end(world)
    expectAllButFees(world)
    world.close()
  })
})

// ---------------------------------------------------------------- peer storage

/** What bob's disk has of alice's. */
const bobsCopy = (world: World): StaticBackup | null => {
  const blob = world
    .of('bob')
    .disk.snapshot()
    .get(`peer-storage/${nodeIdOf('alice')}`)
  return blob ? openBackup(blob, backupKey(masterOf('alice'))) : null
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
    expectAllButFees(world)
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

  it('of blobs that come fast, the latest is written with the next connection, before it is given back', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const bob = world.of('bob')
    bob.storagePace = { afterConnectMs: 0, betweenMs: 1e9 }
    await world.restart('bob')
    world.connectAll()
    await world.settle()
    await world.open('alice', 'bob', 500_000)
    await world.open('alice', 'bob', 500_000)
    const channels = (): number => bobsCopy(world)!.channels.length
    const written = channels()
    expect(written).toBeLessThan(3)
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
