import { createCipheriv, createDecipheriv } from 'node:crypto'
import { hmac } from '@noble/hashes/hmac.js'
import { ripemd160 } from '@noble/hashes/legacy.js'
import { sha256 } from '@noble/hashes/sha2.js'
import * as secp from '@noble/secp256k1'
import { concatBytes, EMPTY, fromHex } from '../base/bytes.ts'
import { composites } from './composites.ts'
import { CryptoError } from './errors.ts'
import type { CryptoProvider, Primitives } from './provider.ts'

secp.hashes.sha256 = sha256
secp.hashes.hmacSha256 = (key, message) => hmac(sha256, key, message)

const Point = secp.Point
const ORDER = Point.CURVE().n
const scalar = (b: Uint8Array): bigint => {
  let n = 0n
  for (const x of b) n = (n << 8n) | BigInt(x)
  return n
}
const scalarBytes = (n: bigint): Uint8Array => fromHex(n.toString(16).padStart(64, '0'))
const mod = (n: bigint): bigint => ((n % ORDER) + ORDER) % ORDER
const validScalar = (b: Uint8Array): boolean => b.length === 32 && scalar(b) > 0n && scalar(b) < ORDER
const needSecret = (b: Uint8Array): void => {
  if (!validScalar(b)) throw new CryptoError('not a valid secret key')
}
const orNull = <T>(f: () => T): T | null => {
  try {
    return f()
  } catch {
    return null
  }
}
const point = (b: Uint8Array) => (b.length === 33 ? orNull(() => Point.fromBytes(b)) : null)

/** RFC 8439's counter in front of the 12-byte nonce, the form that OpenSSL takes. */
const opensslIv = (nonce: Uint8Array): Uint8Array => concatBytes(new Uint8Array(4), nonce)

/** ChaCha20 and ChaCha20-Poly1305 from node:crypto, shared by both providers until our own core replaces them. */
export const nodeCiphers: Pick<CryptoProvider, 'chacha20' | 'aeadEncrypt' | 'aeadDecrypt'> = {
  chacha20(key, nonce, data) {
    return new Uint8Array(createCipheriv('chacha20', key, opensslIv(nonce)).update(data))
  },
  aeadEncrypt(key, nonce, ad, plaintext) {
    const c = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 })
    if (ad.length > 0) c.setAAD(ad, { plaintextLength: plaintext.length })
    const body = c.update(plaintext)
    c.final()
    return concatBytes(body, c.getAuthTag())
  },
  aeadDecrypt(key, nonce, ad, ciphertext) {
    if (ciphertext.length < 16) return null
    const d = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 })
    const n = ciphertext.length - 16
    if (ad.length > 0) d.setAAD(ad, { plaintextLength: n })
    d.setAuthTag(ciphertext.subarray(n))
    const body = n === 0 ? EMPTY : d.update(ciphertext.subarray(0, n))
    try {
      d.final()
    } catch {
      return null
    }
    return new Uint8Array(body)
  },
}

const primitives: Primitives = {
  name: 'noble',
  sha256: (data) => sha256(data),
  sha256d: (data) => sha256(sha256(data)),
  ripemd160: (data) => ripemd160(data),
  hash160: (data) => ripemd160(sha256(data)),
  hmacSha256: (key, data) => hmac(sha256, key, data),
  ...nodeCiphers,
  isValidSecret: validScalar,
  isValidPublicKey: (key) => point(key) !== null,
  publicKey(secret) {
    needSecret(secret)
    return secp.getPublicKey(secret, true)
  },
  ecdsaSign(hash, secret, { extraEntropy, lowR = false } = {}) {
    needSecret(secret)
    let entropy = extraEntropy
    for (let tries = 1; ; tries++) {
      const signature = secp.sign(hash, secret, {
        prehash: false,
        lowS: true,
        ...(entropy === undefined ? {} : { extraEntropy: entropy }),
      })
      if (!lowR || signature[0]! < 0x80) return signature
      entropy = new Uint8Array(32)
      new DataView(entropy.buffer).setUint32(0, tries, true)
    }
  },
  ecdsaVerify(signature, hash, publicKey) {
    if (publicKey.length !== 33 || signature.length !== 64 || hash.length !== 32) return false
    return orNull(() => secp.verify(signature, hash, publicKey, { prehash: false, lowS: true })) ?? false
  },
  ecdsaSignRecoverable(hash, secret) {
    needSecret(secret)
    const s = secp.sign(hash, secret, { prehash: false, lowS: true, format: 'recovered' })
    return { signature: s.slice(1), recoveryId: s[0]! }
  },
  ecdsaRecover(signature, recoveryId, hash) {
    if (signature.length !== 64 || recoveryId < 0 || recoveryId > 3) return null
    return orNull(() =>
      secp.recoverPublicKey(concatBytes(Uint8Array.of(recoveryId), signature), hash, { prehash: false }),
    )
  },
  ecdh(secret, publicKey) {
    needSecret(secret)
    const p = point(publicKey)
    return p && sha256(p.multiply(scalar(secret)).toBytes(true))
  },
  schnorrPublicKey(secret) {
    needSecret(secret)
    return secp.schnorr.getPublicKey(secret)
  },
  schnorrSign(message, secret, auxiliary) {
    needSecret(secret)
    return secp.schnorr.sign(message, secret, auxiliary)
  },
  schnorrVerify(signature, message, publicKey) {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    return orNull(() => secp.schnorr.verify(signature, message, publicKey)) ?? false
  },
  secretAdd(a, b) {
    if (!validScalar(a) || !validScalar(b)) return null
    const s = mod(scalar(a) + scalar(b))
    return s === 0n ? null : scalarBytes(s)
  },
  secretMul(a, b) {
    if (!validScalar(a) || !validScalar(b)) return null
    return scalarBytes(mod(scalar(a) * scalar(b)))
  },
  pointAddTweak(p, t) {
    const a = point(p)
    if (!a || !validScalar(t)) return null
    return orNull(() => a.add(Point.BASE.multiply(scalar(t))).toBytes(true))
  },
  pointAdd(p, q) {
    const [a, b] = [point(p), point(q)]
    if (!a || !b) return null
    return orNull(() => a.add(b).toBytes(true))
  },
  pointMul(p, k) {
    const a = point(p)
    if (!a || !validScalar(k)) return null
    return a.multiplyUnsafe(scalar(k)).toBytes(true)
  },
}

/** Pure JavaScript: the independent oracle of every differential test, and the fallback where WASM cannot run. */
export const nobleProvider: CryptoProvider = { ...primitives, ...composites(primitives) }
