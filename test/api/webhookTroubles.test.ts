import { describe, expect, it } from 'vitest'
import { GIVE_UP_AFTER_MS } from '../../src/api/webhooks/hook.ts'
import { FakeNode } from './fakeNode.ts'
import { type Api, apiOver, count, hookOf, receiving, until } from './webhookWorld.ts'

/** Moves the clock to the next attempt, and lets the API see it. */
async function nextAttempt(api: Api, view: () => Promise<{ failing: { nextAttemptAt: string } }>): Promise<number> {
  const { failing } = await view()
  const waited = Date.parse(failing.nextAttemptAt) - api.clock.nowMs
  api.clock.nowMs += waited
  return waited
}

describe('a receiver that fails', () => {
  it('is tried again ever more slowly, gets every event in order, and the log tells of each attempt', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { view, deliveries, id } = await hookOf(api, receiver)
    receiver.answer = 500
    for (let i = 0; i < 3; i++) api.node.emit('payment.succeeded')
    const waits: number[] = []
    for (let attempt = 1; attempt <= 6; attempt++) {
      await until(async () => (await view()).failing?.attempts, attempt)
      if (attempt === 6) receiver.answer = 204
      waits.push(await nextAttempt(api, view))
    }
    await until(() => receiver.ids, [1, 1, 1, 1, 1, 1, 1, 2, 3])
    for (const [i, ms] of waits.entries())
      expect(ms / (1000 * 2 ** i)).toSatisfy((part: number) => part > 0.79 && part <= 1)
    await until(async () => (await view()).lastEventId, 3)
    expect((await view()).state).toBe('active')
    expect(new Set(receiver.got.slice(0, 7).map(({ headers }) => headers['webhook-id']))).toEqual(new Set([`${id}.1`]))
    const log = (await deliveries()).reverse()
    expect(log.map((d: { status: number }) => d.status)).toEqual([500, 500, 500, 500, 500, 500, 204, 204, 204])
    expect(log.map((d: { attempt: number }) => d.attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 1, 1])
    expect(log[6]).toMatchObject({ seq: 7, eventId: 1, acknowledged: true, error: null, type: 'payment.succeeded' })
  })

  it('is given up after a day, with an alert; switched on again it gets all that it missed', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    receiver.answer = 503
    const { view, call, path, id } = await hookOf(api, receiver, { types: ['payment.*'] })
    const began = api.clock.nowMs
    api.node.emit('payment.succeeded')
    while ((await view()).state !== 'failed') {
      const attempts = receiver.got.length
      await until(async () => (await view()).failing?.attempts, attempts || 1)
      if ((await view()).state === 'failed') break
      await nextAttempt(api, view)
      await until(() => receiver.got.length, Math.max(attempts, 1) + 1)
    }
    expect(api.clock.nowMs - began).toBeGreaterThanOrEqual(GIVE_UP_AFTER_MS)
    expect(receiver.got.length).toBeGreaterThan(25)
    expect(receiver.got.length).toBeLessThan(60)
    const alert = api.node.events.find(({ type }) => type === 'node.alert')
    expect(alert?.data).toMatchObject({ code: 'WEBHOOK_FAILED', webhookId: id })
    expect(await view()).toMatchObject({ failing: { reason: 'HTTP 503', nextAttemptAt: null } })
    api.node.emit('payment.failed')
    receiver.answer = 200
    receiver.got.length = 0
    expect((await call('PATCH', path, { enabled: true })).json.state).toBe('active')
    await until(() => receiver.ids, [1, 3])
  })

  it('is given up at once when it says that it is gone', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    receiver.answer = 410
    const { view } = await hookOf(api, receiver)
    api.node.emit('chain.block')
    await until(async () => (await view()).state, 'failed')
  })

  it('a receiver that is silent, slow, endless or elsewhere costs a bounded time, and no redirect is followed', async () => {
    const api = await apiOver(undefined, { timeoutMs: 1_000 })
    const receiver = await receiving()
    const other = await receiving()
    const { call, path, deliveries } = await hookOf(api, receiver)
    const ping = async () => (await call('POST', `${path}/ping`)).json
    receiver.answer = () => {}
    expect(await ping()).toMatchObject({ acknowledged: false, status: null, error: 'TIMEOUT' })
    receiver.answer = (r) => r.writeHead(302, { location: other.url }).end()
    expect(await ping()).toMatchObject({ acknowledged: false, status: 302 })
    expect(other.got).toEqual([])
    receiver.answer = (r) => {
      r.writeHead(200)
      const more = () => void (r.destroyed || r.write('x'.repeat(65_536), more))
      more()
    }
    const endless = await ping()
    expect(endless).toMatchObject({ acknowledged: true, status: 200 })
    expect(endless.latencyMs).toBeLessThan(5_000)
    receiver.answer = (r) => void r.writeHead(200).write('x') // and then nothing
    expect(await ping()).toMatchObject({ acknowledged: true, status: 200 })
    receiver.answer = (r) => void r.destroy()
    expect(await ping()).toMatchObject({ acknowledged: false, error: 'ECONNRESET' })
    receiver.answer = (r) => {
      r.writeHead(204).end()
      setImmediate(() => r.socket?.destroy()) // as servers do that tire of idle connections
    }
    for (let i = 0; i < 5; i++) expect(await ping()).toMatchObject({ acknowledged: true, status: 204 })
    await receiver.close()
    expect(await ping()).toMatchObject({ acknowledged: false, error: 'ECONNREFUSED', type: 'webhook.ping' })
    expect(await deliveries()).toHaveLength(11)
  })

  it('keeps nobody waiting: neither the node nor other webhooks', async () => {
    const api = await apiOver()
    const [stuck, quick] = [await receiving(), await receiving()]
    stuck.answer = () => {}
    for (let i = 0; i < 5; i++) await hookOf(api, stuck)
    await hookOf(api, quick)
    for (let i = 0; i < 200; i++) api.node.emit('payment.succeeded')
    await until(() => quick.ids, count(1, 200))
    expect(stuck.ids).toEqual([1, 1, 1, 1, 1]) // one request each, however much waits
  })
})

