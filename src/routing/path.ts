import type { ChannelId, NodeId } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { Msat } from '../base/units.ts'
import type { RouteHint } from '../invoice/fields.ts'
import type { Edge, EdgePolicy, Graph } from './graph.ts'
import { Heap } from './heap.ts'
import {
  type DirectedChannel,
  directedChannel,
  type LocalChannel,
  type Route,
  type RouteFault,
  type RouteHop,
} from './types.ts'

export const MAX_HOPS = 20

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
  readonly excludedLocal?: ReadonlySet<ChannelId>
  /** Nothing else may be used: directions, and channels of ours by their id. */
  readonly only?: ReadonlySet<DirectedChannel | ChannelId>
  /** What other parts of the same payment take already: of a direction, or of a channel of ours by its id. */
  readonly taken?: ReadonlyMap<DirectedChannel | ChannelId, number>
}

/**
 * A way from a node to the target, found from its end. Amounts are numbers: exact below 2^53 msat (90,000 BTC), and the search
 * touches millions.
 */
interface Label {
  readonly node: NodeId
  /** What the HTLC that reaches the node must carry, and its expiry. */
  readonly amount: number
  readonly cltv: number
  readonly hops: number
  /** What the node sends on over the edge; null at the target. */
  readonly onward: { readonly edge: Edge; readonly amount: number; readonly rest: Label } | null
}

/** Cheapest first; among equals the sooner expiry, then the shorter. */
const before = (a: Label, b: Label): boolean =>
  a.amount !== b.amount ? a.amount < b.amount : a.cltv !== b.cltv ? a.cltv < b.cltv : a.hops < b.hops

const MILLION = 1_000_000
/** BOLT 7 §htlc-fees, rounded down; exact although amount × rate may pass 2^53. */
export const relayFee = (
  policy: { feeBaseMsat: number; feeProportionalMillionths: number },
  amount: number,
): number => {
  const rate = policy.feeProportionalMillionths
  return policy.feeBaseMsat + Math.floor(amount / MILLION) * rate + Math.floor(((amount % MILLION) * rate) / MILLION)
}

/**
 * The cheapest route, or why there is none. What a channel's htlc_minimum_msat asks beyond the need is sent and given away as
 * fee, except on the last hop, where the amount is fixed; so dearer never becomes cheaper downstream, which is what makes the search exact.
 * Deterministic. The same inputs give the same route.
 */
export function findRoute(graph: Graph, request: RouteRequest): Result<Route, RouteFault> {
  const { source, target, amountMsat, finalCltvExpiry } = request
  if (source === target) return err({ code: 'NO_ROUTE', detail: 'the payee is this node itself' })
  if (amountMsat > BigInt(Number.MAX_SAFE_INTEGER)) return err({ code: 'NO_ROUTE', detail: 'no channel is that large' })
  const usable = usableOf(request)
  if (request.localChannels.length === 0) {
    const detail = 'no channel of this node can send now: open one, or wait until its peer is connected again'
    return err({ code: 'NO_ROUTE', detail })
  }
  const most = usable.reduce((m, c) => Math.max(m, roomOf(c, request)), 0)
  if (most < amountMsat) {
    const detail = `no usable channel can send ${amountMsat} msat at once: the most is ${most} msat`
    return err({ code: 'INSUFFICIENT_BALANCE', detail })
  }
  const search = new Search(graph, request, usable)
  // Without limits on time and length one label per node is enough. Nearly always its answer keeps to the limits, and then
  // nothing that keeps to them is cheaper. Otherwise all ways that are not worse in every respect are followed.
  const relaxed = search.run(false)
  const found = relaxed === null || search.withinLimits(relaxed) ? relaxed : search.run(true)
  if (found === null || finalCltvExpiry > request.maxCltvExpiry) {
    return err({
      code: 'NO_ROUTE',
      detail: `no route to ${target} for ${amountMsat} msat within the limits on fee, time and length`,
    })
  }
  return ok(routeOf(found))
}

const usableOf = (r: RouteRequest): readonly LocalChannel[] =>
  r.localChannels.filter((c) => !r.excludedLocal?.has(c.channelId) && (r.only?.has(c.channelId) ?? true))

/** No route carries more than so many msat, whatever it costs; amounts above that of the request are not told apart. */
export const widestRoute = (graph: Graph, request: RouteRequest): bigint =>
  BigInt(Math.max(0, new Search(graph, request, usableOf(request)).widest()))

