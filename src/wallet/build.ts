import { compareBytes } from '../base/bytes.ts'
import { InvariantError } from '../base/errors.ts'
import { type Outpoint, outpointKey, type Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { dustThreshold, FEERATE_CEILING, FEERATE_FLOOR } from '../bitcoin/policy.ts'
import { type Transaction, type TxOutput, txidOf, unsignedInput } from '../bitcoin/transaction.ts'
import { issueAddress, lockCoins } from './coins.ts'
import { InsufficientFundsError, WalletError } from './errors.ts'
import { CHANGE, type WalletSigner } from './keys.ts'
import { CHANGE_DUST_SAT, type Selection, type SelectRequest, selectCoins } from './select.ts'
import { signInputs } from './sign.ts'
import type { Coin, WalletState } from './state.ts'
import { type CoinView, unspentCoins } from './status.ts'
import {
  feeOf,
  MAX_STANDARD_WEIGHT,
  outputWeight,
  P2WPKH_INPUT_WEIGHT,
  P2WPKH_OUTPUT_WEIGHT,
  shapeWeight,
  type TxShape,
} from './weights.ts'

/** Opts in to replacement (BIP 125) and lets the lock time count. */
const SEQUENCE = 0xfffffffd

/** A signed transaction of ours. Broadcast it, then `addTransaction`; or unlock its coins. */
export interface BuiltTransaction {
  /** With the coins locked for the owner and the change address used up: store it before the transaction leaves. */
  readonly state: WalletState
  readonly tx: Transaction
  readonly txid: Txid
  /** Where each of the requested outputs is. */
  readonly outputIndexes: readonly number[]
  readonly feeSat: Sat
  readonly changeSat: Sat | null
  /** Our coins that it spends. */
  readonly coins: readonly Coin[]
}

export interface FundRequest {
  readonly outputs: readonly TxOutput[]
  /** sat per 1,000 weight units. */
  readonly feeratePerKw: number
  /** Name under which the coins are locked. */
  readonly owner: string
  /** Kept back in the wallet; see anchorReserve. */
  readonly reserveSat?: Sat
  /** Spend exactly these. */
  readonly coins?: readonly Outpoint[]
}

/**
 * Builds and signs a transaction that pays these outputs, for a channel opening or a payment on chain. Inputs and outputs are in
 * BIP 69 order, so that the position of the change says nothing; the lock time is the present height, as in other wallets.
 * @throws InsufficientFundsError, WalletError
 */
export function fundTransaction(state: WalletState, request: FundRequest, signer: WalletSigner): BuiltTransaction {
  const { outputs, feeratePerKw, reserveSat = 0n } = request
  checkFeerate(feeratePerKw)
  checkOutputs(outputs)
  const select = {
    shape: shapeOf([], outputs),
    targetSat: outputs.reduce((s, o) => s + o.amountSat, 0n),
    feeratePerKw,
    reserveSat,
  }
  const spendable = unspentCoins(state)
  const selection = request.coins
    ? selectCoins({
        ...select,
        ownedSat: owned(spendable),
        required: pickCoins(spendable, request.coins),
        candidates: [],
      })
    : selectSpendable(spendable, select)
  return finish(state, { selection, outputs, owner: request.owner, signer })
}

export interface SweepRequest {
  /** Where everything goes. */
  readonly scriptPubKey: Uint8Array
  readonly feeratePerKw: number
  readonly owner: string
  /** To be left in the wallet: by coins that are not spent, or else in an output of its own. */
  readonly reserveSat?: Sat
  /** Spend exactly these. */
  readonly coins?: readonly Outpoint[]
}

/**
 * Spends every confirmed coin that is worth its input to one script, the fee taken off. All or nothing: what does not fit one
 * transaction is refused with the amount to send first.
 * @throws WalletError NOTHING_TO_SPEND, TRANSACTION_TOO_LARGE, InsufficientFundsError
 */
export function sweepWallet(state: WalletState, request: SweepRequest, signer: WalletSigner): BuiltTransaction {
  const { scriptPubKey, feeratePerKw, reserveSat = 0n, owner } = request
  checkFeerate(feeratePerKw)
  const views = unspentCoins(state)
  const worth = views
    .filter((v) => v.status === 'spendable' && v.coin.amountSat > feeOf(P2WPKH_INPUT_WEIGHT, feeratePerKw))
    .map((v) => v.coin)
  const coins = request.coins ? pickCoins(views, request.coins) : worth.filter((c) => c.height !== null)
  if (coins.length === 0) {
    const why = 'the wallet has no confirmed coin that is worth its fee: wait for a block, or choose a lower feerate'
    throw new WalletError('NOTHING_TO_SPEND', why)
  }
  const spent = new Set(coins)
  const short = reserveSat - sum(worth.filter((c) => !spent.has(c)))
  const kept = short <= 0n ? 0n : short > CHANGE_DUST_SAT ? short : CHANGE_DUST_SAT
  const weightOfFirst = (count: number): number => {
    const shape = shapeOf(coins.slice(0, count), [{ amountSat: 0n as Sat, scriptPubKey }])
    const change = { outputs: 2, outputsWeight: shape.outputsWeight + P2WPKH_OUTPUT_WEIGHT }
    return shapeWeight(kept > 0n ? { ...shape, ...change } : shape)
  }
  const weight = weightOfFirst(coins.length)
  const total = sum(coins)
  const feeSat = feeOf(weight, feeratePerKw)
  const amountSat = total - feeSat - kept
  const least = dustThreshold(scriptPubKey)
  if (amountSat < least) throw new InsufficientFundsError(least + feeSat, total > kept ? total - kept : 0n, kept)
  if (weight > MAX_STANDARD_WEIGHT) {
    const fit = coins.length - Math.ceil((weight - MAX_STANDARD_WEIGHT) / P2WPKH_INPUT_WEIGHT)
    const largest = coins.map((c) => c.amountSat as bigint).sort((a, b) => (a < b ? 1 : a > b ? -1 : 0))
    const first = largest.slice(0, fit).reduce((s, a) => s + a, 0n) - feeOf(weightOfFirst(fit), feeratePerKw) - kept
    const why = `${coins.length} coins are to be spent, and ${fit} fit a transaction: first send ${first} sat, then all`
    throw new WalletError('TRANSACTION_TOO_LARGE', why)
  }
  const outputs = [{ amountSat: amountSat as Sat, scriptPubKey }]
  const selection = { coins, feeSat: feeSat as Sat, changeSat: kept > 0n ? (kept as Sat) : null }
  return finish(state, { selection, outputs, owner, signer })
}

const sum = (coins: readonly Coin[]): bigint => coins.reduce((s, c) => s + c.amountSat, 0n)

/** For one channel, until the operator says otherwise. */
export const ANCHOR_RESERVE_SAT = 10_000n as Sat

/** What to keep back so that channels with anchors can be closed at any time, all of them at once, for a number of such channels. */
export const anchorReserve = (channels: number, eachSat: Sat = ANCHOR_RESERVE_SAT): Sat =>
  (BigInt(channels) * eachSat) as Sat

/** @throws WalletError INVALID_FEERATE unless nodes relay it and no mistake is likely: 253 – 250,000 sat per 1,000 weight units */
export function checkFeerate(feeratePerKw: number): void {
  if (Number.isInteger(feeratePerKw) && feeratePerKw >= FEERATE_FLOOR && feeratePerKw <= FEERATE_CEILING) return
  const range = `${FEERATE_FLOOR} – ${FEERATE_CEILING} sat per 1,000 weight units`
  throw new WalletError('INVALID_FEERATE', `feerate ${feeratePerKw}: expected a whole number within ${range}`)
}

function checkOutputs(outputs: readonly TxOutput[]): void {
  if (outputs.length === 0) throw new WalletError('NOTHING_TO_SPEND', 'no output is given: say what to pay')
  outputs.forEach(({ amountSat, scriptPubKey }, i) => {
    const least = dustThreshold(scriptPubKey)
    if (amountSat >= least) return
    const why = `output ${i} of ${amountSat} sat is not relayed: send at least ${least} sat`
    throw new WalletError('DUST_OUTPUT', why, { at: i })
  })
}

function shapeOf(inputs: readonly Coin[], outputs: readonly TxOutput[]): TxShape {
  return {
    inputs: inputs.length,
    inputsWeight: inputs.length * P2WPKH_INPUT_WEIGHT,
    outputs: outputs.length,
    outputsWeight: outputs.reduce((s, o) => s + outputWeight(o), 0),
  }
}

function pickCoins(views: readonly CoinView[], wanted: readonly Outpoint[]): readonly Coin[] {
  const byOutpoint = new Map(views.map((v) => [outpointKey(v.coin.outpoint), v]))
  const names = wanted.map(outpointKey)
  return [...new Set(names)].map((key) => {
    const view = byOutpoint.get(key)
    const at = names.indexOf(key)
    if (!view) throw new WalletError('UNKNOWN_COIN', `${key} is not an unspent output of this wallet`, { at })
    if (view.status !== 'spendable') throw new WalletError('COIN_NOT_SPENDABLE', `${key} is ${view.status}`, { at })
    return view.coin
  })
}

/** Everything that could be spent now, whether it is selected or not. */
const owned = (views: readonly CoinView[]): bigint =>
  views.reduce((s, v) => (v.status === 'spendable' ? s + v.coin.amountSat : s), 0n)

export type SelectBy = Omit<SelectRequest<Coin>, 'candidates' | 'ownedSat'>

/** Confirmed coins if they are enough, our own unconfirmed change only if not. @throws WalletError */
export function selectSpendable(views: readonly CoinView[], select: SelectBy): Selection<Coin> {
  const spendable = views.filter((v) => v.status === 'spendable')
  const ownedSat = owned(views)
  const confirmed = spendable.filter((v) => v.coin.height !== null)
  if (confirmed.length < spendable.length) {
    try {
      return selectCoins({ ...select, ownedSat, candidates: confirmed.map((v) => v.coin) })
    } catch (e) {
      if (!(e instanceof WalletError)) throw e
    }
  }
  return selectCoins({ ...select, ownedSat, candidates: spendable.map((v) => v.coin) })
}

/** What a transaction is made of. */
export interface Plan {
  readonly selection: Selection<Coin>
  readonly outputs: readonly TxOutput[]
  readonly owner: string
  readonly signer: WalletSigner
  /** Whose inputs and outputs come first, as they are. */
  readonly base?: Transaction
  /** Fee that `base` pays by itself. */
  readonly paidSat?: bigint
  /** Change scripts that have been issued before; beyond them, the next ones. */
  readonly changeScripts?: readonly Uint8Array[]
  /** In how many outputs the change comes back at most; their weight is in the selection's shape, but for the first one's. */
  readonly changeParts?: number
}

/** Locks the coins, adds change, signs. */
export function finish(state: WalletState, plan: Plan): BuiltTransaction {
  const { selection, outputs, owner, signer, base, paidSat = 0n } = plan
  const { feeSat, changeSat } = selection
  const coins = [...selection.coins].sort(byOutpoint)
  let after = lockCoins(
    state,
    coins.map((c) => c.outpoint),
    owner,
  )
  const requested = outputs.map((o) => ({ ...o }))
  const added: TxOutput[] = [...requested]
  partsOf(changeSat, plan.changeParts).forEach((amountSat, i) => {
    const known = plan.changeScripts?.[i]
    const change = known ? null : issueAddress(after, CHANGE)
    if (change) after = change.state
    added.push({ amountSat, scriptPubKey: known ?? change!.scriptPubKey })
  })
  added.sort(byAmountThenScript)
  const first = base?.inputs.length ?? 0
  const unsigned: Transaction = {
    version: base?.version ?? 2,
    inputs: [...(base?.inputs ?? []), ...coins.map((c) => unsignedInput(c.outpoint, SEQUENCE))],
    outputs: [...(base?.outputs ?? []), ...added],
    lockTime: base?.lockTime ?? state.height,
  }
  const tx = signInputs(unsigned, new Map(coins.map((coin, i) => [first + i, coin])), signer)
  const outputIndexes = requested.map((o) => tx.outputs.indexOf(o))
  checkConserved({ coins, outputs: added, feeSat, paidSat })
  return { state: after, tx, txid: txidOf(tx), outputIndexes, feeSat, changeSat, coins }
}

/** A part of change is not to be smaller: it would pay for nothing. */
export const LEAST_PART_SAT = 50_000n

/** Equal parts, the first with what is left over; one when there is too little for several. */
function partsOf(changeSat: Sat | null, most = 1): readonly Sat[] {
  if (changeSat === null) return []
  const room = Number(changeSat / LEAST_PART_SAT)
  const count = Math.max(1, Math.min(most, room))
  const each = changeSat / BigInt(count)
  const first = changeSat - each * BigInt(count - 1)
  return Array.from({ length: count }, (_, i) => (i === 0 ? first : each) as Sat)
}

/** BIP 69 */
function byOutpoint({ outpoint: a }: Coin, { outpoint: b }: Coin): number {
  if (a.txid !== b.txid) return a.txid < b.txid ? -1 : 1
  return a.index - b.index
}

/** BIP 69 */
function byAmountThenScript(a: TxOutput, b: TxOutput): number {
  if (a.amountSat !== b.amountSat) return a.amountSat < b.amountSat ? -1 : 1
  return compareBytes(a.scriptPubKey, b.scriptPubKey)
}

interface Account {
  readonly coins: readonly Coin[]
  readonly outputs: readonly TxOutput[]
  readonly feeSat: bigint
  readonly paidSat: bigint
}

/** Nothing is signed away by a slip of the arithmetic. */
function checkConserved({ coins, outputs, feeSat, paidSat }: Account): void {
  const spent = coins.reduce((s, c) => s + c.amountSat, 0n)
  const paid = outputs.reduce((s, o) => s + o.amountSat, 0n)
  if (spent + paidSat === paid + feeSat) return
  throw new InvariantError(`transaction spends ${spent} + ${paidSat} sat, pays ${paid} sat and ${feeSat} sat of fee`)
}
