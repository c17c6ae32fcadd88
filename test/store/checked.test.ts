import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Level } from 'level'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import { EventLog } from '../../src/node/events.ts'
import { lastSequence } from '../../src/node/paging.ts'
import { recordsFrom } from '../../src/node/timeRange.ts'
import { CheckedDriver, checkedIfSealed, isDamaged, sealed } from '../../src/store/checked.ts'
import { checkJournal, closeGaps } from '../../src/store/journal.ts'
import { LevelDriver } from '../../src/store/level.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { migrate } from '../../src/store/migrate.ts'
import { keys, padded, SCHEMA_VERSION } from '../../src/store/schema.ts'
import type { Driver, Op } from '../../src/store/types.ts'

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const other = bytes.slice()
  other[bit >> 3]! ^= 1 << (bit & 7)
  return other
}
async function contents(driver: Driver): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>()
  for await (const [key, value] of driver.entries({})) found.set(key, value)
  return found
}
const identity: Op = { key: keys.identity, value: pack({ network: 'regtest', nodeId: '02' }) }

describe('values with a checksum', () => {
  it('are given back as they were written; one with any bit changed is damaged, named once, and no other', async () => {
    const values = fc.dictionary(fc.string({ minLength: 1, maxLength: 40 }), fc.uint8Array({ maxLength: 80 }), {
      minKeys: 1,
    })
    await fc.assert(
      fc.asyncProperty(values, fc.nat(), fc.nat(), async (written, which, where) => {
        const disk = new MemoryDriver()
        await new CheckedDriver(disk).batch(Object.entries(written).map(([key, value]) => ({ key, value })))
        const key = Object.keys(written)[which % Object.keys(written).length]!
        const bytes = (await disk.get(key))!
        await disk.batch([{ key, value: flipped(bytes, where % (8 * bytes.length)) }])
        const driver = new CheckedDriver(disk)
        for (const [name, value] of await contents(driver)) {
          expect(isDamaged(value)).toBe(name === key)
          if (name !== key) expect(value).toEqual(written[name])
        }
        expect(isDamaged((await driver.get(key))!) && isDamaged(driver.getNow(key)!)).toBe(true)
        expect([driver.takeDamaged(), driver.takeDamaged()]).toEqual([[key], []])
      }),
    )
  })

  it('are damaged under another key than their own, and when they are cut short', async () => {
    const disk = new MemoryDriver()
    const [op] = sealed([{ key: 'channel/a/secret/01', value: new Uint8Array(32).fill(7) }])
    const value = op!.value!
    await disk.batch([
      { key: 'channel/a/secret/01', value },
      { key: 'channel/a/secret/03', value },
      { key: 'short', value: value.subarray(0, 3) },
      { key: 'empty', value: new Uint8Array(0) },
    ])
    const found = await contents(new CheckedDriver(disk))
    expect([...found].filter(([, v]) => !isDamaged(v)).map(([key]) => key)).toEqual(['channel/a/secret/01'])
  })

  it('are what tells of a bit that has changed in a table of LevelDB, which reads it as if nothing were', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fulmen-rot-'))
    const value = new Uint8Array(200).map((_, i) => i)
    const first = await LevelDriver.open(directory)
    await new CheckedDriver(first).batch(['a', 'b', 'c'].map((key) => ({ key, value })))
    await first.close()
    const db = new Level(directory, { compression: false })
    await db.open()
    await (db as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange('', '\uffff')
    await db.close()
    const table = join(directory, (await readdir(directory)).find((name) => /\.(ldb|sst)$/.test(name))!)
    const bytes = new Uint8Array(await readFile(table))
    await writeFile(table, flipped(bytes, 8 * Buffer.from(bytes).indexOf(value) + 803))
    const again = await LevelDriver.open(directory)
    expect((await again.get('a'))?.subarray(0, 200)).toEqual(flipped(value, 803))
    const found = await contents(new CheckedDriver(again))
    expect([...found.values()].map(isDamaged)).toEqual([true, false, false])
    await again.close()

    // The table itself, and not a value in it.
    await writeFile(table, flipped(bytes, 8 * bytes.length - 1))
    const last = await LevelDriver.open(directory)
    const damage = { code: 'STORE_UNREADABLE', message: expect.stringContaining('restore from the seed words') }
    await expect(contents(last)).rejects.toMatchObject(damage)
    await expect(last.get('a')).rejects.toMatchObject(damage)
    await last.close()
    await rm(directory, { recursive: true })
  })
})

describe('a database of before there were checksums', () => {
  /** As the version before wrote it. */
  const old = (count: number): ReadonlyMap<string, Uint8Array> =>
    new Map([
      [keys.schema, pack(2)],
      [identity.key, identity.value!],
      ...Array.from({ length: count }, (_, n) => [`payment/${n}`, pack({ n })] as const),
    ])

  it('has all its values as they were, and gets them checksums once, whatever batch a crash comes after', async () => {
    for (let most = 0; most <= 3; most++) {
      const before = old(1_100)
      let left = most
      const torn = new MemoryDriver(before, (ops) => {
        if (left-- === 0) throw new Error('the power is gone')
        return ops
      })
      const crashed = await migrate(torn).then(
        () => false,
        () => true,
      )
      expect(crashed).toBe(most < 3)
      const disk = new MemoryDriver(torn.snapshot())
      expect(await migrate(disk)).toBe(false)
      const found = await contents(new CheckedDriver(disk))
      expect(found.delete(keys.schema)).toBe(true)
      expect(found.size).toBe(before.size - 1)
      for (const [key, value] of found) expect(value).toEqual(before.get(key))
      expect(unpack(disk.getNow(keys.schema)!)).toBe(SCHEMA_VERSION)
    }
  })

  it('is for nobody but who goes on with it where that was cut short: an older program would take the half for damaged', async () => {
    let left = 1
    const disk = new MemoryDriver(old(1_100), (ops) => {
      if (left-- === 0) throw new Error('the power is gone')
      return ops
    })
    await expect(migrate(disk)).rejects.toThrow('the power is gone')
    await expect(migrate(disk, {}, 2)).rejects.toMatchObject({ code: 'STORE_TOO_NEW' })
    await expect(checkedIfSealed(disk)).rejects.toMatchObject({ code: 'STORE_HALF_MIGRATED' })
    await migrate(disk)
    expect((await checkedIfSealed(disk)).getNow('payment/1099')).toEqual(pack({ n: 1_099 }))
  })

  it('is read as it is by what does not migrate it', async () => {
    const found = await contents(await checkedIfSealed(new MemoryDriver(old(3))))
    expect(found.get('payment/1')).toEqual(pack({ n: 1 }))
  })
})

