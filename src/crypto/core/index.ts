// What the module exports. Arguments are addresses inside the exchange buffer at io(); the caller wipes what it put there.
// Operations on secrets leave the scratch block wiped; those named public are variable time and must not see a secret.
import { aeadOpen as open, aeadSeal as seal, aeadWipe } from './aead.ts';
import { chachaWipe, chachaXor } from './chacha20.ts';
import { commitmentKeys as keysOf } from './commitment.ts';
import { ecdsaRecover, ecdsaSign, ecdsaVerify, ecdsaVerifyAll } from './ecdsa.ts';
import { FE, initField } from './field.ts';
import { feMul } from './fieldMul.ts';
import { initGenerator } from './generator.ts';
import { hmac as hmacSha256, hmacWipe } from './hmac.ts';
import { bytesFromWords, copy32, equal32, INDEX_AREA, wipe16, wipeAll, wipeScratch, wordsFromBytes, wordsZeroMask } from './memory.ts';
import { INF, pointAddVar, pointFromAffine, pointToAffine, Z } from './point.ts';
import { initPublicKey, parsePublicKey, writePublicKey33, writePublicKey65 } from './publicKey.ts';
import { addGenerator, doubleMul, initPublicMul, zg } from './publicMul.ts';
import { initNonce } from './rfc6979.ts';
import { ripemd160 as ripemd, ripemdWipe } from './ripemd160.ts';
import { initScalar, scAdd, scMul, scValidMask } from './scalar.ts';
import { initSchnorr, schnorrPublicKey, schnorrSign, schnorrVerify } from './schnorr.ts';
import { initBlinding, reblind, secretMulGenerator, secretMulPoint } from './secretMul.ts';
import { sha256 as sha, shaWipe } from './sha256.ts';

const EXCHANGE_BYTES: i32 = 18432;
const buffer = memory.data(EXCHANGE_BYTES, 16);
const ZERO = memory.data(32, 16);
const MU = memory.data<u8>([0x6d, 0x75]), RHO = memory.data<u8>([0x72, 0x68, 0x6f]);
const a = INDEX_AREA, b = a + 32, q = b + 32, p = q + 80, point = p + 80, shared = point + 112; // 48 B; ends at 384

export function io(): usize { return buffer; }
export function ioBytes(): i32 { return EXCHANGE_BYTES; }

export function init(): void {
  initField();
  initScalar();
  initNonce();
  initSchnorr();
  initPublicKey();
  initPublicMul();
  initGenerator();
  initBlinding();
  wipeAll();
}
/** Replaces what secret multiplications are blinded with; 0 when one of the 2 × 32 random bytes is not a scalar: try again. */
export function blind(random64: usize): i32 {
  wordsFromBytes(a, random64);
  wordsFromBytes(b, random64 + 32);
  const valid = scValidMask(a) & scValidMask(b);
  if (valid) reblind(a, b);
  wipeScratch();
  return valid & 1;
}

// Secrets: constant time

export function isScalar(bytes32: usize): i32 {
  wordsFromBytes(a, bytes32);
  const valid = scValidMask(a) & 1;
  wipeScratch();
  return valid;
}
/** The recovery id, or −1 for a bad key; extra32 may be 0. */
export function sign(out64: usize, hash32: usize, key32: usize, extra32: usize, lowR: i32): i32 {
  const id = ecdsaSign(out64, hash32, key32, extra32, lowR != 0);
  wipeScratch();
  return id;
}
export function publicKey(out33: usize, key32: usize): i32 {
  wordsFromBytes(a, key32);
  const valid = scValidMask(a) & 1;
  if (valid) {
    secretMulGenerator(point, a);
    pointToAffine(q, point, true);
    writePublicKey33(out33, q);
  }
  wipeScratch();
  return valid;
}
/** out32 = SHA-256 of the compressed point key · pub, as BOLT 8 has it; 0 for a bad point, −1 for a bad key */
export function ecdh(out32: usize, pub: usize, length: i32, key32: usize): i32 {
  wordsFromBytes(a, key32);
  let answer = scValidMask(a) != 0 ? 1 : -1;
  if (!parsePublicKey(q, pub, length)) answer = min(answer, 0);
  if (answer == 1) {
    secretMulPoint(point, a, q, q + FE);
    pointToAffine(q, point, true);
    writePublicKey33(shared, q);
    sha(out32, shared, 33);
  }
  wipeScratch();
  return answer;
}
/**
 * BOLT 4 §onion-decryption: shared32 = ECDH of key and pub33; then, when mac32 is the HMAC under its mu key of the `length` bytes at
 * data and the `adLength` behind them, data and as many zeros behind it become what its rho stream makes of them: 1. Else 0 for a wrong
 * HMAC, −1 for a bad point, −2 for a bad key. What is written is for the caller to wipe.
 */
