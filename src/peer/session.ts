import { ascii, EMPTY, printable, toHex } from '../base/bytes.ts'
import type { ChannelId } from '../base/ids.ts'
import { err, ok, type Result } from '../base/result.ts'
import type { NetworkAddress } from '../wire/address.ts'
import { WireError } from '../wire/errors.ts'
import { checkFeatures, combineFeatures } from '../wire/features.ts'
import type { Init, Ping, Pong, Warning } from '../wire/messages/control.ts'
import { type Decoded, decodeMessage, type Message, typeNumberOf } from '../wire/registry.ts'
import { PeerError } from './errors.ts'
import { type Bucket, type PeerLimits, takeToken } from './limits.ts'

/*
 * What BOLT 1 asks of a connection, decided without touching one: init first, pings answered and sent, unknown messages
 * skipped, bad ones ended with a warning. Frames and the time go in; what to deliver, send and end comes out.
 */

export interface SessionConfig {
  /** Ours, as init carries them. */
  readonly features: Uint8Array
  /** Genesis block hash in wire order. */
  readonly chainHash: Uint8Array
  readonly limits: PeerLimits
}

export interface Session {
  /** The peer's features, both fields of its init combined; null until it has come. */
  readonly features: Uint8Array | null
  /** When the last whole message came. */
  readonly heardAt: number
  readonly pingedAt: number
  /** Bytes that the pong to our last ping must have; null when no pong is due. */
  readonly pongDue: number | null
  /** Pings that the peer may still send at once. */
  readonly pings: Bucket
}

/** What a read led to. `fault` ends the connection after what stands beside it; `warn`: with a warning, once init has come. */
export interface SessionRead {
  readonly session: Session
  readonly deliver: readonly Message[]
  readonly replies: readonly Message[]
  readonly fault: PeerError | null
  readonly warn: boolean
}

/** BOLT 1 §the-ping-and-pong-messages: from here on a ping asks for no pong. */
const NO_PONG_FROM = 65_532
/** Enough to tell our pongs from others'; a handful of bytes keeps a ping small. */
const PONG_BYTES = 16
const NO_CHANNEL = '00'.repeat(32) as ChannelId

/** A connection on which nothing but the handshake has happened. @param now milliseconds, monotonic */
export function openSession(now: number, limits: PeerLimits): Session {
  const pings = { tokens: limits.pingBurst, at: now }
  return { features: null, heardAt: now, pingedAt: now, pongDue: null, pings }
}

/** BOLT 1 §the-init-message: the first message of every connection. @param theirAddress as we see it, to tell them */
export const ourInit = (c: SessionConfig, theirAddress?: NetworkAddress): Init => ({
  type: 'init',
  globalFeatures: EMPTY,
  features: c.features,
  networks: [c.chainHash],
  ...(theirAddress && { remoteAddress: theirAddress }),
})

/** A warning about the connection as a whole. */
export const warningOf = (text: string): Warning => ({ type: 'warning', channelId: NO_CHANNEL, data: ascii(text) })

/** Of the features, those that may ever matter, in bytes: a peer may send 64 kB, and they are kept, and shown, as long as it is connected. */
const KEPT_FEATURES = 512

/** Whether we can work with who sent this; the features on success. @source BOLT 1 §the-init-message */
function acceptInit(init: Init, config: SessionConfig): Result<Uint8Array, PeerError> {
  const features = combineFeatures(init.globalFeatures, init.features)
  const checked = checkFeatures(features)
  if (!checked.ok) return err(new PeerError('INCOMPATIBLE_FEATURES', `the peer ${checked.error.message}`))
  const ours = toHex(config.chainHash)
  if (init.networks !== undefined && !init.networks.some((chain) => toHex(chain) === ours)) {
    return err(new PeerError('WRONG_CHAIN', 'the peer is on another Bitcoin network: connect to one on ours'))
  }
  return ok(features.slice(-KEPT_FEATURES))
}

/**
 * Takes the decrypted messages of one read, in order, up to the first that ends the connection.
 * @param now milliseconds
 */
