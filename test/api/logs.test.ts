import { describe, expect, it } from 'vitest'
import { FulmenClient } from '../../src/client/index.ts'
import { testApi } from './harness.ts'

describe('GET /v1/logs', () => {
  it('gives the last lines, filtered, in pages; the ring holds no secret of a call', async () => {
    const { call, node, bearer } = await testApi()
    for (let i = 0; i < 5; i++) node.logs.of('peer').warn({ n: i }, 'a line')
    node.logs.of('store').error({ err: new Error('no room') }, 'a batch failed')
    const first = (await call('GET', '/v1/logs?limit=4')).json()
    expect(first.items[0]).toMatchObject({
      level: 'error',
      part: 'store',
      message: 'a batch failed',
      fields: { err: { message: 'no room' } },
      at: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    const rest = (await call('GET', `/v1/logs?limit=4&cursor=${first.nextCursor}`)).json()
    expect([...first.items, ...rest.items].map((l) => l.fields.n)).toEqual([undefined, 4, 3, 2, 1, 0])
    expect(rest.nextCursor).toBeNull()
    expect((await call('GET', '/v1/logs?level=error')).json().items).toHaveLength(1)
    expect((await call('GET', '/v1/logs?part=peer&level=warn')).json().items).toHaveLength(5)
    expect((await call('GET', `/v1/logs?since=${first.items[1].id}`)).json().items).toHaveLength(1)
    for (const bad of ['level=loud', 'level=silent', 'part=pear', 'since=yesterday', 'since=-1', 'cursor=x', 'limit=0'])
      expect((await call('GET', `/v1/logs?${bad}`)).statusCode, bad).toBe(400)
    await call('PUT', '/v1/node/log-levels', { default: 'trace' })
    await call('GET', '/v1/node?oops=topsecret')
    const text = (await call('GET', '/v1/logs?limit=500')).body
    expect(text).toContain('"route":"/v1/node"')
    for (const secret of [bearer.split('_')[2]!, 'topsecret']) expect(text).not.toContain(secret)
  })

  it('does not log that it is read, or whoever follows it would follow itself', async () => {
    const { call, node } = await testApi()
    node.logs.set({ default: 'trace', parts: {} })
    for (let i = 0; i < 3; i++) await call('GET', '/v1/logs')
    expect((await call('GET', '/v1/logs')).json().items).toEqual([])
    await call('GET', '/v1/node')
    expect((await call('GET', '/v1/logs')).json().items).toHaveLength(1)
  })

  it('is followed by the client: every line once and in order, however many come between two looks', async () => {
    const { app, node, bearer } = await testApi()
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    const client = new FulmenClient({ url: `http://127.0.0.1:${port}`, key: bearer, retries: 0 })
    for (let n = 0; n < 80; n++) node.logs.of('node').warn({ n }, 'before')
    const stop = new AbortController()
    const seen: unknown[] = []
    for await (const { fields, message } of client.followLogs({ everyMs: 1, level: 'warn', signal: stop.signal })) {
      if (message === 'stop') stop.abort()
      else seen.push(fields.n)
      if (fields.n === 79) for (let n = 80; n < 1_300; n++) node.logs.of('node').warn({ n }, 'meanwhile')
      if (fields.n === 1_299) node.logs.of('node').warn('stop')
    }
    expect(seen).toEqual(Array.from({ length: 1_270 }, (_, i) => i + 30))
    await app.close()
  })
})
