// ECDSA: SEC 1 §4.1.3, §4.1.4 and §4.1.6. Signatures are r | s, 64 bytes; low S as in BIP 146.
import { feFromWords, feIsOdd, feToWords, P_WORDS } from './field.ts';
import { bytesFromWords, copy32, ECDSA_AREA, selectBytes, wordsFromBytes, wordsLessMask, wordsZeroMask } from './memory.ts';
import { INF, pointToAffine, pointXEquals, Z } from './point.ts';
import { liftX, parsePublicKey, writePublicKey33 } from './publicKey.ts';
import { doubleMul, doubleMulPrepared, prepareKey, zg } from './publicMul.ts';
import { feMul } from './fieldMul.ts';
import { nonceNext, nonceRetry, nonceStart } from './rfc6979.ts';
import { N_WORDS, scAdd, scInverse, scInverseVar, scIsHighMask, scMul, scNegate, scReduce, scValidMask } from './scalar.ts';
import { secretMulGenerator } from './secretMul.ts';

const d = ECDSA_AREA, k = d + 32, inverse = k + 32, r = inverse + 32, s = r + 32, m = s + 32, u = m + 32, hash = u + 32, counter = hash + 32;
const q = counter + 32, point = q + 80; // ends at 480
const u1 = memory.data(32, 16), u2 = memory.data(32, 16), fe = memory.data(48, 16);

/**
 * Nonce by RFC 6979, low S. Constant time but for the number of nonces tried, which is one unless `lowR` asks to try with extra
 * entropy 1, 2, 3 … until r < 2^255, as Bitcoin Core does.
 * @returns the recovery id, 0–3, or −1 for a key outside 1 … n − 1
 */
export function ecdsaSign(out64: usize, hash32: usize, key32: usize, extra32: usize, lowR: bool): i32 {
  wordsFromBytes(d, key32);
  if (!scValidMask(d)) return -1;
  wordsFromBytes(m, hash32);
  scReduce(m, m);
  bytesFromWords(hash, m);
  let id = signOnce(key32, extra32);
  for (let tries: u32 = 1; lowR && load<u32>(r, 28) >> 31; tries++) {
    store<u32>(counter, tries);
    id = signOnce(key32, counter);
  }
  bytesFromWords(out64, r);
  bytesFromWords(out64 + 32, s);
  return id;
}
function signOnce(key32: usize, extra32: usize): i32 {
  let id = 0;
  nonceStart(key32, hash, extra32);
  for (;;) {
    nonceNext(u);
    wordsFromBytes(k, u);
    if (scValidMask(k)) {
      secretMulGenerator(point, k);
      pointToAffine(q, point, true);
      feToWords(r, q);
      id = feIsOdd(q + 36) | (~wordsLessMask(r, N_WORDS) & 2);
      scReduce(r, r);
      scInverse(inverse, k);
      scMul(s, r, d);
      scAdd(s, s, m);
      scMul(s, s, inverse);
      if (!(wordsZeroMask(r) | wordsZeroMask(s))) break;
    }
    nonceRetry();
  }
  const high = scIsHighMask(s);
  scNegate(u, s);
  selectBytes(s, u, 32, high);
  return id ^ (high & 1);
}

/** For public values: variable time. q is the key, an affine point, or 0 for the one of prepareKey. */
function verifyPoint(sig64: usize, hash32: usize, q: usize, requireLowS: bool): bool {
  wordsFromBytes(r, sig64);
  wordsFromBytes(s, sig64 + 32);
  if (!scValidMask(r) || !scValidMask(s)) return false;
  if (requireLowS && scIsHighMask(s)) return false;
  wordsFromBytes(m, hash32);
  scReduce(m, m);
  scInverseVar(inverse, s);
  scMul(u1, m, inverse);
  scMul(u2, r, inverse);
  if (q) {
    doubleMul(point, u1, u2, q, q + 36);
    feMul(point + Z, point + Z, zg);
  } else {
    doubleMulPrepared(point, u1, u2);
  }
  if (load<i32>(point, INF)) return false;
  feFromWords(fe, r);
  if (pointXEquals(point, fe)) return true;
  // x may be r + n when that is still below p
  if (!plusOrder(s, r)) return false;
  feFromWords(fe, s);
  return pointXEquals(point, fe);
}
export function ecdsaVerify(sig64: usize, hash32: usize, publicKey: usize, length: i32, requireLowS: bool): bool {
  return parsePublicKey(q, publicKey, length) && verifyPoint(sig64, hash32, q, requireLowS);
}
/**
 * The index of a signature that is not right for the key or has high S, or −1: `count` of them one behind the other, and so the
 * hashes. A larger table is made, and kept for the next call, when there are `times` ≥ 3 to verify with the key.
 */
export function ecdsaVerifyAll(count: i32, times: i32, sigs: usize, hashes: usize, publicKey33: usize): i32 {
  const prepared = times >= 3;
  if (prepared ? !prepareKey(publicKey33, times) : !parsePublicKey(q, publicKey33, 33)) return 0;
  for (let i = 0; i < count; i++) {
    if (!verifyPoint(sigs + (<usize>i << 6), hashes + (<usize>i << 5), prepared ? 0 : q, true)) return i;
  }
  return -1;
}
/** to = a + n; false when that is not below p */
function plusOrder(to: usize, a: usize): bool {
  let c: u64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    c += <u64>load<u32>(a + i) + <u64>load<u32>(N_WORDS + i);
    store<u32>(to + i, <u32>c);
    c >>= 32;
  }
  return c == 0 && wordsLessMask(to, P_WORDS) != 0;
}

/** The key, 33 bytes, that made a signature (of any S); false when there is none. For public values: variable time. */
export function ecdsaRecover(out33: usize, sig64: usize, id: i32, hash32: usize): bool {
  wordsFromBytes(r, sig64);
  wordsFromBytes(s, sig64 + 32);
  if (!scValidMask(r) || !scValidMask(s)) return false;
  copy32(k, r);
  if (id & 2 && !plusOrder(k, r)) return false;
  if (!liftX(q, k, id & 1)) return false;
  wordsFromBytes(m, hash32);
  scReduce(m, m);
  // Q = (s·R - m·G) / r
  scInverseVar(inverse, r);
  scMul(u2, s, inverse);
  scMul(u1, m, inverse);
  if (!wordsZeroMask(u1)) scNegate(u1, u1);
  doubleMul(point, u1, u2, q, q + 36);
  if (load<i32>(point, INF)) return false;
  feMul(point + Z, point + Z, zg);
  pointToAffine(q, point, false);
  writePublicKey33(out33, q);
  return true;
}
