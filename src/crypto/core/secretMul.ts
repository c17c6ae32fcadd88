// Multiplication by secret scalars. No branch and no address depends on the scalar: digits are odd and never 0 (Joye-Tunstall,
// "Exponent recoding and regular exponentiation algorithms", AFRICACRYPT 2009), so no step is skipped; a table entry is read by
// scanning the whole table under masks; and no addition meets a case that its formula lacks:
//
// Comb. After window j the sum is S_j·G for the integer S_j = Σ_{i ≤ j} d_i·128^i with odd |d_i| ≤ 127, so 0 < |S_j| < 128^(j+1).
// Adding window j meets equal or opposite points only if S_(j-1) ≡ ±d_j·128^j (mod n). As integers they differ, since
// |S_(j-1)| < 128^j ≤ |d_j·128^j|; and both S_(j-1) ∓ d_j·128^j are smaller than 128^(j+1) ≤ 2^252 < n for j ≤ 35, so they are not
// multiples of n either. The last window, j = 36, and the unblinding use the complete addition.
//
// GLV. Before window j (j = 25 … 0, weight 32^j) the sum is a·P + b·lambda·P with a, b odd and |a|, |b| < 2^(125 - 5j).
// Additions are made to (32a, 32b), giving (32a + d, 32b), then (32a + d, 32b + e), all coordinates below 2^(130 - 5j). They meet
// equal or opposite points only if (32a ∓ d, 32b) or (32a + d, 32b ∓ e) is in the lattice of (x, y) with x + lambda·y ≡ 0 (mod n).
// Neither is (0, 0): 32b and 32a + d are not 0, b and d being odd. And no other w with |w_x|, |w_y| ≤ 2^125, as they are for j ≥ 1, is
// in the lattice: for its basis v = (A1, -MB1) and u = (A2, A1) of glv.ts, whose determinant is n, w = i·v + j·u has the integers
// i = (w × u)/n and j = (v × w)/n, but |w × u| ≤ 2^125·(A2 + A1) < n/6 and |v × w| ≤ 2^125·(A1 + MB1) < n/7, so i = j = 0. For the same
// reason the sum is never infinity before the last window, j = 0, whose two additions are complete.
import { BETA, FE, FE_ONE, feCopy, feFromWords, feNegIf } from './field.ts';
import { feMul, feSqr } from './fieldMul.ts';
import { bitsAt, COMB_BITS, COMB_COUNT, COMB_WINDOWS, combTable, recodeForComb } from './generator.ts';
import { glvSplit } from './glv.ts';
import { copy32, SECRET_AREA } from './memory.ts';
import { AFFINE, oddMultiples, pointAddComplete, pointAddUnchecked, pointDouble, pointFromAffine, pointToAffine, Y, Z } from './point.ts';
import { scAdd, scHalve } from './scalar.ts';

const MINUS_1_LAMBDA = memory.data<u32>([0xb51283ce, 0xe0cfc810, 0x8ec739c2, 0xa880b9fc, 0x77ed9ba4, 0x5ad9e3fd, 0x3fa3cf1f, 0xac9c52b3], 16); // -(1 + lambda) mod n

const k = SECRET_AREA, negK = k + 64, pick = negK + 64, s1 = pick + 80, s2 = s1 + 32, baseX = s2 + 32, baseY = baseX + 48, zz = baseY + 48, z = zz + 48;
const table = z + 48, lambdaTable = table + 1280, ratios = lambdaTable + 1280; // 16 entries each; ends at 3600

// What blinds: secrets of their own, kept from call to call and replaced by reblind(). They are no function of any key.
const blind = memory.data(32, 16), unblind = memory.data(80, 16), mask = memory.data(48, 16);

const WINDOW: i32 = 5, COUNT: i32 = 16, WINDOWS: i32 = 26;

/** pick = table[index], reading every entry (80 bytes, 5 vectors each) */
function scan(table: usize, count: i32, index: i32): void {
  let a = i32x4.splat(0), b = a, c = a, d = a, e = a;
  const wanted = i32x4.splat(index), one = i32x4.splat(1);
  let at = i32x4.splat(0);
  for (let i = 0; i < count; i++, table += AFFINE) {
    const m = i32x4.eq(at, wanted);
    at = i32x4.add(at, one);
    a = v128.or(a, v128.and(v128.load(table), m));
    b = v128.or(b, v128.and(v128.load(table, 16), m));
    c = v128.or(c, v128.and(v128.load(table, 32), m));
    d = v128.or(d, v128.and(v128.load(table, 48), m));
    e = v128.or(e, v128.and(v128.load(table, 64), m));
  }
  v128.store(pick, a);
  v128.store(pick, b, 16);
  v128.store(pick, c, 32);
  v128.store(pick, d, 48);
  v128.store(pick, e, 64);
}
/** pick = (2·raw - (2^bits - 1)) · base, for a table of 1, 3, 5, … times base */
function pickDigit(table: usize, bits: i32, raw: i32): void {
  const count = 1 << (bits - 1);
  const negative = (raw >> (bits - 1)) - 1;
  scan(table, count, (raw ^ negative) & (count - 1));
  feNegIf(pick + FE, pick + FE, negative);
}
/** mask ← mask², which is never 0: a new factor for the coordinates of the next multiplication */
function nextMask(): void {
  feSqr(mask, mask);
}

