/** Text forms of IP addresses; pure, and the text of an address is always the same. */

import { toHex } from '../base/bytes.ts'

/** @throws TypeError unless the text is `a.b.c.d` */
export function parseIpv4(text: string): Uint8Array {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((p) => /^(0|[1-9]\d{0,2})$/.test(p) && Number(p) <= 255)) {
    throw new TypeError(`not an IPv4 address: "${text.slice(0, 40)}"`)
  }
  return Uint8Array.from(parts, Number)
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
export function formatIpv6(b: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((b[2 * i]! << 8) | b[2 * i + 1]!).toString(16))
  let [start, length] = [0, 1]
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (i + n < 8 && groups[i + n] === '0') n++
    if (n > length) [start, length] = [i, n]
  }
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

/** @throws TypeError unless the text is an IPv6 address (the dotted IPv4 tail is not taken) */
export function parseIpv6(text: string): Uint8Array {
  const bad = (): never => {
    throw new TypeError(`not an IPv6 address: "${text.slice(0, 60)}"`)
  }
  const halves = text.split('::')
  if (halves.length > 2) bad()
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const zeros = 8 - head.length - tail.length
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) bad()
  const groups = [...head, ...Array<string>(zeros).fill('0'), ...tail]
  const out = new Uint8Array(16)
  groups.forEach((group, i) => {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) bad()
    const n = Number.parseInt(group, 16)
    out[2 * i] = n >> 8
    out[2 * i + 1] = n & 0xff
  })
  return out
}

/** Who may be one: an IPv4 address, or the /64 that an IPv6 address is in, of which anybody with a line has one. What is neither is itself. */
export function originOfIp(text: string): string {
  const ip = text.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!ip.includes(':')) return ip
  try {
    return toHex(parseIpv6(ip).subarray(0, 8))
  } catch {
    return ip
  }
}
