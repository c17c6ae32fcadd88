// ChaCha20 (RFC 8439 §2.3 and §2.4), four blocks at a time: each vector holds one state word of four blocks.
import { CHACHA_AREA, wipe16 } from './memory.ts';

/** The key stream of four blocks, 256 bytes. */
export const stream = CHACHA_AREA;
const COUNTERS = memory.data<u32>([0, 1, 2, 3], 16);

// @ts-ignore
@inline
function rot16(v: v128): v128 { return i8x16.shuffle(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13); }
// @ts-ignore
@inline
function rot12(v: v128): v128 { return v128.or(i32x4.shl(v, 12), i32x4.shr_u(v, 20)); }
// @ts-ignore
@inline
function rot8(v: v128): v128 { return i8x16.shuffle(v, v, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14); }
// @ts-ignore
@inline
function rot7(v: v128): v128 { return v128.or(i32x4.shl(v, 7), i32x4.shr_u(v, 25)); }

/** Four words of each of four blocks, turned from word order into block order. */
// @ts-ignore
@inline
function storeWords(at: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab = i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const cd = i8x16.shuffle(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const AB = i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const CD = i8x16.shuffle(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  v128.store(at, i8x16.shuffle(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  v128.store(at, i8x16.shuffle(ab, cd, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 64);
  v128.store(at, i8x16.shuffle(AB, CD, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), 128);
  v128.store(at, i8x16.shuffle(AB, CD, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), 192);
}
// @ts-ignore
@inline
function splat(at: usize): v128 { return v128.load_splat<u32>(at); }

/** stream = blocks counter … counter + 3; the key is 32 bytes, the nonce 12 */
export function chachaBlocks(key: usize, nonce: usize, counter: u32): void {
  const counters = i32x4.add(i32x4.splat(counter), v128.load(COUNTERS));
  let a = i32x4.splat(0x61707865), b = i32x4.splat(0x3320646e), c = i32x4.splat(0x79622d32), d = i32x4.splat(0x6b206574);
  let e = splat(key), f = splat(key + 4), g = splat(key + 8), h = splat(key + 12);
  let i = splat(key + 16), j = splat(key + 20), k = splat(key + 24), l = splat(key + 28);
  let m = counters, n = splat(nonce), o = splat(nonce + 4), p = splat(nonce + 8);
  for (let round = 0; round < 10; round++) {
    a = i32x4.add(a, e); m = rot16(v128.xor(m, a)); b = i32x4.add(b, f); n = rot16(v128.xor(n, b));
    c = i32x4.add(c, g); o = rot16(v128.xor(o, c)); d = i32x4.add(d, h); p = rot16(v128.xor(p, d));
    i = i32x4.add(i, m); e = rot12(v128.xor(e, i)); j = i32x4.add(j, n); f = rot12(v128.xor(f, j));
    k = i32x4.add(k, o); g = rot12(v128.xor(g, k)); l = i32x4.add(l, p); h = rot12(v128.xor(h, l));
    a = i32x4.add(a, e); m = rot8(v128.xor(m, a)); b = i32x4.add(b, f); n = rot8(v128.xor(n, b));
    c = i32x4.add(c, g); o = rot8(v128.xor(o, c)); d = i32x4.add(d, h); p = rot8(v128.xor(p, d));
    i = i32x4.add(i, m); e = rot7(v128.xor(e, i)); j = i32x4.add(j, n); f = rot7(v128.xor(f, j));
    k = i32x4.add(k, o); g = rot7(v128.xor(g, k)); l = i32x4.add(l, p); h = rot7(v128.xor(h, l));
    // the diagonals
    a = i32x4.add(a, f); p = rot16(v128.xor(p, a)); b = i32x4.add(b, g); m = rot16(v128.xor(m, b));
    c = i32x4.add(c, h); n = rot16(v128.xor(n, c)); d = i32x4.add(d, e); o = rot16(v128.xor(o, d));
    k = i32x4.add(k, p); f = rot12(v128.xor(f, k)); l = i32x4.add(l, m); g = rot12(v128.xor(g, l));
    i = i32x4.add(i, n); h = rot12(v128.xor(h, i)); j = i32x4.add(j, o); e = rot12(v128.xor(e, j));
    a = i32x4.add(a, f); p = rot8(v128.xor(p, a)); b = i32x4.add(b, g); m = rot8(v128.xor(m, b));
    c = i32x4.add(c, h); n = rot8(v128.xor(n, c)); d = i32x4.add(d, e); o = rot8(v128.xor(o, d));
    k = i32x4.add(k, p); f = rot7(v128.xor(f, k)); l = i32x4.add(l, m); g = rot7(v128.xor(g, l));
    i = i32x4.add(i, n); h = rot7(v128.xor(h, i)); j = i32x4.add(j, o); e = rot7(v128.xor(e, j));
  }
  a = i32x4.add(a, i32x4.splat(0x61707865)); b = i32x4.add(b, i32x4.splat(0x3320646e));
  c = i32x4.add(c, i32x4.splat(0x79622d32)); d = i32x4.add(d, i32x4.splat(0x6b206574));
  storeWords(stream, a, b, c, d);
  e = i32x4.add(e, splat(key)); f = i32x4.add(f, splat(key + 4)); g = i32x4.add(g, splat(key + 8)); h = i32x4.add(h, splat(key + 12));
  storeWords(stream + 16, e, f, g, h);
  i = i32x4.add(i, splat(key + 16)); j = i32x4.add(j, splat(key + 20)); k = i32x4.add(k, splat(key + 24)); l = i32x4.add(l, splat(key + 28));
  storeWords(stream + 32, i, j, k, l);
  m = i32x4.add(m, counters); n = i32x4.add(n, splat(nonce)); o = i32x4.add(o, splat(nonce + 4)); p = i32x4.add(p, splat(nonce + 8));
  storeWords(stream + 48, m, n, o, p);
}

/** data ^= the first `length` bytes at `from` */
// @ts-ignore
@inline
function xorBytes(data: usize, from: usize, length: usize): void {
  let i: usize = 0;
  for (; i + 16 <= length; i += 16) v128.store(data + i, v128.xor(v128.load(data + i), v128.load(from + i)));
  for (; i < length; i++) store<u8>(data + i, load<u8>(data + i) ^ load<u8>(from + i));
}
/** Goes on from the stream in memory, of whose blocks the first `used` bytes are spent, and the counter of its first block. */
export function chachaContinue(data: usize, length: usize, key: usize, nonce: usize, counter: u32, used: usize): void {
  let now = min<usize>(length, 256 - used);
  xorBytes(data, stream + used, now);
  for (data += now, length -= now; length > 0; data += now, length -= now) {
    counter += 4;
    chachaBlocks(key, nonce, counter);
    now = min<usize>(length, 256);
    xorBytes(data, stream, now);
  }
}
/** data ^= key stream from block `counter` on, in place */
export function chachaXor(data: usize, length: usize, key: usize, nonce: usize, counter: u32): void {
  chachaBlocks(key, nonce, counter);
  chachaContinue(data, length, key, nonce, counter, 0);
}
export function chachaWipe(): void {
  wipe16(stream, 256);
}
