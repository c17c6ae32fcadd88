import { expect } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import { weightOf } from '../../src/bitcoin/transaction.ts'
import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import type { BuiltTransaction } from '../../src/wallet/build.ts'
import { WalletError } from '../../src/wallet/errors.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import type { WalletState } from '../../src/wallet/state.ts'
import { account, output, total } from './world.ts'

/** The code of the WalletError that an action ends in. */
export const codeOf = (act: () => unknown): string => {
  try {
    act()
  } catch (e) {
    if (e instanceof WalletError) return e.code
    throw e
  }
  return 'no error'
}

/** Independent of how it was built: scripts, sums, feerate. */
export function checkSpend(before: WalletState, built: BuiltTransaction, feerate: number): void {
  const { tx, coins, feeSat } = built
  const prevouts = tx.inputs.map((input) => {
    const coin = before.coins.get(outpointKey(input))!
    return output(coin.amountSat, walletScript(account, coin.branch, coin.keyIndex))
  })
  expect(verifyTransaction(tx, prevouts)).toEqual({ ok: true })
  expect(total(prevouts) - total(tx.outputs)).toBe(feeSat)
  const least = BigInt(Math.ceil((weightOf(tx) * feerate) / 1000))
  expect(feeSat).toBeGreaterThanOrEqual(least)
  // Each signature may be two bytes shorter than reckoned; without change up to a change output goes to the fee.
  const slack = BigInt(Math.ceil((2 * coins.length * feerate) / 1000)) + 1n
  const unchanged = 294n + BigInt(Math.ceil((124 * feerate) / 1000))
  expect(feeSat).toBeLessThanOrEqual(least + slack + (built.changeSat === null ? unchanged : 0n))
  for (const o of tx.outputs) expect(o.amountSat).toBeGreaterThanOrEqual(294n)
}
