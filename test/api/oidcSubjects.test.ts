import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { resetAdminKey } from '../../src/api/auth/adminKey.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { FakeNode, PEER_ID } from './fakeNode.ts'
import { openEventStream, openWebSocket } from './streamClients.ts'
import { apiWith, issuing, open, START } from './tokens.ts'

describe('a subject of the issuer', () => {
  it('is named in the audit log, and has idempotency keys of its own', async () => {
    const issuer = await issuing()
    const { call, clock, node } = await apiWith(issuer)
    const [alice, bob] = await Promise.all(
      ['alice@example.org', 'bob/../x'].map((sub) => issuer.token(clock.nowMs, { sub })),
    )
    const pay = (token: string, amountMsat: number) =>
      call(token, 'POST', '/v1/payments', { nodeId: PEER_ID, amountMsat }, { 'idempotency-key': 'one' })
    const [first, again, others, conflict] = [
      await pay(alice!, 5),
      await pay(alice!, 5),
      await pay(bob!, 5),
      await pay(alice!, 6),
    ]
    expect([first.status, again.json.id, conflict.code]).toEqual([200, first.json.id, 'IDEMPOTENCY_CONFLICT'])
    expect(others.json.id).not.toBe(first.json.id)
    expect(node.calls.filter((c) => c === 'pay')).toHaveLength(2)
    const later = await issuer.token(clock.nowMs + 1_000, { sub: 'alice@example.org' }) // another token of hers
    expect((await pay(later, 5)).json.id).toBe(first.json.id)
    await call(alice!, 'POST', '/v1/peers', { uri: `${PEER_ID}@127.0.0.1:9735` })
    const reader = await issuer.token(clock.nowMs, { sub: 'weak', scope: 'node:read' })
    await call(reader, 'POST', '/v1/payments', {})
    const { items } = (await call(alice!, 'GET', '/v1/audit')).json
    expect(items.map((e: { keyId: string; action: string }) => [e.keyId, e.action])).toEqual(
      expect.arrayContaining([
        ['oidc:alice%40example.org', 'call.made'],
        ['oidc:weak', 'call.refused'],
      ]),
    )
  })

  it('spends within the budget of subjects, over all its tokens, across a restart and through keys that it makes', async () => {
    const issuer = await issuing()
    const budget = { maxMsat: 10_000, periodSeconds: null }
    const node = new FakeNode()
    const first = await apiWith(issuer, { budget }, node)
    const pay = async (api: typeof first, token: string, amountMsat: number) => {
      const answer = await api.call(token, 'POST', '/v1/payments', { nodeId: PEER_ID, amountMsat, maxFeeMsat: 0 })
      return answer.code ?? answer.status
    }
    const token = () => issuer.token(first.clock.nowMs, { jti: String(Math.random()) })
    expect(await pay(first, await token(), 6_000)).toBe(200)
    expect(await pay(first, await token(), 6_000)).toBe('BUDGET_EXCEEDED')
    const made = await first.call(await token(), 'POST', '/v1/keys', { name: 'k', scopes: ['payments:send'] })
    expect(made.status).toBe(201)
    expect(made.json.createdBy).toBe('oidc:alice')
    const more = { name: 'k', scopes: ['payments:send'], budget: { maxMsat: 10_001 } }
    expect((await first.call(await token(), 'POST', '/v1/keys', more)).code).toBe('BEYOND_OWN_KEY')
    expect(await pay(first, made.json.secret, 6_000)).toBe('BUDGET_EXCEEDED')
    expect((await first.call(await token(), 'GET', '/v1/keys/self')).json).toMatchObject({
      id: 'oidc:alice',
      budget: { maxMsat: 10_000, spentMsat: 6_000 },
    })
    await first.app.close()
    const second = await apiWith(issuer, { budget }, node)
    expect(await pay(second, made.json.secret, 4_001)).toBe('BUDGET_EXCEEDED')
    expect(await pay(second, await token(), 4_001)).toBe('BUDGET_EXCEEDED')
    expect(await pay(second, made.json.secret, 4_000)).toBe(200)
    expect(await pay(second, await issuer.token(START, { sub: 'bob' }), 10_000)).toBe(200)
  })

  it('keeps to the rate of subjects, over all its tokens', async () => {
    const issuer = await issuing()
    const { call, clock } = await apiWith(issuer, { rateLimit: { maxRequests: 3, periodSeconds: 60 } })
    const ask = async (sub: string) =>
      (await call(await issuer.token(clock.nowMs, { sub, jti: String(Math.random()) }))).status
    expect([await ask('a'), await ask('a'), await ask('a'), await ask('a'), await ask('b')]).toEqual([
      200, 200, 200, 429, 200,
    ])
  })

  it('keeps to the rate of subjects when all tokens of one have ended, and is forgotten when its rate is full again', async () => {
    const issuer = await issuing()
    const { call, clock, keys } = await apiWith(issuer, { rateLimit: { maxRequests: 2, periodSeconds: 3_600 } })
    const ask = async () => (await call(await issuer.token(clock.nowMs, { jti: String(Math.random()) }))).status
    expect([await ask(), await ask(), await ask()]).toEqual([200, 200, 429])
    clock.nowMs += 400_000
    await keys.tick()
    expect(await ask()).toBe(429)
    clock.nowMs += 3_600_000
    await keys.tick()
    expect([await ask(), await ask(), await ask()]).toEqual([200, 200, 429])
  })

  it('gives no more than its token has, and what only keys can do it cannot', async () => {
    const issuer = await issuing()
    const { call, clock } = await apiWith(issuer)
    const admin = await issuer.token(clock.nowMs, { scope: 'keys:admin node:read webhooks:write' })
    const make = async (scopes: string[]) =>
      (await call(admin, 'POST', '/v1/keys', { name: 'k', scopes })).code ?? 'made'
    expect([await make(['node:read']), await make(['payments:send']), await make(['*'])]).toEqual([
      'made',
      'BEYOND_OWN_KEY',
      'BEYOND_OWN_KEY',
    ])
    // Another token of the same subject lends it nothing.
    await call(await issuer.token(clock.nowMs, { scope: '*' }), 'GET', '/v1/node')
    expect(await make(['payments:send'])).toBe('BEYOND_OWN_KEY')
    for (const [path, body] of [
      ['/v1/keys/self/rotate', {}],
      ['/v1/keys/rotate-all', {}],
      ['/v1/webhooks', { url: 'https://93.184.215.14/' }],
    ] as const) {
      expect([path, (await call(admin, 'POST', path, body)).code]).toEqual([path, 'KEY_NEEDED'])
    }
  })
})

