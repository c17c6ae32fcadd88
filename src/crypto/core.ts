import { createHash, createHmac, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CryptoError } from './errors.ts'
import { nobleProvider, nodeCiphers } from './noble.ts'
import type { CryptoProvider, SignOptions } from './provider.ts'

/** What src/crypto/core/index.ts exports: addresses in, 1 or 0 out unless it says otherwise. */
export interface CoreExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  init(): void
  io(): number
  ioBytes(): number
  blind(random64: number): number
  isScalar(bytes32: number): number
  sign(out64: number, hash32: number, key32: number, extra32: number, lowR: number): number
  publicKey(out33: number, key32: number): number
  ecdh(out32: number, pub: number, length: number, key32: number): number
  multiplySecret(out33: number, pub: number, length: number, key32: number): number
  secretAdd(out32: number, x32: number, y32: number): number
  secretMul(out32: number, x32: number, y32: number): number
  schnorrKey(out32: number, key32: number): number
  signSchnorr(out64: number, message: number, length: number, key32: number, aux32: number): number
  verify(sig64: number, hash32: number, pub: number, length: number, lowS: number): number
  verifyOneKey(count: number, sigs: number, hashes: number, pub33: number, lowS: number): number
  verifySchnorr(sig64: number, message: number, length: number, x32: number): number
  recover(out33: number, sig64: number, id: number, hash32: number): number
  isPoint(pub: number, length: number): number
  convert(out33: number, out65: number, pub: number, length: number): number
  multiplyPublic(out33: number, pub: number, length: number, k32: number): number
  addTweak(out33: number, pub: number, length: number, t32: number): number
  addPoints(out33: number, pub: number, length: number, other: number, otherLength: number): number
  sha256(out32: number, data: number, length: number): void
  sha256d(out32: number, data: number, length: number): void
  ripemd160(out20: number, data: number, length: number): void
  hash160(out20: number, data: number, length: number): void
  hmac(out32: number, key: number, keyLength: number, data: number, length: number): void
  chacha20(data: number, length: number, key32: number, nonce12: number, counter: number): void
  aeadSeal(data: number, length: number, ad: number, adLength: number, key32: number, nonce12: number): void
  aeadOpen(data: number, length: number, ad: number, adLength: number, key32: number, nonce12: number): number
}

const need32 = (bytes: Uint8Array, what: string): void => {
  if (bytes.length !== 32) throw new CryptoError(`the ${what} has ${bytes.length} bytes, not 32`)
}

/** @types/node does not declare WebAssembly. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

/** `npm run build` puts it at the root of the package, beside src/ and dist/. */
const FILE = new URL('../../build/core.wasm', import.meta.url)

/** From these sizes on node:crypto is faster, whose cost is per call where ours is per byte (docs/performance.md). */
const NODE_SHA256_FROM = 128
const NODE_HMAC_FROM = 512
const NODE_AEAD_FROM = 4096
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
export function createCoreProvider({ core, u8, io } = loadCore(), random = randomBytes): CryptoProvider {
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
    data.length < NODE_SHA256_FROM
      ? hashed(data, 32, core.sha256)
      : new Uint8Array(createHash('sha256').update(data).digest())

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
      if (data.length > MOST_DATA || key.length !== 32 || nonce.length !== 12)
        return nodeCiphers.chacha20(key, nonce, data)
      core.chacha20(put(DATA, data), data.length, put(A, key), put(B, nonce), 0)
      const result = u8.slice(DATA, DATA + data.length)
      u8.fill(0, DATA, DATA + data.length)
      u8.fill(0, A, A + 32)
      return result
    },
    aeadEncrypt(key, nonce, ad, plaintext) {
      const length = plaintext.length
      if (length > NODE_AEAD_FROM || ad.length > 512 || key.length !== 32 || nonce.length !== 12) {
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
      if (length > NODE_AEAD_FROM || ad.length > 512 || key.length !== 32 || nonce.length !== 12) {
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
    pointMul(p, k) {
      const some = p.length === 33 && k.length === 32 && core.multiplyPublic(OUT, put(A, p), 33, put(B, k)) === 1
      const product = secretOut(33)
      return some ? product : null
    },
  }
}

/** The module and its exchange buffer. */
export interface LoadedCore {
  readonly core: CoreExports
  readonly u8: Uint8Array
  readonly io: number
}
/** Nothing is blinded yet. For createCoreProvider, and for tests that need more than a provider has. */
export const loadCore = (): LoadedCore => instantiateCore(readFileSync(FILE))

/** @param imports none, but for an instrumented build */
export function instantiateCore(wasm: Uint8Array, imports: object = {}): LoadedCore {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), imports)
  const core = instance.exports as CoreExports
  core.init()
  return { core, u8: new Uint8Array(core.memory.buffer), io: core.io() }
}
