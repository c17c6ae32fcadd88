import { EMPTY, equalBytes } from '../base/bytes.ts'
import { crypto } from './crypto.ts'

/**
 * Per-commitment secrets, numbered here by commitment number n = 0, 1, 2 …; BOLT 3 counts an index down from 2^48 − 1.
 * An index is a JavaScript number: 48 bits fit, but bits above 31 need division.
 */
const LAST_INDEX = 2 ** 48 - 1
const BITS = 48

/** 2^0 … 2^48. */
const POWER: readonly number[] = Array.from({ length: BITS + 1 }, (_, b) => 2 ** b)

const bitOf = (index: number, bit: number): boolean => Math.floor(index / POWER[bit]!) % 2 === 1

/** The index of commitment number n. @throws RangeError outside 0 … 2^48 − 1 */
function indexOf(n: number): number {
  if (!Number.isInteger(n) || n < 0 || n > LAST_INDEX) throw new RangeError(`commitment number out of range: ${n}`)
  return LAST_INDEX - n
}

/** SHA-256 of the value with one bit flipped, which is BOLT 3's step from a node of the tree to its child. */
function step(value: Uint8Array, bit: number): Uint8Array {
  const flipped = Uint8Array.from(value)
  flipped[bit >>> 3]! ^= 1 << (bit & 7)
  return crypto.sha256(flipped)
}

/** Walks from the secret of an index whose low `bits` bits are 0 to the one of `index`, which shares the bits above. */
function walk(base: Uint8Array, bits: number, index: number): Uint8Array {
  return crypto.chainSecret(base, bits, index)
}

/**
 * Our own secret for commitment number n, 32 B.
 * @param seed 32 B, of one channel only
 * @source BOLT 3 §per-commitment-secret-requirements
 */
export const secretFromSeed = (seed: Uint8Array, n: number): Uint8Array => walk(seed, BITS, indexOf(n))

/**
 * The same as a function that remembers its last path down the tree: commitment numbers rise one by one, and neighbours share
 * all but a few of the up to 48 hashes.
 */
export function secretGenerator(seed: Uint8Array): (n: number) => Uint8Array {
  /** path[b]: the value with bits 47 … b walked, for `last`; path[48] is the seed. */
  const path: Uint8Array[] = new Array(BITS + 1).fill(seed)
  let last = -1
  return (n) => {
    const index = indexOf(n)
    let from = BITS
    if (last >= 0) while (from > 0 && bitOf(index, from - 1) === bitOf(last, from - 1)) from--
    for (let bit = from - 1; bit >= 0; bit--) path[bit] = bitOf(index, bit) ? step(path[bit + 1]!, bit) : path[bit + 1]!
    last = index
    return path[0]!.slice()
  }
}

/**
 * The peer's revealed secrets for commitment numbers 0 … count − 1, of which at most 49 are kept: the rest derive from them.
 * Plain data. Slot b (32 B at 32·b) holds the latest secret whose index ends in exactly b zero bits.
 */
export interface SecretStore {
  readonly count: number
  readonly secrets: Uint8Array
}

export const EMPTY_SECRETS: SecretStore = { count: 0, secrets: EMPTY }

/** The index kept in slot b: the lowest one received that ends in exactly b zero bits, since indexes only go down. */
function slotIndex(count: number, b: number): number {
  const lowest = Math.ceil((LAST_INDEX - count + 1) / POWER[b]!)
  return (lowest % 2 === 1 ? lowest : lowest + 1) * POWER[b]!
}

const slot = (secrets: Uint8Array, b: number): Uint8Array => secrets.subarray(32 * b, 32 * b + 32)

/** In which slot an index belongs: how many zero bits it ends in. */
function trailingZeros(index: number): number {
  let b = 0
  while (b < BITS && !bitOf(index, b)) b++
  return b
}

/**
 * Takes in the secret of commitment number `store.count`, which must be the next one.
 * @param secret 32 B
 * @returns null when it does not come from the same seed as the earlier ones
 * @source BOLT 3 §efficient-per-commitment-secret-storage
 */
export function insertSecret(store: SecretStore, secret: Uint8Array): SecretStore | null {
  const index = indexOf(store.count)
  const place = trailingZeros(index)
  for (let b = 0; b < place; b++) {
    if (!equalBytes(walk(secret, place, slotIndex(store.count, b)), slot(store.secrets, b))) return null
  }
  const secrets = new Uint8Array(Math.max(store.secrets.length, 32 * (place + 1)))
  secrets.set(store.secrets)
  secrets.set(secret, 32 * place)
  return { count: store.count + 1, secrets }
}

/** The revealed secret of commitment number n, 32 B; null when it has not been received. */
export function storedSecret(store: SecretStore, n: number): Uint8Array | null {
  if (n >= store.count) return null
  const index = indexOf(n)
  for (let b = 0; 32 * b < store.secrets.length; b++) {
    if (index - (index % POWER[b]!) === slotIndex(store.count, b)) return walk(slot(store.secrets, b), b, index).slice()
  }
  return null
}
