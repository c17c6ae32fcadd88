import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { channelId, nodeId, txid } from '../../src/base/ids.ts'
import {
  BackupError,
  backupPath,
  type ChannelBackup,
  checkBackup,
  openBackup,
  sealBackup,
  writeBackup,
} from '../../src/node/backup.ts'
import { nodeIdOf, type Snapshot, World } from './world.ts'

const KEY = new Uint8Array(32).fill(7)
const OTHER = new Uint8Array(32).fill(8)
const channel: ChannelBackup = {
  channelId: channelId('ab'.repeat(32)),
  peer: nodeId(`02${'cd'.repeat(32)}`),
  address: '127.0.0.1:9735',
  funding: { txid: txid('ef'.repeat(32)), index: 1 },
  capacitySat: 16_000_000n,
  channelType: 'anchors',
  isOpener: true,
  keyIndex: 3,
}
const backup = { version: 1 as const, nodeId: channel.peer, journal: 40, channels: [channel] }

describe('the static channel backup', () => {
  const dirs: string[] = []
  const temporary = async (): Promise<string> => {
    const dir = await mkdtemp(join(tmpdir(), 'fulmen-backup-'))
    dirs.push(dir)
    return dir
  }
  afterAll(() => Promise.all(dirs.map((d) => rm(d, { recursive: true, force: true }))))

  it('comes back as it was written, and shows nothing without the seed', async () => {
    const dir = await temporary()
    await writeBackup(dir, sealBackup(backup, KEY))
    const sealed = new Uint8Array(await readFile(backupPath(dir)))
    expect(openBackup(sealed, KEY)).toEqual(backup)
    expect(() => openBackup(sealed, OTHER)).toThrow(BackupError)
    expect(Buffer.from(sealed).includes(channel.peer)).toBe(false)
  })

  it('is refused when it is damaged anywhere, or cut short', () => {
    const sealed = sealBackup(backup, KEY)
    const refused = expect.objectContaining({ code: 'BACKUP_INVALID' })
    for (let at = 0; at < sealed.length; at += 7) {
      const damaged = sealed.map((b, i) => (i === at ? b ^ 1 : b))
      expect(() => openBackup(damaged, KEY)).toThrowError(refused)
    }
    for (const length of [0, 5, 20]) expect(() => openBackup(sealed.slice(0, length), KEY)).toThrowError(refused)
  })

  it('is never sealed the same twice, so that two backups tell nothing by their likeness', () => {
    expect(sealBackup(backup, KEY)).not.toEqual(sealBackup(backup, KEY))
  })

  it('shows a database that is older than it, and is kept before it is overwritten', async () => {
    const dir = await temporary()
    expect(await checkBackup(dir, KEY, 0)).toEqual({ tag: 'fine' })
    await writeBackup(dir, sealBackup(backup, KEY))
    expect(await checkBackup(dir, KEY, 40)).toEqual({ tag: 'fine' })
    const older = await checkBackup(dir, KEY, 39)
    expect(older).toEqual({ tag: 'database-is-older', kept: `${backupPath(dir)}.40` })
    expect(await checkBackup(dir, OTHER, 40)).toMatchObject({ tag: 'unreadable' })
    expect((await readdir(dir)).sort()).toEqual(['channels.backup', 'channels.backup.40', 'channels.backup.unreadable'])
  })
})

// ---------------------------------------------------------------- when it is written

let base: Snapshot
beforeAll(async () => {
  const world = await World.start(['alice', 'bob'])
  await world.fund()
  base = world.snapshot()
  world.close()
})
const open = (world: World): void => {
  world
    .of('alice')
    .api.openChannel({ peer: nodeIdOf('bob'), capacitySat: 1_000_000n as never })
    .catch(() => {})
}
const pending = (world: World): number => [...world.chain.mempool.entries()].length

/** A backup that is being written until it is released. */
function slowly(world: World, name: 'alice' | 'bob'): { begun: () => boolean; finish: () => void } {
  const process = world.of(name)
  const written = process.writeBackup
  const waiting: (() => void)[] = []
  process.writeBackup = async (channels) => {
    await new Promise<void>((resolve) => waiting.push(resolve))
    await written(channels)
  }
  return { begun: () => waiting.length > 0, finish: () => waiting.splice(0).forEach((go) => void go()) }
}

describe('a backup is written before its channel is funded', () => {
  it('the opener broadcasts the funding once it is there', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const backup = slowly(world, 'alice')
    open(world)
    await world.settle()
    expect([backup.begun(), pending(world)]).toEqual([true, 0])
    backup.finish()
    await world.settle()
    expect([pending(world), world.of('alice').backup.length]).toEqual([1, 1])
    world.close()
  })

  it('the accepter signs for the funding once it is there', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const backup = slowly(world, 'bob')
    open(world)
    await world.settle()
    expect(backup.begun()).toBe(true)
    expect(
      world
        .of('alice')
        .node!.channels.all()
        .map((c) => c.state.tag),
    ).toEqual(['await-funding-signed'])
    backup.finish()
    await world.settle()
    expect(pending(world)).toBe(1)
    world.close()
  })

  it('a start after a crash between the two makes up for it first', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const bob = world.of('bob')
    const { writeBackup } = bob
    slowly(world, 'bob')
    open(world)
    await world.settle()
    world.crash('bob')
    bob.writeBackup = writeBackup
    const backup = slowly(world, 'bob')
    const booted = world.boot('bob')
    for (let n = 0; n < 20 && !backup.begun(); n++) await world.turn()
    expect([backup.begun(), bob.node]).toEqual([true, null])
    backup.finish()
    await booted
    expect(bob.backup).toMatchObject([{ peer: nodeIdOf('alice'), isOpener: false }])
    world.close()
  })

  it('a backup that cannot be written is an alert, once until it can be written again, and stops nothing', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const alice = world.of('alice')
    const { writeBackup } = alice
    const fail = async (): Promise<void> => {
      throw new Error('no room')
    }
    const alerts = async () =>
      (await alice.api.eventsSince(0, 1_000)).filter(({ data }) => data.code === 'BACKUP_NOT_WRITTEN').length
    alice.writeBackup = fail
    expect((await world.open('alice', 'bob', 600_000)).usable).toBe(true)
    await world.attempt(alice.node!.backUp())
    await world.settle()
    expect(await alerts()).toBe(1)
    alice.writeBackup = writeBackup
    await world.attempt(alice.node!.backUp())
    expect(alice.backup).toHaveLength(1)
    alice.writeBackup = fail
    await world.attempt(alice.node!.backUp())
    await world.settle()
    expect(await alerts()).toBe(2)
    world.close()
  })

  it('a channel that is closed leaves it', async () => {
    const world = await World.start(['alice', 'bob'], base)
    const { id } = await world.open('alice', 'bob', 1_000_000)
    expect(world.of('alice').backup).toMatchObject([{ peer: nodeIdOf('bob'), isOpener: true, capacitySat: 1_000_000n }])
    await world.attempt(world.of('alice').api.closeChannel(id, {}))
    await world.settle()
    for (let n = 0; n < 8; n++) await world.mine(1)
    expect(world.of('alice').backup).toEqual([])
    world.close()
  })
})
