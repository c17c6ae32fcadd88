import { type ChildProcess, spawn } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { disk } from '../../../src/api/checks/disk.ts'
import type { Finding } from '../../../src/api/checks/finding.ts'
import { startApi } from '../../../src/api/start.ts'
import { newKey, selfSigned } from '../../../src/api/tls/certificate.ts'
import { pack } from '../../../src/base/pack.ts'
import { backend } from '../../../src/cli/doctor/backend.ts'
import { runtime } from '../../../src/cli/doctor/directory.ts'
import { apiPinFile, apiUrlFile } from '../../../src/cli/remote.ts'
import { FulmenClient } from '../../../src/client/index.ts'
import type { ApiAccess } from '../../../src/node/access.ts'
import { sealBackup, staticBackup, writeBackup } from '../../../src/node/backup.ts'
import { resolveConfig } from '../../../src/node/config.ts'
import { loadOrCreateSeed } from '../../../src/node/seed.ts'
import { type RunningNode, startNode } from '../../../src/node/start.ts'
import { ballastPath } from '../../../src/store/files.ts'
import { LevelDriver } from '../../../src/store/level.ts'
import { keys, prefixRange, SCHEMA_VERSION } from '../../../src/store/schema.ts'
import type { Op } from '../../../src/store/types.ts'
import { backupKey } from '../../../src/wallet/keys.ts'
import { run, withoutVariables } from '../run.ts'

/* Real nodes, each broken in one way; what is asked is that the doctor names it and changes nothing. */

let healthy: string
let dataDir: string
const open: (() => Promise<unknown>)[] = []

interface Running {
  readonly node: RunningNode
  readonly url: string
  readonly key: string
}
async function start(directory: string, access?: ApiAccess): Promise<Running> {
  const flags = { 'data-dir': directory, listen: 'none', api: '127.0.0.1:0', 'log-level': 'silent' }
  const { config } = resolveConfig({ flags, env: {} })
  const node = await startNode(config)
  open.push(() => node.stop())
  const onPin = (pin: string) => writeFile(apiPinFile(directory), `${pin}\n`)
  const serving = { host: '127.0.0.1', port: 0, dataDir: directory, onPin, ...(access && { access }) }
  const api = await startApi(node.service, serving)
  open.push(() => api.stop())
  await writeFile(apiUrlFile(directory), `${api.url}\n`)
  open.push(() => rm(apiUrlFile(directory), { force: true }))
  return { node, url: api.url, key: (await readFile(join(directory, 'admin.key'), 'utf8')).trim() }
}
const stopAll = async () => {
  for (const close of open.splice(0).toReversed()) await close()
}

beforeAll(async () => {
  healthy = await mkdtemp(join(tmpdir(), 'fulmen-doctor-'))
  const { node } = await start(healthy)
  await node.service.newAddress()
  await node.service.newAddress()
  await stopAll()
  await rm(ballastPath(healthy)) // 32 MiB that every test would copy
})
afterAll(() => rm(healthy, { recursive: true }))
beforeEach(async () => {
  withoutVariables()
  dataDir = await mkdtemp(join(tmpdir(), 'fulmen-doctor-'))
  await cp(healthy, dataDir, { recursive: true, preserveTimestamps: true })
})
afterEach(async () => {
  await stopAll()
  vi.unstubAllEnvs()
  await rm(dataDir, { recursive: true, force: true })
})

const IDLE = ['--listen', 'none', '--api', '127.0.0.1:0']

