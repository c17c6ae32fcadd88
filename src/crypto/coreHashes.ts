import { createHmac, hash as nodeHash } from 'node:crypto'
import { EMPTY } from '../base/bytes.ts'
import type { Exchange } from './coreModule.ts'
import { nobleProvider, nodeCiphers } from './noble.ts'
import type { Primitives } from './provider.ts'

/** From these sizes on node:crypto is faster, whose cost is per call where ours is per byte (docs/performance.md). */
const NODE_SHA256_FROM = 184
const NODE_HMAC_FROM = 400
const NODE_CIPHER_FROM = 4096
/** The most bytes that the exchange buffer takes at DATA. */
const MOST_DATA = 16_384
/** And at D, where additional data go. */
const MOST_AD = 512

type Hashes = Pick<Primitives, 'sha256' | 'sha256d' | 'ripemd160' | 'hash160' | 'hmacSha256'>
type Ciphers = Pick<Primitives, 'chacha20' | 'aeadEncrypt' | 'aeadDecrypt'>

/** Hashes of short data by the core, of longer ones by node:crypto. What was hashed may be secret and is wiped. */
export function coreHashes({ core, u8, put, OUT, DATA }: Exchange): Hashes {
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

  return {
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
  }
}

/** Ciphers of data up to some KiB by the core, of longer ones by node:crypto. Keys and data are wiped. */
export function coreCiphers({ core, u8, put, A, B, D, DATA }: Exchange): Ciphers {
  /** Ours to do: not too long, and with key and nonce of the right lengths, about which node:crypto complains. */
  const ours = (key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, length: number): boolean =>
    length < NODE_CIPHER_FROM && ad.length <= MOST_AD && key.length === 32 && nonce.length === 12
  const wipe = (data: number, ad: number): void => {
    u8.fill(0, A, D + ad)
    u8.fill(0, DATA, DATA + data)
  }
  return {
    chacha20(key, nonce, data) {
      if (!ours(key, nonce, EMPTY, data.length)) return nodeCiphers.chacha20(key, nonce, data)
      core.chacha20(put(DATA, data), data.length, put(A, key), put(B, nonce), 0)
      const result = u8.slice(DATA, DATA + data.length)
      wipe(data.length, 0)
      return result
    },
    aeadEncrypt(key, nonce, ad, plaintext) {
      const length = plaintext.length
      if (!ours(key, nonce, ad, length)) return nodeCiphers.aeadEncrypt(key, nonce, ad, plaintext)
      core.aeadSeal(put(DATA, plaintext), length, put(D, ad), ad.length, put(A, key), put(B, nonce))
      const sealed = u8.slice(DATA, DATA + length + 16)
      wipe(length + 16, ad.length)
      return sealed
    },
    aeadDecrypt(key, nonce, ad, ciphertext) {
      const length = ciphertext.length - 16
      if (!ours(key, nonce, ad, length)) return nodeCiphers.aeadDecrypt(key, nonce, ad, ciphertext)
      if (length < 0) return null
      const right = core.aeadOpen(put(DATA, ciphertext), length, put(D, ad), ad.length, put(A, key), put(B, nonce))
      const result = right === 1 ? u8.slice(DATA, DATA + length) : null
      wipe(length + 16, ad.length)
      return result
    },
  }
}
