// Public keys as bytes: SEC 1 §2.3.3 and §2.3.4. Variable time in the key, which is public.
import { curveRight, FE, feEqual, feFromWords, feIsOdd, feNegIf, feNormalize, feSqrt, feToWords, P_WORDS } from './field.ts';
import { feSqr } from './fieldMul.ts';
import { bytesFromWords, PUBKEY_AREA, wordsFromBytes, wordsLessMask } from './memory.ts';

const w = PUBKEY_AREA, t = w + 32, u = t + 48; // ends at 128

/** The point with this x (below p, as words) and the given parity of y; false when there is none. Limbs have A = 1. */
export function liftX(xy: usize, x: usize, odd: i32): bool {
  feFromWords(xy, x);
  curveRight(t, xy);
  if (!feSqrt(xy + FE, t)) return false;
  feNormalize(xy + FE);
  if (feIsOdd(xy + FE) != odd) {
    feNegIf(xy + FE, xy + FE, -1);
    feNormalize(xy + FE);
  }
  return true;
}
/** 33 bytes (02, 03) or 65 bytes (04) → affine point; false when it is not a point on the curve in one of these forms */
export function parsePublicKey(xy: usize, bytes: usize, length: i32): bool {
  const tag = <i32>load<u8>(bytes);
  wordsFromBytes(w, bytes + 1);
  if (!wordsLessMask(w, P_WORDS)) return false;
  if (length == 33) return (tag & ~1) == 2 && liftX(xy, w, tag & 1);
  if (length != 65 || tag != 4) return false;
  feFromWords(xy, w);
  curveRight(t, xy);
  wordsFromBytes(w, bytes + 33);
  if (!wordsLessMask(w, P_WORDS)) return false;
  feFromWords(xy + FE, w);
  feSqr(u, xy + FE);
  return feEqual(u, t);
}
/** The 32 bytes of a normalized element. */
export function writeFe(bytes: usize, a: usize): void {
  feToWords(w, a);
  bytesFromWords(bytes, w);
}
/** xy normalized */
export function writePublicKey33(bytes: usize, xy: usize): void {
  store<u8>(bytes, 2 + <u8>feIsOdd(xy + FE));
  writeFe(bytes + 1, xy);
}
/** xy normalized */
export function writePublicKey65(bytes: usize, xy: usize): void {
  store<u8>(bytes, 4);
  writeFe(bytes + 1, xy);
  writeFe(bytes + 33, xy + FE);
}
