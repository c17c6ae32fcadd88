import { concatBytes, equalBytesConstantTime, utf8 } from '../base/bytes.ts'
import type { Composites, Primitives } from './provider.ts'

const [MU, RHO] = [utf8('mu'), utf8('rho')]
const ZERO_NONCE = new Uint8Array(12)

/** The composite operations, step by step as the BOLTs have them: for providers that know no shorter way. */
export function composites(c: Primitives): Composites {
  const tweaked = (basepoint: Uint8Array, point: Uint8Array): Uint8Array | null =>
    c.pointAddTweak(basepoint, c.sha256(concatBytes(point, basepoint)))
  const revocation = (basepoint: Uint8Array, point: Uint8Array): Uint8Array | null => {
    const a = c.pointMul(basepoint, c.sha256(concatBytes(basepoint, point)))
    const b = c.pointMul(point, c.sha256(concatBytes(point, basepoint)))
    return a && b && c.pointAdd(a, b)
  }
  return {
    ecdsaVerifyAll: (signatures, hashes, keys) =>
      hashes.findIndex((hash, i) => !c.ecdsaVerify(signatures[i]!, hash, keys instanceof Uint8Array ? keys : keys[i]!)),
    commitmentKeys(point, basepoints, revocationBasepoint) {
      const keys = basepoints.map((b) => tweaked(b, point))
      if (revocationBasepoint !== null) keys.push(revocation(revocationBasepoint, point))
      return keys.every((k) => k !== null) ? keys : null
    },
    chainSecret(secret, bits, index) {
      let value = Uint8Array.from(secret)
      for (let bit = bits - 1; bit >= 0; bit--) {
        if (Math.floor(index / 2 ** bit) % 2 === 0) continue
        value[bit >>> 3]! ^= 1 << (bit & 7)
        value = Uint8Array.from(c.sha256(value))
      }
      return value
    },
    peelLayer(nodeSecret, { ephemeralKey, payloads, associatedData, hmac }) {
      const sharedSecret = c.ecdh(nodeSecret, ephemeralKey)
      if (sharedSecret === null) return null
      const expected = c.hmacSha256(c.hmacSha256(MU, sharedSecret), concatBytes(payloads, associatedData))
      if (!equalBytesConstantTime(expected, hmac)) return { sharedSecret, unwrapped: null }
      const padded = new Uint8Array(2 * payloads.length)
      padded.set(payloads)
      return { sharedSecret, unwrapped: c.chacha20(c.hmacSha256(RHO, sharedSecret), ZERO_NONCE, padded) }
    },
  }
}
