import { fromHex } from '../../base/bytes.ts'
import type { NodeId } from '../../base/ids.ts'
import { crypto } from '../../crypto/crypto.ts'
import { PeerError } from '../../peer/errors.ts'
import { hostPort } from '../../peer/sockets.ts'
import { badBody, ServiceError } from '../errors.ts'
import { pageOf } from '../paging.ts'
import type { NodeParts } from '../parts.ts'
import { featuresHex } from '../peers.ts'
import type { NodeService, PeerView } from '../service.ts'

export type PeerService = Pick<NodeService, 'peers' | 'connectPeer' | 'disconnectPeer'>

/** Whom the node is connected to, or wants to be. */
export function peerService(parts: NodeParts): PeerService {
  const { peers, channels, graph, own } = parts

  const viewOf = (nodeId: NodeId): PeerView => {
    const session = peers.session(nodeId)
    const address = peers.address(nodeId)
    return {
      nodeId,
      address: session?.address ?? (address ? hostPort(address.host, address.port) : null),
      connected: session !== undefined,
      inbound: session?.inbound ?? false,
      features: session ? featuresHex(session) : null,
      alias: graph.node(nodeId)?.alias || null,
      channels: channels.ofPeer(nodeId).filter((c) => c.state.tag !== 'closed').length,
    }
  }

  return {
    async peers(page) {
      const ids = new Set([
        ...peers.links().map((l) => l.nodeId),
        ...peers.addresses().map((a) => a.nodeId),
        ...channels.all().map((c) => c.meta.peer),
      ])
      const { items, nextCursor } = pageOf([...ids].sort(), (id) => id, page)
      return { items: items.map(viewOf), nextCursor }
    },
    async connectPeer(address) {
      if (address.nodeId === own.nodeId) throw badBody('/uri', 'that is this node itself')
      if (!crypto.isValidPublicKey(fromHex(address.nodeId)))
        throw badBody('/uri', `${address.nodeId} is no public key: see whether it was typed right`)
      try {
        await peers.connect(address)
        if (channels.ofPeer(address.nodeId).length > 0) await parts.backUp()
      } catch (e) {
        if (!(e instanceof PeerError)) throw e
        const code =
          e.code === 'WRONG_CHAIN' || e.code === 'INCOMPATIBLE_FEATURES' ? 'PEER_REFUSED' : 'PEER_UNREACHABLE'
        throw new ServiceError(code, e.message, { cause: e })
      }
      return viewOf(address.nodeId)
    },
    async disconnectPeer(nodeId) {
      if (!peers.session(nodeId) && !peers.address(nodeId)) {
        throw new ServiceError('NOT_FOUND', `${nodeId} is not a peer of this node`)
      }
      const open = channels.ofPeer(nodeId).filter((c) => c.state.tag !== 'closed')
      if (open.length > 0) {
        throw new ServiceError(
          'CONFLICT',
          `${open.length} channels with this peer need the connection: close them first`,
        )
      }
      await peers.forget(nodeId)
    },
  }
}
