// Public keys as bytes: SEC 1 §2.3.3 and §2.3.4. Variable time in the key, which is public.
import { curveRight, FE, feCopy, feEqual, feFromWords, feIsOdd, feNegIf, feNormalize, feSqrt, feToWords, P_WORDS } from './field.ts';
import { feSqr } from './fieldMul.ts';
import { bytesFromWords, PUBKEY_AREA, reserve, wordsFromBytes, wordsLessMask } from './memory.ts';

// A square root is a tenth of a verification, and the same keys come again and again: a channel's, a commitment's, the node's that
// sent an onion. Parsed points of compressed keys are remembered, by the low bits of x; the newest wins its place.
const CACHE_ENTRIES: u32 = 256, ENTRY: usize = 112; // key (33), padding, x, y
let cache: usize = 0;
export function initPublicKey(): void {
  cache = reserve(<usize>CACHE_ENTRIES * ENTRY);
}

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
function parseCompressed(xy: usize, bytes: usize): bool {
  const tag = <i32>load<u8>(bytes);
  if ((tag & ~1) != 2) return false;
  const cached = cache + <usize>(load<u8>(bytes, 32) & (CACHE_ENTRIES - 1)) * ENTRY;
  const a = load<u64>(bytes) ^ load<u64>(cached), b = load<u64>(bytes, 8) ^ load<u64>(cached, 8);
  const c = load<u64>(bytes, 16) ^ load<u64>(cached, 16), d = load<u64>(bytes, 24) ^ load<u64>(cached, 24);
  if ((a | b | c | d | <u64>(load<u8>(bytes, 32) ^ load<u8>(cached, 32))) == 0) {
    feCopy(xy, cached + 40);
    feCopy(xy + FE, cached + 40 + FE);
    return true;
  }
  wordsFromBytes(w, bytes + 1);
  if (!wordsLessMask(w, P_WORDS) || !liftX(xy, w, tag & 1)) return false;
  memory.copy(cached, bytes, 33);
  feCopy(cached + 40, xy);
  feCopy(cached + 40 + FE, xy + FE);
  return true;
}
/** 33 bytes (02, 03) or 65 bytes (04) → affine point; false when it is not a point on the curve in one of these forms */
export function parsePublicKey(xy: usize, bytes: usize, length: i32): bool {
  if (length == 33) return parseCompressed(xy, bytes);
  if (length != 65 || load<u8>(bytes) != 4) return false;
  wordsFromBytes(w, bytes + 1);
  if (!wordsLessMask(w, P_WORDS)) return false;
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
