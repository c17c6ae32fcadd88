import { describe, expect, it } from 'vitest'
import { AuditLog } from '../../src/api/auth/audit.ts'
import { type AuditEntry, chained, followChain, GENESIS } from '../../src/api/auth/auditChain.ts'
import { utf8 } from '../../src/base/bytes.ts'
import { FakeStore } from './fakeStore.ts'
import { testApi } from './harness.ts'

const fact = (n: number) => ({
  action: 'key.created',
  keyId: 'k',
  version: 1,
  address: '127.0.0.1',
  target: `t${n}`,
  detail: { n, nested: { b: 1, a: [1, 'x', null] } },
})

function chain(length: number): AuditEntry[] {
  const entries: AuditEntry[] = []
  for (let head = GENESIS, n = 1; n <= length; n++) {
    const entry = chained(head, fact(n), '2026-01-01T00:00:00.000Z')
    entries.push(entry)
    head = entry
  }
  return entries
}

describe('the hash chain', () => {
  it('is whole when nothing was touched, whatever the order of names in its JSON', () => {
    const entries = chain(10)
    const shuffled = entries.map((e) => Object.fromEntries(Object.entries(e).reverse()) as unknown as AuditEntry)
    for (const list of [entries, shuffled, JSON.parse(JSON.stringify(entries))]) {
      expect(followChain(list)).toEqual({ head: { seq: 10, hash: entries[9]?.hash }, fault: null })
    }
  })

  const change = (at: number, changes: Partial<AuditEntry>) => (entries: AuditEntry[]) =>
    entries.map((e, i) => (i === at ? { ...e, ...changes } : e))
  /** Changes an entry and makes its own hash fit again: the next one does not follow any more. */
  const reforge = (at: number) => (entries: AuditEntry[]) => {
    const before = entries[at - 1] ?? GENESIS
    const forged = chained(before, { ...fact(99), action: 'nothing.happened' }, '2026-01-01T00:00:00.000Z')
    return entries.map((e, i) => (i === at ? forged : e))
  }
  it.each<[string, (entries: AuditEntry[]) => AuditEntry[], number]>([
    ['another action', change(4, { action: 'key.revoked' }), 5],
    ['another time', change(0, { at: '2025-01-01T00:00:00.000Z' }), 1],
    ['another address', change(9, { address: null }), 10],
    ['a changed detail', change(3, { detail: { n: 4, nested: { b: 1, a: [1, 'x', 0] } } }), 4],
    ['a forged entry with a hash that fits', reforge(4), 6],
    ['an entry taken out', (e) => e.filter((_, i) => i !== 6), 7],
    ['the first entry taken out', (e) => e.slice(1), 1],
    ['two entries that changed places', (e) => [...e.slice(0, 3), e[4]!, e[3]!, ...e.slice(5)], 4],
    ['an entry put in twice', (e) => [...e.slice(0, 3), e[2]!, ...e.slice(3)], 4],
  ])('shows %s', (_what, tamper, at) => {
    expect(followChain(tamper(chain(10))).fault?.seq).toBe(at)
  })
})