export function peelLayer(shared32: usize, pub33: usize, key32: usize, data: usize, length: i32, adLength: i32, mac32: usize): i32 {
  const met = ecdh(shared32, pub33, 33, key32);
  if (met != 1) return met - 1;
  hmacSha256(a, MU, 2, shared32, 32);
  hmacSha256(a, a, 32, data, length + adLength);
  const right = equal32(a, mac32);
  if (right) {
    hmacSha256(a, RHO, 3, shared32, 32);
    memory.fill(data + length, 0, length);
    chachaXor(data, 2 * length, a, ZERO, 0);
    chachaWipe();
  }
  hmacWipe();
  wipe16(a, 32);
  return right ? 1 : 0;
}
/** out33 = key · pub; 0 for a bad key or point */
export function multiplySecret(out33: usize, pub: usize, length: i32, key32: usize): i32 {
  wordsFromBytes(a, key32);
  const valid = scValidMask(a) != 0 && parsePublicKey(q, pub, length);
  if (valid) {
    secretMulPoint(point, a, q, q + FE);
    pointToAffine(q, point, true);
    writePublicKey33(out33, q);
  }
  wipeScratch();
  return valid ? 1 : 0;
}
/** out32 = x + y mod n; 0 when an argument is not a scalar or the sum is 0 */
export function secretAdd(out32: usize, x32: usize, y32: usize): i32 {
  wordsFromBytes(a, x32);
  wordsFromBytes(b, y32);
  let valid = scValidMask(a) & scValidMask(b);
  scAdd(a, a, b);
  valid &= ~wordsZeroMask(a);
  bytesFromWords(out32, a);
  wipeScratch();
  return valid & 1;
}
/** out32 = x · y mod n; 0 when an argument is not a scalar */
export function secretMul(out32: usize, x32: usize, y32: usize): i32 {
  wordsFromBytes(a, x32);
  wordsFromBytes(b, y32);
  const valid = scValidMask(a) & scValidMask(b);
  scMul(a, a, b);
  bytesFromWords(out32, a);
  wipeScratch();
  return valid & 1;
}
export function schnorrKey(out32: usize, key32: usize): i32 {
  const valid = schnorrPublicKey(out32, key32);
  wipeScratch();
  return valid ? 1 : 0;
}
export function signSchnorr(out64: usize, message: usize, length: usize, key32: usize, aux32: usize): i32 {
  const valid = schnorrSign(out64, message, length, key32, aux32);
  wipeScratch();
  return valid ? 1 : 0;
}

// Public values: variable time

export function verify(sig64: usize, hash32: usize, pub: usize, length: i32, lowS: i32): i32 {
  return ecdsaVerify(sig64, hash32, pub, length, lowS != 0) ? 1 : 0;
}
/**
 * The index of one of `count` signatures (64 bytes each) on as many hashes (32 bytes) that is not right for the key or has high S,
 * or −1. `times` is how many signatures of the key there are to verify, in this call and others.
 */
