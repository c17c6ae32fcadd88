import { concatBytes, utf8 } from '../base/bytes.ts'
import { crypto } from './crypto.ts'
import { CryptoError } from './errors.ts'

/** A sum at infinity has a chance of 2^-256 and a bad point was refused when it was received, so null is a bug or a miracle. */
function must<T>(result: T | null, what: string): T {
  if (result === null) throw new CryptoError(`${what}: not a valid key`)
  return result
}

/**
 * A public key of one commitment: `basepoint + SHA256(commitmentPoint || basepoint) · G`, 33 B.
 * For the delayed-payment and HTLC keys; the payment key is its basepoint unchanged (option_static_remotekey).
 * @throws CryptoError when a point is not on the curve
 * @source BOLT 3 §key-derivation
 */
export const derivePublicKey = (basepoint: Uint8Array, commitmentPoint: Uint8Array): Uint8Array =>
  deriveCommitmentKeys(commitmentPoint, [basepoint], null)[0]!

/**
 * The keys that a commitment's outputs need together, at the cost of little more than one: of each of ≤ 4 basepoints what
 * derivePublicKey gives, then the revocation key when its basepoint is given.
 * @throws CryptoError when a point is not on the curve
 */
export const deriveCommitmentKeys = (
  commitmentPoint: Uint8Array,
  basepoints: readonly Uint8Array[],
  revocationBasepoint: Uint8Array | null,
): readonly Uint8Array[] =>
  must(crypto.commitmentKeys(commitmentPoint, basepoints, revocationBasepoint), 'derived keys')

/** The secret of derivePublicKey's key, 32 B. */
export function derivePrivateKey(basepointSecret: Uint8Array, commitmentPoint: Uint8Array): Uint8Array {
  const basepoint = crypto.publicKey(basepointSecret)
  const tweak = crypto.sha256(concatBytes(commitmentPoint, basepoint))
  return must(crypto.secretAdd(basepointSecret, tweak), 'derived private key')
}

/**
 * The key that punishes one commitment, 33 B. Neither side knows its secret until the commitment's owner reveals theirs.
 * @param revocationBasepoint of the side that would punish
 * @param commitmentPoint of the side that holds the commitment
 * @throws CryptoError when a point is not on the curve
 * @source BOLT 3 §revocationpubkey-derivation
 */
export function deriveRevocationPublicKey(revocationBasepoint: Uint8Array, commitmentPoint: Uint8Array): Uint8Array {
  return deriveCommitmentKeys(commitmentPoint, [], revocationBasepoint)[0]!
}

/** The secret of deriveRevocationPublicKey's key, 32 B, once the peer has revealed its per-commitment secret. */
export function deriveRevocationPrivateKey(basepointSecret: Uint8Array, commitmentSecret: Uint8Array): Uint8Array {
  const basepoint = crypto.publicKey(basepointSecret)
  const point = crypto.publicKey(commitmentSecret)
  const a = crypto.secretMul(basepointSecret, crypto.sha256(concatBytes(basepoint, point)))
  const b = crypto.secretMul(commitmentSecret, crypto.sha256(concatBytes(point, basepoint)))
  return must(a && b && crypto.secretAdd(a, b), 'revocation private key')
}

/** Every secret of one channel, 32 B each. */
export interface ChannelSecrets {
  readonly funding: Uint8Array
  readonly revocation: Uint8Array
  readonly payment: Uint8Array
  readonly delayedPayment: Uint8Array
  readonly htlc: Uint8Array
  /** Root of the per-commitment secrets. */
  readonly commitmentSeed: Uint8Array
}

/**
 * All of a channel's secrets from one seed: the seed and the state restore the channel. Stable for ever: a change here would
 * lose the funds of every channel opened before it.
 * @param seed 32 B, never used for anything else
 */
export function channelSecrets(seed: Uint8Array): ChannelSecrets {
  const derive = (purpose: string): Uint8Array => crypto.hmacSha256(seed, utf8(`fulmen channel ${purpose}`))
  const key = (purpose: string): Uint8Array => {
    const secret = derive(purpose)
    if (!crypto.isValidSecret(secret)) throw new CryptoError('channel seed gives an invalid key')
    return secret
  }
  return {
    funding: key('funding'),
    revocation: key('revocation'),
    payment: key('payment'),
    delayedPayment: key('delayed payment'),
    htlc: key('htlc'),
    commitmentSeed: derive('per-commitment seed'),
  }
}
