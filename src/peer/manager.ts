import { randomBytes } from 'node:crypto'
import { toHex } from '../base/bytes.ts'
import { type NodeId, nodeId } from '../base/ids.ts'
import type { NoiseKey } from '../noise/handshake.ts'
import type { Message } from '../wire/registry.ts'
import { type Backoff, DEFAULT_BACKOFF } from './backoff.ts'
import { type Clock, systemClock } from './clock.ts'
import type { ConnectionConfig, ConnectionEvents, PeerConnection } from './connection.ts'
import { crowdedOut, mostCrowding } from './crowding.ts'
import { newerWins, type Rival } from './duplicates.ts'
import { PeerError } from './errors.ts'
import { Keeper } from './keeper.ts'
import { DEFAULT_LIMITS, type PeerLimits } from './limits.ts'
import { dial, hostPort, type Listener, listen } from './sockets.ts'
import { turnsFor } from './turns.ts'

/** A connection over which messages flow: both sides have sent init. */
export interface PeerSession {
  readonly theirFeatures: Uint8Array
  readonly inbound: boolean
  /** `host:port` as we see the other end. */
  readonly address: string
  /** Grows with every connection of this process: what is meant for one epoch never goes out in another. */
  readonly epoch: number
}

/**
 * Called one after the other in the order of what happened, never from within a call of the manager: onConnected, then any
 * number of onMessages, then onDisconnected, for each epoch; at most one epoch of a node at a time.
 */
export interface PeerCallbacks {
  onConnected(nodeId: NodeId, session: PeerSession): void
  /**
   * Everything that came in one read, in order, errors and warnings included; init, ping, pong and unknown odd messages are
   * left out. Reading goes on until pause() is called: an owner that falls behind calls it.
   * @param byteCount size of the batch
   */
  onMessages(nodeId: NodeId, epoch: number, messages: readonly Message[], byteCount: number): void
  onDisconnected(nodeId: NodeId, epoch: number, reason: PeerError): void
  /** After queuedBytes was large: all of it has gone out. */
  onDrained?(nodeId: NodeId, epoch: number): void
}

export interface PeerManagerOptions {
  readonly key: NoiseKey
  /** What init offers, e.g. ourInitFeatures(). */
  readonly features: Uint8Array
  /** Genesis block hash in wire order. */
  readonly chainHash: Uint8Array
  readonly callbacks: PeerCallbacks
  readonly limits?: Partial<PeerLimits>
  /** Who is let in beyond `limits.maxPeers` though only it can dial: strangers cost nothing, and could keep it out for ever. */
  readonly isWelcome?: (nodeId: NodeId) => boolean
  /** Whose messages wait for none of strangers: a peer that the operator connected to, or has a channel with. Left out: everybody's. */
  readonly isChosen?: (nodeId: NodeId) => boolean
  readonly backoff?: Backoff
  readonly clock?: Clock
  readonly random?: (length: number) => Uint8Array
}

interface Live extends Rival {
  readonly nodeId: NodeId
  readonly connection: PeerConnection
  readonly session: PeerSession
}
interface Dial {
  readonly connection: PeerConnection
  readonly outcome: Promise<PeerSession>
  settle(outcome: PeerSession | PeerError): void
  waiting: number
}

