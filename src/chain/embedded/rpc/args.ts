import { fromHex, isHex } from '../../../base/bytes.ts'
import { RPC_ERROR } from '../../rpcErrors.ts'
import { RpcError } from './errors.ts'

const typeOf = (v: unknown): string => {
  if (v === null || v === undefined) return 'null'
  if (Array.isArray(v)) return 'array'
  return typeof v === 'boolean' ? 'bool' : typeof v
}

/** The parameters of one call, read with Core's complaints. Left out and null are the same. */
export class Args {
  readonly #values: readonly unknown[]
  readonly #names: readonly string[]
  readonly #method: string

  constructor(method: string, names: readonly string[], values: readonly unknown[]) {
    if (values.length > names.length) throw new RpcError(RPC_ERROR.MISC, usage(method, names))
    this.#method = method
    this.#names = names
    this.#values = values
  }

  has(at: number): boolean {
    return this.#values[at] !== undefined && this.#values[at] !== null
  }

  raw(at: number): unknown {
    if (!this.has(at)) throw new RpcError(RPC_ERROR.MISC, usage(this.#method, this.#names))
    return this.#values[at]
  }

  #typed<T>(at: number, expected: string, is: (v: unknown) => v is T): T {
    const value = this.raw(at)
    if (is(value)) return value
    const position = `Position ${at + 1} (${this.#names[at]})`
    const what = `JSON value of type ${typeOf(value)} is not of expected type ${expected}`
    throw new RpcError(RPC_ERROR.TYPE, `Wrong type passed:\n{\n    "${position}": "${what}"\n}`)
  }

  string(at: number, otherwise?: string): string {
    if (otherwise !== undefined && !this.has(at)) return otherwise
    return this.#typed(at, 'string', (v) => typeof v === 'string')
  }

  boolean(at: number, otherwise: boolean): boolean {
    return this.has(at) ? this.#typed(at, 'bool', (v) => typeof v === 'boolean') : otherwise
  }

  integer(at: number, otherwise?: number): number {
    if (otherwise !== undefined && !this.has(at)) return otherwise
    const n = this.#typed(at, 'number', (v) => typeof v === 'number')
    if (!Number.isSafeInteger(n)) throw new RpcError(RPC_ERROR.TYPE, 'JSON integer out of range')
    return n
  }

  /** BTC, as a number or text. @returns sat */
  amount(at: number, otherwise: string): bigint {
    const value = this.has(at) ? this.raw(at) : otherwise
    const m = /^(\d{1,8})(?:\.(\d{1,8}))?$/.exec(typeof value === 'number' ? value.toFixed(8) : String(value))
    if (!m) throw new RpcError(RPC_ERROR.TYPE, 'Invalid amount')
    return BigInt(m[1]!) * 100_000_000n + BigInt((m[2] ?? '').padEnd(8, '0'))
  }

  /** Verbosity: a number, or a boolean as in older versions. */
  verbosity(at: number, otherwise: number): number {
    const value = this.has(at) ? this.raw(at) : otherwise
    return typeof value === 'boolean' ? Number(value) : this.integer(at, otherwise)
  }

  /** 64 hex characters, lower-cased. @param name in complaints */
  hash(at: number, name = this.#names[at]): string {
    const value = this.string(at)
    if (value.length !== 64) {
      const what = `${name} must be of length 64 (not ${value.length}, for '${value.slice(0, 80)}')`
      throw new RpcError(RPC_ERROR.INVALID_PARAMETER, what)
    }
    if (isHex(value)) return value.toLowerCase()
    throw new RpcError(RPC_ERROR.INVALID_PARAMETER, `${name} must be hexadecimal string (not '${value}')`)
  }

  list(at: number): readonly unknown[] {
    return this.#typed(at, 'array', (v): v is unknown[] => Array.isArray(v))
  }
}

const usage = (method: string, names: readonly string[]): string =>
  `${[method, ...names].join(' ')}\n\nSee Bitcoin Core's documentation of this call.`

/** Hex of something that decodes, or Core's complaint. */
export function decodeHex<T>(value: unknown, decode: (bytes: Uint8Array) => T, complaint: string): T {
  try {
    return decode(fromHex(value as string))
  } catch {
    throw new RpcError(RPC_ERROR.DESERIALIZATION, complaint)
  }
}