/** A whole route: the label of our peer, and our channel to it. */
interface Found {
  readonly channel: LocalChannel
  readonly amount: number
  readonly first: Label
}

/** What some way from a node to the target has room for. */
interface Width {
  readonly node: NodeId
  readonly width: number
}

/** Bounds the memory of a search with limits. */
const MAX_LABELS = 400_000

class Search {
  readonly #graph: Graph
  readonly #request: RouteRequest
  readonly #local = new Map<NodeId, LocalChannel[]>()
  readonly #hints: ReadonlyMap<NodeId, readonly Edge[]>
  readonly #hinted: ReadonlySet<DirectedChannel>
  readonly #mostAmount: number

  constructor(graph: Graph, request: RouteRequest, usable: readonly LocalChannel[]) {
    this.#graph = graph
    this.#request = request
    this.#mostAmount = Number(request.amountMsat + request.maxFeeMsat)
    for (const c of usable) this.#local.set(c.remoteNodeId, [...(this.#local.get(c.remoteNodeId) ?? []), c])
    this.#hints = hintEdges(request)
    this.#hinted = new Set([...this.#hints.values()].flat().map((e) => e.key))
  }

  withinLimits(found: Found): boolean {
    const { maxCltvExpiry, maxHops = MAX_HOPS } = this.#request
    return found.first.cltv <= maxCltvExpiry && found.first.hops < maxHops
  }

