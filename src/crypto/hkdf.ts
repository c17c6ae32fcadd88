import { concatBytes, EMPTY } from '../base/bytes.ts'
import { crypto } from './crypto.ts'
import { CryptoError } from './errors.ts'

/**
 * HKDF-SHA256, extract and expand.
 * @param salt may be empty
 * @param length of the output, at most 255 · 32 B
 * @source RFC 5869 §2
 */
export function hkdf(salt: Uint8Array, ikm: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  if (length > 255 * 32) throw new CryptoError(`HKDF gives at most 8160 bytes, not ${length}`)
  const key = crypto.hmacSha256(salt, ikm)
  const out = new Uint8Array(32 * Math.ceil(length / 32))
  let block: Uint8Array = EMPTY
  for (let i = 0; 32 * i < length; i++) {
    block = crypto.hmacSha256(key, concatBytes(block, info, Uint8Array.of(i + 1)))
    out.set(block, 32 * i)
  }
  return out.slice(0, length)
}