async function doctor(...args: string[]): Promise<{ code: number; findings: readonly Finding[] }> {
  const { code, out, err } = await run('--data-dir', dataDir, 'doctor', ...IDLE, ...args, '--json')
  expect(out, err).not.toBe('')
  const { healthy: isHealthy, findings } = JSON.parse(out)
  expect(code).toBe(isHealthy ? 0 : 1)
  return { code, findings }
}
const worse = (findings: readonly Finding[]) => findings.filter((f) => f.level !== 'ok')

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
/** @returns its port */
async function listener(answer?: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
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

describe('a node that runs', () => {
  const client = (url: string, key: string) => new FulmenClient({ url, key, rotate: false })

  it('and is well', async () => {
    await start(dataDir)
    const { code, findings } = await doctor()
    expect(worse(findings).map((f) => [f.level, f.check])).toEqual([['warning', 'liquidity']])
    expect(code).toBe(0)
    expect(findings.map((f) => f.check)).toEqual(expect.arrayContaining(['API', 'clock', 'API key', 'ready', 'alerts']))
  })

  it('prints a line for each finding, and the cure below', async () => {
    await start(dataDir)
    const { out, code } = await run('--data-dir', dataDir, 'doctor', ...IDLE)
    expect(code).toBe(0)
    expect(out).toMatch(/^✓ Node\.js: .*\n(.*\n)*! liquidity: there is no channel\n {4}→ fulmen channel open/)
  })

  it('a key that is revoked, one that is missing, one that sees little and ends soon', async () => {
    const { url, key } = await start(dataDir)
    const expiresAt = new Date(Date.now() + 3 * 24 * 3_600_000).toISOString()
    const narrow = await client(url, key).keys.create({ name: 'n', scopes: ['invoices:read'], expiresAt })
    const found = (await doctor('--key', narrow.secret)).findings.filter((f) => f.check === 'API key')
    expect(found.map((f) => f.message)).toEqual([
      expect.stringContaining('no node:read, channels:read, wallet:read'),
      expect.stringContaining('works for 2 more days'),
    ])
    await client(url, key).keys.revoke(narrow.id)
    const revoked = await doctor('--key', narrow.secret)
    expect(worse(revoked.findings)).toMatchObject([{ check: 'API key', level: 'problem' }])
    await rm(join(dataDir, 'admin.key'))
    expect(worse((await doctor()).findings)).toMatchObject([
      { check: 'API key', cure: expect.stringContaining('key reset') },
    ])
  })

  it('alerts in its log', async () => {
    const { node } = await start(dataDir)
    const data = { code: 'CHANNEL_QUARANTINED', message: 'a bug' }
    await node.service.apiStore.commit([], [{ type: 'node.alert', data }])
    await node.service.apiStore.commit([], [{ type: 'node.alert', data }])
    const { findings } = await doctor()
    expect(findings).toContainEqual(
      expect.objectContaining({
        check: 'alerts',
        message: expect.stringMatching(/^CHANNEL_QUARANTINED \(2 times\).*a bug/),
      }),
    )
  })

  it('a clock that is wrong', async () => {
    const { url, key } = await start(dataDir)
    const port = await listener(async (request, response) => {
      const { authorization = '' } = request.headers
      const answer = await fetch(url + request.url, { headers: { authorization } })
      const date = new Date(Date.now() - 3_600_000).toUTCString()
      response.writeHead(answer.status, { date, 'content-type': answer.headers.get('content-type') ?? '' })
      response.end(request.url?.startsWith('/v1/events') ? ':\n\n' : await answer.text())
    })
    const { code, out } = await run('--url', `http://127.0.0.1:${port}`, '--key', key, 'doctor', '--json')
    expect(code).toBe(1)
    const clock = JSON.parse(out).findings.find((f: Finding) => f.check === 'clock')
    expect(clock).toMatchObject({ level: 'problem', message: expect.stringMatching(/36(00|01|\d\d) s behind/) })
  })

  it.each([
    [900, 'problem', /expired/],
    [812, 'warning', /expires in \d+ days/],
    [1, 'ok', /good for 82\d days/],
  ])('a certificate made %i days ago', async (days, level, message) => {
    const key = newKey()
    const privateKey = createPrivateKey(key)
    const made = Date.now() - days * 24 * 3_600_000
    const [certFile, keyFile] = [join(dataDir, 'given.pem'), join(dataDir, 'given.key')]
    await writeFile(certFile, selfSigned({ privateKey, publicKey: createPublicKey(privateKey) }, ['127.0.0.1'], made))
    await writeFile(keyFile, key, { mode: 0o600 })
    const tls = { kind: 'files', cert: certFile, key: keyFile } as const
    await start(dataDir, { tls, origins: [], issuer: null, webhookTargets: [] })
    const { findings } = await doctor()
    const found = findings.find((f) => f.check === 'TLS certificate')
    expect(found?.message).toMatch(message)
    expect(found?.level).toBe(level)
  })

  it('no node where one is said to be', async () => {
    const { code, out } = await run('--url', 'http://127.0.0.1:1', '--key', 'x', 'doctor', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out).findings.at(-1)).toMatchObject({ check: 'API', level: 'problem' })
  })
})

describe('the Bitcoin node behind it', () => {
  const answering = async (answers: Record<string, object>) => {
    const port = await listener(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { id, method } = JSON.parse(body)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ id, result: answers[method], error: null }))
    })
    return { kind: 'bitcoind', url: `http://u:p@127.0.0.1:${port}` } as const
  }
  const info = { chain: 'signet', blocks: 100, headers: 100, initialblockdownload: false }

  it.each([
    ['in step', info, { feerate: 0.00002 }, 100, ['ok', 'ok']],
    ['one block ahead', info, { feerate: 0.00002 }, 99, ['ok', 'ok']],
    ['far ahead of ours', info, { feerate: 0.00002 }, 90, ['problem', 'ok']],
    ['behind the network', { ...info, headers: 120 }, { feerate: 0.00002 }, null, ['problem', 'ok']],
    ['on another network', { ...info, chain: 'main' }, { feerate: 0.00002 }, null, ['problem', 'ok']],
    ['without fee estimates', info, { errors: ['Insufficient data'] }, 100, ['ok', 'warning']],
  ])('%s', async (_what, getblockchaininfo, estimatesmartfee, height, levels) => {
    const chain = await answering({ getblockchaininfo, estimatesmartfee })
    expect((await backend({ chain, network: 'signet' }, height)).map((f) => f.level)).toEqual(levels)
  })
})
