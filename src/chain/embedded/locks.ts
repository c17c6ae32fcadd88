import {
  LOCKTIME_THRESHOLD,
  SEQUENCE_LOCK_DISABLED,
  SEQUENCE_LOCK_MASK,
  SEQUENCE_LOCK_TIME,
} from '../../bitcoin/opsLock.ts'
import { SEQUENCE_FINAL, type Transaction } from '../../bitcoin/transaction.ts'

/** Where a transaction would be mined. */
export interface LockContext {
  /** Of the block that would hold it. */
  readonly height: number
  /** BIP 113: median time of the eleven blocks before it. */
  readonly medianTimePast: number
  /** The same of the block at a height of this chain. */
  readonly medianTimeAt: (height: number) => number
}

/** Whether the absolute lock time has passed: it is the last height or second that may not hold the transaction. */
export function isFinal(tx: Transaction, context: LockContext): boolean {
  if (tx.lockTime === 0) return true
  const now = tx.lockTime < LOCKTIME_THRESHOLD ? context.height : context.medianTimePast
  return tx.lockTime < now || tx.inputs.every((i) => i.sequence === SEQUENCE_FINAL)
}

/**
 * Whether every relative lock has passed.
 * @param coinHeights height of the block that made each spent output, in input order
 * @source BIP 68
 */
export function sequenceLocksPassed(tx: Transaction, coinHeights: readonly number[], context: LockContext): boolean {
  if (tx.version >>> 0 < 2) return true
  return tx.inputs.every(({ sequence }, i) => {
    if (sequence & SEQUENCE_LOCK_DISABLED) return true
    const coinHeight = coinHeights[i]!
    const value = sequence & SEQUENCE_LOCK_MASK
    if (sequence & SEQUENCE_LOCK_TIME) {
      const since = context.medianTimeAt(Math.max(coinHeight - 1, 0))
      return since + value * 512 <= context.medianTimePast
    }
    return coinHeight + value <= context.height
  })
}
