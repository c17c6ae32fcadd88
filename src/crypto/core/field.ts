// Field of secp256k1: integers modulo p = 2^256 - 2^32 - 977 (SEC 2 §2.4.1). An element is 9 signed 29-bit limbs, an i32 each, at a
// memory address: a value of 261 bits, of which the upper five are spare.
//
// Bounds. "Carried" is what multiplications give: limbs in [0, 2^29), limb 2 in (-2^20, 2^29 + 2^20). "Loose" is |limb| < 1.02·2^29
// for every limb: carried, or the negative of carried, or the difference of two carried, or what feThreeHalves gives. Operands of
// multiplications are loose, subtrahends in them |limb| < 2^31. fieldMul.ts has the proof that no column overflows and that the
// result is carried; each function below says what it takes and gives. A build with assertions checks it all while it runs.
import { feMul, feSqr } from './fieldMul.ts';
import { FIELD_AREA, zeroMask } from './memory.ts';
import { modContext, modInverse } from './modinv.ts';

export const FE: usize = 36; // bytes of one element
const M29: i32 = 0x1fffffff;
const M24: i32 = 0xffffff;

export const P_WORDS = memory.data<u32>([0xfffffc2f, 0xfffffffe, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], 16);
const fieldContext = memory.data(96, 16);
const ONE_WORDS = memory.data<u32>([1, 0, 0, 0, 0, 0, 0, 0], 16);
export const FE_ONE = memory.data(48, 16);
const FE_SEVEN = memory.data(48, 16);
/** beta of the endomorphism, see glv.ts */
export const BETA = memory.data(48, 16);
const BETA_WORDS = memory.data<u32>([0x719501ee, 0xc1396c28, 0x12f58995, 0x9cf04975, 0xac3434e9, 0x6e64479e, 0x657c0710, 0x7ae96a2b], 16);
const w = FIELD_AREA, t0 = w + 48, z = t0 + 48, d = z + 48, n = d + 48, spare = n + 48;
const x2 = spare + 48, x3 = x2 + 48, x22 = x3 + 48, x44 = x22 + 48, acc = x44 + 48; // ends at 528

export function initField(): void {
  modContext(fieldContext, P_WORDS);
  feFromWords(FE_ONE, ONE_WORDS);
  feFromWords(FE_SEVEN, ONE_WORDS);
  store<i32>(FE_SEVEN, 7);
  feFromWords(BETA, BETA_WORDS);
}

export function feCopy(r: usize, a: usize): void {
  const low = v128.load(a), high = v128.load(a, 16);
  const last = load<i32>(a, 32);
  v128.store(r, low);
  v128.store(r, high, 16);
  store<i32>(r, last, 32);
}
/** Of two carried: not loose, only to be subtracted. */
// @ts-ignore
@inline
export function feAdd(r: usize, a: usize, b: usize): void {
  store<i32>(r, load<i32>(a) + load<i32>(b)); store<i32>(r, load<i32>(a, 4) + load<i32>(b, 4), 4);
  store<i32>(r, load<i32>(a, 8) + load<i32>(b, 8), 8); store<i32>(r, load<i32>(a, 12) + load<i32>(b, 12), 12);
  store<i32>(r, load<i32>(a, 16) + load<i32>(b, 16), 16); store<i32>(r, load<i32>(a, 20) + load<i32>(b, 20), 20);
  store<i32>(r, load<i32>(a, 24) + load<i32>(b, 24), 24); store<i32>(r, load<i32>(a, 28) + load<i32>(b, 28), 28);
  store<i32>(r, load<i32>(a, 32) + load<i32>(b, 32), 32);
}
/** Of two carried: loose. */
// @ts-ignore
@inline
export function feSub(r: usize, a: usize, b: usize): void {
  store<i32>(r, load<i32>(a) - load<i32>(b)); store<i32>(r, load<i32>(a, 4) - load<i32>(b, 4), 4);
  store<i32>(r, load<i32>(a, 8) - load<i32>(b, 8), 8); store<i32>(r, load<i32>(a, 12) - load<i32>(b, 12), 12);
  store<i32>(r, load<i32>(a, 16) - load<i32>(b, 16), 16); store<i32>(r, load<i32>(a, 20) - load<i32>(b, 20), 20);
  store<i32>(r, load<i32>(a, 24) - load<i32>(b, 24), 24); store<i32>(r, load<i32>(a, 28) - load<i32>(b, 28), 28);
  store<i32>(r, load<i32>(a, 32) - load<i32>(b, 32), 32);
}
/** r = mask ? -a : a, where mask is 0 or -1. Of carried: loose. Constant time. */
// @ts-ignore
@inline
export function feNegIf(r: usize, a: usize, mask: i32): void {
  store<i32>(r, (load<i32>(a) ^ mask) - mask); store<i32>(r, (load<i32>(a, 4) ^ mask) - mask, 4);
  store<i32>(r, (load<i32>(a, 8) ^ mask) - mask, 8); store<i32>(r, (load<i32>(a, 12) ^ mask) - mask, 12);
  store<i32>(r, (load<i32>(a, 16) ^ mask) - mask, 16); store<i32>(r, (load<i32>(a, 20) ^ mask) - mask, 20);
  store<i32>(r, (load<i32>(a, 24) ^ mask) - mask, 24); store<i32>(r, (load<i32>(a, 28) ^ mask) - mask, 28);
  store<i32>(r, (load<i32>(a, 32) ^ mask) - mask, 32);
}

