import type { Sat } from '../base/units.ts'
import { CHANGE_DUST_SAT } from './select.ts'
import { feeOf, P2WPKH_INPUT_WEIGHT, P2WPKH_OUTPUT_WEIGHT, shapeWeight } from './weights.ts'

/** 8 B amount, 1 + 42 B script: of a witness program of the greatest length. */
const OUTPUT_WEIGHT = 4 * 51

export interface Spend {
  readonly targetSat: bigint
  /** How many outputs have to be paid, change aside. */
  readonly outputs: number
  /** sat per 1,000 weight units. */
  readonly feeratePerKw: number
}

/** The most that `selectCoins` can come to pay in fees. @param coins amounts of all that may be chosen */
export function mostFee(coins: readonly Sat[], spend: Spend): Sat {
  return feeWith(Math.max(1, mostCoins(coins, spend)), spend)
}

/** The same where all the coins are named. */
export const mostFeeOf = (inputs: number, spend: Omit<Spend, 'targetSat'>): Sat => feeWith(inputs, spend)

/** With change, and with what may be left over that is not worth an output. */
function feeWith(inputs: number, { outputs, feeratePerKw }: Omit<Spend, 'targetSat'>): Sat {
  const weight = shapeWeight({
    inputs,
    inputsWeight: inputs * P2WPKH_INPUT_WEIGHT,
    outputs: outputs + 1,
    outputsWeight: outputs * OUTPUT_WEIGHT + P2WPKH_OUTPUT_WEIGHT,
  })
  return (feeOf(weight, feeratePerKw) + leftOver(feeratePerKw)) as Sat
}

/** An exact match leaves up to what change would cost now and later, any other choice less than dust. */
function leftOver(feeratePerKw: number): bigint {
  const exact = feeOf(P2WPKH_OUTPUT_WEIGHT + P2WPKH_INPUT_WEIGHT, feeratePerKw)
  return exact > CHANGE_DUST_SAT ? exact : CHANGE_DUST_SAT
}

/** No choice goes on once it is enough, so none has more coins than one that takes the smallest first. */
function mostCoins(coins: readonly Sat[], spend: Spend): number {
  const inputSat = feeOf(P2WPKH_INPUT_WEIGHT, spend.feeratePerKw)
  const worth = coins.filter((amountSat) => amountSat > inputSat).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  let missing = spend.targetSat + feeWith(0, spend)
  const enough = worth.findIndex((amountSat) => {
    missing -= amountSat - inputSat
    return missing < 0n
  })
  return enough < 0 ? worth.length : enough + 1
}
