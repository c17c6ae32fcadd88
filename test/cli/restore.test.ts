import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sealBackup } from '../../src/node/backup.ts'
import { backupKey, masterKey } from '../../src/wallet/keys.ts'
import { type Ran, run, withoutVariables } from './run.ts'

const WORDS = 'legal winner thank year wave sausage worth useful legal winner thank yellow'
const OTHERS = 'letter advice cage absurd amount doctor acoustic avoid letter advice cage above'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fulmen-cli-restore-'))
  withoutVariables()
  await writeFile(join(root, 'words'), `  ${WORDS.toUpperCase()}\n`)
  for (const [name, words] of [
    ['backup', WORDS],
    ['foreign', OTHERS],
  ] as const) {
    const empty = { version: 2 as const, nodeId: '02'.repeat(33) as never, journal: 7, channels: [], nextKeyIndex: 3 }
    await writeFile(join(root, name), sealBackup(empty, backupKey(masterKey(words, 'regtest'))))
  }
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true })
})

function restore(...args: string[]): Promise<Ran> {
  const options = ['--words-file', join(root, 'words'), '--log-level', 'silent', '--listen', 'none']
  return run('--data-dir', join(root, 'node'), 'restore', ...options, ...args)
}

describe('fulmen restore', () => {
  it('makes a data directory, runs a node until nothing is left to do, and does so once', async () => {
    const first = await restore('--backup', join(root, 'backup'))
    expect(first).toMatchObject({ code: 0, out: expect.stringContaining('everything is brought in') })
    expect(first.out).toContain('the backup has 0 channels')
    expect(await readdir(join(root, 'node'))).toEqual(expect.arrayContaining(['db', 'seed', 'channels.backup']))
    const second = await restore('--backup', join(root, 'backup'))
    expect(second).toMatchObject({ code: 1, err: expect.stringContaining('[RESTORE_DIRECTORY_TAKEN]') })
  })

  it('leaves the rest to "fulmen start" with --prepare', async () => {
    const { code, out } = await restore('--backup', join(root, 'backup'), '--prepare', '--json')
    expect([code, JSON.parse(out)]).toMatchObject([0, { channels: 0, peers: 0 }])
    expect((await readdir(join(root, 'node'))).sort()).toEqual(['channels.backup', 'seed'])
  })

  it.each([
    ['a backup of another seed', ['--backup', 'foreign'], 1, 'BACKUP_INVALID'],
    ['no backup at all', [], 1, 'NOTHING_TO_RESTORE_FROM'],
    ['a backup that is not there', ['--backup', 'nowhere'], 1, 'cannot be read'],
    ['a peer that is no address', ['--peer', 'somebody'], 2, 'nodeId@host:port'],
  ])('refuses %s, and writes nothing', async (_, args, code, message) => {
    const paths = args.map((a) => (a === 'foreign' || a === 'nowhere' ? join(root, a) : a))
    expect(await restore(...paths)).toMatchObject({ code, err: expect.stringContaining(message) })
    expect(await readdir(root)).not.toContain('node')
  })
})
