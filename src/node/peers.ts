import { toHex } from '../base/bytes.ts'
import type { NodeId } from '../base/ids.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import { type PeerCallbacks, PeerManager, type PeerManagerOptions, type PeerSession } from '../peer/manager.ts'
import { hostPort } from '../peer/sockets.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import { encodeMessage, type Message } from '../wire/registry.ts'
import type { Link } from './outbox.ts'
import type { Reactor, TurnScope } from './reactor.ts'

/** Messages of a peer that wait for a turn: above this its socket is not read. */
const INBOX_BYTES = 1024 * 1024
/** Of all peers: above this, no socket is read of which more than a share waits. In memory they are several times as large. */
const INBOX_TOTAL = 64 * 1024 * 1024
const INBOX_SHARE = 64 * 1024
/** Messages that one task takes: a read has room for hundreds, each with up to four signatures, and sockets and requests wait meanwhile. */
const AT_ONCE = 8

export interface PeerAddress {
  readonly nodeId: NodeId
  readonly host: string
  readonly port: number
}

/** What the node asks of its connections: a PeerManager, or in tests a network without sockets. */
export type Connections = Pick<
  PeerManager,
  'listen' | 'connect' | 'keep' | 'drop' | 'sendEncoded' | 'queuedBytes' | 'disconnect' | 'pause' | 'resume' | 'close'
>
export type ConnectionsFactory = (options: PeerManagerOptions) => Connections

export interface PeersOptions extends Omit<PeerManagerOptions, 'callbacks'> {
  readonly driver: Driver
  readonly reactor: Reactor
  readonly connections?: ConnectionsFactory
  readonly onConnected: (link: Link, session: PeerSession, scope: TurnScope) => void
  readonly onMessage: (link: Link, message: Message, scope: TurnScope) => void
  readonly onDisconnected: (link: Link, reason: string, scope: TurnScope) => void
  /** The peer has read all that was sent, after it was much. */
  readonly onDrained: (link: Link) => void
}

/** A read in its order, cut behind every few messages; one piece at least. */
function inPieces(messages: readonly Message[]): readonly (readonly Message[])[] {
  if (messages.length <= AT_ONCE) return [messages]
  const pieces: (readonly Message[])[] = []
  for (let i = 0; i < messages.length; i += AT_ONCE) pieces.push(messages.slice(i, i + AT_ONCE))
  return pieces
}

/** Joins the connections to the reactor: a batch that came in one read is one task, or some when it is large, and a peer that outruns us is not read from. */
export class Peers {
  readonly #options: PeersOptions
  readonly #manager: Connections
  readonly #sessions = new Map<NodeId, PeerSession>()
  readonly #waiting = new Map<number, number>()
  #waitingInAll = 0
  readonly #paused = new Set<number>()
  /** Epochs of connections that end with the turn that runs, or with one before it. */
  readonly #hungUp = new Set<number>()
  readonly #addresses = new Map<NodeId, PeerAddress>()
  #started = false

  constructor(options: PeersOptions) {
    this.#options = options
    const { connections = (o) => new PeerManager(o) } = options
    this.#manager = connections({ ...options, callbacks: this.#callbacks() })
  }

  /** Loads the addresses to keep connections to; `start` dials them. @returns how many could not be read */
  async load(): Promise<number> {
    let unreadable = 0
    for await (const [, value] of this.#options.driver.entries(prefixRange(keys.peer('')))) {
      const address = unpackIfWhole<PeerAddress>(value)
      if (address?.nodeId) this.#addresses.set(address.nodeId, address)
      else unreadable++
    }
    return unreadable
  }

