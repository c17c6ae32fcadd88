import { EMPTY } from '../base/bytes.ts'
import { InvariantError } from '../base/errors.ts'
import { crypto } from '../crypto/crypto.ts'
import { hkdf2 } from './hkdf.ts'

/*
 * The stream of frames after the handshake: an 18-byte sealed length, then the sealed message. A cipher and a reader are
 * records that their functions advance in place, one of each per connection: a copy per frame would be the larger cost.
 */

export const MAX_MESSAGE_LENGTH = 65_535
const TAG_LENGTH = 16
const HEADER_LENGTH = 2 + TAG_LENGTH
/** What a frame adds to its message. */
export const FRAME_OVERHEAD = HEADER_LENGTH + TAG_LENGTH
/** BOLT 8 §lightning-message-key-rotation: a key seals or opens this many times, two a frame. */
const ROTATION = 1000

/** One direction's key, with the nonce in the form that the AEAD takes: 4 zero bytes, then 64 bits little-endian. */
export interface Cipher {
  key: Uint8Array
  chainingKey: Uint8Array
  uses: number
  readonly nonce: Uint8Array
}

/** One direction of a connection. @param key 32 B @param chainingKey 32 B, of the handshake: the next keys come of it */
export function createCipher(key: Uint8Array, chainingKey: Uint8Array): Cipher {
  return { key, chainingKey, uses: 0, nonce: new Uint8Array(12) }
}

/** Counts a use of the key; the next key takes over when the nonce reaches 1000. */
function advance(c: Cipher): void {
  c.uses++
  if (c.uses === ROTATION) {
    ;[c.chainingKey, c.key] = hkdf2(c.chainingKey, c.key)
    c.uses = 0
  }
  c.nonce[4] = c.uses & 0xff
  c.nonce[5] = c.uses >>> 8
}

function seal(c: Cipher, plaintext: Uint8Array): Uint8Array {
  const sealed = crypto.aeadEncrypt(c.key, c.nonce, EMPTY, plaintext)
  advance(c)
  return sealed
}

function open(c: Cipher, sealed: Uint8Array): Uint8Array | null {
  const plaintext = crypto.aeadDecrypt(c.key, c.nonce, EMPTY, sealed)
  if (plaintext !== null) advance(c)
  return plaintext
}

/** Bytes on the wire for these messages. */
export function framedLength(messages: readonly Uint8Array[]): number {
  let n = 0
  for (const m of messages) n += m.length + FRAME_OVERHEAD
  return n
}

const lengthPrefix = new Uint8Array(2)

/**
 * Seals messages, in order, into one buffer for one write.
 * @param messages each ≤ 65,535 B
 * @throws InvariantError for a longer message: no encoder of ours makes one
 * @source BOLT 8 §encrypting-and-sending-messages
 */
export function sealFrames(cipher: Cipher, messages: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(framedLength(messages))
  let at = 0
  for (const m of messages) {
    if (m.length > MAX_MESSAGE_LENGTH)
      throw new InvariantError(`a Lightning message of ${m.length} bytes: 65535 is the most`)
    lengthPrefix[0] = m.length >>> 8
    lengthPrefix[1] = m.length & 0xff
    out.set(seal(cipher, lengthPrefix), at)
    out.set(seal(cipher, m), at + HEADER_LENGTH)
    at += m.length + FRAME_OVERHEAD
  }
  return out
}

/** `pending` holds the `filled` bytes of an unfinished piece (header or body) and is exactly as long as that piece. */
export interface FrameReader {
  readonly cipher: Cipher
  pending: Uint8Array
  filled: number
  /** Length of the message whose header has been opened; null when a header comes next. */
  bodyLength: number | null
  fault: FrameFault | null
}

/** A tag that does not fit: the stream was tampered with, or its sender has lost count. Nothing after it can be read. */
export type FrameFault = 'BAD_LENGTH_TAG' | 'BAD_MESSAGE_TAG'

/** The receiving end of a stream of frames; keys as for `createCipher`. */
export function createReader(key: Uint8Array, chainingKey: Uint8Array): FrameReader {
  return { cipher: createCipher(key, chainingKey), pending: EMPTY, filled: 0, bodyLength: null, fault: null }
}

/**
 * Opens every whole frame in what has been received. Keeps at most one unfinished piece (65,551 B), allocated only
 * once its authenticated length is known.
 * @returns the messages, in order; those before a fault are authentic and are returned beside it
 * @source BOLT 8 §receiving-and-decrypting-messages
 */
export function openFrames(
  reader: FrameReader,
  chunk: Uint8Array,
): { readonly messages: Uint8Array[]; readonly fault: FrameFault | null } {
  const messages: Uint8Array[] = []
  let at = 0
  while (reader.fault === null) {
    const need = reader.bodyLength === null ? HEADER_LENGTH : reader.bodyLength + TAG_LENGTH
    if (reader.filled === 0 && chunk.length - at >= need) {
      acceptPiece(reader, chunk.subarray(at, at + need), messages)
      at += need
      continue
    }
    if (at === chunk.length) break
    at = fill(reader, need, chunk, at)
    if (reader.filled < need) break
    reader.filled = 0
    acceptPiece(reader, reader.pending, messages)
    reader.pending = EMPTY
  }
  return { messages, fault: reader.fault }
}

/** Takes what the unfinished piece lacks out of the chunk; returns where the chunk goes on. */
function fill(reader: FrameReader, need: number, chunk: Uint8Array, at: number): number {
  if (reader.filled === 0) reader.pending = new Uint8Array(need)
  const end = Math.min(chunk.length, at + need - reader.filled)
  reader.pending.set(chunk.subarray(at, end), reader.filled)
  reader.filled += end - at
  return end
}

function acceptPiece(reader: FrameReader, piece: Uint8Array, messages: Uint8Array[]): void {
  const plaintext = open(reader.cipher, piece)
  if (reader.bodyLength === null) {
    if (plaintext === null) reader.fault = 'BAD_LENGTH_TAG'
    else reader.bodyLength = (plaintext[0]! << 8) | plaintext[1]!
  } else {
    if (plaintext === null) reader.fault = 'BAD_MESSAGE_TAG'
    else messages.push(plaintext)
    reader.bodyLength = null
  }
}
