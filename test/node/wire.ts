import type { NodeId } from '../../src/base/ids.ts'
import type { Connections, ConnectionsFactory } from '../../src/node/peers.ts'
import { PeerError } from '../../src/peer/errors.ts'
import type { PeerManagerOptions, PeerSession } from '../../src/peer/manager.ts'
import { decodeMessage, type Message } from '../../src/wire/registry.ts'

/** One direction of a connection: what was sent in one write, as bytes. */
interface Flow {
  readonly from: NodeId
  readonly to: NodeId
  readonly writes: (readonly Uint8Array[])[]
  /** The sender hung up: the connection ends once all that was sent is read. */
  ended: string | null
}

interface Connection {
  readonly flows: readonly [Flow, Flow]
  readonly epochs: ReadonlyMap<NodeId, number>
}

/**
 * The network between the nodes of a test: connections without sockets, where nothing arrives before the test delivers it. Messages
 * travel as bytes. A node that is not plugged in says nothing and hears nothing.
 */
export class Wire {
  readonly #plugs = new Map<NodeId, Plug>()
  readonly #connections = new Set<Connection>()
  #epoch = 0
  /** What a node offers in init in the place of all that it has, as an older version of it would. */
  readonly offers = new Map<NodeId, Uint8Array>()
  /** Messages by sender. */
  readonly sent = new Map<NodeId, number>()

  /** For `NodeResources.connections`: makes the node's place in this network. */
  readonly factory: ConnectionsFactory = (options) => new Plug(this, options)

  plugIn(plug: Plug): void {
    this.#plugs.set(plug.nodeId, plug)
  }

  /**
   * The process is gone: its connections break at the other ends.
   * @param plug of the process: one that was slow to end leaves alone what has started in its place
   */
  unplug(nodeId: NodeId, plug = this.#plugs.get(nodeId)): void {
    if (this.#plugs.get(nodeId) !== plug) return
    this.#plugs.delete(nodeId)
    for (const c of this.#of(nodeId)) this.#cut(c, 'the other end is gone')
  }

  connected(a: NodeId, b: NodeId): boolean {
    return this.#between(a, b) !== undefined
  }

  connect(a: NodeId, b: NodeId): void {
    const ends = [this.#plugs.get(a), this.#plugs.get(b)] as const
    if (!ends[0] || !ends[1] || this.connected(a, b)) return
    const flow = (from: NodeId, to: NodeId): Flow => ({ from, to, writes: [], ended: null })
    const epochs = new Map([a, b].map((id) => [id, ++this.#epoch]))
    this.#connections.add({ flows: [flow(a, b), flow(b, a)], epochs })
    ends.forEach((plug, i) => {
      const other = ends[1 - i]!
      const session = {
        theirFeatures: this.offers.get(other.nodeId) ?? other.options.features,
        inbound: i === 1,
        address: 'wire:1',
        epoch: epochs.get(plug!.nodeId)!,
      }
      plug!.options.callbacks.onConnected(other.nodeId, session)
    })
  }

  /** What is under way is lost. */
  cut(a: NodeId, b: NodeId): void {
    const c = this.#between(a, b)
    if (c) this.#cut(c, 'the connection broke')
  }

  /** Hands over what a peer never sent: it says that and nothing more. */
  forge(from: NodeId, to: NodeId, message: Message): void {
    const epoch = this.#between(from, to)!.epochs.get(to)!
    this.#plugs.get(to)!.options.callbacks.onMessages(from, epoch, [message], 0)
  }

  /** Hands over the next write of every flow, or of one node's. @returns whether there was any */
  deliver(from?: NodeId): boolean {
    let any = false
    for (const c of [...this.#connections]) {
      for (const f of c.flows) {
        if (!this.#connections.has(c) || (from !== undefined && f.from !== from)) continue
        any = this.#deliver(c, f) || any
      }
    }
    return any
  }

  // ---------------------------------------------------------------- for the plugs

  send(from: NodeId, { to, epoch, messages }: { to: NodeId; epoch: number; messages: readonly Uint8Array[] }): boolean {
    const c = this.#between(from, to)
    if (!c || c.epochs.get(from) !== epoch) return false
    const flow = c.flows.find((f) => f.from === from)!
    if (flow.ended !== null) return false
    flow.writes.push(messages)
    this.sent.set(from, (this.sent.get(from) ?? 0) + messages.length)
    return true
  }

  hangUp(from: NodeId, to: NodeId, { reason, epoch }: { reason: string; epoch: number | undefined }): void {
    const c = this.#between(from, to)
    if (epoch !== undefined && c?.epochs.get(from) !== epoch) return
    const flow = c?.flows.find((f) => f.from === from)
    if (flow) flow.ended ??= reason
  }

  #deliver(c: Connection, f: Flow): boolean {
    const write = f.writes.shift()
    if (write) {
      const bytes = write.reduce((sum, m) => sum + m.length, 0)
      const { callbacks } = this.#plugs.get(f.to)!.options
      callbacks.onMessages(f.from, c.epochs.get(f.to)!, write.map(decoded), bytes)
    } else if (f.ended !== null) this.#cut(c, f.ended)
    else return false
    return true
  }

  #of(id: NodeId): readonly Connection[] {
    return [...this.#connections].filter((c) => c.epochs.has(id))
  }
  #between(a: NodeId, b: NodeId): Connection | undefined {
    return this.#of(a).find((c) => c.epochs.has(b))
  }
  #cut(c: Connection, reason: string): void {
    this.#connections.delete(c)
    for (const { from, to } of c.flows) {
      const plug = this.#plugs.get(to)
      plug?.options.callbacks.onDisconnected(from, c.epochs.get(to)!, new PeerError('DISCONNECTED', reason))
    }
  }
}

function decoded(bytes: Uint8Array): Message {
  const message = decodeMessage(bytes)
  if (message.type === 'unknown') throw new Error('a node sent a message that nodes do not know')
  return message
}

/** A node's end of the wire. */
class Plug implements Connections {
  readonly options: PeerManagerOptions
  readonly nodeId: NodeId
  readonly #wire: Wire

  constructor(wire: Wire, options: PeerManagerOptions) {
    this.#wire = wire
    this.options = options
    this.nodeId = Buffer.from(options.key.publicKey).toString('hex') as NodeId
    wire.plugIn(this)
  }

  async connect(nodeId: NodeId): Promise<PeerSession> {
    this.#wire.connect(this.nodeId, nodeId)
    return { theirFeatures: this.options.features, inbound: false, address: 'wire:1', epoch: 0 }
  }
  sendEncoded(to: NodeId, epoch: number, messages: readonly Uint8Array[]): boolean {
    return this.#wire.send(this.nodeId, { to, epoch, messages })
  }
  queuedBytes(): number {
    return 0
  }
  disconnect(nodeId: NodeId, reason: string, epoch?: number): void {
    this.#wire.hangUp(this.nodeId, nodeId, { reason, epoch })
  }
  async listen(): Promise<number> {
    return 0
  }
  async close(): Promise<void> {
    this.#wire.unplug(this.nodeId, this)
  }
  keep(): void {}
  drop(): void {}
  pause(): void {}
  resume(): void {}
}
