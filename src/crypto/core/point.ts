// Points of y^2 = x^3 + 7. Affine: x at 0, y at 36. Jacobian (x = X/Z^2, y = Y/Z^3): X, Y, Z, then
// an "is infinity" flag. Bounds: every x, X and Z is carried, every y and Y carried or the negative of that (field.ts has the
// words); then each operand of a multiplication below is carried, negated, or a difference of two carried: loose, as it must be.
import { FE, FE_ONE, feAdd, feCopy, feEqual, feInverse, feInverseVar, feIsZero, feNormalize, feSub, feThreeHalves, feZeroMask } from './field.ts';
import { feMul, feMulSub, feSqr, feSqrSub, feSqrSub2, feSqrSubSub2 } from './fieldMul.ts';
import { POINT_AREA, selectBytes } from './memory.ts';

export const X: usize = 0, Y: usize = 36, Z: usize = 72, INF: usize = 108;
export const JACOBIAN: usize = 112;
export const AFFINE: usize = 80; // x, y and padding to a multiple of 16 (for v128 table scans)

const a = POINT_AREA, b = a + 48, c = b + 48, d = c + 48, h = d + 48, s = h + 48, v = s + 48, az = v + 48;
const twoX = az + 48, twoY = twoX + 48;
const sum = twoY + 48, twice = sum + 112, lone = twice + 112; // ends at 816

export function pointSetInfinity(r: usize): void {
  memory.fill(r, 0, JACOBIAN);
  store<i32>(r, 1, INF);
}
export function pointFromAffine(r: usize, x: usize, y: usize): void {
  feCopy(r + X, x);
  feCopy(r + Y, y);
  feCopy(r + Z, FE_ONE);
  store<i32>(r, 0, INF);
}

/** r = 2p: 3M + 4S; dbl-2009-l with all coordinates scaled by Z = 1/2 (L = 3/2 X^2 removes the factors 2, 4, 8). */
export function pointDouble(r: usize, p: usize): void {
  feSqr(s, p + Y);
  feSqr(a, p + X);
  feThreeHalves(a, a); // L
  feMul(b, p + X, s); // T = X*Y^2
  feMul(r + Z, p + Y, p + Z);
  feSqrSub2(r + X, a, b); // X3 = L^2 - 2T
  feSub(c, b, r + X);
  feSqr(s, s);
  feMulSub(r + Y, a, c, s); // Y3 = L*(T - X3) - Y^4
  store<i32>(r, load<i32>(p, INF), INF);
}

/**
 * r = p + (x, y) without special cases: 8M + 3S (madd, Guide to ECC alg. 3.22). Right only when p is not infinity and the two
 * points have different x: callers prove it (secretMul.ts) or look first (pointAddVar).
 */
export function pointAddUnchecked(r: usize, p: usize, x: usize, y: usize): void {
  differences(p, p + Z, x, y);
  finishAdd(r, p);
}
// @ts-ignore
@inline
function differences(p: usize, z: usize, x: usize, y: usize): void {
  feSqr(a, z);
  feMulSub(h, x, a, p + X); // H = U2 - X1
  feMul(a, a, z);
  feMulSub(d, y, a, p + Y); // R = S2 - Y1, carried: Y1 may be negated, and a plain difference would not be loose
}
// @ts-ignore
@inline
function finishAdd(r: usize, p: usize): void {
  feSqr(a, h);
  feMul(b, a, h); // H^3
  feMul(v, a, p + X); // V = X1*H^2
  feMul(c, b, p + Y);
  feMul(r + Z, p + Z, h);
  feSqrSubSub2(r + X, d, b, v); // X3 = R^2 - H^3 - 2V
  feSub(v, v, r + X);
  feMulSub(r + Y, d, v, c); // Y3 = R*(V - X3) - Y1*H^3
  store<i32>(r, 0, INF);
}
/**
 * r = p + (x, y), every case handled, also p = infinity, given as Z ≡ 0 (the flag is not read). Infinity results have Z ≡ 0.
 * Constant time: the sum and the double are both computed and the right one selected under masks. 10M + 7S.
 */
