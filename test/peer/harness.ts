import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { type NodeId, nodeId } from '../../src/base/ids.ts'
import { createCipher, createReader, openFrames, sealFrames } from '../../src/noise/cipher.ts'
import { initiatorActTwo, type NoiseKey, noiseKey, startInitiator } from '../../src/noise/handshake.ts'
import type { PeerError } from '../../src/peer/errors.ts'
import { type PeerCallbacks, PeerManager, type PeerManagerOptions, type PeerSession } from '../../src/peer/manager.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import { type Decoded, decodeMessage, encodeMessage, type Message } from '../../src/wire/registry.ts'
import { ManualClock } from './manualClock.ts'

export const HOST = '127.0.0.1'
export const REGTEST = fromHex('06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f')
export const key = (byte: number): NoiseKey => noiseKey(new Uint8Array(32).fill(byte))
export const idOf = (k: NoiseKey): NodeId => nodeId(toHex(k.publicKey))

/** Something to send that no session handles: its number is in the channel id. */
export const numbered = (n: number): Message => ({
  type: 'stfu',
  channelId: n.toString(16).padStart(64, '0') as never,
  initiator: 1,
})
export const numberOf = (m: Message): number => (m.type === 'stfu' ? Number(`0x${m.channelId}`) : -1)

export interface Batch {
  readonly nodeId: NodeId
  readonly epoch: number
  readonly messages: readonly Message[]
  readonly byteCount: number
}

/** Resolves when what it looks at becomes true; looks each time that something happened. */
class Watch {
  readonly #looks = new Set<() => void>()
  happened(): void {
    for (const look of [...this.#looks]) look()
  }
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!done()) return
        this.#looks.delete(look)
        resolve()
      }
      this.#looks.add(look)
      look()
    })
  }
}

/** A manager that listens on loopback, its clock in the test's hands, and what its owner was told. */
export class TestNode {
  readonly key: NoiseKey
  readonly clock: ManualClock
  readonly manager: PeerManager
  readonly watch = new Watch()
  readonly connected: { nodeId: NodeId; session: PeerSession }[] = []
  readonly batches: Batch[] = []
  readonly disconnected: { nodeId: NodeId; epoch: number; reason: PeerError }[] = []
  port = 0

  constructor(keyByte: number, options: Partial<PeerManagerOptions> = {}) {
    this.key = key(keyByte)
    this.clock = new ManualClock()
    const callbacks: PeerCallbacks = {
      onConnected: (id, session) => this.#note(() => this.connected.push({ nodeId: id, session })),
      onMessages: (id, epoch, messages, byteCount) =>
        this.#note(() => this.batches.push({ nodeId: id, epoch, messages, byteCount })),
      onDisconnected: (id, epoch, reason) => this.#note(() => this.disconnected.push({ nodeId: id, epoch, reason })),
    }
    this.manager = new PeerManager({
      key: this.key,
      features: ourInitFeatures(),
      chainHash: REGTEST,
      callbacks,
      clock: this.clock,
      ...options,
    })
    onTestFinished(() => this.stop())
  }

  static async start(keyByte: number, options: Partial<PeerManagerOptions> = {}): Promise<TestNode> {
    const node = new TestNode(keyByte, options)
    node.port = await node.manager.listen(HOST, 0)
    return node
  }

  get id(): NodeId {
    return this.manager.nodeId
  }
  get received(): readonly Message[] {
    return this.batches.flatMap((b) => b.messages)
  }
  connectTo(other: TestNode, signal?: AbortSignal): Promise<PeerSession> {
    return this.manager.connect(other.id, HOST, other.port, signal)
  }
  send(nodeId: NodeId, epoch: number, messages: readonly Message[]): boolean {
    return this.manager.sendEncoded(nodeId, epoch, messages.map(encodeMessage))
  }
  keep(other: TestNode): void {
    this.manager.keep(other.id, HOST, other.port)
  }
  until(done: () => boolean): Promise<void> {
    return this.watch.until(done)
  }
  async stop(): Promise<void> {
    const stopped = this.manager.close()
    this.clock.advance(60_000) // whoever lingers is cut off
    await stopped
  }

