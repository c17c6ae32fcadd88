import { describe, expect, it } from 'vitest'
import { PRESETS } from '../../src/api/auth/scopes.ts'
import { utf8Decode } from '../../src/base/bytes.ts'
import { DAY, keyApi } from './keyApi.ts'

describe('making keys', () => {
  it('a key has what the contract says, its secret is shown once, and presets are scopes', async () => {
    const { call, create } = await keyApi()
    for (const [preset, scopes] of Object.entries(PRESETS)) expect((await create({ preset })).scopes).toEqual(scopes)
    const made = await create({
      name: 'shop',
      metadata: { team: 'sales' },
      rateLimit: { maxRequests: 5, periodSeconds: 1 },
    })
    expect(made).toMatchObject({
      name: 'shop',
      version: 1,
      state: 'active',
      expiresAt: null,
      lastUsedAt: null,
      allowedCidrs: [],
      budget: null,
      metadata: { team: 'sales' },
      secret: expect.stringMatching(/^fulmen_[0-9a-f]{12}_[0-9a-f]{64}$/),
    })
    const shown = (await call('GET', `/v1/keys/${made.id}`)).body + (await call('GET', '/v1/keys')).body
    expect(shown).not.toContain(made.secret.split('_')[2])
    expect(shown).not.toMatch(/hash|secret/i)
  })

  it('lists newest first, page by page', async () => {
    const { call, create, clock } = await keyApi()
    for (const name of ['a', 'b', 'c']) {
      clock.nowMs++
      await create({ name })
    }
    const first = (await call('GET', '/v1/keys?limit=2')).json()
    const second = (await call('GET', `/v1/keys?limit=2&cursor=${first.nextCursor}`)).json()
    expect([...first.items, ...second.items].map((k) => k.name)).toEqual(['c', 'b', 'a', 'test'])
    expect(second.nextCursor).toBeNull()
    expect((await call('GET', '/v1/keys?cursor=nobody')).statusCode).toBe(400)
  })

  it.each([
    [{}, '/scopes'],
    [{ preset: 'spend', scopes: ['node:read'] }, '/preset'],
    [{ preset: 'spend', allowedCidrs: ['10.0.0.0/33'] }, '/allowedCidrs/0'],
    [{ preset: 'spend', expiresAt: '2030-13-01T00:00:00Z' }, '/expiresAt'],
    [{ preset: 'spend', expiresAt: 'soon' }, '/expiresAt'],
    [{ preset: 'spend', expiresAt: '2030-02-31T00:00:00Z' }, '/expiresAt'],
    [{ preset: 'spend', activatesAt: '2031-04-31T00:00:00Z' }, '/activatesAt'],
    [{ preset: 'spend', budget: { maxMsat: 0 } }, '/budget'],
    [{ scopes: ['money:print'] }, '/scopes/0'],
  ])('refuses %j, naming the field', async (body, pointer) => {
    const { call } = await keyApi()
    const answer = await call('POST', '/v1/keys', { name: 'bad', ...body })
    expect([answer.statusCode, answer.json().errors?.[0]?.pointer]).toEqual([400, pointer])
  })

  it('a key can only make and change keys within its own scopes, budget, life, networks and rate', async () => {
    const { as, create, call, iso } = await keyApi()
    const limited = await create({
      scopes: ['keys:admin', 'payments:send', 'node:read'],
      expiresAt: iso(10 * DAY),
      budget: { maxMsat: 1_000, periodSeconds: 3_600 },
      allowedCidrs: ['127.0.0.0/8'],
      rateLimit: { maxRequests: 100, periodSeconds: 1 },
    })
    const make = (body: object) =>
      as(limited.secret, 'POST', '/v1/keys', { name: 'child', scopes: ['node:read'], ...body })
    for (const beyond of [
      { scopes: ['wallet:send'] },
      { scopes: ['*'] },
      { expiresAt: null },
      { expiresAt: iso(11 * DAY) },
      { budget: null },
      { budget: { maxMsat: 1_001, periodSeconds: 3_600 } },
      { budget: { maxMsat: 1_000, periodSeconds: 3_599 } },
      { allowedCidrs: [] },
      { allowedCidrs: ['0.0.0.0/0'] },
      { rateLimit: null },
      { rateLimit: { maxRequests: 100, periodSeconds: 1 }, scopes: ['audit:read'] },
    ]) {
      const answer = await make(beyond)
      expect([beyond, answer.statusCode, answer.json().code]).toEqual([beyond, 403, 'BEYOND_OWN_KEY'])
    }
    const child = (await make({ budget: { maxMsat: 1_000 }, allowedCidrs: ['127.1.0.0/16'] })).json()
    expect(child).toMatchObject({
      expiresAt: limited.expiresAt,
      createdBy: limited.id,
      budget: { periodSeconds: null },
    })

    const [admin] = (await call('GET', '/v1/keys')).json().items.filter((k: { name: string }) => k.name === 'test')
    for (const [method, path, body] of [
      ['POST', `/v1/keys/${admin.id}/rotate`, {}],
      ['POST', `/v1/keys/${admin.id}/rollback`, {}],
      ['PATCH', `/v1/keys/${admin.id}`, { name: 'mine' }],
      ['PATCH', `/v1/keys/${limited.id}`, { scopes: ['*'] }],
      ['PATCH', `/v1/keys/${limited.id}`, { expiresAt: null }],
      ['DELETE', `/v1/keys/${admin.id}`, undefined],
    ] as const) {
      expect([path, (await as(limited.secret, method, path, body)).json().code]).toEqual([path, 'BEYOND_OWN_KEY'])
    }
    expect((await as(limited.secret, 'POST', `/v1/keys/${child.id}/rotate`, {})).statusCode).toBe(201)
  })
})

