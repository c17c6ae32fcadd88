import { afterEach, describe, expect, it } from 'vitest'
import { KeyRing } from '../../src/api/auth/keys.ts'
import type { Scope } from '../../src/api/auth/scopes.ts'
import { createApi } from '../../src/api/server.ts'
import { GIVE_UP_AFTER_MS } from '../../src/api/webhooks/hook.ts'
import { verifyWebhook } from '../../src/client/webhooks.ts'
import { FakeNode } from './fakeNode.ts'
import { Receiver } from './receiver.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

const receiving = async (port?: number): Promise<Receiver> => {
  const receiver = await Receiver.open(port)
  open.push(receiver)
  return receiver
}

/** An API whose webhooks may go to loopback; `node` with its store is what an earlier one left. */
async function apiOver(
  node = new FakeNode(),
  { timeoutMs = 10_000, targets = ['127.0.0.0/8'], start = Date.UTC(2026, 0, 1) } = {},
) {
  const clock = { nowMs: start }
  const keys = await KeyRing.open(node.apiStore, () => clock.nowMs)
  const failures: unknown[] = []
  const app = createApi(node, {
    keys,
    webhooks: { targets, timeoutMs, tickMs: 5 },
    onInternalError: (error) => failures.push(error),
    clock: { now: () => clock.nowMs, delay: async () => {} },
  })
  await app.ready()
  open.push(app)
  const as = (bearer: string) => async (method: string, url: string, payload?: object) => {
    const headers = { authorization: `Bearer ${bearer}` }
    const answer = await app.inject({ method: method as 'GET', url, headers, ...(payload && { payload }) })
    return { status: answer.statusCode, json: answer.body === '' ? null : answer.json() }
  }
  const keyWith = async (...scopes: Scope[]) => {
    const bearer = await keys.create('k', scopes)
    return { bearer, id: bearer.split('_')[1]!, call: as(bearer) }
  }
  return { app, node, keys, clock, failures, as, keyWith }
}
type Api = Awaited<ReturnType<typeof apiOver>>

async function hookOf(api: Api, receiver: Receiver, wishes: object = {}, ...scopes: Scope[]) {
  const key = await api.keyWith(...(scopes.length > 0 ? scopes : (['*'] as const)))
  const made = await key.call('POST', '/v1/webhooks', { url: receiver.url, ...wishes })
  expect(made.status, JSON.stringify(made.json)).toBe(201)
  const path = `/v1/webhooks/${made.json.id}`
  const view = async () => (await key.call('GET', path)).json
  const deliveries = async () => (await key.call('GET', `${path}/deliveries?limit=500`)).json.items
  return { ...key, path, id: made.json.id as string, secret: made.json.secret as string, view, deliveries }
}

const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const until = (what: () => unknown, value: unknown) =>
  expect.poll(what, { timeout: 20_000, interval: 2 }).toEqual(value)

