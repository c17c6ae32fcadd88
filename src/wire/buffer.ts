import { WireError } from './errors.ts'

/** BOLT 8 frames carry a 2-byte length. */
const MAX_MESSAGE_LENGTH = 65535

/** Appends the big-endian formats of the Lightning wire to a buffer that is reused from message to message. */
export class WireWriter {
  readonly #buffer = new Uint8Array(MAX_MESSAGE_LENGTH)
  readonly #view = new DataView(this.#buffer.buffer)
  #length = 0

  get length(): number {
    return this.#length
  }

  #room(n: number): number {
    const at = this.#length
    if (at + n > MAX_MESSAGE_LENGTH) throw new WireError('unencodable', `longer than ${MAX_MESSAGE_LENGTH} bytes`)
    this.#length = at + n
    return at
  }

  reset(): void {
    this.#length = 0
  }
  u8(n: number): void {
    this.#buffer[this.#room(1)] = n
  }
  u16(n: number): void {
    this.#view.setUint16(this.#room(2), n)
  }
  u32(n: number): void {
    this.#view.setUint32(this.#room(4), n)
  }
  u64(n: bigint): void {
    this.#view.setBigUint64(this.#room(8), n)
  }
  bytes(b: Uint8Array): void {
    this.#buffer.set(b, this.#room(b.length))
  }
  /** BOLT 1 §bigsize: 1, 3, 5 or 9 bytes. */
  bigsize(n: bigint): void {
    if (n <= 0xffff_ffffn) this.bigsizeNumber(Number(n))
    else {
      this.u8(0xff)
      this.u64(n)
    }
  }
  /** The same for a number below 2^32. */
  bigsizeNumber(n: number): void {
    if (n < 0xfd) this.u8(n)
    else if (n <= 0xffff) {
      this.u8(0xfd)
      this.u16(n)
    } else {
      this.u8(0xfe)
      this.u32(n)
    }
  }
  /** Puts a BigSize length in front of everything written since `start`. */
  prefixLength(start: number): void {
    const length = this.#length - start
    const size = length < 0xfd ? 1 : 3
    this.#room(size)
    this.#buffer.copyWithin(start + size, start, start + length)
    if (size === 1) this.#buffer[start] = length
    else {
      this.#buffer[start] = 0xfd
      this.#view.setUint16(start + 1, length)
    }
  }
  /** Fills in what was left open at `at`. */
  patchU16(at: number, n: number): void {
    this.#view.setUint16(at, n)
  }
  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length)
  }
}

const shared = new WireWriter()
let busy = false

/** Runs `write` on a writer that is reused, and gives a copy of what it wrote. */
export function written(write: (w: WireWriter) => void): Uint8Array {
  const w = busy ? new WireWriter() : shared
  busy = true
  try {
    w.reset()
    write(w)
    return w.finish()
  } finally {
    if (w === shared) busy = false
  }
}

/** Reads the big-endian formats of the Lightning wire; every overrun is a WireError. */
export class WireReader {
  readonly #bytes: Uint8Array
  /** The same memory. */
  readonly #buffer: Buffer
  #at = 0
  #end: number

  constructor(bytes: Uint8Array) {
    // A Buffer's slice would alias it.
    const isPlain = bytes.constructor === Uint8Array
    this.#bytes = isPlain ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#end = bytes.length
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  #take(n: number): number {
    const at = this.#at
    if (n > this.#end - at) throw new WireError('truncated', `${n - this.remaining} bytes missing at the end`)
    this.#at = at + n
    return at
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!
  }
  u16(): number {
    return this.#buffer.readUInt16BE(this.#take(2))
  }
  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4))
  }
  u64(): bigint {
    return this.#buffer.readBigUInt64BE(this.#take(8))
  }
  /** A copy. */
  bytes(n: number): Uint8Array {
    const at = this.#take(n)
    if (n <= 64) return this.#bytes.slice(at, at + n)
    const out = new Uint8Array(n)
    out.set(this.#bytes.subarray(at, at + n))
    return out
  }
  /** n bytes as lower-case hex. */
  hex(n: number): string {
    const at = this.#take(n)
    return this.#buffer.toString('hex', at, at + n)
  }
  skip(n: number): void {
    this.#take(n)
  }
  /** BOLT 1 §bigsize, minimal form only. */
  bigsize(): bigint {
    const first = this.u8()
    if (first < 0xfd) return BigInt(first)
    const n = first === 0xfd ? BigInt(this.u16()) : first === 0xfe ? BigInt(this.u32()) : this.u64()
    const least = first === 0xfd ? 0xfdn : first === 0xfe ? 0x10000n : 0x1_0000_0000n
    if (n < least) throw new WireError('value', 'BigSize is not in its shortest form')
    return n
  }
  /** A BigSize byte count of what follows, refused when fewer bytes are left. */
  bigsizeLength(): number {
    const n = this.bigsize()
    if (n > BigInt(this.remaining))
      throw new WireError('truncated', `length ${n} exceeds the ${this.remaining} bytes left`)
    return Number(n)
  }
  /** Runs `read` on the next n bytes alone; it must use all of them. */
  within<T>(n: number, read: (r: WireReader) => T): T {
    const outer = this.#end
    const inner = this.#take(n) + n
    this.#at = inner - n
    this.#end = inner
    const value = read(this)
    this.finish()
    this.#end = outer
    return value
  }
  finish(): void {
    if (this.#at !== this.#end) throw new WireError('excess', `${this.remaining} bytes too many`)
  }
}
