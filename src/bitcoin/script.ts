import { concatBytes, equalBytes, toHex } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'
import { BitcoinFormatError } from './errors.ts'
import { OP, opName } from './opcodes.ts'
import { decodeScriptNumber, encodeScriptNumber } from './scriptNumber.ts'

/** An opcode (`OP.DUP`), a script number (a bigint) or bytes to push; the last two in their shortest form. */
export type ScriptPart = number | bigint | Uint8Array

export interface ScriptOp {
  readonly code: number
  /** What a push pushes; undefined for other opcodes. OP_0 pushes nothing (empty bytes); OP_1 – OP_16 have no data. */
  readonly data?: Uint8Array
}

/** The length prefix for a push of n bytes. */
function pushPrefix(n: number): Uint8Array {
  if (n < OP.PUSHDATA1) return Uint8Array.of(n)
  if (n <= 0xff) return Uint8Array.of(OP.PUSHDATA1, n)
  if (n <= 0xffff) return Uint8Array.of(OP.PUSHDATA2, n & 0xff, n >>> 8)
  return Uint8Array.of(OP.PUSHDATA4, n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24)
}

/** The bytes behind a length prefix, without the opcodes that stand for short ones: what BIP 141 and old signatures compare with. */
export const rawPush = (data: Uint8Array): Uint8Array => concatBytes(pushPrefix(data.length), data)

/** The shortest opcode that pushes these bytes (BIP 62 rule 3): 1 – 16, 0x81 and nothing have opcodes of their own. */
export function pushData(data: Uint8Array): Uint8Array {
  if (data.length === 1) {
    const b = data[0]!
    if (b >= 1 && b <= 16) return Uint8Array.of(OP[1] + b - 1)
    if (b === 0x81) return Uint8Array.of(OP['1NEGATE'])
  }
  return rawPush(data)
}

/**
 * `compileScript([OP.DUP, OP.HASH160, hash, OP.EQUALVERIFY, OP.CHECKSIG])`; numbers are opcodes, bigints script numbers.
 * @throws RangeError for an opcode outside 0 – 255
 */
export function compileScript(parts: readonly ScriptPart[]): Uint8Array {
  return concatBytes(
    ...parts.map((part) => {
      if (typeof part === 'bigint') return pushData(encodeScriptNumber(part))
      if (typeof part !== 'number') return pushData(part)
      if (!Number.isInteger(part) || part < 0 || part > 0xff) throw new RangeError(`not an opcode: ${part}`)
      return Uint8Array.of(part)
    }),
  )
}

/** Reads the opcode at `at`. null when a push runs over the end. Data is a view of the script. */
export function scriptOpView(
  script: Uint8Array,
  at: number,
): { code: number; data: Uint8Array | null; next: number } | null {
  const code = script[at]!
  let from = at + 1
  if (code > OP.PUSHDATA4) return { code, data: null, next: from }
  let n: number = code
  if (code >= OP.PUSHDATA1) {
    const lengthBytes = code === OP.PUSHDATA1 ? 1 : code === OP.PUSHDATA2 ? 2 : 4
    if (from + lengthBytes > script.length) return null
    n = 0
    for (let i = lengthBytes - 1; i >= 0; i--) n = n * 256 + script[from + i]!
    from += lengthBytes
  }
  if (from + n > script.length) return null
  return { code, data: script.subarray(from, from + n), next: from + n }
}

/** @throws BitcoinFormatError when a push runs over the end */
export function parseScript(script: Uint8Array): readonly ScriptOp[] {
  const ops: ScriptOp[] = []
  for (let at = 0; at < script.length; ) {
    const op = scriptOpView(script, at)
    if (!op) throw new BitcoinFormatError(`script ends within the push at byte ${at}`)
    ops.push(op.data ? { code: op.code, data: op.data.slice() } : { code: op.code })
    at = op.next
  }
  return ops
}

/** As Bitcoin Core shows it in `asm`: pushes as hex, short ones as decimal numbers. */
export function scriptAsm(script: Uint8Array): string {
  const words: string[] = []
  for (let at = 0; at < script.length; ) {
    const op = scriptOpView(script, at)
    if (!op) {
      words.push('[error]')
      break
    }
    words.push(asmWord(op.code, op.data))
    at = op.next
  }
  return words.join(' ')
}

function asmWord(code: number, data: Uint8Array | null): string {
  if (data) return data.length <= 4 ? `${decodeScriptNumber(data)}` : toHex(data)
  if (code === OP['1NEGATE']) return '-1'
  if (code >= OP[1] && code <= OP[16]) return `${code - OP[1] + 1}`
  return opName(code)
}

const need = (what: string, bytes: Uint8Array, length: number): void => {
  if (bytes.length !== length) throw new RangeError(`${what}: expected ${length} bytes, got ${bytes.length}`)
}

/** BIP 141 P2WPKH output: OP_0 and HASH160 of a compressed public key (20 B). */
export function p2wpkh(pubkeyHash: Uint8Array): Uint8Array {
  need('public key hash', pubkeyHash, 20)
  return concatBytes(Uint8Array.of(OP[0], 20), pubkeyHash)
}
/** P2WPKH output of a compressed public key (33 B). */
export function p2wpkhOfKey(publicKey: Uint8Array): Uint8Array {
  need('public key', publicKey, 33)
  return p2wpkh(crypto.hash160(publicKey))
}
/** BIP 141 P2WSH output of a witness script. */
export const p2wsh = (witnessScript: Uint8Array): Uint8Array =>
  concatBytes(Uint8Array.of(OP[0], 32), crypto.sha256(witnessScript))
