// Linear memory. Constants and small buffers are static data; the tables of multiples are reserved behind them when the module
// starts. Nothing is allocated after that, so no view of the memory is ever detached.
let top: usize = 0;

/** Takes bytes behind the static data, for the life of the module. Aligned to 64. */
export function reserve(bytes: usize): usize {
  if (!top) top = (__heap_base + 63) & ~63;
  const start = top;
  top += (bytes + 63) & ~63;
  const pages = <i32>((top + 0xffff) >>> 16);
  if (pages > memory.size()) memory.grow(pages - memory.size());
  return start;
}

/**
 * Everything that may depend on a secret while a call runs lies in this one block, so that one fill wipes it all. Each module
 * carves its slots out of its own area.
 */
const SCRATCH_BYTES: i32 = 14336;
const SCRATCH = memory.data(SCRATCH_BYTES, 16);
export const MODINV_AREA = SCRATCH;
export const SCALAR_AREA = MODINV_AREA + 208;
export const GLV_AREA = SCALAR_AREA + 208;
export const FIELD_AREA = GLV_AREA + 160;
export const POINT_AREA = FIELD_AREA + 528;
export const SECRET_AREA = POINT_AREA + 816;
export const SHA256_AREA = SECRET_AREA + 3616;
export const RIPEMD_AREA = SHA256_AREA + 416;
export const HMAC_AREA = RIPEMD_AREA + 160;
export const NONCE_AREA = HMAC_AREA + 192;
export const PUBKEY_AREA = NONCE_AREA + 240;
export const ECDSA_AREA = PUBKEY_AREA + 128;
export const SCHNORR_AREA = ECDSA_AREA + 480;
export const CHACHA_AREA = SCHNORR_AREA + 512;
export const AEAD_AREA = CHACHA_AREA + 256;
export const INDEX_AREA = AEAD_AREA + 176;
export const PUBLIC_AREA = INDEX_AREA + 384;
const END_AREA = PUBLIC_AREA + 4208;

/** Overwrites with zeros all that operations on secrets have used. */
export function wipeScratch(): void {
  memory.fill(SCRATCH, 0, PUBLIC_AREA - SCRATCH);
}
/** The same, with what belongs to publicMul.ts. */
export function wipeAll(): void {
  memory.fill(SCRATCH, 0, SCRATCH_BYTES);
}
/** Zeros for a short area (a multiple of 16 bytes), without the cost of a call out of the module. */
// @ts-ignore
@inline
export function wipe16(at: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) v128.store(at + i, i32x4.splat(0));
}

/** 32 big-endian bytes → 32 bytes of little-endian words, the form in which scalars are kept. */
export function wordsFromBytes(words: usize, bytes: usize): void {
  const a = bswap(load<u64>(bytes, 24)), b = bswap(load<u64>(bytes, 16));
  const c = bswap(load<u64>(bytes, 8)), d = bswap(load<u64>(bytes));
  store<u64>(words, a);
  store<u64>(words, b, 8);
  store<u64>(words, c, 16);
  store<u64>(words, d, 24);
}

/** The inverse of wordsFromBytes: reversing bytes is its own inverse. */
export function bytesFromWords(bytes: usize, words: usize): void {
  wordsFromBytes(bytes, words);
}

export function copy32(to: usize, from: usize): void {
  const a = v128.load(from), b = v128.load(from, 16);
  v128.store(to, a);
  v128.store(to, b, 16);
}

/** Constant time but for the answer. */
export function equal32(a: usize, b: usize): bool {
  const low = (load<u64>(a) ^ load<u64>(b)) | (load<u64>(a, 8) ^ load<u64>(b, 8));
  const high = (load<u64>(a, 16) ^ load<u64>(b, 16)) | (load<u64>(a, 24) ^ load<u64>(b, 24));
  return (low | high) == 0;
}

/** −1 when a < b as 256-bit numbers, else 0. Constant time. */
export function wordsLessMask(a: usize, b: usize): i32 {
  let borrow: i64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    borrow = (<i64>load<u32>(a + i) - <i64>load<u32>(b + i) + borrow) >> 32;
  }
  return <i32>borrow;
}

/** −1 when v is 0, else 0. Constant time. */
// @ts-ignore
@inline
export function zeroMask(v: i32): i32 {
  return ~((v | -v) >> 31);
}

/** −1 when a is 0, else 0. Constant time. */
export function wordsZeroMask(a: usize): i32 {
  const v = load<u64>(a) | load<u64>(a, 8) | load<u64>(a, 16) | load<u64>(a, 24);
  return zeroMask(<i32>v | <i32>(v >> 32));
}

/** to = mask ? from : to, where mask is 0 or −1 and bytes a multiple of 4. Constant time. */
export function selectBytes(to: usize, from: usize, bytes: usize, mask: i32): void {
  for (let i: usize = 0; i < bytes; i += 4) {
    const old = load<i32>(to + i);
    store<i32>(to + i, old ^ ((old ^ load<i32>(from + i)) & mask));
  }
}

if (END_AREA > SCRATCH + SCRATCH_BYTES) ERROR('the scratch block is too small');
