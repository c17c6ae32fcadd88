import { describe, expect, it } from 'vitest'
import { DAY, keyApi } from './keyApi.ts'

describe('rotation that a client does for itself', () => {
  it('is asked for in the last third before the deadline, with every answer and as an event, and ends the version then', async () => {
    const { create, as, clock, keys, node, outcome, iso } = await keyApi()
    const by = iso(3_000_000)
    const one = await create({ rotateEverySeconds: 3_000 })
    const { headers } = await as(one.secret)
    expect([headers['x-key-rotate-from'], headers['x-key-rotate-by'], one.rotateBy]).toEqual([iso(2_000_000), by, by])
    const expiring = () => node.events.filter((e) => e.type === 'key.expiring')
    clock.nowMs += 1_999_999
    await keys.tick()
    expect(expiring()).toEqual([])
    clock.nowMs += 1
    await keys.tick()
    await keys.tick()
    expect(expiring().map((e) => e.data)).toEqual([{ id: one.id, version: 1, name: 'k', expiresAt: by, rotate: true }])
    const two = (await as(one.secret, 'POST', '/v1/keys/self/rotate', {})).json()
    const rotated = node.events.filter((e) => e.type === 'key.rotated').at(-1)
    expect(rotated?.data).toMatchObject({ id: one.id, version: 2, previousVersion: 1, why: 'self', graceUntil: by })
    expect(JSON.stringify(node.events)).not.toContain(two.secret.split('_')[2])
    clock.nowMs += 1_000_000
    expect([await outcome(one.secret), await outcome(two.secret)]).toEqual(['KEY_EXPIRED', 200])
  })

  it('an end of life is told as well', async () => {
    const { create, clock, keys, node, iso } = await keyApi()
    await create({ expiresAt: iso(30 * DAY) })
    clock.nowMs += 23 * DAY
    await keys.tick()
    expect(node.events.map((e) => [e.type, e.data.rotate])).toEqual([['key.expiring', false]])
  })

  it('after a roll-back it is the version rolled back to that can, not the other', async () => {
    const { create, rotate, as, call } = await keyApi()
    const one = await create({})
    const two = await rotate(one.id)
    await as(two.secret)
    await call('POST', `/v1/keys/${one.id}/rollback`, {})
    expect((await as(two.secret, 'POST', '/v1/keys/self/rotate', {})).json().code).toBe('CONFLICT')
    expect((await as(one.secret, 'POST', '/v1/keys/self/rotate', {})).json().version).toBe(3)
  })

  it('a new rhythm or a later end is told of anew', async () => {
    const { create, call, clock, keys, node, iso } = await keyApi()
    const one = await create({ expiresAt: iso(3_000) })
    clock.nowMs += 2_500
    await keys.tick()
    await call('PATCH', `/v1/keys/${one.id}`, { expiresAt: iso(DAY), rotateEverySeconds: 10 })
    clock.nowMs += 5_000
    await keys.tick()
    expect(node.events.map((e) => [e.type, e.data.rotate])).toEqual([
      ['key.expiring', false],
      ['key.expiring', true],
    ])
  })

  it('only the current version can; a lost answer is asked for again as long as nobody used it', async () => {
    const { create, as, outcome, rotate } = await keyApi()
    const one = await create({})
    const self = async (secret: string) => as(secret, 'POST', '/v1/keys/self/rotate', {})
    const lost = (await self(one.secret)).json()
    const two = (await self(one.secret)).json()
    expect([lost.version, two.version, await outcome(lost.secret)]).toEqual([2, 3, 'KEY_REVOKED'])
    expect(await outcome(two.secret)).toBe(200)
    expect((await self(one.secret)).json().code).toBe('CONFLICT')
    // A version that an operator made is no lost answer, used or not.
    await rotate(one.id)
    expect((await self(two.secret)).json().code).toBe('CONFLICT')
  })
})

