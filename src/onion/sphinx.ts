import { concatBytes } from '../base/bytes.ts'
import { InvariantError } from '../base/errors.ts'
import { crypto } from '../crypto/crypto.ts'
import { OnionError } from './errors.ts'
import { deriveKey, xorStream } from './keys.ts'

/** Of a payment's packet: version (1 B), ephemeral key (33 B), hop payloads (1,300 B), HMAC (32 B). */
export const PAYMENT_ONION_LENGTH = 1366
export const PAYMENT_PAYLOADS_LENGTH = 1300
const HEADER = 34
const MAC = 32

export interface SphinxHop {
  /** 33 B: the node's id, or its blinded id inside a blinded path. */
  readonly nodeKey: Uint8Array
  /** The payload without its length. */
  readonly payload: Uint8Array
}

export interface SphinxRequest {
  readonly hops: readonly SphinxHop[]
  /** 32 B, a valid secret, never used for another packet. */
  readonly sessionKey: Uint8Array
  /** The payment hash; empty for onion messages. */
  readonly associatedData: Uint8Array
}

export interface BuiltOnion {
  readonly packet: Uint8Array
  /** One per hop: what decrypts the failure that comes back. */
  readonly sharedSecrets: readonly Uint8Array[]
}

/** SHA-256 of the ephemeral key and the shared secret. @source BOLT 4 §blinding-ephemeral-onion-keys */
const blindingFactor = (key: Uint8Array, sharedSecret: Uint8Array): Uint8Array =>
  crypto.sha256(concatBytes(key, sharedSecret))

/**
 * The secrets that the sender shares with each hop, 32 B each.
 * @param nodeKeys 33 B each
 * @throws OnionError when a key is not on the curve
 * @source BOLT 4 §shared-secret
 */
export const sharedSecretsOf = (sessionKey: Uint8Array, nodeKeys: readonly Uint8Array[]): readonly Uint8Array[] =>
  exchange(sessionKey, crypto.publicKey(sessionKey), nodeKeys)

/** @param ephemeralKey of the session key: the one point that every caller needs for itself as well */
function exchange(sessionKey: Uint8Array, ephemeralKey: Uint8Array, nodeKeys: readonly Uint8Array[]): Uint8Array[] {
  const secrets: Uint8Array[] = []
  let secret = sessionKey
  let point = ephemeralKey
  for (let i = 0; i < nodeKeys.length; i++) {
    const shared = crypto.ecdh(secret, nodeKeys[i]!)
    if (shared === null) throw new OnionError(`the key of hop ${i} is not a point on the curve`)
    secrets.push(shared)
    if (i + 1 === nodeKeys.length) break
    const next = crypto.secretMul(secret, blindingFactor(point, shared))
    if (next === null) throw new InvariantError('a blinded session key is zero')
    secret = next
    if (i + 2 < nodeKeys.length) point = crypto.publicKey(secret)
  }
  return secrets
}

/** What the hops before the last will have shifted in at the end, so that the HMACs can cover it. @source BOLT 4 §filler-generation */
function fillerOf(rhoKeys: readonly Uint8Array[], shifts: readonly number[]): Uint8Array {
  const length = PAYMENT_PAYLOADS_LENGTH
  let filler = new Uint8Array(0)
  for (let i = 0; i + 1 < rhoKeys.length; i++) {
    const padded = new Uint8Array(length + shifts[i]!)
    padded.set(filler, length - filler.length)
    filler = xorStream(rhoKeys[i]!, padded).slice(length - filler.length)
  }
  return filler
}

/** BigSize length, payload, HMAC. */
function frame(payload: Uint8Array, hmac: Uint8Array): Uint8Array {
  const n = payload.length
  const prefix = n < 0xfd ? Uint8Array.of(n) : Uint8Array.of(0xfd, n >>> 8, n & 0xff)
  return concatBytes(prefix, payload, hmac)
}

/** What a payload takes in the packet, in bytes. */
export const frameLength = (payloadLength: number): number => payloadLength + (payloadLength < 0xfd ? 1 : 3) + MAC

/**
 * Builds the packet that the first hop gets.
 * @throws OnionError when the payloads do not fit, one is shorter than 2 bytes, or a key is not on the curve
 * @source BOLT 4 §packet-construction
 */
