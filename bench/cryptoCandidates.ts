import nodeCrypto from 'node:crypto'
import { instantiateSecp256k1 } from '@bitauth/libauth'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { createHMAC, createRIPEMD160, createSHA256 } from 'hash-wasm'
import * as tiny from 'tiny-secp256k1'
import { concatBytes, EMPTY } from '../src/base/bytes.ts'
import { nobleProvider as noble } from '../src/crypto/noble.ts'
import type { CryptoProvider } from '../src/crypto/provider.ts'

export type Library = 'fulmen' | 'noble' | 'tiny' | 'libauth' | 'hashWasm' | 'node'
/** One call with the i-th arguments. */
export type Candidate = (i: number) => unknown
export type Candidates = Readonly<Record<string, { readonly fulmen: Candidate } & Partial<Record<Library, Candidate>>>>

/** More keys than the 256 whose points our core remembers, and all met in turn: none is remembered when it comes again. */
const KEYS = 1024

/** Arguments that differ with i, made beforehand. */
function all<T>(make: (i: number) => T): (i: number) => T {
  const made = Array.from({ length: KEYS }, (_, i) => make(i))
  return (i) => made[i % KEYS]!
}
const random = (seed: string, length: number): ((i: number) => Uint8Array) =>
  all((i) => new Uint8Array(nodeCrypto.hkdfSync('sha256', seed, `${i}`, EMPTY, length)))

/** Each operation by each library that has it, on the same arguments. */
export async function candidates(fulmen: CryptoProvider): Promise<Candidates> {
  return { ...(await curve(fulmen)), ...(await symmetric(fulmen)) }
}

async function curve(fulmen: CryptoProvider): Promise<Candidates> {
  const secp = await instantiateSecp256k1()
  const [secret, other, hash] = [random('secret', 32), random('other', 32), random('hash', 32)]
  const key = all((i) => fulmen.publicKey(secret(i)))
  const signature = all((i) => fulmen.ecdsaSign(hash(i), secret(i)))
  const schnorr = all((i) => fulmen.schnorrSign(hash(i), secret(i), hash(i)))
  const { sha256 } = fulmen // of the shared point, for libraries that have no ECDH of Lightning's form
  return {
    verify: {
      fulmen: (i) => fulmen.ecdsaVerify(signature(i), hash(i), key(i)),
      tiny: (i) => tiny.verify(hash(i), key(i), signature(i), true),
      libauth: (i) => secp.verifySignatureCompactLowS(signature(i), key(i), hash(i)),
      noble: (i) => noble.ecdsaVerify(signature(i), hash(i), key(i)),
    },
    sign: {
      fulmen: (i) => fulmen.ecdsaSign(hash(i), secret(i)),
      tiny: (i) => tiny.sign(hash(i), secret(i)),
      libauth: (i) => secp.signMessageHashCompact(secret(i), hash(i)),
      noble: (i) => noble.ecdsaSign(hash(i), secret(i)),
    },
    ecdh: {
      fulmen: (i) => fulmen.ecdh(other(i), key(i)),
      tiny: (i) => sha256(tiny.pointMultiply(key(i), other(i), true)!),
      libauth: (i) => sha256(secp.mulTweakPublicKeyCompressed(key(i), other(i)) as Uint8Array),
      noble: (i) => noble.ecdh(other(i), key(i)),
    },
    pointMul: {
      fulmen: (i) => fulmen.pointMul(key(i), other(i)),
      tiny: (i) => tiny.pointMultiply(key(i), other(i), true),
      libauth: (i) => secp.mulTweakPublicKeyCompressed(key(i), other(i)),
      noble: (i) => noble.pointMul(key(i), other(i)),
    },
    publicKey: {
      fulmen: (i) => fulmen.publicKey(secret(i)),
      tiny: (i) => tiny.pointFromScalar(secret(i), true),
      libauth: (i) => secp.derivePublicKeyCompressed(secret(i)),
      noble: (i) => noble.publicKey(secret(i)),
    },
    addTweak: {
      fulmen: (i) => fulmen.pointAddTweak(key(i), other(i)),
      tiny: (i) => tiny.pointAddScalar(key(i), other(i), true),
      libauth: (i) => secp.addTweakPublicKeyCompressed(key(i), other(i)),
      noble: (i) => noble.pointAddTweak(key(i), other(i)),
    },
    schnorrVerify: {
      fulmen: (i) => fulmen.schnorrVerify(schnorr(i), hash(i), key(i).subarray(1)),
      tiny: (i) => tiny.verifySchnorr(hash(i), key(i).subarray(1), schnorr(i)),
      noble: (i) => noble.schnorrVerify(schnorr(i), hash(i), key(i).subarray(1)),
    },
  }
}

async function symmetric(fulmen: CryptoProvider): Promise<Candidates> {
  const [sha, ripemd] = await Promise.all([createSHA256(), createRIPEMD160()])
  const secret = random('key', 32)
  // hash-wasm's HMAC is bound to its key, which it has set up before it is measured
  const hmacs = await Promise.all(Array.from({ length: KEYS }, (_, i) => createHMAC(createSHA256(), secret(i))))
  const nonce = random('nonce', 12)
  const hash = (size: number): Candidates[string] => {
    const data = random('data', size)
    return {
      fulmen: (i) => fulmen.sha256(data(i)),
      hashWasm: (i) => sha.init().update(data(i)).digest('binary'),
      node: (i) => nodeCrypto.hash('sha256', data(i), 'buffer'),
      noble: (i) => noble.sha256(data(i)),
    }
  }
  const hmac = (size: number): Candidates[string] => {
    const data = random('data', size)
    return {
      fulmen: (i) => fulmen.hmacSha256(secret(i), data(i)),
      hashWasm: (i) => hmacs[i % KEYS]!.init().update(data(i)).digest('binary'),
      node: (i) => nodeCrypto.createHmac('sha256', secret(i)).update(data(i)).digest(),
      noble: (i) => noble.hmacSha256(secret(i), data(i)),
    }
  }
  const ripemd160 = (size: number): Candidates[string] => {
    const data = random('data', size)
    return {
      fulmen: (i) => fulmen.ripemd160(data(i)),
      hashWasm: (i) => ripemd.init().update(data(i)).digest('binary'),
      noble: (i) => noble.ripemd160(data(i)),
    }
  }
  const aead = (size: number): Candidates[string] => {
    const data = random('data', size)
    return {
      fulmen: (i) => fulmen.aeadEncrypt(secret(i), nonce(i), EMPTY, data(i)),
      node: (i) => nodeSeal(secret(i), nonce(i), data(i)),
      noble: (i) => chacha20poly1305(secret(i), nonce(i)).encrypt(data(i)),
    }
  }
  return {
    sha256_32: hash(32),
    sha256_64: hash(64),
    sha256_1300: hash(1300),
    hmac_32: hmac(32),
    hmac_64: hmac(64),
    ripemd160_32: ripemd160(32),
    aead_18: aead(18),
    aead_64: aead(64),
    aead_1300: aead(1300),
  }
}

function nodeSeal(key: Uint8Array, nonce: Uint8Array, data: Uint8Array): Uint8Array {
  const cipher = nodeCrypto.createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 })
  const body = cipher.update(data)
  cipher.final()
  return concatBytes(body, cipher.getAuthTag())
}
