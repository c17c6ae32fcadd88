import type { FastifyRequest } from 'fastify'
import { describe, expect, it } from 'vitest'
import { Alerts } from '../../src/api/alerts/alerts.ts'
import { AuditLog } from '../../src/api/auth/audit.ts'
import { Budgets } from '../../src/api/auth/budgets.ts'
import { createKey } from '../../src/api/auth/keyChanges.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { Idempotency } from '../../src/api/idempotency.ts'
import { utf8 } from '../../src/base/bytes.ts'
import { offlineApiStore } from '../../src/node/apiStore.ts'
import type { ApiStore } from '../../src/node/service.ts'
import { CheckedDriver } from '../../src/store/checked.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { keys, padded } from '../../src/store/schema.ts'

const storeOn = (disk: MemoryDriver): ApiStore => {
  const driver = new CheckedDriver(disk)
  return offlineApiStore(driver, (ops) => driver.batch(ops))
}
/** One bit of the record changes on disk. */
async function rot(disk: MemoryDriver, key: string): Promise<void> {
  const value = (await disk.get(keys.api(key)))!
  value[1]! ^= 4
  await disk.batch([{ key: keys.api(key), value }])
}

describe('a record of the API whose bytes have changed on disk', () => {
  it('keeps the keys from being opened for none: what it was is left out, and stops nothing that it allowed', async () => {
    const disk = new MemoryDriver()
    const ring = await KeyRing.open(storeOn(disk), () => 1_000)
    await ring.create('one', ['*'], async () => {})
    await ring.create('two', ['*'], async () => {})
    const names = [...disk.snapshot().keys()].map((key) => key.slice(keys.api('').length))
    for (const name of names) {
      const other = new MemoryDriver(disk.snapshot())
      if ((await other.get(keys.api(name)))!.length < 5) continue
      await rot(other, name)
      const opened = await KeyRing.open(storeOn(other), () => 1_000)
      expect([name, opened.size]).toEqual([name, name.startsWith('key/') ? 1 : 2])
    }
  })

  it('ends the access tokens until now where it said since when they are ended', async () => {
    const disk = new MemoryDriver()
    await storeOn(disk).put('tokens-not-before', utf8('500'))
    expect((await KeyRing.open(storeOn(disk), () => 1_000)).emergencyAt).toBe(500)
    await rot(disk, 'tokens-not-before')
    expect((await KeyRing.open(storeOn(disk), () => 1_000)).emergencyAt).toBe(1_000)
  })

  it('has the audit log go on from its newest entry where it is the head', async () => {
    const disk = new MemoryDriver()
    const store = storeOn(disk)
    const log = await AuditLog.open(store, () => 1_000)
    const fact = { keyId: null, version: null, address: null, target: null, detail: {} }
    for (const action of ['keys.reset', 'key.created'] as const) await store.commit(log.append([{ ...fact, action }]))
    await rot(disk, 'audit-head')
    expect((await AuditLog.open(storeOn(disk), () => 1_000)).head).toEqual(log.head)
  })

  it('gives no entry of the audit log the number of another where the newest are damaged with the head', async () => {
    const disk = new MemoryDriver()
    const store = storeOn(disk)
    const log = await AuditLog.open(store, () => 1_000)
    const fact = { keyId: null, version: null, address: null, target: null, detail: {} }
    for (let i = 0; i < 5; i++) await store.commit(log.append([{ ...fact, action: 'key.created' }]))
    for (const name of ['audit-head', ...[4, 5].map((seq) => `audit/${padded(seq)}`)]) await rot(disk, name)
    expect((await AuditLog.open(storeOn(disk), () => 1_000)).head.seq).toBe(5)
  })

  it('lists the calls of a key where it said that there is such a list', async () => {
    const disk = new MemoryDriver()
    const log = await AuditLog.open(storeOn(disk), () => 1_000)
    const fact = { action: 'key.created', keyId: 'k', version: 1, address: null, target: null, detail: {} } as const
    await storeOn(disk).commit([...log.append([fact]), { key: 'audit-keys-sorted', value: utf8('1') }])
    await rot(disk, 'audit-keys-sorted')
    expect(await (await AuditLog.open(storeOn(disk), () => 1_000)).page(10, undefined, { keyId: 'k' })).toHaveLength(1)
  })

  it('keeps no node from starting where it said up to where events had raised alerts', async () => {
    const disk = new MemoryDriver()
    await storeOn(disk).put('alert-cursor', utf8('7'))
    await rot(disk, 'alert-cursor')
    const data = { code: 'BACKUP_NOT_WRITTEN', message: 'no room', byPeer: false }
    const event = { id: 9, type: 'node.alert', at: '2026-01-01T00:00:00.000Z', data } as const
    const service = {
      apiStore: storeOn(disk),
      eventsSince: async (since: number) => (since < 9 ? [event] : []),
      lastEventId: () => 9,
      onEvent: () => () => {},
    }
    const look = async () => ({ findings: [], unknown: new Set<string>() })
    const alerts = new Alerts({ service, now: () => 1_000, look, onError: () => {} })
    await alerts.load()
    expect(alerts.list(() => true).map(({ code }) => code)).toEqual(['BACKUP_NOT_WRITTEN'])
    await alerts.close()
  })

  it('of an Idempotency-Key is told as that: the call may have been carried out', async () => {
    const disk = new MemoryDriver()
    const made: string[] = []
    const once = () => {
      const calls = new Idempotency(
        storeOn(disk),
        () => 'id',
        () => 1_000,
      )
      const request = { method: 'POST', url: '/', headers: { 'idempotency-key': 'k' }, caller: { keyId: 'c' } }
      const make = async () => {
        made.push('made')
        return 'made'
      }
      const find = async () => 'made'
      return calls.once(request as unknown as FastifyRequest, { make, find, idOf: () => 'id' })
    }
    await once()
    for (const [name] of await storeOn(disk).list('idempotency/', 1)) await rot(disk, name)
    await expect(once()).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('is damaged') })
    expect(made).toEqual(['made'])
  })

  it('of an Idempotency-Key keeps no others from being deleted in their time', async () => {
    const disk = new MemoryDriver()
    const store = storeOn(disk)
    let now = 1_000
    const calls = new Idempotency(
      store,
      () => 'id',
      () => now,
    )
    const once = (name: number) => {
      const request = { method: 'POST', url: '/', headers: { 'idempotency-key': `k-${name}` }, caller: { keyId: 'c' } }
      const making = { make: async () => 'made', find: async () => 'made', idOf: () => 'id' }
      return calls.once(request as unknown as FastifyRequest, making)
    }
    const kept = async () => (await store.newest('idempotency-age/', {}, 10_000)).length
    await once(0) // the first one looks for what is old
    for (let name = 1; name <= 700; name++) await once(name)
    await calls.flush()
    for (const [name] of await store.list('idempotency/', 1)) await rot(disk, name)
    for (const [name] of await store.list('idempotency-age/', 1)) await rot(disk, name)
    now += 8 * 24 * 3_600_000
    for (let name = 1_000; name <= 1_301; name++) await once(name)
    await expect.poll(kept).toBe(302)
  })

  it('leaves a key nothing to spend where it said what was spent', async () => {
    const disk = new MemoryDriver()
    const ring = await KeyRing.open(storeOn(disk), () => 1_000)
    const settings = { name: 'k', scopes: ['*'] as const, expiresAt: null, allowedCidrs: [], rateLimit: null }
    const more = { budget: { maxMsat: 1_000, periodSeconds: null }, rotateEverySeconds: null, metadata: {} }
    const { record } = createKey({ ...settings, ...more }, { createdBy: null, activatesAt: 500, now: 500 })
    await ring.change(() => ({ records: [record], facts: [] }))
    await storeOn(disk).put(`budget/${record.id}`, utf8(JSON.stringify({ since: 500, spentMsat: '10' })))
    const available = async (): Promise<bigint> => {
      const budgets = new Budgets(storeOn(disk), ring, async () => null)
      await budgets.load()
      return budgets.available(record.id)
    }
    expect(await available()).toBe(990n)
    await rot(disk, `budget/${record.id}`)
    expect(await available()).toBeLessThanOrEqual(0n)
  })

  it('that says who a key came from is named when the key spends, and by what it makes: nobody knows its budget', async () => {
    const disk = new MemoryDriver()
    const ring = await KeyRing.open(storeOn(disk), () => 1_000)
    const settings = { name: 'k', scopes: ['*'] as const, expiresAt: null, allowedCidrs: [], rateLimit: null }
    const more = {
      ...settings,
      budget: { maxMsat: 1_000, periodSeconds: null },
      rotateEverySeconds: null,
      metadata: {},
    }
    const make = async (createdBy: string | null) => {
      const { record } = createKey(more, { createdBy, activatesAt: 500, now: 500 })
      await ring.change(() => ({ records: [record], facts: [] }))
      return record.id
    }
    const parent = await make(null)
    const child = await make(parent)
    await rot(disk, `key/${parent}`)
    const keys = await KeyRing.open(storeOn(disk), () => 1_000)
    const budgets = new Budgets(storeOn(disk), keys, async () => null)
    await budgets.load()
    const damaged = { code: 'KEY_DAMAGED', message: expect.stringContaining(parent) }
    const thrown = (call: () => unknown) => new Promise((resolve) => resolve(call())).catch((e) => e)
    expect(await thrown(() => budgets.limits(child))).toMatchObject(damaged)
    expect(await thrown(() => keys.lineage(child))).toMatchObject(damaged)
    expect(budgets.view(child)).toMatchObject({ maxMsat: 1_000, spentMsat: 0 })
    expect(await thrown(() => budgets.limits(parent))).toMatchObject({ code: 'NOT_FOUND' })
  })
})
