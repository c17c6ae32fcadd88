import { outpointKey, type Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { weightOf } from '../bitcoin/transaction.ts'
import { perVbyte } from '../chain/fees.ts'
import { type BuiltTransaction, checkFeerate, finish, sweepWallet } from './build.ts'
import { abandonTransaction } from './coins.ts'
import { WalletError } from './errors.ts'
import { CHANGE, type WalletSigner } from './keys.ts'
import { selectCoins } from './select.ts'
import { type Coin, keyOf, type WalletState, type WalletTx } from './state.ts'
import { ancestors, judge, unspentCoins } from './status.ts'
import { feeOf, outputWeight } from './weights.ts'

export interface RaiseRequest {
  readonly txid: Txid
  /** sat per 1,000 weight units that miners are to see. */
  readonly feeratePerKw: number
  readonly owner: string
  /** Nobody relies on its txid, and all it spends is ours: another may take its place. */
  readonly isReplaceable: (entry: WalletTx) => boolean
  /** All was sent: its payee bears the higher fee, for there may be nothing else. */
  readonly isSweep?: (entry: WalletTx) => boolean
  /** Kept back in the wallet when a replacement needs more coins. */
  readonly reserveSat: Sat
}

export interface Raised extends BuiltTransaction {
  /** `replace`: it takes the place of the old one. `child`: it spends what the old one pays us, and pays for both. */
  readonly how: 'replace' | 'child'
}

/** BIP 125 rule 4, sat per vbyte. */
const INCREMENTAL = 1n
const CLOSE_ENOUGH = 1.1

/**
 * Has an unconfirmed transaction confirm sooner: replaced where that is allowed and nothing builds on it, or else by a child.
 * @throws WalletError CANNOT_BUMP saying why not, InsufficientFundsError
 * @source BIP 125
 */
export function raiseFee(state: WalletState, request: RaiseRequest, signer: WalletSigner): Raised {
  const { txid, feeratePerKw } = request
  checkFeerate(feeratePerKw)
  const entry = state.txs.get(txid)
  const { isAlive } = judge(state)
  if (!entry || entry.height !== null) throw cannot(`${txid} is confirmed`)
  if (!isAlive(txid)) throw cannot(`${txid} cannot confirm any more: another transaction took its place`)
  // One that is being made counts as well: a peer may have signed for what a funding transaction spends.
  const isBuiltUpon =
    entry.tx.outputs.some((_, index) => state.locks.has(outpointKey({ txid, index }))) ||
    [...state.txs.values()].some(
      (t) => t.height === null && isAlive(t.txid) && t.tx.inputs.some((i) => i.txid === txid),
    )
  return !isBuiltUpon && request.isReplaceable(entry) && coinsOf(state, entry) !== null
    ? { ...replacement(state, entry, request, signer), how: 'replace' }
    : { ...child(state, request, signer), how: 'child' }
}

const cannot = (why: string): WalletError => new WalletError('CANNOT_BUMP', why)

/** What it spends; null when not all of it is ours. */
function coinsOf(state: WalletState, { tx }: WalletTx): readonly Coin[] | null {
  const coins = tx.inputs.map((i) => state.coins.get(outpointKey(i)))
  return coins.every((c) => c !== undefined) ? (coins as readonly Coin[]) : null
}

/** The same outputs for a higher fee, which the change pays, and further confirmed coins where it does not suffice; see `isSweep`. */
function replacement(
  state: WalletState,
  entry: WalletTx,
  request: RaiseRequest,
  signer: WalletSigner,
): BuiltTransaction {
  const { feeratePerKw, owner, reserveSat } = request
  const { tx, txid } = entry
  const enough = (built: BuiltTransaction): BuiltTransaction => {
    const least = leastFee(built, entry)
    if (built.feeSat >= least) return built
    const rate = Math.ceil((Number(least) * 1000) / weightOf(built.tx)) + 1
    // What was asked for is meant to do: a rounded number may fall short of it by a little.
    if (rate <= feeratePerKw * CLOSE_ENOUGH)
      return replacement(state, entry, { ...request, feeratePerKw: rate }, signer)
    throw cannot(`that is too little to replace it: ask for ${Math.ceil(perVbyte(rate) * 10) / 10} sat/vB at least`)
  }
  const required = coinsOf(state, entry)!
  const change = tx.outputs.find((o) => keyOf(state.scripts, o.scriptPubKey)?.branch === CHANGE)
  const outputs = tx.outputs.filter((o) => o !== change)
  const free = abandonTransaction(state, txid)
  if (request.isSweep?.(entry) && outputs[0]) {
    const coins = required.map((c) => c.outpoint)
    const { scriptPubKey } = outputs[0]
    return enough(sweepWallet(free, { scriptPubKey, coins, feeratePerKw, owner, reserveSat }, signer))
  }
  const reused = new Set(required.map((c) => outpointKey(c.outpoint)))
  // BIP 125 rule 2: no unconfirmed coins that it did not spend before.
  const candidates = unspentCoins(free).filter(
    (v) => v.status === 'spendable' && v.coin.height !== null && !reused.has(outpointKey(v.coin.outpoint)),
  )
  const selection = selectCoins({
    required,
    candidates: candidates.map((v) => v.coin),
    shape: {
      inputs: 0,
      inputsWeight: 0,
      outputs: outputs.length,
      outputsWeight: outputs.reduce((s, o) => s + outputWeight(o), 0),
    },
    targetSat: outputs.reduce((s, o) => s + o.amountSat, 0n),
    feeratePerKw,
    reserveSat,
    mustChange: outputs.length === 0,
  })
  const changeScripts = change && { changeScripts: [change.scriptPubKey] }
  return enough(finish(state, { selection, outputs, owner, signer, ...changeScripts }))
}

/** BIP 125 rules 3 and 4, and a higher feerate than before (Bitcoin Core). */
function leastFee(built: BuiltTransaction, { tx, feeSat }: WalletTx): bigint {
  const [before, after] = [BigInt(weightOf(tx)), BigInt(weightOf(built.tx))]
  const old = feeSat ?? 0n
  const byRelay = old + INCREMENTAL * ((after + 3n) / 4n)
  const byRate = (old * after) / before + 1n
  return byRelay > byRate ? byRelay : byRate
}

/** Spends all that the transaction pays us, and pays for it and for what it waits for. */
function child(
  state: WalletState,
  { txid, feeratePerKw, owner }: RaiseRequest,
  signer: WalletSigner,
): BuiltTransaction {
  const coins = unspentCoins(state).filter((v) => v.coin.outpoint.txid === txid && v.status !== 'locked')
  if (coins.length === 0) {
    throw cannot(`${txid} pays this wallet nothing that is free, so that no transaction of ours can pay for it`)
  }
  const family = ancestors(state, txid)
  const weight = family.reduce((s, t) => s + weightOf(t.tx), 0)
  const paidSat = family.reduce((s, t) => s + (t.feeSat ?? 0n), 0n)
  if (paidSat >= feeOf(weight, feeratePerKw)) throw cannot(`${txid} pays that feerate already`)
  const selection = selectCoins({
    required: coins.map((v) => v.coin),
    candidates: unspentCoins(state)
      .filter((v) => v.status === 'spendable' && v.coin.height !== null)
      .map((v) => v.coin),
    // The weight of those that it pays for counts as one of its inputs.
    shape: { inputs: 0, inputsWeight: weight, outputs: 0, outputsWeight: 0 },
    targetSat: -paidSat,
    feeratePerKw,
    mustChange: true,
  })
  const built = finish(state, { selection, outputs: [], owner, signer, paidSat })
  return { ...built, feeSat: (built.feeSat - paidSat) as Sat }
}
