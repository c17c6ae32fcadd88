import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Journal } from '../../src/store/journal.ts'
import { LevelDriver } from '../../src/store/level.ts'
import { type Suite, task, timeSuite } from '../harness.ts'

const RECORD = new Uint8Array(400).fill(7)
const WAITING = 50

/** Commits to a real disk, each with its fsync. */
export async function journalSuite(): Promise<Suite> {
  const directory = await mkdtemp(join(tmpdir(), 'fulmen-bench-'))
  const driver = await LevelDriver.open(directory)
  const journal = new Journal(driver, 0)
  const commit = (i: number) => journal.commit([{ key: `bench/${i}`, value: RECORD }])
  const together = async () => {
    const numbers = await Promise.all(Array.from({ length: WAITING }, (_, i) => commit(i)))
    return new Set(numbers).size
  }
  try {
    return await timeSuite('Journal: durable commits of 400 bytes', [
      task({ name: 'one at a time', run: () => commit(0), expect: (n) => n > 0 }),
      task({ name: '50 waiting, in one batch', run: together, expect: 1, operations: WAITING }),
    ])
  } finally {
    await driver.close()
    await rm(directory, { recursive: true, force: true })
  }
}
