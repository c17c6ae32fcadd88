import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { exportSPKI, importJWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { SCOPES } from '../../src/api/auth/scopes.ts'
import { createApi } from '../../src/api/server.ts'
import { ANY_KEY, CONTRACT, filled } from './contract.ts'
import { FakeNode } from './fakeNode.ts'
import { Issuer } from './issuer.ts'
import { apiWith, type Claims, issuing, open } from './tokens.ts'

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
