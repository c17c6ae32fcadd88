// ChaCha20-Poly1305 (RFC 8439 §2.5 and §2.8). Poly1305 over five 26-bit limbs.
import { AEAD_AREA, wipe16 } from './memory.ts';
import { chachaBlocks, chachaContinue, chachaWipe, stream } from './chacha20.ts';

const M26: u64 = 0x3ffffff;
const acc = AEAD_AREA, r = acc + 48, pad = r + 48, last = pad + 16, tag = last + 16; // ends at 176

/** key: 32 bytes, r | s; r is clamped */
function polyStart(key: usize): void {
  const low = load<u64>(key) & 0x0ffffffc0fffffff, high = load<u64>(key, 8) & 0x0ffffffc0ffffffc;
  store<u64>(r, low & M26);
  store<u64>(r, (low >> 26) & M26, 8);
  store<u64>(r, ((low >> 52) | (high << 12)) & M26, 16);
  store<u64>(r, (high >> 14) & M26, 24);
  store<u64>(r, high >> 40, 32);
  v128.store(pad, v128.load(key, 16));
  wipe16(acc, 48);
}
/**
 * Takes in whole blocks of 16 bytes. Limbs of the accumulator stay below 2^26 (limb 1: a little more), those of r below 2^26, so
 * each sum of five products, three of them times 5, is below 2^26 · 2^27 · 25 < 2^58.
 */
function polyBlocks(p: usize, blocks: usize): void {
  const r0 = load<u64>(r), r1 = load<u64>(r, 8), r2 = load<u64>(r, 16), r3 = load<u64>(r, 24), r4 = load<u64>(r, 32);
  const s1 = r1 * 5, s2 = r2 * 5, s3 = r3 * 5, s4 = r4 * 5;
  let h0 = load<u64>(acc), h1 = load<u64>(acc, 8), h2 = load<u64>(acc, 16), h3 = load<u64>(acc, 24), h4 = load<u64>(acc, 32);
  for (const end = p + (blocks << 4); p < end; p += 16) {
    const low = load<u64>(p), high = load<u64>(p, 8);
    h0 += low & M26;
    h1 += (low >> 26) & M26;
    h2 += ((low >> 52) | (high << 12)) & M26;
    h3 += (high >> 14) & M26;
    h4 += (high >> 40) | (1 << 24);
    const d0 = h0 * r0 + h1 * s4 + h2 * s3 + h3 * s2 + h4 * s1;
    let d1 = h0 * r1 + h1 * r0 + h2 * s4 + h3 * s3 + h4 * s2;
    let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s4 + h4 * s3;
    let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s4;
    let d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0;
    d1 += d0 >> 26;
    d2 += d1 >> 26;
    d3 += d2 >> 26;
    d4 += d3 >> 26;
    h0 = (d0 & M26) + (d4 >> 26) * 5;
    h1 = (d1 & M26) + (h0 >> 26);
    h0 &= M26;
    h2 = d2 & M26;
    h3 = d3 & M26;
    h4 = d4 & M26;
  }
  store<u64>(acc, h0);
  store<u64>(acc, h1, 8);
  store<u64>(acc, h2, 16);
  store<u64>(acc, h3, 24);
  store<u64>(acc, h4, 32);
}
/** Takes in any bytes, padded with zeros to a whole block. */
function polyPadded(p: usize, length: usize): void {
  polyBlocks(p, length >> 4);
  const rest = length & 15;
  if (!rest) return;
  wipe16(last, 16);
  for (let i: usize = 0; i < rest; i++) store<u8>(last + i, load<u8>(p + length - rest + i));
  polyBlocks(last, 1);
}
/** out16 = the accumulator mod 2^130 - 5, plus s, mod 2^128. Constant time. */
function polyFinish(out: usize): void {
  let h0 = load<u64>(acc), h1 = load<u64>(acc, 8), h2 = load<u64>(acc, 16), h3 = load<u64>(acc, 24), h4 = load<u64>(acc, 32);
  h2 += h1 >> 26; h1 &= M26;
  h3 += h2 >> 26; h2 &= M26;
  h4 += h3 >> 26; h3 &= M26;
  h0 += (h4 >> 26) * 5; h4 &= M26;
  h1 += h0 >> 26; h0 &= M26;
  // g = h + 5; when that reaches 2^130, h was at least 2^130 - 5 and g mod 2^130 is the remainder
  let g0 = h0 + 5, g1 = h1 + (g0 >> 26), g2 = h2 + (g1 >> 26), g3 = h3 + (g2 >> 26), g4 = h4 + (g3 >> 26);
  const reached: u64 = 0 - (g4 >> 26);
  h0 ^= (h0 ^ (g0 & M26)) & reached;
  h1 ^= (h1 ^ (g1 & M26)) & reached;
  h2 ^= (h2 ^ (g2 & M26)) & reached;
  h3 ^= (h3 ^ (g3 & M26)) & reached;
  h4 ^= (h4 ^ (g4 & M26)) & reached;
  let low = h0 | (h1 << 26) | (h2 << 52);
  let high = (h2 >> 12) | (h3 << 14) | (h4 << 40);
  // + s, by halves of 32 bits so that carries are plain
  let c = (low & 0xffffffff) + <u64>load<u32>(pad);
  const a = c & 0xffffffff;
  c = (c >> 32) + (low >> 32) + <u64>load<u32>(pad, 4);
  low = a | (c << 32);
  high += load<u64>(pad, 8) + (c >> 32);
  store<u64>(out, low);
  store<u64>(out, high, 8);
}
/** out16 = the tag; r and s are set */
function macOf(out: usize, ad: usize, adLength: usize, data: usize, length: usize): void {
  polyPadded(ad, adLength);
  polyPadded(data, length);
  store<u64>(last, <u64>adLength);
  store<u64>(last, <u64>length, 8);
  polyBlocks(last, 1);
  polyFinish(out);
}

/** Encrypts in place and writes the tag behind the data. */
export function aeadSeal(data: usize, length: usize, ad: usize, adLength: usize, key: usize, nonce: usize): void {
  chachaBlocks(key, nonce, 0); // block 0 is the key of Poly1305, the data begin with block 1
  polyStart(stream);
  chachaContinue(data, length, key, nonce, 0, 64);
  macOf(data + length, ad, adLength, data, length);
}
/** Decrypts in place `length` bytes that the tag follows; false, and nothing is decrypted, when the tag is wrong. */
export function aeadOpen(data: usize, length: usize, ad: usize, adLength: usize, key: usize, nonce: usize): bool {
  chachaBlocks(key, nonce, 0);
  polyStart(stream);
  macOf(tag, ad, adLength, data, length);
  const differs = (load<u64>(tag) ^ load<u64>(data + length)) | (load<u64>(tag, 8) ^ load<u64>(data + length, 8));
  if (differs != 0) return false;
  chachaContinue(data, length, key, nonce, 0, 64);
  return true;
}
export function aeadWipe(): void {
  wipe16(acc, 176);
  chachaWipe();
}
