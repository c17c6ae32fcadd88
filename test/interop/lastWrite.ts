import { join } from 'node:path'
import { LevelDriver } from '../../src/store/level.ts'

/** The write at which a node in this process dies. */
interface LastWrite {
  /** Writes that come before it. */
  before: number
  /** It is on disk afterwards, though nobody has heard of it. */
  readonly isKept: boolean
}

export class PowerCut extends Error {}

/** By the directory of the database. */
const lastWrites = new Map<string, LastWrite>()

const { open } = LevelDriver
LevelDriver.open = async (directory) => {
  const driver = await open.call(LevelDriver, directory)
  const batch = driver.batch.bind(driver)
  driver.batch = async (ops) => {
    const last = lastWrites.get(directory)
    if (!last || last.before-- > 0) return batch(ops)
    if (last.isKept) await batch(ops)
    throw new PowerCut('the power is gone')
  }
  return driver
}

/**
 * Has the node of this data directory die at a write to come; null takes that back.
 * @returns whether it is too late for that: the last write has begun
 */
export function setLastWrite(dataDir: string, last: LastWrite | null): boolean {
  const directory = join(dataDir, 'db')
  const isTooLate = (lastWrites.get(directory)?.before ?? 0) < 0
  if (last) lastWrites.set(directory, { ...last })
  else lastWrites.delete(directory)
  return isTooLate
}
