import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startApi } from '../../src/api/start.ts'
import { main } from '../../src/cli/program.ts'
import { apiPinFile } from '../../src/cli/remote.ts'
import { FakeNode, NODE_ID } from '../api/fakeNode.ts'

let dataDir: string
let api: Awaited<ReturnType<typeof startApi>>
beforeAll(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith('FULMEN_')) vi.stubEnv(name, undefined)
  dataDir = await mkdtemp(join(tmpdir(), 'fulmen-cli-tls-'))
  const access = { tls: { kind: 'own' }, origins: [], issuer: null, webhookTargets: [] } as const
  const onPin = (pin: string) => writeFile(apiPinFile(dataDir), `${pin}\n`)
  api = await startApi(new FakeNode(), { host: '127.0.0.1', port: 0, dataDir, access, onPin })
  await writeFile(join(dataDir, 'api.url'), `${api.url}\n`)
})
afterAll(async () => {
  await api.stop()
  await rm(dataDir, { recursive: true })
})

async function fulmen(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const written = { out: '', err: '' }
  const capture = (stream: 'out' | 'err') => (text: string | Uint8Array) => {
    written[stream] += String(text)
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(capture('out') as never)
  vi.spyOn(process.stderr, 'write').mockImplementation(capture('err') as never)
  try {
    const code = await main(['--data-dir', dataDir, ...args])
    return { code, ...written }
  } finally {
    vi.restoreAllMocks()
    process.exitCode = undefined
  }
}

describe('fulmen over TLS', () => {
  it('knows the node of its data directory by its pin', async () => {
    expect(await fulmen('info')).toMatchObject({ code: 0, out: expect.stringContaining(NODE_ID) })
  })

  it('calls another node only with a pin or a certificate that fits', async () => {
    const elsewhere = ['--url', api.url]
    const unknown = await fulmen(...elsewhere, 'info')
    expect(unknown.code).toBe(3)
    expect(unknown.err).toContain('--tls-pin')
    expect((await fulmen(...elsewhere, '--tls-pin', api.pin!, 'info')).code).toBe(0)
    expect((await fulmen(...elsewhere, '--tls-ca', join(dataDir, 'tls/cert.pem'), 'info')).code).toBe(0)
    const wrong = await fulmen(...elsewhere, '--tls-pin', `sha256//${'A'.repeat(43)}=`, 'info')
    expect(wrong.code).toBe(3)
    expect(wrong.err).toContain('the public key of the other side is')
    expect((await fulmen(...elsewhere, '--tls-ca', join(dataDir, 'nothing.pem'), 'info')).code).toBe(2)
  })
})
