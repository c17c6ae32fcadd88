import { afterEach, describe, expect, it } from 'vitest'
import { AuditLog } from '../../src/api/auth/audit.ts'
import type { AuditEntry } from '../../src/api/auth/auditChain.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { createApi } from '../../src/api/server.ts'
import { nodeIdOf, World } from '../node/world.ts'
import { FakeStore } from './fakeStore.ts'
import { testApi } from './harness.ts'

const worlds: World[] = []
afterEach(() => {
  for (const world of worlds.splice(0)) world.close()
})

type Item = Record<string, unknown> & { createdAt: string; keyId: string | null }

describe('the lists of a real node', () => {
  it('are filtered by time and by the key that asked, together with status, page by page', async () => {
    const world = await World.start(['alice', 'bob'])
    worlds.push(world)
    world.connectAll()
    await world.settle()
    await world.fund()
    await world.open('alice', 'bob', 500_000)
    const { api } = world.of('alice')
    const keys = await KeyRing.open(api.apiStore)
    const app = createApi(api, { keys })
    await app.ready()
    const bearers = {
      one: (await world.attempt(keys.create('one', ['*'])))!,
      two: (await world.attempt(keys.create('two', ['*'])))!,
    }
    const idOf = (name: keyof typeof bearers) => bearers[name].split('_')[1]!
    const call = async (name: keyof typeof bearers, method: string, url: string, payload?: object) => {
      const headers = { authorization: `Bearer ${bearers[name]}` }
      const request = { method: method as 'GET', url, headers, ...(payload && { payload }) }
      return (await world.attempt(app.inject(request).then((a) => a)))!.json()
    }
    const list = async (path: string, query = ''): Promise<Item[]> => {
      const items: Item[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page: { items: Item[]; nextCursor: string | null } = await call(
          'one',
          'GET',
          `${path}?limit=2&${query}${cursor && `&cursor=${cursor}`}`,
        )
        items.push(...page.items)
        cursor = page.nextCursor
      }
      return items
    }
    for (let i = 0; i < 3; i++) {
      for (const name of ['one', 'two'] as const) {
        await call(name, 'POST', '/v1/invoices', { amountMsat: 1000 + i, description: name })
        const pay = { nodeId: nodeIdOf('bob'), amountMsat: i === 1 ? 400_000_000_000 : 5_000 }
        await call(name, 'POST', '/v1/payments', pay)
      }
      await world.mine(2)
    }
    const { address } = await call('one', 'POST', '/v1/wallet/addresses')
    await call('one', 'POST', '/v1/wallet/transactions', { outputs: [{ address, amountSat: 10_000 }] })
    for (const path of ['/v1/invoices', '/v1/payments', '/v1/wallet/transactions']) {
      const all = await list(path)
      expect([path, all.length]).toEqual([path, expect.any(Number)])
      expect(all.length).toBeGreaterThan(2)
      const times = [...new Set(all.map(({ createdAt }) => createdAt))].sort()
      expect(times.length).toBeGreaterThan(1)
      for (const from of times) {
        const isFrom = ({ createdAt }: Item) => createdAt >= from
        expect([path, from, await list(path, `from=${from}`)]).toEqual([path, from, all.filter(isFrom)])
        expect([path, from, await list(path, `to=${from}`)]).toEqual([path, from, all.filter((i) => !isFrom(i))])
      }
      const [first, last] = [times[0]!, times.at(-1)!]
      const between = ({ createdAt }: Item) => createdAt >= first && createdAt < last
      expect(await list(path, `from=${first}&to=${last}`)).toEqual(all.filter(between))
      const day = first.slice(0, 10)
      expect(await list(path, `from=${day}&to=${day}`)).toEqual(all.filter((i) => i.createdAt.startsWith(day)))
      if (path === '/v1/wallet/transactions') continue
      for (const name of ['one', 'two'] as const) {
        const own = all.filter(({ keyId }) => keyId === idOf(name))
        expect(own).toHaveLength(path === '/v1/payments' ? 2 : 3) // what could not be begun leaves no payment
        expect(await list(path, `keyId=${idOf(name)}`)).toEqual(own)
        expect(await list(path, `keyId=${idOf(name)}&from=${last}`)).toEqual(own.filter((i) => i.createdAt >= last))
        const { status } = own[0]!
        expect(await list(path, `keyId=${idOf(name)}&status=${status}`)).toEqual(own)
      }
      expect(await list(path, 'keyId=nobody')).toEqual([])
    }
    await app.close()
  })

  it('refuse times that there are not, and a range without time in it', async () => {
    const { call } = await testApi()
    const lists = ['/v1/payments', '/v1/invoices', '/v1/forwards', '/v1/wallet/transactions', '/v1/audit']
    const refused: [string, string][] = [
      ['from=2026-02-31', '/from'],
      ['from=2026-02-30T00:00:00Z', '/from'],
      ['to=2026-01-01T25:00:00Z', '/to'],
      ['from=1767225600', '/from'],
      ['to=2026-01-01T00:00:00', '/to'],
      ['from=2026-01-02&to=2026-01-01', '/to'],
      ['from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z', '/to'],
    ]
    for (const path of lists) {
      for (const [query, pointer] of refused) {
        const { errors, code } = (await call('GET', `${path}?${query}`)).json()
        expect([path, query, code, errors?.[0].pointer]).toEqual([path, query, 'VALIDATION_FAILED', pointer])
      }
      for (const query of [
        'from=2026-01-01&to=2026-01-01',
        'from=2026-01-01T00:00Z',
        'to=2026-01-01T00:00:00.123%2B02:00',
      ])
        expect([path, query, (await call('GET', `${path}?${query}`)).statusCode]).toEqual([path, query, 200])
    }
    expect((await call('GET', '/v1/payments?keyId=a/b')).json().errors[0].pointer).toBe('/keyId')
  })
})

