import type { Brand } from './brand.ts'

/** Satoshis, 0 – 21 million BTC. */
export type Sat = Brand<bigint, 'sat'>
/** Millisatoshis, 0 – 21 million BTC. */
export type Msat = Brand<bigint, 'msat'>

export const MAX_SAT = 2_100_000_000_000_000n
export const MAX_MSAT = MAX_SAT * 1000n

/** @throws RangeError when v is negative or more than all bitcoin */
export const sat = (v: bigint | number): Sat => {
  const n = BigInt(v)
  if (n < 0n || n > MAX_SAT) throw new RangeError(`sat out of range: ${n}`)
  return n as Sat
}

/** @throws RangeError when v is negative or more than all bitcoin */
export const msat = (v: bigint | number): Msat => {
  const n = BigInt(v)
  if (n < 0n || n > MAX_MSAT) throw new RangeError(`msat out of range: ${n}`)
  return n as Msat
}

export const ZERO_SAT = 0n as Sat
export const ZERO_MSAT = 0n as Msat

/** Exact: 1 sat = 1,000 msat. */
export const satToMsat = (v: Sat): Msat => (v * 1000n) as Msat
/** Rounds down: the part below one satoshi is dropped (BOLT 3: outputs are rounded down). */
export const msatToSatFloor = (v: Msat): Sat => (v / 1000n) as Sat

/** Sums keep the brand and the range check. */
export const addSat = (a: Sat, b: Sat): Sat => sat(a + b)
export const addMsat = (a: Msat, b: Msat): Msat => msat(a + b)

/**
 * An amount as a JSON integer.
 * @throws RangeError beyond 2^53 − 1, which a double cannot hold
 */
export const amountToJson = (v: bigint): number => {
  if (v > BigInt(Number.MAX_SAFE_INTEGER) || v < -BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new RangeError(`amount does not fit a JSON integer: ${v}`)
  }
  return Number(v)
}
