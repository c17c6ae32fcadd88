import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { disk } from '../../../src/api/checks/disk.ts'
import { pack } from '../../../src/base/pack.ts'
import { runtime } from '../../../src/cli/doctor/directory.ts'
import { apiUrlFile } from '../../../src/cli/remote.ts'
import { sealBackup, staticBackup, writeBackup } from '../../../src/node/backup.ts'
import { loadOrCreateSeed } from '../../../src/node/seed.ts'
import { ballastPath } from '../../../src/store/files.ts'
import { LevelDriver } from '../../../src/store/level.ts'
import { keys, prefixRange, SCHEMA_VERSION } from '../../../src/store/schema.ts'
import type { Op } from '../../../src/store/types.ts'
import { backupKey } from '../../../src/wallet/keys.ts'
import { run } from '../run.ts'
import { dataDir, doctor, listener, open, setDirectory, worse } from './directory.ts'

/* Each directory broken in one way; what is asked is that the doctor names it and changes nothing. */

setDirectory()

/** Every file with its content, and its mode. */
async function everything(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of (await readdir(directory, { recursive: true })).sort()) {
    const { mode, mtimeMs } = await stat(join(directory, name))
    const isFile = (await stat(join(directory, name))).isFile()
    found[name] = isFile
      ? `${mode} ${mtimeMs} ${(await readFile(join(directory, name))).toString('base64')}`
      : `${mode}`
  }
  return found
}

