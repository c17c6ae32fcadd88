import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { CheckedDriver } from '../../src/store/checked.ts'
import { LevelDriver } from '../../src/store/level.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { prefixRange } from '../../src/store/schema.ts'
import type { Driver, Op, Range } from '../../src/store/types.ts'

const directories: string[] = []
async function temporary(): Promise<string> {
  const d = await mkdtemp(join(tmpdir(), 'fulmen-store-'))
  directories.push(d)
  return d
}
afterAll(() => Promise.all(directories.map((d) => rm(d, { recursive: true, force: true }))))

const drivers: readonly (readonly [string, () => Promise<Driver>])[] = [
  ['memory', async () => new MemoryDriver()],
  ['level', async () => LevelDriver.open(await temporary())],
  ['with checksums', async () => new CheckedDriver(await LevelDriver.open(await temporary()))],
]
const all = async (d: Driver, range: Range): Promise<[string, number[]][]> => {
  const out: [string, number[]][] = []
  for await (const [k, v] of d.entries(range)) out.push([k, [...v]])
  return out
}

const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', '0', '9'), minLength: 1, maxLength: 4 })
const op: fc.Arbitrary<Op> = fc.oneof(fc.record({ key, value: fc.uint8Array({ maxLength: 6 }) }), fc.record({ key }))

describe.each(drivers)('store driver: %s', (_name, open) => {
  it('behaves like a sorted map under batches and range reads', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(op, { maxLength: 6 }), { maxLength: 6 }),
        key,
        key,
        fc.boolean(),
        async (batches, a, b, reverse) => {
          const driver = await open()
          const model = new Map<string, number[]>()
          for (const ops of batches) {
            await driver.batch(ops)
            for (const o of ops) o.value ? model.set(o.key, [...o.value]) : model.delete(o.key)
          }
          const sorted = [...model].filter(([k]) => k >= a && k < b).sort(([x], [y]) => (x < y ? -1 : 1))
          if (reverse) sorted.reverse()
          expect(await all(driver, { gte: a, lt: b, reverse, limit: 3 })).toEqual(sorted.slice(0, 3))
          expect((await all(driver, {})).length).toBe(model.size)
          for (const [k, v] of model) expect([...((await driver.get(k)) ?? [])]).toEqual(v)
          for (const [k, v] of model) expect([...(driver.getNow(k) ?? [])]).toEqual(v)
          await driver.close()
        },
      ),
      { numRuns: 25 },
    )
  })

  it('reads exactly the keys of a prefix', async () => {
    const driver = await open()
    await driver.batch(['a', 'a/', 'a/1', 'a/z', 'a0', 'b'].map((k) => ({ key: k, value: Uint8Array.of(1) })))
    expect((await all(driver, prefixRange('a/'))).map(([k]) => k)).toEqual(['a/', 'a/1', 'a/z'])
    await driver.close()
  })
})

describe('LevelDB driver', () => {
  it('keeps what was written after it is opened again', async () => {
    const directory = await temporary()
    const first = await LevelDriver.open(directory)
    await first.batch([{ key: 'k', value: Uint8Array.of(7) }])
    await first.close()
    const second = await LevelDriver.open(directory)
    expect(await second.get('k')).toEqual(Uint8Array.of(7))
    await second.close()
  })

  it('tells a second process that the directory is in use', async () => {
    const directory = await temporary()
    const first = await LevelDriver.open(directory)
    await expect(LevelDriver.open(directory)).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    await first.close()
  })
})

describe('the database on disk', () => {
  const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8)

  it('is for its owner alone, also in a directory that others may read, and when it was not before', async () => {
    const around = await temporary()
    await chmod(around, 0o755)
    const path = join(around, 'db')
    for (const before of [null, 0o755]) {
      if (before) await chmod(path, before)
      await (await LevelDriver.open(path)).close()
      expect(await mode(path)).toBe('700')
    }
    expect(await mode(around)).toBe('755')
  })

  it('says where it cannot be', async () => {
    const file = join(await temporary(), 'file')
    await writeFile(file, '')
    const { message, code } = await LevelDriver.open(file).catch((e) => e)
    expect([code, message]).toEqual(['STORE_UNREADABLE', expect.stringContaining(file)])
  })
})
