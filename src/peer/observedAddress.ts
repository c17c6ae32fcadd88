import type { NetworkAddress } from '../wire/address.ts'
import { parseIpv4, parseIpv6 } from '../wire/ip.ts'

/** First bytes of IPv4 blocks that are nobody's address on the Internet (RFC 6890), with the length of the prefix. */
const NOT_PUBLIC: readonly (readonly [readonly [number, number, number, number], number])[] = [
  [[0, 0, 0, 0], 8],
  [[10, 0, 0, 0], 8],
  [[100, 64, 0, 0], 10],
  [[127, 0, 0, 0], 8],
  [[169, 254, 0, 0], 16],
  [[172, 16, 0, 0], 12],
  [[192, 0, 0, 0], 24],
  [[192, 0, 2, 0], 24],
  [[192, 168, 0, 0], 16],
  [[198, 18, 0, 0], 15],
  [[198, 51, 100, 0], 24],
  [[203, 0, 113, 0], 24],
  [[224, 0, 0, 0], 3],
]
const word = (b: ArrayLike<number>): number => ((b[0]! << 24) | (b[1]! << 16) | (b[2]! << 8) | b[3]!) >>> 0
const inBlock = (ip: Uint8Array, [block, bits]: (typeof NOT_PUBLIC)[number]): boolean =>
  (word(ip) ^ word(block)) >>> (32 - bits) === 0

/**
 * The address of an inbound peer, as init tells it to help it past NAT; undefined for one that is private to us.
 * @param ip as the socket gives it, IPv4 perhaps in its IPv6 form
 * @source BOLT 1 §the-init-message: remote_addr
 */
export function observedAddress(ip: string, port: number): NetworkAddress | undefined {
  const host = ip.replace(/^::ffff:(?=\d+\.)/i, '')
  try {
    if (host.includes('.')) {
      const bytes = parseIpv4(host)
      return NOT_PUBLIC.some((block) => inBlock(bytes, block)) ? undefined : { tag: 'ipv4', host, port }
    }
    // Global unicast is 2000::/3; 2001:db8::/32 is for documentation.
    const bytes = parseIpv6(host)
    return bytes[0]! >> 5 === 1 && word(bytes) !== 0x20010db8 ? { tag: 'ipv6', host, port } : undefined
  } catch {
    return undefined
  }
}
