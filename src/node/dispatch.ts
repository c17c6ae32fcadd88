import type { Logger } from 'pino'
import { ascii } from '../base/bytes.ts'
import type { ChannelId } from '../base/ids.ts'
import { satToMsat } from '../base/units.ts'
import { halfIn } from '../channel/announcement.ts'
import { channelOf } from '../channel/describe.ts'
import type { ChannelSigner } from '../channel/types.ts'
import type { PeerSession } from '../peer/manager.ts'
import {
  type ChannelMessage,
  isChannelMessage,
  isGossipMessage,
  isSessionMessage,
  type Message,
  type MessageNamed,
} from '../wire/registry.ts'
import type { ChannelMeta, Channels } from './channels.ts'
import { Openings } from './openings.ts'
import type { Link } from './outbox.ts'
import type { NodeParts } from './parts.ts'
import { relayPolicy } from './policy.ts'
import type { TurnScope } from './reactor.ts'

/** The network's, which peers tell again: none of the room that is left for claims goes to it. */
const FILLS_DISK: ReadonlySet<Message['type']> = new Set([
  'channel_announcement',
  'node_announcement',
  'channel_update',
])
const EVERY_CHANNEL = '0'.repeat(64)

export interface DispatchOptions {
  readonly parts: () => NodeParts
  readonly channels: Channels
  readonly log: Logger
  readonly newMeta: (peer: Link['nodeId']) => ChannelMeta
  readonly signer: (meta: ChannelMeta) => ChannelSigner
}

/** Which channel a message is for; null for those that open one. */
function channelIdOf(message: ChannelMessage): ChannelId | null {
  if (message.type === 'open_channel') return null
  if ('channelId' in message) return message.channelId
  return 'temporaryChannelId' in message ? message.temporaryChannelId : null
}

/** Gives what comes from the peers to its owner: a channel, or the gossip part. */
export class Dispatch {
  readonly #options: DispatchOptions
  readonly #openings: Openings

