import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { ensureAdminKey } from '../../src/api/auth/adminKey.ts'
import { FailedSignIns } from '../../src/api/auth/failedSignIns.ts'
import { HostCheck } from '../../src/api/auth/hosts.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { SCOPES, type Scope } from '../../src/api/auth/scopes.ts'
import { utf8Decode } from '../../src/base/bytes.ts'
import { ANY_KEY, CONTRACT, filled, PUBLIC } from './contract.ts'
import { FakeStore } from './fakeStore.ts'
import { testApi } from './harness.ts'

const body = (method: string) => (method === 'GET' || method === 'DELETE' ? {} : { payload: {} })

describe('authentication: a bearer key on every route', () => {
  it('refuses a missing, unknown, misspelt or foreign key with a 401 problem on every route that is not public', async () => {
    const { app, bearer } = await testApi()
    const flipped = bearer.slice(0, -1) + (bearer.endsWith('0') ? '1' : '0')
    const wrong = {
      nothing: {},
      'an empty bearer': { authorization: 'Bearer ' },
      'another scheme': { authorization: `Basic ${bearer}` },
      'a flipped last character': { authorization: `Bearer ${flipped}` },
      'an unknown key id': { authorization: `Bearer fulmen_ffffffffffff_${bearer.split('_')[2]}` },
      'the key id of the prototype': { authorization: `Bearer fulmen_constructor_${bearer.split('_')[2]}` },
    }
    for (const [method, path] of CONTRACT) {
      for (const [what, headers] of Object.entries(wrong)) {
        const answer = await app.inject({ method: method as 'GET', url: filled(path), headers, ...body(method) })
        expect([answer.statusCode, answer.headers['content-type']], `${method} ${path} with ${what}`).toEqual([
          401,
          'application/problem+json; charset=utf-8',
        ])
        expect(answer.headers['www-authenticate']).toMatch(/^Bearer/)
        expect(answer.json().code).toBe(what === 'nothing' ? 'KEY_MISSING' : 'KEY_INVALID')
      }
    }
  })

  it('serves the public paths without a key', async () => {
    const { app } = await testApi()
    for (const url of PUBLIC) expect([url, (await app.inject(url)).statusCode]).toEqual([url, 200])
  })

  it('never takes a key from the URL', async () => {
    const { app, bearer } = await testApi()
    for (const url of [`/v1/node?key=${bearer}`, `/v1/node?authorization=${bearer}`, `/v1/node?ticket=${bearer}`]) {
      expect((await app.inject(url)).statusCode).toBe(401)
    }
  })
})

describe('scopes', () => {
  it('each route answers 403 to a key with every scope but its own, and lets a key with only its own pass', async () => {
    const { app, keys } = await testApi()
    const answerTo = async (scopes: readonly Scope[], method: string, path: string) => {
      const authorization = `Bearer ${await keys.create('scoped', scopes)}`
      return app.inject({ method: method as 'GET', url: filled(path), headers: { authorization }, ...body(method) })
    }
    for (const [method, path, scope] of CONTRACT) {
      if (scope === ANY_KEY) continue // proven with every scope in the table below
      const others = SCOPES.filter((s) => s !== '*' && s !== scope && !(path === '/v1/peers' && s === 'node:read'))
      const refused = await answerTo(others, method, path)
      expect([method, path, refused.statusCode, refused.json().code]).toEqual([method, path, 403, 'SCOPE_MISSING'])
      expect([401, 403]).not.toContain((await answerTo([scope as Scope], method, path)).statusCode)
    }
  })
})