/** All connections of the node: at most one live one per peer, brought back when it is wanted. */
export class PeerManager {
  readonly nodeId: NodeId
  readonly #config: ConnectionConfig
  readonly #callbacks: PeerCallbacks
  readonly #keeper: Keeper
  readonly #isWelcome: (nodeId: NodeId) => boolean
  readonly #live = new Map<NodeId, Live>()
  readonly #liveOf = new Map<PeerConnection, Live>()
  /** By node and address: one that hangs holds up no other address of the same node. */
  readonly #dials = new Map<string, Dial>()
  /** Inbound before init, oldest first. */
  readonly #pending = new Set<PeerConnection>()
  /** Every socket that is not gone. */
  readonly #open = new Set<PeerConnection>()
  readonly #listeners: Listener[] = []
  readonly #calls: (() => void)[] = []
  readonly #events: ConnectionEvents = {
    onReady: (c) => this.#ready(c),
    onMessages: (c, messages, byteCount) =>
      this.#withLive(c, (l) => {
        this.#callbacks.onMessages(l.nodeId, l.session.epoch, messages, byteCount)
      }),
    onDrained: (c) => this.#withLive(c, (l) => this.#callbacks.onDrained?.(l.nodeId, l.session.epoch)),
    onClosed: (c, reason) => this.#closed(c, reason),
  }
  #epoch = 0
  #stopped = false

  constructor(options: PeerManagerOptions) {
    const { clock = systemClock, random = (n) => new Uint8Array(randomBytes(n)), isChosen = () => true } = options
    this.nodeId = nodeId(toHex(options.key.publicKey))
    this.#callbacks = options.callbacks
    this.#isWelcome = (id) => this.#keeper.has(id) || options.isWelcome?.(id) === true
    this.#config = {
      key: options.key,
      features: options.features,
      chainHash: options.chainHash,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      clock,
      random,
      turnsOf: turnsFor(clock, isChosen),
      queuedInAll: () => [...this.#open].reduce((sum, c) => sum + c.queuedBytes, 0),
    }
    this.#keeper = new Keeper({
      clock,
      backoff: options.backoff ?? DEFAULT_BACKOFF,
      jitter: () => random(1)[0]! / 256,
      isConnected: (id) => this.#live.has(id),
      dial: (id, host, port) => this.connect(id, host, port),
    })
  }

  /**
   * Takes inbound connections.
   * @param port 0 for any free one
   * @returns the port
   * @throws PeerError UNREACHABLE when the address cannot be listened on
   */
  async listen(host: string, port: number): Promise<number> {
    const events = { ...this.#events, onInbound: (c: PeerConnection) => this.#accept(c) }
    const listener = await listen({ host, port }, this.#config, events)
    this.#listeners.push(listener)
    if (this.#stopped) listener.close()
    return listener.port
  }

  /**
   * The peer's session: the one that stands, or a new connection's once both inits are exchanged.
   * @throws PeerError, the code of which says what went wrong; ABORTED by the signal
   */
  async connect(nodeId: NodeId, host: string, port: number, signal?: AbortSignal): Promise<PeerSession> {
    if (this.#stopped) throw new PeerError('SHUTTING_DOWN', 'the node is shutting down')
    if (signal?.aborted) throw aborted()
    if (nodeId === this.nodeId) throw new PeerError('SELF', 'this is our own node id: connect to another node')
    const live = this.#live.get(nodeId)
    if (live !== undefined) return live.session
    const under = this.#dials.get(dialKey(nodeId, hostPort(host, port))) ?? this.#dial(nodeId, host, port)
    under.waiting++
    if (signal === undefined) return under.outcome
    let abort = (): void => undefined
    const abortion = new Promise<never>((_, reject) => {
      abort = () => {
        reject(aborted())
        if (--under.waiting === 0) under.connection.close(aborted())
      }
      signal.addEventListener('abort', abort, { once: true })
    })
    return Promise.race([under.outcome, abortion]).finally(() => signal.removeEventListener('abort', abort))
  }

  /** Wants the peer connected, and reconnected with growing waits, until drop(). A new address takes the old one's place. */
  keep(nodeId: NodeId, host: string, port: number): void {
    if (!this.#stopped && nodeId !== this.nodeId) this.#keeper.keep(nodeId, host, port)
  }

  /** Does not dial it any more, nor go on with an attempt under way; the connection that stands is left alone. */
  drop(nodeId: NodeId): void {
    this.#keeper.drop(nodeId)
    for (const { connection } of [...this.#dials.values()])
      if (connection.nodeId === nodeId) connection.close(new PeerError('ABORTED', 'the peer is no longer wanted'))
  }

  /**
   * Seals the messages and sends them in one write.
   * @param messages type first
   * @returns false when that epoch is over: nothing was sent, and onDisconnected tells or has told
   */
  sendEncoded(nodeId: NodeId, epoch: number, messages: readonly Uint8Array[]): boolean {
    return this.#at(nodeId, epoch)?.connection.send(messages) ?? false
  }

  /** Sealed bytes that the peer has not taken yet; past `limits.maxOutboundBytes` it is cut off. */
  queuedBytes(nodeId: NodeId, epoch: number): number {
    return this.#at(nodeId, epoch)?.connection.queuedBytes ?? 0
  }

  /** Reads nothing more from the peer; at most what has been read already still comes. */
  pause(nodeId: NodeId, epoch: number): void {
    this.#at(nodeId, epoch)?.connection.pause()
  }

  resume(nodeId: NodeId, epoch: number): void {
    this.#at(nodeId, epoch)?.connection.resume()
  }

  /**
   * Ends the connection once what was sent is out. A peer that is kept is dialled again: drop() it first to be rid of it.
   * @param epoch of the connection that is meant, a newer one stays; without it, whichever stands
   */
  disconnect(nodeId: NodeId, reason: string, epoch?: number): void {
    const live = epoch === undefined ? this.#live.get(nodeId) : this.#at(nodeId, epoch)
    live?.connection.close(new PeerError('DISCONNECTED', reason))
  }

  list(): readonly (PeerSession & { readonly nodeId: NodeId })[] {
    return [...this.#live.values()].map((l) => ({ ...l.session, nodeId: l.nodeId }))
  }

  /** Ends everything; resolves when every socket is gone and every callback has been called. */
  async close(): Promise<void> {
    this.#stopped = true
    this.#keeper.close()
    for (const listener of this.#listeners) listener.close()
    const reason = new PeerError('SHUTTING_DOWN', 'the node is shutting down')
    const open = [...this.#open]
    for (const c of open) c.close(reason)
    await Promise.all(open.map((c) => c.gone))
    await new Promise<void>((resolve) => this.#call(resolve))
  }

  // ---------------------------------------------------------------- connections

  #dial(nodeId: NodeId, host: string, port: number): Dial {
    let settle: Dial['settle'] = () => undefined
    const outcome = new Promise<PeerSession>((resolve, reject) => {
      settle = (o) => (o instanceof PeerError ? reject(o) : resolve(o))
    })
    outcome.catch(() => undefined) // whoever waits has its own
    const connection = dial({ nodeId, host, port }, this.#config, this.#events)
    const under: Dial = { connection, outcome, settle, waiting: 0 }
    this.#dials.set(dialKey(nodeId, connection.address), under)
    this.#track(connection)
    return under
  }

  #accept(c: PeerConnection): void {
    this.#track(c)
    this.#pending.add(c)
    if (this.#stopped) c.close(new PeerError('SHUTTING_DOWN', 'the node is shutting down'))
    if (this.#pending.size <= this.#config.limits.maxPendingInbound) return
    const reason = 'too many inbound connections that have not said who they are'
    mostCrowding(this.#pending).close(new PeerError('TOO_MANY_CONNECTIONS', reason))
  }

  #track(c: PeerConnection): void {
    this.#open.add(c)
    void c.gone.then(() => this.#open.delete(c))
  }

  #ready(c: PeerConnection): void {
    const nodeId = c.nodeId!
    this.#pending.delete(c)
    const refusal = this.#refusal(c, nodeId)
    if (refusal !== null) {
      c.close(refusal)
      return
    }
    this.#live.get(nodeId)?.connection.close(new PeerError('REPLACED', 'a newer connection to the same peer took over'))
    const session = { theirFeatures: c.features!, inbound: c.inbound, address: c.address, epoch: ++this.#epoch }
    const live: Live = { nodeId, connection: c, session, inbound: c.inbound, readyAt: this.#config.clock.now() }
    this.#live.set(nodeId, live)
    this.#liveOf.set(c, live)
    this.#keeper.connected(nodeId)
    this.#call(() => this.#callbacks.onConnected(nodeId, session))
    this.#settleDial(nodeId, c, session)
  }

  /** Why a connection that is ready must not stay. */
  #refusal(c: PeerConnection, nodeId: NodeId): PeerError | null {
    const { clock, limits } = this.#config
    if (nodeId === this.nodeId) return new PeerError('SELF', 'connected to ourselves')
    const older = this.#live.get(nodeId)
    if (older === undefined) {
      if (this.#live.size < limits.maxPeers || !c.inbound || this.#isWelcome(nodeId) || this.#makeRoom(c)) return null
      return new PeerError('TOO_MANY_CONNECTIONS', `${limits.maxPeers} peers are connected: no more are taken`)
    }
    const newer = { inbound: c.inbound, readyAt: clock.now() }
    if (newerWins({ ours: this.nodeId, theirs: nodeId }, older, newer, limits.simultaneousMs)) return null
    return new PeerError('DUPLICATE', 'both ends connected at once: the other connection stays')
  }

  /** A stranger's place for a stranger of elsewhere. @returns whether there was one */
  #makeRoom(c: PeerConnection): boolean {
    const strangers = [...this.#live.values()].filter((l) => l.inbound && !this.#isWelcome(l.nodeId))
    const leaving = crowdedOut(
      strangers.map((l) => l.connection),
      c,
    )
    const reason = 'too many connections from there: the place is given to somebody else'
    leaving?.close(new PeerError('TOO_MANY_CONNECTIONS', reason))
    return leaving !== null
  }

  #closed(c: PeerConnection, reason: PeerError): void {
    this.#pending.delete(c)
    const live = this.#liveOf.get(c)
    if (live !== undefined) {
      this.#liveOf.delete(c)
      this.#live.delete(live.nodeId)
      this.#call(() => this.#callbacks.onDisconnected(live.nodeId, live.session.epoch, reason))
      this.#keeper.disconnected(live.nodeId)
    }
    if (c.nodeId !== null) this.#settleDial(c.nodeId, c, reason)
  }

  /** Ends the wait of whoever dialled: a dial that lost to another connection of the same peer has succeeded too. */
  #settleDial(nodeId: NodeId, c: PeerConnection, outcome: PeerSession | PeerError): void {
    const key = dialKey(nodeId, c.address)
    const under = this.#dials.get(key)
    if (under?.connection !== c) return
    this.#dials.delete(key)
    const settled = this.#live.get(nodeId)?.session ?? outcome
    this.#call(() => under.settle(settled))
  }

  #at(nodeId: NodeId, epoch: number): Live | undefined {
    const live = this.#live.get(nodeId)
    return live?.session.epoch === epoch ? live : undefined
  }

  #withLive(c: PeerConnection, call: (l: Live) => void): void {
    const live = this.#liveOf.get(c)
    if (live !== undefined) this.#call(() => call(live))
  }

  /** Queues a callback behind those before it: the owner's own call has returned by then, and nothing overtakes. */
  #call(f: () => void): void {
    this.#calls.push(f)
    if (this.#calls.length === 1) queueMicrotask(() => this.#drain())
  }

  #drain(): void {
    let done = 0
    try {
      while (done < this.#calls.length) this.#calls[done++]!()
    } finally {
      this.#calls.splice(0, done)
      if (this.#calls.length > 0) queueMicrotask(() => this.#drain()) // after a throw, which goes on to the process
    }
  }
}

const dialKey = (nodeId: NodeId, address: string): string => `${nodeId}@${address}`

const aborted = (): PeerError => new PeerError('ABORTED', 'the attempt to connect was given up')
