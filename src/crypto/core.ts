import { createHmac, hash as nodeHash, randomBytes } from 'node:crypto'
import { loadCore } from './coreModule.ts'
import { CryptoError } from './errors.ts'
import { nobleProvider, nodeCiphers } from './noble.ts'
import type { CryptoProvider, SignOptions } from './provider.ts'
import { batchVerifier } from './verifyAll.ts'

const need32 = (bytes: Uint8Array, what: string): void => {
  if (bytes.length !== 32) throw new CryptoError(`the ${what} has ${bytes.length} bytes, not 32`)
}

/** From these sizes on node:crypto is faster, whose cost is per call where ours is per byte (docs/performance.md). */
const NODE_SHA256_FROM = 184
const NODE_HMAC_FROM = 400
const NODE_CIPHER_FROM = 4096
/** Room for data in the exchange buffer, behind 1 KiB for keys and results. */
const MOST_DATA = 16_384

/** The longest message of a Schnorr signature, as core/schnorr.ts has it. */
const MOST_MESSAGE = 4096

/** How many secret multiplications share one blinding. */
const BLINDING_LASTS = 1024

/**
 * The crypto core of src/crypto/core/, compiled to WASM. Secrets are wiped from its memory before a call returns.
 * @throws when WebAssembly or the compiled file is not to be had
 */
