import { originOfIp } from '../wire/ip.ts'

/** @param address host:port */
const originOf = (address: string): string =>
  originOfIp(address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1'))

interface Placed {
  /** `host:port` of the other end. */
  readonly address: string
}

function byOrigin<T extends Placed>(all: Iterable<T>): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const origin = originOf(one.address)
    const others = groups.get(origin)
    if (others) others.push(one)
    else groups.set(origin, [one])
  }
  return groups
}
const largest = <T>(groups: ReadonlyMap<string, readonly T[]>): readonly T[] =>
  [...groups.values()].reduce((most, some) => (some.length > most.length ? some : most), [])

/**
 * Which of those that wait has to go when there are too many: the oldest of the origin that has most. Whoever opens one connection after
 * the other pushes out its own, and nobody else's.
 * @param waiting oldest first; at least one
 */
export const mostCrowding = <T extends Placed>(waiting: Iterable<T>): T => largest(byOrigin(waiting))[0]!

/**
 * Which of those that are connected makes room for one more: the oldest of the origin that has most, when the newcomer's has fewer
 * even with it; else null. Nobody can take all places for as long as it likes.
 * @param connected oldest first
 */
export function crowdedOut<T extends Placed>(connected: Iterable<T>, newcomer: Placed): T | null {
  const groups = byOrigin(connected)
  const most = largest(groups)
  const own = groups.get(originOf(newcomer.address))?.length ?? 0
  return own + 1 < most.length ? most[0]! : null
}
