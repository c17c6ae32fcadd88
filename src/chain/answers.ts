import { type BlockHash, blockHash } from '../base/ids.ts'
import { type Sat, sat } from '../base/units.ts'
import { ChainError } from './errors.ts'

/** What a Bitcoin node's answers hold, checked: each fails with ChainError BAD_RESPONSE when it is something else. */

const unexpected = (what: string, expected: string): ChainError =>
  new ChainError('BAD_RESPONSE', `the Bitcoin node's answer: ${what} is not ${expected}`)

export function record(v: unknown, what: string): Record<string, unknown> {
  if (typeof v !== 'object' || v === null || Array.isArray(v)) throw unexpected(what, 'an object')
  return v as Record<string, unknown>
}
export function list(v: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(v)) throw unexpected(what, 'a list')
  return v
}
export function text(v: unknown, what: string): string {
  if (typeof v !== 'string') throw unexpected(what, 'a text')
  return v
}
export function integer(v: unknown, what: string): number {
  if (!Number.isSafeInteger(v) || (v as number) < 0) throw unexpected(what, 'a whole number')
  return v as number
}
/** A block is megabytes of it, which Buffer reads far faster than fromHex; it stops at whatever is not hex. */
export function hex(v: unknown, what: string): Uint8Array {
  const digits = text(v, what)
  const bytes = new Uint8Array(Buffer.from(digits, 'hex'))
  if (2 * bytes.length !== digits.length) throw unexpected(what, 'hex')
  return bytes
}
export function hash(v: unknown): BlockHash {
  try {
    return blockHash(text(v, 'block hash'))
  } catch {
    throw unexpected('block hash', '64 characters of hex')
  }
}

/** Amounts come as decimal BTC: all of them are below 2^53 satoshi, so that rounding gives the exact one back. */
export function btcToSat(v: unknown, what: string): Sat {
  const amount = typeof v === 'number' ? Math.round(v * 1e8) : Number.NaN
  if (!Number.isSafeInteger(amount) || amount < 0 || amount > 2.1e15) throw unexpected(what, 'an amount in BTC')
  return sat(amount)
}

/** What is read out of an answer; whatever goes wrong in reading is the answer's fault. @throws ChainError BAD_RESPONSE */
export function decoded<T>(method: string, decode: () => T): T {
  try {
    return decode()
  } catch (e) {
    throw new ChainError('BAD_RESPONSE', `${method}: ${e instanceof Error ? e.message : String(e)}`, { cause: e })
  }
}
