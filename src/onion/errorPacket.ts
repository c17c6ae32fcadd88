import { concatBytes, equalBytesConstantTime, u16be } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'
import { decodeFailure, encodeFailure, type OnionFailure, type ReceivedFailure } from './failure.ts'
import { deriveKey, xorStream } from './keys.ts'

const MAC = 32
/** Failure and padding together, so that the length tells nothing. */
const MESSAGE_AND_PAD = 256
/** The longest route that TLV payloads allow: the origin always does this many rounds, so that its time tells nothing. */
const ROUNDS = 27
/** Keys the idle rounds: every route of the process costs the same. */
const IDLE_SECRET = new Uint8Array(MAC).fill(1)

/**
 * What the erring node returns: `reason` of update_fail_htlc.
 * @param sharedSecret of the onion that failed here
 * @param messageAndPad at least 256 B; more only for failures that need it
 * @source BOLT 4 §returning-errors (erring node)
 */
export const buildErrorPacket = (
  sharedSecret: Uint8Array,
  failure: OnionFailure | Uint8Array,
  messageAndPad = MESSAGE_AND_PAD,
): Uint8Array => wrapErrorPacket(sharedSecret, plainErrorPacket(sharedSecret, failure, messageAndPad))

/** The packet before the erring node obfuscates it: HMAC, failure, padding. */
export function plainErrorPacket(
  sharedSecret: Uint8Array,
  failure: OnionFailure | Uint8Array,
  messageAndPad = MESSAGE_AND_PAD,
): Uint8Array {
  const message = failure instanceof Uint8Array ? failure : encodeFailure(failure)
  const pad = new Uint8Array(Math.max(0, messageAndPad - message.length))
  const body = concatBytes(u16be(message.length), message, u16be(pad.length), pad)
  return concatBytes(crypto.hmacSha256(deriveKey('um', sharedSecret), body), body)
}

/** One hop's layer, put on by the erring node and by every hop on the way back. @source BOLT 4 §returning-errors */
export const wrapErrorPacket = (sharedSecret: Uint8Array, reason: Uint8Array): Uint8Array =>
  xorStream(deriveKey('ammag', sharedSecret), reason)

/** HMAC, both lengths, failure and padding. */
const LEAST_PACKET = MAC + 2 + MESSAGE_AND_PAD + 2

/**
 * What came back from the next hop, with our layer. What is too short to be a failure no payer can read: it goes on as long as one, since
 * older LND fails the channel over less, and whoever made it may be far away.
 */
export function relayErrorPacket(sharedSecret: Uint8Array, reason: Uint8Array): Uint8Array {
  const missing = new Uint8Array(Math.max(0, LEAST_PACKET - reason.length))
  return wrapErrorPacket(sharedSecret, missing.length === 0 ? reason : concatBytes(reason, missing))
}

export interface AttributedFailure {
  /** Index of the hop that failed, 0 for our peer. */
  readonly hop: number
  readonly received: ReceivedFailure
}

/** The failure inside a packet whose layers are off, when this hop signed it; code 0 when the hop signed nonsense. */
function authenticated(packet: Uint8Array, sharedSecret: Uint8Array): ReceivedFailure | null {
  const body = packet.subarray(MAC)
  const hmac = crypto.hmacSha256(deriveKey('um', sharedSecret), body)
  if (packet.length < MAC + 2 || !equalBytesConstantTime(hmac, packet.subarray(0, MAC))) return null
  const length = (body[0]! << 8) | body[1]!
  return decodeFailure(body.slice(2, 2 + length)) ?? { code: 0, failure: null }
}

/**
 * Finds who failed and why, in time that does not depend on where.
 * @param sharedSecrets of the route, first hop first
 * @returns null when no hop's HMAC fits: somebody on the way back changed the packet
 * @source BOLT 4 §returning-errors (origin node)
 */
export function openErrorPacket(sharedSecrets: readonly Uint8Array[], reason: Uint8Array): AttributedFailure | null {
  let packet = reason
  let found: AttributedFailure | null = null
  for (let hop = 0; hop < Math.max(ROUNDS, sharedSecrets.length); hop++) {
    const secret = found === null ? sharedSecrets[hop] : undefined
    packet = wrapErrorPacket(secret ?? IDLE_SECRET, packet)
    const received = authenticated(packet, secret ?? IDLE_SECRET)
    if (secret !== undefined && received !== null) found = { hop, received }
  }
  return found
}
