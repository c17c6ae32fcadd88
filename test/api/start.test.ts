import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startApi } from '../../src/api/start.ts'
import { trustingFetch } from '../../src/client/tls.ts'
import { FakeNode } from './fakeNode.ts'
import { Issuer } from './issuer.ts'
import { Receiver } from './receiver.ts'

let dataDir: string
const open: { close(): unknown }[] = []
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fulmen-start-'))
})
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
  await rm(dataDir, { recursive: true })
})

describe('the API as it is started', () => {
  it('with TLS, an issuer, an origin and targets of webhooks, all of them at once', async () => {
    const [issuer, receiver, node] = [await Issuer.open(), await Receiver.open(), new FakeNode()]
    open.push(issuer, receiver)
    const origin = 'https://shop.example'
    const access = {
      tls: { kind: 'own' },
      origins: [origin],
      issuer: { issuer: issuer.url, audience: 'fulmen', scopePrefix: '', budget: null, rateLimit: null },
      webhookTargets: ['127.0.0.0/8'],
    } as const
    const api = await startApi(node, { host: '127.0.0.1', port: 0, dataDir, access })
    open.push({ close: () => api.stop() })
    const call = trustingFetch({ pin: api.pin! })
    const token = await issuer.token(Date.now())
    const known = await call(`${api.url}/v1/node`, { headers: { authorization: `Bearer ${token}`, origin } })
    expect([known.status, known.headers.get('access-control-allow-origin')]).toEqual([200, origin])
    const authorization = `Bearer ${(await readFile(api.adminKey.path, 'utf8')).trim()}`
    const made = await call(`${api.url}/v1/webhooks`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ url: receiver.url }),
    })
    expect(made.status).toBe(201)
    node.emit('chain.block')
    await expect.poll(() => receiver.ids).toEqual([1])
  })

  it('leaves nothing running when its address is taken', async () => {
    const taken = createServer()
    open.push(taken)
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as { port: number }
    const [node, receiver] = [new FakeNode(), await Receiver.open()]
    open.push(receiver)
    const access = { tls: null, origins: [], issuer: null, webhookTargets: ['127.0.0.0/8'] }
    const first = await startApi(node, { host: '127.0.0.1', port: 0, dataDir, access })
    const authorization = `Bearer ${(await readFile(first.adminKey.path, 'utf8')).trim()}`
    const body = JSON.stringify({ url: receiver.url })
    const headers = { authorization, 'content-type': 'application/json' }
    expect((await fetch(`${first.url}/v1/webhooks`, { method: 'POST', headers, body })).status).toBe(201)
    await first.stop()
    await expect(startApi(node, { host: '127.0.0.1', port, dataDir, access })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    })
    node.emit('chain.block')
    const second = await startApi(node, { host: '127.0.0.1', port: 0, dataDir, access })
    open.push({ close: () => second.stop() })
    await expect.poll(() => receiver.ids).toEqual([1]) // by one of them
    node.emit('chain.block')
    await expect.poll(() => receiver.ids).toEqual([1, 2])
  })
})