/**
 * r = 3/2 · a for a carried a; p is added first when a is odd. The carries are below 2^31, since 3·(2^29 + 2^20) + 4 is; the result
 * has limbs in [0, 2^29), limbs 0 and 1 below 2^29 + 2^17: loose.
 */
export function feThreeHalves(r: usize, a: usize): void {
  let t = load<i32>(a);
  const odd = -(t & 1);
  t = 3 * t - (977 & odd);
  const u0 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 4) - (8 & odd);
  const u1 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 8);
  const u2 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 12);
  const u3 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 16);
  const u4 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 20);
  const u5 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 24);
  const u6 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 28);
  const u7 = t & M29; t = (t >> 29) + 3 * load<i32>(a, 32) + ((1 << 24) & odd);
  const u8 = t & M29; t >>= 29; // t * 2^261 = t * (31264 + 256*2^29), halved below
  store<i32>(r, ((u0 >> 1) | ((u1 & 1) << 28)) + t * 15632);
  store<i32>(r, ((u1 >> 1) | ((u2 & 1) << 28)) + (t << 7), 4);
  store<i32>(r, (u2 >> 1) | ((u3 & 1) << 28), 8); store<i32>(r, (u3 >> 1) | ((u4 & 1) << 28), 12);
  store<i32>(r, (u4 >> 1) | ((u5 & 1) << 28), 16); store<i32>(r, (u5 >> 1) | ((u6 & 1) << 28), 20);
  store<i32>(r, (u6 >> 1) | ((u7 & 1) << 28), 24); store<i32>(r, (u7 >> 1) | ((u8 & 1) << 28), 28);
  store<i32>(r, u8 >> 1, 32);
}

/** Carries all limbs once, after what lies above 2^256 was folded: q·2^256 = q·(977 + 8·2^29), |q| ≤ 66. */
function foldAndCarry(a: usize): void {
  const top = load<i32>(a, 32);
  const q = top >> 24;
  store<i32>(a, top & M24, 32);
  let c = load<i32>(a) + q * 977;
  store<i32>(a, c & M29);
  c = (c >> 29) + load<i32>(a, 4) + q * 8;
  store<i32>(a, c & M29, 4);
  for (let i: usize = 8; i < 32; i += 4) {
    c = (c >> 29) + load<i32>(a + i);
    store<i32>(a + i, c & M29);
  }
  store<i32>(a, (c >> 29) + load<i32>(a, 32), 32);
}

/** Reduces a loose a (or the difference of two) to the one in [0, p): limbs in [0, 2^29), the last below 2^24. Constant time. */
export function feNormalize(a: usize): void {
  foldAndCarry(a); // now -2^234 < value < 2^256 + 2^234
  foldAndCarry(a); // now 0 <= value < 2^256
  // subtract p when value + (2^256 - p) reaches 2^256
  let c = load<i32>(a) + 977;
  store<i32>(t0, c & M29);
  c = (c >> 29) + load<i32>(a, 4) + 8;
  store<i32>(t0, c & M29, 4);
  for (let i: usize = 8; i < 32; i += 4) {
    c = (c >> 29) + load<i32>(a + i);
    store<i32>(t0 + i, c & M29);
  }
  c = (c >> 29) + load<i32>(a, 32);
  store<i32>(t0, c & M24, 32);
  const reached = -(c >> 24);
  for (let i: usize = 0; i < FE; i += 4) {
    const v = load<i32>(a + i);
    store<i32>(a + i, v ^ ((v ^ load<i32>(t0 + i)) & reached));
  }
}

/**
 * Of loose, or the difference of two loose. Variable time. Such a multiple m·p has |m| ≤ 66, so its low limb is within 977·66 of 0
 * mod 2^29: almost all others are out at once.
 */
