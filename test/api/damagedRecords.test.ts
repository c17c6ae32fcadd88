import { describe, expect, it } from 'vitest'
import { AuditLog } from '../../src/api/auth/audit.ts'
import { Budgets } from '../../src/api/auth/budgets.ts'
import { createKey } from '../../src/api/auth/keyChanges.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { utf8 } from '../../src/base/bytes.ts'
import { offlineApiStore } from '../../src/node/apiStore.ts'
import type { ApiStore } from '../../src/node/service.ts'
import { CheckedDriver } from '../../src/store/checked.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { keys } from '../../src/store/schema.ts'

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
})
