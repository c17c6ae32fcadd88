import { EMPTY } from '../base/bytes.ts'
import { hkdf } from '../crypto/hkdf.ts'

/**
 * HKDF-SHA256 with an empty info field and 64 bytes of output, as two keys.
 * @param salt 32 B, the chaining key
 * @param ikm input key material; empty for the final split
 * @source BOLT 8 §handshake-state, RFC 5869
 */
export function hkdf2(salt: Uint8Array, ikm: Uint8Array = EMPTY): readonly [Uint8Array, Uint8Array] {
  const keys = hkdf(salt, ikm, EMPTY, 64)
  return [keys.slice(0, 32), keys.slice(32)]
}