const write = async (ops: readonly Op[]): Promise<void> => {
  const driver = await LevelDriver.open(join(dataDir, 'db'))
  await driver.batch(ops)
  await driver.close()
}
async function backupOfBatch(journal: number): Promise<void> {
  const { master } = await loadOrCreateSeed(dataDir, 'regtest', null)
  const backup = staticBackup({ nodeId: 'ff'.repeat(33) as never, journal, channels: [] })
  await writeBackup(dataDir, sealBackup(backup, backupKey(master)))
}
async function lastBatch(): Promise<number> {
  const driver = await LevelDriver.open(join(dataDir, 'db'))
  try {
    for await (const [key] of driver.entries({ ...prefixRange('journal/'), reverse: true, limit: 1 }))
      return Number(key.slice('journal/'.length))
    return 0
  } finally {
    await driver.close()
  }
}
/** Another process that has the database open and says nothing. */
async function holdDatabase(): Promise<void> {
  const script = `import { Level } from 'level'
    const db = new Level(${JSON.stringify(join(dataDir, 'db'))})
    await db.open(); console.log('open'); setInterval(() => {}, 1000)`
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' })
  open.push(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  await once(child.stdout!, 'data')
}

describe('a node that is down', () => {
  it('and well: no problem, and nothing is changed, not even a time', async () => {
    const before = await everything(dataDir)
    const { code, findings } = await doctor()
    expect(worse(findings).map((f) => [f.level, f.check])).toEqual([
      ['warning', 'seed'],
      ['warning', 'API'],
    ])
    expect(code).toBe(0)
    expect(findings.map((f) => f.check)).toEqual(
      expect.arrayContaining(['Node.js', 'disk', 'database', 'node', 'API port']),
    )
    expect(await everything(dataDir)).toEqual(before)
  })

  type Broken = [what: string, breakIt: () => Promise<unknown>, check: string, cure: RegExp, args?: string[]]
  const broken: Broken[] = [
    ['a directory open to others', () => chmod(dataDir, 0o755), 'data directory', /chmod 700/],
    ['a seed that others can read', () => chmod(join(dataDir, 'seed'), 0o644), 'seed', /chmod 600/],
    ['an admin key that others can read', () => chmod(join(dataDir, 'admin.key'), 0o640), 'admin key', /chmod 600/],
    ['a seed that is gone', () => rm(join(dataDir, 'seed')), 'seed', /seed restore/],
    ['a damaged seed', () => writeFile(join(dataDir, 'seed'), '{', { mode: 0o600 }), 'seed', /seed restore/],
    [
      'another seed',
      async () => {
        await rm(join(dataDir, 'seed'))
        await loadOrCreateSeed(dataDir, 'regtest', null)
      },
      'seed',
      /seed restore/,
    ],
    [
      'an encrypted seed without its passphrase',
      async () => {
        const passphrase = join(dataDir, 'p')
        await writeFile(passphrase, 'correct horse', { mode: 0o600 })
        await run('--data-dir', dataDir, 'seed', 'passphrase', '--new-passphrase-file', passphrase)
      },
      'seed',
      /--passphrase-file/,
    ],
    [
      'a seed that this user cannot read',
      async () => {
        await rm(join(dataDir, 'seed'))
        await mkdir(join(dataDir, 'seed'), { mode: 0o700 })
      },
      'seed',
      /^let the user/,
    ],
    ['a passphrase file that is not there', async () => {}, 'seed', /^name the file/, ['--passphrase-file', '/no/p']],
    ['a lost write', () => write([{ key: keys.journal(2) }]), 'database', /peers reachable/],
    [
      'a record that has changed on disk',
      () => write([{ key: 'payment/1', value: pack(1) }]),
      'records',
      /check the disk/,
    ],
    [
      'a database of a newer program',
      () => write([{ key: keys.schema, value: pack(SCHEMA_VERSION + 1) }]),
      'database',
      /newer version/,
    ],
    [
      'a database that was about to get its checksums',
      () => write([{ key: keys.sealing, value: pack('api/') }]),
      'database',
      /fulmen start/,
    ],
    ['a database without CURRENT', () => rm(join(dataDir, 'db', 'CURRENT')), 'database', /seed words/],
    [
      'a damaged database',
      async () => {
        const files = await readdir(join(dataDir, 'db'))
        const manifest = files.find((f) => f.startsWith('MANIFEST'))!
        await writeFile(join(dataDir, 'db', manifest), 'nonsense')
      },
      'database',
      /check the disk/,
    ],
    ['a database that a silent process has open', holdDatabase, 'lock', /SIGTERM/],
    [
      'a database older than its backup',
      async () => backupOfBatch((await lastBatch()) + 1),
      'backup',
      /newer database/,
    ],
    ['a damaged backup', () => writeFile(join(dataDir, 'channels.backup'), 'x'.repeat(100)), 'backup', /copy/],
    ['a node that was killed', () => writeFile(apiUrlFile(dataDir), 'http://127.0.0.1:1\n'), 'API', /fulmen start/],
    [
      'an unknown option',
      () => writeFile(join(dataDir, 'fulmen.toml'), 'colour = "red"\n'),
      'configuration',
      /correct it/,
    ],
    ['a bad value', async () => {}, 'configuration', /correct it/, ['--network', 'nonsense']],
    [
      'another network',
      async () => {},
      'network',
      /--network regtest/,
      ['--network', 'signet', '--chain', 'http://u:p@127.0.0.1:1'],
    ],
    ['a Bitcoin node that is away', async () => {}, 'Bitcoin node', /--chain/, ['--chain', 'http://u:p@127.0.0.1:1']],
  ]
  it.each<Broken>(broken)('%s', async (_what, breakIt, check, cure, args = []) => {
    await breakIt()
    const before = await everything(dataDir)
    const { code, findings } = await doctor(...args)
    expect(code).toBe(1)
    const problems = findings.filter((f) => f.level === 'problem')
    const found = problems.find((f) => f.check === check)
    expect(found, JSON.stringify(problems)).toBeDefined()
    expect(found!.cure).toMatch(cure)
    expect(await everything(dataDir)).toEqual(before)
  })

  it('a database that the system does not let it look at, which is not damaged for that', async () => {
    await symlink(join(dataDir, 'nowhere'), join(dataDir, 'db', 'lost'))
    const { findings } = await doctor()
    const found = findings.find((f) => f.check === 'database')
    expect(found).toMatchObject({
      level: 'problem',
      message: expect.stringContaining('could not be looked at: ENOENT'),
    })
    expect(found!.cure).not.toMatch(/restore/)
  })

  it('a backup that is fine', async () => {
    await backupOfBatch(await lastBatch())
    expect((await doctor()).findings).toContainEqual(expect.objectContaining({ check: 'backup', level: 'ok' }))
  })

  it('a backup that is gone, where there are channels', async () => {
    await write([{ key: keys.channelMeta('00'.repeat(12)), value: pack({}) }])
    const { findings } = await doctor()
    expect(findings).toContainEqual(expect.objectContaining({ check: 'backup', level: 'warning' }))
  })

  it('ports that other programs have', async () => {
    const [api, lightning] = [await listener(), await listener()]
    const { findings } = await doctor('--api', `127.0.0.1:${api}`, '--listen', `127.0.0.1:${lightning}`)
    const problems = findings.filter((f) => f.level === 'problem')
    expect(problems.map((f) => [f.check, f.cure?.slice(-5)])).toEqual([
      ['API port', '--api'],
      ['Lightning port', 'isten'],
    ])
  })

  it('a misspelt variable', async () => {
    vi.stubEnv('FULMEN_ALAIS', 'x')
    const { findings } = await doctor()
    expect(findings[1]).toMatchObject({ check: 'configuration', level: 'warning' })
    expect(findings[1]!.message).toContain('FULMEN_ALAIS')
  })

  it('a directory that is not there', async () => {
    await rm(dataDir, { recursive: true })
    const { code, findings } = await doctor()
    expect(code).toBe(0)
    expect(findings).toContainEqual(expect.objectContaining({ check: 'data directory', level: 'warning' }))
  })

  it('a disk that fills, and an emergency reserve that was used up', async () => {
    expect(await disk(dataDir, 10_000_000)).toMatchObject([{ level: 'problem', check: 'disk' }])
    expect(await disk(dataDir, 200_000_000)).toMatchObject([{ level: 'warning' }])
    await writeFile(ballastPath(dataDir), 'short')
    expect(await disk(dataDir, 10_000_000_000)).toMatchObject([{ level: 'warning' }])
  })

  it('a Node.js that is too old', () => {
    expect(runtime('>=20.19', '20.18.3')).toMatchObject({ level: 'problem' })
    expect(runtime('>=20.19', '20.19.0')).toMatchObject({ level: 'ok' })
    expect(runtime('>=20.19', '22.0.0')).toMatchObject({ level: 'ok' })
  })
})
