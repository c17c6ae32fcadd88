import { expect } from 'vitest'
import type { Sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import { type Transaction, unsignedInput, weightOf, withWitness } from '../../src/bitcoin/transaction.ts'
import { addFees } from '../../src/wallet/bump.ts'
import { addTransaction, unlockCoins } from '../../src/wallet/coins.ts'
import { InsufficientFundsError } from '../../src/wallet/errors.ts'
import type { WalletState } from '../../src/wallet/state.ts'
import { foreignOutpoint, foreignScript, output, signer } from './world.ts'

export const AMOUNT = 100_000
/** Like an HTLC transaction with option_anchors: its fee is 0. */
export const htlc = (n = 1): Transaction =>
  withWitness(
    {
      version: 2,
      inputs: [unsignedInput(foreignOutpoint(n), 1)],
      outputs: [output(AMOUNT, p2wsh(foreignScript(n)))],
      lockTime: 0,
    },
    0,
    [new Uint8Array(72), new Uint8Array(72), new Uint8Array(140)],
  )
/** Like the child of a commitment: nothing but an anchor. */
export const child = (n = 1): Transaction =>
  withWitness({ version: 2, inputs: [unsignedInput(foreignOutpoint(n), 1)], outputs: [], lockTime: 0 }, 0, [
    new Uint8Array(72),
    new Uint8Array(40),
  ])

export interface Bump {
  readonly state: WalletState
  readonly tx: Transaction
  readonly feeSat: Sat
}
export function bump(state: WalletState, request: Omit<Parameters<typeof addFees>[1], 'owner'>): Bump | null {
  const built = addFees(state, { ...request, owner: 'x' }, signer)
  if (built === null) return null
  const sent = addTransaction(built.state, built.tx, { now: 1, feeSat: built.feeSat })
  return { ...built, state: unlockCoins(sent, 'x') }
}
/** 'poor' when the wallet cannot pay; whatever else goes wrong fails the test. */
export function bumpIfRich(...args: Parameters<typeof bump>): ReturnType<typeof bump> | 'poor' {
  try {
    return bump(...args)
  } catch (e) {
    expect(e).toBeInstanceOf(InsufficientFundsError)
    return 'poor'
  }
}
export const rate = ({ tx, feeSat }: Bump): number => (Number(feeSat) * 1000) / weightOf(tx)
