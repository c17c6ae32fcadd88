import type { NodeId } from '../base/ids.ts'
import type { Edge, Graph } from './graph.ts'
import { capacityOf, Incoming } from './links.ts'
import type { RouteRequest } from './path.ts'
import { channelOfKey, type DirectedChannel, directedChannel } from './types.ts'

/**
 * The network as one request may use it: what it excludes is gone, what its invoice or its failures say takes the place of what
 * gossip says, and what its other parts take is off. Only nodes that something of this leads to are copied.
 */
export class View {
  /** Nodes that relay nothing. */
  readonly closed: readonly number[]
  /** All numbers are below. */
  readonly size: number
  readonly #graph: Graph
  readonly #request: RouteRequest
  /** Nodes that the graph does not know, numbered after those that it does. */
  readonly #others = new Map<NodeId, number>()
  readonly #changed = new Map<number, Incoming>()

  constructor(graph: Graph, request: RouteRequest) {
    this.#graph = graph
    this.#request = request
    this.#changeRows()
    for (const id of [request.target, ...request.localChannels.map((c) => c.remoteNodeId)]) this.numberOf(id)
    const { source, target, excludedNodes = [] } = request
    this.closed = [source, target, ...excludedNodes, ...graph.unroutableNodes].map((id) => this.numberOf(id))
    this.size = graph.links.size + this.#others.size
  }

  numberOf(id: NodeId): number {
    const known = this.#graph.links.numberOf(id) ?? this.#others.get(id)
    if (known !== undefined) return known
    const number = this.#graph.links.size + this.#others.size
    this.#others.set(id, number)
    return number
  }

  into(node: number): Incoming {
    return this.#changed.get(node) ?? this.#graph.links.into(node)
  }

  #changeRows(): void {
    const { excludedChannels, learned, narrow, taken } = this.#request
    const hints = hintEdges(this.#request)
    const hinted = new Set<DirectedChannel>(hints.map((e) => e.key))
    const nodes = new Set(hints.map((e) => e.to))
    const changed = [excludedChannels, learned?.keys(), narrow?.keys(), taken?.keys(), hinted]
    for (const key of changed.flatMap((keys) => [...(keys ?? [])])) {
      const to = this.#endOf(key)
      if (to !== undefined) nodes.add(to)
    }
    for (const id of nodes) {
      const number = this.numberOf(id)
      const edges = this.#graph.links.into(number).edges.filter((e) => !hinted.has(e.key))
      this.#changed.set(number, this.#changedRows([...edges, ...hints.filter((e) => e.to === id)]))
    }
  }

  /** The node that a direction leads to; undefined for what is no announced channel. */
  #endOf(key: string): NodeId | undefined {
    const at = channelOfKey(key)
    const channel = at === null ? undefined : this.#graph.channel(at.shortChannelId)
    return at?.direction === 0 ? channel?.nodeId2 : channel?.nodeId1
  }

  #changedRows(edges: readonly Edge[]): Incoming {
    const { excludedChannels, learned, narrow, taken } = this.#request
    const rows = new Incoming()
    for (const known of edges) {
      if (excludedChannels?.has(known.key)) continue
      const edge = { ...known, policy: learned?.get(known.key) ?? known.policy }
      const capacityMsat = Math.min(capacityOf(edge), narrow?.get(known.key) ?? Number.POSITIVE_INFINITY)
      rows.add({ ...edge, capacityMsat }, this.numberOf(known.from), taken?.get(known.key))
    }
    return rows
  }
}

/** The invoice's own channels. They know better than gossip, and take its place. */
const hintEdges = (request: RouteRequest): readonly Edge[] =>
  (request.routeHints ?? []).flatMap((hint) =>
    hint.map((hop, i): Edge => {
      const { nodeId: from, shortChannelId, feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta } = hop
      const to = hint[i + 1]?.nodeId ?? request.target
      const policy = {
        feeBaseMsat,
        feeProportionalMillionths,
        cltvExpiryDelta,
        htlcMinimumMsat: 0,
        htlcMaximumMsat: Number.MAX_SAFE_INTEGER,
        enabled: true,
        timestamp: 0,
      }
      return { key: directedChannel(shortChannelId, from, to), shortChannelId, from, to, policy, capacityMsat: null }
    }),
  )
