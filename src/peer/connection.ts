import type { Socket } from 'node:net'
import { fromHex, toHex } from '../base/bytes.ts'
import { type NodeId, nodeId } from '../base/ids.ts'
import type { Result } from '../base/result.ts'
import {
  type Cipher,
  createCipher,
  createReader,
  type FrameReader,
  framedLength,
  openFrames,
  sealFrames,
} from '../noise/cipher.ts'
import { type HandshakeFault, type NoiseKey, noiseKey, type TransportKeys } from '../noise/handshake.ts'
import { encodeMessage, type Message } from '../wire/registry.ts'
import { type Act, type ActDone, answerActs, dialActs } from './acts.ts'
import type { Clock } from './clock.ts'
import { PeerError, type PeerErrorCode } from './errors.ts'
import { Intake } from './intake.ts'
import { observedAddress } from './observedAddress.ts'
import {
  nextTick,
  openSession,
  ourInit,
  readSession,
  resumeSession,
  type Session,
  type SessionConfig,
  tickSession,
  warningOf,
} from './session.ts'
import type { Turns } from './turns.ts'

/** What all connections of a node share. */
export interface ConnectionConfig extends SessionConfig {
  /** The node's key. */
  readonly key: NoiseKey
  readonly clock: Clock
  /** Cryptographically random bytes. */
  readonly random: (length: number) => Uint8Array
  /** Sealed bytes that wait in all connections; left out where there is one. */
  readonly queuedInAll?: () => number
  /** When the bytes of a peer are opened, null before its init; at once where it is left out. */
  readonly turnsOf?: (peer: NodeId | null) => Turns
}

/** What one turn opens: so many messages, in pieces of so many bytes. The smallest are 36 bytes, and cost as much as long ones. */
const MOST_IN_TURN = 256
const PIECE_BYTES = 8 * 1024

/** Called from the socket's events, or from within send and close. */
export interface ConnectionEvents {
  /** Both inits are exchanged. */
  onReady(c: PeerConnection): void
  /** What came in one read, in order. @param byteCount of the messages as they were sent, sealing left out */
  onMessages(c: PeerConnection, messages: readonly Message[], byteCount: number): void
  /** Everything sent so far is with the operating system. */
  onDrained(c: PeerConnection): void
  /** Once; nothing follows. */
  onClosed(c: PeerConnection, reason: PeerError): void
}

/** Reasons after which there is nothing to deliver: the socket goes at once. */
const ABRUPT: ReadonlySet<PeerErrorCode> = new Set([
  'UNREACHABLE',
  'TIMEOUT',
  'HANDSHAKE_FAILED',
  'BAD_FRAME',
  'PING_FLOOD',
  'UNRESPONSIVE',
  'SLOW_READER',
  'CLOSED',
  'TOO_MANY_CONNECTIONS',
  'ABORTED',
])

interface Transport {
  readonly sender: Cipher
  readonly reader: FrameReader
}

/**
 * One socket: TCP, the Noise handshake, init, then messages. Memory is bounded by one frame inbound and by
 * `limits.maxOutboundBytes` outbound, whatever the peer does.
 * @source BOLT 8 §cryptographic-messaging-overview
 */
export class PeerConnection {
  readonly inbound: boolean
  /** `host:port` of the other end. */
  readonly address: string
  /** Resolves when the socket is gone. */
  readonly gone: Promise<void>
  readonly #config: ConnectionConfig
  readonly #events: ConnectionEvents
  readonly #socket: Socket
  #nodeId: NodeId | null
  #act: Act | null = null
  /** The bytes of an act that is not complete. */
  #actBytes = new Uint8Array(0)
  #transport: Transport | null = null
  #session: Session
  #connected: boolean
  #ended = false
  #paused = false
  readonly #intake: Intake
  /** The time limit of the phase before init, later the session's next tick. */
  #cancelTimer: () => void = () => undefined

