import { EMPTY } from '../base/bytes.ts'
import { BitcoinFormatError } from './errors.ts'

/** Script's little-endian number with the sign in the top bit, in its shortest form; 0 is no bytes at all. */
export function encodeScriptNumber(n: bigint | number): Uint8Array {
  let v = BigInt(n)
  if (v === 0n) return EMPTY
  const negative = v < 0n
  if (negative) v = -v
  const out: number[] = []
  for (; v > 0n; v >>= 8n) out.push(Number(v & 0xffn))
  if (out.at(-1)! >= 0x80) out.push(negative ? 0x80 : 0)
  else if (negative) out[out.length - 1]! |= 0x80
  return Uint8Array.from(out)
}

/** Whether the top byte carries more than a sign that the byte below could not. */
export function isMinimalNumber(bytes: Uint8Array): boolean {
  const n = bytes.length
  if (n === 0 || (bytes[n - 1]! & 0x7f) !== 0) return true
  return n > 1 && (bytes[n - 2]! & 0x80) !== 0
}

/**
 * A script number of up to 6 bytes as a JavaScript integer. Arithmetic opcodes take 4 bytes, time locks 5.
 * @throws BitcoinFormatError when it is longer
 */
export function decodeScriptNumber(bytes: Uint8Array): number {
  const n = bytes.length
  if (n === 0) return 0
  if (n > 6) throw new BitcoinFormatError(`script number of ${n} bytes`)
  let v = 0
  for (let i = n - 1; i >= 0; i--) v = v * 256 + (i === n - 1 ? bytes[i]! & 0x7f : bytes[i]!)
  return bytes[n - 1]! & 0x80 ? -v : v
}
