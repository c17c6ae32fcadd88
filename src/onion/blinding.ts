import { concatBytes, EMPTY } from '../base/bytes.ts'
import type { NodeId, ShortChannelId } from '../base/ids.ts'
import type { Msat } from '../base/units.ts'
import { crypto } from '../crypto/crypto.ts'
import { nodeIdBytes, point, rest, scid, struct, tu32, tuMsat, u16, u32 } from '../wire/codec.ts'
import { WireError } from '../wire/errors.ts'
import { decodeTlvs, encodeTlvs, tlvStream } from '../wire/tlv.ts'
import { OnionError } from './errors.ts'
import { deriveKey, ZERO_NONCE } from './keys.ts'

/** What a blinded node is told, by the recipient. @source BOLT 4 §inside-encrypted_recipient_data */
export interface RecipientData {
  readonly padding?: Uint8Array
  readonly shortChannelId?: ShortChannelId
  readonly nextNodeId?: NodeId
  readonly pathId?: Uint8Array
  readonly nextPathKeyOverride?: Uint8Array
  readonly paymentRelay?: {
    readonly cltvExpiryDelta: number
    readonly feeProportionalMillionths: number
    readonly feeBaseMsat: number
  }
  readonly paymentConstraints?: { readonly maxCltvExpiry: number; readonly htlcMinimumMsat: Msat }
  readonly allowedFeatures?: Uint8Array
}

const recipientData = tlvStream({
  padding: [1n, rest],
  shortChannelId: [2n, scid],
  nextNodeId: [4n, nodeIdBytes],
  pathId: [6n, rest],
  nextPathKeyOverride: [8n, point],
  paymentRelay: [10n, struct({ cltvExpiryDelta: u16, feeProportionalMillionths: u32, feeBaseMsat: tu32 })],
  paymentConstraints: [12n, struct({ maxCltvExpiry: u32, htlcMinimumMsat: tuMsat })],
  allowedFeatures: [14n, rest],
})
/** What one node of a blinded path is told, not yet encrypted. @source BOLT 4 §route-blinding */
export const encodeRecipientData = (data: RecipientData): Uint8Array => encodeTlvs(recipientData, data)
/** @throws WireError, also for an unknown even record */
const decodeRecipientData = (bytes: Uint8Array): RecipientData => decodeTlvs(recipientData, bytes)

export interface BlindedHop {
  /** 33 B. */
  readonly blindedNodeId: Uint8Array
  readonly encryptedData: Uint8Array
}

export interface BlindedPath {
  /** 33 B, the path key of the first hop. */
  readonly firstPathKey: Uint8Array
  readonly hops: readonly BlindedHop[]
}

/** E' = SHA-256(E || ss): the step from one path key to the next. */
const pathStep = (pathKey: Uint8Array, sharedSecret: Uint8Array): Uint8Array =>
  crypto.sha256(concatBytes(pathKey, sharedSecret))

/**
 * Blinds a path to ourselves.
 * @param sessionKey 32 B, fresh
 * @param hops with the encoded recipient data of each, padded alike by the caller
 * @throws OnionError when a node id is not on the curve
 * @source BOLT 4 §route-blinding (writer of a blinded_path)
 */
export function createBlindedPath(
  sessionKey: Uint8Array,
  hops: readonly { readonly nodeKey: Uint8Array; readonly data: Uint8Array }[],
): BlindedPath {
  let secret = sessionKey
  const blinded = hops.map(({ nodeKey, data }): BlindedHop => {
    const shared = crypto.ecdh(secret, nodeKey)
    const blindedNodeId = shared && crypto.pointMul(nodeKey, deriveKey('blindedNodeId', shared))
    const next = shared && crypto.secretMul(secret, pathStep(crypto.publicKey(secret), shared))
    if (!shared || !blindedNodeId || !next)
      throw new OnionError('a node id of the blinded path is not a point on the curve')
    secret = next
    return { blindedNodeId, encryptedData: crypto.aeadEncrypt(deriveKey('rho', shared), ZERO_NONCE, EMPTY, data) }
  })
  return { firstPathKey: crypto.publicKey(sessionKey), hops: blinded }
}

export interface Unblinded {
  readonly data: RecipientData
  /** 33 B, to hand on with the onion. */
  readonly nextPathKey: Uint8Array
}

/**
 * Reads what the recipient wrote for us.
 * @param pathKey 33 B, from update_add_htlc or the payload
 * @returns null when it does not decrypt, or decrypts to something else than recipient data
 * @source BOLT 4 §route-blinding (reader of the encrypted_recipient_data)
 */
export function unblind(nodeSecret: Uint8Array, pathKey: Uint8Array, encrypted: Uint8Array): Unblinded | null {
  const shared = crypto.ecdh(nodeSecret, pathKey)
  const bytes = shared && crypto.aeadDecrypt(deriveKey('rho', shared), ZERO_NONCE, EMPTY, encrypted)
  if (!shared || !bytes) return null
  try {
    const data = decodeRecipientData(bytes)
    const nextPathKey = data.nextPathKeyOverride ?? crypto.pointMul(pathKey, pathStep(pathKey, shared))
    return nextPathKey && { data, nextPathKey }
  } catch (e) {
    if (e instanceof WireError) return null
    throw e
  }
}
