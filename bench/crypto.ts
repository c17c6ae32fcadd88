import nodeCrypto from 'node:crypto'
import { utf8 } from '../src/base/bytes.ts'
import { derSignature } from '../src/bitcoin/sighash.ts'
import { createCoreProvider } from '../src/crypto/core.ts'
import { nobleProvider } from '../src/crypto/noble.ts'
import type { CryptoProvider } from '../src/crypto/provider.ts'
import { type Suite, type Task, task, timeSuite } from './harness.ts'
import { createLibauthProvider } from './libauth.ts'

const secret = new Uint8Array(32).fill(0x11)
const other = new Uint8Array(32).fill(0x22)
const tweak = new Uint8Array(32).fill(0x33)
const hash = nobleProvider.sha256(utf8('what is signed'))
const publicKey = nobleProvider.publicKey(secret)
const signature = nobleProvider.ecdsaSign(hash, secret)
const nonce = new Uint8Array(12)

type Operation = readonly [name: string, run: (p: CryptoProvider) => unknown]

const CURVE: readonly Operation[] = [
  ['ECDSA verify', (p) => p.ecdsaVerify(signature, hash, publicKey)],
  ['ECDSA sign', (p) => p.ecdsaSign(hash, secret)],
  ['ECDH', (p) => p.ecdh(other, publicKey)],
  ['P + t·G', (p) => p.pointAddTweak(publicKey, tweak)],
  ['k·P', (p) => p.pointMul(publicKey, tweak)],
  ['secret → public key', (p) => p.publicKey(secret)],
]

const SIZES = [32, 1_300, 65_536]
const symmetric = (size: number): readonly Operation[] => {
  const data = new Uint8Array(size).fill(7)
  const sealed = nobleProvider.aeadEncrypt(secret, nonce, new Uint8Array(0), data)
  return [
    [`SHA-256, ${size} B`, (p) => p.sha256(data)],
    [`HMAC-SHA256, ${size} B`, (p) => p.hmacSha256(secret, data)],
    [`RIPEMD-160, ${size} B`, (p) => p.ripemd160(data)],
    [`ChaCha20, ${size} B`, (p) => p.chacha20(secret, nonce, data)],
    [`ChaCha20-Poly1305 seal, ${size} B`, (p) => p.aeadEncrypt(secret, nonce, new Uint8Array(0), data)],
    [`ChaCha20-Poly1305 open, ${size} B`, (p) => p.aeadDecrypt(secret, nonce, new Uint8Array(0), sealed)],
  ]
}

/** Every operation on every provider, next to each other; the answers of all must be the same. */
export async function cryptoSuites(): Promise<Suite[]> {
  const providers = [createCoreProvider(), await createLibauthProvider(), nobleProvider]
  const tasks = (operations: readonly Operation[]): Task<unknown>[] =>
    operations.flatMap(([name, run]) => {
      const expect = run(nobleProvider)
      return providers.map((p) => task({ name: `${name}: ${p.name}`, run: () => run(p), expect }))
    })
  return [
    await timeSuite('secp256k1', [...tasks(CURVE), opensslVerify()]),
    await timeSuite('Hashes and ciphers', tasks(SIZES.flatMap(symmetric))),
  ]
}

/** Node's own curve, which no provider uses (its keys and signatures come in other forms): a measure of the machine. */
function opensslVerify(): Task<unknown> {
  const key = nodeCrypto.createPublicKey({ key: spki(publicKey), format: 'der', type: 'spki' })
  const message = utf8('what is signed')
  const der = derSignature(signature, 0).slice(0, -1)
  return task({
    name: 'ECDSA verify: node:crypto (OpenSSL)',
    run: () => nodeCrypto.verify('sha256', message, key, der),
    expect: true,
  })
}

/** RFC 5480: SubjectPublicKeyInfo of a compressed secp256k1 key. */
const spki = (key: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex'), key])
