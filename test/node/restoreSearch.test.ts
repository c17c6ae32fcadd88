import { beforeAll, describe, expect, it } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import { type ChannelId, type Outpoint, outpointKey } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { CHAIN_METHODS } from '../../src/chain/embedded/rpc/chainMethods.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { StaticBackup } from '../../src/node/backup.ts'
import { keys } from '../../src/store/schema.ts'
import { outputOf, spend, TRUE_OUTPUT } from '../chain/embedded/harness.ts'
import { Disk } from './disk.ts'
import { ground, only, restored, view } from './restoring.ts'
import { NOBODY, type Snapshot, World } from './world.ts'

let base: Snapshot
let backup: StaticBackup
beforeAll(async () => {
  ;({ base, backup } = await ground())
})

describe('what a restored node looks for in the chain', () => {
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

  it('knows of the addresses that were given out since the last change of a channel, but for those of the last minutes', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    const minutes = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) await world.attempt(alice.node!.backup.look())
    }
    const { writeBackup } = alice
    let writes = 0
    alice.writeBackup = (channels, whole) => {
      writes++
      return writeBackup(channels, whole)
    }
    await alice.node!.reactor.run(() => {
      for (let i = 0; i < 300; i++) alice.node!.wallet.newAddress()
    })
    const { address } = (await world.attempt(alice.api.newAddress()))!
    await minutes(20)
    expect(writes).toBe(1)
    const newer = alice.wholeBackup!
    expect(newer.addresses).toEqual([...alice.node!.wallet.state.next])
    await world.attempt(world.of('bob').api.sendOnChain({ outputs: [{ address, amountSat: sat(77_000) }] }))
    await world.mine(1)
    await restored(world, newer)
    await world.settle()
    expect((await alice.api.utxos()).map((u) => u.amountSat)).toContain(77_000n)
    expect((await world.attempt(alice.api.newAddress()))!.address).not.toBe(address)
    world.close()
  })

  it('with an older database beside the backup, too', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    const old = alice.disk.snapshot()
    await alice.node!.reactor.run(() => {
      for (let i = 0; i < 100; i++) alice.node!.wallet.newAddress()
    })
    const { address } = (await world.attempt(alice.api.newAddress()))!
    await alice.node!.backUp()
    await world.attempt(world.of('bob').api.sendOnChain({ outputs: [{ address, amountSat: sat(77_000) }] }))
    await world.mine(1)
    world.crash('alice')
    alice.disk = new Disk(old, () => {})
    alice.restoreFrom = alice.wholeBackup
    await world.boot('alice')
    await world.settle()
    expect((await alice.api.utxos()).map((u) => u.amountSat)).toContain(77_000n)
    expect(alice.node!.wallet.state.next[0]).toBe(alice.restoreFrom!.addresses![0])
    world.close()
  })

  it('with a damaged record of how many there were beside the backup, too', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    await alice.node!.reactor.run(() => {
      for (let i = 0; i < 300; i++) alice.node!.wallet.newAddress()
    })
    const { address } = (await world.attempt(alice.api.newAddress()))!
    await alice.node!.backUp()
    await world.settle()
    world.crash('alice')
    alice.disk.harm(keys.wallet('numbers'), Uint8Array.of(0xc1))
    await world.boot('alice')
    await world.attempt(world.of('bob').api.sendOnChain({ outputs: [{ address, amountSat: sat(77_000) }] }))
    await world.mine(1)
    await world.settle()
    expect((await alice.api.utxos()).map((u) => u.amountSat)).toContain(77_000n)
    expect((await world.attempt(alice.api.newAddress()))!.address).not.toBe(address)
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
})
