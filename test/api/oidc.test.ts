import { createHmac } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { exportSPKI, importJWK } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { resetAdminKey } from '../../src/api/auth/adminKey.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { SCOPES } from '../../src/api/auth/scopes.ts'
import { createApi } from '../../src/api/server.ts'
import { FulmenClient } from '../../src/client/index.ts'
import type { IssuerConfig } from '../../src/node/access.ts'
import { ANY_KEY, CONTRACT, filled } from './contract.ts'
import { FakeNode, PEER_ID } from './fakeNode.ts'
import { Issuer } from './issuer.ts'
import { openEventStream, openWebSocket } from './streamClients.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

/** Also wrong ones, and ones that are left out. */
type Claims = Readonly<Record<string, unknown>>

const START = Date.UTC(2026, 0, 1)

async function issuing(...algs: string[]): Promise<Issuer> {
  const issuer = await Issuer.open(...algs)
  open.push(issuer)
  return issuer
}

async function apiWith(issuer: Issuer, more: Partial<IssuerConfig> = {}, node = new FakeNode(), nowMs = START) {
  const clock = { nowMs }
  const keys = await KeyRing.open(node.apiStore, () => clock.nowMs)
  const failures: unknown[] = []
  const config = { issuer: issuer.url, audience: 'fulmen', scopePrefix: '', budget: null, rateLimit: null, ...more }
  const app = createApi(node, {
    keys,
    issuer: config,
    onInternalError: (error) => failures.push(error),
    clock: { now: () => clock.nowMs, delay: async () => {} },
  })
  await app.ready()
  open.push(app)
  const call = async (token: string, method = 'GET', url = '/v1/node', payload?: object, headers = {}) => {
    const authorization = `Bearer ${token}`
    const request = {
      method: method as 'GET',
      url,
      headers: { authorization, ...headers },
      ...(payload && { payload }),
    }
    const answer = await app.inject(request)
    const json = String(answer.headers['content-type']).includes('json') ? answer.json() : null
    return { status: answer.statusCode, json, headers: answer.headers, code: json?.code as string | undefined }
  }
  /** The code of the problem that a token with these claims meets, or the status. */
  const verdict = async (claims: Claims = {}, options: Parameters<Issuer['token']>[2] = {}) => {
    const { code, status } = await call(await issuer.token(clock.nowMs, claims, options))
    return code ?? status
  }
  return { app, node, keys, clock, failures, call, verdict }
}

const base64url = (value: object | string): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

