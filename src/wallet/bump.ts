import { outpointKey, type Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { FEERATE_CEILING, FEERATE_FLOOR } from '../bitcoin/policy.ts'
import { type Transaction, txidOf, weightOf } from '../bitcoin/transaction.ts'
import { type BuiltTransaction, checkFeerate, finish, LEAST_PART_SAT, type SelectBy, selectSpendable } from './build.ts'
import { abandonTransaction } from './coins.ts'
import { WalletError } from './errors.ts'
import { CHANGE, type WalletSigner } from './keys.ts'
import { type Selection, selectCoins } from './select.ts'
import { type Coin, keyOf, type WalletState } from './state.ts'
import { ancestors, type CoinView, descendants, families, unspentCoins } from './status.ts'
import { feeOf, outputWeight, P2WPKH_OUTPUT_WEIGHT, shapeWeight } from './weights.ts'

export interface AddFeesRequest {
  /** Its inputs and outputs keep their places; its witnesses count for the weight. Without outputs it gets change. */
  readonly tx: Transaction
  /** Of the transaction, with the one that it helps along if there is one. */
  readonly feeratePerKw: number
  readonly owner: string
  /** What its inputs bring beyond its outputs; 0 for an HTLC transaction of a channel with anchors. */
  readonly paidSat?: Sat
  /** The most of the wallet's money that may go to the fee; paid by a lower feerate if need be. */
  readonly budgetSat?: Sat
  /** The most that may go to its fee together with what it pays for transactions that it builds on and that wait at a lower feerate. */
  readonly urgentSat?: Sat
  /** What other transactions will need the wallet for: kept back by a lower feerate, up to half of what the wallet has. */
  readonly leaveSat?: Sat
  /** An unconfirmed parent that it pays for, with the fee that this one pays by itself. */
  readonly parent?: { readonly weight: number; readonly feeSat: Sat }
  /**
   * Coins that are wanted for more of the kind: where the wallet has fewer, the change comes back in as many outputs as are missing, so that
   * after a block more of them can be paid for at once.
   */
  readonly coinsWanted?: number
  /** A transaction that spends the same first input and was broadcast before: it is replaced, its coins are spent again. */
  readonly earlier?: Transaction | null
}

/** BIP 125 rule 4, sat per vbyte. */
const INCREMENTAL = 1n
/**
 * So many transactions that build on each other are taken by a mempool before a block, of which the family has a commitment that we do not
 * count, and perhaps the peer's child (Bitcoin Core: 25 before 31, then 64).
 */
const MOST_FAMILY = 23
/** Families by size, shortest first: a replacement pays for all that builds on what it replaces, hence long ones are dear to raise. */
const FAMILY_SIZES = [1, 2, 4, 8, 16, MOST_FAMILY]
/** Where something dear builds on it, a small raise may cost no more than so many times what was asked for: the other is paid for again. */
const MOST_FOR_LITTLE = 3n
/** Up to so many times what is paid already a raise is small. Near a deadline it is not, and then no price within the budget is too high. */
const LITTLE = 4
/** Blocks of search for a fee that is affordable and within the budget. */
const MAX_TRIES = 40

/**
 * Adds inputs of ours, and change, behind those of a transaction that pays too little: the whole of it then has the feerate, or the
 * highest one that the budget and the coins allow. The reserve is for this, hence none is kept back here.
 * @returns null when the earlier one pays as much already, or what replaces it would be too dear
 * @throws InsufficientFundsError when not even the lowest feerate that nodes relay can be paid, WalletError
 * @source BOLT 3 §htlc-timeout-and-htlc-success-transactions (option_anchors), BIP 125
 */
export function addFees(state: WalletState, request: AddFeesRequest, signer: WalletSigner): BuiltTransaction | null {
  checkFeerate(request.feeratePerKw)
  const { tx, owner, parent, paidSat = 0n } = request
  const earlier = request.earlier ? replacedBy(state, request, request.earlier) : null
  const paid = paidSat + (parent?.feeSat ?? 0n)
  // What a child's own inputs bring, as an anchor, nobody pays without it.
  const [paidAlone, weight] = parent ? [parent.feeSat, parent.weight] : [paidSat, weightOf(tx)]
  if (paidAlone >= feeOf(weight, request.feeratePerKw)) {
    const none = { outputIndexes: [], changeSat: null, coins: [] }
    return earlier ? null : { state, tx, txid: txidOf(tx), feeSat: paidSat as Sat, ...none }
  }
  const free = freed(state, earlier)
  const coins = unspentCoins(free)
  const changeParts = partsFor(coins, request.coinsWanted)
  const shape = shapeOf(request, changeParts)
  const familySize = familySizeOf(free)
  const roomy = coins.filter(({ coin }) => familySize([coin]) < MOST_FAMILY)
  const selection = affordable({ request, earlier, shape, free, coins, roomy, familySize, paid })
  if (selection === null) return null
  const changeScripts = earlier?.changeScripts ?? []
  const plan = { selection, outputs: [], owner, signer, base: tx, paidSat: paid, changeScripts, changeParts }
  const built = finish(state, plan)
  return { ...built, feeSat: (built.feeSat - (parent?.feeSat ?? 0n)) as Sat }
}

/** What is to be replaced. */
interface Earlier {
  readonly txid: Txid
  readonly coins: readonly Coin[]
  /** Of itself, and of it with all that builds on it: those go with it. */
  readonly feeSat: bigint
  readonly familyFeeSat: bigint
  readonly weight: number
  readonly familyWeight: number
  readonly changeScripts: readonly Uint8Array[]
}

interface Work {
  readonly request: AddFeesRequest
  readonly earlier: Earlier | null
  readonly shape: SelectBy['shape']
  /** The wallet as if the earlier transaction had never been. */
  readonly free: WalletState
  /** What that one has. */
  readonly coins: readonly CoinView[]
  /** Of those, what another transaction may build on before the next block. */
  readonly roomy: readonly CoinView[]
  /** How many wait for a block in the families that a transaction with these coins joins. */
  readonly familySize: (coins: readonly Coin[]) => number
  /** By the transaction itself and its parent. */
  readonly paid: bigint
}

/** The parent's weight counts as one of the inputs: what is selected pays for both. */
function shapeOf({ tx, parent }: AddFeesRequest, changeParts: number): SelectBy['shape'] {
  const outputsWeight = tx.outputs.reduce((s, o) => s + outputWeight(o), 0)
  const bare = { inputs: tx.inputs.length, inputsWeight: 0, outputs: tx.outputs.length, outputsWeight }
  const more = changeParts - 1
  return {
    inputs: bare.inputs,
    inputsWeight: weightOf(tx) - shapeWeight(bare) + (parent?.weight ?? 0),
    outputs: bare.outputs + more,
    outputsWeight: outputsWeight + more * P2WPKH_OUTPUT_WEIGHT,
  }
}

/** Parts of the change that make up for the coins that are missing, the one that is spent included. */
function partsFor(coins: readonly CoinView[], coinsWanted = 1): number {
  if (coinsWanted <= 1) return 1
  const have = coins.filter(
    ({ coin, status }) =>
      coin.amountSat >= LEAST_PART_SAT &&
      (status === 'spendable' || (status === 'unconfirmed' && coin.branch === CHANGE)),
  )
  return Math.max(1, coinsWanted - have.length + 1)
}

function familySizeOf(free: WalletState): Work['familySize'] {
  const familyOf = families(free)
  return (coins) => {
    const waiting = coins.filter((c) => c.height === null)
    if (waiting.length === 0) return 0
    const joined = new Set(waiting.map((c) => familyOf(c.outpoint.txid)))
    return [...joined].reduce((sum, family) => sum + family.size, 0)
  }
}

function replacedBy(
  state: WalletState,
  { tx, paidSat = 0n as Sat }: AddFeesRequest,
  earlier: Transaction,
): Earlier | null {
  const own = earlier.inputs.slice(tx.inputs.length).map((i) => state.coins.get(outpointKey(i)))
  if (own.some((c) => c === undefined)) return null
  const coins = own as readonly Coin[]
  const added = earlier.outputs.slice(tx.outputs.length)
  const spent = coins.reduce((s, c) => s + c.amountSat, 0n)
  const feeSat = paidSat + spent - added.reduce((s, o) => s + o.amountSat, 0n)
  const txid = txidOf(earlier)
  const change = added.filter((o) => keyOf(state.scripts, o.scriptPubKey)?.branch === CHANGE)
  const weight = weightOf(earlier)
  const above = descendants(state, txid)
  return {
    txid,
    coins,
    feeSat,
    familyFeeSat: above.reduce((sum, t) => sum + (t.feeSat ?? 0n), feeSat as bigint),
    weight,
    familyWeight: above.reduce((sum, t) => sum + weightOf(t.tx), weight),
    changeScripts: change.map((o) => o.scriptPubKey),
  }
}

const freed = (state: WalletState, earlier: Earlier | null): WalletState =>
  earlier ? abandonTransaction(state, earlier.txid) : state

/** The coins for the highest feerate, up to the one that is asked for, that the budget and the wallet allow. */
function affordable(work: Work): Selection<Coin> | null {
  const { request, paid, earlier } = work
  const { budgetSat } = request
  let feeratePerKw = Math.min(FEERATE_CEILING, request.feeratePerKw)
  let poor: WalletError | null = null
  for (let tries = 0; tries < MAX_TRIES && feeratePerKw >= FEERATE_FLOOR; tries++) {
    const found = trySelect(work, feeratePerKw)
    if (found instanceof WalletError) {
      // Where not even the lowest can be paid, none of those between is tried: hundreds may wait for the same coins.
      const least = poor ?? trySelect(work, FEERATE_FLOOR)
      if (poor === null && least instanceof WalletError) {
        poor = least
        break
      }
      poor = found
      feeratePerKw = Math.floor(feeratePerKw * 0.8)
      continue
    }
    // What is paid already would do for this rate: without coins there is no more than that.
    if (poor !== null && found.coins.length === 0) break
    const ours = found.feeSat - paid
    const least = earlier ? leastToReplace(work, earlier, found) : 0n
    if (found.feeSat < least) {
      // Not worth a replacement by what was asked for, or just short of what one has to pay.
      if (tries > 2 || tooClose(work, earlier!)) return null
      if (least > MOST_FOR_LITTLE * found.feeSat && isCarried(work, earlier!)) return null
      feeratePerKw = Math.ceil((feeratePerKw * Number(least)) / Number(found.feeSat)) + 1
      continue
    }
    if (budgetSat === undefined || ours <= budgetSat) return found
    const within = Math.floor((feeratePerKw * Number(budgetSat + paid)) / Number(found.feeSat))
    feeratePerKw = Math.min(feeratePerKw - 1, within)
  }
  if (!poor || earlier) return null
  if (request.leaveSat) return affordable({ ...work, request: { ...request, leaveSat: 0n as Sat } })
  throw poor
}

function trySelect(work: Work, feeratePerKw: number): Selection<Coin> | WalletError {
  const { request, shape, paid, earlier } = work
  const { tx, leaveSat = 0n as Sat } = request
  const mustChange = tx.outputs.length === 0
  const required = earlier?.coins ?? []
  const select = { shape, targetSat: -paid, feeratePerKw, required, mustChange, reserveSat: leaveSat }
  const first = choose(work, select)
  if (first instanceof WalletError) return first
  // A coin too small for change goes to the fee whole: where that is more than the budget, one with change may not be.
  const isDear = first.changeSat === null && request.budgetSat !== undefined && first.feeSat - paid > request.budgetSat
  const other = isDear ? choose(work, { ...select, mustChange: true }) : first
  const found = other instanceof WalletError ? first : other
  const room = (request.urgentSat ?? 0n) - (found.feeSat - paid)
  if (room <= 0n) return found
  const lag = lagOf(work, found.coins, feeratePerKw)
  const lagSat = lag < room ? lag : room
  if (lagSat <= 0n) return found
  const more = choose(work, { ...select, targetSat: select.targetSat + lagSat })
  if (more instanceof WalletError) return found
  // Here, too, what is too little for change may be more than the budget: then it pays for itself alone.
  const feeSat = (more.feeSat + lagSat) as Sat
  const isOver = request.budgetSat !== undefined && feeSat - paid > request.budgetSat
  return isOver ? found : { ...more, feeSat }
}

/**
 * What the transactions that wait for a block, and that these coins come from, pay less than a feerate asks for: they would hold up what
 * builds on them. What others that build on them pay beyond it counts.
 */
function lagOf({ free }: Work, coins: readonly Coin[], feeratePerKw: number): bigint {
  const below = new Set(coins.flatMap((c) => ancestors(free, c.outpoint.txid)))
  const familyOf = families(free)
  const family = new Set(coins.flatMap((c) => [...familyOf(c.outpoint.txid)]))
  let lag = 0n
  for (const txid of family) {
    const entry = free.txs.get(txid)!
    if (entry.feeSat === null) continue
    const short = feeOf(weightOf(entry.tx), feeratePerKw) - entry.feeSat
    if (below.has(entry) || short < 0n) lag += short
  }
  return lag
}

function choose(work: Work, select: SelectBy): Selection<Coin> | WalletError {
  const { roomy, familySize, earlier } = work
  const { required = [], reserveSat: leaveSat = 0n } = select
  const reused = new Set(required.map((c) => outpointKey(c.outpoint)))
  const others = roomy.filter((v) => v.status === 'spendable' && !reused.has(outpointKey(v.coin.outpoint)))
  try {
    // BIP 125 rule 2: a replacement brings no unconfirmed coins that the replaced one did not have.
    if (earlier) {
      const candidates = others.filter((v) => v.coin.height !== null).map((v) => v.coin)
      return selectCoins({ ...select, candidates, reserveSat: upToHalf(leaveSat, [...required, ...candidates]) })
    }
    const reserveSat = upToHalf(
      leaveSat,
      others.map((v) => v.coin),
    )
    const found = selectSpendable(others, { ...select, reserveSat })
    return familySize(found.coins) < MOST_FAMILY ? found : lastResort(work, select, FAMILY_FULL)
  } catch (e) {
    if (!(e instanceof WalletError)) throw e
    if (earlier) return e
    return lastResort(work, select, e)
  }
}

const FAMILY_FULL = new WalletError('FAMILY_FULL', 'too much builds on each other before a block: try again after it')

function upToHalf(amountSat: bigint, coins: readonly Coin[]): bigint {
  const half = coins.reduce((sum, c) => sum + c.amountSat, 0n) / 2n
  return amountSat < half ? amountSat : half
}

/**
 * Change of an unconfirmed transaction of ours that a peer can still undo: better than to let a deadline pass, since what is built on
 * it is made anew when that happens.
 */
function lastResort({ free, coins, roomy, familySize }: Work, select: SelectBy, e: WalletError) {
  const ours = (txid: Txid): boolean =>
    free.txs.get(txid)?.tx.inputs.some((i) => free.coins.has(outpointKey(i))) ?? false
  const usable = ({ status, coin }: CoinView): boolean =>
    status === 'spendable' || (status === 'unconfirmed' && coin.branch === CHANGE && ours(coin.outpoint.txid))
  const all = roomy.filter(usable).map((v) => v.coin)
  const reserveSat = upToHalf(select.reserveSat ?? 0n, all)
  const ownedSat = all.reduce((sum, c) => sum + c.amountSat, 0n)
  let isTooLong = roomy.length < coins.length
  for (const most of FAMILY_SIZES) {
    const candidates = all.filter((c) => familySize([c]) <= most)
    try {
      const found = selectCoins({ ...select, candidates, ownedSat, reserveSat })
      if (familySize(found.coins) < MOST_FAMILY) return found
      isTooLong = true
    } catch (again) {
      if (!(again instanceof WalletError)) throw again
    }
  }
  return isTooLong ? FAMILY_FULL : e
}

/**
 * BIP 125: more than what goes, by the relay of what comes, whose signatures may be longer by a byte; and a higher feerate than the one in its
 * place (Bitcoin Core).
 */
function leastToReplace({ request, shape }: Work, earlier: Earlier, found: Selection<Coin>): bigint {
  const parent = request.parent ?? { weight: 0, feeSat: 0n }
  const change = found.changeSat === null ? 0 : 1
  const weight = BigInt(
    shapeWeight({
      inputs: shape.inputs + found.coins.length,
      inputsWeight: shape.inputsWeight - parent.weight + 272 * found.coins.length,
      outputs: shape.outputs + change,
      outputsWeight: shape.outputsWeight + 124 * change,
    }),
  )
  const byRelay = earlier.familyFeeSat + INCREMENTAL * ((weight + 5n) / 4n)
  const byRate = (earlier.feeSat * weight) / BigInt(earlier.weight) + 1n
  return parent.feeSat + (byRelay > byRate ? byRelay : byRate)
}

/**
 * The raise is a small one, and what builds on it pays so much that for miners it has what was asked for: as far as we know, since of the
 * parents of that, as a commitment, we do not.
 */
const isCarried = ({ request }: Work, earlier: Earlier): boolean =>
  request.feeratePerKw < LITTLE * rateOf(request, earlier) &&
  earlier.familyFeeSat * 1000n >= BigInt(request.feeratePerKw) * BigInt(earlier.familyWeight)

/** What was asked for is no more than a twentieth above what is paid already. */
const tooClose = ({ request }: Work, earlier: Earlier): boolean =>
  request.feeratePerKw < rateOf(request, earlier) * 1.05

/** What is paid already, sat per 1,000 weight units. */
function rateOf(request: AddFeesRequest, earlier: Earlier): number {
  const parent = request.parent ?? { weight: 0, feeSat: 0n }
  return (Number(earlier.feeSat + parent.feeSat) * 1000) / (earlier.weight + parent.weight)
}