describe('limits of a key', () => {
  it('networks: served from inside, refused from outside, with IPv6 and mapped addresses', async () => {
    const { create, as } = await keyApi()
    const { secret } = await create({ allowedCidrs: ['10.1.0.0/16', '192.168.0.7', 'fd00::/8'] })
    for (const [address, status] of [
      ['10.1.255.255', 200],
      ['10.2.0.0', 403],
      ['192.168.0.7', 200],
      ['192.168.0.8', 403],
      ['::ffff:10.1.2.3', 200],
      ['::ffff:10.2.2.3', 403],
      ['fd12::1', 200],
      ['fe80::1', 403],
      ['127.0.0.1', 403],
    ] as const) {
      const answer = await as(secret, 'GET', '/v1/node', undefined, address)
      expect([address, answer.statusCode]).toEqual([address, status])
      if (status === 403) expect(answer.json().code).toBe('ADDRESS_NOT_ALLOWED')
    }
  })

  it('rate: so many at once, then as they come back, exactly; told in headers; 429 with Retry-After', async () => {
    const { create, as, clock } = await keyApi()
    const { secret } = await create({ rateLimit: { maxRequests: 3, periodSeconds: 7 } })
    const seen: unknown[] = []
    for (let i = 0; i < 4; i++) {
      const { statusCode, headers } = await as(secret)
      seen.push([
        statusCode,
        headers['ratelimit-limit'],
        headers['ratelimit-remaining'],
        headers['ratelimit-reset'],
        headers['retry-after'],
      ])
    }
    expect(seen).toEqual([
      [200, '3', '2', '3', undefined],
      [200, '3', '1', '5', undefined],
      [200, '3', '0', '7', undefined],
      [429, '3', '0', '7', '3'],
    ])
    clock.nowMs += 2_333
    expect((await as(secret)).statusCode).toBe(429)
    clock.nowMs += 1
    expect((await as(secret)).statusCode).toBe(200)
    // Over a long time no request more than the limit says.
    let served = 0
    for (let ms = 0; ms < 71_000; ms += 10) {
      clock.nowMs += 10
      if ((ms / 10) % 20 === 0 && (await as(secret)).statusCode === 200) served++
    }
    expect(served).toBe(30)
    expect((await as(secret, 'GET', '/v1/node')).headers).not.toHaveProperty('x-key-rotate-by')
  })

  it('an external close address and pushMsat need wallet:send as well', async () => {
    const { create, as, node } = await keyApi()
    const { secret } = await create({ scopes: ['channels:write', 'channels:read'] })
    const peer = `03${'cd'.repeat(32)}`
    const open = (body: object) => as(secret, 'POST', '/v1/channels', { peer, capacitySat: 100_000, ...body })
    expect((await open({ pushMsat: 1 })).json().code).toBe('SCOPE_MISSING')
    const channel = (await open({ pushMsat: 0 })).json()
    const close = (body: object) => as(secret, 'POST', `/v1/channels/${channel.id}/close`, body)
    const { address } = await node.newAddress()
    expect((await close({ address })).json().code).toBe('SCOPE_MISSING')
    const atRisk = await close({ force: true, acceptRisk: 'losing-the-whole-channel' })
    expect(atRisk.json().code).toBe('SCOPE_MISSING')
    expect((await close({})).statusCode).toBe(202)
  })

  it('counts uses and refusals per version', async () => {
    const { create, rotate, as, call } = await keyApi()
    const one = await create({})
    const two = await rotate(one.id)
    await as(one.secret)
    await as(two.secret)
    await as(two.secret)
    await as(two.secret, 'POST', '/v1/payments', {})
    expect((await call('GET', `/v1/keys/${one.id}/usage`)).json()).toMatchObject({
      requests: 3,
      refused: 1,
      versions: [
        { version: 1, state: 'grace', requests: 1, refused: 0 },
        { version: 2, state: 'active', requests: 2, refused: 1 },
      ],
    })
  })
})