export function buildOnion(request: SphinxRequest): BuiltOnion {
  const { hops, sessionKey, associatedData } = request
  const shifts = hops.map((h) => frameLength(h.payload.length))
  const total = shifts.reduce((a, b) => a + b, 0)
  if (total > PAYMENT_PAYLOADS_LENGTH) {
    throw new OnionError(
      `the payloads take ${total} bytes, the onion holds ${PAYMENT_PAYLOADS_LENGTH}: use a shorter route`,
    )
  }
  if (hops.length === 0 || hops.some((h) => h.payload.length < 2)) {
    throw new OnionError('an onion needs at least one hop, and every payload at least 2 bytes')
  }
  const ephemeralKey = crypto.publicKey(sessionKey)
  const keys = hops.map((h) => h.nodeKey)
  const sharedSecrets = exchange(sessionKey, ephemeralKey, keys)
  const rhoKeys = sharedSecrets.map((s) => deriveKey('rho', s))

  let payloads = xorStream(deriveKey('pad', sessionKey), new Uint8Array(PAYMENT_PAYLOADS_LENGTH))
  let hmac: Uint8Array = new Uint8Array(MAC)
  for (let i = hops.length - 1; i >= 0; i--) {
    const shifted = new Uint8Array(PAYMENT_PAYLOADS_LENGTH)
    shifted.set(frame(hops[i]!.payload, hmac))
    shifted.set(payloads.subarray(0, PAYMENT_PAYLOADS_LENGTH - shifts[i]!), shifts[i]!)
    payloads = xorStream(rhoKeys[i]!, shifted)
    if (i === hops.length - 1) {
      const filler = fillerOf(rhoKeys, shifts)
      payloads.set(filler, PAYMENT_PAYLOADS_LENGTH - filler.length)
    }
    hmac = crypto.hmacSha256(deriveKey('mu', sharedSecrets[i]!), concatBytes(payloads, associatedData))
  }
  return { packet: concatBytes(Uint8Array.of(0), ephemeralKey, payloads, hmac), sharedSecrets }
}

/** One layer taken off a packet. */
export type Peeled =
  | {
      readonly tag: 'forward'
      readonly payload: Uint8Array
      readonly sharedSecret: Uint8Array
      readonly packet: Uint8Array
    }
  | { readonly tag: 'final'; readonly payload: Uint8Array; readonly sharedSecret: Uint8Array }
  /** Nobody can be shown to have made this packet for us: no shared secret to answer with. */
  | { readonly tag: 'malformed'; readonly reason: 'invalid_onion_version' | 'invalid_onion_key' | 'invalid_onion_hmac' }
  /** The HMAC is right, but what it covers is no payload. */
  | { readonly tag: 'unreadable'; readonly sharedSecret: Uint8Array }

export interface PeelRequest {
  readonly packet: Uint8Array
  /** 32 B. */
  readonly nodeSecret: Uint8Array
  readonly associatedData: Uint8Array
  /** 33 B, inside a blinded path: the packet is made for our blinded id. */
  readonly pathKey?: Uint8Array | undefined
}

/** The ephemeral key as our node secret has to meet it. @source BOLT 4 §onion-decryption (path_key) */
function keyToMeet(ephemeral: Uint8Array, r: PeelRequest): Uint8Array | null {
  if (r.pathKey === undefined) return ephemeral
  const shared = crypto.ecdh(r.nodeSecret, r.pathKey)
  return shared && crypto.pointMul(ephemeral, deriveKey('blindedNodeId', shared))
}

/** Where the first payload starts and ends, or null when its length is malformed or overruns `most` bytes. */
function payloadRange(bytes: Uint8Array, most: number): { start: number; end: number } | null {
  const first = bytes[0]!
  if (first < 2 || first > 0xfd) return null
  const length = first < 0xfd ? first : (bytes[1]! << 8) | bytes[2]!
  if (first === 0xfd && length < 0xfd) return null
  const start = first < 0xfd ? 1 : 3
  return start + length + MAC > most ? null : { start, end: start + length }
}

/**
 * Takes our layer off.
 * @throws never for what a peer can send
 * @source BOLT 4 §onion-decryption
 */
export function peelOnion(request: PeelRequest): Peeled {
  const { packet, nodeSecret, associatedData } = request
  const length = packet.length - HEADER - MAC
  if (length < MAC || packet[0] !== 0) return { tag: 'malformed', reason: 'invalid_onion_version' }
  const ephemeral = packet.slice(1, HEADER)
  const key = keyToMeet(ephemeral, request)
  const payloads = packet.subarray(HEADER, HEADER + length)
  const hmac = packet.subarray(HEADER + length)
  const layer = key && crypto.peelLayer(nodeSecret, { ephemeralKey: key, payloads, associatedData, hmac })
  if (!layer) return { tag: 'malformed', reason: 'invalid_onion_key' }
  const { sharedSecret, unwrapped } = layer
  if (unwrapped === null) return { tag: 'malformed', reason: 'invalid_onion_hmac' }
  const range = payloadRange(unwrapped, length)
  if (range === null) return { tag: 'unreadable', sharedSecret }

  const payload = unwrapped.slice(range.start, range.end)
  const after = range.end + MAC
  const nextHmac = unwrapped.subarray(range.end, after)
  if (nextHmac.every((b) => b === 0)) return { tag: 'final', payload, sharedSecret }
  const nextKey = crypto.pointMul(ephemeral, blindingFactor(ephemeral, sharedSecret))
  if (nextKey === null) return { tag: 'unreadable', sharedSecret }
  const next = concatBytes(Uint8Array.of(0), nextKey, unwrapped.subarray(after, after + length), nextHmac)
  return { tag: 'forward', payload, sharedSecret, packet: next }
}
