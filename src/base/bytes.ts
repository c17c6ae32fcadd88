/** Byte helpers. Nothing here returns a Buffer or a view that aliases its input, except where `view` is in the name. */

const NIBBLE = new Int8Array(128).fill(-1)
for (let i = 0; i < 10; i++) NIBBLE[48 + i] = i
for (let i = 0; i < 6; i++) {
  NIBBLE[97 + i] = 10 + i
  NIBBLE[65 + i] = 10 + i
}

export const EMPTY = new Uint8Array(0)

/** Lower-case hex; a flat string (one built by concatenation costs 400 ns more when it first serves as a Map key). */
export const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')

/** @throws TypeError on odd length or a character that is not hex */
export function fromHex(hex: string): Uint8Array {
  if (hex.length % 2 !== 0) throw new TypeError(`hex of odd length ${hex.length}`)
  const out = new Uint8Array(hex.length / 2)
  for (let i = 0; i < out.length; i++) {
    const hi = NIBBLE[hex.charCodeAt(2 * i)] ?? -1
    const lo = NIBBLE[hex.charCodeAt(2 * i + 1)] ?? -1
    if (hi < 0 || lo < 0) throw new TypeError(`not hex at character ${2 * i}`)
    out[i] = (hi << 4) | lo
  }
  return out
}

export const isHex = (s: string, byteLength?: number): boolean =>
  /^([0-9a-f]{2})*$/i.test(s) && (byteLength === undefined || s.length === 2 * byteLength)

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let n = 0
  for (const p of parts) n += p.length
  const out = new Uint8Array(n)
  n = 0
  for (const p of parts) {
    out.set(p, n)
    n += p.length
  }
  return out
}

/** Variable time: for public data only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Constant time in the content (not the length): for MACs and secrets. */
export function equalBytesConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let d = 0
  for (let i = 0; i < a.length; i++) d |= a[i]! ^ b[i]!
  return d === 0
}

/** Lexicographic order, shorter first among equals (BIP 69, BOLT 3 §transaction-output-ordering). */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

export const reverseBytes = (b: Uint8Array): Uint8Array => Uint8Array.from(b).reverse()

const encoder = new TextEncoder()
const strictDecoder = new TextDecoder('utf-8', { fatal: true })
const laxDecoder = new TextDecoder('utf-8')

export const utf8 = (s: string): Uint8Array => encoder.encode(s)
/** Text for a peer, of printable ASCII alone: many show nothing of any other. @source BOLT 1 §the-error-and-warning-messages */
export const ascii = (s: string): Uint8Array =>
  encoder.encode(
    s
      .replaceAll('§', '')
      .replace(/[‘’]/g, "'")
      .replace(/[“”]/g, '"')
      .replace(/[–—]/g, '-')
      .replace(/[^ -~]/g, '?'),
  )
/** @throws TypeError when the bytes are not UTF-8 */
export const utf8Decode = (b: Uint8Array): string => strictDecoder.decode(b)

/** Text from a peer, safe to show and log: control and line-separator characters dropped, cut to `max` characters. */
export function printable(b: Uint8Array | string, max = 200): string {
  const s = typeof b === 'string' ? b : laxDecoder.decode(b)
  const clean = s.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '')
  return clean.length > max ? `${clean.slice(0, max)}…` : clean
}

export function u16be(n: number): Uint8Array {
  return Uint8Array.of((n >>> 8) & 0xff, n & 0xff)
}
export function u32be(n: number): Uint8Array {
  return Uint8Array.of((n >>> 24) & 0xff, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff)
}
export function u64be(n: bigint): Uint8Array {
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, n)
  return out
}