describe('streams of a token', () => {
  it('end when it does, over WebSocket by a ticket and as Server-Sent Events; a fresh token goes on', async () => {
    const issuer = await issuing()
    const { app, clock, call, node, keys } = await apiWith(issuer)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    const token = await issuer.token(clock.nowMs)
    const ticket = async (of: string) => (await call(of, 'POST', '/v1/events/tickets', {})).json.ticket
    const socket = await openWebSocket(port, `/v1/events?ticket=${await ticket(token)}`)
    const stream = await openEventStream(port, '/v1/events', { authorization: `Bearer ${token}` })
    expect([socket.status, stream.status]).toEqual([101, 200])
    const late = await ticket(token)
    node.emit('chain.block')
    await expect.poll(() => [socket.events.length, stream.events.length]).toEqual([1, 1])
    clock.nowMs += 330_000
    await keys.tick()
    await Promise.all([socket.closed, stream.closed])
    expect((await call(token)).code).toBe('TOKEN_EXPIRED')
    const refused = await openWebSocket(port, `/v1/events?ticket=${late}`)
    expect(refused.status).toBe(401)
    const fresh = await openEventStream(port, '/v1/events?since=0', {
      authorization: `Bearer ${await issuer.token(clock.nowMs)}`,
    })
    open.push(fresh)
    await expect.poll(() => fresh.events.length).toBe(1)
  })

  it('see what the scopes of the token allow', async () => {
    const issuer = await issuing()
    const { app, clock, node } = await apiWith(issuer)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    const authorization = `Bearer ${await issuer.token(clock.nowMs, { scope: 'chain:read' })}`
    const stream = await openEventStream(port, '/v1/events', { authorization })
    open.push(stream)
    for (const type of ['payment.succeeded', 'chain.block', 'key.rotated', 'chain.reorg']) node.emit(type)
    await expect.poll(() => stream.events.map(({ type }) => type)).toEqual(['chain.block', 'chain.reorg'])
  })
})

