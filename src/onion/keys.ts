import { utf8 } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'

const LABELS = {
  rho: utf8('rho'),
  mu: utf8('mu'),
  um: utf8('um'),
  pad: utf8('pad'),
  ammag: utf8('ammag'),
  blindedNodeId: utf8('blinded_node_id'),
} as const

/** The key of one purpose from a shared secret, 32 B. @source BOLT 4 §key-generation, §route-blinding */
export const deriveKey = (purpose: keyof typeof LABELS, sharedSecret: Uint8Array): Uint8Array =>
  crypto.hmacSha256(LABELS[purpose], sharedSecret)

/** The nonce may be constant because no key is used twice. */
export const ZERO_NONCE = new Uint8Array(12)

/** The bytes XORed with the key's pseudo-random stream. @source BOLT 4 §pseudo-random-byte-stream */
export const xorStream = (key: Uint8Array, data: Uint8Array): Uint8Array => crypto.chacha20(key, ZERO_NONCE, data)