describe('webhooks', () => {
  it('post every event from their making on, once and in order, as the streams show it', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    for (let i = 0; i < 20; i++) api.node.emit('chain.block', { height: i })
    await hookOf(api, receiver)
    for (let i = 0; i < 300; i++) {
      api.node.emit('payment.succeeded', { i })
      if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => receiver.ids.at(-1), 320)
    expect(receiver.ids).toEqual(count(21, 320))
    expect(JSON.parse(receiver.got[3]!.body)).toEqual(api.node.events[23])
    expect(receiver.got[0]!.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'fulmen/0.0.0' })
    expect(api.failures).toEqual([])
  })

  it('bring only the types asked for, of those that the key may see at the time', async () => {
    const api = await apiOver()
    const [some, all] = [await receiving(), await receiving()]
    await hookOf(api, some, { types: ['payment.*', 'chain.reorg'] })
    const owner = await hookOf(api, all, {}, 'webhooks:write', 'invoices:read', 'chain:read')
    const types = [
      'payment.failed',
      'invoice.settled',
      'chain.block',
      'chain.reorg',
      'key.rotated',
      'wallet.transaction',
    ]
    for (const type of types) api.node.emit(type)
    await until(() => all.ids, [2, 3, 4])
    await until(() => some.ids, [1, 4])
    const admin = await api.keyWith('*')
    const { status } = await admin.call('PATCH', `/v1/keys/${owner.bearer.split('_')[1]}`, {
      scopes: ['webhooks:write', 'chain:read'],
    })
    expect(status).toBe(200)
    for (const type of types) api.node.emit(type)
    await until(() => all.ids, [2, 3, 4, 9, 10])
  })

  it('go on from now on with other types, when those are changed', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { call, path, view } = await hookOf(api, receiver, { types: ['chain.block'] })
    for (const type of ['chain.block', 'payment.failed', 'payment.failed']) api.node.emit(type)
    await until(async () => (await view()).lastEventId, 3)
    expect((await call('PATCH', path, { types: ['payment.*'] })).json.types).toEqual(['payment.*'])
    for (const type of ['chain.block', 'payment.failed', 'chain.block']) api.node.emit(type)
    await until(async () => (await view()).lastEventId, 6)
    expect((await call('PATCH', path, { types: null })).json.types).toBeNull()
    api.node.emit('chain.block')
    await until(() => receiver.ids, [1, 5, 7])
  })

  it('are signed: the SDK takes what came, and nothing that was changed, is old or has another secret', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { secret, id } = await hookOf(api, receiver)
    api.node.emit('payment.succeeded', { note: 'žluťoučký €' })
    await until(() => receiver.ids, [1])
    const [{ headers, body }] = receiver.got as [Receiver['got'][number]]
    const now = api.clock.nowMs
    const event = await verifyWebhook(secret, { headers, body }, { now })
    expect(event).toEqual({ ...api.node.events[0], messageId: `${id}.1` })
    const asBytes = { headers: new Headers(headers as Record<string, string>), body: new TextEncoder().encode(body) }
    expect(await verifyWebhook(['whsec_AAAA', secret], asBytes, { now })).toEqual(event)
    const refused = (h: object, b: string, s = secret, at = now) =>
      expect(verifyWebhook(s, { headers: { ...headers, ...h } as Record<string, string>, body: b }, { now: at }))
        .rejects
    await refused({}, `${body} `).toThrow('signature does not fit')
    await refused({ 'webhook-id': 'other' }, body).toThrow('signature does not fit')
    await refused({ 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }, body).toThrow('not fit')
    await refused({ 'webhook-signature': 'v1,AAAA v2,x v1,%' }, body).toThrow('signature does not fit')
    await refused({}, body, `whsec_${'A'.repeat(43)}=`).toThrow('signature does not fit')
    await refused({}, body, secret, now + 301_000).toThrow('too long ago')
    await refused({}, body, secret, now - 301_000).toThrow('too long ago')
    await refused({ 'webhook-signature': undefined }, body).toThrow('webhook-signature is missing')
  })

  it('keep to Standard Webhooks: the specification’s own example', async () => {
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    }
    const message = { headers, body: '{"test": 2432232314}' }
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    await expect(verifyWebhook(secret, message, { now: 1_614_265_330_000 })).resolves.toMatchObject({
      test: 2432232314,
    })
  })

  it('are signed with both secrets through the overlap of a rotation, and with the new one alone after it', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { secret, call, path } = await hookOf(api, receiver)
    const rotated = (await call('POST', `${path}/rotate`, { graceSeconds: 60 })).json
    expect(rotated.secret).not.toBe(secret)
    const verify = (with_: string, at: number) =>
      verifyWebhook(with_, receiver.got[at] as Receiver['got'][number], { now: api.clock.nowMs }).then(
        () => true,
        () => false,
      )
    api.node.emit('chain.block')
    await until(() => receiver.ids, [1])
    expect([await verify(secret, 0), await verify(rotated.secret, 0)]).toEqual([true, true])
    api.clock.nowMs += 60_000
    api.node.emit('chain.block')
    await until(() => receiver.ids, [1, 2])
    expect([await verify(secret, 1), await verify(rotated.secret, 1)]).toEqual([false, true])
    const [again, gone] = [rotated.secret, (await call('POST', `${path}/rotate`, { graceSeconds: 0 })).json.secret]
    api.node.emit('chain.block')
    await until(() => receiver.ids, [1, 2, 3])
    expect([await verify(again, 2), await verify(gone, 2)]).toEqual([false, true])
  })
})

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