  #note(note: () => void): void {
    note()
    this.watch.happened()
  }
}

/** A peer that speaks the protocol by hand, and badly where a test asks it to. */
export class RawPeer {
  readonly socket: Socket
  readonly watch = new Watch()
  readonly received: Decoded[] = []
  closed = false
  #bytes = new Uint8Array(0)
  #sender: ReturnType<typeof createCipher> | null = null
  #reader: ReturnType<typeof createReader> | null = null

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.closed = true
      this.watch.happened()
    })
    socket.on('data', (chunk) => {
      this.#take(chunk)
      this.watch.happened()
    })
    onTestFinished(() => void socket.destroy())
  }

  /** TCP alone. @param from another address of the loopback network */
  static async tcp(port: number, from: string = HOST): Promise<RawPeer> {
    const socket = connect({ port, host: HOST, localAddress: from })
    await once(socket, 'connect')
    return new RawPeer(socket)
  }

  /** TCP and handshake. */
  static async handshaken(node: TestNode, keyByte = 77, from: string = HOST): Promise<RawPeer> {
    const peer = await RawPeer.tcp(node.port, from)
    const act = startInitiator({ local: key(keyByte), ephemeral: key(99), remote: node.key.publicKey })
    if (!act.ok) throw new Error(act.error)
    peer.socket.write(act.value.message)
    await peer.until(() => peer.#bytes.length >= 50)
    const done = initiatorActTwo(act.value.state, peer.#bytes.subarray(0, 50))
    if (!done.ok) throw new Error(done.error)
    const { sendKey, receiveKey, chainingKey } = done.value.keys
    peer.#sender = createCipher(sendKey, chainingKey)
    peer.#reader = createReader(receiveKey, chainingKey)
    const early = peer.#bytes.slice(50)
    peer.#bytes = new Uint8Array(0)
    peer.#take(early)
    peer.socket.write(done.value.message)
    return peer
  }

  /** TCP, handshake and init both ways. */
  static async ready(node: TestNode, keyByte = 77): Promise<RawPeer> {
    const peer = await RawPeer.handshaken(node, keyByte)
    peer.send([init()])
    await peer.until(() => peer.received.some((m) => m.type === 'init'))
    await node.until(() => node.manager.list().some((p) => p.nodeId === idOf(key(keyByte))))
    return peer
  }

  seal(frames: readonly Uint8Array[]): Uint8Array {
    return sealFrames(this.#sender!, frames)
  }
  send(messages: readonly Message[]): void {
    this.socket.write(this.seal(messages.map(encodeMessage)))
  }
  until(done: () => boolean): Promise<void> {
    return this.watch.until(done)
  }

  #take(chunk: Uint8Array): void {
    if (this.#reader === null) {
      const all = new Uint8Array(this.#bytes.length + chunk.length)
      all.set(this.#bytes)
      all.set(chunk, this.#bytes.length)
      this.#bytes = all
      return
    }
    for (const m of openFrames(this.#reader, chunk).messages) this.received.push(decodeMessage(m))
  }
}

export const init = (changes: Partial<Extract<Message, { type: 'init' }>> = {}): Message => ({
  type: 'init',
  globalFeatures: new Uint8Array(0),
  features: ourInitFeatures(),
  networks: [REGTEST],
  ...changes,
})

/** A TCP server that accepts and stays silent. */
export async function silentServer(): Promise<{ port: number; server: Server; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer((s) => {
    s.on('error', () => undefined)
    sockets.push(s)
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  onTestFinished(() => {
    for (const s of sockets) s.destroy()
    server.close()
  })
  return { port: (server.address() as { port: number }).port, server, sockets }
}
