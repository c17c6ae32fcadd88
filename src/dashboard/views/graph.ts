import type { GraphChannel, GraphNode } from '../../api/schemas.ts'
import { allOf, type FulmenClient } from '../../client/index.ts'
import { shortId } from '../format.ts'

/** More than this is neither readable nor quick to draw. */
export const MAX_CHANNELS = 4_000

export interface Graph {
  readonly nodes: readonly GraphNode[]
  readonly channels: readonly GraphChannel[]
  readonly isCut: boolean
}

/** The network as this node knows it. */
export async function loadGraph(client: FulmenClient, signal: AbortSignal): Promise<Graph> {
  const channels: GraphChannel[] = []
  let isCut = false
  for await (const channel of allOf(client.graph.channels, 500)) {
    signal.throwIfAborted()
    if (channels.length === MAX_CHANNELS) {
      isCut = true
      break
    }
    channels.push(channel)
  }
  const known = new Map<string, GraphNode>()
  for await (const node of allOf(client.graph.nodes, 500)) {
    signal.throwIfAborted()
    known.set(node.nodeId, node)
    if (known.size >= 2 * MAX_CHANNELS) break
  }
  // Those with channels, announced or not; and those without.
  for (const id of channels.flatMap(({ nodeId1, nodeId2 }) => [nodeId1, nodeId2])) {
    if (!known.has(id)) known.set(id, { nodeId: id, alias: '', addresses: [] })
  }
  return { nodes: [...known.values()], channels, isCut }
}

export const aliasOf = ({ alias, nodeId }: GraphNode): string => alias.trim() || shortId(nodeId)