describe('requests of all webhooks together', () => {
  it('are 32 at a time at most; the others have their turn when one ends', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const waiting: (() => void)[] = []
    receiver.answer = (response) => void waiting.push(() => response.writeHead(204).end())
    const keys = await Promise.all([1, 2, 3].map(() => api.keyWith('*')))
    for (let i = 0; i < 45; i++) {
      const { status } = await keys[i % 3]!.call('POST', '/v1/webhooks', { url: receiver.url })
      expect(status).toBe(201)
    }
    api.node.emit('chain.block')
    await until(() => receiver.got.length, 32)
    for (let answered = 1; answered <= 13; answered++) {
      waiting.shift()!()
      await until(() => receiver.got.length, 32 + answered)
    }
    for (const answer of waiting) answer()
    expect(receiver.got.length).toBe(45)
  })

  it('are made by 20 webhooks of a key at most', async () => {
    const api = await apiOver()
    const { call } = await api.keyWith('*')
    const make = async () =>
      (await call('POST', '/v1/webhooks', { url: 'https://93.184.215.14/', enabled: false })).json
    for (let i = 0; i < 20; i++) expect((await make()).state).toBe('disabled')
    expect((await make()).code).toBe('LIMIT_EXCEEDED')
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

describe('the key behind a webhook', () => {
  it('revoked: no further request goes out, also none that was waiting to be repeated', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { bearer, view, path } = await hookOf(api, receiver)
    receiver.answer = 500
    api.node.emit('chain.block')
    await until(async () => (await view()).state, 'retrying')
    const admin = await api.keyWith('*')
    await admin.call('DELETE', `/v1/keys/${bearer.split('_')[1]}`)
    api.clock.nowMs += 3_600_000
    api.node.emit('chain.block')
    const witness = await receiving()
    await hookOf(api, witness)
    api.node.emit('chain.block')
    await until(() => witness.ids.length, 1)
    expect(receiver.ids).toEqual([1])
    expect((await admin.call('GET', path)).json.state).toBe('stopped')
    expect((await admin.call('POST', `${path}/ping`)).json.code).toBe('CONFLICT')
    expect((await admin.call('DELETE', path)).status).toBe(204)
  })

  it('compromised: what a thief may have set up stays silent until it is switched on anew', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { bearer, path, view } = await hookOf(api, receiver)
    const admin = await api.keyWith('*')
    const keyId = bearer.split('_')[1]
    expect((await admin.call('POST', `/v1/keys/${keyId}/rotate`, {})).status).toBe(201)
    expect((await view()).state).toBe('active') // an ordinary rotation changes nothing
    api.clock.nowMs += 1_000
    const rotated = await admin.call('POST', `/v1/keys/${keyId}/rotate`, { compromised: true })
    const owner = api.as(rotated.json.secret)
    api.node.emit('chain.block')
    expect((await owner('GET', path)).json.state).toBe('stopped')
    api.clock.nowMs += 1_000
    expect((await owner('PATCH', path, { enabled: true })).json.state).toBe('active')
    await until(() => receiver.ids.at(-1), api.node.events.length)
  })

  it('sees its own webhooks; those of others are seen by whoever may manage the keys behind them', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const mine = await hookOf(api, receiver, {}, 'webhooks:write', 'payments:read')
    const stranger = await api.keyWith('webhooks:write', 'payments:read')
    const weakAdmin = await api.keyWith('webhooks:write', 'keys:admin')
    const admin = await api.keyWith('webhooks:write', 'keys:admin', 'payments:read')
    for (const { call } of [stranger, weakAdmin]) {
      for (const [method, path, body] of [
        ['GET', mine.path],
        ['PATCH', mine.path, { url: 'https://attacker.example' }],
        ['DELETE', mine.path],
        ['POST', `${mine.path}/rotate`, {}],
        ['POST', `${mine.path}/ping`, {}],
        ['GET', `${mine.path}/deliveries`],
        ['POST', `${mine.path}/deliveries/1/redeliver`, {}],
      ] as const) {
        expect((await call(method, path, body)).json.code, `${method} ${path}`).toBe('NOT_FOUND')
      }
      expect((await call('GET', '/v1/webhooks')).json.items).toEqual([])
    }
    expect((await admin.call('GET', '/v1/webhooks')).json.items).toMatchObject([{ id: mine.id }])
    expect((await admin.call('DELETE', mine.path)).status).toBe(204)
    expect((await mine.call('GET', mine.path)).status).toBe(404)
    expect([...api.node.apiStore.records.keys()].filter((key) => key.startsWith('webhook'))).toEqual([])
  })

  it('leaves in the audit log where events go, and never a secret or the path', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { call, id, path, secret } = await hookOf(api, receiver, { types: ['chain.block'] })
    await call('PATCH', path, { url: `${receiver.url}/token-in-path` })
    const { items } = (await call('GET', '/v1/audit')).json
    const { origin } = new URL(receiver.url)
    const detail = { origin, types: ['chain.block'] }
    expect(items).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ action: 'webhook.created', target: id, detail: expect.objectContaining(detail) }),
        expect.objectContaining({ action: 'webhook.updated', target: id, detail: expect.objectContaining(detail) }),
      ]),
    )
    expect(JSON.stringify(items)).not.toMatch(new RegExp(`token-in-path|${secret.slice(6, 20).replace(/[+/]/g, '.')}`))
  })

  it('cannot ask for events that it may not see', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { call } = await api.keyWith('webhooks:write', 'payments:read')
    const make = async (types: string[]) => (await call('POST', '/v1/webhooks', { url: receiver.url, types })).json
    expect((await make(['wallet.transaction'])).code).toBe('SCOPE_MISSING')
    expect((await make(['payment.sideways'])).errors[0].pointer).toBe('/types')
    expect((await make(['payment.*'])).state).toBe('active')
  })
})

describe('the delivery log', () => {
  it('comes in pages, newest first, and an event in it can be posted again', async () => {
    const api = await apiOver()
    const receiver = await receiving()
    const { call, path, id, view } = await hookOf(api, receiver)
    for (let i = 0; i < 25; i++) api.node.emit('chain.block')
    await until(async () => (await view()).lastEventId, 25)
    const seqs: number[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { items: { seq: number }[]; nextCursor: string | null } = (
        await call('GET', `${path}/deliveries?limit=10${cursor && `&cursor=${cursor}`}`)
      ).json
      seqs.push(...page.items.map(({ seq }) => seq))
      cursor = page.nextCursor
    }
    expect(seqs).toEqual(count(1, 25).reverse())
    receiver.got.length = 0
    const again = await call('POST', `${path}/deliveries/7/redeliver`)
    expect(again.json).toMatchObject({ eventId: 7, messageId: `${id}.7`, acknowledged: true, seq: 26 })
    expect(receiver.ids).toEqual([7])
    expect((await call('POST', `${path}/deliveries/99/redeliver`)).json.code).toBe('NOT_FOUND')
  })
})
