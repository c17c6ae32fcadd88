// BIP 340: Schnorr signatures with x-only keys.
import { FE, feIsOdd, feToWords, P_WORDS } from './field.ts';
import { feMul } from './fieldMul.ts';
import { bytesFromWords, copy32, SCHNORR_AREA, selectBytes, wordsFromBytes, wordsLessMask, wordsZeroMask } from './memory.ts';
import { INF, pointToAffine, Z } from './point.ts';
import { liftX, writeFe } from './publicKey.ts';
import { doubleMul, zg } from './publicMul.ts';
import { N_WORDS, scAdd, scMul, scNegate, scReduce, scValidMask } from './scalar.ts';
import { secretMulGenerator } from './secretMul.ts';
import { sha256, shaBlock, shaFinish, shaStart } from './sha256.ts';

const d = SCHNORR_AREA, k = d + 32, e = k + 32, s = e + 32, t = s + 32, state = t + 32, px = state + 32, rx = px + 32;
const q = rx + 32, point = q + 80, block = point + 112; // 64 B; ends at 512
const auxState = memory.data(32, 16), nonceState = memory.data(32, 16), challengeState = memory.data(32, 16);
const NAMES = memory.data<u8>([
  0x42, 0x49, 0x50, 0x30, 0x33, 0x34, 0x30, 0x2f, 0x61, 0x75, 0x78, // BIP0340/aux
  0x42, 0x49, 0x50, 0x30, 0x33, 0x34, 0x30, 0x2f, 0x6e, 0x6f, 0x6e, 0x63, 0x65, // BIP0340/nonce
  0x42, 0x49, 0x50, 0x30, 0x33, 0x34, 0x30, 0x2f, 0x63, 0x68, 0x61, 0x6c, 0x6c, 0x65, 0x6e, 0x67, 0x65, // BIP0340/challenge
]);
/** The most bytes of a message: `input` is prefixed with 64 bytes. */
export const MESSAGE_BYTES: usize = 4096;
const input = memory.data(64 + 4096, 16); // R | P | message, all public but for the nonce hash, which wipes its part

/** The state after the block that a tag stands for. */
export function tagState(state: usize, tag: usize, length: usize): void {
  sha256(block, tag, length);
  copy32(block + 32, block);
  shaStart(state);
  shaBlock(state, block);
}
export function initSchnorr(): void {
  tagState(auxState, NAMES, 11);
  tagState(nonceState, NAMES + 11, 13);
  tagState(challengeState, NAMES + 24, 17);
}
/** out = the tagged hash of `length` bytes at p, as words reduced mod n */
function taggedScalar(out: usize, tag: usize, p: usize, length: usize): void {
  copy32(state, tag);
  shaFinish(t, state, p, length, 64);
  wordsFromBytes(out, t);
  scReduce(out, out);
}
/** scalar·G for a secret: its x as bytes, and the scalar negated when y is odd */
function evenPoint(x32: usize, scalar: usize): void {
  secretMulGenerator(point, scalar);
  pointToAffine(q, point, true);
  writeFe(x32, q);
  scNegate(t, scalar);
  selectBytes(scalar, t, 32, -feIsOdd(q + FE));
}
/** x32 = the x-only key of a secret; false outside 1 … n − 1. Constant time. */
export function schnorrPublicKey(x32: usize, key32: usize): bool {
  wordsFromBytes(d, key32);
  if (!scValidMask(d)) return false;
  evenPoint(x32, d);
  return true;
}
/** A signature; false for a key outside 1 … n − 1. length ≤ MESSAGE_BYTES. Constant time. */
export function schnorrSign(out64: usize, message: usize, length: usize, key32: usize, aux32: usize): bool {
  wordsFromBytes(d, key32);
  if (!scValidMask(d)) return false;
  evenPoint(px, d);
  copy32(state, auxState);
  shaFinish(input, state, aux32, 32, 64);
  bytesFromWords(t, d);
  for (let i: usize = 0; i < 32; i += 8) store<u64>(input + i, load<u64>(input + i) ^ load<u64>(t + i));
  copy32(input + 32, px);
  memory.copy(input + 64, message, length);
  taggedScalar(k, nonceState, input, 64 + length);
  if (wordsZeroMask(k)) return false; // BIP 340: fail; the chance is 2^-256
  evenPoint(rx, k);
  copy32(input, rx); // overwrites what was made of the key
  taggedScalar(e, challengeState, input, 64 + length);
  scMul(s, e, d);
  scAdd(s, s, k);
  copy32(out64, rx);
  bytesFromWords(out64 + 32, s);
  return true;
}
/** For public values: variable time. length ≤ MESSAGE_BYTES. */
export function schnorrVerify(sig64: usize, message: usize, length: usize, x32: usize): bool {
  wordsFromBytes(rx, sig64);
  wordsFromBytes(s, sig64 + 32);
  wordsFromBytes(px, x32);
  if (!wordsLessMask(px, P_WORDS) || !wordsLessMask(rx, P_WORDS) || !wordsLessMask(s, N_WORDS)) return false;
  if (!liftX(q, px, 0)) return false;
  copy32(input, sig64);
  copy32(input + 32, x32);
  memory.copy(input + 64, message, length);
  taggedScalar(e, challengeState, input, 64 + length);
  if (!wordsZeroMask(e)) scNegate(e, e);
  doubleMul(point, s, e, q, q + FE); // R = s·G - e·P
  if (load<i32>(point, INF)) return false;
  feMul(point + Z, point + Z, zg);
  pointToAffine(q, point, false);
  if (feIsOdd(q + FE)) return false;
  feToWords(t, q);
  return (load<u64>(t) ^ load<u64>(rx) | load<u64>(t, 8) ^ load<u64>(rx, 8) | load<u64>(t, 16) ^ load<u64>(rx, 16) | load<u64>(t, 24) ^ load<u64>(rx, 24)) == 0;
}
