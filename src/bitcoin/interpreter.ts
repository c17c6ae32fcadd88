import { equalBytes } from '../base/bytes.ts'
import {
  castToBool,
  countOps,
  type Machine,
  need,
  type OpTable,
  pop,
  pushBool,
  type ScriptEnvironment,
} from './machine.ts'
import { OP } from './opcodes.ts'
import { ARITHMETIC_OPS, HASH_OPS } from './opsArithmetic.ts'
import { LOCK_OPS } from './opsLock.ts'
import { SIGNATURE_OPS } from './opsSignature.ts'
import { STACK_OPS } from './opsStack.ts'
import { scriptOpView } from './script.ts'
import { failScript } from './scriptError.ts'
import { VERIFY } from './verifyFlags.ts'

const MAX_SCRIPT_SIZE = 10_000
/** Of one stack item, B. */
export const MAX_PUSH_SIZE = 520
/** Items on both stacks. */
const MAX_STACK = 1000

const DISABLED: ReadonlySet<number> = new Set([
  OP.CAT,
  OP.SUBSTR,
  OP.LEFT,
  OP.RIGHT,
  OP.INVERT,
  OP.AND,
  OP.OR,
  OP.XOR,
  OP['2MUL'],
  OP['2DIV'],
  OP.MUL,
  OP.DIV,
  OP.MOD,
  OP.LSHIFT,
  OP.RSHIFT,
])

/**
 * Runs one script on a stack, which it changes.
 * @throws ScriptFailure
 */
export function runScript(stack: Uint8Array[], script: Uint8Array, env: ScriptEnvironment): void {
  if (script.length > MAX_SCRIPT_SIZE) failScript('SCRIPT_SIZE')
  const m: Machine = { env, script, stack, alt: [], conditions: [], codeStart: 0, opCount: 0 }
  for (let at = 0; at < script.length; ) {
    const op = scriptOpView(script, at) ?? failScript('BAD_OPCODE')
    at = op.next
    if (op.data) {
      if (op.data.length > MAX_PUSH_SIZE) failScript('PUSH_SIZE')
      if (isRunning(m)) push(m, op.code, op.data)
    } else {
      execute(m, op.code, at)
    }
    if (stack.length + m.alt.length > MAX_STACK) failScript('STACK_SIZE')
  }
  if (m.conditions.length > 0) failScript('UNBALANCED_CONDITIONAL')
}

const isRunning = (m: Machine): boolean => m.conditions.length === 0 || !m.conditions.includes(false)

function push(m: Machine, code: number, data: Uint8Array): void {
  if (m.env.flags & VERIFY.MINIMALDATA && !isMinimalPush(code, data)) failScript('MINIMALDATA')
  m.stack.push(data)
}

function isMinimalPush(code: number, data: Uint8Array): boolean {
  const n = data.length
  if (n === 0) return code === OP[0]
  if (n === 1 && ((data[0]! >= 1 && data[0]! <= 16) || data[0] === 0x81)) return false
  if (n <= 75) return code === n
  if (n <= 255) return code === OP.PUSHDATA1
  return n > 65535 || code === OP.PUSHDATA2
}

/** Any opcode but a push of bytes. Limits and disabled opcodes count in branches that do not run, too. */
function execute(m: Machine, code: number, next: number): void {
  if (code > OP[16]) countOps(m, 1)
  if (DISABLED.has(code)) failScript('DISABLED_OPCODE')
  if (code === OP.CODESEPARATOR && !m.env.segwit && m.env.flags & VERIFY.CONST_SCRIPTCODE) {
    failScript('OP_CODESEPARATOR')
  }
  const running = isRunning(m)
  if (code >= OP.IF && code <= OP.ENDIF) conditionalOp(m, code, running)
  else if (running) {
    if (code === OP.CODESEPARATOR) m.codeStart = next
    else HANDLERS[code]!(m)
  }
}

function conditionalOp(m: Machine, code: number, running: boolean): void {
  const { conditions } = m
  if (code === OP.IF || code === OP.NOTIF) {
    conditions.push(running && castToBool(condition(m)) === (code === OP.IF))
  } else if (code === OP.ELSE || code === OP.ENDIF) {
    const current = conditions.pop() ?? failScript('UNBALANCED_CONDITIONAL')
    if (code === OP.ELSE) conditions.push(!current)
  } else {
    failScript('BAD_OPCODE')
  }
}

function condition(m: Machine): Uint8Array {
  const item = m.stack.pop() ?? failScript('UNBALANCED_CONDITIONAL')
  const minimal = item.length === 0 || (item.length === 1 && item[0] === 1)
  if (m.env.segwit && m.env.flags & VERIFY.MINIMALIF && !minimal) failScript('MINIMALIF')
  return item
}

function equal(m: Machine): boolean {
  need(m, 2)
  return equalBytes(pop(m), pop(m))
}

const CONTROL_OPS: OpTable = [
  [OP['1NEGATE'], (m) => m.stack.push(Uint8Array.of(0x81))],
  ...Array.from({ length: 16 }, (_, i) => [OP[1] + i, (m: Machine) => m.stack.push(Uint8Array.of(1 + i))] as const),
  [OP.NOP, () => {}],
  [OP.VERIFY, (m) => castToBool(pop(m)) || failScript('VERIFY')],
  [OP.RETURN, () => failScript('OP_RETURN')],
  [OP.EQUAL, (m) => pushBool(m, equal(m))],
  [OP.EQUALVERIFY, (m) => equal(m) || failScript('EQUALVERIFY')],
]

const HANDLERS: ((m: Machine) => unknown)[] = Array.from({ length: 256 }, () => () => failScript('BAD_OPCODE'))
for (const table of [CONTROL_OPS, STACK_OPS, ARITHMETIC_OPS, HASH_OPS, LOCK_OPS, SIGNATURE_OPS]) {
  for (const [code, run] of table) HANDLERS[code] = run
}
