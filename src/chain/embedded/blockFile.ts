import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { equalBytes, utf8 } from '../../base/bytes.ts'
import { type BlockHash, blockHashFromBytes, blockHashToBytes } from '../../base/ids.ts'
import { type Block, decodeBlock, encodeBlock } from '../../bitcoin/block.ts'
import { Reader, Writer } from '../../bitcoin/serialize.ts'
import { crypto } from '../../crypto/crypto.ts'
import { EmbeddedChainError } from './errors.ts'

/** All that happened to a chain, in order. */
export type BlockRecord =
  | { readonly type: 'block'; readonly block: Block }
  | { readonly type: 'invalidate' | 'reconsider'; readonly hash: BlockHash }

const HEADER = utf8('fulmen-regtest-blocks 1\n')
const KINDS = ['block', 'invalidate', 'reconsider'] as const
/** Kind (1 B), length (4 B), body, first bytes of the body's double SHA-256 (4 B). */
const OVERHEAD = 9

/** An append-only file of blocks. Writes reach the operating system at once and the disk when it is closed. */
export class BlockFile {
  readonly #path: string
  readonly #fd: number
  #open = true

  private constructor(path: string, fd: number) {
    this.#path = path
    this.#fd = fd
  }

  /**
   * Opens or creates `blocks.dat` in a directory. What follows the last whole record, as a crash may leave it, is cut off.
   * @throws EmbeddedChainError for a file that is none of ours, or cannot be opened
   */
  static open(dir: string): { file: BlockFile; records: readonly BlockRecord[] } {
    const path = join(dir, 'blocks.dat')
    try {
      mkdirSync(dir, { recursive: true })
      const file = new BlockFile(path, openSync(path, 'a+', 0o600))
      return { file, records: file.#read() }
    } catch (e) {
      if (e instanceof EmbeddedChainError) throw e
      throw new EmbeddedChainError(`cannot open the chain in ${path}: ${e instanceof Error ? e.message : e}`, {
        cause: e,
      })
    }
  }

  append(record: BlockRecord): void {
    const body = record.type === 'block' ? encodeBlock(record.block) : blockHashToBytes(record.hash)
    const frame = new Writer().u8(KINDS.indexOf(record.type)).u32(body.length).bytes(body).bytes(checksum(body))
    this.#write(frame.finish())
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    fsyncSync(this.#fd)
    closeSync(this.#fd)
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at)
  }

  #read(): readonly BlockRecord[] {
    const bytes = new Uint8Array(readFileSync(this.#path))
    if (bytes.length === 0) {
      this.#write(HEADER)
      return []
    }
    if (!equalBytes(bytes.subarray(0, HEADER.length), HEADER)) {
      throw new EmbeddedChainError(
        `${this.#path} is not a chain that this version can read: move it away to start anew`,
      )
    }
    const records: BlockRecord[] = []
    let at = HEADER.length
    for (let frame = frameAt(bytes, at); frame; frame = frameAt(bytes, at)) {
      records.push(frame.record)
      at = frame.next
    }
    if (at < bytes.length) ftruncateSync(this.#fd, at)
    return records
  }
}

const checksum = (body: Uint8Array): Uint8Array => crypto.sha256d(body).slice(0, 4)

/** null at the end, and where the rest is no whole record. */
function frameAt(bytes: Uint8Array, at: number): { record: BlockRecord; next: number } | null {
  if (bytes.length - at < OVERHEAD) return null
  const r = new Reader(bytes.subarray(at))
  const type = KINDS[r.u8()]
  const length = r.u32()
  if (!type || r.remaining < length + 4) return null
  const body = r.bytes(length)
  if (!equalBytes(r.bytes(4), checksum(body))) return null
  const record = type === 'block' ? { type, block: decodeBlock(body) } : { type, hash: blockHashFromBytes(body) }
  return { record, next: at + OVERHEAD + length }
}