  /** @param dialled the node id to expect; null for a connection that came in */
  constructor(
    socket: Socket,
    address: string,
    dialled: NodeId | null,
    config: ConnectionConfig,
    events: ConnectionEvents,
  ) {
    this.inbound = dialled === null
    this.address = address
    this.#nodeId = dialled
    this.#config = config
    this.#events = events
    this.#socket = socket
    this.#session = openSession(config.clock.now(), config.limits)
    this.#connected = this.inbound
    this.gone = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.setNoDelay(true)
    socket.on('error', (e) => this.#lost(e))
    socket.on('close', () => this.#lost(null))
    this.#intake = new Intake({
      socket,
      turns: () => config.turnsOf?.(this.features === null ? null : this.#nodeId) ?? null,
      open: (unread) => this.#open(unread),
    })
    socket.on('data', (chunk) => this.#intake.received(chunk))
    socket.on('drain', () => {
      if (!this.#ended) this.#events.onDrained(this)
    })
    if (this.inbound) {
      this.#act = answerActs(config.key, () => this.#ephemeral())
      this.#limitPhase(config.limits.handshakeTimeoutMs, 'the handshake')
    } else {
      this.#limitPhase(config.limits.connectTimeoutMs, 'connecting')
      socket.once('connect', () => this.#dial(dialled!))
    }
  }

  /** Who it is; null before an inbound handshake is done. */
  get nodeId(): NodeId | null {
    return this.#nodeId
  }
  /** From the peer's init; null before it. */
  get features(): Uint8Array | null {
    return this.#session.features
  }
  /** Sealed bytes that the peer has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  /**
   * Seals the messages and writes them in one piece.
   * @param messages encoded, type first
   * @returns false when nothing was sent: the connection is not ready, has ended, or ends now because the peer does not read
   */
  send(messages: readonly Uint8Array[]): boolean {
    if (this.#ended || this.#session.features === null) return false
    return this.#write(messages)
  }

  /** Stops reading, once init is exchanged: what the peer sends stays in its own buffers. */
  pause(): void {
    if (this.#ended || this.#paused || this.features === null) return
    this.#paused = true
    this.#intake.pause()
    this.#cancelTimer()
  }

  resume(): void {
    if (this.#ended || !this.#paused) return
    this.#paused = false
    this.#session = resumeSession(this.#session, this.#config.clock.now())
    this.#intake.resume()
    this.#scheduleTick()
  }

  /** Ends the connection, after what has been sent where the reason allows; onClosed is called before this returns. */
  close(reason: PeerError, farewell?: Message): void {
    if (this.#ended) return
    if (farewell !== undefined && this.#transport !== null) this.#write([encodeMessage(farewell)])
    if (this.#ended) return
    this.#ended = true
    this.#intake.end()
    this.#cancelTimer()
    if (this.#transport === null || ABRUPT.has(reason.code)) this.#socket.destroy()
    else this.#linger()
    this.#events.onClosed(this, reason)
  }

  /** Last words may need a moment; what still comes in is read and dropped, so that no reset cuts them off. */
  #linger(): void {
    this.#socket.resume()
    this.#socket.end()
    const cancel = this.#config.clock.schedule(this.#config.limits.lingerMs, () => this.#socket.destroy())
    void this.gone.then(cancel)
  }

  // ---------------------------------------------------------------- before init

  /** For this connection alone. @source BOLT 8 §handshake-state */
  #ephemeral(): NoiseKey {
    return noiseKey(this.#config.random(32))
  }

  #dial(remote: NodeId): void {
    if (this.#ended) return
    this.#connected = true
    this.#limitPhase(this.#config.limits.handshakeTimeoutMs, 'the handshake')
    this.#advance(dialActs(this.#config.key, this.#ephemeral(), fromHex(remote)))
  }

  #limitPhase(ms: number, what: string): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#config.clock.schedule(ms, () => {
      this.close(new PeerError('TIMEOUT', `${what} with ${this.address} took more than ${Math.round(ms / 1000)} s`))
    })
  }

  /** Sends what an act gave and waits for the next, or starts the transport. */
  #advance(result: Result<ActDone, HandshakeFault>): void {
    if (!result.ok) {
      this.close(
        new PeerError(
          'HANDSHAKE_FAILED',
          `no Lightning handshake with ${this.address}: what it sent is none, or for another node id (${result.error})`,
        ),
      )
      return
    }
    const { send, next } = result.value
    if (send !== null) this.#socket.write(send)
    if ('keys' in next) this.#startTransport(next.keys, next.remote)
    else this.#act = next
  }

  #startTransport(keys: TransportKeys, remote: Uint8Array): void {
    this.#act = null
    this.#nodeId = nodeId(toHex(remote))
    this.#transport = {
      sender: createCipher(keys.sendKey, keys.chainingKey),
      reader: createReader(keys.receiveKey, keys.chainingKey),
    }
    this.#limitPhase(this.#config.limits.initTimeoutMs, 'the exchange of init')
    const { remoteAddress = '', remotePort = 0 } = this.#socket
    const theirAddress = this.inbound ? observedAddress(remoteAddress, remotePort) : undefined
    this.#write([encodeMessage(ourInit(this.#config, theirAddress))])
  }

  /** Feeds whole acts to the handshake; returns what is left for the transport. */
  #handshake(chunk: Uint8Array): Uint8Array {
    let at = 0
    while (this.#act !== null && !this.#ended) {
      const need = this.#act.length - this.#actBytes.length
      const part = chunk.subarray(at, at + need)
      at += part.length
      const bytes = new Uint8Array(this.#actBytes.length + part.length)
      bytes.set(this.#actBytes)
      bytes.set(part, this.#actBytes.length)
      if (bytes.length < this.#act.length) {
        this.#actBytes = bytes
        break
      }
      this.#actBytes = new Uint8Array(0)
      this.#advance(this.#act.receive(bytes))
    }
    return chunk.subarray(at)
  }

  // ---------------------------------------------------------------- socket events

  /** As much as one turn takes; returns the rest. */
  #open(received: Uint8Array): Uint8Array {
    let unread = this.#transport === null ? this.#handshake(received) : received
    if (this.#transport === null || unread.length === 0 || this.#ended) return unread
    const { reader } = this.#transport
    const opened: Uint8Array[] = []
    while (unread.length > 0 && opened.length < MOST_IN_TURN && reader.fault === null) {
      for (const message of openFrames(reader, unread.subarray(0, PIECE_BYTES)).messages) opened.push(message)
      unread = unread.subarray(PIECE_BYTES)
    }
    this.#read(opened)
    if (reader.fault !== null) {
      this.close(new PeerError('BAD_FRAME', `a frame of ${this.address} does not authenticate: ${reader.fault}`))
    }
    return unread
  }

  #read(frames: readonly Uint8Array[]): void {
    if (frames.length === 0) return
    const wasReady = this.#session.features !== null
    const read = readSession(this.#session, frames, this.#config.clock.now(), this.#config)
    this.#session = read.session
    if (!wasReady && read.session.features !== null) {
      this.#session = { ...read.session, pingedAt: this.#config.clock.now() }
      if (!this.#paused) this.#scheduleTick()
      this.#events.onReady(this)
    }
    if (read.deliver.length > 0 && !this.#ended) {
      let byteCount = 0
      for (const frame of frames) byteCount += frame.length
      this.#events.onMessages(this, read.deliver, byteCount)
    }
    if (read.replies.length > 0 && !this.#ended) this.#write(read.replies.map(encodeMessage))
    if (read.fault !== null) this.close(read.fault, read.warn ? warningOf(read.fault.message) : undefined)
  }

  #lost(error: Error | null): void {
    if (this.#ended) return
    const options = error === null ? undefined : { cause: error }
    const why = error === null ? '' : `: ${error.message}`
    if (!this.#connected) {
      this.close(new PeerError('UNREACHABLE', `${this.address} cannot be reached${why}`, options))
    } else if (this.#transport === null && !this.inbound && this.#actBytes.length === 0) {
      const text = `${this.address} hung up on the handshake: it has another node id than ${this.#nodeId}, or takes no connections now`
      this.close(new PeerError('WRONG_KEY', text, options))
    } else {
      this.close(new PeerError('CLOSED', `${this.address} closed the connection${why}`, options))
    }
  }

  #scheduleTick(): void {
    this.#cancelTimer()
    const { clock, limits } = this.#config
    this.#cancelTimer = clock.schedule(Math.max(0, nextTick(this.#session, limits) - clock.now()), () => this.#tick())
  }

  #tick(): void {
    const { session, ping, fault } = tickSession(this.#session, this.#config.clock.now(), this.#config.limits)
    this.#session = session
    if (fault !== null) this.close(fault)
    else if (ping === null || this.#write([encodeMessage(ping)])) this.#scheduleTick()
  }

  #write(messages: readonly Uint8Array[]): boolean {
    if (!this.#hasRoom(framedLength(messages))) {
      this.close(new PeerError('SLOW_READER', `${this.address} does not read: ${this.queuedBytes} bytes wait for it`))
      return false
    }
    this.#socket.write(sealFrames(this.#transport!.sender, messages))
    return true
  }

  #hasRoom(bytes: number): boolean {
    const { limits, queuedInAll = () => this.queuedBytes } = this.#config
    const { maxOutboundBytes, maxOutboundTotal, maxPeers } = limits
    const waiting = this.queuedBytes + bytes
    if (waiting <= Math.min(maxOutboundBytes, maxOutboundTotal / maxPeers)) return true
    return waiting <= maxOutboundBytes && queuedInAll() + bytes <= maxOutboundTotal
  }
}