  constructor(options: DispatchOptions) {
    this.#options = options
    this.#openings = new Openings({
      channels: options.channels,
      storageLow: () => options.parts().storageLow(),
      isCurrent: () => options.parts().chain.isCurrent,
      now: () => performance.now(),
    })
  }

  connected(link: Link, session: PeerSession, scope: TurnScope): void {
    const { channels, events, gossip, storage } = this.#options.parts()
    // Before the channels speak: a peer that has lost its data learns so from what we kept for it.
    this.#attempt(link, 'connection', scope, () => storage.connected(link, scope))
    for (const entry of channels.ofPeer(link.nodeId)) {
      channels.deliver(entry, { tag: 'connected', theirFeatures: session.theirFeatures })
    }
    channels.drain(scope)
    this.#attempt(link, 'connection', scope, () => gossip.onConnected(link, session.theirFeatures))
    events.emitOfPeer(scope, link.nodeId, 'peer.connected', { nodeId: link.nodeId, inbound: session.inbound })
  }

  disconnected(link: Link, reason: string, scope: TurnScope): void {
    const { channels, events, gossip } = this.#options.parts()
    for (const entry of channels.ofPeer(link.nodeId)) channels.deliver(entry, { tag: 'disconnected' })
    channels.drain(scope)
    this.#attempt(link, 'end of a connection', scope, () => gossip.onDisconnected(link))
    events.emitOfPeer(scope, link.nodeId, 'peer.disconnected', { nodeId: link.nodeId, reason })
  }

  drained(link: Link): void {
    this.#options.parts().gossip.onDrained(link)
  }

  message(link: Link, message: Message, scope: TurnScope): void {
    const { channels, gossip, storage } = this.#options.parts()
    if (FILLS_DISK.has(message.type) && this.#options.parts().storageLow()) return
    if (message.type === 'channel_announcement') this.#ownAnnounced(link, message, scope)
    if (isSessionMessage(message)) this.#apart(link, message, scope, () => storage.message(link, message, scope))
    else if (isGossipMessage(message)) this.#apart(link, message, scope, () => gossip.onMessage(link, message, scope))
    else if (isChannelMessage(message)) {
      this.#channelMessage(link, message, scope)
      channels.drain(scope)
    }
  }

  /**
   * What no channel and no payment depends on: a bug there costs the connection. Were it the process, whoever knew the message could keep
   * the node down until its HTLCs have expired.
   */
  #apart(link: Link, { type }: Message, scope: TurnScope, handle: () => void): void {
    if (this.#attempt(link, type, scope, handle)) return
    this.#options.parts().peers.hangUp(link, `${type} could not be handled`, scope)
  }

  /** @returns false where a bug kept it from being done, which is told */
  #attempt(link: Link, type: string, scope: TurnScope, handle: () => void): boolean {
    try {
      handle()
      return true
    } catch (e) {
      const { events } = this.#options.parts()
      const { nodeId: peer } = link
      const text = e instanceof Error ? (e.stack ?? e.message) : String(e)
      const message = `a bug: this ${type} of the peer could not be handled: ${text.slice(0, 400)}`
      const isTold = events.emitOfPeer(scope, peer, 'node.alert', {
        code: 'MESSAGE_NOT_HANDLED',
        peer,
        message,
        byPeer: true,
      })
      if (isTold) this.#options.log.error({ err: e, peer, type }, 'a bug: this could not be handled')
      return false
    }
  }

  /** What the peer of a channel of ours lacked to say of it may be in its announcement. */
  #ownAnnounced({ nodeId }: Link, m: MessageNamed<'channel_announcement'>, scope: TurnScope): void {
    const { channels } = this.#options
    const entry = channels.byScid(m.shortChannelId)
    const channel = entry?.meta.peer === nodeId ? channelOf(entry.state) : null
    const message = channel && halfIn(m, channel)
    if (!message) return
    channels.deliver(entry!, { tag: 'message', message })
    channels.drain(scope)
  }

  #channelMessage(link: Link, message: ChannelMessage, scope: TurnScope): void {
    const { channels } = this.#options.parts()
    if (message.type === 'open_channel')
      return this.#apart(link, message, scope, () => this.#opened(link, message, scope))
    const id = channelIdOf(message)
    if ((message.type === 'error' || message.type === 'warning') && id === EVERY_CHANNEL) {
      for (const entry of channels.ofPeer(link.nodeId)) channels.deliver(entry, { tag: 'message', message })
      return
    }
    const entry = id === null ? undefined : channels.ofPeerById(link.nodeId, id)
    if (entry) channels.deliver(entry, { tag: 'message', message })
    else if (id !== null && message.type !== 'error' && message.type !== 'warning')
      this.#unknownChannel(link, id, scope)
  }

  /** BOLT 1 §the-error-and-warning-messages: a message for a channel that we do not know is answered with an error for it. */
  #unknownChannel(link: Link, channelId: ChannelId, scope: TurnScope): void {
    const { peers } = this.#options.parts()
    const data = ascii('unknown channel')
    scope.after(() => peers.send(link, [{ type: 'error', channelId, data }]))
  }

  #opened(link: Link, open: MessageNamed<'open_channel'>, scope: TurnScope): void {
    const { channels, peers } = this.#options.parts()
    const session = peers.session(link.nodeId)
    const refusal = this.#openings.refusal(link.nodeId, open)
    if (refusal !== null || !session) {
      const data = ascii(refusal ?? 'not connected')
      scope.after(() => peers.send(link, [{ type: 'error', channelId: open.temporaryChannelId, data }]))
      return
    }
    const meta = this.#options.newMeta(link.nodeId)
    const params = {
      remoteNodeId: link.nodeId,
      theirFeatures: session.theirFeatures,
      relay: relayPolicy(satToMsat(open.fundingSatoshis), this.#options.parts().margins),
      keyIndex: meta.keyIndex,
    }
    channels.accept(meta, this.#options.signer(meta), { open, params }, scope)
  }
}
