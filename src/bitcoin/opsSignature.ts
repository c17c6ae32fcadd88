import { concatBytes, equalBytes } from '../base/bytes.ts'
import { countOps, type Machine, need, type OpTable, peek, pop, popNumber, pushBool } from './machine.ts'
import { OP } from './opcodes.ts'
import { rawPush, scriptOpView } from './script.ts'
import { failScript } from './scriptError.ts'
import { SIGHASH_ALL, SIGHASH_ANYONECANPAY, SIGHASH_SINGLE, sighashLegacy, sighashV0 } from './sighash.ts'
import { hasLowS, isCompressedKey, isStrictDer, isUncompressedKey, verifyScriptSignature } from './signature.ts'
import { VERIFY } from './verifyFlags.ts'

const MAX_KEYS = 20

/** The script that signatures of one opcode commit to, with the digests already made for it. */
interface ScriptCode {
  readonly bytes: Uint8Array
  readonly digests: Map<number, Uint8Array>
}

/** Pops key and signature. A signature that is merely wrong is false; one that a flag forbids ends the script. */
function checkSig(m: Machine): boolean {
  need(m, 2)
  const key = pop(m)
  const signature = pop(m)
  const code = scriptCode(m, [signature])
  checkEncodings(m, signature, key)
  const valid = verify(m, code, signature, key)
  if (!valid && m.env.flags & VERIFY.NULLFAIL && signature.length > 0) failScript('NULLFAIL')
  return valid
}

/**
 * Pops key count, keys, signature count, signatures and the dummy below them. Signatures must come in the order of their keys; keys
 * may be passed over.
 */
function checkMultisig(m: Machine): boolean {
  need(m, 1)
  const keyCount = popNumber(m)
  if (keyCount < 0 || keyCount > MAX_KEYS) failScript('PUBKEY_COUNT')
  countOps(m, keyCount)
  need(m, keyCount + 1)
  const keys = take(m, keyCount)
  const signatureCount = popNumber(m)
  if (signatureCount < 0 || signatureCount > keyCount) failScript('SIG_COUNT')
  need(m, signatureCount + 1)
  const signatures = take(m, signatureCount)
  const valid = matchSignatures(m, signatures, keys)
  if (!valid && m.env.flags & VERIFY.NULLFAIL && signatures.some((s) => s.length > 0)) failScript('NULLFAIL')
  const dummy = peek(m, 0)
  if (m.env.flags & VERIFY.NULLDUMMY && dummy.length > 0) failScript('SIG_NULLDUMMY')
  m.stack.pop()
  return valid
}

/** The top items, the topmost first. */
const take = (m: Machine, n: number): readonly Uint8Array[] => m.stack.splice(m.stack.length - n, n).reverse()

function matchSignatures(m: Machine, signatures: readonly Uint8Array[], keys: readonly Uint8Array[]): boolean {
  const code = scriptCode(m, signatures)
  let s = 0
  for (let k = 0; s < signatures.length; k++) {
    if (signatures.length - s > keys.length - k) return false
    checkEncodings(m, signatures[s]!, keys[k]!)
    if (verify(m, code, signatures[s]!, keys[k]!)) s++
  }
  return true
}

/** From the last CODESEPARATOR on; before segwit without the signatures themselves. */
function scriptCode(m: Machine, signatures: readonly Uint8Array[]): ScriptCode {
  let bytes = m.codeStart === 0 ? m.script : m.script.subarray(m.codeStart)
  if (!m.env.segwit) {
    for (const signature of signatures) {
      const kept = withoutPush(bytes, rawPush(signature))
      if (kept !== bytes && m.env.flags & VERIFY.CONST_SCRIPTCODE) failScript('SIG_FINDANDDELETE')
      bytes = kept
    }
  }
  return { bytes, digests: new Map() }
}

/** The script without any occurrence of `push` that begins at an opcode; the same array when there is none. */
function withoutPush(script: Uint8Array, push: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = []
  let from = 0
  let found = false
  for (let at = 0; at < script.length; ) {
    if (equalBytes(script.subarray(at, at + push.length), push)) {
      kept.push(script.subarray(from, at))
      found = true
      at += push.length
      from = at
    } else {
      const op = scriptOpView(script, at)
      if (!op) break
      at = op.next
    }
  }
  return found ? concatBytes(...kept, script.subarray(from)) : script
}

function checkEncodings(m: Machine, signature: Uint8Array, key: Uint8Array): void {
  const { flags, segwit } = m.env
  if (signature.length > 0) {
    if (flags & (VERIFY.DERSIG | VERIFY.LOW_S | VERIFY.STRICTENC) && !isStrictDer(signature)) failScript('SIG_DER')
    if (flags & VERIFY.LOW_S && !hasLowS(signature)) failScript('SIG_HIGH_S')
    if (flags & VERIFY.STRICTENC && !isDefinedSighash(signature.at(-1)!)) failScript('SIG_HASHTYPE')
  }
  if (flags & VERIFY.STRICTENC && !isCompressedKey(key) && !isUncompressedKey(key)) failScript('PUBKEYTYPE')
  if (segwit && flags & VERIFY.WITNESS_PUBKEYTYPE && !isCompressedKey(key)) failScript('WITNESS_PUBKEYTYPE')
}

function isDefinedSighash(type: number): boolean {
  const base = type & ~SIGHASH_ANYONECANPAY
  return base >= SIGHASH_ALL && base <= SIGHASH_SINGLE
}

function verify(m: Machine, code: ScriptCode, signature: Uint8Array, key: Uint8Array): boolean {
  if (signature.length === 0) return false
  const type = signature.at(-1)!
  let digest = code.digests.get(type)
  if (!digest) {
    digest = sighash(m, code.bytes, type)
    code.digests.set(type, digest)
  }
  return verifyScriptSignature(signature.subarray(0, -1), digest, key)
}

function sighash(m: Machine, scriptCode: Uint8Array, type: number): Uint8Array {
  const { tx, inputIndex, amountSat, segwit, cache } = m.env
  return segwit
    ? sighashV0(tx, { index: inputIndex, scriptCode, amountSat }, type, cache)
    : sighashLegacy(tx, inputIndex, scriptCode, type)
}

export const SIGNATURE_OPS: OpTable = [
  [OP.CHECKSIG, (m) => pushBool(m, checkSig(m))],
  [OP.CHECKSIGVERIFY, (m) => checkSig(m) || failScript('CHECKSIGVERIFY')],
  [OP.CHECKMULTISIG, (m) => pushBool(m, checkMultisig(m))],
  [OP.CHECKMULTISIGVERIFY, (m) => checkMultisig(m) || failScript('CHECKMULTISIGVERIFY')],
]
