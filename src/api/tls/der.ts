/* Just enough DER to write a certificate. @source ITU-T X.690 §8, §10 */

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const

const concat = (parts: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Tag, length, content; lengths in their shortest form. */
export function element(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content
  if (length < 0x80) return concat([Uint8Array.of(tag, length), content])
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff)
  return concat([Uint8Array.of(tag, 0x80 | bytes.length, ...bytes), content])
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => element(TAG.sequence, concat(parts))
export const set = (...parts: readonly Uint8Array[]): Uint8Array => element(TAG.set, concat(parts))
export const boolean = (value: boolean): Uint8Array => element(TAG.boolean, Uint8Array.of(value ? 0xff : 0))
export const octetString = (bytes: Uint8Array): Uint8Array => element(TAG.octetString, bytes)
export const utf8String = (text: string): Uint8Array => element(TAG.utf8, new TextEncoder().encode(text))

/** A positive number, big-endian: without leading zeros, but for the one that keeps its sign. */
export function integer(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0)
  const digits = first < 0 ? Uint8Array.of(0) : bytes.subarray(first)
  return element(TAG.integer, (digits[0] ?? 0) >= 0x80 ? concat([Uint8Array.of(0), digits]) : digits)
}

/** @param unused bits at the end */
export const bitString = (bytes: Uint8Array, unused = 0): Uint8Array =>
  element(TAG.bitString, concat([Uint8Array.of(unused), bytes]))

/** @param text like `1.2.840.10045.4.3.2` */
export function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((part) => {
    const groups = [part & 0x7f]
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift(0x80 | (left & 0x7f))
    return groups
  })
  return element(TAG.oid, Uint8Array.from(bytes))
}

/** UTCTime until 2049, GeneralizedTime from then on. @param ms Unix @source RFC 5280 §4.1.2.5 */
export function time(ms: number): Uint8Array {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '') // 20260101000000Z
  const isShort = Number(text.slice(0, 4)) < 2050
  return element(isShort ? TAG.utcTime : TAG.generalizedTime, new TextEncoder().encode(isShort ? text.slice(2) : text))
}

/** A context-specific tag. @param constructed whether it holds elements rather than bytes */
export const tagged = (number: number, content: Uint8Array, constructed: boolean): Uint8Array =>
  element(0x80 | (constructed ? 0x20 : 0) | number, content)
