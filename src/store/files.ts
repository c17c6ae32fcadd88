import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, rename, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StoreError } from './errors.ts'

/** Two may write the same file at once. */
let written = 0

/**
 * Makes a directory for its owner alone, with those around it. Node's own `recursive` never comes back below /proc and the like, where
 * the one around it is there and none can be made in it.
 * @throws the error of the system
 */
export async function makeDirectory(path: string): Promise<void> {
  const make = async (): Promise<NodeJS.ErrnoException | null> => {
    const refused = await mkdir(path, { mode: 0o700 }).then(
      () => null,
      (e: unknown) => e as Error,
    )
    return (await stat(path).catch(() => null))?.isDirectory() ? null : refused
  }
  let refused = await make()
  if (refused?.code === 'ENOENT' && dirname(path) !== path) {
    await makeDirectory(dirname(path))
    refused = await make()
  }
  if (refused) throw refused
}

/** Of a node. @throws StoreError STORE_UNREADABLE */
export async function makeDataDirectory(path: string): Promise<void> {
  await makeDirectory(path).catch((e: Error) => {
    const message = `the data directory ${path} cannot be made (${e.message}): choose another with --data-dir`
    throw new StoreError('STORE_UNREADABLE', message, { cause: e })
  })
}

/** Replaces a file so that a crash at any moment leaves the old or the new content, never a mix; 0600. */
export async function writeFileAtomic(path: string, content: Uint8Array | string, mode = 0o600): Promise<void> {
  await makeDirectory(dirname(path))
  const temporary = `${path}.${process.pid}.${++written}.tmp`
  try {
    const file = await open(temporary, 'w', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (e) {
    await unlink(temporary).catch(() => {}) // on a full disk, of all places, it would stay
    throw e
  }
  const directory = await open(dirname(path), constants.O_RDONLY)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Bytes that this user may still write on the disk of a directory. */
export async function freeSpace(directory: string): Promise<number> {
  const s = await statfs(directory)
  return s.bavail * s.bsize
}

export const BALLAST_BYTES = 32 * 1024 * 1024
/** With less than this the node takes on nothing new. */
export const LOW_BYTES = 64 * 1024 * 1024
export const ballastPath = (dataDir: string): string => join(dataDir, 'ballast')

/**
 * Room on disk reserved in advance. When space runs low the ballast is given back, so that claims and penalties can still be
 * written, and `low` stays true until there is room for it again: the node then refuses new HTLCs and channels.
 */
export class Ballast {
  readonly #path: string
  readonly #directory: string
  #low = false

  constructor(directory: string) {
    this.#directory = directory
    this.#path = ballastPath(directory)
  }

  get low(): boolean {
    return this.#low
  }

  /** Looks at the free space; call at start and now and then. `freeBytes` is for tests. */
  async check(freeBytes?: number): Promise<void> {
    const held = await stat(this.#path).then(
      (s) => s.size,
      () => 0,
    )
    const free = freeBytes ?? (await freeSpace(this.#directory))
    if (free < LOW_BYTES) {
      this.#low = true
      if (held > 0) await unlink(this.#path).catch(() => {})
      return
    }
    if (free - (BALLAST_BYTES - held) < LOW_BYTES) return
    this.#low = false
    if (held < BALLAST_BYTES) await this.#fill()
  }

  async #fill(): Promise<void> {
    const file = await open(this.#path, 'w', 0o600)
    try {
      // Not zeros, which take no room where the file system compresses.
      const chunk = randomBytes(1024 * 1024)
      for (let n = 0; n < BALLAST_BYTES; n += chunk.length) await file.write(chunk)
    } catch {
      this.#low = true
    } finally {
      await file.close()
    }
    if (this.#low) await unlink(this.#path).catch(() => {})
  }
}
