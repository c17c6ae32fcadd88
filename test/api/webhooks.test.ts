import { describe, expect, it } from 'vitest'
import { deliveryKey } from '../../src/api/webhooks/record.ts'
import { verifyWebhook } from '../../src/client/webhooks.ts'
import type { Receiver } from './receiver.ts'
import { apiOver, count, hookOf, receiving, until } from './webhookWorld.ts'

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

  it('says every field that is wrong, and which names are of no event', async () => {
    const { call } = await (await apiOver()).keyWith('webhooks:write')
    const { errors } = (await call('POST', '/v1/webhooks', { url: 'ftp://x', types: ['foo', 'chain.*', 'b.*'] })).json
    expect(errors).toMatchObject([
      { pointer: '/url' },
      { pointer: '/types', detail: expect.stringMatching(/^no such event type: "foo", "b\.\*"; there are channel/) },
    ])
  })
})

describe('the delivery log', () => {
  it('goes on behind an entry that is damaged', async () => {
    const api = await apiOver()
    const { call, path, id, view } = await hookOf(api, await receiving())
    for (let i = 0; i < 7; i++) api.node.emit('chain.block')
    await until(async () => (await view()).lastEventId, 7)
    await call('GET', `${path}/deliveries`) // all are on disk
    for (const seq of [7, 3]) await api.node.apiStore.delete(deliveryKey(id, seq))
    const seqs: number[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { items: { seq: number }[]; nextCursor: string | null } = (
        await call('GET', `${path}/deliveries?limit=2${cursor && `&cursor=${cursor}`}`)
      ).json
      seqs.push(...page.items.map(({ seq }) => seq))
      cursor = page.nextCursor
    }
    expect(seqs).toEqual([6, 5, 4, 2, 1])
  })

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
