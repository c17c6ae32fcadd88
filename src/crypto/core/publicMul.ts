// Multiplication by public scalars: verification, recovery, tweaks. Variable time, never for secrets.
//
// r = u1·G + u2·Q. Four interleaved wNAF streams over 129 doublings (Strauss/Shamir): Q and lambda*Q (GLV halves of
// u2), G and 2^128*G (halves of u1). Q's table is left on a common Z ("zg"), so Q additions are
// mixed additions without an inversion.
import { BETA, FE, feNegIf } from './field.ts';
import { feMul } from './fieldMul.ts';
import { bitsAt, COMB_BITS, COMB_COUNT, COMB_WINDOWS, combTable, G_WINDOW, gHighTable, gTable, recodeForComb } from './generator.ts';
import { glvSplit, halfSign, negateHalf } from './glv.ts';
import { PUBLIC_AREA } from './memory.ts';
import { AFFINE, INF, oddMultiples, pointAddScaledVar, pointAddVar, pointDouble, pointSetInfinity } from './point.ts';

const Q_WINDOW: i32 = 5;
const Q_COUNT: i32 = 1 << (Q_WINDOW - 2);
const BITS: i32 = 132;

const qTable = PUBLIC_AREA, lambdaX = qTable + 640, ratios = lambdaX + 640;
const half = ratios + 288, half2 = half + 32, negY = half2 + 32;
const digits = negY + 48; // 4 × i16 per bit position: Q, lambda·Q, G, 2^128·G
export const zg = digits + 1056; // ends at 2784

/** Writes the width-w non-adjacent form of +-half (Guide to ECC alg. 3.35); returns its length in bits. */
function wnaf(stream: usize, half: usize, negative: i32, w: i32): i32 {
  let bit = 0, carry: i32 = 0, length = 0;
  while (bit < BITS) {
    const at = half + ((<usize>bit >> 5) << 2);
    const window = <u32>(load<u64>(at) >> (<u64>bit & 31));
    if (<i32>(window & 1) == carry) { bit++; continue; }
    let digit = <i32>(window & ((1 << w) - 1)) + carry;
    carry = (digit >> (w - 1)) & 1;
    digit -= carry << w;
    store<i16>(digits + (<usize>bit << 3) + (stream << 1), <i16>((digit ^ negative) - negative));
    length = bit + 1;
    bit += w;
  }
  return length;
}
/** adds digit * (table point); the y is negated for negative digits */
// @ts-ignore
@inline
function pickY(y: usize, digit: i32): usize {
  if (digit > 0) return y;
  feNegIf(negY, y, -1);
  return negY;
}
// @ts-ignore
@inline
function entry(digit: i32): usize {
  return <usize>(abs(digit) >> 1) * AFFINE;
}

/** u1, u2 < n as words (u1 = 0 to skip G); Q affine. The true Z of r is Z*zg. */
export function doubleMul(r: usize, u1: usize, u2: usize, qx: usize, qy: usize): void {
  memory.fill(digits, 0, 1056);
  glvSplit(half, half2, u2);
  let sign = halfSign(half);
  negateHalf(half, sign);
  let top = wnaf(0, half, sign, Q_WINDOW);
  sign = halfSign(half2);
  negateHalf(half2, sign);
  top = max(top, wnaf(1, half2, sign, Q_WINDOW));
  memory.fill(half, 0, 32);
  memory.copy(half, u1, 16);
  top = max(top, wnaf(2, half, 0, G_WINDOW));
  memory.copy(half, u1 + 16, 16);
  top = max(top, wnaf(3, half, 0, G_WINDOW));

  oddMultiples(qTable, ratios, Q_COUNT, qx, qy, false, zg);
  for (let i: usize = 0; i < <usize>Q_COUNT * AFFINE; i += AFFINE) feMul(lambdaX + i, qTable + i, BETA);

  pointSetInfinity(r);
  for (let bit = top - 1; bit >= 0; bit--) {
    if (!load<i32>(r, INF)) pointDouble(r, r);
    const at = digits + (<usize>bit << 3);
    if (load<u64>(at) == 0) continue;
    let k = <i32>load<i16>(at);
    if (k) { const e = entry(k); pointAddVar(r, r, qTable + e, pickY(qTable + e + FE, k)); }
    k = <i32>load<i16>(at, 2);
    if (k) { const e = entry(k); pointAddVar(r, r, lambdaX + e, pickY(qTable + e + FE, k)); }
    k = <i32>load<i16>(at, 4);
    if (k) { const e = entry(k); pointAddScaledVar(r, r, gTable + e, pickY(gTable + e + FE, k), zg); }
    k = <i32>load<i16>(at, 6);
    if (k) { const e = entry(k); pointAddScaledVar(r, r, gHighTable + e, pickY(gHighTable + e + FE, k), zg); }
  }
}

/** r += scalar·G for 0 < scalar < n, 43 additions and no doubling; r is a point with its true Z */
export function addGenerator(r: usize, scalar: usize): void {
  const even = recodeForComb(digits, scalar, half);
  for (let j = 0; j < COMB_WINDOWS; j++) {
    const raw = bitsAt(digits, j * COMB_BITS, COMB_BITS);
    const negative = (raw >> (COMB_BITS - 1)) - 1;
    const e = combTable + <usize>(j * COMB_COUNT + ((raw ^ negative) & (COMB_COUNT - 1))) * AFFINE;
    feNegIf(negY, e + FE, negative ^ even);
    pointAddVar(r, r, e, negY);
  }
}
