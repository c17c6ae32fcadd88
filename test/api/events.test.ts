import { afterEach, describe, expect, it } from 'vitest'
import { EVENT_SCOPES } from '../../src/api/events.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { testApi } from './harness.ts'
import { openEventStream, openWebSocket, type StreamClient } from './streamClients.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

async function listening(options: Parameters<typeof testApi>[0] = {}) {
  const api = await testApi(options)
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  open.push(api.app)
  const { port } = api.app.server.address() as { port: number }
  const streams = {
    WebSocket: (path: string, headers = api.headers) => openWebSocket(port, path, headers),
    'Server-Sent Events': (path: string, headers = api.headers) => openEventStream(port, path, headers),
  }
  const connectTo = async (
    kind: keyof typeof streams,
    path = '/v1/events',
    headers: Record<string, string> = api.headers,
  ) => {
    const client = await streams[kind](path, headers as typeof api.headers)
    open.push(client)
    return client
  }
  return { ...api, port, connectTo }
}

const ids = (client: StreamClient) => client.events.flatMap((event) => event.id ?? [])
const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
/** Resolves once the client has got the event; vitest's own time limit ends a wait for what never comes. */
const until = (client: StreamClient, id: number) =>
  expect.poll(() => ids(client).at(-1), { timeout: 30_000, interval: 5 }).toBe(id)
const KINDS = ['WebSocket', 'Server-Sent Events'] as const

