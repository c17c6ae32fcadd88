// Scalars: integers modulo the group order n (SEC 2, section 2.4.1), 8 little-endian 32-bit words.
import { copy32, SCALAR_AREA, selectBytes, wordsLessMask, wordsZeroMask } from './memory.ts';
import { modContext, modInverse } from './modinv.ts';

export const N_WORDS = memory.data<u32>([0xd0364141, 0xbfd25e8c, 0xaf48a03b, 0xbaaedce6, 0xfffffffe, 0xffffffff, 0xffffffff, 0xffffffff], 16);
const HALF_N = memory.data<u32>([0x681b20a0, 0xdfe92f46, 0x57a4501d, 0x5d576e73, 0xffffffff, 0xffffffff, 0xffffffff, 0x7fffffff], 16);
// 2^256 - n, 129 bits
const FOLD = memory.data<u32>([0x2fc9bebf, 0x402da173, 0x50b75fc4, 0x45512319, 1], 16);
const scalarContext = memory.data(96, 16);
const wide = SCALAR_AREA, part = wide + 80, t = part + 80;

export function initScalar(): void {
  modContext(scalarContext, N_WORDS);
}

/** out[0..na+nb) = a * b (32-bit words, na and nb in words) */
export function mulWords(out: usize, a: usize, na: usize, b: usize, nb: usize): void {
  memory.fill(out, 0, (na + nb) << 2);
  for (let i: usize = 0; i < na; i++) {
    const x = <u64>load<u32>(a + (i << 2));
    let c: u64 = 0, p = out + (i << 2);
    for (let j: usize = 0; j < nb; j++, p += 4) {
      c += x * <u64>load<u32>(b + (j << 2)) + <u64>load<u32>(p);
      store<u32>(p, <u32>c);
      c >>= 32;
    }
    store<u32>(p, <u32>c);
  }
}

/** wide = wide[0..8) + wide[8..8+high) * (2^256 - n) */
function fold(high: usize): void {
  mulWords(part, wide + 32, high, FOLD, 5);
  let c: u64 = 0;
  for (let i: usize = 0; i < high + 5 || i < 9; i++) {
    const lo: u64 = i < 8 ? <u64>load<u32>(wide + (i << 2)) : 0;
    const add: u64 = i < high + 5 ? <u64>load<u32>(part + (i << 2)) : 0;
    c += lo + add;
    store<u32>(wide + (i << 2), <u32>c);
    c >>= 32;
  }
}

/** subtracts n when needed (a < 2n, carry = bit 256). Constant time. */
function reduceOnce(r: usize, a: usize): void {
  let borrow: i64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    borrow += <i64>load<u32>(a + i) - <i64>load<u32>(N_WORDS + i);
    store<u32>(t + i, <u32>borrow);
    borrow >>= 32;
  }
  borrow += <i64>load<u32>(a, 32);
  if (r != a) copy32(r, a);
  selectBytes(r, t, 32, ~<i32>(borrow >> 32));
}

export function scMul(r: usize, a: usize, b: usize): void {
  mulWords(wide, a, 8, b, 8);
  fold(8); // 16 words -> 13
  fold(5); // -> 9 (at most 4 bits above 2^256)
  fold(1);
  fold(1);
  reduceOnce(wide, wide);
  copy32(r, wide);
}
export function scAdd(r: usize, a: usize, b: usize): void {
  let c: u64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    c += <u64>load<u32>(a + i) + <u64>load<u32>(b + i);
    store<u32>(wide + i, <u32>c);
    c >>= 32;
  }
  store<u32>(wide, <u32>c, 32);
  reduceOnce(wide, wide);
  copy32(r, wide);
}
/** r = n − a; n for a = 0, which the comb of secretMul.ts takes as it is. */
export function scNegate(r: usize, a: usize): void {
  let c: i64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    c += <i64>load<u32>(N_WORDS + i) - <i64>load<u32>(a + i);
    store<u32>(r + i, <u32>c);
    c >>= 32;
  }
}
/** r = a/2 mod n. Constant time. */
export function scHalve(r: usize, a: usize): void {
  const odd: u32 = -(load<u32>(a) & 1);
  let c: u64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    c += <u64>load<u32>(a + i) + <u64>(load<u32>(N_WORDS + i) & odd);
    store<u32>(wide + i, <u32>c);
    c >>= 32;
  }
  store<u32>(wide, <u32>c, 32);
  for (let i: usize = 0; i < 32; i += 4) store<u32>(r + i, <u32>(load<u64>(wide + i) >> 1));
}
/** r = a mod n for any 256-bit a */
export function scReduce(r: usize, a: usize): void {
  copy32(wide, a);
  store<u32>(wide, 0, 32);
  reduceOnce(r, wide);
}
/** -1 when a > n/2, else 0 */
export function scIsHighMask(a: usize): i32 {
  return wordsLessMask(HALF_N, a);
}
export function scInverse(r: usize, a: usize): void {
  modInverse(r, a, scalarContext, true);
}
export function scInverseVar(r: usize, a: usize): void {
  modInverse(r, a, scalarContext, false);
}
/** −1 when 0 < a < n, else 0. Constant time. */
export function scValidMask(a: usize): i32 {
  return wordsLessMask(a, N_WORDS) & ~wordsZeroMask(a);
}
