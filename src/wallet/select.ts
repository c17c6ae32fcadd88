import type { Sat } from '../base/units.ts'
import { InsufficientFundsError, WalletError } from './errors.ts'
import {
  feeOf,
  MAX_STANDARD_WEIGHT,
  P2WPKH_INPUT_WEIGHT,
  P2WPKH_OUTPUT_WEIGHT,
  shapeWeight,
  type TxShape,
} from './weights.ts'

/** Core's dust threshold of a P2WPKH output: less is not relayed. */
export const CHANGE_DUST_SAT = 294n

export interface SelectRequest<C> {
  /** All of these are spent. */
  readonly required?: readonly C[]
  readonly candidates: readonly C[]
  /** The transaction without the inputs to be selected and without change. */
  readonly shape: TxShape
  /** What the selected inputs must bring beside the fee: outputs less what other inputs bring. */
  readonly targetSat: bigint
  readonly feeratePerKw: number
  /** A transaction without another output: there must be change. */
  readonly mustChange?: boolean
  /** sat that must be left in the wallet. */
  readonly reserveSat?: bigint
  /** sat that the wallet could spend now; left out, the coins given here. */
  readonly ownedSat?: bigint
}

export interface Selection<C> {
  readonly coins: readonly C[]
  /** Of the whole transaction: at least its weight × feerate. */
  readonly feeSat: Sat
  /** Null when there is too little left for an output of its own: it goes to the fee. */
  readonly changeSat: Sat | null
}

interface Spendable {
  readonly amountSat: Sat
}

/**
 * Chooses P2WPKH coins that pay for a transaction: without change if some set fits (branch and bound), else the smallest coin that
 * is enough, else the largest ones. Deterministic.
 * @throws InsufficientFundsError, WalletError TRANSACTION_TOO_LARGE
 */
export function selectCoins<C extends Spendable>(request: SelectRequest<C>): Selection<C> {
  const { required = [], feeratePerKw, targetSat, reserveSat = 0n } = request
  const inputSat = feeOf(P2WPKH_INPUT_WEIGHT, feeratePerKw)
  const worth = (c: C): boolean => c.amountSat > inputSat
  const candidates = request.candidates.filter(worth).sort(byAmountDescending)
  const owned = request.ownedSat ?? sum(required) + sum(request.candidates)

  const chosen =
    exactMatch(request, candidates) ?? smallestEnough(request, candidates) ?? largestFirst(request, candidates)
  const coins = [...required, ...chosen]
  const weight = weightWith(request, coins.length, false)
  const found = outcome(request, coins.length, sum(coins))
  const selection = found && { coins, ...found }
  const spent = targetSat + (selection?.feeSat ?? feeOf(weight, feeratePerKw))
  const kept = owned - spent
  if (!selection || kept < reserveSat) {
    const available = selection ? owned : sum(coins)
    throw new InsufficientFundsError(spent, available > reserveSat ? available - reserveSat : 0n, reserveSat)
  }
  if (weight > MAX_STANDARD_WEIGHT) {
    const why = `${coins.length} coins would be needed, more than fit a transaction`
    throw new WalletError(
      'TRANSACTION_TOO_LARGE',
      `${why}: send less, or first send some of them to an address of your own`,
    )
  }
  return selection
}

const sum = (coins: readonly Spendable[]): bigint => coins.reduce((s, c) => s + c.amountSat, 0n)

const byAmountDescending = (a: Spendable, b: Spendable): number =>
  a.amountSat === b.amountSat ? 0 : a.amountSat > b.amountSat ? -1 : 1

function weightWith<C>({ shape }: SelectRequest<C>, coins: number, change: boolean): number {
  return shapeWeight({
    inputs: shape.inputs + coins,
    inputsWeight: shape.inputsWeight + coins * P2WPKH_INPUT_WEIGHT,
    outputs: shape.outputs + (change ? 1 : 0),
    outputsWeight: shape.outputsWeight + (change ? P2WPKH_OUTPUT_WEIGHT : 0),
  })
}

/** Fee and change of so many coins with so many satoshi; null when that is too little. */
function outcome<C>(
  request: SelectRequest<C>,
  coins: number,
  totalSat: bigint,
): Pick<Selection<C>, 'feeSat' | 'changeSat'> | null {
  const excess = totalSat - request.targetSat
  const changeFee = feeOf(weightWith(request, coins, true), request.feeratePerKw)
  const change = excess - changeFee
  if (change >= CHANGE_DUST_SAT) return { feeSat: changeFee as Sat, changeSat: change as Sat }
  if (request.mustChange) return null
  const feeSat = feeOf(weightWith(request, coins, false), request.feeratePerKw)
  return excess >= feeSat ? { feeSat: excess as Sat, changeSat: null } : null
}

function smallestEnough<C extends Spendable>(request: SelectRequest<C>, candidates: readonly C[]): readonly C[] | null {
  const { required = [] } = request
  const requiredSat = sum(required)
  if (outcome(request, required.length, requiredSat)) return []
  const coin = candidates.findLast((c) => outcome(request, required.length + 1, requiredSat + c.amountSat))
  return coin ? [coin] : null
}

/** All candidates when even they are not enough. A wallet may have thousands: none is added up twice. */
function largestFirst<C extends Spendable>(request: SelectRequest<C>, candidates: readonly C[]): readonly C[] {
  const { required = [] } = request
  let totalSat = sum(required)
  const last = candidates.findIndex((c, i) => {
    totalSat += c.amountSat
    return outcome(request, required.length + i + 1, totalSat) !== null
  })
  return last < 0 ? candidates : candidates.slice(0, last + 1)
}

const MAX_TRIES = 20_000
/** Up to here the count of inputs is one byte, as the search assumes. */
const MAX_EXACT_INPUTS = 200

/**
 * A set whose excess is less than a change output would cost, now and when it is spent: searched depth first, largest coins first.
 * Amounts here are in thousandths of a satoshi, each less what its input costs.
 */
function exactMatch<C extends Spendable>(request: SelectRequest<C>, candidates: readonly C[]): readonly C[] | null {
  const { required = [], feeratePerKw, targetSat } = request
  if (request.mustChange) return null
  const feerate = BigInt(feeratePerKw)
  const values = candidates.map((c) => c.amountSat * 1000n - BigInt(P2WPKH_INPUT_WEIGHT) * feerate)
  const base = BigInt(weightWith(request, required.length, false)) * feerate
  const target = (targetSat - sum(required)) * 1000n + base
  if (target <= 0n) return null
  const tolerance = BigInt(P2WPKH_OUTPUT_WEIGHT + P2WPKH_INPUT_WEIGHT) * feerate

  /** left[i]: what candidates i … end bring together. */
  const left = [...values, 0n]
  for (let i = values.length - 1; i >= 0; i--) left[i]! += left[i + 1]!

  let tries = MAX_TRIES
  const picked: number[] = []
  const search = (from: number, total: bigint): boolean => {
    if (total >= target) return total <= target + tolerance
    for (let i = from; i < values.length && total + left[i]! >= target; i++) {
      if (--tries < 0 || picked.length === MAX_EXACT_INPUTS) return false
      // A coin like the one just left out leads nowhere new.
      if (i > from && values[i] === values[i - 1]) continue
      picked.push(i)
      if (search(i + 1, total + values[i]!)) return true
      picked.pop()
    }
    return false
  }
  return search(0, 0n) ? picked.map((i) => candidates[i]!) : null
}
