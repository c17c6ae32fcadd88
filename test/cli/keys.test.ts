import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ensureAdminKey } from '../../src/api/auth/adminKey.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { utf8, utf8Decode } from '../../src/base/bytes.ts'
import { offlineApiStore } from '../../src/node/apiStore.ts'
import { checkJournal, Journal } from '../../src/store/journal.ts'
import { LevelDriver } from '../../src/store/level.ts'
import { prefixRange } from '../../src/store/schema.ts'
import { dataDir, fulmen, node, setNode } from './fakeNode.ts'

setNode()

const json = async (...args: string[]) => JSON.parse((await fulmen(...args, '--json')).out)
const keyFile = async () => (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()

describe('fulmen key', () => {
  it('makes a key with every setting; its secret alone is on standard output', async () => {
    const made = await fulmen(
      ...['key', 'create', 'shop', '--scope', 'payments:send', '--scope', 'node:read', '--cidr', '127.0.0.0/8'],
      ...['--rate', '1000/60', '--budget-msat', '5_000', '--budget-period', '3600', '--rotate-every', '86400'],
      ...['--expires-at', '2100-01-01T00:00:00Z', '--meta', 'team=sales'],
    )
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^fulmen_[0-9a-f]{12}_[0-9a-f]{64}\n$/) })
    const id = made.out.split('_')[1] ?? ''
    expect(await json('key', 'show', id)).toMatchObject({
      name: 'shop',
      scopes: ['payments:send', 'node:read'],
      allowedCidrs: ['127.0.0.0/8'],
      rateLimit: { maxRequests: 1_000, periodSeconds: 60 },
      budget: { maxMsat: 5_000, periodSeconds: 3_600 },
      rotateEverySeconds: 86_400,
      expiresAt: '2100-01-01T00:00:00.000Z',
      metadata: { team: 'sales' },
    })
    expect((await fulmen('key', 'list')).out).toContain('shop')
    expect(await json('key', 'update', id, '--name', 'store')).toMatchObject({
      name: 'store',
      rotateEverySeconds: 86_400,
    })
  })

  it('makes none without a budget where a period for one is given, and says what a limit is', async () => {
    const create = ['key', 'create', 'payroll', '--preset', 'spend']
    for (const [code, message, ...args] of [
      [2, '--budget-msat', ...create, '--budget-period', '86400'],
      [2, '--budget-msat', 'key', 'update', 'x', '--budget-period', '86400'],
      [1, 'seconds, 1 at least', ...create, '--rotate-every', '0'],
      [1, 'whole numbers from 1 on', ...create, '--budget-msat', '0'],
    ] as const)
      expect(await fulmen(...args)).toMatchObject({ code, err: expect.stringContaining(message) })
    expect((await fulmen('key', 'list')).out).not.toContain('payroll')
  })

  it('takes a day for the end of a key, and says before it asks what a preset is', async () => {
    const { id } = await json('key', 'create', 'guest', '--preset', 'readonly', '--expires-at', '2100-01-01')
    expect((await json('key', 'show', id)).expiresAt).toBe('2100-01-01T00:00:00.000Z')
    expect((await json('key', 'update', id, '--expires-at', '2101-12-31')).expiresAt).toBe('2101-12-31T00:00:00.000Z')
    for (const [code, message, ...args] of [
      [1, 'there is no such time', '--expires-at', '2101-02-29'],
      [1, 'a day in UTC', '--expires-at', 'tomorrow'],
      [2, 'readonly, invoice, spend, admin', '--preset', 'shop'],
    ] as const)
      expect(await fulmen('key', 'update', id, ...args)).toMatchObject({ code, err: expect.stringContaining(message) })
  })

  it('says so where the revoked key is the one in use, and of no other', async () => {
    const { id, secret } = await json('key', 'create', 'second', '--preset', 'admin')
    const other = await json('key', 'create', 'third', '--preset', 'readonly')
    expect((await fulmen('--key', secret, 'key', 'revoke', other.id)).err).toBe('')
    const { out, err } = await fulmen('--key', secret, 'key', 'revoke', id)
    expect([out, err]).toEqual([`revoked ${id}\n`, expect.stringContaining('"fulmen key reset"')])
    expect(await fulmen('--key', secret, 'info')).toMatchObject({
      code: 1,
      err: expect.stringContaining('KEY_REVOKED'),
    })
  })

  it('rotates, rolls back, shows the usage and revokes', async () => {
    const { id } = await json('key', 'create', 'app', '--preset', 'readonly')
    expect(await json('key', 'rotate', id, '--grace', '60')).toMatchObject({ id, version: 2 })
    expect((await json('key', 'rollback', id)).version).toBe(1)
    expect((await json('key', 'rotate', id, '--compromised')).version).toBe(3)
    expect((await fulmen('key', 'usage', id)).out).toMatch(/stopped.*stopped.*active/s)
    expect((await fulmen('key', 'revoke', id)).out).toBe(`revoked ${id}\n`)
    expect(await fulmen('key', 'rotate', id)).toMatchObject({ code: 1, err: expect.stringContaining('[CONFLICT]') })
    expect(await fulmen('key', 'create', 'x', '--rate', 'much')).toMatchObject({ code: 2 })
  })

  it('rotate-all goes on with the new admin key, which is in admin.key then', async () => {
    const before = await keyFile()
    const { secret } = await json('key', 'rotate-all')
    expect([await keyFile(), secret === before]).toEqual([secret, false])
    expect((await fulmen('info')).code).toBe(0)
    expect((await json('key', 'show')).version).toBe(2)
  })

  it('rotates the key in use, named as self, into admin.key: the version there would end with its window', async () => {
    const { secret } = await json('key', 'rotate', 'self')
    expect(await keyFile()).toBe(secret)
    expect((await fulmen('info')).code).toBe(0)
  })
})

