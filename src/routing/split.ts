import type { ChannelId } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import { type Msat, ZERO_MSAT } from '../base/units.ts'
import type { Graph } from './graph.ts'
import { findWay, finish, type Pausing, type RouteRequest, routeOf, widestRoute } from './path.ts'
import { usableOf } from './search.ts'
import { type DirectedChannel, directedChannel, type Route, type RouteFault, routeAmount, routeFee } from './types.ts'
import { roomOf, routeAlong, type Way } from './way.ts'

/** For all searches of one split. */
const MAX_LABELS = 600_000
/** A plan pauses after the search that passes this: about 50 ms go by until then at most, in a network as large as the real one. */
const PAUSE_LABELS = 20_000

/** Routes in the making. */
export interface RoutePlan {
  /** What they will deliver together. */
  readonly amountMsat: Msat
  /**
   * Goes on for as long as one turn may take.
   * @param graph as it is now: it may have changed since the last call
   * @returns null where there is more to do, in another turn
   */
  advance(graph: Graph): Result<readonly Route[], RouteFault> | null
}

/**
 * Routes that together deliver the amount: one where one can, else the largest part that finds a way, then the largest of what is
 * left, each with its share of the fee limit, and none counting on room that another takes.
 * @param maxParts ≥ 1
 */
export function planRoutes({ effort = { labels: MAX_LABELS }, ...rest }: RouteRequest, maxParts: number): RoutePlan {
  const work = plan({ ...rest, effort }, maxParts)
  return {
    amountMsat: rest.amountMsat,
    advance(graph) {
      const pauseAt = effort.labels - PAUSE_LABELS
      for (let step = work.next(graph); ; step = work.next(graph)) {
        if (step.done) return step.value
        if (effort.labels <= pauseAt) return null
      }
    },
  }
}

/** The same at once, however long it takes. */
export const findRoutes = (
  graph: Graph,
  { effort = { labels: MAX_LABELS }, ...rest }: RouteRequest,
  maxParts: number,
): Result<readonly Route[], RouteFault> => finish(graph, plan({ ...rest, effort }, maxParts))

/** Around what had no room; over it, with less than it refused, where nothing leads around. */
function* plan(request: RouteRequest, maxParts: number): Pausing<Result<readonly Route[], RouteFault>> {
  const { narrow, excludedChannels = [] } = request
  if (narrow === undefined || narrow.size === 0) return yield* split(request, maxParts)
  const around = new Set([...excludedChannels, ...narrow.keys()])
  const found = yield* split({ ...request, excludedChannels: around }, maxParts)
  return found.ok ? found : yield* split(request, maxParts)
}

function* split(request: RouteRequest, maxParts: number): Pausing<Result<readonly Route[], RouteFault>> {
  const whole = yield* findWay(request)
  if (whole.ok) return ok([routeOf(whole.value, request)])
  if (maxParts <= 1) return whole
  const plan: Plan = {
    left: request.amountMsat,
    fee: request.maxFeeMsat,
    partsLeft: maxParts,
    size: 0n,
    taken: new Map(request.taken),
    routes: [],
  }
  while (plan.left > 0n) {
    const way = yield* nextWay(plan, { ...request, taken: plan.taken })
    if (way === null) return cannotSplit(request, whole.error, maxParts)
    addPart(plan, way)
  }
  return ok(plan.routes)
}

/** A split in the making. */
interface Plan {
  /** What is still to be delivered, and what may be spent on it, msat. */
  left: bigint
  fee: bigint
  partsLeft: number
  /** What the last way was looked for with. */
  size: bigint
  readonly taken: Map<DirectedChannel | ChannelId, number>
  readonly routes: Route[]
}

/** The part of the fee limit that an amount may use up. */
const shareOf = ({ left, fee }: Plan, amount: bigint): bigint => (fee * amount) / left

const most = (a: bigint, b: bigint): bigint => (a > b ? a : b)

/** A way for plan.size, which is as large as the last part or, where no way has room for so much, as the widest has. */
function* nextWay(plan: Plan, request: RouteRequest): Pausing<Way | null> {
  const { left, fee, partsLeft, size: last } = plan
  if (partsLeft === 0) return null
  // Later parts are seldom larger, so one below the average of what is left could not be made up for.
  const least = (left + BigInt(partsLeft) - 1n) / BigInt(partsLeft)
  function* attempt(size: bigint): Pausing<Way | null> {
    plan.size = size
    const found = yield* findWay({ ...request, amountMsat: size as Msat, maxFeeMsat: shareOf(plan, size) as Msat })
    return found.ok ? found.value : null
  }
  const failed = last >= least && last <= left ? last : null
  const again = failed === null ? null : yield* attempt(failed)
  if (again !== null) return again
  // A search that finds nothing goes through the whole network: this tells beforehand what cannot be found.
  const widest = widestRoute(yield, { ...request, amountMsat: left as Msat, maxFeeMsat: ZERO_MSAT })
  if (widest < least) return null
  // Where the narrowest is a channel of ours, fees have to fit in, too.
  const lessFees = widest === left ? left : (widest * left) / (left + fee)
  const first = failed === null || lessFees < failed ? lessFees : failed / 2n
  for (let size = most(first, least); ; size = most(size / 2n, least)) {
    const way = yield* attempt(size)
    if (way !== null || size === least) return way
  }
}

/** Adds the largest part that finds room along a way, to the last msat; one of plan.size does. */
function addPart(plan: Plan, way: Way): void {
  const along = (amount: bigint): Route | null => {
    const route = routeAlong(way, Number(amount), plan.taken)
    return route !== null && routeFee(route) <= shareOf(plan, amount) ? route : null
  }
  let best = along(plan.left) ?? along(plan.size)!
  for (let low: bigint = routeAmount(best), high = plan.left; high - low > 1n; ) {
    const middle = (low + high) / 2n
    const route = along(middle)
    if (route === null) high = middle
    else {
      best = route
      low = middle
    }
  }
  take(plan.taken, best)
  plan.routes.push(best)
  plan.left -= routeAmount(best)
  plan.fee -= routeFee(best)
  plan.partsLeft--
}

/** What each hop of a route goes over: our channel, then directions. */
const channelsOf = (route: Route): readonly (DirectedChannel | ChannelId)[] =>
  route.hops.map((hop, i) => {
    const from = route.hops[i - 1]?.nodeId
    return from === undefined ? route.channelId : directedChannel(hop.shortChannelId, from, hop.nodeId)
  })

/** Counts a route's amounts as taken, so that the next part does not count on them. */
export function take(taken: Plan['taken'], route: Route): void {
  channelsOf(route).forEach((key, i) => {
    taken.set(key, (taken.get(key) ?? 0) + Number(route.hops[i]!.amountMsat))
  })
}

function cannotSplit(request: RouteRequest, whole: RouteFault, maxParts: number): Result<never, RouteFault> {
  const usable = usableOf(request)
  if (request.localChannels.length === 0) return err(whole)
  const room = usable.reduce((sum, c) => sum + BigInt(roomOf(c, request.taken)), 0n)
  if (room < request.amountMsat) {
    return err({
      code: 'INSUFFICIENT_BALANCE',
      detail: `all channels together can send ${room} msat, ${request.amountMsat} msat are asked`,
    })
  }
  const end =
    request.effort?.labels === 0 ? '; the search ended before it had seen all, a smaller amount may find a way' : ''
  return err({ code: 'NO_ROUTE', detail: `${whole.detail}, nor in up to ${maxParts} parts${end}` })
}