describe('webhooks across a restart', () => {
  it('go on where they stood: every event comes, in order, and retries keep their time', async () => {
    const node = new FakeNode()
    const first = await apiOver(node)
    const receiver = await receiving()
    const { port } = receiver
    const { id, bearer } = await hookOf(first, receiver)
    for (let i = 0; i < 50; i++) node.emit('chain.block')
    await until(() => receiver.ids.length >= 20, true)
    await first.app.close()
    const before = receiver.ids.slice()
    await receiver.close()
    for (let i = 0; i < 10; i++) node.emit('chain.block') // while nobody looked
    const second = await apiOver(node)
    await until(async () => (await second.as(bearer)('GET', `/v1/webhooks/${id}`)).json.state, 'retrying')
    await second.app.close()
    const back = await receiving(port)
    const third = await apiOver(node, { start: Date.UTC(2026, 0, 2) })
    await until(() => back.ids.at(-1), 60)
    const whole = [...before, ...back.ids]
    expect([...new Set(whole)]).toEqual(count(1, 60))
    expect(whole.length).toBeLessThanOrEqual(61) // at most the one that was under way came twice
    expect((await third.as(bearer)('GET', `/v1/webhooks/${id}`)).json).toMatchObject({ state: 'active' })
  })

  it('after a crash the last ones may come again, and none is missing', async () => {
    const node = new FakeNode()
    const first = await apiOver(node)
    const receiver = await receiving()
    await hookOf(first, receiver)
    for (let i = 0; i < 30; i++) node.emit('chain.block')
    await until(() => receiver.ids.length, 30)
    const disk = new Map(node.apiStore.records) // a power cut before anything of it was written
    await first.app.close()
    node.apiStore.records.clear()
    for (const [key, value] of disk) node.apiStore.records.set(key, value)
    await apiOver(node)
    node.emit('chain.block')
    await until(() => receiver.ids.at(-1), 31)
    expect([...new Set(receiver.ids)]).toEqual(count(1, 31))
  })

  it('a receiver that was away for longer than events are kept is told which are lost', async () => {
    const node = new FakeNode()
    const first = await apiOver(node)
    const receiver = await receiving()
    await hookOf(first, receiver)
    await first.app.close()
    for (let i = 0; i < 10; i++) node.emit('chain.block')
    node.events.splice(0, 7)
    await apiOver(node)
    await until(() => receiver.ids, [null, 8, 9, 10])
    expect(receiver.got[0]?.event).toMatchObject({ type: 'events.lost', data: { from: 1, to: 7 } })
  })
})
