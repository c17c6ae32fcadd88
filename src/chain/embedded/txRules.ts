import { toHex } from '../../base/bytes.ts'
import { outpointKey, txidFromBytes } from '../../base/ids.ts'
import { MAX_SAT, type Sat } from '../../base/units.ts'
import { COINBASE_MATURITY } from '../../bitcoin/checkTransaction.ts'
import { SCRIPT_ERRORS } from '../../bitcoin/scriptError.ts'
import { type Transaction, txidOf } from '../../bitcoin/transaction.ts'
import { verifyTransaction } from '../../bitcoin/verify.ts'
import type { Coin, CoinSource } from './coins.ts'
import { type LockContext, sequenceLocksPassed } from './locks.ts'
import { type Rejection, reject } from './rejection.ts'

/** The coins that a transaction spends, in input order; null when one is missing or spent. */
export function findCoins(tx: Transaction, source: CoinSource): Coin[] | null {
  const coins: Coin[] = []
  for (const input of tx.inputs) {
    const coin = source.get(outpointKey(input))
    if (!coin) return null
    coins.push(coin)
  }
  return coins
}

/**
 * Maturity and values.
 * @param height of the block that would hold the transaction
 * @returns the fee
 */
export function checkAmounts(
  tx: Transaction,
  coins: readonly Coin[],
  height: number,
): { readonly fee: Sat } | Rejection {
  let paidIn = 0n
  for (const coin of coins) {
    const depth = height - coin.height
    if (coin.coinbase && depth < COINBASE_MATURITY) {
      return reject('bad-txns-premature-spend-of-coinbase', `tried to spend coinbase at depth ${depth}`)
    }
    paidIn += coin.output.amountSat
    if (paidIn > MAX_SAT) return reject('bad-txns-inputvalues-outofrange')
  }
  const paidOut = tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)
  if (paidIn < paidOut) return reject('bad-txns-in-belowout', `value in (${btc(paidIn)}) < value out (${btc(paidOut)})`)
  return { fee: (paidIn - paidOut) as Sat }
}

/** An amount in BTC as Core prints it in messages: two to eight decimals. */
export const btc = (amount: bigint): string => {
  const digits = amount.toString().padStart(9, '0')
  return `${digits.slice(0, -8)}.${digits.slice(-8).replace(/0{1,6}$/, '')}`
}

/** BIP 68 over coins. */
export const locksPassed = (tx: Transaction, coins: readonly Coin[], context: LockContext): boolean =>
  sequenceLocksPassed(
    tx,
    coins.map((c) => c.height),
    context,
  )

const MAX_REMEMBERED = 100_000

/** A transaction whose scripts are to be verified. `wtxid` is its id with the witness, wire order: what the cache goes by. */
export interface ScriptCheck {
  readonly tx: Transaction
  readonly wtxid: Uint8Array
  readonly coins: readonly Coin[]
}

/** Transactions whose scripts have been found good, so that a block need not run them again. The id covers the witness. */
export class ScriptCache {
  #good = new Set<string>()

  /** @returns null when the scripts are good, otherwise the rejection, whose reason begins with `word` */
  verify({ tx, wtxid, coins }: ScriptCheck, flags: number, word: string): Rejection | null {
    const id = cacheId(wtxid, flags)
    if (this.#good.has(id)) return null
    const result = verifyTransaction(
      tx,
      coins.map((c) => c.output),
      flags,
    )
    if (!result.ok) {
      const spent = tx.inputs[result.inputIndex ?? 0]!
      const ids = `${txidOf(tx)} (wtxid ${txidFromBytes(wtxid)})`
      const where = `input ${result.inputIndex} of ${ids}, spending ${outpointKey(spent)}`
      return reject(`${word}-script-verify-flag-failed (${SCRIPT_ERRORS[result.error]})`, where)
    }
    this.remember(wtxid, flags)
    return null
  }

  /** That the scripts hold under flags that a stricter check included. */
  remember(wtxid: Uint8Array, flags: number): void {
    if (this.#good.size >= MAX_REMEMBERED) this.#good = new Set()
    this.#good.add(cacheId(wtxid, flags))
  }
}

const cacheId = (wtxid: Uint8Array, flags: number): string => `${flags}:${toHex(wtxid)}`
