import type { ChannelId } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import { type Msat, ZERO_MSAT } from '../base/units.ts'
import type { Graph } from './graph.ts'
import { findRoute, type RouteRequest, widestRoute } from './path.ts'
import { type DirectedChannel, directedChannel, type Route, type RouteFault, routeAmount, routeFee } from './types.ts'

type Taken = Map<DirectedChannel | ChannelId, number>

/** Rounds of the search for the largest part over all routes; along the route found, the search goes on to the last msat. */
const ROUNDS_OVER_ALL = 4
const ROUNDS_ALONG_ONE = 64

/**
 * Routes that together deliver the amount: one where one can, else the largest part that finds a way, then the largest of what is
 * left, each with its share of the fee limit, and none counting on room that another takes.
 * @param maxParts ≥ 1
 */
export function findRoutes(
  graph: Graph,
  request: RouteRequest,
  maxParts: number,
): Result<readonly Route[], RouteFault> {
  const whole = findRoute(graph, request)
  if (whole.ok) return ok([whole.value])
  if (maxParts <= 1) return whole
  const taken: Taken = new Map(request.taken)
  const routes: Route[] = []
  let left: bigint = request.amountMsat
  let fee: bigint = request.maxFeeMsat
  while (left > 0n) {
    const partsLeft = BigInt(maxParts - routes.length)
    const route = partsLeft === 0n ? null : largestPart(graph, { ...request, taken }, { left, fee, partsLeft })
    if (route === null) return cannotSplit(request, whole.error, maxParts)
    take(taken, route)
    routes.push(route)
    left -= routeAmount(route)
    fee -= routeFee(route)
  }
  return ok(routes)
}

/** Later parts are never larger, so one below the average of what is left could not be made up for. */
function largestPart(
  graph: Graph,
  request: RouteRequest,
  { left, fee, partsLeft }: { left: bigint; fee: bigint; partsLeft: bigint },
): Route | null {
  const attempt = (amount: bigint, only?: RouteRequest['only']): Route | null => {
    const share = ((fee * amount) / left) as Msat
    const limit = only === undefined ? {} : { only }
    const found = findRoute(graph, { ...request, ...limit, amountMsat: amount as Msat, maxFeeMsat: share })
    return found.ok ? found.value : null
  }
  const least = (left + partsLeft - 1n) / partsLeft
  // Each search that finds nothing goes through the whole network: this one tells beforehand what cannot be found.
  const widest = widestRoute(graph, { ...request, amountMsat: left as Msat, maxFeeMsat: ZERO_MSAT })
  if (widest < least) return null
  const most = attempt(widest)
  if (most !== null || partsLeft === 1n) return most
  // Where the narrowest is a channel of ours, fees have to fit in, too.
  const lessFees = (widest * left) / (left + fee)
  const near = lessFees > least ? attempt(lessFees) : null
  const some = near ?? attempt(least)
  if (some === null) return null
  const large = near ?? enlarge(some, lessFees, ROUNDS_OVER_ALL, attempt)
  const only = new Set(channelsOf(large))
  return enlarge(large, widest, ROUNDS_ALONG_ONE, (amount) => attempt(amount, only))
}

/** Bisects between a route's amount and one that is too much. */
function enlarge(route: Route, tooMuch: bigint, rounds: number, attempt: (amount: bigint) => Route | null): Route {
  let best = route
  let high = tooMuch
  for (let i = 0; i < rounds && high - routeAmount(best) > 1n; i++) {
    const middle = (routeAmount(best) + high) / 2n
    const found = attempt(middle)
    if (found === null) high = middle
    else best = found
  }
  return best
}

/** What each hop of a route goes over: our channel, then directions. */
const channelsOf = (route: Route): readonly (DirectedChannel | ChannelId)[] =>
  route.hops.map((hop, i) => {
    const from = route.hops[i - 1]?.nodeId
    return from === undefined ? route.channelId : directedChannel(hop.shortChannelId, from, hop.nodeId)
  })

/** Counts a route's amounts as taken, so that the next part does not count on them. */
export function take(taken: Taken, route: Route): void {
  channelsOf(route).forEach((key, i) => {
    taken.set(key, (taken.get(key) ?? 0) + Number(route.hops[i]!.amountMsat))
  })
}

function cannotSplit(request: RouteRequest, whole: RouteFault, maxParts: number): Result<never, RouteFault> {
  const usable = request.localChannels.filter((c) => !request.excludedLocal?.has(c.channelId))
  if (request.localChannels.length === 0) return err(whole)
  const room = usable.reduce((sum, c) => sum + c.sendableMsat - BigInt(request.taken?.get(c.channelId) ?? 0), 0n)
  if (room < request.amountMsat) {
    return err({
      code: 'INSUFFICIENT_BALANCE',
      detail: `all channels together can send ${room} msat, ${request.amountMsat} msat are asked`,
    })
  }
  return err({ code: 'NO_ROUTE', detail: `${whole.detail}, nor in up to ${maxParts} parts` })
}
