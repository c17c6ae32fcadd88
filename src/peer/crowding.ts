import { originOfIp } from '../wire/ip.ts'

/** @param address host:port */
const originOf = (address: string): string =>
  originOfIp(address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1'))

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
