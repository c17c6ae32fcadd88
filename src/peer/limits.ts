import { FRAME_OVERHEAD, MAX_MESSAGE_LENGTH } from '../noise/cipher.ts'

/** What one peer may cost us. Inbound memory needs no figure of its own: one frame, and what the owner leaves unread. */
export interface PeerLimits {
  /** TCP connection of a dial. */
  readonly connectTimeoutMs: number
  /** From the first byte that may come to the last of the handshake. */
  readonly handshakeTimeoutMs: number
  /** From the handshake to the peer's init. */
  readonly initTimeoutMs: number
  readonly pingIntervalMs: number
  /** Silence after a ping before we hang up; a peer that goes on talking gets four times as long for its pong. */
  readonly pongTimeoutMs: number
  /** Pings in a row that we answer, and how long each takes to be forgiven. */
  readonly pingBurst: number
  readonly pingRefillMs: number
  /** Sealed bytes that wait for the peer to read them; past that it is cut off. */
  readonly maxOutboundBytes: number
  /** The same of all connections: past it, one that has more than its share of them waiting is cut off. */
  readonly maxOutboundTotal: number
  /** How long a closing socket may take to deliver its last words. */
  readonly lingerMs: number
  /** Inbound connections before init; past that the oldest goes, of those from where most come. */
  readonly maxPendingInbound: number
  /** Connections in all; peers that the node keeps or has channels with are let in beyond it. */
  readonly maxPeers: number
  /** Connections from both sides at once count as simultaneous within this time of each other. */
  readonly simultaneousMs: number
}

export const DEFAULT_LIMITS: PeerLimits = {
  connectTimeoutMs: 10_000,
  handshakeTimeoutMs: 10_000,
  initTimeoutMs: 10_000,
  pingIntervalMs: 30_000,
  pongTimeoutMs: 20_000,
  pingBurst: 20,
  pingRefillMs: 5_000,
  maxOutboundBytes: 64 * (MAX_MESSAGE_LENGTH + FRAME_OVERHEAD),
  maxOutboundTotal: 256 * 1024 * 1024,
  lingerMs: 2_000,
  maxPendingInbound: 64,
  maxPeers: 1_000,
  simultaneousMs: 10_000,
}

/** A token bucket as it stood at `at`: events that may still happen at once. */
export interface Bucket {
  readonly tokens: number
  readonly at: number
}

/** The bucket after one event at `now`; null when it is empty. */
export function takeToken(b: Bucket, now: number, size: number, refillMs: number): Bucket | null {
  const tokens = Math.min(size, b.tokens + (now - b.at) / refillMs)
  return tokens < 1 ? null : { tokens: tokens - 1, at: now }
}