  /** @param limited keep to the limits on expiry and hops, and for that keep every label that no other beats in all respects */
  run(limited: boolean): Found | null {
    const { target, amountMsat, finalCltvExpiry } = this.#request
    const heap = new Heap<Label>(before)
    const settled = new Map<NodeId, Label[]>()
    /** The best label so far of nodes that wait, where one label is enough. */
    const reached = new Map<NodeId, Label>()
    let best: Found | null = null
    let labels = 0
    heap.push({ node: target, amount: Number(amountMsat), cltv: finalCltvExpiry, hops: 0, onward: null })
    for (let label = heap.pop(); label !== undefined; label = heap.pop()) {
      if (best !== null && label.amount > best.amount) break
      const rivals = settled.get(label.node)
      if (isBeaten(label, rivals, limited)) continue
      if (++labels > MAX_LABELS) break
      if (rivals) rivals.push(label)
      else settled.set(label.node, [label])
      const found = this.#fromUs(label)
      if (found !== null && (best === null || isBetter(found, best))) best = found
      const most = best?.amount ?? Number.POSITIVE_INFINITY
      this.#eachEdge(label.node, (edge) => {
        const next = this.#extend(label, edge, limited)
        if (next === null || next.amount > most || isBeaten(next, settled.get(next.node), limited)) return
        if (!limited) {
          const rival = reached.get(next.node)
          if (rival !== undefined && !before(next, rival)) return
          reached.set(next.node, next)
        }
        heap.push(next)
      })
    }
    return best
  }

  /**
   * The most that some way from us has room for, when fees and the limits on time and length are left aside; 0 without a way.
   * What is more has no route.
   */
  widest(): number {
    const heap = new Heap<Width>((a, b) => a.width > b.width)
    const settled = new Set<NodeId>()
    let best = 0
    heap.push({ node: this.#request.target, width: this.#mostAmount })
    for (let at = heap.pop(); at !== undefined && at.width > best; at = heap.pop()) {
      const { node, width } = at
      if (settled.has(node)) continue
      settled.add(node)
      for (const c of this.#local.get(node) ?? []) best = Math.max(best, Math.min(width, roomOf(c, this.#request)))
      this.#eachEdge(node, (edge) => {
        if (settled.has(edge.from) || !this.#mayUse(edge)) return
        const next = Math.min(width, this.#roomIn(edge))
        if (next > best) heap.push({ node: edge.from, width: next })
      })
    }
    return best
  }

  /** The ways into a node: announced, and of the invoice. */
  #eachEdge(node: NodeId, visit: (edge: Edge) => void): void {
    for (const edge of this.#graph.edgesTo(node)) if (!this.#hinted.has(edge.key)) visit(edge)
    for (const edge of this.#hints.get(node) ?? []) visit(edge)
  }

  #policyOf(edge: Edge): EdgePolicy {
    return this.#request.learned?.get(edge.key) ?? edge.policy
  }

  #roomIn(edge: Edge): number {
    return this.#policyOf(edge).htlcMaximumMsat - (this.#request.taken?.get(edge.key) ?? 0)
  }

  #mayUse({ from, key }: Edge): boolean {
    const { source, target, excludedChannels, excludedNodes, only } = this.#request
    if (from === source || from === target || !this.#graph.mayRelay(from)) return false
    return !excludedNodes?.has(from) && !excludedChannels?.has(key) && only?.has(key) !== false
  }

  /** The way that begins one edge earlier, or null when the edge cannot be taken. */
  #extend(label: Label, edge: Edge, limited: boolean): Label | null {
    const { maxCltvExpiry, maxHops = MAX_HOPS } = this.#request
    if (!this.#mayUse(edge)) return null
    const policy = this.#policyOf(edge)
    const amount = atLeast(label, policy.htlcMinimumMsat)
    if (amount === null || amount > this.#roomIn(edge)) return null
    const asked = amount + relayFee(policy, amount)
    if (asked > this.#mostAmount) return null
    const cltv = label.cltv + policy.cltvExpiryDelta
    const hops = label.hops + 1
    if (limited && (cltv > maxCltvExpiry || hops >= maxHops)) return null
    return { node: edge.from, amount: asked, cltv, hops, onward: { edge, amount, rest: label } }
  }

  /** Our own cheapest channel to the node; among equals the one with the most room. */
  #fromUs(label: Label): Found | null {
    let best: Found | null = null
    let bestRoom = 0
    for (const channel of this.#local.get(label.node) ?? []) {
      const amount = atLeast(label, Number(channel.htlcMinimumMsat))
      const room = roomOf(channel, this.#request)
      if (amount === null || amount > room || amount > this.#mostAmount) continue
      if (best !== null && (amount > best.amount || (amount === best.amount && room <= bestRoom))) continue
      best = { channel, amount, first: label }
      bestRoom = room
    }
    return best
  }
}

const roomOf = (c: LocalChannel, r: RouteRequest): number => Number(c.sendableMsat) - (r.taken?.get(c.channelId) ?? 0)

/** What goes over a channel with a minimum; null where the minimum would give the payee more than was asked. */
const atLeast = (label: Label, minimum: number): number | null =>
  label.amount >= minimum ? label.amount : label.onward === null ? null : minimum

/** Whether a settled label of the same node makes this one needless. */
function isBeaten(label: Label, settled: readonly Label[] | undefined, limited: boolean): boolean {
  if (settled === undefined) return false
  return !limited || settled.some((s) => s.amount <= label.amount && s.cltv <= label.cltv && s.hops <= label.hops)
}

const isBetter = (a: Found, b: Found): boolean =>
  a.amount !== b.amount ? a.amount < b.amount : before({ ...a.first, amount: 0 }, { ...b.first, amount: 0 })

/** The invoice's own channels as edges by the node that they lead to. They know better than gossip, and take its place. */
function hintEdges(request: RouteRequest): ReadonlyMap<NodeId, readonly Edge[]> {
  const edges = new Map<NodeId, Edge[]>()
  for (const hint of request.routeHints ?? []) {
    hint.forEach((hop, i) => {
      const { nodeId: from, shortChannelId } = hop
      const to = hint[i + 1]?.nodeId ?? request.target
      const policy = {
        feeBaseMsat: hop.feeBaseMsat,
        feeProportionalMillionths: hop.feeProportionalMillionths,
        cltvExpiryDelta: hop.cltvExpiryDelta,
        htlcMinimumMsat: 0,
        htlcMaximumMsat: Number.MAX_SAFE_INTEGER,
        enabled: true,
        timestamp: 0,
      }
      const edge = { key: directedChannel(shortChannelId, from, to), shortChannelId, from, to, policy }
      edges.set(to, [...(edges.get(to) ?? []), edge])
    })
  }
  return edges
}

function routeOf(found: Found): Route {
  const hops: RouteHop[] = []
  let shortChannelId = found.channel.shortChannelId
  let amount = found.amount
  for (let at: Label | undefined = found.first; at !== undefined; at = at.onward?.rest) {
    hops.push({ nodeId: at.node, shortChannelId, amountMsat: BigInt(amount) as Msat, cltvExpiry: at.cltv })
    if (at.onward === null) break
    shortChannelId = at.onward.edge.shortChannelId
    amount = at.onward.amount
  }
  return { channelId: found.channel.channelId, hops }
}