/** BIP 341 output of an x-only output key (32 B). */
export function p2tr(outputKey: Uint8Array): Uint8Array {
  need('output key', outputKey, 32)
  return concatBytes(Uint8Array.of(OP[1], 32), outputKey)
}
/** Output for HASH160 of a public key (20 B). @throws RangeError for another length */
export function p2pkh(pubkeyHash: Uint8Array): Uint8Array {
  need('public key hash', pubkeyHash, 20)
  return compileScript([OP.DUP, OP.HASH160, pubkeyHash, OP.EQUALVERIFY, OP.CHECKSIG])
}
/** BIP 16 output for HASH160 of a redeem script (20 B). */
export function p2sh(scriptHash: Uint8Array): Uint8Array {
  need('script hash', scriptHash, 20)
  return compileScript([OP.HASH160, scriptHash, OP.EQUAL])
}
/** The script that a P2WPKH spend implies and signs (BIP 143): P2PKH of the same hash. */
export const p2wpkhScriptCode = p2pkh

/** `m of keys` with CHECKMULTISIG, keys in the order given. @throws RangeError unless 1 ≤ m ≤ keys ≤ 16 */
export function multisig(m: number, keys: readonly Uint8Array[]): Uint8Array {
  if (m < 1 || m > keys.length || keys.length > 16) throw new RangeError(`${m} of ${keys.length} is no multisig`)
  return compileScript([BigInt(m), ...keys, BigInt(keys.length), OP.CHECKMULTISIG])
}

/** BIP 141: a version (0 – 16) and one direct push of 2 – 40 bytes, nothing else. The program is a view. */
export function witnessProgram(script: Uint8Array): { version: number; program: Uint8Array } | null {
  const n = script.length
  if (n < 4 || n > 42) return null
  const first = script[0]!
  if (first !== OP[0] && (first < OP[1] || first > OP[16])) return null
  if (script[1] !== n - 2) return null
  return { version: first === OP[0] ? 0 : first - OP[1] + 1, program: script.subarray(2) }
}

export const isP2sh = (s: Uint8Array): boolean =>
  s.length === 23 && s[0] === OP.HASH160 && s[1] === 20 && s[22] === OP.EQUAL

export const isP2pkh = (s: Uint8Array): boolean =>
  s.length === 25 &&
  s[0] === OP.DUP &&
  s[1] === OP.HASH160 &&
  s[2] === 20 &&
  s[23] === OP.EQUALVERIFY &&
  s[24] === OP.CHECKSIG

/** Can never be spent: not kept as an unspent output. */
export const isUnspendable = (s: Uint8Array): boolean => s[0] === OP.RETURN || s.length > 10_000

/** Only pushes (OP_RESERVED counts, as in Core); required of a P2SH scriptSig and by BIP 62. */
export function isPushOnly(script: Uint8Array): boolean {
  for (let at = 0; at < script.length; ) {
    const op = scriptOpView(script, at)
    if (!op || op.code > OP[16]) return false
    at = op.next
  }
  return true
}

/** The last thing that a script pushes; null when it is not a push-only script or pushes nothing. */
export function lastPush(script: Uint8Array): Uint8Array | null {
  let last: Uint8Array | null = null
  for (let at = 0; at < script.length; ) {
    const op = scriptOpView(script, at)
    if (!op || op.code > OP[16]) return null
    last = op.data ?? encodeScriptNumber(BigInt(op.code - OP.RESERVED))
    at = op.next
  }
  return last
}

/** Core's names for output types (getblock, getrawtransaction). */
export type OutputType =
  | 'witness_v0_keyhash'
  | 'witness_v0_scripthash'
  | 'witness_v1_taproot'
  | 'anchor'
  | 'witness_unknown'
  | 'pubkeyhash'
  | 'scripthash'
  | 'pubkey'
  | 'multisig'
  | 'nulldata'
  | 'nonstandard'

const P2A = Uint8Array.of(OP[1], 2, 0x4e, 0x73)

/** Which standard template an output script is. */
export function outputType(script: Uint8Array): OutputType {
  const program = witnessProgram(script)
  if (program) {
    const n = program.program.length
    if (program.version === 0) {
      return n === 20 ? 'witness_v0_keyhash' : n === 32 ? 'witness_v0_scripthash' : 'nonstandard'
    }
    if (program.version === 1 && n === 32) return 'witness_v1_taproot'
    return equalBytes(script, P2A) ? 'anchor' : 'witness_unknown'
  }
  if (isP2pkh(script)) return 'pubkeyhash'
  if (isP2sh(script)) return 'scripthash'
  if (script[0] === OP.RETURN && isPushOnly(script.subarray(1))) return 'nulldata'
  if (isPayToPubkey(script)) return 'pubkey'
  return isMultisig(script) ? 'multisig' : 'nonstandard'
}

const isKeyLength = (n: number): boolean => n === 33 || n === 65

function isPayToPubkey(script: Uint8Array): boolean {
  const n = script[0]
  return n !== undefined && isKeyLength(n) && script.length === n + 2 && script[n + 1] === OP.CHECKSIG
}

const smallNumber = (code: number): number => (code >= OP[1] && code <= OP[16] ? code - OP[1] + 1 : 0)

function isMultisig(script: Uint8Array): boolean {
  if (script.length < 3 || script.at(-1) !== OP.CHECKMULTISIG) return false
  const required = smallNumber(script[0]!)
  let keys = 0
  let at = 1
  for (;;) {
    const op = at < script.length ? scriptOpView(script, at) : null
    if (!op) return false
    at = op.next
    if (!op.data) return required >= 1 && required <= keys && smallNumber(op.code) === keys && at === script.length - 1
    if (!isKeyLength(op.data.length)) return false
    keys++
  }
}
