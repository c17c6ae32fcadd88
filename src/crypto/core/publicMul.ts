// Multiplication by public scalars: verification, recovery, tweaks. Variable time, never for secrets.
//
// Interleaved wNAF streams over 129 doublings (Strauss/Shamir), four of them: for u1·G + u2·Q, the GLV halves of u2 on Q and on
// lambda·Q, and the halves of u1 on G and on 2^128·G; for a·P + b·Q, the GLV halves of both. Tables of a point that is met once
// are left on a common Z ("zg"), so that additions are mixed without an inversion.
import { BETA, FE, feNegIf } from './field.ts';
import { feMul, feSqr } from './fieldMul.ts';
import { bitsAt, COMB_BITS, COMB_COUNT, COMB_WINDOWS, combTable, G_WINDOW, gHighTable, gTable, recodeForComb } from './generator.ts';
import { glvSplit, halfSign, negateHalf } from './glv.ts';
import { PUBLIC_AREA, reserve } from './memory.ts';
import { parsePublicKey } from './publicKey.ts';
import { AFFINE, INF, oddMultiples, pointAddScaledVar, pointAddVar, pointDouble, pointSetInfinity, Z } from './point.ts';

const WINDOW: i32 = 5; // of a point that is met once: 8 entries
const COUNT: i32 = 1 << (WINDOW - 2);
const BITS: i32 = 132;

const table = PUBLIC_AREA, lambdaX = table + 640, table2 = lambdaX + 640, lambdaX2 = table2 + 640, ratios = lambdaX2 + 640;
const half = ratios + 288, half2 = half + 32, negY = half2 + 32, z2 = negY + 48, z3 = z2 + 48, x2 = z3 + 48, y2 = x2 + 48;
const digits = y2 + 48; // 4 × i16 per bit position, one of each stream
export const zg = digits + 1056; // ends at 4208

const KEY_MOST: usize = 64; // entries: window 8
const key = memory.data(80, 16), prepared = memory.data(48, 16);
let keyTable: usize = 0, keyLambdaX: usize = 0, keyRatios: usize = 0, keyWindow: i32 = 0;
export function initPublicMul(): void {
  keyTable = reserve(KEY_MOST * AFFINE);
  keyLambdaX = reserve(KEY_MOST * AFFINE);
  keyRatios = reserve(KEY_MOST * FE);
}

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

/** Both GLV halves of k as two streams; returns their length in bits. */
function splitDigits(stream: usize, k: usize, w: i32): i32 {
  glvSplit(half, half2, k);
  let sign = halfSign(half);
  negateHalf(half, sign);
  const top = wnaf(stream, half, sign, w);
  sign = halfSign(half2);
  negateHalf(half2, sign);
  return max(top, wnaf(stream + 1, half2, sign, w));
}
/** The x of lambda·P is beta times the x of P; the y is the same. */
function multiplyByBeta(to: usize, from: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count * AFFINE; i += AFFINE) feMul(to + i, from + i, BETA);
}
/** r = u1·G + u2·Q; Q's multiples have Z = scale, or Z = 1 when scale is 0 */
function addStreams(r: usize, u1: usize, u2: usize, table: usize, lambdaX: usize, window: i32, scale: usize): void {
  memory.fill(digits, 0, 1056);
  let top = splitDigits(0, u2, window);
  memory.fill(half, 0, 32);
  memory.copy(half, u1, 16);
  top = max(top, wnaf(2, half, 0, G_WINDOW));
  memory.copy(half, u1 + 16, 16);
  top = max(top, wnaf(3, half, 0, G_WINDOW));
  pointSetInfinity(r);
  for (let bit = top - 1; bit >= 0; bit--) {
    if (!load<i32>(r, INF)) pointDouble(r, r);
    const at = digits + (<usize>bit << 3);
    if (load<u64>(at) == 0) continue;
    let k = <i32>load<i16>(at);
    if (k) { const e = entry(k); pointAddVar(r, r, table + e, pickY(table + e + FE, k)); }
    k = <i32>load<i16>(at, 2);
    if (k) { const e = entry(k); pointAddVar(r, r, lambdaX + e, pickY(table + e + FE, k)); }
    k = <i32>load<i16>(at, 4);
    if (k) { const e = gTable + entry(k); addG(r, e, pickY(e + FE, k), scale); }
    k = <i32>load<i16>(at, 6);
    if (k) { const e = gHighTable + entry(k); addG(r, e, pickY(e + FE, k), scale); }
  }
}
// @ts-ignore
@inline
function addG(r: usize, x: usize, y: usize, scale: usize): void {
  if (scale) pointAddScaledVar(r, r, x, y, scale);
  else pointAddVar(r, r, x, y);
}