describe('Host header (DNS rebinding)', () => {
  it('refuses every path when the Host is not ours, health and docs included', async () => {
    const { app, headers } = await testApi()
    for (const host of ['evil.example', 'evil.example:9737', 'localhost.evil.example', '127.0.0.1.evil.example']) {
      for (const url of [...PUBLIC, '/v1/node', '/nowhere']) {
        const answer = await app.inject({ url, headers: { ...headers, host } })
        expect([host, url, answer.statusCode, answer.json().code]).toEqual([host, url, 403, 'HOST_NOT_ALLOWED'])
      }
    }
  })

  it('takes loopback names, configured names and the address that the connection came to', async () => {
    const check = new HostCheck(['alice', '[fd00::1]'])
    for (const host of [
      'localhost',
      'LOCALHOST:1',
      'localhost.',
      '127.0.0.1:9737',
      '[::1]:80',
      'alice:9737',
      '[fd00::1]:1',
    ]) {
      expect([host, check.allows(host, undefined)]).toEqual([host, true])
    }
    expect(check.allows('10.0.0.5:9737', '::ffff:10.0.0.5')).toBe(true)
    expect(check.allows('10.0.0.5:9737', '10.0.0.6')).toBe(false)
    expect(check.allows('[fe80::2]:1', 'fe80::2')).toBe(true)
    for (const other of ['[::1].evil.example', '[::1]x:80', '127.0.0.1:80:80'])
      expect([other, check.allows(other, '::1')]).toEqual([other, false])
    for (const missing of [undefined, '', ':9737', '[', '[]']) expect(check.allows(missing, '127.0.0.1')).toBe(false)
  })

  it('sends no CORS headers', async () => {
    const { app, headers } = await testApi()
    const answer = await app.inject({ url: '/v1/node', headers: { ...headers, origin: 'https://evil.example' } })
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(
      (await app.inject({ method: 'OPTIONS', url: '/v1/payments', headers: { origin: 'https://evil.example' } }))
        .statusCode,
    ).toBe(405)
  })
})

describe('failed sign-ins', () => {
  it('slow down the address that makes them, more with each, and never a valid key of the same address', async () => {
    const { app, call, clock } = await testApi()
    const guess = () => app.inject({ url: '/v1/node', headers: { authorization: 'Bearer fulmen_aa_0123456789abcdef' } })
    for (let i = 0; i < 30; i++) expect((await guess()).statusCode).toBe(401)
    expect(clock.delays).toHaveLength(10)
    expect(clock.delays).toEqual([...clock.delays].sort((a, b) => a - b))
    const before = clock.delays.length
    expect((await call('GET', '/v1/node')).statusCode).toBe(200)
    expect(clock.delays).toHaveLength(before)
  })

  it('forget after a while, count addresses apart, and do not count a missing key', async () => {
    const { app, clock } = await testApi()
    const guess = (remoteAddress: string) =>
      app.inject({ url: '/v1/node', remoteAddress, headers: { authorization: 'Bearer fulmen_aa_0123456789abcdef' } })
    for (let i = 0; i < 20; i++) await guess('10.0.0.1')
    for (let i = 0; i < 100; i++) await app.inject({ url: '/v1/node', remoteAddress: '10.0.0.1' })
    await guess('10.0.0.2')
    expect(clock.delays).toEqual([])
    await guess('10.0.0.1')
    expect(clock.delays).toHaveLength(1)
    clock.nowMs += 60_000
    await guess('10.0.0.1')
    expect(clock.delays).toHaveLength(1)
  })

  it('refuse at once when too many of an address wait, and hold a bounded number of addresses', async () => {
    const waiting: (() => void)[] = []
    const failed = new FailedSignIns({ now: () => 0, delay: () => new Promise((resolve) => waiting.push(resolve)) })
    for (let i = 0; i < 20; i++) expect(await failed.record('a')).toBe(true)
    const slowed = Array.from({ length: 32 }, () => failed.record('a'))
    expect(await failed.record('a')).toBe(false)
    for (const wake of waiting) wake()
    expect(await Promise.all(slowed)).toEqual(Array.from({ length: 32 }, () => true))
    for (let i = 0; i < 10_000; i++) await failed.record(`b${i}`)
    expect(await failed.record('a')).toBe(true) // pushed out: starts afresh
  })
})

