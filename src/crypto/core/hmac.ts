// HMAC-SHA256 (RFC 2104). A key is two SHA-256 states: after the block key ^ 36…, and after the block key ^ 5c….
import { copy32, HMAC_AREA, wipe16 } from './memory.ts';
import { sha256, shaBlock, shaFinish, shaStart, shaWipe } from './sha256.ts';

const pad = HMAC_AREA, digest = pad + 64, state = digest + 32, inner = state + 32, outer = inner + 32; // ends at 192

/** Sets up a key; one longer than 64 bytes is replaced by its hash. */
export function hmacKey(inner: usize, outer: usize, key: usize, length: usize): void {
  wipe16(pad, 64);
  if (length > 64) sha256(pad, key, length);
  else memory.copy(pad, key, length);
  for (let i: usize = 0; i < 64; i += 8) store<u64>(pad + i, load<u64>(pad + i) ^ 0x3636363636363636);
  shaStart(inner);
  shaBlock(inner, pad);
  for (let i: usize = 0; i < 64; i += 8) store<u64>(pad + i, load<u64>(pad + i) ^ 0x6a6a6a6a6a6a6a6a);
  shaStart(outer);
  shaBlock(outer, pad);
}
/** out32 = HMAC of the data under a key that hmacKey set up. out may overlap the data. */
export function hmacOf(out: usize, inner: usize, outer: usize, data: usize, length: usize): void {
  copy32(state, inner);
  shaFinish(digest, state, data, length, 64);
  copy32(state, outer);
  shaFinish(out, state, digest, 32, 64);
}
/** out32 = HMAC-SHA256(key, data) */
export function hmac(out: usize, key: usize, keyLength: usize, data: usize, length: usize): void {
  hmacKey(inner, outer, key, keyLength);
  hmacOf(out, inner, outer, data, length);
}
export function hmacWipe(): void {
  wipe16(pad, 192);
  shaWipe();
}
