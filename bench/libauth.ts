import { createHash, createHmac } from 'node:crypto'
import { instantiateSecp256k1 } from '@bitauth/libauth'
import { createRIPEMD160, createSHA256 } from 'hash-wasm'
import { fromHex, toHex } from '../src/base/bytes.ts'
import { composites } from '../src/crypto/composites.ts'
import { CryptoError } from '../src/crypto/errors.ts'
import { nobleProvider, nodeCiphers } from '../src/crypto/noble.ts'
import type { CryptoProvider, Primitives } from '../src/crypto/provider.ts'

/** Above this size node:crypto hashes faster than WASM, whose cost is per byte (docs/performance.md). */
const NODE_HASH_FROM = 128

/** Field prime of secp256k1. */
const P = 2n ** 256n - 2n ** 32n - 977n
const mod = (a: bigint): bigint => ((a % P) + P) % P

/** Inverse of a public value by the extended Euclidean algorithm. */
function invert(a: bigint): bigint {
  let [r0, r1, s0, s1] = [P, mod(a), 0n, 1n]
  while (r1 !== 0n) {
    const q = r0 / r1
    ;[r0, r1] = [r1, r0 - q * r1]
    ;[s0, s1] = [s1, s0 - q * s1]
  }
  return mod(s0)
}

/** Affine sum of two public points given in uncompressed form: libauth adds only multiples of G. */
function addAffine(p: Uint8Array, q: Uint8Array): Uint8Array | null {
  const at = (b: Uint8Array, from: number): bigint => BigInt(`0x${toHex(b.subarray(from, from + 32))}`)
  const [x1, y1, x2, y2] = [at(p, 1), at(p, 33), at(q, 1), at(q, 33)]
  if (x1 === x2 && y1 !== y2) return null
  const slope = x1 === x2 ? 3n * x1 * x1 * invert(2n * y1) : (y2 - y1) * invert(x2 - x1)
  const x = mod(slope * slope - x1 - x2)
  const y = mod(slope * (x1 - x) - y1)
  return fromHex((y & 1n ? '03' : '02') + x.toString(16).padStart(64, '0'))
}

/**
 * libauth's libsecp256k1 in WASM, hash-wasm for short inputs and node:crypto for the rest.
 * @throws when WebAssembly is not to be had
 */
export async function createLibauthProvider(): Promise<CryptoProvider> {
  const [secp, sha, ripemd] = await Promise.all([instantiateSecp256k1(), createSHA256(), createRIPEMD160()])

  const sha256 = (data: Uint8Array): Uint8Array =>
    data.length < NODE_HASH_FROM
      ? sha.init().update(data).digest('binary')
      : new Uint8Array(createHash('sha256').update(data).digest())
  const ripemd160 = (data: Uint8Array): Uint8Array => ripemd.init().update(data).digest('binary')
  /** libauth reports failure with a string. */
  const bytesOrNull = (r: Uint8Array | string): Uint8Array | null => (typeof r === 'string' ? null : r)
  const need = (r: Uint8Array | string): Uint8Array => {
    if (typeof r === 'string') throw new CryptoError(r)
    return r
  }
  const validPoint = (k: Uint8Array): boolean => k.length === 33 && secp.validatePublicKey(k)
  const validSecret = (k: Uint8Array): boolean => k.length === 32 && secp.validatePrivateKey(k)
  const needSecret = (k: Uint8Array): void => {
    if (!validSecret(k)) throw new CryptoError('not a valid secret key')
  }
  const pointMul = (p: Uint8Array, k: Uint8Array): Uint8Array | null =>
    p.length === 33 && k.length === 32 ? bytesOrNull(secp.mulTweakPublicKeyCompressed(p, k)) : null

  const primitives: Primitives = {
    ...nobleProvider, // for what it does not have: BIP 340
    name: 'libauth',
    sha256,
    sha256d: (data) => sha256(sha256(data)),
    ripemd160,
    hash160: (data) => ripemd160(sha256(data)),
    hmacSha256: (key, data) => new Uint8Array(createHmac('sha256', key).update(data).digest()),
    ...nodeCiphers,
    isValidSecret: validSecret,
    isValidPublicKey: validPoint,
    publicKey(secret) {
      needSecret(secret)
      return need(secp.derivePublicKeyCompressed(secret))
    },
    ecdsaSign(hash, secret) {
      needSecret(secret)
      return need(secp.signMessageHashCompact(secret, hash))
    },
    ecdsaVerify: (signature, hash, publicKey) =>
      signature.length === 64 &&
      hash.length === 32 &&
      publicKey.length === 33 &&
      secp.verifySignatureCompactLowS(signature, publicKey, hash),
    ecdsaSignRecoverable(hash, secret) {
      needSecret(secret)
      const r = secp.signMessageHashRecoverableCompact(secret, hash)
      if (typeof r === 'string') throw new CryptoError(r)
      return { signature: r.signature, recoveryId: r.recoveryId }
    },
    ecdsaRecover: (signature, recoveryId, hash) =>
      signature.length === 64 && recoveryId >= 0 && recoveryId <= 3
        ? bytesOrNull(secp.recoverPublicKeyCompressed(signature, recoveryId as 0 | 1 | 2 | 3, hash))
        : null,
    ecdh(secret, publicKey) {
      needSecret(secret)
      const shared = pointMul(publicKey, secret)
      return shared && sha256(shared)
    },
    secretAdd: (a, b) => bytesOrNull(secp.addTweakPrivateKey(a, b)),
    secretMul: (a, b) => bytesOrNull(secp.mulTweakPrivateKey(a, b)),
    pointAddTweak: (p, t) =>
      p.length === 33 && validSecret(t) ? bytesOrNull(secp.addTweakPublicKeyCompressed(p, t)) : null,
    pointAdd(p, q) {
      if (p.length !== 33 || q.length !== 33) return null
      const a = secp.uncompressPublicKey(p)
      const b = secp.uncompressPublicKey(q)
      return typeof a === 'string' || typeof b === 'string' ? null : addAffine(a, b)
    },
    pointMul,
  }
  return { ...primitives, ...composites(primitives) }
}