describe('the audit log', () => {
  const numberOf = (name: string) => Number(name.slice('audit/'.length))
  const stored = (store: FakeStore) =>
    [...store.records.keys()].filter((name) => name.startsWith('audit/')).map(numberOf)

  it('has an entry for every change of a key, from the same batch, and none of a secret', async () => {
    const { call, node } = await testApi()
    const made = (await call('POST', '/v1/keys', { name: 'k', preset: 'spend' })).json()
    const path = `/v1/keys/${made.id}`
    await call('PATCH', path, { metadata: { a: 'b' } })
    const rotated = (await call('POST', `${path}/rotate`, {})).json()
    await call('POST', `${path}/rollback`, {})
    await call('DELETE', path)
    const page = (await call('GET', '/v1/audit?limit=5')).json()
    expect(page.items.map((e: AuditEntry) => [e.action, e.target])).toEqual(
      ['key.revoked', 'key.rolled-back', 'key.rotated', 'key.updated', 'key.created'].map((action) => [
        action,
        made.id,
      ]),
    )
    expect(page.head).toEqual({ seq: 6, hash: page.items[0].hash })
    expect(stored(node.apiStore)).toEqual([1, 2, 3, 4, 5, 6])
    for (const { secret } of [made, rotated]) expect(JSON.stringify(page)).not.toContain(secret.split('_')[2])
  })

  it('counts equal refusals as one entry, names the route and not what a stranger typed, and goes on after a restart', async () => {
    const { app, call, node } = await testApi()
    const wrong = { authorization: 'Bearer fulmen_aa_0123456789abcdef' }
    for (let i = 0; i < 5; i++) await app.inject({ url: `/v1/payments/secret-${i}`, headers: wrong })
    const [entry] = (await call('GET', '/v1/audit')).json().items
    expect(entry).toMatchObject({
      action: 'call.refused',
      keyId: null,
      address: '127.0.0.1',
      target: 'GET /v1/payments/:paymentHash',
      detail: { code: 'KEY_INVALID', count: 5 },
    })
    await app.close()
    const after = await testApi({ store: node.apiStore })
    await after.call('POST', '/v1/chain/mine', { blocks: 1 })
    const { items, head } = (await after.call('GET', '/v1/audit?limit=500')).json()
    expect(items[0]).toMatchObject({ action: 'call.made', target: 'POST /v1/chain/mine', detail: { status: 200 } })
    expect(followChain(items.toReversed())).toEqual({ head, fault: null })
  })

  it('pages from the newest to the first, each entry once', async () => {
    const { call } = await testApi()
    for (let i = 0; i < 9; i++) await call('POST', '/v1/keys', { name: `k${i}`, preset: 'readonly' })
    const seen: number[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { items: AuditEntry[]; nextCursor: string | null } = (
        await call('GET', `/v1/audit?limit=3${cursor && `&cursor=${cursor}`}`)
      ).json()
      seen.push(...page.items.map((e: AuditEntry) => e.seq))
      cursor = page.nextCursor
    }
    expect(seen).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
    expect((await call('GET', '/v1/audit?cursor=0')).statusCode).toBe(400)
  })

  it('goes on behind an entry that is damaged, or on its way to the disk', async () => {
    const { call, node } = await testApi()
    for (let i = 0; i < 9; i++) await call('POST', '/v1/keys', { name: `k${i}`, preset: 'readonly' })
    for (const name of [...node.apiStore.records.keys()])
      if (name.startsWith('audit/') && [10, 5].includes(numberOf(name))) node.apiStore.records.delete(name)
    for (const filter of ['', `&keyId=${(await call('GET', '/v1/keys/self')).json().id}`]) {
      const seen: number[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page: { items: AuditEntry[]; nextCursor: string | null } = (
          await call('GET', `/v1/audit?limit=3${filter}${cursor && `&cursor=${cursor}`}`)
        ).json()
        seen.push(...page.items.map((e: AuditEntry) => e.seq))
        cursor = page.nextCursor
      }
      expect(seen).toEqual([9, 8, 7, 6, 4, 3, 2, ...(filter ? [] : [1])]) // the first made the key itself
    }
  })

  it('a flood of refusals of ever new kinds grows it by a bounded number of entries', async () => {
    const store = new FakeStore()
    let now = 0
    const log = await AuditLog.open(store, () => now)
    for (let second = 0; second < 600; second++) {
      now += 1_000
      for (let i = 0; i < 100; i++)
        log.note({ ...fact(0), action: 'call.refused', address: `10.0.${second % 256}.${i}` })
      await log.flush()
    }
    expect(log.head.seq).toBeGreaterThan(2_000)
    expect(log.head.seq).toBeLessThan(2_000 + 600)
    const entries = await log.page(5_000)
    const counted = entries.reduce((sum, e) => sum + Number(e.detail.count ?? 0), 0)
    expect(60_000 - counted).toBeLessThan(100 * 60)
  })

  it('what was changed in the store itself shows', async () => {
    const { call, node, keys } = await testApi()
    await call('POST', '/v1/keys', { name: 'k', preset: 'readonly' })
    const name = 'audit/0000000000000001'
    const entry = JSON.parse(new TextDecoder().decode(node.apiStore.records.get(name)))
    node.apiStore.records.set(name, utf8(JSON.stringify({ ...entry, keyId: 'someone-else' })))
    const entries = [...(await keys.audit.page(10))].reverse()
    expect(followChain(entries).fault?.what).toContain('entry 1 was changed')
  })
})
