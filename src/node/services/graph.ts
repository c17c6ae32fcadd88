import { formatScid, type NodeId, nodeId as parseNodeId, parseScid, type ShortChannelId } from '../../base/ids.ts'
import { MAX_MSAT, msat } from '../../base/units.ts'
import { findRoute } from '../../routing/path.ts'
import { routeFee } from '../../routing/types.ts'
import { formatAddress } from '../../wire/address.ts'
import { ServiceError } from '../errors.ts'
import { type KeyOrder, pageByKey } from '../paging.ts'
import type { NodeParts } from '../parts.ts'
import type { NodeService } from '../service.ts'

export type GraphService = Pick<NodeService, 'graphNodes' | 'graphChannels' | 'findRoute'>

const FINAL_CLTV_DELTA = 18
const MAX_CLTV_DELTA = 2016

/** Nodes have no age. */
const BY_ID: KeyOrder<{ readonly nodeId: NodeId }, NodeId> = {
  key: (node) => node.nodeId,
  isBefore: (a, b) => a < b,
  write: (id) => id,
  read: parseNodeId,
}
/** A short channel id begins with the block of the funding. */
const NEWEST_FIRST: KeyOrder<{ readonly shortChannelId: ShortChannelId }, ShortChannelId> = {
  key: (channel) => channel.shortChannelId,
  isBefore: (a, b) => a > b,
  write: formatScid,
  read: parseScid,
}

/** The network as gossip shows it, and routes through it. */
export function graphService(parts: NodeParts): GraphService {
  const { graph, chain, own } = parts
  return {
    async graphNodes(page) {
      const { items, nextCursor } = pageByKey(graph.nodes(), BY_ID, page)
      const view = items.map((n) => ({
        nodeId: n.nodeId,
        alias: n.alias,
        addresses: n.addresses.flatMap((a) => formatAddress(a) ?? []),
      }))
      return { items: view, nextCursor }
    },
    async graphChannels(page) {
      return pageByKey(graph.channels(), NEWEST_FIRST, page)
    },
    async findRoute({ nodeId, amountMsat }) {
      const found = findRoute(graph, {
        source: own.nodeId,
        target: nodeId,
        amountMsat,
        finalCltvExpiry: chain.height + FINAL_CLTV_DELTA,
        maxFeeMsat: msat(MAX_MSAT),
        maxCltvExpiry: chain.height + MAX_CLTV_DELTA,
        localChannels: parts.localChannels(),
      })
      if (!found.ok) {
        const code = found.error.code === 'INSUFFICIENT_BALANCE' ? 'INSUFFICIENT_BALANCE' : 'NO_ROUTE'
        throw new ServiceError(code, found.error.detail)
      }
      return { amountMsat, feeMsat: routeFee(found.value), hops: found.value.hops }
    },
  }
}
