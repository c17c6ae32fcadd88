import { InvoiceError } from './errors.ts'

/** BOLT 11 packs everything into 5-bit words, which is what bech32 carries. */

/** Bytes as words, the last one padded with zero bits. */
export function toWords(bytes: Uint8Array): number[] {
  const words: number[] = []
  let bits = 0
  let have = 0
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xfff
    have += 8
    while (have >= 5) {
      have -= 5
      words.push((bits >>> have) & 31)
    }
  }
  if (have > 0) words.push((bits << (5 - have)) & 31)
  return words
}

/** Words as bytes. @throws InvoiceError unless the bits left over are fewer than 5 and all zero */
export function fromWords(words: ArrayLike<number>, what: string): Uint8Array {
  const out = packWords(words)
  const left = (words.length * 5) % 8
  const length = (words.length * 5 - left) / 8
  if (left >= 5 || (left > 0 && out[length] !== 0)) throw new InvoiceError('field', `${what} is padded wrongly`)
  return out.slice(0, length)
}

/** Words as bytes, the last byte filled up with zero bits: the form that is signed. */
export function packWords(words: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(Math.ceil((words.length * 5) / 8))
  let bits = 0
  let have = 0
  let at = 0
  for (let i = 0; i < words.length; i++) {
    bits = ((bits << 5) | words[i]!) & 0xfff
    have += 5
    if (have >= 8) {
      have -= 8
      out[at++] = bits >>> have
    }
  }
  if (have > 0) out[at] = bits << (8 - have)
  return out
}

/** An integer in exactly `length` words. */
export function integerWords(n: number, length: number): number[] {
  const words = new Array<number>(length).fill(0)
  for (let i = length - 1, rest = n; i >= 0; i--, rest = Math.floor(rest / 32)) words[i] = rest % 32
  return words
}

/** An integer in as few words as it takes. @throws InvoiceError ('unencodable') */
export function minimalWords(n: number): number[] {
  if (!Number.isSafeInteger(n) || n < 0) throw new InvoiceError('unencodable', `${n} is not an unsigned integer`)
  let length = 0
  while (32 ** length <= n) length++
  return integerWords(n, length)
}

export const wordsInteger = (words: ArrayLike<number>): number => {
  let n = 0
  for (let i = 0; i < words.length; i++) n = n * 32 + words[i]!
  return n
}

/** @throws InvoiceError when it starts with a zero word or is more than `max` */
export function minimalInteger(words: ArrayLike<number>, what: string, max: number): number {
  if (words[0] === 0) throw new InvoiceError('field', `${what} starts with zeros, which BOLT 11 forbids`)
  const n = words.length > 11 ? Number.POSITIVE_INFINITY : wordsInteger(words)
  if (n > max) throw new InvoiceError('field', `${what} is more than ${max}`)
  return n
}

/** A bit field, right-aligned: bit 0 is the lowest of the last word and of the last byte. */
export function bitFieldFromWords(words: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(Math.ceil((words.length * 5) / 8))
  for (let i = 0; i < words.length; i++) {
    const shift = 5 * (words.length - 1 - i)
    const at = out.length - 1 - (shift >>> 3)
    const bits = words[i]! << (shift & 7)
    out[at]! |= bits & 0xff
    if (bits > 0xff) out[at - 1]! |= bits >>> 8
  }
  return dropLeadingZeros(out)
}

export function bitFieldToWords(bits: Uint8Array): number[] {
  const words = new Array<number>(Math.ceil((bits.length * 8) / 5)).fill(0)
  for (let i = 0; i < words.length; i++) {
    const shift = 5 * (words.length - 1 - i)
    const at = bits.length - 1 - (shift >>> 3)
    const two = ((bits[at - 1] ?? 0) << 8) | bits[at]!
    words[i] = (two >>> (shift & 7)) & 31
  }
  return dropLeadingZeros(words)
}

function dropLeadingZeros<T extends Uint8Array | number[]>(list: T): T {
  let zeros = 0
  while (zeros < list.length && list[zeros] === 0) zeros++
  return list.slice(zeros) as T
}