describe('fulmen audit', () => {
  it('lists, and verifies from the entries alone; an earlier head must still be part of the log', async () => {
    expect((await fulmen('audit', 'list', '--limit', '5')).out).toContain('keys.rotated-all')
    const first = await json('audit', 'verify')
    expect(first.ok).toBe(true)
    await fulmen('key', 'create', 'later', '--preset', 'readonly')
    const expected = `${first.seq}:${first.hash}`
    expect(await fulmen('audit', 'verify', '--expect', expected)).toMatchObject({ code: 0 })
    const other = `${first.seq}:${'00'.repeat(32)}`
    expect(await fulmen('audit', 'verify', '--expect', other)).toMatchObject({
      code: 1,
      err: expect.stringContaining('another'),
    })
  })

  it.each([
    ['a changed entry', (e: object) => ({ ...e, action: 'nothing' }), /was changed/],
    ['a missing entry', () => undefined, /entry 2 is missing/],
  ])('fails on %s', async (_what, tamper, message) => {
    const name = 'audit/0000000000000002'
    const value = node.apiStore.records.get(name)!
    const changed = tamper(JSON.parse(utf8Decode(value)))
    if (changed === undefined) node.apiStore.records.delete(name)
    else node.apiStore.records.set(name, utf8(JSON.stringify(changed)))
    expect(await fulmen('audit', 'verify')).toMatchObject({ code: 1, err: expect.stringMatching(message) })
    node.apiStore.records.set(name, value)
    expect((await fulmen('audit', 'verify')).code).toBe(0)
  })
})

describe('fulmen key reset', () => {
  const ringAt = async (directory: string) => {
    const driver = await LevelDriver.open(join(directory, 'db'))
    const journal = new Journal(driver, (await checkJournal(driver)).last)
    const store = offlineApiStore(driver, async (ops) => void (await journal.commit(ops)))
    return { driver, ring: await KeyRing.open(store) }
  }

  it('on the machine itself: a new admin key, the others stopped when asked for, and an entry in the log', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fulmen-reset-'))
    const at = ['--data-dir', directory]
    const { driver, ring } = await ringAt(directory)
    const { created } = await ensureAdminKey(ring, directory)
    expect(await fulmen(...at, 'key', 'reset')).toMatchObject({ code: 1, err: expect.stringContaining('STORE_LOCKED') })
    await driver.close()

    const reset = await fulmen(...at, 'key', 'reset')
    expect(reset).toMatchObject({ code: 0, out: `${(await readFile(join(directory, 'admin.key'), 'utf8')).trim()}\n` })
    const after = await ringAt(directory)
    expect(after.ring.verify(`Bearer ${reset.out.trim()}`).scopes).toEqual(['*'])
    expect(after.ring.verify(`Bearer ${created}`).scopes).toEqual(['*'])
    expect((await after.ring.audit.page(1))[0]).toMatchObject({ action: 'keys.reset', detail: { stopOthers: false } })
    await after.driver.close()

    const emergency = await fulmen(...at, 'key', 'reset', '--stop-others')
    const last = await ringAt(directory)
    expect(last.ring.verify(`Bearer ${emergency.out.trim()}`).scopes).toEqual(['*'])
    for (const old of [created, reset.out.trim()]) {
      expect(() => last.ring.verify(`Bearer ${old}`)).toThrow(expect.objectContaining({ code: 'KEY_REVOKED' }))
    }
    const numbers: number[] = []
    for await (const [key] of last.driver.entries(prefixRange('journal/'))) numbers.push(Number(key.split('/')[1]))
    expect(numbers).toEqual(numbers.map((_, i) => i + 1))
    await last.driver.close()
    await rm(directory, { recursive: true })
  })

  it('makes nothing where no node is', async () => {
    expect(await fulmen('--data-dir', '/nowhere', 'key', 'reset')).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no node at /nowhere'),
    })
  })
})
