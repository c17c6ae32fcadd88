import { createPrivateKey, createPublicKey } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Finding } from '../../../src/api/checks/finding.ts'
import { newKey, selfSigned } from '../../../src/api/tls/certificate.ts'
import { backend } from '../../../src/cli/doctor/backend.ts'
import { FulmenClient } from '../../../src/client/index.ts'
import { run } from '../run.ts'
import { dataDir, doctor, IDLE, listener, setDirectory, start, worse } from './directory.ts'

setDirectory()

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