describe('a key that has changed on disk', () => {
  /** The n-th of so many records under the prefix lies under another key, as after a bit of its own has changed. */
  async function moved(prefix: string, count: number, n: number, to: string): Promise<Driver> {
    const disk = new MemoryDriver()
    const keyOf = (i: number): string => prefix + padded(i)
    await new CheckedDriver(disk).batch(
      Array.from({ length: count }, (_, i) => ({ key: keyOf(i + 1), value: pack(i) })),
    )
    await disk.batch([{ key: keyOf(n) }, { key: prefix + to, value: disk.getNow(keyOf(n))! }])
    return new CheckedDriver(disk)
  }

  it.each(['8000000000000005', '000000000000000u', '0000000000000205'])(
    'is no number of a batch: that one is missing, and the last stays the last (%s)',
    async (to) => {
      const driver = await moved('journal/', 9, 5, to)
      expect(await checkJournal(driver)).toEqual({ last: 9, missing: [5] })
      await driver.batch(await closeGaps(driver))
      expect(await checkJournal(driver)).toEqual({ last: 9, missing: [] })
    },
  )

  it('holds up nobody who looks for a time, also behind the last that can be read', async () => {
    const driver = await moved('event/', 9, 9, '00000000000x0009')
    let looks = 0
    const counted: Driver = {
      ...driver,
      entries: (range) => {
        if (looks++ === 100) throw new Error('it looks for ever')
        return driver.entries(range)
      },
    }
    const at = recordsFrom<number>(counted, 'event/', (time) => time)
    expect([await at(8), await at(9)]).toEqual([{ place: 8, time: 7 }, null])
  })

  it('is no place of a list: the next record gets one behind all others', async () => {
    for (const to of ['8000000000000003', '000000000000000s', '0000000000000203'])
      expect(await lastSequence(await moved('forward/', 9, 3, to), 'forward/')).toBe(9)
  })
})

describe('a whole row of values that have changed on disk', () => {
  it('gives no number of a list to another record: they still have theirs', async () => {
    const disk = new MemoryDriver()
    const all = Array.from({ length: 100 }, (_, i) => ({ key: `event/${padded(i + 1)}`, value: pack(i) }))
    for (const damaged of [20, 100]) {
      await new CheckedDriver(disk).batch(all)
      await disk.batch(all.slice(-damaged).map(({ key }) => ({ key, value: flipped(disk.getNow(key)!, 3) })))
      expect(await lastSequence(new CheckedDriver(disk), 'event/')).toBe(100)
    }
  })
})

describe('a whole page of events that have changed on disk', () => {
  it('is passed over: who reads the log does not take it for its end', async () => {
    const disk = new MemoryDriver()
    const all = Array.from({ length: 30 }, (_, i) => ({ key: keys.event(i + 1), value: pack({ id: i + 1 }) }))
    await new CheckedDriver(disk).batch(all)
    await disk.batch(all.slice(2, 25).map(({ key }) => ({ key, value: flipped(disk.getNow(key)!, 3) })))
    const log = await EventLog.open(new CheckedDriver(disk), () => 0)
    const found: number[] = []
    for (let events = await log.since(0, 5); events.length > 0; events = await log.since(found.at(-1)!, 5))
      for (const { id } of events) found.push(id)
    expect(found).toEqual([1, 2, 26, 27, 28, 29, 30])
  })
})

describe('the number of the schema', () => {
  it('that is lost makes no database a new one: values get their checksums where they have none', async () => {
    const disk = new MemoryDriver()
    await disk.batch([identity, { key: 'payment/1', value: pack({ n: 1 }) }])
    for (let start = 0; start < 2; start++) {
      expect(await migrate(disk)).toBe(false)
      expect(unpack(new CheckedDriver(disk).getNow('payment/1')!)).toEqual({ n: 1 })
      await disk.batch([{ key: keys.schema }])
    }
  })

  it('gives nothing a second checksum when it is the one that has changed, or says that a newer program is needed', async () => {
    const disk = new MemoryDriver()
    await migrate(disk)
    await new CheckedDriver(disk).batch([identity, { key: 'payment/1', value: pack({ n: 1 }) }])
    const schema = disk.getNow(keys.schema)!
    for (let bit = 0; bit < 8 * schema.length; bit++) {
      await disk.batch([{ key: keys.schema, value: flipped(schema, bit) }])
      const refused = await migrate(disk).catch((e) => e.code)
      expect([false, 'STORE_TOO_NEW']).toContain(refused)
      const driver = await checkedIfSealed(disk)
      expect(unpack(driver.getNow('payment/1')!)).toEqual({ n: 1 })
    }
  })
})