export function feIsZero(a: usize): bool {
  if (((load<i32>(a) + 64500) & M29) > 129000) return false;
  return feZeroMask(a) != 0;
}
/** −1 when a is 0, else 0. Constant time. */
export function feZeroMask(a: usize): i32 {
  feCopy(z, a);
  feNormalize(z);
  return zeroMask(load<i32>(z) | load<i32>(z, 4) | load<i32>(z, 8) | load<i32>(z, 12) | load<i32>(z, 16) | load<i32>(z, 20) | load<i32>(z, 24) | load<i32>(z, 28) | load<i32>(z, 32));
}
/** Variable time. */
export function feEqual(a: usize, b: usize): bool {
  feSub(d, a, b);
  return feIsZero(d);
}
/** a must be normalized */
export function feIsOdd(a: usize): i32 {
  return load<i32>(a) & 1;
}

export function feFromWords(r: usize, words: usize): void {
  const a = load<u64>(words), b = load<u64>(words, 8), c = load<u64>(words, 16), e = load<u64>(words, 24);
  store<i32>(r, <i32>a & M29); store<i32>(r, <i32>(a >> 29) & M29, 4); store<i32>(r, <i32>((a >> 58) | (b << 6)) & M29, 8);
  store<i32>(r, <i32>(b >> 23) & M29, 12); store<i32>(r, <i32>((b >> 52) | (c << 12)) & M29, 16); store<i32>(r, <i32>(c >> 17) & M29, 20);
  store<i32>(r, <i32>((c >> 46) | (e << 18)) & M29, 24); store<i32>(r, <i32>(e >> 11) & M29, 28); store<i32>(r, <i32>(e >> 40), 32);
}
/** a must be normalized */
export function feToWords(words: usize, a: usize): void {
  const l2 = <u64>load<u32>(a, 8), l4 = <u64>load<u32>(a, 16), l6 = <u64>load<u32>(a, 24);
  store<u64>(words, <u64>load<u32>(a) | (<u64>load<u32>(a, 4) << 29) | (l2 << 58));
  store<u64>(words, (l2 >> 6) | (<u64>load<u32>(a, 12) << 23) | (l4 << 52), 8);
  store<u64>(words, (l4 >> 12) | (<u64>load<u32>(a, 20) << 17) | (l6 << 46), 16);
  store<u64>(words, (l6 >> 18) | (<u64>load<u32>(a, 28) << 11) | (<u64>load<u32>(a, 32) << 40), 24);
}

/** r = 1/a (0 for 0). Variable time, for public values. */
export function feInverseVar(r: usize, a: usize): void {
  inverse(r, a, false);
}
/** r = 1/a (0 for 0). Constant time. */
export function feInverse(r: usize, a: usize): void {
  inverse(r, a, true);
}
function inverse(r: usize, a: usize, constantTime: bool): void {
  feCopy(n, a);
  feNormalize(n);
  feToWords(w, n);
  modInverse(w, w, fieldContext, constantTime);
  feFromWords(r, w);
}

function sqrTimes(r: usize, a: usize, times: i32): void {
  feSqr(r, a);
  for (let i = 1; i < times; i++) feSqr(r, r);
}
/**
 * r = a^((p+1)/4), the square root when there is one (p = 3 mod 4); returns whether r^2 = a.
 * The exponent is 223 ones, 0, 22 ones, 00001 1 00 (binary); xk below means a^(2^k - 1).
 */
export function feSqrt(r: usize, a: usize): bool {
  feSqr(x2, a); feMul(x2, x2, a);
  feSqr(x3, x2); feMul(x3, x3, a);
  sqrTimes(acc, x3, 3); feMul(acc, acc, x3);      // x6
  sqrTimes(acc, acc, 3); feMul(acc, acc, x3);     // x9
  sqrTimes(acc, acc, 2); feMul(acc, acc, x2);     // x11
  sqrTimes(x22, acc, 11); feMul(x22, x22, acc);
  sqrTimes(x44, x22, 22); feMul(x44, x44, x22);
  sqrTimes(acc, x44, 44); feMul(acc, acc, x44);   // x88
  sqrTimes(spare, acc, 88); feMul(acc, spare, acc); // x176
  sqrTimes(acc, acc, 44); feMul(acc, acc, x44);   // x220
  sqrTimes(acc, acc, 3); feMul(acc, acc, x3);     // x223
  sqrTimes(acc, acc, 23); feMul(acc, acc, x22);
  sqrTimes(acc, acc, 6); feMul(acc, acc, x2);
  sqrTimes(acc, acc, 2);
  feSqr(x2, acc);
  const ok = feEqual(x2, a);
  feCopy(r, acc);
  return ok;
}
/** r = x^3 + 7, the right-hand side of the curve equation */
export function curveRight(r: usize, x: usize): void {
  feSqr(spare, x);
  feMul(r, spare, x);
  feAdd(r, r, FE_SEVEN);
}
