import { equalBytes } from '../base/bytes.ts'
import { crypto } from '../crypto/crypto.ts'
import { MAX_PUSH_SIZE, runScript } from './interpreter.ts'
import { castToBool, type ScriptEnvironment } from './machine.ts'
import { isP2sh, isPushOnly, outputType, p2wpkhScriptCode, rawPush, witnessProgram } from './script.ts'
import { failScript, ScriptFailure, type ScriptResult } from './scriptError.ts'
import type { SighashCache } from './sighash.ts'
import type { Transaction, TxOutput } from './transaction.ts'
import { STANDARD_FLAGS, VERIFY } from './verifyFlags.ts'

/** One input with the output that it spends. */
export interface Spend {
  readonly tx: Transaction
  readonly inputIndex: number
  readonly prevout: TxOutput
  /** Shared by all inputs of this very transaction, so that its hashes are made once. */
  readonly cache?: SighashCache
}

/**
 * Whether one input satisfies the script of the output it spends: legacy, P2SH and segwit v0 by all rules of consensus, and of policy
 * where the flags say so. Later witness versions are not validated: they succeed, as they do for nodes that do not know them.
 * @param flags bits of VERIFY; every rule that Bitcoin nodes relay by when left out
 */
export function verifyInput(
  tx: Transaction,
  inputIndex: number,
  prevout: TxOutput,
  flags: number = STANDARD_FLAGS,
): ScriptResult {
  return verifySpend({ tx, inputIndex, prevout }, flags)
}

/**
 * All inputs of a transaction; the first one that fails is named in `detail`. Values, lock times and duplicate inputs are not its business.
 * @param prevouts what the inputs spend, in their order
 * @throws RangeError unless there is one for every input
 */
export function verifyTransaction(
  tx: Transaction,
  prevouts: readonly TxOutput[],
  flags: number = STANDARD_FLAGS,
): ScriptResult {
  if (prevouts.length !== tx.inputs.length) {
    throw new RangeError(`${prevouts.length} outputs given for ${tx.inputs.length} inputs`)
  }
  const cache: SighashCache = {}
  for (const [inputIndex, prevout] of prevouts.entries()) {
    const result = verifySpend({ tx, inputIndex, prevout, cache }, flags)
    if (!result.ok) return { ...result, detail: `input ${inputIndex}: ${result.detail}`, inputIndex }
  }
  return { ok: true }
}

/** verifyInput for callers that hold a cache. */
function verifySpend(spend: Spend, flags: number): ScriptResult {
  try {
    verifyScripts(spend, flags)
    return { ok: true }
  } catch (e) {
    if (e instanceof ScriptFailure) return { ok: false, error: e.error, detail: e.message }
    throw e
  }
}

function verifyScripts(spend: Spend, flags: number): void {
  const { tx, inputIndex, prevout } = spend
  const input = tx.inputs[inputIndex]
  if (!input) throw new RangeError(`transaction has no input ${inputIndex}`)
  const { scriptPubKey } = prevout
  const { scriptSig } = input
  const env: ScriptEnvironment = {
    tx,
    inputIndex,
    amountSat: prevout.amountSat,
    flags,
    segwit: false,
    cache: spend.cache ?? {},
  }
  if (flags & VERIFY.SIGPUSHONLY && !isPushOnly(scriptSig)) failScript('SIG_PUSHONLY')

  const stack: Uint8Array[] = []
  runScript(stack, scriptSig, env)
  const pushed = flags & VERIFY.P2SH && isP2sh(scriptPubKey) ? [...stack] : null
  runScript(stack, scriptPubKey, env)
  requireTrue(stack)
  let segwit = false
  if (flags & VERIFY.WITNESS && witnessProgram(scriptPubKey)) {
    segwit = true
    if (scriptSig.length > 0) failScript('WITNESS_MALLEATED')
    verifyWitness(scriptPubKey, input.witness, env, false)
    stack.length = 1
  }
  if (pushed) segwit = verifyP2sh(pushed, env)
  if (flags & VERIFY.CLEANSTACK && (pushed ?? stack).length !== 1) failScript('CLEANSTACK')
  if (flags & VERIFY.WITNESS && !segwit && input.witness.length > 0) failScript('WITNESS_UNEXPECTED')
}

/**
 * BIP 16: what the scriptSig pushed last is a script, to run on what it pushed before.
 * @returns whether the script was a witness program (BIP 141)
 */
function verifyP2sh(pushed: Uint8Array[], env: ScriptEnvironment): boolean {
  const input = env.tx.inputs[env.inputIndex]!
  if (!isPushOnly(input.scriptSig)) failScript('SIG_PUSHONLY')
  const redeemScript = pushed.pop() ?? failScript('EVAL_FALSE')
  runScript(pushed, redeemScript, env)
  requireTrue(pushed)
  const segwit = (env.flags & VERIFY.WITNESS) !== 0 && witnessProgram(redeemScript) !== null
  if (segwit) {
    if (!equalBytes(input.scriptSig, rawPush(redeemScript))) failScript('WITNESS_MALLEATED_P2SH')
    verifyWitness(redeemScript, input.witness, env, true)
    pushed.length = 1
  }
  return segwit
}

/** @source BIP 141 §witness-program */
function verifyWitness(
  script: Uint8Array,
  witness: readonly Uint8Array[],
  env: ScriptEnvironment,
  inP2sh: boolean,
): void {
  const { version, program } = witnessProgram(script)!
  if (version !== 0) {
    const type = inP2sh ? 'witness_unknown' : outputType(script)
    const known = type === 'witness_v1_taproot' || type === 'anchor'
    if (!known && env.flags & VERIFY.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM) {
      failScript('DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM')
    }
  } else if (program.length === 20) {
    if (witness.length !== 2) failScript('WITNESS_PROGRAM_MISMATCH')
    runWitnessScript([...witness], p2wpkhScriptCode(program), env)
  } else if (program.length === 32) {
    const witnessScript = witness.at(-1) ?? failScript('WITNESS_PROGRAM_WITNESS_EMPTY')
    if (!equalBytes(crypto.sha256(witnessScript), program)) failScript('WITNESS_PROGRAM_MISMATCH')
    runWitnessScript(witness.slice(0, -1), witnessScript, env)
  } else {
    failScript('WITNESS_PROGRAM_WRONG_LENGTH')
  }
}

function runWitnessScript(stack: Uint8Array[], script: Uint8Array, env: ScriptEnvironment): void {
  for (const item of stack) if (item.length > MAX_PUSH_SIZE) failScript('PUSH_SIZE')
  runScript(stack, script, { ...env, segwit: true })
  if (stack.length !== 1) failScript('CLEANSTACK')
  requireTrue(stack)
}

function requireTrue(stack: readonly Uint8Array[]): void {
  const top = stack.at(-1)
  if (!top || !castToBool(top)) failScript('EVAL_FALSE')
}
