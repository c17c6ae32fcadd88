import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes, utf8 } from '../../src/base/bytes.ts'
import { createCoreProvider } from '../../src/crypto/core.ts'
import { loadCore } from '../../src/crypto/coreModule.ts'
import { nobleProvider as noble } from '../../src/crypto/noble.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { bytes32, N } from './edges.ts'

const PUBLIC = noble.publicKey(bytes32(0xabcdefn))
const HASH = new Uint8Array(32).fill(0x5a)
const EMPTY = new Uint8Array(0)
const nonce = new Uint8Array(12)

const outOfRange = (s: Uint8Array): Uint8Array => new Uint8Array(32).fill(s[31]!).fill(255, 0, 16)

const PAYLOADS = new Uint8Array(1300).fill(7)
/** The same but for its HMAC, which an attacker sees anyway. */
const layerFor = (secret: Uint8Array) => {
  const mu = noble.hmacSha256(utf8('mu'), noble.ecdh(secret, PUBLIC)!)
  const hmac = noble.hmacSha256(mu, concatBytes(PAYLOADS, HASH))
  return { ephemeralKey: PUBLIC, payloads: PAYLOADS, associatedData: HASH, hmac }
}

type Operation = readonly [name: string, run: (c: CryptoProvider, secret: Uint8Array) => unknown]
const OPERATIONS: readonly Operation[] = [
  ['public key', (c, s) => c.publicKey(s)],
  ['ECDSA signature', (c, s) => c.ecdsaSign(HASH, s)],
  ['recoverable signature', (c, s) => c.ecdsaSignRecoverable(HASH, s)],
  ['ECDH', (c, s) => c.ecdh(s, PUBLIC)],
  ['ECDH with a bad point', (c, s) => c.ecdh(s, HASH)],
  ['validity of a secret', (c, s) => c.isValidSecret(s)],
  ['a secret out of range', (c, s) => expect(() => c.publicKey(outOfRange(s))).toThrow()],
  ['sum of secrets', (c, s) => c.secretAdd(s, HASH)],
  ['product of secrets', (c, s) => c.secretMul(HASH, s)],
  ['multiple of a point', (c, s) => c.pointMul(PUBLIC, s)],
  ['secret chain', (c, s) => c.chainSecret(s, 48, 2 ** 48 - 77)],
  ['a layer of an onion', (c, s) => expect(c.peelLayer(s, layerFor(s))!.unwrapped).not.toBeNull()],
  [
    'a layer of an onion with a wrong HMAC',
    (c, s) => expect(c.peelLayer(s, { ...layerFor(s), hmac: HASH })!.unwrapped).toBeNull(),
  ],
  [
    'a layer of an onion with a bad point',
    (c, s) => c.peelLayer(s, { ...layerFor(s), ephemeralKey: new Uint8Array(33) }),
  ],
  ['SHA-256', (c, s) => c.sha256(s)],
  ['double SHA-256', (c, s) => c.sha256d(s)],
  ['RIPEMD-160', (c, s) => c.ripemd160(s)],
  ['RIPEMD-160 of SHA-256', (c, s) => c.hash160(s)],
  ['HMAC with a secret key', (c, s) => c.hmacSha256(s, HASH)],
  ['HMAC of a secret', (c, s) => c.hmacSha256(HASH, s)],
  [
    'HMAC with a long key',
    (c, s) =>
      c.hmacSha256(
        Uint8Array.from({ length: 100 }, (_, i) => s[i % 32]!),
        s,
      ),
  ],
  ['ChaCha20', (c, s) => c.chacha20(s, nonce, s)],
  ['sealing', (c, s) => c.aeadEncrypt(s, nonce, s, s)],
  ['opening', (c, s) => c.aeadDecrypt(s, nonce, EMPTY, noble.aeadEncrypt(s, nonce, EMPTY, s))],
  ['opening what was damaged', (c, s) => c.aeadDecrypt(s, nonce, EMPTY, new Uint8Array(40).fill(s[0]!))],
]

describe('memory after an operation', () => {
  it.each(OPERATIONS)('%s: holds the same bytes whatever the secret was', (_, run) => {
    const images = [bytes32(3n), bytes32(N - 0x123456789abcdefn)].map((secret) => {
      const loaded = loadCore()
      const provider = createCoreProvider(loaded, (n) => Buffer.alloc(n, 0x77)) // blinding is secret, but the same for both
      run(provider, secret)
      return loaded.u8
    })
    expect(equalBytes(images[0]!, images[1]!)).toBe(true)
  })
})