/** r = scalar · G for 0 ≤ scalar ≤ n; Z ≡ 0 for infinity */
function comb(r: usize, scalar: usize): void {
  const even = recodeForComb(k, scalar, negK);
  pickDigit(combTable, COMB_BITS, bitsAt(k, 0, COMB_BITS));
  pointFromAffine(r, pick, pick + FE);
  scaleByMask(r);
  for (let j = 1; j < COMB_WINDOWS; j++) {
    pickDigit(combTable + <usize>(j * COMB_COUNT) * AFFINE, COMB_BITS, bitsAt(k, j * COMB_BITS, COMB_BITS));
    if (j < COMB_WINDOWS - 1) pointAddUnchecked(r, r, pick, pick + FE);
    else pointAddComplete(r, r, pick, pick + FE);
  }
  feNegIf(r + Y, r + Y, even);
}
/** The same point with all coordinates multiplied by powers of the mask. */
function scaleByMask(p: usize): void {
  nextMask();
  feMul(p + Z, p + Z, mask);
  feSqr(zz, mask);
  feMul(p, p, zz);
  feMul(zz, zz, mask);
  feMul(p + Y, p + Y, zz);
}

/** r = scalar · G, 0 < scalar < n, computed as (scalar + blind)·G - blind·G */
export function secretMulGenerator(r: usize, scalar: usize): void {
  scAdd(s1, scalar, blind);
  comb(r, s1);
  pointAddComplete(r, r, unblind, unblind + FE);
}

/** r = scalar · (x, y), 0 < scalar < n, for a public point that is not infinity */
export function secretMulPoint(r: usize, scalar: usize, x: usize, y: usize): void {
  // s = (scalar - 1 - lambda)/2 = s1 + s2·lambda, so scalar = (2·s1 + 1) + (2·s2 + 1)·lambda: odd halves
  scAdd(k, scalar, MINUS_1_LAMBDA);
  scHalve(k, k);
  glvSplit(s1, s2, k);
  addTo129(s1);
  addTo129(s2);
  nextMask(); // the table is made of (x·mask², y·mask³), the same point on the Z coordinate mask
  feSqr(zz, mask);
  feMul(baseX, x, zz);
  feMul(zz, zz, mask);
  feMul(baseY, y, zz);
  oddMultiples(table, ratios, COUNT, baseX, baseY, false, z);
  feMul(z, z, mask);
  for (let i: usize = 0; i < <usize>COUNT * AFFINE; i += AFFINE) {
    feMul(lambdaTable + i, table + i, BETA);
    feCopy(lambdaTable + i + FE, table + i + FE);
  }
  pickDigit(table, WINDOW, bitsAt(s1, WINDOW * (WINDOWS - 1), WINDOW));
  pointFromAffine(r, pick, pick + FE);
  pickDigit(lambdaTable, WINDOW, bitsAt(s2, WINDOW * (WINDOWS - 1), WINDOW));
  pointAddUnchecked(r, r, pick, pick + FE);
  for (let j = WINDOWS - 2; j > 0; j--) {
    for (let i = 0; i < WINDOW; i++) pointDouble(r, r);
    pickDigit(table, WINDOW, bitsAt(s1, WINDOW * j, WINDOW));
    pointAddUnchecked(r, r, pick, pick + FE);
    pickDigit(lambdaTable, WINDOW, bitsAt(s2, WINDOW * j, WINDOW));
    pointAddUnchecked(r, r, pick, pick + FE);
  }
  for (let i = 0; i < WINDOW; i++) pointDouble(r, r);
  pickDigit(table, WINDOW, bitsAt(s1, 0, WINDOW));
  pointAddComplete(r, r, pick, pick + FE);
  pickDigit(lambdaTable, WINDOW, bitsAt(s2, 0, WINDOW));
  pointAddComplete(r, r, pick, pick + FE);
  feMul(r + Z, r + Z, z);
}
/** s += 2^129: the 130 bits then say +1 or -1 for each power of two */
function addTo129(s: usize): void {
  store<u32>(s, load<u32>(s, 16) + 2, 16);
}

const point = memory.data(112, 16);
/** Starts blinding with 1, which hides nothing, until reblind() brings randomness. */
export function initBlinding(): void {
  feCopy(mask, FE_ONE);
  store<u32>(blind, 1);
  feCopy(unblind, combTable);
  feNegIf(unblind + FE, combTable + FE, -1);
}
/** Takes a new blinding scalar and a new factor of coordinates from 2 × 32 secret random bytes, given as words, both in 1 … n - 1. */
export function reblind(scalar: usize, factor: usize): void {
  secretMulGenerator(point, scalar);
  copy32(blind, scalar);
  pointToAffine(unblind, point, true);
  feNegIf(unblind + FE, unblind + FE, -1);
  feFromWords(mask, factor);
  memory.fill(point, 0, 112);
}