describe('the audit log', () => {
  it('is filtered by time and by who called, also what was written before there was a list by key', async () => {
    const store = new FakeStore()
    let now = 0
    const log = await AuditLog.open(store, () => now)
    const fact = { action: 'key.updated', version: 1, address: null, target: 't', detail: {} }
    for (let i = 0; i < 60; i++) {
      now = Math.floor(i / 3) * 1_000
      await store.commit(log.append([{ ...fact, keyId: i % 4 === 0 ? null : `k${i % 4}` }]))
    }
    const entries = [...(await log.page(1_000))]
    expect(entries).toHaveLength(60)
    const check = async (one: AuditLog) => {
      for (const keyId of [undefined, 'k1', 'k3', 'k', 'nobody']) {
        for (const [from, to] of [[], [5_000], [undefined, 7_001], [4_000, 9_000], [90_000], [undefined, 0]] as const) {
          const filter = {
            ...(keyId && { keyId }),
            ...(from !== undefined && { from }),
            ...(to !== undefined && { to }),
          }
          const isWanted = (e: AuditEntry) =>
            (keyId === undefined || e.keyId === keyId) &&
            Date.parse(e.at) >= (from ?? 0) &&
            Date.parse(e.at) < (to ?? Number.POSITIVE_INFINITY)
          const wanted = entries.filter(isWanted)
          expect(await one.page(1_000, undefined, filter)).toEqual(wanted)
          const [third] = wanted.slice(2)
          if (third) expect(await one.page(2, third.seq, filter)).toEqual(wanted.slice(3, 5))
        }
      }
    }
    await check(log)
    for (const key of [...store.records.keys()]) if (key.startsWith('audit-key')) store.records.delete(key)
    await check(await AuditLog.open(store, () => now))
  })

  it('answers what one key did, over pages', async () => {
    const { call, clock, bearer } = await testApi()
    const other = (await call('POST', '/v1/keys', { name: 'k', preset: 'admin' })).json()
    for (let i = 0; i < 5; i++) {
      clock.nowMs += 60_000
      const authorization = `Bearer ${i % 2 === 0 ? other.secret : bearer}`
      await call('POST', '/v1/keys', { name: `k${i}`, preset: 'readonly' }, { authorization })
    }
    const seen: (string | null)[] = []
    let pages = 0
    for (let cursor: string | null = ''; cursor !== null; pages++) {
      const page: { items: AuditEntry[]; nextCursor: string | null } = (
        await call('GET', `/v1/audit?limit=2&keyId=${other.id}${cursor && `&cursor=${cursor}`}`)
      ).json()
      seen.push(...page.items.map((e) => e.keyId))
      cursor = page.nextCursor
    }
    expect([seen, pages]).toEqual([[other.id, other.id, other.id], 2])
    const at = new Date(clock.nowMs).toISOString()
    expect((await call('GET', `/v1/audit?keyId=${other.id}&from=${at}`)).json().items).toHaveLength(1)
  })
})
