import { FulmenError } from '../base/errors.ts'
import type { Sat } from '../base/units.ts'

export type WalletErrorCode =
  | 'INVALID_MNEMONIC'
  | 'INSUFFICIENT_FUNDS'
  | 'DUST_OUTPUT'
  | 'INVALID_FEERATE'
  | 'UNKNOWN_COIN'
  | 'COIN_NOT_SPENDABLE'
  | 'NOTHING_TO_SPEND'
  | 'TRANSACTION_TOO_LARGE'
  | 'CANNOT_BUMP'
  /** The coins are there, but with the next block only: what they come from has as many descendants as nodes take. */
  | 'FAMILY_FULL'
  | 'PSBT_REFUSED'

/** The wallet cannot do what was asked; the message says what to change. */
export class WalletError extends FulmenError {
  declare readonly code: WalletErrorCode
  /** Which of the outputs or coins that were named is at fault, from 0. */
  readonly at: number | undefined
  constructor(code: WalletErrorCode, message: string, options?: ErrorOptions & { readonly at?: number }) {
    super(code, message, options)
    this.at = options?.at
  }
}

/** What a payment would need beyond what the wallet can spend. */
export class InsufficientFundsError extends WalletError {
  /** sat, outputs and fee. */
  readonly neededSat: Sat
  /** sat, spendable now after the reserve. */
  readonly availableSat: Sat
  readonly missingSat: Sat

  constructor(needed: bigint, available: bigint, reserve: bigint) {
    const missing = needed - available
    const kept = reserve > 0n ? ` (${reserve} sat are kept back so that anchor channels can be closed)` : ''
    super(
      'INSUFFICIENT_FUNDS',
      `${needed} sat are needed, fee included, and ${available} sat can be spent${kept}: ${missing} sat are missing; ` +
        'receive them first, wait for confirmations, or send less',
    )
    this.neededSat = needed as Sat
    this.availableSat = available as Sat
    this.missingSat = missing as Sat
  }
}
