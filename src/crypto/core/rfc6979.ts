// Deterministic nonces for ECDSA: RFC 6979 §3.2 with HMAC-SHA256, and §3.6 for extra entropy. 32-byte keys.
import { hmacKey, hmacOf } from './hmac.ts';
import { copy32, NONCE_AREA } from './memory.ts';

const K = NONCE_AREA, inner = K + 32, outer = inner + 32;
const message = outer + 32; // V (32) | 00 or 01 | x (32) | h (32) | extra (32): ends at 225, area 240
const zeroInner = memory.data(32, 16), zeroOuter = memory.data(32, 16); // the key 00…00 that every signature starts from

export function initNonce(): void {
  hmacKey(zeroInner, zeroOuter, K, 32);
}
function update(length: usize): void {
  hmacOf(K, inner, outer, message, length);
  hmacKey(inner, outer, K, 32);
  hmacOf(message, inner, outer, message, 32);
}
/** key32: the secret key, hash32: the message hash already reduced mod n, extra32: 0 or further input; all big-endian */
export function nonceStart(key32: usize, hash32: usize, extra32: usize): void {
  memory.fill(message, 1, 32);
  store<u8>(message, 0, 32);
  memory.copy(message + 33, key32, 32);
  memory.copy(message + 65, hash32, 32);
  if (extra32) memory.copy(message + 97, extra32, 32);
  const length: usize = extra32 ? 129 : 97;
  copy32(inner, zeroInner);
  copy32(outer, zeroOuter);
  update(length);
  store<u8>(message, 1, 32);
  update(length);
}
/** The next candidate, 32 bytes. */
export function nonceNext(out: usize): void {
  hmacOf(message, inner, outer, message, 32);
  copy32(out, message);
}
/** After a rejected candidate. */
export function nonceRetry(): void {
  store<u8>(message, 0, 32);
  update(33);
}
