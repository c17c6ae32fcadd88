import { fromHex } from '../base/bytes.ts'
import { BitcoinFormatError } from './errors.ts'

/** Appends Bitcoin's little-endian formats to a growing buffer. */
export class Writer {
  #buffer = new Uint8Array(512)
  #view = new DataView(this.#buffer.buffer)
  #length = 0

  #room(n: number): number {
    const at = this.#length
    this.#length += n
    if (this.#length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#buffer.length * 2))
      grown.set(this.#buffer)
      this.#buffer = grown
      this.#view = new DataView(grown.buffer)
    }
    return at
  }

  u8(n: number): this {
    // First, and apart: it may put another buffer in the place of this one.
    const at = this.#room(1)
    this.#buffer[at] = n
    return this
  }
  u16(n: number): this {
    const at = this.#room(2)
    this.#view.setUint16(at, n, true)
    return this
  }
  u32(n: number): this {
    const at = this.#room(4)
    this.#view.setUint32(at, n, true)
    return this
  }
  i32(n: number): this {
    const at = this.#room(4)
    this.#view.setInt32(at, n, true)
    return this
  }
  u64(n: bigint): this {
    const at = this.#room(8)
    this.#view.setBigUint64(at, n, true)
    return this
  }
  bytes(b: Uint8Array): this {
    const at = this.#room(b.length)
    this.#buffer.set(b, at)
    return this
  }
  /** CompactSize: 1, 3, 5 or 9 bytes. */
  varint(n: number): this {
    if (n < 0xfd) return this.u8(n)
    if (n <= 0xffff) return this.u8(0xfd).u16(n)
    if (n <= 0xffffffff) return this.u8(0xfe).u32(n)
    return this.u8(0xff).u64(BigInt(n))
  }
  /** Length-prefixed bytes. */
  varbytes(b: Uint8Array): this {
    return this.varint(b.length).bytes(b)
  }
  /** Bytes of a txid or block hash given in display order. */
  hash(displayHex: string): this {
    return this.bytes(fromHex(displayHex).reverse())
  }
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length)
  }
}

/** Reads Bitcoin's little-endian formats; every overrun is a BitcoinFormatError. */
export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get position(): number {
    return this.#at
  }
  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  #take(n: number): number {
    if (n > this.remaining) {
      throw new BitcoinFormatError(`ends after ${this.#bytes.length} bytes, ${n - this.remaining} more expected`)
    }
    const at = this.#at
    this.#at += n
    return at
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }
  i32(): number {
    return this.#view.getInt32(this.#take(4), true)
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }
  /** A copy. */
  bytes(n: number): Uint8Array {
    const at = this.#take(n)
    return this.#bytes.slice(at, at + n)
  }
  /** CompactSize, minimal form only. */
  varint(): number {
    const first = this.u8()
    if (first < 0xfd) return first
    const n = first === 0xfd ? this.u16() : first === 0xfe ? this.u32() : Number(this.u64())
    const least = first === 0xfd ? 0xfd : first === 0xfe ? 0x10000 : 0x100000000
    if (n < least) throw new BitcoinFormatError('CompactSize is not minimal')
    if (n > Number.MAX_SAFE_INTEGER) throw new BitcoinFormatError('CompactSize is too large')
    return n
  }
  /** A count of things that take at least `size` bytes each: refused before anything is allocated for it. */
  count(size: number): number {
    const n = this.varint()
    if (n * size > this.remaining)
      throw new BitcoinFormatError(`${n} items do not fit the ${this.remaining} bytes left`)
    return n
  }
  varbytes(): Uint8Array {
    return this.bytes(this.count(1))
  }
  end(): void {
    if (this.remaining !== 0) throw new BitcoinFormatError(`${this.remaining} bytes too many`)
  }
}
