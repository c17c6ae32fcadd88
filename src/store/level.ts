import { chmod } from 'node:fs/promises'
import { Level } from 'level'
import { StoreError } from './errors.ts'
import { makeDirectory } from './files.ts'
import type { Driver, Op, Range } from './types.ts'

type Db = Level<string, Uint8Array>

/** Entries read at a time: each read is a trip to another thread. */
const CHUNK = 1_000

const codeOf = (e: unknown): string => {
  const cause = e instanceof Error ? e.cause : undefined
  return cause instanceof Error && 'code' in cause ? String(cause.code) : ''
}

/** LevelDB under `directory`. Its own lock keeps a second process out. */
export class LevelDriver implements Driver {
  readonly #db: Db
  readonly #directory: string
  private constructor(db: Db, directory: string) {
    this.#db = db
    this.#directory = directory
  }

  /**
   * The directory is for its owner alone, whatever the one around it is: preimages of invoices that wait for their payment are in it.
   * @throws StoreError STORE_LOCKED, STORE_UNREADABLE
   */
  static async open(directory: string): Promise<LevelDriver> {
    let db: Db
    try {
      await makeDirectory(directory)
      await chmod(directory, 0o700).catch(() => {}) // another user's, or a file system without modes
      db = new Level(directory, { keyEncoding: 'utf8', valueEncoding: 'view', compression: false })
      await db.open()
    } catch (e) {
      if (codeOf(e) === 'LEVEL_LOCKED') {
        throw new StoreError(
          'STORE_LOCKED',
          `another process has ${directory} open: stop it, or use another data directory`,
          { cause: e },
        )
      }
      const why = e instanceof Error ? (e.cause instanceof Error ? e.cause : e).message : String(e)
      const cure = why.includes('No space left') ? '; free some space: it is not damaged' : ''
      throw new StoreError('STORE_UNREADABLE', `the database in ${directory} cannot be opened: ${why}${cure}`, {
        cause: e,
      })
    }
    return new LevelDriver(db, directory)
  }

  /** Most keys that are looked for are not there, which LevelDB knows from memory: a trip to another thread costs thirty times that. */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.getNow(key)
  }

  getNow(key: string): Uint8Array | undefined {
    try {
      const value = this.#db.getSync(key)
      return value && Uint8Array.from(value)
    } catch (e) {
      throw this.#unreadable(e)
    }
  }

  async *entries(range: Range): AsyncIterable<readonly [string, Uint8Array]> {
    const iterator = this.#db.iterator({ ...range, highWaterMarkBytes: 262_144 })
    try {
      for (;;) {
        const chunk = await iterator.nextv(CHUNK)
        if (chunk.length === 0) return
        for (const [key, value] of chunk) yield [key, Uint8Array.from(value)]
      }
    } catch (e) {
      throw this.#unreadable(e)
    } finally {
      await iterator.close()
    }
  }

  /** Where the tables themselves are damaged, and not a value in them: nothing behind that place can be read. */
  #unreadable(e: unknown): unknown {
    if (!(e instanceof Error && 'code' in e && e.code === 'LEVEL_CORRUPTION')) return e
    return new StoreError(
      'STORE_UNREADABLE',
      `the database in ${this.#directory} is damaged (${e.message}): check the disk, keep a copy of the directory, and restore from the seed words and channels.backup into an empty one; never put an older copy of the database in its place`,
      { cause: e },
    )
  }

  /** A chained batch hands each operation over as it is; an array of them would be cloned and taken apart, at three times the cost. */
  async batch(ops: readonly Op[]): Promise<void> {
    try {
      const batch = this.#db.batch()
      for (const { key, value } of ops) {
        if (value) batch.put(key, value)
        else batch.del(key)
      }
      await batch.write({ sync: true })
    } catch (e) {
      throw new StoreError(
        'STORE_WRITE_FAILED',
        `a write to the database failed: ${e instanceof Error ? e.message : e}`,
        { cause: e },
      )
    }
  }

  async close(): Promise<void> {
    await this.#db.close()
  }
}
