import { EMPTY } from '../base/bytes.ts'
import type { Sat } from '../base/units.ts'
import { failScript } from './scriptError.ts'
import { decodeScriptNumber, encodeScriptNumber, isMinimalNumber } from './scriptNumber.ts'
import type { SighashCache } from './sighash.ts'
import type { Transaction } from './transaction.ts'
import { VERIFY } from './verifyFlags.ts'

/** What a script may ask about the transaction that spends it, and the rules it runs under. */
export interface ScriptEnvironment {
  readonly tx: Transaction
  readonly inputIndex: number
  /** Of the output being spent. */
  readonly amountSat: Sat
  readonly flags: number
  /** Version 0 witness program: BIP 143 digests and its own rules. */
  readonly segwit: boolean
  readonly cache: SighashCache
}

/** One script in execution. */
export interface Machine {
  readonly env: ScriptEnvironment
  readonly script: Uint8Array
  readonly stack: Uint8Array[]
  readonly alt: Uint8Array[]
  /** One entry per open IF: whether its current branch runs. */
  readonly conditions: boolean[]
  /** Behind the last CODESEPARATOR that ran: where the script code of signatures begins. */
  codeStart: number
  opCount: number
}

/** What opcodes do, by code; what a handler returns means nothing. */
export type OpTable = readonly (readonly [code: number, run: (m: Machine) => unknown])[]

/** Counted opcodes per script; each key of a CHECKMULTISIG counts too. */
const MAX_OPS = 201

const TRUE = Uint8Array.of(1)

/** @throws ScriptFailure OP_COUNT past the limit */
export function countOps(m: Machine, n: number): void {
  m.opCount += n
  if (m.opCount > MAX_OPS) failScript('OP_COUNT')
}

/** False for nothing, zeros, and negative zero. */
export function castToBool(item: Uint8Array): boolean {
  for (let i = 0; i < item.length; i++) {
    if (item[i] !== 0) return !(i === item.length - 1 && item[i] === 0x80)
  }
  return false
}

/** @throws ScriptFailure INVALID_STACK_OPERATION when the stack holds fewer items */
export function need(m: Machine, items: number): void {
  if (m.stack.length < items) failScript('INVALID_STACK_OPERATION')
}

/** @throws ScriptFailure INVALID_STACK_OPERATION when the stack is empty */
export function pop(m: Machine): Uint8Array {
  return m.stack.pop() ?? failScript('INVALID_STACK_OPERATION')
}

/** The item at a depth below the top, which is 0. */
export function peek(m: Machine, depth: number): Uint8Array {
  return m.stack[m.stack.length - 1 - depth] ?? failScript('INVALID_STACK_OPERATION')
}

export const pushBool = (m: Machine, value: boolean): void => {
  m.stack.push(value ? TRUE : EMPTY)
}

export const pushNumber = (m: Machine, n: number): void => {
  m.stack.push(encodeScriptNumber(n))
}

/** An item as a number of at most `maxBytes` bytes. */
export function toNumber(m: Machine, item: Uint8Array, maxBytes = 4): number {
  if (item.length > maxBytes) failScript('SCRIPTNUM')
  if (m.env.flags & VERIFY.MINIMALDATA && !isMinimalNumber(item)) failScript('SCRIPTNUM')
  return decodeScriptNumber(item)
}

/** @throws ScriptFailure */
export const popNumber = (m: Machine): number => toNumber(m, pop(m))
