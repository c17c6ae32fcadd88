import { castToBool, type Machine, need, type OpTable, peek, pop, popNumber, pushNumber } from './machine.ts'
import { OP } from './opcodes.ts'
import { failScript } from './scriptError.ts'

function drop(m: Machine, items: number): void {
  need(m, items)
  m.stack.length -= items
}

/** Repeats on top the `items` that lie under the top `above`. */
function copy(m: Machine, items: number, above: number): void {
  need(m, items + above)
  const from = m.stack.length - items - above
  for (let i = 0; i < items; i++) m.stack.push(m.stack[from + i]!)
}

/** Moves to the top the `items` that lie under the top `above`. */
function raise(m: Machine, items: number, above: number): void {
  need(m, items + above)
  m.stack.push(...m.stack.splice(m.stack.length - items - above, items))
}

function nip(m: Machine): void {
  need(m, 2)
  m.stack.splice(-2, 1)
}

function tuck(m: Machine): void {
  need(m, 2)
  m.stack.splice(-2, 0, peek(m, 0))
}

/** Argument of PICK and ROLL: an item that must exist once the argument is gone. */
function popDepth(m: Machine): number {
  need(m, 2)
  const depth = popNumber(m)
  if (depth < 0 || depth >= m.stack.length) failScript('INVALID_STACK_OPERATION')
  return depth
}

export const STACK_OPS: OpTable = [
  [OP.TOALTSTACK, (m) => m.alt.push(pop(m))],
  [OP.FROMALTSTACK, (m) => m.stack.push(m.alt.pop() ?? failScript('INVALID_ALTSTACK_OPERATION'))],
  [OP.DROP, (m) => drop(m, 1)],
  [OP['2DROP'], (m) => drop(m, 2)],
  [OP.DUP, (m) => copy(m, 1, 0)],
  [OP['2DUP'], (m) => copy(m, 2, 0)],
  [OP['3DUP'], (m) => copy(m, 3, 0)],
  [OP.OVER, (m) => copy(m, 1, 1)],
  [OP['2OVER'], (m) => copy(m, 2, 2)],
  [OP.SWAP, (m) => raise(m, 1, 1)],
  [OP['2SWAP'], (m) => raise(m, 2, 2)],
  [OP.ROT, (m) => raise(m, 1, 2)],
  [OP['2ROT'], (m) => raise(m, 2, 4)],
  [OP.PICK, (m) => copy(m, 1, popDepth(m))],
  [OP.ROLL, (m) => raise(m, 1, popDepth(m))],
  [OP.IFDUP, (m) => castToBool(peek(m, 0)) && copy(m, 1, 0)],
  [OP.DEPTH, (m) => pushNumber(m, m.stack.length)],
  [OP.SIZE, (m) => pushNumber(m, peek(m, 0).length)],
  [OP.NIP, nip],
  [OP.TUCK, tuck],
]