export function verifyAll(count: i32, times: i32, sigs: usize, hashes: usize, pub33: usize): i32 {
  return ecdsaVerifyAll(count, times, sigs, hashes, pub33);
}
export function verifySchnorr(sig64: usize, message: usize, length: usize, x32: usize): i32 {
  return schnorrVerify(sig64, message, length, x32) ? 1 : 0;
}
export function recover(out33: usize, sig64: usize, id: i32, hash32: usize): i32 {
  return ecdsaRecover(out33, sig64, id, hash32) ? 1 : 0;
}
export function isPoint(pub: usize, length: i32): i32 {
  return parsePublicKey(q, pub, length) ? 1 : 0;
}
/** Any form of a public key → 33 and 65 bytes; 0 when it is none. */
export function convert(out33: usize, out65: usize, pub: usize, length: i32): i32 {
  if (!parsePublicKey(q, pub, length)) return 0;
  writePublicKey33(out33, q);
  writePublicKey65(out65, q);
  return 1;
}
/** out33 = k · pub; 0 for a bad scalar or point. k is nobody's key, but what was made of it is wiped all the same. */
export function multiplyPublic(out33: usize, pub: usize, length: i32, k32: usize): i32 {
  wordsFromBytes(a, k32);
  const valid = scValidMask(a) != 0 && parsePublicKey(q, pub, length);
  if (valid) {
    doubleMul(point, ZERO, a, q, q + FE);
    feMul(point + Z, point + Z, zg);
    pointToAffine(q, point, false);
    writePublicKey33(out33, q);
  }
  wipeAll();
  return valid ? 1 : 0;
}
/** out33 = pub + t·G; 0 for a bad scalar or point and at infinity */
export function addTweak(out33: usize, pub: usize, length: i32, t32: usize): i32 {
  wordsFromBytes(a, t32);
  if (!scValidMask(a) || !parsePublicKey(q, pub, length)) return 0;
  pointFromAffine(point, q, q + FE);
  addGenerator(point, a);
  return writePublicPoint(out33);
}
/** out33 = pub + other; 0 for a bad point and at infinity */
export function addPoints(out33: usize, pub: usize, length: i32, other: usize, otherLength: i32): i32 {
  if (!parsePublicKey(q, pub, length) || !parsePublicKey(p, other, otherLength)) return 0;
  pointFromAffine(point, q, q + FE);
  pointAddVar(point, point, p, p + FE);
  return writePublicPoint(out33);
}
function writePublicPoint(out33: usize): i32 {
  if (load<i32>(point, INF)) return 0;
  pointToAffine(q, point, false);
  writePublicKey33(out33, q);
  return 1;
}
/** See commitment.ts. */
export function commitmentKeys(out: usize, point33: usize, basepoints: usize, count: i32, revocation33: usize): i32 {
  return keysOf(out, point33, basepoints, count, revocation33) ? 1 : 0;
}

// Hashes and ciphers: constant time but for lengths

export function sha256(out32: usize, data: usize, length: usize): void {
  sha(out32, data, length);
  shaWipe();
}
export function sha256d(out32: usize, data: usize, length: usize): void {
  sha(out32, data, length);
  sha(out32, out32, 32);
  shaWipe();
}
export function ripemd160(out20: usize, data: usize, length: usize): void {
  ripemd(out20, data, length);
  ripemdWipe();
}
/** out20 = RIPEMD-160 of SHA-256 */
export function hash160(out20: usize, data: usize, length: usize): void {
  sha(shared, data, length);
  ripemd(out20, shared, 32);
  ripemdWipe();
  shaWipe();
  wipe16(shared, 32);
}
/** BOLT 3 §per-commitment-secret-requirements: from a node of the tree, whose index has `bits` zeros at its end, to a leaf of it. */
export function chainSecret(secret32: usize, bits: i32, indexHigh: u32, indexLow: u32): void {
  const index = (<u64>indexHigh << 32) | <u64>indexLow;
  copy32(a, secret32);
  for (let bit = bits - 1; bit >= 0; bit--) {
    if (!((index >> <u64>bit) & 1)) continue;
    const at = a + (<usize>bit >> 3);
    store<u8>(at, load<u8>(at) ^ (<u8>1 << <u8>(bit & 7)));
    sha(a, a, 32);
  }
  copy32(secret32, a);
  wipe16(a, 32);
  shaWipe();
}
export function hmac(out32: usize, key: usize, keyLength: usize, data: usize, length: usize): void {
  hmacSha256(out32, key, keyLength, data, length);
  hmacWipe();
}
/** data ^= key stream of ChaCha20 from block `counter` on */
export function chacha20(data: usize, length: usize, key32: usize, nonce12: usize, counter: u32): void {
  chachaXor(data, length, key32, nonce12, counter);
  chachaWipe();
}
/** Encrypts in place; the 16-byte tag goes behind the data. */
export function aeadSeal(data: usize, length: usize, ad: usize, adLength: usize, key32: usize, nonce12: usize): void {
  seal(data, length, ad, adLength, key32, nonce12);
  aeadWipe();
}
/** Decrypts in place what comes before the 16-byte tag; 0, with nothing decrypted, when the tag is wrong. */
export function aeadOpen(data: usize, length: usize, ad: usize, adLength: usize, key32: usize, nonce12: usize): i32 {
  const right = open(data, length, ad, adLength, key32, nonce12);
  aeadWipe();
  return right ? 1 : 0;
}