export function pointAddComplete(r: usize, p: usize, x: usize, y: usize): void {
  pointFromAffine(lone, x, y);
  pointDouble(twice, lone);
  differences(p, p + Z, x, y);
  const sameX = feZeroMask(h), sameY = feZeroMask(d), infinite = feZeroMask(p + Z);
  finishAdd(sum, p); // opposite points: Z3 = Z1·H ≡ 0, infinity as it should be
  selectBytes(sum, twice, JACOBIAN, sameX & sameY);
  selectBytes(sum, lone, JACOBIAN, infinite);
  memory.copy(r, sum, JACOBIAN);
}
/** r = p + (x, y), every case handled. Variable time. */
export function pointAddVar(r: usize, p: usize, x: usize, y: usize): void {
  addVar(r, p, p + Z, x, y, 0);
}
/** As pointAddVar for a p whose true Z coordinate is Z*zg (zg common to the whole computation). */
export function pointAddScaledVar(r: usize, p: usize, x: usize, y: usize, zg: usize): void {
  feMul(az, p + Z, zg);
  addVar(r, p, az, x, y, zg);
}
function addVar(r: usize, p: usize, z: usize, x: usize, y: usize, zg: usize): void {
  if (load<i32>(p, INF)) {
    pointFromAffine(r, x, y);
    if (zg) { // (x, y) has true Z = 1; with Z = 1 standing for zg it is (x*zg^2, y*zg^3)
      feSqr(a, zg);
      feMul(r + X, x, a);
      feMul(a, a, zg);
      feMul(r + Y, y, a);
    }
    return;
  }
  differences(p, z, x, y);
  if (feIsZero(h)) {
    if (feIsZero(d)) pointDouble(r, p); else pointSetInfinity(r);
    return;
  }
  finishAdd(r, p);
}

/** (x, y) = affine coordinates of p, normalized. constantTime chooses the inversion. */
export function pointToAffine(xy: usize, p: usize, constantTime: bool): void {
  if (constantTime) feInverse(a, p + Z); else feInverseVar(a, p + Z);
  feSqr(b, a);
  feMul(xy, p + X, b);
  feMul(b, b, a);
  feMul(xy + FE, p + Y, b);
  feNormalize(xy);
  feNormalize(xy + FE);
}

/**
 * entries[i] = (2i+1)*p for i < count (affine p, not infinity). Co-Z additions (Meloni, "New point
 * addition formulae for ECC applications", WAIFI 2007): 2p is kept on the Z of the running point,
 * 4M + 2S per step; ratios[i] = Z_i / Z_(i-1). Then one walk back brings all entries to one Z:
 * to Z = 1 when affine is true, else to the last point's Z, which is written to zOut.
 */
export function oddMultiples(entries: usize, ratios: usize, count: i32, x: usize, y: usize, affine: bool, zOut: usize): void {
  // 2p with Z = y, and p itself on the same Z
  feSqr(s, y);
  feMul(entries, x, s);
  feSqr(a, x);
  feThreeHalves(a, a);
  feSqrSub2(twoX, a, entries);
  feSub(c, entries, twoX);
  feSqr(entries + FE, s);
  feMulSub(twoY, a, c, entries + FE);
  feCopy(zOut, y);
  for (let i = 1; i < count; i++) {
    const from = entries + <usize>(i - 1) * AFFINE, to = from + AFFINE, ratio = ratios + <usize>i * FE;
    feSub(ratio, twoX, from);
    feSqr(a, ratio);
    feMul(b, from, a); // W2
    feMul(twoX, twoX, a); // W1, the new x of 2p
    feSub(d, twoY, from + FE);
    feSub(c, twoX, b);
    feMul(twoY, twoY, c); // the new y of 2p
    feAdd(b, b, twoX);
    feSqrSub(to, d, b);
    feSub(c, twoX, to);
    feMulSub(to + FE, d, c, twoY);
    feMul(zOut, zOut, ratio);
  }
  let last = count - 1;
  if (affine) {
    feInverseVar(v, zOut);
  } else {
    feCopy(v, ratios + <usize>last * FE);
    last--;
  }
  for (let i = last; i >= 0; i--) {
    const e = entries + <usize>i * AFFINE;
    feSqr(a, v);
    feMul(e, e, a);
    feMul(a, a, v);
    feMul(e + FE, e + FE, a);
    if (i) feMul(v, v, ratios + <usize>i * FE);
  }
}

/** x(p) == r, compared as X == r·Z² (no inversion) */
export function pointXEquals(p: usize, r: usize): bool {
  feSqr(a, p + Z);
  feMul(a, a, r);
  return feEqual(a, p + X);
}

const products = memory.data(5 * 48, 16);
/** Each of up to 5 points (Jacobian, not infinity) → affine, normalized (80 bytes each), with one inversion. Variable time. */
export function pointsToAffineVar(xys: usize, points: usize, count: i32): void {
  feCopy(products, points + Z);
  for (let i = 1; i < count; i++) {
    feMul(products + <usize>i * 48, products + <usize>(i - 1) * 48, points + <usize>i * JACOBIAN + Z);
  }
  feInverseVar(v, products + <usize>(count - 1) * 48);
  for (let i = count - 1; i >= 0; i--) {
    const p = points + <usize>i * JACOBIAN, xy = xys + <usize>i * AFFINE;
    if (i) {
      feMul(c, v, products + <usize>(i - 1) * 48);
      feMul(v, v, p + Z);
    } else {
      feCopy(c, v);
    }
    feSqr(b, c);
    feMul(xy, p + X, b);
    feMul(b, b, c);
    feMul(xy + FE, p + Y, b);
    feNormalize(xy);
    feNormalize(xy + FE);
  }
}
