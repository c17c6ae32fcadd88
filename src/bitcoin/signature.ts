import { toHex } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'

/** Order of the secp256k1 group. */
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
/** Field prime of secp256k1. */
const P = 2n ** 256n - 2n ** 32n - 977n
const HALF_N = N >> 1n

const toNumber = (b: Uint8Array): bigint => (b.length === 0 ? 0n : BigInt(`0x${toHex(b)}`))

function writeNumber(out: Uint8Array, at: number, n: bigint): void {
  let v = n
  for (let i = 31; i >= 0; i--) {
    out[at + i] = Number(v & 0xffn)
    v >>= 8n
  }
}

/**
 * Strict DER with a sighash byte behind it: 0x30 [length] 0x02 [length] R 0x02 [length] S [type], no negative or padded numbers.
 * @source BIP 66
 */
export function isStrictDer(sig: Uint8Array): boolean {
  if (sig.length < 9 || sig.length > 73) return false
  if (sig[0] !== 0x30 || sig[1] !== sig.length - 3) return false
  const rLength = sig[3]!
  if (5 + rLength >= sig.length) return false
  const sLength = sig[5 + rLength]!
  if (rLength + sLength + 7 !== sig.length) return false
  return isStrictInteger(sig, 2, rLength) && isStrictInteger(sig, 4 + rLength, sLength)
}

function isStrictInteger(sig: Uint8Array, at: number, length: number): boolean {
  if (sig[at] !== 0x02 || length === 0) return false
  const first = sig[at + 2]!
  if (first & 0x80) return false
  return !(length > 1 && first === 0 && (sig[at + 3]! & 0x80) === 0)
}

/**
 * R and S of a signature as loosely as OpenSSL once read it: the lengths of the sequence are ignored, padding is skipped, bytes may
 * follow. Consensus verified with this before BIP 66.
 * @param der without the sighash byte
 * @returns 64 B compact with a low S, or null when no pair can be read or it is out of range
 */
export function parseDerLax(der: Uint8Array): Uint8Array | null {
  if (der[0] !== 0x30) return null
  const sequenceLength = der[1]
  if (sequenceLength === undefined) return null
  let at = 2
  if (sequenceLength & 0x80) at += sequenceLength & 0x7f
  const r = integerAt(der, at)
  const s = r && integerAt(der, r.next)
  if (!r || !s) return null
  return compactLowS(r.value, s.value)
}

function integerAt(der: Uint8Array, start: number): { value: Uint8Array; next: number } | null {
  if (der[start] !== 0x02) return null
  let length = der[start + 1]
  if (length === undefined) return null
  let at = start + 2
  if (length & 0x80) {
    let n = length & 0x7f
    if (n > der.length - at) return null
    for (; n > 0 && der[at] === 0; n--) at++
    if (n >= 4) return null
    length = 0
    for (; n > 0; n--) length = length * 256 + der[at++]!
  }
  if (length > der.length - at) return null
  let from = at
  const next = at + length
  while (from < next && der[from] === 0) from++
  return { value: der.subarray(from, next), next }
}

function compactLowS(r: Uint8Array, s: Uint8Array): Uint8Array | null {
  if (r.length > 32 || s.length > 32) return null
  const out = new Uint8Array(64)
  out.set(r, 32 - r.length)
  out.set(s, 64 - s.length)
  if (s.length === 32 && s[0]! >= 0x7f) {
    const n = toNumber(s)
    if (n >= N) return null
    if (n > HALF_N) writeNumber(out, 32, N - n)
  }
  return out
}

/** BIP 62 rule 5, of a strict DER signature with its sighash byte. */
export function hasLowS(sig: Uint8Array): boolean {
  const at = 4 + sig[3]! + 2
  return toNumber(sig.subarray(at, at + sig[at - 1]!)) <= HALF_N
}

export const isCompressedKey = (key: Uint8Array): boolean => key.length === 33 && (key[0] === 2 || key[0] === 3)
export const isUncompressedKey = (key: Uint8Array): boolean => key.length === 65 && key[0] === 4

/** The compressed form of a key in any form that consensus knows (hybrid ones too); null when it is none. */
function compressKey(key: Uint8Array): Uint8Array | null {
  if (isCompressedKey(key)) return key
  if (key.length !== 65 || (key[0] !== 4 && key[0] !== 6 && key[0] !== 7)) return null
  const odd = key[64]! & 1
  if (key[0] !== 4 && key[0] !== 6 + odd) return null
  const x = toNumber(key.subarray(1, 33))
  const y = toNumber(key.subarray(33))
  if (x >= P || y >= P || (y * y - x * x * x - 7n) % P !== 0n) return null
  return Uint8Array.of(2 + odd, ...key.subarray(1, 33))
}

/**
 * Whether a signature from a script is right, by consensus rules: lax DER, high S allowed.
 * @param der without the sighash byte
 * @param digest what was signed, 32 B
 */
export function verifyScriptSignature(der: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean {
  const key = compressKey(publicKey)
  const compact = key && parseDerLax(der)
  return key !== null && compact !== null && crypto.ecdsaVerify(compact, digest, key)
}
