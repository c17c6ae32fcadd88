import { describe, expect, it } from 'vitest'
import type { LogLine, LogPage, LogQuery } from '../../src/api/operatorSchemas.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { followLogs } from '../../src/client/logs.ts'
import { type TestApi, testApi } from './harness.ts'

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

  /** A client that looks once, is kept busy by `meanwhile`, and looks again. */
  async function followed(filter: { level?: 'warn' | 'error' }, meanwhile: (logs: TestApi['node']['logs']) => void) {
    const { app, node, bearer } = await testApi()
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    const client = new FulmenClient({ url: `http://127.0.0.1:${port}`, key: bearer, retries: 0 })
    node.logs.of('node').error('first')
    const stop = new AbortController()
    const seen: LogLine[] = []
    for await (const line of client.followLogs({ ...filter, everyMs: 1, signal: stop.signal })) {
      seen.push(line)
      if (line.message === 'first') {
        meanwhile(node.logs)
        node.logs.of('node').error('last')
      }
      if (line.message === 'last') stop.abort()
    }
    await app.close()
    return seen
  }
  const spoken = ({ message, level }: LogLine) => `${level} ${message.split(':')[0]}`

  it('says where lines are missing when more came between two looks than the node keeps', async () => {
    const seen = await followed({ level: 'error' }, (logs) => {
      for (let n = 0; n < 6_000; n++) logs.of('peer').error({ n }, 'many')
    })
    const [first, gap, ...rest] = seen
    expect([first, gap].map((line) => spoken(line!))).toEqual(['error first', 'warn lines up to here are missing'])
    expect(rest.slice(0, -1).map(({ fields }) => fields.n)).toEqual(Array.from({ length: 4_999 }, (_, i) => i + 1_001))
    expect(gap!.id).toBeLessThan(rest[0]!.id)
    expect(gap!.id).toBeGreaterThan(first!.id)
  })

  it('says nothing of lines that went after they were looked at, though the filter let none of them through', async () => {
    const { node } = await testApi()
    const { logs } = node
    logs.of('node').error('first')
    let looks = 0
    const look = async ({ limit = 50, cursor, ...filter }: LogQuery) => {
      const page = logs.recent.page({ limit, ...(cursor !== undefined && { cursor }) }, filter)
      for (let n = 0; n < 3_000; n++) logs.of('peer').warn('of no interest')
      if (++looks === 4) logs.of('node').error('last')
      return { ...page, items: [...page.items] } as LogPage
    }
    const stop = new AbortController()
    const seen: LogLine[] = []
    for await (const line of followLogs(look, { level: 'error', everyMs: 0, signal: stop.signal }, () => false)) {
      seen.push(line)
      if (line.message === 'last') stop.abort()
    }
    expect(seen.map(spoken)).toEqual(['error first', 'error last'])
  })

  it('tells what is newest and whether any line after `since` is gone', async () => {
    const { call, node } = await testApi()
    const page = async (query: string) => (await call('GET', `/v1/logs?${query}`)).json()
    expect(await page('')).toEqual({ items: [], nextCursor: null, newestId: 0, lostTo: null })
    for (let n = 0; n < 5_001; n++) node.logs.of('peer').warn({ n }, 'a line')
    const { items, newestId, lostTo } = await page('level=error')
    expect([items, lostTo]).toEqual([[], null])
    const [newest] = (await page('limit=1')).items
    expect(newest.id).toBe(newestId)
    const all = await page('since=0&limit=1')
    expect(all.lostTo).toBeGreaterThan(0)
    expect((await page(`since=${all.lostTo}`)).lostTo).toBeNull()
    expect((await page(`since=${all.lostTo - 1}`)).lostTo).toBe(all.lostTo)
  })
})