describe('versions of a key', () => {
  it('both work in the window, then the old one expires by itself', async () => {
    const { create, rotate, outcome, clock, call } = await keyApi()
    const one = await create({})
    const two = await rotate(one.id, { graceSeconds: 60 })
    expect(two).toMatchObject({ id: one.id, version: 2 })
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual([200, 200])
    clock.nowMs += 59_999
    expect(await outcome(one.secret)).toBe(200)
    clock.nowMs += 1
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual(['KEY_EXPIRED', 200])
    const { versions } = (await call('GET', `/v1/keys/${one.id}`)).json()
    expect(versions.map((v: { state: string }) => v.state)).toEqual(['expired', 'active'])
  })

  it('a version that is announced works from its time on, and the window of the old one begins then', async () => {
    const { create, rotate, outcome, clock, iso } = await keyApi()
    const one = await create({})
    const two = await rotate(one.id, { graceSeconds: 60, activatesAt: iso(DAY) })
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual([200, 'KEY_NOT_ACTIVE'])
    clock.nowMs += DAY
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual([200, 200])
    clock.nowMs += 60_000
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual(['KEY_EXPIRED', 200])
    const later = await create({ activatesAt: iso(DAY) })
    expect([later.state, await outcome(later.secret)]).toEqual(['pending', 'KEY_NOT_ACTIVE'])
  })

  it('rolling back makes the old version current again for good; the new one works to the end of the window', async () => {
    const { create, rotate, outcome, clock, call } = await keyApi()
    const one = await create({})
    const two = await rotate(one.id, { graceSeconds: 60 })
    clock.nowMs += 30_000
    expect((await call('POST', `/v1/keys/${one.id}/rollback`, {})).json()).toMatchObject({
      version: 1,
      state: 'active',
    })
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual([200, 200])
    clock.nowMs += 30_000
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual([200, 'KEY_EXPIRED'])
    clock.nowMs += 100 * DAY
    expect(await outcome(one.secret)).toBe(200)
    expect((await call('POST', `/v1/keys/${one.id}/rollback`, {})).json().code).toBe('CONFLICT')
    expect((await rotate(one.id)).version).toBe(3)
  })

  it('rolling back after the window, or before a rotation, is refused', async () => {
    const { create, rotate, clock, call } = await keyApi()
    const { id } = await create({})
    expect((await call('POST', `/v1/keys/${id}/rollback`, {})).statusCode).toBe(409)
    await rotate(id, { graceSeconds: 1 })
    clock.nowMs += 1_000
    expect((await call('POST', `/v1/keys/${id}/rollback`, {})).statusCode).toBe(409)
  })

  it('a compromise forbids grace, roll-back and self-rotation, and stops what the key made', async () => {
    const { create, rotate, outcome, call, as, iso } = await keyApi()
    const one = await create({ scopes: ['keys:admin', 'node:read'] })
    const child = (await as(one.secret, 'POST', '/v1/keys', { name: 'thief', scopes: ['node:read'] })).json()
    const path = `/v1/keys/${one.id}/rotate`
    expect((await call('POST', path, { compromised: true, graceSeconds: 5 })).statusCode).toBe(400)
    expect((await call('POST', path, { compromised: true, activatesAt: iso(5) })).statusCode).toBe(400)
    const { errors } = (await call('POST', path, { compromised: true, graceSeconds: 5, activatesAt: iso(5) })).json()
    expect(errors.map((e: { pointer: string }) => e.pointer)).toEqual(['/graceSeconds', '/activatesAt'])
    expect((await as(one.secret, 'POST', '/v1/keys/self/rotate', { compromised: true })).statusCode).toBe(400)
    const followed = (await as(one.secret, 'POST', '/v1/keys/self/rotate', {})).json()
    const safe = await rotate(one.id, { compromised: true })
    expect(safe.stopped).toEqual([child.id])
    for (const { secret } of [one, followed, child]) expect(await outcome(secret)).toBe('KEY_REVOKED')
    expect(await outcome(safe.secret)).toBe(200)
    expect((await call('POST', `/v1/keys/${one.id}/rollback`, {})).json().code).toBe('CONFLICT')
    expect((await as(safe.secret, 'POST', '/v1/keys/self/rotate', {})).json().code).toBe('SELF_ROTATION_FORBIDDEN')
    const usual = await rotate(one.id)
    expect((await as(usual.secret, 'POST', '/v1/keys/self/rotate', {})).statusCode).toBe(201)
  })

  it('revoking works at once, on all versions, for good, and twice', async () => {
    const { create, rotate, outcome, call } = await keyApi()
    const one = await create({})
    const two = await rotate(one.id)
    for (let i = 0; i < 2; i++) expect((await call('DELETE', `/v1/keys/${one.id}`)).statusCode).toBe(204)
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual(['KEY_REVOKED', 'KEY_REVOKED'])
    expect((await call('POST', `/v1/keys/${one.id}/rotate`, {})).statusCode).toBe(409)
    expect((await call('PATCH', `/v1/keys/${one.id}`, { name: 'back' })).statusCode).toBe(409)
    expect((await call('GET', `/v1/keys/${one.id}`)).json().state).toBe('revoked')
  })

  it('a key with a budget takes over no other: only those that it made, which spend from its own', async () => {
    const { create, as, outcome } = await keyApi()
    const manager = { scopes: ['keys:admin', 'payments:send', 'node:read'], budget: { maxMsat: 1_000 } }
    const [one, other] = [await create(manager), await create(manager)]
    const code = async (bearer: string, method: string, id: string, body: object) => {
      const answer = await as(bearer, method, `/v1/keys/${id}${method === 'POST' ? '/rotate' : ''}`, body)
      return answer.json().code ?? answer.statusCode
    }
    const made = (await as(one.secret, 'POST', '/v1/keys', { name: 'm', ...manager })).json()
    const madeByIt = (await as(made.secret, 'POST', '/v1/keys', { name: 'mm', ...manager })).json()
    for (const [method, body] of [
      ['POST', {}],
      ['PATCH', { name: 'mine' }],
    ] as const) {
      for (const { secret } of [one, made]) expect(await code(secret, method, other.id, body)).toBe('BEYOND_OWN_KEY')
      expect(await code(made.secret, method, one.id, body)).toBe('BEYOND_OWN_KEY') // its maker's is more than its own
      for (const { id } of [made, madeByIt, one]) expect(await code(one.secret, method, id, body)).toBeOneOf([200, 201])
    }
    // Stopping another takes nothing.
    expect((await as(one.secret, 'DELETE', `/v1/keys/${other.id}`)).statusCode).toBe(204)
    expect(await outcome(other.secret)).toBe('KEY_REVOKED')
  })

  it('what had expired when it was stopped does not come back with a longer life, by rotate-all or as made by a leaked key', async () => {
    const { create, rotate, outcome, as, call, clock, iso } = await keyApi()
    const leaked = await create({ preset: 'admin' })
    const make = async (body: object) =>
      (await as(leaked.secret, 'POST', '/v1/keys', { name: 'c', preset: 'readonly', ...body })).json()
    const both = [
      [await create({ expiresAt: iso(1_000) }), { expiresAt: null }],
      [await create({ rotateEverySeconds: 1 }), { rotateEverySeconds: 3_600 }],
    ] as const
    const children = [
      [await make({ expiresAt: iso(1_000) }), { expiresAt: null }],
      [await make({ rotateEverySeconds: 1 }), { rotateEverySeconds: 3_600 }],
    ] as const
    const plain = await create({ expiresAt: iso(1_000) })
    clock.nowMs += 2_000
    expect(await outcome(plain.secret)).toBe('KEY_EXPIRED')
    await call('PATCH', `/v1/keys/${plain.id}`, { expiresAt: null })
    expect(await outcome(plain.secret)).toBe(200) // where nobody stopped anything, a longer life is one
    await rotate(leaked.id, { compromised: true })
    for (const [{ id, secret }, longer] of children) {
      expect((await call('PATCH', `/v1/keys/${id}`, longer)).statusCode).toBe(200)
      expect(await outcome(secret)).toBe('KEY_REVOKED')
    }
    const admin = (await call('POST', '/v1/keys/rotate-all', {})).json().secret
    for (const [{ id, secret }, longer] of both) {
      expect((await as(admin, 'PATCH', `/v1/keys/${id}`, longer)).statusCode).toBe(200)
      expect(await outcome(secret)).toBe('KEY_REVOKED')
    }
  })

  it('rotate-all stops every key but the new one of the caller; a stopped key comes back by rotation', async () => {
    const { create, outcome, call, bearer, as } = await keyApi()
    const others = [await create({}), await create({ preset: 'admin' })]
    const all = (await call('POST', '/v1/keys/rotate-all', {})).json()
    expect(all.stopped.sort()).toEqual(others.map((k) => k.id).sort())
    expect(await outcome(bearer)).toBe('KEY_REVOKED')
    for (const other of others) expect(await outcome(other.secret)).toBe('KEY_REVOKED')
    expect(await outcome(all.secret)).toBe(200)
    const [first] = others
    const back = await as(all.secret, 'POST', `/v1/keys/${first.id}/rotate`, {})
    expect(await outcome(back.json().secret)).toBe(200)
  })

  it('an expired key is refused until it is given more time', async () => {
    const { create, outcome, call, clock, iso } = await keyApi()
    const one = await create({ expiresAt: iso(1_000) })
    clock.nowMs += 1_000
    expect(await outcome(one.secret)).toBe('KEY_EXPIRED')
    expect((await call('POST', `/v1/keys/${one.id}/rotate`, {})).statusCode).toBe(409)
    await call('PATCH', `/v1/keys/${one.id}`, { expiresAt: null })
    expect(await outcome(one.secret)).toBe(200)
  })

  it('all of it is found again after a restart', async () => {
    const before = await keyApi()
    const one = await before.create({ metadata: { a: 'b' }, allowedCidrs: ['127.0.0.1'], rotateEverySeconds: 3_600 })
    const two = await before.rotate(one.id, { graceSeconds: 600 })
    for (let i = 0; i < 3; i++) await before.outcome(two.secret)
    const revoked = await before.create({})
    await before.call('DELETE', `/v1/keys/${revoked.id}`)
    const shown = (await before.call('GET', `/v1/keys/${one.id}`)).json()
    await before.app.close()

    const after = await keyApi({ store: before.node.apiStore })
    expect((await after.call('GET', `/v1/keys/${one.id}`)).json()).toEqual(shown)
    expect([await after.outcome(one.secret), await after.outcome(revoked.secret)]).toEqual([200, 'KEY_REVOKED'])
    expect((await after.call('GET', `/v1/keys/${one.id}/usage`)).json()).toMatchObject({
      requests: 4,
      versions: [
        { version: 1, requests: 1 },
        { version: 2, requests: 3, lastAddress: '127.0.0.1' },
      ],
    })
    for (const [name, value] of after.node.apiStore.records) {
      for (const { secret } of [one, two]) expect(name + utf8Decode(value)).not.toContain(secret.split('_')[2])
    }
  })
})
