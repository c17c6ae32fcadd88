import { toHex } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import { crypto } from '../crypto/crypto.ts'
import { directionOf } from '../gossip/validate.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../wire/messages/gossip.ts'
import { encodeMessage } from '../wire/registry.ts'
import type { Link } from './outbox.ts'

type From<T> = readonly [Link, T]

/** Updates that are held back for one channel; those of chosen peers are held beyond. */
const MOST_UPDATES = 8
/** Nodes without a known channel whose announcements are held: so many of chosen peers, and of others. The oldest go. */
const MOST_NODES = 5_000

interface Awaited {
  /** Announcements that are looked up, by their hashes: whoever comes first could have made one up. */
  readonly claims: Set<string>
  /** The newest by peer and direction. */
  readonly updates: Map<string, From<ChannelUpdate>>
}

/** What has come before the channel that it belongs to was looked up. Nothing in it has been verified: what strangers tell keeps nothing of a chosen peer out. */
export class HeldGossip {
  readonly #isChosen: (peer: NodeId) => boolean
  readonly #channels = new Map<ShortChannelId, Awaited>()
  readonly #nodes = {
    chosen: new Map<NodeId, From<NodeAnnouncement>>(),
    strangers: new Map<NodeId, From<NodeAnnouncement>>(),
  }

  constructor(isChosen: (peer: NodeId) => boolean) {
    this.#isChosen = isChosen
  }

  /** A channel is going to be looked up as announced. @returns false when that is under way */
  begin(m: ChannelAnnouncement): boolean {
    const awaited = this.#channels.get(m.shortChannelId) ?? { claims: new Set(), updates: new Map() }
    const claim = hashOf(m)
    if (awaited.claims.has(claim)) return false
    awaited.claims.add(claim)
    this.#channels.set(m.shortChannelId, awaited)
    return true
  }

  /** It has been looked up. @returns the updates that waited for it, unless another announcement of the channel may still be the right one */
  end(m: ChannelAnnouncement, isKnown: boolean): readonly From<ChannelUpdate>[] {
    const awaited = this.#channels.get(m.shortChannelId)
    awaited?.claims.delete(hashOf(m))
    if (!awaited || (awaited.claims.size > 0 && !isKnown)) return []
    const updates = [...awaited.updates.values()]
    awaited.updates.clear()
    if (awaited.claims.size === 0) this.#channels.delete(m.shortChannelId)
    return updates
  }

  /** @returns whether its channel is being looked up */
  update(link: Link, m: ChannelUpdate): boolean {
    const awaited = this.#channels.get(m.shortChannelId)
    if (!awaited) return false
    const key = `${link.nodeId}/${directionOf(m)}`
    const { updates } = awaited
    if (updates.has(key) || updates.size < MOST_UPDATES || this.#isChosen(link.nodeId)) updates.set(key, [link, m])
    return true
  }

  node(link: Link, m: NodeAnnouncement): void {
    const nodes = this.#nodes[this.#isChosen(link.nodeId) ? 'chosen' : 'strangers']
    nodes.delete(m.nodeId)
    nodes.set(m.nodeId, [link, m])
    if (nodes.size > MOST_NODES) nodes.delete(nodes.keys().next().value!)
  }

  /** Those that waited for a channel of these nodes. */
  takeNodes(ids: readonly NodeId[]): readonly From<NodeAnnouncement>[] {
    return Object.values(this.#nodes).flatMap((nodes) =>
      ids.flatMap((id) => {
        const held = nodes.get(id)
        nodes.delete(id)
        return held ? [held] : []
      }),
    )
  }
}

const hashOf = (m: ChannelAnnouncement): string => toHex(crypto.sha256(encodeMessage(m)))
