// Precomputed multiples of the generator G (SEC 2), built once at start-up.
import { FE, feFromWords } from './field.ts';
import { copy32, reserve, selectBytes } from './memory.ts';
import { AFFINE, oddMultiples, pointDouble, pointFromAffine, pointToAffine } from './point.ts';
import { scNegate } from './scalar.ts';

const GX = memory.data<u32>([0x16f81798, 0x59f2815b, 0x2dce28d9, 0x029bfcdb, 0xce870b07, 0x55a06295, 0xf9dcbbac, 0x79be667e], 16);
const GY = memory.data<u32>([0xfb10d4b8, 0x9c47d08f, 0xa6855419, 0xfd17b448, 0x0e1108a8, 0x5da4fbfc, 0x26a3c465, 0x483ada77], 16);

// wNAF tables for verification: odd multiples of G and of 2^128*G
export const G_WINDOW: i32 = 15;
const G_COUNT: i32 = 1 << (G_WINDOW - 2);
export let gTable: usize = 0, gHighTable: usize = 0;

// comb tables: odd multiples of 128^j*G
export const COMB_BITS: i32 = 7, COMB_WINDOWS: i32 = 37, COMB_COUNT: i32 = 64;
export let combTable: usize = 0;

// of public values, and only while the module starts
const base = memory.data(80, 16), point = memory.data(112, 16), zOut = memory.data(48, 16);

function doubleBase(times: i32): void {
  pointFromAffine(point, base, base + FE);
  for (let i = 0; i < times; i++) pointDouble(point, point);
  pointToAffine(base, point, false);
}
function baseIsG(): void {
  feFromWords(base, GX);
  feFromWords(base + FE, GY);
}

export function initGenerator(): void {
  gTable = reserve(<usize>G_COUNT * AFFINE);
  gHighTable = reserve(<usize>G_COUNT * AFFINE);
  combTable = reserve(<usize>(COMB_WINDOWS * COMB_COUNT) * AFFINE);
  const ratios = reserve(<usize>G_COUNT * FE);
  baseIsG();
  oddMultiples(gTable, ratios, G_COUNT, base, base + FE, true, zOut);
  doubleBase(128);
  oddMultiples(gHighTable, ratios, G_COUNT, base, base + FE, true, zOut);
  baseIsG();
  for (let j = 0; j < COMB_WINDOWS; j++) {
    oddMultiples(combTable + <usize>(j * COMB_COUNT) * AFFINE, ratios, COMB_COUNT, base, base + FE, true, zOut);
    doubleBase(COMB_BITS);
  }
}

/**
 * Digits of a scalar for the comb, in constant time: scalar = ±Σ (2·v_i - 1)·2^i for i < 259, where the bits v_i are left in
 * `bits` (40 bytes). An even scalar is replaced by n - scalar, which is odd: then -1 is returned and the result must be negated.
 * `spare` takes 32 bytes. For 0 ≤ scalar ≤ n.
 */
export function recodeForComb(bits: usize, scalar: usize, spare: usize): i32 {
  copy32(bits, scalar);
  const even = (load<i32>(bits) & 1) - 1;
  scNegate(spare, bits);
  selectBytes(bits, spare, 32, even);
  // v = (scalar >> 1) + 2^258
  for (let i: usize = 0; i < 28; i += 4) store<u32>(bits + i, (load<u32>(bits + i) >>> 1) | (load<u32>(bits + i, 4) << 31));
  store<u32>(bits, load<u32>(bits, 28) >>> 1, 28);
  store<u64>(bits, 4, 32);
  return even;
}
/** `count` bits of a number of words, from bit `at` */
// @ts-ignore
@inline
export function bitsAt(words: usize, at: i32, count: i32): i32 {
  return <i32>(load<u64>(words + ((<usize>at >> 5) << 2)) >> (<u64>at & 31)) & ((1 << count) - 1);
}