export function readSession(
  s: Session,
  frames: readonly Uint8Array[],
  now: number,
  config: SessionConfig,
): SessionRead {
  const deliver: Message[] = []
  const replies: Message[] = []
  let session = frames.length > 0 ? { ...s, heardAt: now } : s
  const end = (fault: PeerError | null, warn = true): SessionRead => ({ session, deliver, replies, fault, warn })
  for (const frame of frames) {
    const message = decode(frame)
    if (message instanceof PeerError) return end(message, session.features !== null)
    if (session.features === null) {
      const accepted = message.type === 'init' ? acceptInit(message, config) : err(notInit(message))
      if (!accepted.ok) return end(accepted.error, message.type === 'init')
      session = { ...session, features: accepted.value }
      continue
    }
    switch (message.type) {
      case 'unknown':
        break
      case 'init':
        return end(new PeerError('PROTOCOL_VIOLATION', 'a second init on one connection'))
      case 'pong':
        if (message.ignored.length === session.pongDue) session = { ...session, pongDue: null }
        break
      case 'ping': {
        const pings = takeToken(session.pings, now, config.limits.pingBurst, config.limits.pingRefillMs)
        if (pings === null) return end(new PeerError('PING_FLOOD', 'pings come faster than they may'))
        session = { ...session, pings }
        const pong = pongTo(message)
        if (pong !== null) replies.push(pong)
        break
      }
      default:
        deliver.push(message)
    }
  }
  return end(null)
}

/** Made by others than who sends them. */
const ANNOUNCEMENTS = (['channel_announcement', 'node_announcement', 'channel_update'] as const).map(typeNumberOf)

/**
 * An announcement that cannot be read is skipped: implementations pass on what they themselves can read, and anybody with a channel
 * could have every one of our peers send what has us hang up on them (`htlc_minimum_msat` of more than all bitcoin, for one).
 */
function decode(frame: Uint8Array): Decoded | PeerError {
  try {
    return decodeMessage(frame)
  } catch (e) {
    if (!(e instanceof WireError)) throw e
    const typeNumber = (frame[0]! << 8) | frame[1]!
    if (ANNOUNCEMENTS.includes(typeNumber)) return { type: 'unknown', typeNumber, payload: EMPTY }
    return new PeerError('PROTOCOL_VIOLATION', e.message, { cause: e })
  }
}

/** A peer that refuses us may say why in place of its init. */
function notInit(message: Decoded): PeerError {
  if (message.type === 'error' || message.type === 'warning') {
    const text = printable(message.data) || 'without saying why'
    return new PeerError('CLOSED', `the peer refused the connection: ${text}`)
  }
  return new PeerError('PROTOCOL_VIOLATION', `${message.type} came before init`)
}

/** @source BOLT 1 §the-ping-and-pong-messages */
const pongTo = (ping: Ping): Pong | null =>
  ping.numPongBytes < NO_PONG_FROM ? { type: 'pong', ignored: new Uint8Array(ping.numPongBytes) } : null

/** When the peer's time for a pong ends: while it goes on talking, its pong may still be behind what it says. */
const pongDeadline = (s: Session, limits: PeerLimits): number =>
  Math.min(Math.max(s.pingedAt, s.heardAt) + limits.pongTimeoutMs, s.pingedAt + 4 * limits.pongTimeoutMs)

/** When tickSession has something to do. */
export const nextTick = (s: Session, limits: PeerLimits): number =>
  s.pongDue === null ? s.pingedAt + limits.pingIntervalMs : pongDeadline(s, limits)

/** What the passing of time asks for: a ping, the end, or nothing. */
export function tickSession(
  s: Session,
  now: number,
  limits: PeerLimits,
): { readonly session: Session; readonly ping: Ping | null; readonly fault: PeerError | null } {
  if (now < nextTick(s, limits)) return { session: s, ping: null, fault: null }
  if (s.pongDue !== null) {
    const waited = Math.round((now - s.pingedAt) / 1000)
    return { session: s, ping: null, fault: new PeerError('UNRESPONSIVE', `no pong in ${waited} s`) }
  }
  const ping: Ping = { type: 'ping', numPongBytes: PONG_BYTES, ignored: EMPTY }
  return { session: { ...s, pingedAt: now, pongDue: PONG_BYTES }, ping, fault: null }
}

/** After a pause in which we did not read: the peer could not be heard, so its silence does not count. */
export const resumeSession = (s: Session, now: number): Session =>
  s.pongDue === null ? s : { ...s, heardAt: now, pingedAt: now }
