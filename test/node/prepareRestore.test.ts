import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { channelIdOf, type NodeId, type Outpoint, type Txid } from '../../src/base/ids.ts'
import { secpSigner } from '../../src/channel/signer.ts'
import {
  backupPath,
  type ChannelBackup,
  openBackup,
  PEER_BLOB_BYTES,
  type StaticBackup,
  sealBackup,
  sealForPeer,
} from '../../src/node/backup.ts'
import { parsePeer, prepareRestore } from '../../src/node/restore.ts'
import { seedPath } from '../../src/node/seed.ts'
import { readSeedFile } from '../../src/store/seal.ts'
import { backupKey, channelSeed, masterKey } from '../../src/wallet/keys.ts'

const WORDS = 'legal winner thank year wave sausage worth useful legal winner thank yellow'
const OTHERS = 'letter advice cage absurd amount doctor acoustic avoid letter advice cage above'
const master = masterKey(WORDS, 'regtest')
const KEY = backupKey(master)
const PEER = `02${'ab'.repeat(32)}` as NodeId

const { basepoints } = secpSigner(channelSeed(master, 1), new Uint8Array(32).fill(1))
function channel(n: number): ChannelBackup {
  const funding: Outpoint = { txid: n.toString(16).padStart(64, '0') as Txid, index: n % 3 }
  return {
    ...{
      channelId: channelIdOf(funding),
      peer: PEER,
      address: '192.0.2.1:9735',
      funding,
      capacitySat: BigInt(n + 20_000),
    },
    ...{ channelType: 'anchors', isOpener: true, keyIndex: n, openedAt: 100, remote: { basepoints, toSelfDelay: 144 } },
  }
}
const backupWith = (count: number, journal = 40): StaticBackup => ({
  version: 2,
  nodeId: PEER,
  journal,
  channels: Array.from({ length: count }, (_, n) => channel(n)),
  nextKeyIndex: count + 1,
})

const dirs: string[] = []
async function temporary(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'fulmen-restore-'))
  dirs.push(dir)
  return dir
}
afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true })
})

