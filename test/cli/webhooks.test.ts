import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApi } from '../../src/api/start.ts'
import { verifyWebhook } from '../../src/client/webhooks.ts'
import { FakeNode } from '../api/fakeNode.ts'
import { Receiver } from '../api/receiver.ts'
import { run, withoutVariables } from './run.ts'

let dataDir: string
let api: Awaited<ReturnType<typeof startApi>>
let receiver: Receiver
const node = new FakeNode()
beforeAll(async () => {
  withoutVariables()
  dataDir = await mkdtemp(join(tmpdir(), 'fulmen-cli-hooks-'))
  const access = { tls: null, origins: [], issuer: null, webhookTargets: ['127.0.0.0/8'] }
  api = await startApi(node, { host: '127.0.0.1', port: 0, dataDir, access })
  await writeFile(join(dataDir, 'api.url'), `${api.url}\n`)
  receiver = await Receiver.open()
})
afterAll(async () => {
  await api.stop()
  await receiver.close()
  await rm(dataDir, { recursive: true })
})

async function fulmen(...args: string[]): Promise<string> {
  const { code, out, err } = await run('--data-dir', dataDir, 'webhook', ...args)
  expect(code, err).toBe(0)
  return out.trim()
}

describe('fulmen webhook', () => {
  it('makes, tries, changes and deletes a webhook; the secret is what its receiver checks with', async () => {
    const secret = await fulmen('create', receiver.url, '--type', 'payment.*', '--name', 'shop')
    const [{ id }] = JSON.parse(await fulmen('list', '--json')).items
    expect(await fulmen('list')).toMatch(new RegExp(`${id} +shop +active`))
    node.emit('payment.succeeded', { x: 1 })
    await expect.poll(() => receiver.ids).toEqual([1])
    expect(await verifyWebhook(secret, receiver.got[0]!)).toMatchObject({ id: 1, data: { x: 1 } })
    expect(await fulmen('ping', id)).toContain('webhook.ping')
    expect(await fulmen('redeliver', id, '1')).toContain('payment.succeeded')
    expect(JSON.parse(await fulmen('deliveries', id, '--json')).items).toHaveLength(3)
    const next = await fulmen('rotate', id, '--grace', '0')
    expect(await fulmen('ping', id)).toContain('204')
    await expect(verifyWebhook(secret, receiver.got.at(-1)!)).rejects.toThrow('does not fit')
    expect(await verifyWebhook(next, receiver.got.at(-1)!)).toMatchObject({ type: 'webhook.ping' })
    expect(await fulmen('update', id, '--disable')).toMatch(/state +disabled/)
    await fulmen('delete', id)
    expect(await fulmen('list')).toBe('none')
  })
})
