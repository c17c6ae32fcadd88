// GLV: lambda*(x, y) = (beta*x, y), so k*P = k1*P + k2*(lambda*P) with |k1|, |k2| < 2^128. These are (k, 0) less the rounded multiples
// c1, c2 of the lattice vectors: what is left is e1*(A1, -MB1) + e2*(A2, A1) with |e1|, |e2| <= 1/2 + 2^-128 (G1 and G2 are rounded at
// 2^-384), so |k1| <= 0.51*(A1 + A2) < 0.65*2^128 and |k2| <= 0.51*(MB1 + A1) < 0.56*2^128.
// Gallant-Lambert-Vanstone (CRYPTO 2001); lattice vectors (A1, -MB1) and (A2, A1) as in the
// Guide to ECC, section 3.5; G1, G2 = 2^384 * (b2, -b1) / n rounded. Constant time.
import { GLV_AREA } from './memory.ts';
import { mulWords } from './scalar.ts';

const G1 = memory.data<u32>([0x45dbb031, 0xe893209a, 0x71e8ca7f, 0x3daa8a14, 0x9284eb15, 0xe86c90e4, 0xa7d46bcd, 0x3086d221], 16);
const G2 = memory.data<u32>([0x8ac47f71, 0x1571b4ae, 0x9df506c6, 0x221208ac, 0x0abfe4c4, 0x6f547fa9, 0x010e8828, 0xe4437ed6], 16);
const A1 = memory.data<u32>([0x9284eb15, 0xe86c90e4, 0xa7d46bcd, 0x3086d221], 16);
const MB1 = memory.data<u32>([0x0abfe4c3, 0x6f547fa9, 0x010e8828, 0xe4437ed6], 16);
const A2 = memory.data<u32>([0x9d44cfd8, 0x57c1108d, 0xa8e2f3f6, 0x14ca50f7, 1], 16);

export const GLV_WORDS: usize = 6; // a half is a 192-bit two's complement number
const product = GLV_AREA, c1 = product + 80, c2 = c1 + 16, term = c2 + 16;

/** c = (k * g + 2^383) >> 384 */
function mulRound(c: usize, k: usize, g: usize): void {
  mulWords(product, k, 8, g, 8);
  let carry = <u64>(load<u32>(product, 44) >>> 31);
  for (let i: usize = 0; i < 16; i += 4) {
    carry += <u64>load<u32>(product + 48 + i);
    store<u32>(c + i, <u32>carry);
    carry >>= 32;
  }
}
/** r -= a * b (mod 2^192) */
function subProduct(r: usize, a: usize, b: usize, nb: usize): void {
  memory.fill(term, 0, 40);
  mulWords(term, a, 4, b, nb);
  let c: i64 = 0;
  for (let i: usize = 0; i < GLV_WORDS << 2; i += 4) {
    c += <i64>load<u32>(r + i) - <i64>load<u32>(term + i);
    store<u32>(r + i, <u32>c);
    c >>= 32;
  }
}

export function glvSplit(k1: usize, k2: usize, k: usize): void {
  mulRound(c1, k, G1);
  mulRound(c2, k, G2);
  memory.copy(k1, k, GLV_WORDS << 2); // the low 192 bits decide
  subProduct(k1, c1, A1, 4);
  subProduct(k1, c2, A2, 5);
  // k2 = c1*MB1 - c2*A1
  memory.fill(k2, 0, GLV_WORDS << 2);
  subProduct(k2, c1, MB1, 4);
  negateHalf(k2, -1);
  subProduct(k2, c2, A1, 4);
}
/** a = mask ? -a : a (mod 2^192) */
export function negateHalf(a: usize, mask: i32): void {
  let c: i64 = <i64>(mask & 1);
  for (let i: usize = 0; i < GLV_WORDS << 2; i += 4) {
    c += <i64><u32>(load<i32>(a + i) ^ mask);
    store<u32>(a + i, <u32>c);
    c >>= 32;
  }
}
/** -1 when negative */
export function halfSign(a: usize): i32 {
  return load<i32>(a, (5 << 2)) >> 31;
}