/** r = u1·G + u2·Q for u1, u2 < n as words (u1 = 0 to skip G) and an affine Q. The true Z of r is Z·zg. */
export function doubleMul(r: usize, u1: usize, u2: usize, qx: usize, qy: usize): void {
  oddMultiples(table, ratios, COUNT, qx, qy, false, zg);
  multiplyByBeta(lambdaX, table, COUNT);
  addStreams(r, u1, u2, table, lambdaX, WINDOW, zg);
}
/** Makes a larger table of a key that `times` products will be taken of, unless the last one was of the same; false when it is none. */
export function prepareKey(publicKey33: usize, times: i32): bool {
  if (memory.compare(prepared, publicKey33, 33) == 0) return true;
  if (!parsePublicKey(key, publicKey33, 33)) return false;
  keyWindow = times > 24 ? 8 : 7;
  const count = 1 << (keyWindow - 2);
  oddMultiples(keyTable, keyRatios, count, key, key + FE, true, zg);
  multiplyByBeta(keyLambdaX, keyTable, count);
  memory.copy(prepared, publicKey33, 33);
  return true;
}
/** As doubleMul, for the key of prepareKey; r has its true Z. */
export function doubleMulPrepared(r: usize, u1: usize, u2: usize): void {
  addStreams(r, u1, u2, keyTable, keyLambdaX, keyWindow, 0);
}

/** r = a·P + b·Q with its true Z, for scalars < n as words and affine points (x, y at +36). */
export function mulTwo(r: usize, a: usize, p: usize, b: usize, q: usize): void {
  // P's table comes to have Z = z2; Q is brought to that Z before its own is made, and then P's to Q's: both have Z = z2·zg
  oddMultiples(table, ratios, COUNT, p, p + FE, false, z2);
  feSqr(z3, z2);
  feMul(x2, q, z3);
  feMul(z3, z3, z2);
  feMul(y2, q + FE, z3);
  oddMultiples(table2, ratios, COUNT, x2, y2, false, zg);
  feSqr(x2, zg);
  feMul(y2, x2, zg);
  for (let i: usize = 0; i < <usize>COUNT * AFFINE; i += AFFINE) {
    feMul(table + i, table + i, x2);
    feMul(table + i + FE, table + i + FE, y2);
  }
  feMul(zg, zg, z2);
  multiplyByBeta(lambdaX, table, COUNT);
  multiplyByBeta(lambdaX2, table2, COUNT);
  memory.fill(digits, 0, 1056);
  const top = max(splitDigits(0, a, WINDOW), splitDigits(2, b, WINDOW));
  pointSetInfinity(r);
  for (let bit = top - 1; bit >= 0; bit--) {
    if (!load<i32>(r, INF)) pointDouble(r, r);
    const at = digits + (<usize>bit << 3);
    if (load<u64>(at) == 0) continue;
    let k = <i32>load<i16>(at);
    if (k) { const e = entry(k); pointAddVar(r, r, table + e, pickY(table + e + FE, k)); }
    k = <i32>load<i16>(at, 2);
    if (k) { const e = entry(k); pointAddVar(r, r, lambdaX + e, pickY(table + e + FE, k)); }
    k = <i32>load<i16>(at, 4);
    if (k) { const e = entry(k); pointAddVar(r, r, table2 + e, pickY(table2 + e + FE, k)); }
    k = <i32>load<i16>(at, 6);
    if (k) { const e = entry(k); pointAddVar(r, r, lambdaX2 + e, pickY(table2 + e + FE, k)); }
  }
  feMul(r + Z, r + Z, zg);
}

/** r += scalar·G for 0 < scalar < n, 37 additions and no doubling; r is a point with its true Z */
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
