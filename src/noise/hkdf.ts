import { concatBytes, EMPTY } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'

const ONE = Uint8Array.of(1)
const TWO = Uint8Array.of(2)

/**
 * HKDF-SHA256 with an empty info field and 64 bytes of output, as two keys.
 * @param salt 32 B, the chaining key
 * @param ikm input key material; empty for the final split
 * @source BOLT 8 §handshake-state, RFC 5869
 */
export function hkdf2(salt: Uint8Array, ikm: Uint8Array = EMPTY): readonly [Uint8Array, Uint8Array] {
  const prk = crypto.hmacSha256(salt, ikm)
  const first = crypto.hmacSha256(prk, ONE)
  return [first, crypto.hmacSha256(prk, concatBytes(first, TWO))]
}