describe('preparing a data directory', () => {
  const request = { network: 'regtest', words: WORDS, passphrase: null, peers: [] } as const

  it('writes backup and seed, for their owner alone', async () => {
    const dataDir = join(await temporary(), 'new')
    const { nodeId, backup } = await prepareRestore({ ...request, dataDir, backup: sealBackup(backupWith(2), KEY) })
    expect([nodeId.length, backup]).toEqual([66, backupWith(2)])
    expect((await readSeedFile(seedPath(dataDir), null))!.secret).toBe(WORDS)
    expect(openBackup(new Uint8Array(await readFile(backupPath(dataDir))), KEY)).toEqual(backupWith(2))
    for (const path of [seedPath(dataDir), backupPath(dataDir)]) expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it.each([
    ['seed', /there is a node.*another --data-dir/],
    ['db', /without a seed.*another --data-dir.*never reached its Bitcoin node, remove it/],
  ])('leaves a directory with a %s alone, and says where else to go', async (name, message) => {
    const dataDir = await temporary()
    await writeFile(join(dataDir, name), 'of another node')
    const taken = prepareRestore({ ...request, dataDir, backup: sealBackup(backupWith(2), KEY) })
    await expect(taken).rejects.toMatchObject({ code: 'RESTORE_DIRECTORY_TAKEN', message })
    expect(await readdir(dataDir)).toEqual([name])
  })

  it.each([
    ['of another seed', sealBackup(backupWith(2), backupKey(masterKey(OTHERS, 'regtest')))],
    ['with a bit that fell over', sealBackup(backupWith(2), KEY).map((b, i) => (i === 60 ? b ^ 1 : b))],
    ['cut off', sealBackup(backupWith(2), KEY).subarray(0, 200)],
    ['that is empty', new Uint8Array(0)],
    ['of a later program', sealBackup({ ...backupWith(2), version: 3 as never }, KEY)],
  ])('refuses a backup %s, and writes nothing', async (_, backup) => {
    const dataDir = await temporary()
    await expect(prepareRestore({ ...request, dataDir, backup })).rejects.toMatchObject({ code: 'BACKUP_INVALID' })
    expect(await readdir(dataDir)).toEqual([])
  })

  it('needs a backup or a peer, and tells which peers have none', async () => {
    const dataDir = await temporary()
    const none = prepareRestore({ ...request, dataDir, backup: null })
    await expect(none).rejects.toMatchObject({ code: 'NOTHING_TO_RESTORE_FROM' })
    const peers = [{ nodeId: PEER, host: '127.0.0.1', port: 1 }]
    const silent = prepareRestore({ ...request, dataDir, backup: null, peers })
    await expect(silent).rejects.toMatchObject({ code: 'PEER_HAS_NO_BACKUP', message: expect.stringContaining(PEER) })
    const both = await prepareRestore({ ...request, dataDir, backup: sealBackup(backupWith(1), KEY), peers })
    expect(both.silent).toMatchObject([{ nodeId: PEER }])
    const [restored] = openBackup(new Uint8Array(await readFile(backupPath(dataDir))), KEY).channels
    expect(restored!.address).toBe('127.0.0.1:1')
  })

  it('takes nothing away: a newer backup that lies there goes first, and channels that one alone has stay', async () => {
    const dataDir = await temporary()
    const newer = { ...backupWith(2, 90), nextKeyIndex: 50 }
    await writeFile(backupPath(dataDir), sealBackup(newer, KEY))
    const older = { ...backupWith(3), channels: [channel(1), channel(7)] }
    const { backup } = await prepareRestore({ ...request, dataDir, backup: sealBackup(older, KEY) })
    expect(backup).toEqual({ ...newer, channels: [channel(0), channel(1), channel(7)] })
    expect(openBackup(new Uint8Array(await readFile(backupPath(dataDir))), KEY)).toEqual(backup)
  })

  it('needs no backup but the one that lies there, and keeps one that it cannot read', async () => {
    const dataDir = await temporary()
    await writeFile(backupPath(dataDir), sealBackup(backupWith(2), KEY))
    expect((await prepareRestore({ ...request, dataDir, backup: null })).backup).toEqual(backupWith(2))
    const other = await temporary()
    await writeFile(backupPath(other), 'of somebody else, perhaps')
    await prepareRestore({ ...request, dataDir: other, backup: sealBackup(backupWith(1), KEY) })
    expect(await readFile(`${backupPath(other)}.unreadable`, 'utf8')).toBe('of somebody else, perhaps')
  })

  it('takes nodeId@host:port, with IPv6 in brackets', () => {
    expect(parsePeer(`${PEER}@example.org:9735`)).toEqual({ nodeId: PEER, host: 'example.org', port: 9735 })
    expect(parsePeer(`${PEER}@[::1]:80`)).toEqual({ nodeId: PEER, host: '::1', port: 80 })
    for (const bad of ['', PEER, `${PEER}@`, `${PEER}@host`, `${PEER}@host:70000`, `zz${PEER.slice(2)}@h:1`, '@h:1'])
      expect(parsePeer(bad)).toBeNull()
  })
})

describe('BOLT 1 §peer-storage: a backup for a peer', () => {
  it.each([0, 1, 60])('with %i channels has 65,531 bytes and is read as the file is', (count) => {
    const { blob, left } = sealForPeer(backupWith(count), KEY)
    expect([blob.length, left]).toEqual([PEER_BLOB_BYTES, 0])
    const { channels, ...about } = openBackup(blob, KEY)
    const { channels: all, ...known } = backupWith(count)
    expect(about).toEqual(known)
    expect(channels.toSorted((a, b) => a.keyIndex - b.keyIndex)).toEqual(all)
  })

  it('of more channels than fit has those with the most money', () => {
    const { blob, left } = sealForPeer(backupWith(3_000), KEY)
    const { channels } = openBackup(blob, KEY)
    expect([blob.length, channels.length + left]).toEqual([PEER_BLOB_BYTES, 3_000])
    expect(channels.length).toBeGreaterThan(150)
    expect(channels.every((c) => c.capacitySat >= BigInt(20_000 + left))).toBe(true)
  })
})