describe('keys', () => {
  const folders: string[] = []
  afterEach(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
  })
  const folder = async () => {
    const path = await mkdtemp(join(tmpdir(), 'fulmen-keys-'))
    folders.push(path)
    return path
  }

  it('the first start writes an admin key with mode 0600, later ones keep it', async () => {
    const store = new FakeStore()
    const dataDir = await folder()
    const first = await ensureAdminKey(await KeyRing.open(store), dataDir)
    expect(first.created).toMatch(/^fulmen_[0-9a-f]{12}_[0-9a-f]{64}$/)
    expect(await readFile(first.path, 'utf8')).toBe(`${first.created}\n`)
    expect((await stat(first.path)).mode & 0o777).toBe(0o600)

    const ring = await KeyRing.open(store)
    expect(await ensureAdminKey(ring, dataDir)).toEqual({ path: first.path, created: null })
    expect(ring.verify(`Bearer ${first.created}`)).toMatchObject({ scopes: ['*'], version: 1 })
  })

  it('only a hash of the secret is stored', async () => {
    const store = new FakeStore()
    const { created } = await ensureAdminKey(await KeyRing.open(store), await folder())
    const secret = created?.split('_')[2] ?? ''
    expect(secret).toHaveLength(64)
    for (const [key, value] of store.records) expect(key + utf8Decode(value)).not.toContain(secret)
  })

  it('a crash between file and store leaves a node that makes a new key', async () => {
    const store = new FakeStore()
    const dataDir = await folder()
    const failing = Object.assign(new FakeStore(), { commit: () => Promise.reject(new Error('power cut')) })
    await expect(ensureAdminKey(await KeyRing.open(failing), dataDir)).rejects.toThrow('power cut')
    const ring = await KeyRing.open(store)
    const { path, created } = await ensureAdminKey(ring, dataDir)
    expect(ring.verify(`Bearer ${(await readFile(path, 'utf8')).trim()}`).keyId).toBe(created?.split('_')[1])
  })

  it('an expired version is refused with KEY_EXPIRED, and a scope that no longer exists grants nothing', async () => {
    const store = new FakeStore()
    const then = () => Date.parse('2025-12-01T00:00:00Z')
    const bearer = await (await KeyRing.open(store, then)).create('old', ['node:read'])
    const [name, value] = [...store.records].find(([key]) => key.startsWith('key/')) ?? ['', new Uint8Array(0)]
    const record = JSON.parse(utf8Decode(value))
    record.expiresAt = '2026-01-01T00:00:00Z'
    record.scopes = ['node:read', 'no:such']
    store.records.set(name, new TextEncoder().encode(JSON.stringify(record)))
    const at = (time: string) => KeyRing.open(store, () => Date.parse(time))
    expect((await at('2025-12-31T23:59:59Z')).verify(`Bearer ${bearer}`).scopes).toEqual(['node:read'])
    const late = await at('2026-01-01T00:00:00Z')
    expect(() => late.verify(`Bearer ${bearer}`)).toThrow(expect.objectContaining({ code: 'KEY_EXPIRED' }))
  })
})

describe('tickets', () => {
  const stream = (ticket: string) => ({ url: `/v1/events?ticket=${ticket}` })

  it('work once, on the event stream alone, and for 30 seconds', async () => {
    const { app, call, clock } = await testApi()
    const issue = async () => (await call('POST', '/v1/events/tickets')).json().ticket as string
    const ticket = await issue()
    expect((await app.inject({ url: `/v1/node?ticket=${ticket}` })).statusCode).toBe(401)
    // Without an event-stream Accept header the request is refused after the ticket was taken.
    expect((await app.inject(stream(ticket))).statusCode).toBe(400)
    expect((await app.inject(stream(ticket))).json().code).toBe('TICKET_INVALID')

    const young = await issue()
    const old = await issue()
    clock.nowMs += 29_999
    expect((await app.inject(stream(young))).statusCode).toBe(400)
    clock.nowMs += 1
    expect((await app.inject(stream(old))).json().code).toBe('TICKET_INVALID')
  })

  it('are bounded: the oldest gives way', async () => {
    const { app, call } = await testApi()
    const first = (await call('POST', '/v1/events/tickets')).json().ticket
    let last = ''
    for (let i = 0; i < 1_000; i++) last = (await call('POST', '/v1/events/tickets')).json().ticket
    expect((await app.inject(stream(first))).json().code).toBe('TICKET_INVALID')
    expect((await app.inject(stream(last))).statusCode).toBe(400)
  })
})