describe('access tokens of an issuer', () => {
  it.each(['ES256', 'RS256', 'PS256', 'EdDSA'])('are taken when signed with %s', async (alg) => {
    const { verdict } = await apiWith(await issuing(alg))
    expect(await verdict()).toBe(200)
    expect(await verdict({ aud: ['other', 'fulmen'] })).toBe(200)
    expect(await verdict({ iat: undefined }, { header: { typ: 'JWT' } })).toBe(200)
    expect(await verdict({}, { header: { kid: undefined, typ: undefined } as never })).toBe(200)
  })

  it('are refused unless issuer, audience, times, subject and type are right', async () => {
    const issuer = await issuing()
    const { verdict, failures, clock } = await apiWith(issuer)
    const s = clock.nowMs / 1000
    const refused: [Claims, object?][] = [
      [{ iss: `${issuer.url}/` }],
      [{ iss: undefined }],
      [{ aud: 'other' }],
      [{ aud: undefined }],
      [{ aud: [] }],
      [{ exp: undefined }],
      [{ nbf: s + 31 }],
      [{ iat: s + 31 }],
      [{ sub: undefined }],
      [{ sub: '' }],
      [{ sub: 'a\u0000b' }],
      [{ sub: 'x'.repeat(256) }],
      [{ sub: 7 }],
      [{ cnf: { jkt: 'x' } }],
      [{ pad: 'x'.repeat(9_000) }],
      [{}, { header: { typ: 'logout+jwt' } }],
      [{}, { header: { crit: ['x'], x: 1 } }],
    ]
    for (const [claims, options] of refused) {
      const token = issuer.token(clock.nowMs, claims, options).catch(() => null)
      if ((await token) === null) continue // jose itself does not sign it
      expect([claims, options, await verdict(claims, options)]).toEqual([claims, options, 'TOKEN_INVALID'])
    }
    expect(await verdict({ exp: s - 31 })).toBe('TOKEN_EXPIRED')
    for (const within of [{ exp: s - 29 }, { nbf: s + 29 }, { iat: s + 29 }]) expect(await verdict(within)).toBe(200)
    expect(failures).toEqual([])
  })

  it('are refused when nobody signed them, or somebody else did', async () => {
    const issuer = await issuing('RS256')
    const stranger = await Issuer.open('RS256')
    open.push(stranger)
    const { call, clock, app } = await apiWith(issuer)
    const good = await issuer.token(clock.nowMs)
    const [, payload, signature] = good.split('.') as [string, string, string]
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const spki = await exportSPKI((await importJWK(issuer.keys[0]!.jwk, 'RS256')) as never)
    const hmac = (header: object, secret: string) => {
      const signed = `${base64url(header)}.${payload}`
      return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
    }
    const forged = {
      none: `${base64url({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
      None: `${base64url({ alg: 'None', kid: 'k1' })}.${payload}.${signature}`,
      'HS256 with the public key': hmac({ alg: 'HS256', kid: 'k1' }, spki),
      'HS256 with its modulus': hmac({ alg: 'HS256', kid: 'k1' }, issuer.keys[0]!.jwk.n as string),
      'another payload': `${good.split('.')[0]}.${base64url({ ...claims, sub: 'mallory' })}.${signature}`,
      'another alg': `${base64url({ alg: 'PS256', kid: 'k1', typ: 'at+jwt' })}.${payload}.${signature}`,
      'no signature': `${good.split('.').slice(0, 2).join('.')}.`,
      'a key in the header': await stranger.token(
        clock.nowMs,
        { iss: issuer.url },
        { header: { jwk: stranger.keys[0]!.jwk as never } },
      ),
      'keys elsewhere': await stranger.token(
        clock.nowMs,
        { iss: issuer.url },
        { header: { jku: `${stranger.url}/keys` } },
      ),
      'no JSON': `${base64url('x')}.${base64url('y')}.${signature}`,
    }
    for (const [what, token] of Object.entries(forged)) {
      const answer = await call(token)
      expect([what, answer.status, answer.code]).toEqual([what, 401, 'TOKEN_INVALID'])
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="fulmen", error="invalid_token", error_desc/)
      expect(answer.headers['content-type']).toContain('problem+json')
    }
    expect(stranger.asked).toBe(0)
    expect((await call(good)).status).toBe(200)
    const missing = await app.inject('/v1/node')
    expect(missing.headers['www-authenticate']).toBe('Bearer realm="fulmen"')
  })

  it('that were changed in any place, or are made of anything, end as 401', async () => {
    const issuer = await issuing()
    const { call, clock, failures } = await apiWith(issuer)
    const good = await issuer.token(clock.nowMs)
    const part = fc.stringMatching(/^[\w-]{0,40}$/)
    const json = fc.jsonValue({ maxDepth: 2 }).map((value) => base64url(JSON.stringify(value)))
    const changed = fc.tuple(fc.nat(good.length - 1), fc.stringMatching(/^[\w-]$/)).map(([at, char]) => {
      return good.slice(0, at) + char + good.slice(at + 1)
    })
    const header = fc
      .record({
        alg: fc.constantFrom('none', 'ES256', 'HS256', 'RS256', '', 'toString'),
        kid: fc.constantFrom('k1', '__proto__', ''),
      })
      .map(base64url)
    const made = fc.tuple(fc.oneof(part, json, header), fc.oneof(part, json), part).map((parts) => parts.join('.'))
    await fc.assert(
      fc.asyncProperty(fc.oneof(changed, made), async (token) => {
        const { status, headers, code } = await call(token)
        // The last character of a signature holds bits that mean nothing.
        const isSame = token.slice(0, -1) === good.slice(0, -1)
        if (isSame && status === 200) return
        expect([token, [401, 429].includes(status), code]).toEqual([
          token,
          true,
          expect.stringMatching(/^(TOKEN|KEY)_INVALID$/),
        ])
        expect(headers['www-authenticate']).toContain('error="invalid_token"')
      }),
      { numRuns: 200 },
    )
    expect(failures).toEqual([])
  })

  it('mean nothing where no issuer is configured', async () => {
    const issuer = await issuing()
    const node = new FakeNode()
    const app = createApi(node, { keys: await KeyRing.open(node.apiStore) })
    open.push(app)
    const headers = { authorization: `Bearer ${await issuer.token(Date.now())}` }
    expect((await app.inject({ url: '/v1/node', headers })).json().code).toBe('KEY_INVALID')
    expect(issuer.asked).toBe(0)
  })

  it('open every route exactly where their scope does, as keys do', async () => {
    const issuer = await issuing()
    const { call, clock, failures } = await apiWith(issuer)
    for (const held of SCOPES) {
      const token = await issuer.token(clock.nowMs, { scope: `openid ${held} unknown:scope`, sub: held })
      for (const [method, path, needed] of CONTRACT) {
        if (path === '/v1/keys/rotate-all') continue
        const body = method === 'GET' || method === 'DELETE' ? undefined : {}
        const { code, headers } = await call(token, method, filled(path), body)
        const isOpen =
          held === '*' ||
          needed === ANY_KEY ||
          needed === held ||
          (path === '/v1/peers' && held === 'node:read' && method === 'GET')
        expect([held, method, path, code === 'SCOPE_MISSING']).toEqual([held, method, path, !isOpen])
        if (!isOpen) expect(headers['www-authenticate']).toContain('error="insufficient_scope"')
        expect(String(code)).not.toMatch(/^(TOKEN_|KEY_INVALID|INTERNAL)/)
      }
    }
    expect(failures).toEqual([])
  })

  it('scopes stand in scope or scp, behind a prefix where one is configured; others grant nothing', async () => {
    const issuer = await issuing()
    const { call, clock } = await apiWith(issuer, { scopePrefix: 'fulmen/' })
    const scopesOf = async (claims: Claims) =>
      (await call(await issuer.token(clock.nowMs, claims), 'GET', '/v1/keys/self')).json.scopes
    expect(await scopesOf({ scope: 'fulmen/node:read fulmen/payments:send node:write' })).toEqual([
      'node:read',
      'payments:send',
    ])
    expect(await scopesOf({ scope: undefined, scp: ['fulmen/chain:read', 'chain:mine'] })).toEqual(['chain:read'])
    expect(await scopesOf({ scope: undefined, scp: 'fulmen/chain:read' })).toEqual(['chain:read'])
    for (const scope of [undefined, '', '*', 'node:read', 'fulmen/', 'FULMEN/node:read', { fulmen: 1 }, 5])
      expect([scope, await scopesOf({ scope })]).toEqual([scope, []])
  })
})

describe('the keys of an issuer', () => {
  it('are fetched once for all calls; a rotated key is found, an unknown one does not make us ask for ever', async () => {
    const issuer = await issuing()
    const { verdict, clock } = await apiWith(issuer)
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => verdict({ jti: String(i) })))
    expect(new Set(all)).toEqual(new Set([200]))
    expect(issuer.asked).toBe(1)
    clock.nowMs += 31_000
    await issuer.addKey()
    expect(await verdict()).toBe(200) // signed with the new key
    expect(issuer.asked).toBe(2)
    const unknown = { ...issuer.keys[0]!, kid: 'nobody' }
    for (let i = 0; i < 20; i++) expect(await verdict({ jti: `u${i}` }, { key: unknown })).toBe('TOKEN_INVALID')
    expect(issuer.asked).toBe(2)
    clock.nowMs += 31_000
    for (let i = 0; i < 20; i++) expect(await verdict({ jti: `v${i}` }, { key: unknown })).toBe('TOKEN_INVALID')
    expect(issuer.asked).toBe(3)
  })

  it('a key that the issuer withdraws works no more after ten minutes, also for tokens that were taken before', async () => {
    const issuer = await issuing('ES256', 'ES256')
    const { call, clock } = await apiWith(issuer)
    const [withdrawn] = issuer.keys
    const token = await issuer.token(clock.nowMs, { exp: clock.nowMs / 1000 + 3_600 }, { key: withdrawn! })
    expect((await call(token)).status).toBe(200)
    issuer.keys.shift()
    clock.nowMs += 10 * 60_000
    expect((await call(token)).code).toBe('TOKEN_INVALID')
  })

  it('an issuer that is down at the start is asked again later; API keys work all the while', async () => {
    const issuer = await issuing()
    await issuer.stop()
    const { call, clock, keys } = await apiWith(issuer)
    const bearer = await keys.create('k', ['*'])
    const token = await issuer.token(clock.nowMs, { exp: clock.nowMs / 1000 + 7_200 })
    const refused = await call(token)
    expect([refused.status, refused.code, refused.headers['retry-after']]).toEqual([503, 'ISSUER_UNAVAILABLE', '5'])
    expect((await call(bearer)).status).toBe(200)
    await issuer.start()
    expect((await call(token)).code).toBe('ISSUER_UNAVAILABLE') // not with every call
    clock.nowMs += 5_000
    expect((await call(token)).status).toBe(200)
    await issuer.stop()
    clock.nowMs += 30 * 60_000
    expect((await call(token)).status).toBe(200) // on the keys it last gave
    clock.nowMs += 31 * 60_000
    expect((await call(token)).code).toBe('ISSUER_UNAVAILABLE')
  })

  it('an answer that is none, too long or of another issuer is an outage, not a key', async () => {
    const issuer = await issuing()
    const { verdict, clock, failures, call } = await apiWith(issuer)
    const answers = [
      { status: 500, body: '{}' },
      { status: 200, body: 'no JSON' },
      { status: 200, body: '{"keys":7}' },
      { status: 200, body: JSON.stringify({ keys: [], pad: 'x'.repeat(300_000) }) },
    ]
    for (const answer of answers) {
      issuer.answer = answer
      expect([answer.status, await verdict()]).toEqual([answer.status, 'ISSUER_UNAVAILABLE'])
      clock.nowMs += 5_000
    }
    issuer.answer = undefined
    const others = [
      [{ issuer: 'http://127.0.0.1:1/other' }, 'its discovery document is that of'],
      [{ jwks_uri: 'http://example.org/keys' }, 'its jwks_uri is no https URL'],
      [{ jwks_uri: 5 }, 'its jwks_uri is no https URL'],
    ] as const
    for (const [document, why] of others) {
      issuer.document = document
      const { code, json } = await call(await issuer.token(clock.nowMs))
      expect([code, json.detail]).toEqual(['ISSUER_UNAVAILABLE', expect.stringContaining(why)])
      clock.nowMs += 5_000
    }
    issuer.document = {}
    expect(await verdict()).toBe(200)
    expect(failures).toEqual([])
  })
})

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