describe.each(KINDS)('events over %s', (kind) => {
  it('from now on without since; from the store after since, then as they happen; each once and in order', async () => {
    const { node, connectTo } = await listening()
    for (let i = 0; i < 1_000; i++) node.emit('chain.block', { height: i })
    const now = await connectTo(kind)
    const all = await connectTo(kind, '/v1/events?since=0')
    const some = await connectTo(kind, '/v1/events?since=990')
    for (let i = 0; i < 100; i++) {
      node.emit('chain.block', { height: i })
      if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    for (const client of [now, all, some]) await until(client, 1_100)
    expect(ids(now)).toEqual(count(1_001, 1_100))
    expect(ids(all)).toEqual(count(1, 1_100))
    expect(ids(some)).toEqual(count(991, 1_100))
    expect(all.events[4]).toEqual({ id: 5, type: 'chain.block', at: '2026-01-01T00:00:00.000Z', data: { height: 4 } })
  })

  it('from a time on, in the place of an id; not both, and no time that there is not', async () => {
    const { node, connectTo, call } = await listening()
    for (let i = 0; i < 10; i++) node.emit('chain.block', {})
    const at = (day: number) => `2026-01-0${day}T00:00:00.000Z`
    for (const [i, event] of node.events.entries()) Object.assign(event, { at: at(i < 5 ? 1 : 2) })
    const second = await connectTo(kind, '/v1/events?from=2026-01-02')
    await until(second, 10)
    expect(ids(second)).toEqual(count(6, 10))
    const first = await connectTo(kind, `/v1/events?from=${at(1)}`)
    await until(first, 10)
    expect(ids(first)).toEqual(count(1, 10))
    const later = await connectTo(kind, '/v1/events?from=2026-03-01')
    node.emit('chain.block', {})
    await until(later, 11)
    expect(ids(later)).toEqual([11])
    for (const query of ['from=2026-01-02&since=3', 'from=2026-02-31', 'from=yesterday', 'from=2026-01-02T99:00:00Z']) {
      const answer = await call('GET', `/v1/events?${query}`, undefined, { accept: 'text/event-stream' })
      expect([query, answer.json().errors?.[0].pointer]).toEqual([query, '/from'])
    }
  })

  it('between two times, and then it ends and says so; what comes meanwhile is not in it', async () => {
    const { node, connectTo, call, headers: own } = await listening()
    for (let i = 0; i < 600; i++) node.emit(i % 3 === 0 ? 'payment.succeeded' : 'chain.block', {})
    for (const [i, event] of node.events.entries())
      Object.assign(event, { at: `2025-12-0${1 + Math.floor(i / 100)}T12:00:00.000Z` })
    const all = async (query: string, headers = {}) => {
      const client = await connectTo(kind, `/v1/events?${query}`, { ...own, ...headers })
      await client.closed
      expect(client.events.at(-1)).toMatchObject({ id: null, type: 'events.end' })
      return ids(client)
    }
    expect(await all('from=2025-12-02&to=2025-12-04')).toEqual(count(101, 400))
    expect(await all('to=2025-12-01')).toEqual(count(1, 100))
    expect(await all('since=350&to=2025-12-04T13:00:00Z')).toEqual(count(351, 400))
    expect(await all('from=2025-12-02&to=2025-12-04&types=payment.*')).toEqual(
      count(101, 400).filter((n) => n % 3 === 1),
    )
    expect(await all('from=2025-12-02&to=2025-12-04', { 'last-event-id': '399' })).toEqual([400])
    for (const query of ['to=2026-01-01', 'to=2026-01-01T00:00:01Z', 'to=2026-02-01T00:00Z&from=2025-01-01']) {
      const answer = await call('GET', `/v1/events?${query}`, undefined, { accept: 'text/event-stream' })
      expect([query, answer.json().errors?.[0].pointer]).toEqual([query, '/to'])
    }
  })

  it('a slow client is told that it lags, holds little memory, and gets every event once, from the store', async () => {
    const { node, connectTo } = await listening()
    const slow = await connectTo(kind)
    const quick = await connectTo(kind)
    slow.pause()
    const padding = 'x'.repeat(4_000)
    const total = 6_000 // 24 MB, far more than the buffers of sockets on both sides
    for (let i = 1; i <= total; i++) {
      node.emit('payment.succeeded', { i, padding })
      if (i % 50 === 0) await until(quick, i)
    }
    expect(ids(slow).length).toBeLessThan(total)
    slow.resume()
    await until(slow, total)
    expect(ids(slow)).toEqual(count(1, total))
    expect(ids(quick)).toEqual(count(1, total))
    const notices = slow.events.filter((event) => event.id === null)
    expect(notices.map((event) => event.type)).toContain('events.lagging')
    expect(quick.events.filter((event) => event.id === null)).toEqual([])
  })

  it('a client that comes back with the last id it saw misses nothing and sees nothing twice', async () => {
    const { node, connectTo } = await listening()
    const seen: number[] = []
    for (let round = 0; round < 10; round++) {
      const client = await connectTo(kind, `/v1/events?since=${seen.at(-1) ?? 0}`)
      for (let i = 0; i < 37; i++) node.emit('chain.block')
      const target = Math.max((seen.at(-1) ?? 0) + 1, 37 * (round + 1) - round)
      await expect.poll(() => (ids(client).at(-1) ?? 0) >= target, { interval: 5 }).toBe(true)
      client.close()
      seen.push(...ids(client))
    }
    expect(seen).toEqual(count(1, seen.length))
    expect(seen.length).toBeGreaterThan(300)
  })

  it('types choose, with * for all of a kind; a type that does not exist is refused', async () => {
    const { node, connectTo } = await listening()
    const one = await connectTo(kind, '/v1/events?types=payment.failed')
    const kinds = await connectTo(kind, '/v1/events?types=payment.*,chain.block&since=0')
    for (const type of ['payment.pending', 'payment.failed', 'peer.connected', 'chain.block', 'payment.failed'])
      node.emit(type)
    await until(one, 5)
    await until(kinds, 5)
    expect(ids(one)).toEqual([2, 5])
    expect(ids(kinds)).toEqual([1, 2, 4, 5])
    expect((await connectTo(kind, '/v1/events?types=payment.exploded')).status).toBe(400)
  })

  it('a key sees only the events that its scopes cover', async () => {
    const { node, connectTo } = await listening({ scopes: ['invoices:read', 'chain:read'] })
    const client = await connectTo(kind)
    for (const type of Object.keys(EVENT_SCOPES)) node.emit(type)
    const last = node.emit('chain.block')
    await until(client, last.id)
    const expected = Object.entries(EVENT_SCOPES).flatMap(([type, scope]) =>
      ['invoices:read', 'chain:read'].includes(scope) ? [type] : [],
    )
    expect(client.events.map((event) => event.type)).toEqual([...expected, 'chain.block'])
  })

  it('needs a key or a ticket, and takes a ticket once', async () => {
    const { node, call, connectTo } = await listening()
    expect((await connectTo(kind, '/v1/events', {})).status).toBe(401)
    expect((await connectTo(kind, '/v1/events?ticket=00', {})).status).toBe(401)
    const { ticket } = (await call('POST', '/v1/events/tickets')).json()
    const client = await connectTo(kind, `/v1/events?ticket=${ticket}`, {})
    node.emit('chain.block')
    await until(client, 1)
    expect((await connectTo(kind, `/v1/events?ticket=${ticket}`, {})).status).toBe(401)
  })

  it('refuses a foreign Host', async () => {
    const { headers, connectTo } = await listening()
    expect((await connectTo(kind, '/v1/events', { ...headers, host: 'evil.example' })).status).toBe(403)
  })

  it('ends when the server stops', async () => {
    const { app, connectTo } = await listening()
    const client = await connectTo(kind)
    await Promise.all([app.close(), client.closed])
  })
})

describe('many streams of one key', () => {
  it('are no more than that, though many ask at once for events from a time on, which has to be looked up', async () => {
    const { node, keys, bearer, connectTo } = await listening()
    const entry = keys.entry(bearer.split('_')[1]!)
    for (let i = 0; i < 190; i++) open.push({ close: entry.addStream(1, () => {}) })
    let go = (): void => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    let asked = 0
    node.lastEventBefore = async () => {
      asked++
      await gate
      return 0
    }
    const path = '/v1/events?from=2025-01-01T00:00:00Z'
    const answers = Array.from({ length: 5 }, () => connectTo('Server-Sent Events', path))
    await expect.poll(() => asked).toBe(5)
    go()
    const codes = (await Promise.all(answers)).map(({ status }) => status)
    expect(codes.sort()).toEqual([200, 200, 429, 429, 429])
  })

  it('leave some to others', async () => {
    const { keys, bearer, port, connectTo } = await listening()
    const entry = keys.entry(bearer.split('_')[1]!)
    for (let i = 0; i < 192; i++) open.push({ close: entry.addStream(1, () => {}) })
    const statusOf = async (key: string) =>
      (await openEventStream(port, '/v1/events', { authorization: `Bearer ${key}` })).status
    expect(await statusOf(bearer)).toBe(429)
    const other = await keys.create('other', ['node:read'])
    expect((await connectTo('Server-Sent Events', '/v1/events', { authorization: `Bearer ${other}` })).status).toBe(200)
  })
})

describe('Server-Sent Events', () => {
  it('of the past end in the SDK as well, also where there is none', async () => {
    const { node, port, bearer } = await listening()
    for (let i = 0; i < 3; i++) Object.assign(node.emit('chain.block', {}), { at: `2025-12-0${i + 1}T12:00:00.000Z` })
    const client = new FulmenClient({ url: `http://127.0.0.1:${port}`, key: bearer })
    const idsOf = async (options: Parameters<typeof client.events>[0]) => {
      const found: (number | null)[] = []
      for await (const { id } of client.events(options)) found.push(id)
      return found
    }
    expect(await idsOf({ from: '2025-12-02', to: '2025-12-02' })).toEqual([2])
    expect(await idsOf({ to: '2025-12-31' })).toEqual([1, 2, 3])
    expect(await idsOf({ from: '2025-12-04', to: '2025-12-05' })).toEqual([])
  })

  it('that have no more to say are 204, so that an EventSource does not come back for ever', async () => {
    const { node, call } = await listening()
    for (let i = 0; i < 3; i++) Object.assign(node.emit('chain.block', {}), { at: '2025-12-01T12:00:00.000Z' })
    const accept = 'text/event-stream'
    const headers = { accept, 'last-event-id': '3' }
    const answer = await call('GET', '/v1/events?to=2025-12-01', undefined, headers)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expect((await call('GET', '/v1/events?to=2025-11-01', undefined, { accept })).statusCode).toBe(204)
  })

  it('resume after Last-Event-ID, and start with the id to resume after', async () => {
    const { node, headers, port } = await listening()
    for (let i = 0; i < 5; i++) node.emit('chain.block')
    const client = await openEventStream(port, '/v1/events', { ...headers, 'last-event-id': '3' })
    open.push(client)
    await until(client, 5)
    expect(ids(client)).toEqual([4, 5])
    expect(client.ids).toEqual(['3', '4', '5'])
    const fresh = await openEventStream(port, '/v1/events', headers)
    open.push(fresh)
    await expect.poll(() => fresh.ids).toEqual(['5'])
  })
})