describe('an emergency', () => {
  it('stops every token that was issued before it, with the streams and tickets of those; later ones are taken', async () => {
    const issuer = await issuing()
    const { app, clock, call, keys, node, verdict } = await apiWith(issuer)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    const operator = await keys.create('operator', ['*'])
    const long = { exp: clock.nowMs / 1000 + 36_000 }
    const [seen, unseen] = [
      await issuer.token(clock.nowMs, long),
      await issuer.token(clock.nowMs, { ...long, jti: 'b' }),
    ]
    expect((await call(seen)).status).toBe(200)
    const ticket = async () => (await call(seen, 'POST', '/v1/events/tickets', {})).json.ticket
    const socket = await openWebSocket(port, `/v1/events?ticket=${await ticket()}`)
    const stream = await openEventStream(port, '/v1/events', { authorization: `Bearer ${seen}` })
    const late = await ticket()
    expect([socket.status, stream.status]).toEqual([101, 200])
    clock.nowMs += 60_000
    const before = clock.nowMs
    expect((await call(operator, 'POST', '/v1/keys/rotate-all', {})).status).toBe(201)
    await Promise.all([socket.closed, stream.closed])
    expect((await openWebSocket(port, `/v1/events?ticket=${late}`)).status).toBe(401)
    const refused = async (api: Pick<Awaited<ReturnType<typeof apiWith>>, 'call' | 'verdict'>) => {
      for (const token of [seen, unseen]) expect((await api.call(token)).code).toBe('TOKEN_INVALID')
      // The issuer's clock may be ahead, and a token that does not say when it was issued may be any.
      for (const iat of [before / 1000, before / 1000 + 30, undefined])
        expect(await api.verdict({ ...long, iat })).toBe('TOKEN_INVALID')
    }
    await refused({ call, verdict })
    expect((await call(seen)).json.detail).toContain(new Date(before + 30_000).toISOString())
    clock.nowMs += 31_000
    expect(await verdict()).toBe(200)
    const after = await apiWith(issuer, {}, node, clock.nowMs)
    await refused(after)
    expect(await after.verdict()).toBe(200)
  })

  it('does not let through a token that is being verified meanwhile', async () => {
    const issuer = await issuing()
    const { clock, keys, call } = await apiWith(issuer)
    const operator = await keys.create('operator', ['*'])
    const [answer, emergency] = await Promise.all([
      call(await issuer.token(clock.nowMs), 'GET', '/v1/node'),
      call(operator, 'POST', '/v1/keys/rotate-all', {}),
    ])
    expect([answer.code, emergency.status]).toEqual(['TOKEN_INVALID', 201])
  })

  it('is also what "key reset --stop-others" makes on the machine itself', async () => {
    const issuer = await issuing()
    const node = new FakeNode()
    const first = await apiWith(issuer, {}, node)
    const token = await issuer.token(first.clock.nowMs)
    expect((await first.call(token)).status).toBe(200)
    await first.app.close()
    const dataDir = await mkdtemp(join(tmpdir(), 'fulmen-oidc-'))
    open.push({ close: () => rm(dataDir, { recursive: true }) })
    await resetAdminKey(await KeyRing.open(node.apiStore, () => START + 1), dataDir, false)
    expect((await (await apiWith(issuer, {}, node)).call(token)).status).toBe(200)
    await resetAdminKey(await KeyRing.open(node.apiStore, () => START + 1), dataDir, true)
    expect((await (await apiWith(issuer, {}, node)).call(token)).code).toBe('TOKEN_INVALID')
  })
})

describe('the SDK with tokens', () => {
  it('asks its source for the next one when the node refuses the one before', async () => {
    const issuer = await issuing()
    const { app, clock } = await apiWith(issuer)
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    let asked = 0
    const client = new FulmenClient({
      url,
      key: () => {
        asked++
        return issuer.token(clock.nowMs)
      },
    })
    await client.node()
    await client.node()
    expect(asked).toBe(1)
    clock.nowMs += 600_000
    await client.node()
    expect(asked).toBe(2)
  })
})
