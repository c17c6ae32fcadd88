import { equalBytes } from '../base/bytes.ts'
import { channelSecrets, derivePrivateKey, deriveRevocationPrivateKey } from '../crypto/channelKeys.ts'
import { crypto } from '../crypto/crypto.ts'
import { secretGenerator } from '../crypto/shachain.ts'
import type { ChannelSigner } from './types.ts'

/** Remembers the answer to the latest argument: a commitment's HTLCs are all signed with the same derived key. */
function rememberLast(derive: (point: Uint8Array) => Uint8Array): (point: Uint8Array) => Uint8Array {
  let last: { readonly point: Uint8Array; readonly result: Uint8Array } | undefined
  return (point) => {
    if (!last || !equalBytes(last.point, point)) last = { point: point.slice(), result: derive(point) }
    return last.result
  }
}

/** How many per-commitment points are kept: the current, the next and one more of a channel in use. */
const POINTS_KEPT = 4

/**
 * Signs with real keys on secp256k1.
 * @param channelSeed 32 B, of this channel only; every channel key derives from it
 * @param nodeSecret 32 B, for channel announcements
 * @throws CryptoError when the seed gives an invalid key
 */
export function secpSigner(channelSeed: Uint8Array, nodeSecret: Uint8Array): ChannelSigner {
  const secrets = channelSecrets(channelSeed)
  const commitmentSecret = secretGenerator(secrets.commitmentSeed)
  const htlcSecret = rememberLast((point) => derivePrivateKey(secrets.htlc, point))
  const delayedSecret = rememberLast((point) => derivePrivateKey(secrets.delayedPayment, point))
  const revocationSecret = rememberLast((secret) => deriveRevocationPrivateKey(secrets.revocation, secret))
  const points = new Map<number, Uint8Array>()

  return {
    basepoints: {
      fundingPubkey: crypto.publicKey(secrets.funding),
      revocationBasepoint: crypto.publicKey(secrets.revocation),
      paymentBasepoint: crypto.publicKey(secrets.payment),
      delayedPaymentBasepoint: crypto.publicKey(secrets.delayedPayment),
      htlcBasepoint: crypto.publicKey(secrets.htlc),
    },
    commitmentPoint(n) {
      let point = points.get(n)
      if (!point) {
        point = crypto.publicKey(commitmentSecret(n))
        points.set(n, point)
        if (points.size > POINTS_KEPT) points.delete(points.keys().next().value!)
      }
      return point
    },
    commitmentSecret,
    signFunding: (sighash) => crypto.ecdsaSign(sighash, secrets.funding),
    signHtlc: (sighash, point) => crypto.ecdsaSign(sighash, htlcSecret(point)),
    signDelayed: (sighash, point) => crypto.ecdsaSign(sighash, delayedSecret(point)),
    signPayment: (sighash) => crypto.ecdsaSign(sighash, secrets.payment),
    signRevocation: (sighash, secret) => crypto.ecdsaSign(sighash, revocationSecret(secret)),
    signAnnouncement: (digest) => crypto.ecdsaSign(digest, nodeSecret),
    verify: (signature, sighash, publicKey) => crypto.ecdsaVerify(signature, sighash, publicKey),
    verifyAll: (signatures, sighashes, publicKey) => crypto.ecdsaVerifyAll(signatures, sighashes, publicKey),
  }
}
