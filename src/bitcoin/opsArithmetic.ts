import { sha1 } from '@noble/hashes/legacy.js'
import { crypto } from '../crypto/crypto.ts'
import { type Machine, need, type OpTable, pop, popNumber, pushBool, pushNumber } from './machine.ts'
import { OP } from './opcodes.ts'
import { failScript } from './scriptError.ts'

const unary = (f: (n: number) => number) => (m: Machine) => pushNumber(m, f(popNumber(m)))

/** The second operand lies on top. */
const binary = (f: (a: number, b: number) => number | boolean) => (m: Machine) => {
  need(m, 2)
  const b = popNumber(m)
  const result = f(popNumber(m), b)
  if (typeof result === 'boolean') pushBool(m, result)
  else pushNumber(m, result)
}

function numEqualVerify(m: Machine): void {
  need(m, 2)
  const b = popNumber(m)
  if (popNumber(m) !== b) failScript('NUMEQUALVERIFY')
}

function within(m: Machine): void {
  need(m, 3)
  const most = popNumber(m)
  const least = popNumber(m)
  const n = popNumber(m)
  pushBool(m, least <= n && n < most)
}

/** Operands have up to 4 bytes; results may have 5. */
export const ARITHMETIC_OPS: OpTable = [
  [OP['1ADD'], unary((n) => n + 1)],
  [OP['1SUB'], unary((n) => n - 1)],
  [OP.NEGATE, unary((n) => 0 - n)],
  [OP.ABS, unary(Math.abs)],
  [OP.NOT, unary((n) => (n === 0 ? 1 : 0))],
  [OP['0NOTEQUAL'], unary((n) => (n === 0 ? 0 : 1))],
  [OP.ADD, binary((a, b) => a + b)],
  [OP.SUB, binary((a, b) => a - b)],
  [OP.BOOLAND, binary((a, b) => a !== 0 && b !== 0)],
  [OP.BOOLOR, binary((a, b) => a !== 0 || b !== 0)],
  [OP.NUMEQUAL, binary((a, b) => a === b)],
  [OP.NUMEQUALVERIFY, numEqualVerify],
  [OP.NUMNOTEQUAL, binary((a, b) => a !== b)],
  [OP.LESSTHAN, binary((a, b) => a < b)],
  [OP.GREATERTHAN, binary((a, b) => a > b)],
  [OP.LESSTHANOREQUAL, binary((a, b) => a <= b)],
  [OP.GREATERTHANOREQUAL, binary((a, b) => a >= b)],
  [OP.MIN, binary(Math.min)],
  [OP.MAX, binary(Math.max)],
  [OP.WITHIN, within],
]

const hash = (f: (data: Uint8Array) => Uint8Array) => (m: Machine) => m.stack.push(f(pop(m)))

export const HASH_OPS: OpTable = [
  [OP.RIPEMD160, hash((data) => crypto.ripemd160(data))],
  [OP.SHA1, hash(sha1)],
  [OP.SHA256, hash((data) => crypto.sha256(data))],
  [OP.HASH160, hash((data) => crypto.hash160(data))],
  [OP.HASH256, hash((data) => crypto.sha256d(data))],
]
