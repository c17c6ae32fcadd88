import { pack, unpackIfWhole } from '../base/pack.ts'
import { type Sealing, sealAll } from './checked.ts'
import { StoreError } from './errors.ts'
import { keys, SCHEMA_VERSION, SEALED_SINCE } from './schema.ts'
import type { Driver, Op } from './types.ts'

/** Each step brings a database from its version to the next, by the operations of one last batch; before them it may write what it can go on from. */
export type Migration = (driver: Driver) => Promise<readonly Op[]>

/** `[v]` leads from version v to v + 1. @param tell of the one that takes long with a long history */
export const migrations = (tell?: Sealing): Readonly<Record<number, Migration>> => ({
  /** What is left of settled HTLCs is written shorter from here on (channel/revokedRecord.ts); older records are read as they are. */
  1: async () => [],
  /** Values have checksums from here on. */
  2: (driver) => sealAll(driver, tell),
})

/**
 * Brings the database to this program's schema, or marks a new one with it.
 * @returns true when the database is new
 * @throws StoreError STORE_TOO_NEW when a newer program wrote it
 */
export async function migrate(driver: Driver, steps = migrations(), target = SCHEMA_VERSION): Promise<boolean> {
  const stored = await driver.get(keys.schema)
  if (!stored && !(await driver.get(keys.identity))) {
    await driver.batch([{ key: keys.schema, value: pack(target) }])
    return true
  }
  // Where that is lost or cannot be read: every step leaves alone what it finds done.
  let version = (stored && unpackIfWhole<number>(stored)) ?? 1
  if (version > target) {
    throw new StoreError(
      'STORE_TOO_NEW',
      `the database has schema ${version}, this program knows up to ${target}: use the newer program again`,
    )
  }
  // Cut short it has the number already, so that older programs keep away from it.
  if (await driver.get(keys.sealing)) version = Math.min(version, SEALED_SINCE - 1)
  while (version < target) {
    const step = steps[version]
    if (!step) throw new StoreError('STORE_UNREADABLE', `no migration from schema ${version}`)
    const ops = await step(driver)
    version++
    await driver.batch([...ops, { key: keys.schema, value: pack(version) }])
  }
  return false
}
