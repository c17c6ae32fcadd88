import { concatBytes, EMPTY, utf8 } from '../base/bytes.ts'
import { err, ok, type Result } from '../base/result.ts'
import { crypto } from '../crypto/crypto.ts'
import { hkdf2 } from './hkdf.ts'

/*
 * Noise_XK in three acts, as pure steps: what a side knows, and the bytes that came in, give what it knows next and the bytes
 * to send (BOLT 8 §noise-protocol-instantiation). The caller brings the ephemeral key (fresh for every connection) and reads exactly as many bytes as an act has.
 */

export const ACT_ONE_LENGTH = 50
export const ACT_TWO_LENGTH = 50
export const ACT_THREE_LENGTH = 66

/** A key pair by what the handshake does with it, so that the node's secret can stay with its signer. */
export interface NoiseKey {
  /** 33 B compressed. */
  readonly publicKey: Uint8Array
  /** BOLT 8 ECDH: SHA-256 of the compressed shared point; null when `point` is not on the curve. */
  ecdh(point: Uint8Array): Uint8Array | null
}

/** @throws CryptoError unless `secret` is a valid 32-byte secret key */
export const noiseKey = (secret: Uint8Array): NoiseKey => ({
  publicKey: crypto.publicKey(secret),
  ecdh: (point) => crypto.ecdh(secret, point),
})

/** What a finished handshake leaves behind: one key a direction, and the chaining key that both start rotating from. */
export interface TransportKeys {
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
  readonly chainingKey: Uint8Array
}

/** Why a handshake ended; every one of them means: close without another word. */
export type HandshakeFault =
  | 'REMOTE_KEY_INVALID'
  | 'ACT1_READ_FAILED'
  | 'ACT1_BAD_VERSION'
  | 'ACT1_BAD_PUBKEY'
  | 'ACT1_BAD_TAG'
  | 'ACT2_READ_FAILED'
  | 'ACT2_BAD_VERSION'
  | 'ACT2_BAD_PUBKEY'
  | 'ACT2_BAD_TAG'
  | 'ACT3_READ_FAILED'
  | 'ACT3_BAD_VERSION'
  | 'ACT3_BAD_CIPHERTEXT'
  | 'ACT3_BAD_PUBKEY'
  | 'ACT3_BAD_TAG'

/** `hash` is BOLT 8's h, `chainingKey` its ck, `tempKey` the intermediate key of the act that ended. */
interface Mixed {
  readonly hash: Uint8Array
  readonly chainingKey: Uint8Array
  readonly tempKey: Uint8Array
}
/** The initiator after act one. */
export interface AwaitingActTwo extends Mixed {
  readonly local: NoiseKey
  readonly ephemeral: NoiseKey
}
/** The responder before act one. */
export interface AwaitingActOne {
  readonly hash: Uint8Array
  readonly local: NoiseKey
  readonly ephemeral: NoiseKey
}
/** The responder after act two. */
export interface AwaitingActThree extends Mixed {
  readonly ephemeral: NoiseKey
}

/** BOLT 8 §handshake-versioning: any other ends the handshake. */
const VERSION = 0
const KEY_LENGTH = 33
const TAG_LENGTH = 16
const NONCE_ZERO = new Uint8Array(12)
const NONCE_ONE = Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
const INITIAL_CHAINING_KEY = crypto.sha256(utf8('Noise_XK_secp256k1_ChaChaPoly_SHA256'))
const PROLOGUE_HASH = crypto.sha256(concatBytes(INITIAL_CHAINING_KEY, utf8('lightning')))

const mixHash = (hash: Uint8Array, data: Uint8Array): Uint8Array => crypto.sha256(concatBytes(hash, data))

/** Version, our ephemeral key and a tag over everything so far: acts one and two as their sender makes them. */
function sendEphemeral(before: { hash: Uint8Array; chainingKey: Uint8Array }, key: Uint8Array, shared: Uint8Array) {
  const hash = mixHash(before.hash, key)
  const [chainingKey, tempKey] = hkdf2(before.chainingKey, shared)
  const tag = crypto.aeadEncrypt(tempKey, NONCE_ZERO, hash, EMPTY)
  const mixed: Mixed = { hash: mixHash(hash, tag), chainingKey, tempKey }
  return { mixed, message: concatBytes(Uint8Array.of(VERSION), key, tag) }
}

/** The other side of sendEphemeral; `act` names the faults. */
function receiveEphemeral(
  act: 'ACT1' | 'ACT2',
  before: { hash: Uint8Array; chainingKey: Uint8Array },
  message: Uint8Array,
  ours: NoiseKey,
): Result<Mixed & { readonly remoteEphemeral: Uint8Array }, HandshakeFault> {
  if (message.length !== ACT_ONE_LENGTH) return err<HandshakeFault>(`${act}_READ_FAILED`)
  if (message[0] !== VERSION) return err<HandshakeFault>(`${act}_BAD_VERSION`)
  const remoteEphemeral = message.slice(1, 1 + KEY_LENGTH)
  const tag = message.subarray(1 + KEY_LENGTH)
  const shared = ours.ecdh(remoteEphemeral)
  if (shared === null) return err<HandshakeFault>(`${act}_BAD_PUBKEY`)
  const hash = mixHash(before.hash, remoteEphemeral)
  const [chainingKey, tempKey] = hkdf2(before.chainingKey, shared)
  if (crypto.aeadDecrypt(tempKey, NONCE_ZERO, hash, tag) === null) return err<HandshakeFault>(`${act}_BAD_TAG`)
  return ok({ hash: mixHash(hash, tag), chainingKey, tempKey, remoteEphemeral })
}

