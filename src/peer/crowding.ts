import { toHex } from '../base/bytes.ts'
import { parseIpv6 } from '../wire/ip.ts'

/** Who may be one: an IPv4 address, or the /64 that an IPv6 address is in, of which anybody with a line has one. */
function originOf(address: string): string {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')
  const ip = host.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!ip.includes(':')) return ip
  try {
    return toHex(parseIpv6(ip).subarray(0, 8))
  } catch {
    return ip
  }
}

/**
 * Which of those that wait has to go when there are too many: the oldest of the origin that has most. Whoever opens one connection after
 * the other pushes out its own, and nobody else's.
 * @param waiting oldest first, with `host:port` of the other end; at least one
 */
export function mostCrowding<T extends { readonly address: string }>(waiting: Iterable<T>): T {
  const byOrigin = new Map<string, T[]>()
  for (const one of waiting) {
    const origin = originOf(one.address)
    const others = byOrigin.get(origin)
    if (others) others.push(one)
    else byOrigin.set(origin, [one])
  }
  return [...byOrigin.values()].reduce((most, some) => (some.length > most.length ? some : most))[0]!
}
