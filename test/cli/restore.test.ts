import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { main } from '../../src/cli/program.ts'
import { sealBackup } from '../../src/node/backup.ts'
import { backupKey, masterKey } from '../../src/wallet/keys.ts'

const WORDS = 'legal winner thank year wave sausage worth useful legal winner thank yellow'
const OTHERS = 'letter advice cage absurd amount doctor acoustic avoid letter advice cage above'

let root: string
const written = { out: '', err: '' }
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fulmen-cli-restore-'))
  for (const name of Object.keys(process.env)) if (name.startsWith('FULMEN_')) vi.stubEnv(name, undefined)
  await writeFile(join(root, 'words'), `  ${WORDS.toUpperCase()}\n`)
  for (const [name, words] of [
    ['backup', WORDS],
    ['foreign', OTHERS],
  ] as const) {
    const empty = { version: 2 as const, nodeId: '02'.repeat(33) as never, journal: 7, channels: [], nextKeyIndex: 3 }
    await writeFile(join(root, name), sealBackup(empty, backupKey(masterKey(words, 'regtest'))))
  }
  const capture = (stream: 'out' | 'err') => (text: string | Uint8Array) => {
    written[stream] += String(text)
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(capture('out') as never)
  vi.spyOn(process.stderr, 'write').mockImplementation(capture('err') as never)
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.exitCode = undefined
  await rm(root, { recursive: true })
})

async function restore(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  Object.assign(written, { out: '', err: '' })
  process.exitCode = undefined
  const options = ['--words-file', join(root, 'words'), '--log-level', 'silent', '--listen', 'none']
  const code = await main(['--data-dir', join(root, 'node'), 'restore', ...options, ...args])
  return { code, ...written }
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