export function createCoreProvider(loaded = loadCore(), random = randomBytes): CryptoProvider {
  const { core, u8, io } = loaded
  const OUT = io
  const A = io + 128
  const B = io + 256
  const C = io + 384
  const D = io + 512
  const DATA = io + 1024
  let blindingLeft = 0

  const put = (at: number, bytes: Uint8Array): number => {
    u8.set(bytes, at)
    return at
  }
  const out = (length: number): Uint8Array => u8.slice(OUT, OUT + length)
  /** The result of an operation on secrets: nothing of it or of its arguments stays. */
  const secretOut = (length: number): Uint8Array => {
    const result = u8.slice(OUT, OUT + length)
    u8.fill(0, io, DATA)
    return result
  }
  const forget = (): void => {
    u8.fill(0, io, DATA)
  }
  const blindAgain = (): void => {
    do put(A, random(64))
    while (core.blind(A) === 0)
    forget()
    blindingLeft = BLINDING_LASTS
  }
  const spendBlinding = (): void => {
    if (blindingLeft-- === 0) blindAgain()
  }
  const needSecret = (valid: boolean): void => {
    if (valid) return
    forget()
    throw new CryptoError('not a valid secret key')
  }
  const sign = (hash: Uint8Array, secret: Uint8Array, { extraEntropy, lowR }: SignOptions = {}): number => {
    need32(hash, 'hash to sign')
    if (extraEntropy !== undefined) need32(extraEntropy, 'extra entropy')
    spendBlinding()
    const extra = extraEntropy === undefined ? 0 : put(C, extraEntropy)
    const id = secret.length === 32 ? core.sign(OUT, put(A, hash), put(B, secret), extra, lowR === true ? 1 : 0) : -1
    needSecret(id >= 0)
    return id
  }
  /** Copies data in, lets `f` answer, and overwrites them. */
  const hashed = (
    data: Uint8Array,
    length: number,
    f: (out: number, data: number, length: number) => void,
  ): Uint8Array => {
    f(OUT, put(DATA, data), data.length)
    const result = u8.slice(OUT, OUT + length)
    u8.fill(0, OUT, OUT + 32)
    u8.fill(0, DATA, DATA + data.length)
    return result
  }
  const sha256 = (data: Uint8Array): Uint8Array =>
    data.length < NODE_SHA256_FROM ? hashed(data, 32, core.sha256) : new Uint8Array(nodeHash('sha256', data, 'buffer'))

  blindAgain()
  return {
    name: 'core',
    sha256,
    sha256d: (data) => (data.length < NODE_SHA256_FROM ? hashed(data, 32, core.sha256d) : sha256(sha256(data))),
    ripemd160: (data) => (data.length <= MOST_DATA ? hashed(data, 20, core.ripemd160) : nobleProvider.ripemd160(data)),
    hash160: (data) =>
      data.length < NODE_SHA256_FROM ? hashed(data, 20, core.hash160) : hashed(sha256(data), 20, core.ripemd160),
    hmacSha256(key, data) {
      if (key.length + data.length >= NODE_HMAC_FROM) {
        return new Uint8Array(createHmac('sha256', key).update(data).digest())
      }
      const after = DATA + key.length
      core.hmac(OUT, put(DATA, key), key.length, put(after, data), data.length)
      const result = u8.slice(OUT, OUT + 32)
      u8.fill(0, OUT, OUT + 32)
      u8.fill(0, DATA, after + data.length)
      return result
    },
    chacha20(key, nonce, data) {
      if (data.length >= NODE_CIPHER_FROM || key.length !== 32 || nonce.length !== 12)
        return nodeCiphers.chacha20(key, nonce, data)
      core.chacha20(put(DATA, data), data.length, put(A, key), put(B, nonce), 0)
      const result = u8.slice(DATA, DATA + data.length)
      u8.fill(0, DATA, DATA + data.length)
      u8.fill(0, A, A + 32)
      return result
    },
    aeadEncrypt(key, nonce, ad, plaintext) {
      const length = plaintext.length
      if (length >= NODE_CIPHER_FROM || ad.length > 512 || key.length !== 32 || nonce.length !== 12) {
        return nodeCiphers.aeadEncrypt(key, nonce, ad, plaintext)
      }
      core.aeadSeal(put(DATA, plaintext), length, put(D, ad), ad.length, put(A, key), put(B, nonce))
      const sealed = u8.slice(DATA, DATA + length + 16)
      u8.fill(0, A, D + ad.length)
      u8.fill(0, DATA, DATA + length + 16)
      return sealed
    },
    aeadDecrypt(key, nonce, ad, ciphertext) {
      const length = ciphertext.length - 16
      if (length >= NODE_CIPHER_FROM || ad.length > 512 || key.length !== 32 || nonce.length !== 12) {
        return nodeCiphers.aeadDecrypt(key, nonce, ad, ciphertext)
      }
      if (length < 0) return null
      const right = core.aeadOpen(put(DATA, ciphertext), length, put(D, ad), ad.length, put(A, key), put(B, nonce))
      const result = right === 1 ? u8.slice(DATA, DATA + length) : null
      u8.fill(0, A, D + ad.length)
      u8.fill(0, DATA, DATA + length + 16)
      return result
    },

    isValidSecret(secret) {
      if (secret.length !== 32) return false
      const valid = core.isScalar(put(A, secret))
      u8.fill(0, A, A + 32)
      return valid === 1
    },
    isValidPublicKey: (key) => key.length === 33 && core.isPoint(put(A, key), 33) === 1,
    publicKey(secret) {
      spendBlinding()
      needSecret(secret.length === 32 && core.publicKey(OUT, put(A, secret)) === 1)
      return secretOut(33)
    },
    ecdsaSign(hash, secret, options) {
      sign(hash, secret, options)
      return secretOut(64)
    },
    ecdsaVerify: (signature, hash, publicKey) =>
      signature.length === 64 &&
      hash.length === 32 &&
      publicKey.length === 33 &&
      core.verify(put(A, signature), put(B, hash), put(C, publicKey), 33, 1) === 1,
    ecdsaSignRecoverable(hash, secret) {
      const recoveryId = sign(hash, secret)
      return { signature: secretOut(64), recoveryId }
    },
    ecdsaRecover: (signature, recoveryId, hash) =>
      signature.length === 64 &&
      hash.length === 32 &&
      (recoveryId & 3) === recoveryId &&
      core.recover(OUT, put(A, signature), recoveryId, put(B, hash)) === 1
        ? out(33)
        : null,
    ecdh(secret, publicKey) {
      needSecret(secret.length === 32 && core.isScalar(put(B, secret)) === 1)
      if (publicKey.length === 33 && core.ecdh(OUT, put(A, publicKey), 33, B) === 1) return secretOut(32)
      forget()
      return null
    },
    schnorrPublicKey(secret) {
      spendBlinding()
      needSecret(secret.length === 32 && core.schnorrKey(OUT, put(A, secret)) === 1)
      return secretOut(32)
    },
    schnorrSign(message, secret, auxiliary) {
      need32(auxiliary, 'auxiliary randomness')
      if (message.length > MOST_MESSAGE)
        throw new CryptoError(`a message of ${message.length} bytes is too long to sign`)
      spendBlinding()
      const at = put(DATA, message)
      const valid =
        secret.length === 32 && core.signSchnorr(OUT, at, message.length, put(A, secret), put(B, auxiliary)) === 1
      needSecret(valid)
      return secretOut(64)
    },
    schnorrVerify: (signature, message, publicKey) =>
      signature.length === 64 &&
      publicKey.length === 32 &&
      message.length <= MOST_MESSAGE &&
      core.verifySchnorr(put(A, signature), put(DATA, message), message.length, put(B, publicKey)) === 1,
    secretAdd(a, b) {
      const some = a.length === 32 && b.length === 32 && core.secretAdd(OUT, put(A, a), put(B, b)) === 1
      const sum = secretOut(32)
      return some ? sum : null
    },
    secretMul(a, b) {
      const some = a.length === 32 && b.length === 32 && core.secretMul(OUT, put(A, a), put(B, b)) === 1
      const product = secretOut(32)
      return some ? product : null
    },
    pointAddTweak: (p, t) =>
      p.length === 33 && t.length === 32 && core.addTweak(OUT, put(A, p), 33, put(B, t)) === 1 ? out(33) : null,
    pointAdd: (p, q) =>
      p.length === 33 && q.length === 33 && core.addPoints(OUT, put(A, p), 33, put(B, q), 33) === 1 ? out(33) : null,
    ecdsaVerifyAll: batchVerifier(loaded),
    commitmentKeys(point, basepoints, revocationBasepoint) {
      const count = basepoints.length
      const inputs = revocationBasepoint === null ? basepoints : [...basepoints, revocationBasepoint]
      if (count > 4 || point.length !== 33 || inputs.some((b) => b.length !== 33)) return null
      for (const [i, b] of inputs.entries()) put(DATA + 33 * i, b)
      const revocation = revocationBasepoint === null ? 0 : DATA + 33 * count
      if (core.commitmentKeys(DATA, put(A, point), DATA, count, revocation) === 0) return null
      return inputs.map((_, i) => u8.slice(DATA + 33 * i, DATA + 33 * i + 33))
    },
    chainSecret(secret, bits, index) {
      need32(secret, 'node of the secret chain')
      core.chainSecret(put(OUT, secret), bits, Math.floor(index / 2 ** 32), index % 2 ** 32)
      return secretOut(32)
    },
    pointMul(p, k) {
      const some = p.length === 33 && k.length === 32 && core.multiplyPublic(OUT, put(A, p), 33, put(B, k)) === 1
      const product = secretOut(33)
      return some ? product : null
    },
  }
}
