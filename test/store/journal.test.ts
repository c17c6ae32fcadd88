import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import { Ballast, writeFileAtomic } from '../../src/store/files.ts'
import { checkJournal, closeGaps, Journal } from '../../src/store/journal.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { migrate } from '../../src/store/migrate.ts'
import { keys, SCHEMA_VERSION } from '../../src/store/schema.ts'
import type { Op } from '../../src/store/types.ts'

const put = (key: string): Op => ({ key, value: Uint8Array.of(1) })

describe('journal: group commit', () => {
  it('shares one batch among all callers that wait for the one in flight, in order', async () => {
    const batches: string[][] = []
    const driver = new MemoryDriver(new Map(), (ops) => {
      batches.push(ops.filter((o) => !o.key.startsWith('journal/')).map((o) => o.key))
      return ops
    })
    const journal = new Journal(driver, 0)
    const first = journal.commit([put('a')])
    await Promise.resolve()
    const rest = [journal.commit([put('b'), put('c')]), journal.commit([put('d')]), journal.commit([])]
    expect(await Promise.all([first, ...rest])).toEqual([1, 2, 2, 2])
    expect(batches).toEqual([['a'], ['b', 'c', 'd']])
    expect(await checkJournal(driver)).toEqual({ last: 2, missing: [] })
  })

  it('resolves a commit only when its operations can be read back', async () => {
    const driver = new MemoryDriver()
    const journal = new Journal(driver, 0)
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        await journal.commit([put(`k${i}`)])
        expect(await driver.get(`k${i}`)).toBeDefined()
      }),
    )
  })

  it('is failed for ever after one failed write', async () => {
    let broken = false
    const driver = new MemoryDriver(new Map(), (ops) => {
      if (broken) throw new Error('disk full')
      return ops
    })
    const journal = new Journal(driver, 0)
    await journal.commit([put('a')])
    broken = true
    await expect(journal.commit([put('b')])).rejects.toMatchObject({ code: 'STORE_WRITE_FAILED' })
    broken = false
    await expect(journal.commit([put('c')])).rejects.toMatchObject({ code: 'STORE_WRITE_FAILED' })
    expect(await driver.get('c')).toBeUndefined()
  })

  it('finds the number that a torn log lost', async () => {
    const driver = new MemoryDriver()
    const journal = new Journal(driver, 0)
    for (let i = 0; i < 5; i++) await journal.commit([])
    await driver.batch([{ key: keys.journal(3) }])
    expect(await checkJournal(driver)).toEqual({ last: 5, missing: [3] })
    await driver.batch(await closeGaps(driver))
    expect(await checkJournal(driver)).toEqual({ last: 5, missing: [] })
  })

  it('reports a lost write once, also where that would have deleted the number of an old one', async () => {
    let lost = false
    const driver = new MemoryDriver(new Map(), (ops) => (lost ? [] : ops))
    const journal = new Journal(driver, 0, undefined, 10)
    const commit = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await journal.commit([])
    }
    await commit(14)
    lost = true
    await commit(1)
    lost = false
    await commit(4)
    expect((await checkJournal(driver)).missing).toContain(15)
    await driver.batch(await closeGaps(driver))
    await commit(20)
    expect(await checkJournal(driver)).toEqual({ last: 39, missing: [] })
  })
})

describe('schema', () => {
  it('marks a new database, refuses a newer one and migrates an older one forward', async () => {
    const driver = new MemoryDriver()
    expect(await migrate(driver)).toBe(true)
    expect(await migrate(driver)).toBe(false)
    await driver.batch([{ key: keys.schema, value: pack(SCHEMA_VERSION + 1) }])
    await expect(migrate(driver)).rejects.toMatchObject({ code: 'STORE_TOO_NEW' })

    const steps = { 1: async () => [put('one')], 2: async () => [put('two')] }
    await driver.batch([{ key: keys.schema, value: pack(1) }])
    await migrate(driver, steps, 3)
    expect(unpack((await driver.get(keys.schema)) ?? new Uint8Array())).toBe(3)
    expect(await driver.get('two')).toBeDefined()
  })
})

describe('files', () => {
  it('replaces a file whole, and keeps it from other users', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fulmen-files-'))
    const path = join(directory, 'deep', 'file')
    await writeFileAtomic(path, 'one')
    await writeFileAtomic(path, 'two')
    expect(await readFile(path, 'utf8')).toBe('two')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await rm(directory, { recursive: true })
  })

  it('takes two writers of one file, and leaves nothing else behind, not when it fails either', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fulmen-files-'))
    const path = join(directory, 'file')
    const large = new Uint8Array(1_000_000)
    await Promise.all([1, 2, 3].map((n) => writeFileAtomic(path, large.fill(n))))
    await mkdir(join(directory, 'taken', 'deep'), { recursive: true })
    await expect(writeFileAtomic(join(directory, 'taken'), 'one')).rejects.toThrow()
    expect((await readdir(directory)).sort()).toEqual(['file', 'taken'])
    await rm(directory, { recursive: true })
  })

  it('gives the ballast back when space runs low, and takes it again later', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fulmen-ballast-'))
    const ballast = new Ballast(directory)
    const held = (): Promise<number> =>
      stat(join(directory, 'ballast')).then(
        (s) => s.size,
        () => 0,
      )
    await ballast.check(10e9)
    expect([ballast.low, (await held()) > 0]).toEqual([false, true])
    await ballast.check(1e6)
    expect([ballast.low, await held()]).toEqual([true, 0])
    await ballast.check(10e9)
    expect([ballast.low, (await held()) > 0]).toEqual([false, true])
    await rm(directory, { recursive: true })
  })
})
