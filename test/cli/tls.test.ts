import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startApi } from '../../src/api/start.ts'
import { apiPinFile } from '../../src/cli/remote.ts'
import { FakeNode, NODE_ID } from '../api/fakeNode.ts'
import { run, withoutVariables } from './run.ts'

let dataDir: string
let api: Awaited<ReturnType<typeof startApi>>
beforeAll(async () => {
  withoutVariables()
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

const fulmen = (...args: string[]) => run('--data-dir', dataDir, ...args)

describe('fulmen over TLS', () => {
  it('knows the node of its data directory by its pin', async () => {
    expect(await fulmen('info')).toMatchObject({ code: 0, out: expect.stringContaining(NODE_ID) })
  })

  it('serves nothing when its pin cannot be written: whoever starts it would not know', async () => {
    const access = { tls: { kind: 'own' }, origins: [], issuer: null, webhookTargets: [] } as const
    const own = await mkdtemp(join(tmpdir(), 'fulmen-cli-pin-'))
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as AddressInfo
    probe.close()
    await once(probe, 'close')
    const onPin = async () => {
      throw new Error('no space left')
    }
    await expect(startApi(new FakeNode(), { host: '127.0.0.1', port, dataDir: own, access, onPin })).rejects.toThrow(
      'no space',
    )
    const again = createServer().listen(port, '127.0.0.1')
    await once(again, 'listening')
    again.close()
    await rm(own, { recursive: true })
  })

  it('says of a pin that can fit nothing what is wrong with it, not that the node does not answer', async () => {
    const [wrong, plain] = [
      await fulmen('--tls-pin', 'sha256//AAAA', 'info'),
      await fulmen('--url', 'http://127.0.0.1:1', '--tls-pin', api.pin!, 'info'),
    ]
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('a pin is sha256//…')])
    expect([plain.code, plain.err]).toEqual([2, expect.stringContaining('a pin is for https://')])
  })

  it('says which of http:// and https:// it may be, where the other was meant', async () => {
    const own = await mkdtemp(join(tmpdir(), 'fulmen-cli-plain-'))
    const plain = await startApi(new FakeNode(), { host: '127.0.0.1', port: 0, dataDir: own })
    const pay = ['--key', 'fulmen_a_b', 'pay', NODE_ID, '--amount-msat', '5']
    const ca = join(dataDir, 'tls/cert.pem')
    for (const trust of [[], ['--tls-ca', ca], ['--tls-pin', api.pin!]]) {
      const toPlain = await run('--url', plain.url.replace('http:', 'https:'), ...trust, ...pay)
      expect(toPlain).toMatchObject({ code: 3, err: expect.stringMatching(/does not speak TLS; perhaps it is http:/) })
      expect(toPlain.err).not.toContain('carried out')
    }
    const trusted = await run('--url', plain.url, '--tls-ca', ca, ...pay)
    expect(trusted).toMatchObject({ code: 2, err: expect.stringContaining('a certificate is for https://') })
    const toTls = await run('--url', api.url.replace('https:', 'http:'), ...pay)
    expect(toTls).toMatchObject({ code: 3, err: expect.stringContaining('With TLS, it is https://') })
    expect(toTls.err).toMatch(/ is done once\. With TLS, it is https:\/\/ \(/)
    await plain.stop()
    await rm(own, { recursive: true })
  })

  it('takes a node that is not running, and that it is told how to trust, for one with TLS; the doctor, too', async () => {
    const own = await mkdtemp(join(tmpdir(), 'fulmen-cli-down-'))
    vi.stubEnv('FULMEN_API', '127.0.0.1:1')
    for (const trust of [
      ['--tls-pin', api.pin!],
      ['--tls-ca', join(dataDir, 'tls/cert.pem')],
    ]) {
      const at = ['--data-dir', own, '--key', 'x', ...trust]
      expect(await run(...at, 'info')).toMatchObject({ code: 3, err: expect.stringContaining('https://127.0.0.1:1 ') })
      expect((await run(...at, 'doctor')).out).toContain('the node is not running')
    }
    vi.stubEnv('FULMEN_API', undefined)
    await rm(own, { recursive: true })
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
