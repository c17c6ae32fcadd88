// SHA-256 (FIPS 180-4). A state is 8 words.
import { copy32, SHA256_AREA, wipe16 } from './memory.ts';

const K = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2], 16);
const START = memory.data<u32>([0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19], 16);
const W = SHA256_AREA, tail = W + 256, lone = tail + 128; // ends at 416

export function shaStart(state: usize): void {
  copy32(state, START);
}
// @ts-ignore
@inline
function sum1(e: u32): u32 { return rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25); }
// @ts-ignore
@inline
function sum0(a: u32): u32 { return rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22); }

export function shaBlock(s: usize, p: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(W + i, bswap<u32>(load<u32>(p + i)));
  for (let i: usize = 64; i < 256; i += 4) {
    const x = load<u32>(W + i - 60), y = load<u32>(W + i - 8);
    store<u32>(W + i, (rotr<u32>(y, 17) ^ rotr<u32>(y, 19) ^ (y >> 10)) + load<u32>(W + i - 28) + (rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3)) + load<u32>(W + i - 64));
  }
  let a = load<u32>(s), b = load<u32>(s, 4), c = load<u32>(s, 8), d = load<u32>(s, 12), e = load<u32>(s, 16), f = load<u32>(s, 20), g = load<u32>(s, 24), h = load<u32>(s, 28);
  for (let i: usize = 0; i < 256; i += 16) { // 4 rounds, then the names have moved by 4
    let t = h + sum1(e) + (g ^ (e & (f ^ g))) + load<u32>(K + i) + load<u32>(W + i);
    d += t; h = t + sum0(a) + ((a & b) | (c & (a | b)));
    t = g + sum1(d) + (f ^ (d & (e ^ f))) + load<u32>(K + i, 4) + load<u32>(W + i, 4);
    c += t; g = t + sum0(h) + ((h & a) | (b & (h | a)));
    t = f + sum1(c) + (e ^ (c & (d ^ e))) + load<u32>(K + i, 8) + load<u32>(W + i, 8);
    b += t; f = t + sum0(g) + ((g & h) | (a & (g | h)));
    t = e + sum1(b) + (d ^ (b & (c ^ d))) + load<u32>(K + i, 12) + load<u32>(W + i, 12);
    a += t; e = t + sum0(f) + ((f & g) | (h & (f | g)));
    t = a; a = e; e = t; t = b; b = f; f = t; t = c; c = g; g = t; t = d; d = h; h = t;
  }
  store<u32>(s, load<u32>(s) + a); store<u32>(s, load<u32>(s, 4) + b, 4); store<u32>(s, load<u32>(s, 8) + c, 8); store<u32>(s, load<u32>(s, 12) + d, 12);
  store<u32>(s, load<u32>(s, 16) + e, 16); store<u32>(s, load<u32>(s, 20) + f, 20); store<u32>(s, load<u32>(s, 24) + g, 24); store<u32>(s, load<u32>(s, 28) + h, 28);
}
/** Hashes the last bytes and writes the digest; `before` bytes, whole blocks, went into the state already. */
export function shaFinish(out: usize, s: usize, p: usize, length: usize, before: usize): void {
  const bits = <u64>(before + length) << 3;
  for (; length >= 64; length -= 64, p += 64) shaBlock(s, p);
  wipe16(tail, 128);
  memory.copy(tail, p, length);
  store<u8>(tail + length, 0x80);
  const end: usize = length < 56 ? 64 : 128;
  store<u64>(tail + end - 8, bswap<u64>(bits));
  shaBlock(s, tail);
  if (end == 128) shaBlock(s, tail + 64);
  for (let i: usize = 0; i < 32; i += 4) store<u32>(out + i, bswap<u32>(load<u32>(s + i)));
}
/** out32 = SHA-256 of the bytes at p. out may overlap p. */
export function sha256(out: usize, p: usize, length: usize): void {
  shaStart(lone);
  shaFinish(out, lone, p, length, 0);
}
export function shaWipe(): void {
  wipe16(W, 416);
}
