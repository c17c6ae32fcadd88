import type { ChannelId, NodeId } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { Msat } from '../base/units.ts'
import type { RouteHint } from '../invoice/fields.ts'
import type { EdgePolicy, Graph } from './graph.ts'
import type { Liquidity } from './liquidity.ts'
import { mostRoom, Search, type SearchKind } from './search.ts'
import type { DirectedChannel, LocalChannel, Route, RouteFault } from './types.ts'
import { routeAlong, type Taken, type Way } from './way.ts'

export const MAX_HOPS = 20

/** Bounds the time that one turn takes: with 80,000 channels a route asks for 7,000 labels on average. Other work counts as labels. */
export interface Effort {
  labels: number
}

export interface RouteRequest {
  /** Ourselves. */
  readonly source: NodeId
  readonly target: NodeId
  /** What has to arrive. */
  readonly amountMsat: Msat
  /** Expiry of the last HTLC, block height. */
  readonly finalCltvExpiry: number
  readonly maxFeeMsat: Msat
  /** No HTLC may expire later than this height. */
  readonly maxCltvExpiry: number
  readonly maxHops?: number
  readonly localChannels: readonly LocalChannel[]
  readonly routeHints?: readonly RouteHint[]
  /** What directions really ask: in the place of what gossip or a hint says. */
  readonly learned?: ReadonlyMap<DirectedChannel, EdgePolicy>
  readonly excludedChannels?: ReadonlySet<DirectedChannel>
  readonly excludedNodes?: ReadonlySet<NodeId>
  /** Directions that had no room for an HTLC of this payment, and what they may be tried with where nothing leads around them, msat. */
  readonly narrow?: ReadonlyMap<DirectedChannel, number>
  readonly excludedLocal?: ReadonlySet<ChannelId>
  /** By other parts of the same payment. */
  readonly taken?: Taken
  /** Where money is, as far as payments have shown; with it a route is chosen by its fees and by the chance that it works. */
  readonly liquidity?: { readonly known: Liquidity /** Unix ms. */; readonly now: number }
  /** What searches may still do, all that are given the same; each takes off what it did. */
  readonly effort?: Effort
}

/** Work that pauses wherever it asks for the graph, and is given it as it is by then. */
export type Pausing<T> = Generator<undefined, T, Graph>

/** All of it at once. */
export function finish<T>(graph: Graph, work: Pausing<T>): T {
  for (;;) {
    const step = work.next(graph)
    if (step.done) return step.value
  }
}

/**
 * The cheapest route, or the best when what is known of liquidity is given, or why there is none. Deterministic: the same inputs give the same route.
 */
export function findRoute(graph: Graph, request: RouteRequest): Result<Route, RouteFault> {
  const way = finish(graph, findWay(request))
  return way.ok ? ok(routeOf(way.value, request)) : way
}

/** The amount of a request along a way that was found for it. */
export const routeOf = (way: Way, { amountMsat, taken }: RouteRequest): Route =>
  routeAlong(way, Number(amountMsat), taken)!

/** Labels that are left for finding routes at all, when some are spent on better ones. */
const RESERVE = 400_000

/**
 * What the cheapest route goes over. What a channel's htlc_minimum_msat asks beyond the need is given away, so dearer never becomes
 * cheaper downstream, which is what makes the search exact.
 */
export function* findWay(request: RouteRequest): Pausing<Result<Way, RouteFault>> {
  const { target, amountMsat, finalCltvExpiry, maxCltvExpiry, liquidity, effort } = request
  const unfit = faultOf(request)
  if (unfit !== null) return err(unfit)
  // Without limits on time and length one label per node is enough. Nearly always its answer keeps to the limits, and then
  // nothing that keeps to them is cheaper. Otherwise all ways that are not worse in every respect are followed.
  const relaxed = search(yield, request, 'cheapest')
  const cheapest = relaxed === null || relaxed.keepsLimits ? relaxed : search(yield, request, 'limited')
  if (cheapest === null || finalCltvExpiry > maxCltvExpiry) {
    return err({
      code: 'NO_ROUTE',
      detail: `no route to ${target} for ${amountMsat} msat within the limits on fee, time and length`,
    })
  }
  if (liquidity === undefined || (effort?.labels ?? RESERVE) < RESERVE) return ok(cheapest.way)
  // One label per node is not enough to find every route where price is not what is carried; that there is one is known by now.
  const likely = search(yield, request, 'likely')
  return ok(likely?.keepsLimits ? likely.way : cheapest.way)
}

/** Why no search is needed to know that there is no route; null where one is. */
function faultOf(request: RouteRequest): RouteFault | null {
  const { source, target, amountMsat } = request
  if (source === target) return { code: 'NO_ROUTE', detail: 'the payee is this node itself' }
  if (amountMsat > BigInt(Number.MAX_SAFE_INTEGER)) return { code: 'NO_ROUTE', detail: 'no channel is that large' }
  if (request.localChannels.length === 0) {
    const detail = 'no channel of this node can send now: open one, or wait until its peer is connected again'
    return { code: 'NO_ROUTE', detail }
  }
  const most = mostRoom(request)
  if (most >= amountMsat) return null
  const detail = `no usable channel can send ${amountMsat} msat at once: the most is ${most} msat`
  return { code: 'INSUFFICIENT_BALANCE', detail }
}

function search(
  graph: Graph,
  request: RouteRequest,
  kind: SearchKind,
): { readonly way: Way; readonly keepsLimits: boolean } | null {
  const one = searchOf(graph, request)
  const found = one.run(kind)
  return found && { way: one.wayOf(found), keepsLimits: one.withinLimits(found) }
}

/** No route carries more than so many msat, whatever it costs; amounts above that of the request are not told apart. */
export const widestRoute = (graph: Graph, request: RouteRequest): bigint =>
  BigInt(Math.max(0, searchOf(graph, request).widest()))

const searchOf = (graph: Graph, request: RouteRequest): Search => new Search(graph, { maxHops: MAX_HOPS, ...request })
