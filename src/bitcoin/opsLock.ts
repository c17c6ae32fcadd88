import { type Machine, type OpTable, peek, toNumber } from './machine.ts'
import { OP } from './opcodes.ts'
import { failScript } from './scriptError.ts'
import { SEQUENCE_FINAL, type Transaction } from './transaction.ts'
import { VERIFY } from './verifyFlags.ts'

/** Lock times from here on are Unix seconds, below it block heights. */
export const LOCKTIME_THRESHOLD = 500_000_000
/** BIP 68: this bit set means no relative lock at all. */
export const SEQUENCE_LOCK_DISABLED = 0x80000000
/** BIP 68: the lock counts units of 512 seconds, not blocks. */
export const SEQUENCE_LOCK_TIME = 0x00400000
export const SEQUENCE_LOCK_MASK = 0x0000ffff

/** @source BIP 65 */
function lockTimeReached(tx: Transaction, inputIndex: number, required: number): boolean {
  if (required < LOCKTIME_THRESHOLD !== tx.lockTime < LOCKTIME_THRESHOLD) return false
  return required <= tx.lockTime && tx.inputs[inputIndex]!.sequence !== SEQUENCE_FINAL
}

/** @source BIP 112 */
function sequenceReached(tx: Transaction, inputIndex: number, required: number): boolean {
  if (required & SEQUENCE_LOCK_DISABLED) return true
  const { sequence } = tx.inputs[inputIndex]!
  if (tx.version >>> 0 < 2 || sequence & SEQUENCE_LOCK_DISABLED) return false
  const relevant = SEQUENCE_LOCK_TIME | SEQUENCE_LOCK_MASK
  const [least, own] = [required & relevant, sequence & relevant]
  return least < SEQUENCE_LOCK_TIME === own < SEQUENCE_LOCK_TIME && least <= own
}

type LockCheck = (tx: Transaction, inputIndex: number, required: number) => boolean

/** The argument stays on the stack; it has up to 5 bytes, to reach the whole range of a lock time. */
const lock = (flag: number, reached: LockCheck) => (m: Machine) => {
  if (!(m.env.flags & flag)) return
  const required = toNumber(m, peek(m, 0), 5)
  if (required < 0) failScript('NEGATIVE_LOCKTIME')
  if (!reached(m.env.tx, m.env.inputIndex, required)) failScript('UNSATISFIED_LOCKTIME')
}

function unusedNop(m: Machine): void {
  if (m.env.flags & VERIFY.DISCOURAGE_UPGRADABLE_NOPS) failScript('DISCOURAGE_UPGRADABLE_NOPS')
}

/** OP_NOP1 – OP_NOP10, two of which are time locks by now. */
export const LOCK_OPS: OpTable = [
  [OP.CHECKLOCKTIMEVERIFY, lock(VERIFY.CHECKLOCKTIMEVERIFY, lockTimeReached)],
  [OP.CHECKSEQUENCEVERIFY, lock(VERIFY.CHECKSEQUENCEVERIFY, sequenceReached)],
  ...[OP.NOP1, OP.NOP4, OP.NOP5, OP.NOP6, OP.NOP7, OP.NOP8, OP.NOP9, OP.NOP10].map(
    (code) => [code, unusedNop] as const,
  ),
]