  start(): void {
    this.#started = true
    for (const { nodeId, host, port } of this.#addresses.values()) this.#manager.keep(nodeId, host, port)
  }

  listen(host: string, port: number): Promise<number> {
    return this.#manager.listen(host, port)
  }

  /** The live connection as of the reactor's turns: it may have been lost meanwhile, then what is sent goes nowhere. */
  link(nodeId: NodeId): Link | null {
    const session = this.#sessions.get(nodeId)
    return session ? { nodeId, epoch: session.epoch } : null
  }
  session(nodeId: NodeId): PeerSession | undefined {
    return this.#sessions.get(nodeId)
  }
  links(): readonly Link[] {
    return [...this.#sessions].map(([nodeId, { epoch }]) => ({ nodeId, epoch }))
  }
  address(nodeId: NodeId): PeerAddress | undefined {
    return this.#addresses.get(nodeId)
  }
  addresses(): readonly PeerAddress[] {
    return [...this.#addresses.values()]
  }

  /** Bytes of messages that wait for a turn of ours, and that the peers have not taken yet. */
  queued(): { readonly inBytes: number; readonly outBytes: number } {
    let [inBytes, outBytes] = [0, 0]
    for (const bytes of this.#waiting.values()) inBytes += bytes
    for (const { nodeId, epoch } of this.links()) outBytes += this.#manager.queuedBytes(nodeId, epoch)
    return { inBytes, outBytes }
  }

  send(link: Link, messages: readonly Message[]): void {
    this.sendEncoded(link, messages.map(encodeMessage))
  }
  /** @param messages type first */
  sendEncoded(link: Link, messages: readonly Uint8Array[]): void {
    this.#manager.sendEncoded(link.nodeId, link.epoch, messages)
  }
  /** Bytes that the peer has not taken yet. */
  queuedBytes({ nodeId, epoch }: Link): number {
    return this.#manager.queuedBytes(nodeId, epoch)
  }
  /** Ends this connection once the turn is on disk. What the peer had sent on it beyond what is handled counts as lost on its way. */
  hangUp(link: Link, reason: string, scope: TurnScope): void {
    this.#hungUp.add(link.epoch)
    scope.after(() => this.disconnect(link, reason))
  }

  /** Ends this connection, and none that came after it. What the peer had sent beyond is not handled. */
  disconnect({ nodeId, epoch }: Link, reason: string): void {
    if (this.#sessions.get(nodeId)?.epoch === epoch) this.#hungUp.add(epoch)
    this.#manager.disconnect(nodeId, reason, epoch)
  }

  /**
   * Connects now and keeps the connection across losses and restarts. Where one stands already, the address that it was made to is kept:
   * nothing shows that another is right, and channels would wait for it after the next loss.
   * @throws PeerError
   */
  async connect(address: PeerAddress): Promise<void> {
    const { nodeId, host, port } = address
    const session = await this.#manager.connect(nodeId, host, port)
    const known = this.#addresses.get(nodeId)
    if (known && !session.inbound && session.address === hostPort(known.host, known.port)) return
    await this.#options.reactor.run((scope) => this.remember(address, scope))
  }

  /** Keeps a connection to the peer from now on, across restarts, as soon as it can be reached. */
  remember(address: PeerAddress, scope: TurnScope): void {
    this.#addresses.set(address.nodeId, address)
    scope.write({ key: keys.peer(address.nodeId), value: pack(address) })
    scope.after(() => {
      if (this.#started) this.#manager.keep(address.nodeId, address.host, address.port)
    })
  }

  /** Ends the connection and does not bring it back. */
  async forget(nodeId: NodeId): Promise<void> {
    this.#manager.drop(nodeId)
    this.#manager.disconnect(nodeId, 'disconnected by the operator')
    await this.#options.reactor.run((scope) => {
      this.#addresses.delete(nodeId)
      scope.write({ key: keys.peer(nodeId) })
    })
  }

  close(): Promise<void> {
    return this.#manager.close()
  }

  /** Notes how much more of a peer waits, and reads on from it or not. */
  #waits(nodeId: NodeId, epoch: number, change: number): void {
    const waiting = (this.#waiting.get(epoch) ?? 0) + change
    this.#waiting.set(epoch, waiting)
    this.#waitingInAll += change
    const isTooMuch = waiting > (this.#waitingInAll > INBOX_TOTAL ? INBOX_SHARE : INBOX_BYTES)
    if (change > 0 && isTooMuch) {
      this.#paused.add(epoch)
      this.#manager.pause(nodeId, epoch)
    } else if (!isTooMuch && this.#paused.delete(epoch)) this.#manager.resume(nodeId, epoch)
  }

  #callbacks(): PeerCallbacks {
    const { reactor, onConnected, onDisconnected, onDrained, onMessage } = this.#options
    return {
      onConnected: (nodeId, session) =>
        reactor.post((scope) => {
          this.#sessions.set(nodeId, session)
          onConnected({ nodeId, epoch: session.epoch }, session, scope)
        }),
      onMessages: (nodeId, epoch, messages, byteCount) => {
        this.#waits(nodeId, epoch, byteCount)
        const link = { nodeId, epoch }
        const pieces = inPieces(messages)
        for (const [i, piece] of pieces.entries())
          reactor.post((scope) => {
            if (i === pieces.length - 1) this.#waits(nodeId, epoch, -byteCount)
            if (this.#sessions.get(nodeId)?.epoch !== epoch) return
            for (const message of piece) if (!this.#hungUp.has(epoch)) onMessage(link, message, scope)
          })
      },
      onDrained: (nodeId, epoch) => onDrained({ nodeId, epoch }),
      onDisconnected: (nodeId, epoch, reason) =>
        reactor.post((scope) => {
          this.#waiting.delete(epoch)
          this.#paused.delete(epoch)
          this.#hungUp.delete(epoch)
          if (this.#sessions.get(nodeId)?.epoch !== epoch) return
          this.#sessions.delete(nodeId)
          onDisconnected({ nodeId, epoch }, reason.message, scope)
        }),
    }
  }
}

export const featuresHex = (session: PeerSession): string => toHex(session.theirFeatures)