/**
 * Act one, by the side that dials.
 * @param keys.remote the responder's node id, 33 B; REMOTE_KEY_INVALID when it is not a point
 * @returns the 50 bytes to send
 * @source BOLT 8 §act-one
 */
export function startInitiator(keys: {
  readonly local: NoiseKey
  readonly ephemeral: NoiseKey
  readonly remote: Uint8Array
}): Result<{ readonly state: AwaitingActTwo; readonly message: Uint8Array }, HandshakeFault> {
  const { local, ephemeral, remote } = keys
  const shared = ephemeral.ecdh(remote)
  if (shared === null) return err('REMOTE_KEY_INVALID')
  const start = { hash: mixHash(PROLOGUE_HASH, remote), chainingKey: INITIAL_CHAINING_KEY }
  const { mixed, message } = sendEphemeral(start, ephemeral.publicKey, shared)
  return ok({ state: { ...mixed, local, ephemeral }, message })
}

/**
 * Act two in, act three out: the initiator is done.
 * @param message the 50 bytes of act two
 * @returns the 66 bytes to send
 * @source BOLT 8 §act-two, §act-three
 */
export function initiatorActTwo(
  state: AwaitingActTwo,
  message: Uint8Array,
): Result<{ readonly keys: TransportKeys; readonly message: Uint8Array }, HandshakeFault> {
  const received = receiveEphemeral('ACT2', state, message, state.ephemeral)
  if (!received.ok) return received
  const { tempKey, remoteEphemeral } = received.value
  const sealedKey = crypto.aeadEncrypt(tempKey, NONCE_ONE, received.value.hash, state.local.publicKey)
  const hash = mixHash(received.value.hash, sealedKey)
  const shared = state.local.ecdh(remoteEphemeral)
  if (shared === null) return err('ACT2_BAD_PUBKEY')
  const [chainingKey, lastKey] = hkdf2(received.value.chainingKey, shared)
  const tag = crypto.aeadEncrypt(lastKey, NONCE_ZERO, hash, EMPTY)
  const [sendKey, receiveKey] = hkdf2(chainingKey)
  return ok({
    keys: { sendKey, receiveKey, chainingKey },
    message: concatBytes(Uint8Array.of(VERSION), sealedKey, tag),
  })
}

/** The side that is dialled, before any bytes. */
export function startResponder(keys: { readonly local: NoiseKey; readonly ephemeral: NoiseKey }): AwaitingActOne {
  return { ...keys, hash: mixHash(PROLOGUE_HASH, keys.local.publicKey) }
}

/**
 * Act one in, act two out.
 * @param message the 50 bytes of act one; ACT1_BAD_TAG when the initiator does not know our node id
 * @returns the 50 bytes to send
 * @source BOLT 8 §act-one, §act-two
 */
export function responderActOne(
  state: AwaitingActOne,
  message: Uint8Array,
): Result<{ readonly state: AwaitingActThree; readonly message: Uint8Array }, HandshakeFault> {
  const { local, ephemeral } = state
  const received = receiveEphemeral('ACT1', { hash: state.hash, chainingKey: INITIAL_CHAINING_KEY }, message, local)
  if (!received.ok) return received
  const shared = ephemeral.ecdh(received.value.remoteEphemeral)
  if (shared === null) return err('ACT1_BAD_PUBKEY')
  const sent = sendEphemeral(received.value, ephemeral.publicKey, shared)
  return ok({ state: { ...sent.mixed, ephemeral }, message: sent.message })
}

/**
 * Act three in: the responder is done, and knows who dialled.
 * @param message the 66 bytes of act three
 * @returns the keys and the initiator's node id, 33 B
 * @source BOLT 8 §act-three
 */
export function responderActThree(
  state: AwaitingActThree,
  message: Uint8Array,
): Result<{ readonly keys: TransportKeys; readonly remote: Uint8Array }, HandshakeFault> {
  if (message.length !== ACT_THREE_LENGTH) return err('ACT3_READ_FAILED')
  if (message[0] !== VERSION) return err('ACT3_BAD_VERSION')
  const sealedKey = message.subarray(1, 1 + KEY_LENGTH + TAG_LENGTH)
  const remote = crypto.aeadDecrypt(state.tempKey, NONCE_ONE, state.hash, sealedKey)
  if (remote === null) return err('ACT3_BAD_CIPHERTEXT')
  const shared = state.ephemeral.ecdh(remote)
  if (shared === null) return err('ACT3_BAD_PUBKEY')
  const hash = mixHash(state.hash, sealedKey)
  const [chainingKey, lastKey] = hkdf2(state.chainingKey, shared)
  if (crypto.aeadDecrypt(lastKey, NONCE_ZERO, hash, message.subarray(-TAG_LENGTH)) === null) return err('ACT3_BAD_TAG')
  const [receiveKey, sendKey] = hkdf2(chainingKey)
  return ok({ keys: { sendKey, receiveKey, chainingKey }, remote })
}
