import { outpointKey, type Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { COINBASE_MATURITY, isCoinbase } from '../bitcoin/checkTransaction.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import type { Coin, WalletState, WalletTx } from './state.ts'

/** Answers about one state; each transaction is judged once. */
export interface Judge {
  /** It may still confirm, or has. A transaction that has left memory is settled, hence alive. */
  isAlive(txid: Txid): boolean
  /** Unconfirmed, and made of nothing but our own trusted coins: nobody else can undo it. */
  isTrusted(txid: Txid): boolean
  isSpent(coin: Coin): boolean
}

type Transactions = Pick<WalletState, 'txs' | 'coins' | 'spends'>

/** States never change: what follows from one is found out once, for all that hundreds of claims ask of it in one block. */
function once<S extends object, T>(of: (state: S) => T): (state: S) => T {
  const known = new WeakMap<S, T>()
  return (state) => {
    const found = known.get(state) ?? of(state)
    known.set(state, found)
    return found
  }
}

/** What may still confirm, as the transactions of one state have it. */
export const judge = once((state: Transactions): Judge => {
  const alive = new Map<Txid, boolean>()
  const trusted = new Map<Txid, boolean>()

  const isAlive = (txid: Txid): boolean => {
    const entry = state.txs.get(txid)
    if (!entry || entry.height !== null) return true
    const known = alive.get(txid)
    if (known !== undefined) return known
    // Should what it is built on lead back to it by way of rivals, one of the two lives: whichever is asked about first.
    alive.set(txid, true)
    const verdict =
      !entry.abandoned &&
      entry.conflictHeight === null &&
      !isCoinbase(entry.tx) &&
      entry.tx.inputs.every((i) => isAlive(i.txid)) &&
      !laterRivals(state, entry).some(isAlive)
    alive.set(txid, verdict)
    return verdict
  }

  const isTrusted = (txid: Txid): boolean => {
    const entry = state.txs.get(txid)
    if (!entry) return false
    let verdict = trusted.get(txid)
    if (verdict === undefined) {
      verdict = entry.tx.inputs.every((input) => {
        const coin = state.coins.get(outpointKey(input))
        return coin !== undefined && (coin.height !== null || isTrusted(input.txid))
      })
      trusted.set(txid, verdict)
    }
    return verdict
  }

  return {
    isAlive,
    isTrusted,
    isSpent: (coin) => (state.spends.get(outpointKey(coin.outpoint)) ?? []).some(isAlive),
  }
})

/** Transactions that came later and spend one of the same outputs: one that is alive has taken the place of this one. */
const laterRivals = (state: Pick<WalletState, 'txs' | 'spends'>, { tx, order }: WalletTx): readonly Txid[] =>
  tx.inputs
    .flatMap((input) => state.spends.get(outpointKey(input)) ?? [])
    .filter((other) => (state.txs.get(other)?.order ?? order) > order)

/** What can still confirm and builds on a transaction, itself not included: of versions that replaced each other the last one alone. */
export function descendants(state: Transactions, ancestor: Txid): readonly WalletTx[] {
  const { isAlive } = judge(state)
  const found = new Map<Txid, WalletTx>()
  const visit = (parent: Txid): void => {
    state.txs.get(parent)?.tx.outputs.forEach((_, index) => {
      for (const txid of state.spends.get(outpointKey({ txid: parent, index })) ?? []) {
        const entry = state.txs.get(txid)
        if (!entry || entry.height !== null || found.has(txid) || !isAlive(txid)) continue
        found.set(txid, entry)
        visit(txid)
      }
    })
  }
  visit(ancestor)
  return [...found.values()]
}

/** One that waits for a block, and those that it builds on and that do, as far as we know them. */
export function ancestors({ txs }: Pick<WalletState, 'txs'>, txid: Txid): readonly WalletTx[] {
  const found = new Map<Txid, WalletTx>()
  const visit = (id: Txid): void => {
    const entry = txs.get(id)
    if (!entry || entry.height !== null || found.has(id)) return
    found.set(id, entry)
    for (const input of entry.tx.inputs) visit(input.txid)
  }
  visit(txid)
  return [...found.values()]
}

/** A transaction, and the height of its block; null while it is in none. */
export type Standing = Pick<WalletTx, 'txid' | 'tx' | 'height'>

/** What a transaction builds on that is not so deep in the chain yet, as far as we know it. */
export function shallowAncestors(
  known: { readonly txs: { get(txid: Txid): Standing | undefined }; readonly height: WalletState['height'] },
  tx: Transaction,
  depth: number,
): readonly Standing[] {
  const found = new Map<Txid, Standing>()
  const visit = ({ inputs }: Transaction): void => {
    for (const { txid } of inputs) {
      const entry = known.txs.get(txid)
      const isDeep = entry?.height != null && known.height - entry.height + 1 >= depth
      if (!entry || isDeep || found.has(txid)) continue
      found.set(txid, entry)
      visit(entry.tx)
    }
  }
  visit(tx)
  return [...found.values()]
}

/**
 * The transactions of ours that wait for a block in the family of one: it, and all that they build on or that builds on them. One family is
 * one set.
 */
export const families = once((state: Transactions): ((txid: Txid) => ReadonlySet<Txid>) => {
  const { isAlive } = judge(state)
  const waiting = [...state.txs.values()].filter((t) => t.height === null && isAlive(t.txid))
  const relatives = new Map<Txid, Txid[]>(waiting.map((t) => [t.txid, []]))
  for (const { txid, tx } of waiting) {
    for (const { txid: parent } of tx.inputs) {
      relatives.get(parent)?.push(txid)
      if (relatives.has(parent)) relatives.get(txid)!.push(parent)
    }
  }
  const found = new Map<Txid, ReadonlySet<Txid>>()
  for (const { txid } of waiting) {
    if (found.has(txid)) continue
    const family = new Set([txid])
    for (const member of family) for (const relative of relatives.get(member)!) family.add(relative)
    for (const member of family) found.set(member, family)
  }
  return (txid) => found.get(txid) ?? NONE
})

const NONE: ReadonlySet<Txid> = new Set()

export type CoinStatus =
  | 'spendable'
  /** Reserved by a transaction that is being made. */
  | 'locked'
  /** A coinbase output with fewer than 100 confirmations. */
  | 'immature'
  /** Unconfirmed, and somebody else could still undo it. */
  | 'unconfirmed'

export interface CoinView {
  readonly coin: Coin
  readonly status: CoinStatus
  readonly confirmations: number
}

/** Every unspent output, in no particular order. */
export const unspentCoins = once((state: WalletState): readonly CoinView[] => {
  const { isAlive, isTrusted, isSpent } = judge(state)
  const views: CoinView[] = []
  for (const [key, coin] of state.coins) {
    if (!isAlive(coin.outpoint.txid) || isSpent(coin)) continue
    const confirmations = coin.height === null ? 0 : state.height - coin.height + 1
    const status = (): CoinStatus => {
      if (state.locks.has(key)) return 'locked'
      if (coin.height === null) return isTrusted(coin.outpoint.txid) ? 'spendable' : 'unconfirmed'
      // Spendable in the next block when it is 100 deep by then.
      return coin.coinbase && confirmations < COINBASE_MATURITY ? 'immature' : 'spendable'
    }
    views.push({ coin, status: status(), confirmations })
  }
  return views
})

/** Each unspent satoshi is in exactly one of the first four. */
export interface WalletBalance {
  /** Confirmed and free to spend. */
  readonly confirmedSat: Sat
  readonly unconfirmedSat: Sat
  readonly immatureSat: Sat
  readonly lockedSat: Sat
  /** What can be spent now: confirmed, and our own change. */
  readonly spendableSat: Sat
}

/** What the coins come to; locked ones count apart. */
export const walletBalance = once((state: WalletState): WalletBalance => {
  let [confirmed, unconfirmed, immature, locked, spendable] = [0n, 0n, 0n, 0n, 0n]
  for (const { coin, status } of unspentCoins(state)) {
    if (status === 'spendable') spendable += coin.amountSat
    if (status === 'locked') locked += coin.amountSat
    else if (status === 'immature') immature += coin.amountSat
    else if (coin.height === null) unconfirmed += coin.amountSat
    else confirmed += coin.amountSat
  }
  return {
    confirmedSat: confirmed as Sat,
    unconfirmedSat: unconfirmed as Sat,
    immatureSat: immature as Sat,
    lockedSat: locked as Sat,
    spendableSat: spendable as Sat,
  }
})

/** What should be broadcast again after a start, after a reorganisation and now and then; parents before children. */
export function unconfirmed(state: WalletState): readonly Transaction[] {
  const { isAlive } = judge(state)
  const waiting = [...state.txs.values()].filter((t) => t.height === null && isAlive(t.txid))
  const done = new Set<Txid>()
  const sorted: Transaction[] = []
  const visit = (entry: WalletTx): void => {
    if (done.has(entry.txid)) return
    done.add(entry.txid)
    for (const input of entry.tx.inputs) {
      const parent = state.txs.get(input.txid)
      if (parent && parent.height === null) visit(parent)
    }
    sorted.push(entry.tx)
  }
  for (const entry of waiting.sort((a, b) => a.order - b.order)) visit(entry)
  return sorted
}

/**
 * Also of a transaction that was read from the store: one that left memory without a block is as dead as one that another took the
 * place of.
 */
export function statusOf(state: WalletState, { txid, height }: WalletTx): 'confirmed' | 'unconfirmed' | 'dropped' {
  if (height !== null) return 'confirmed'
  return state.txs.has(txid) && judge(state).isAlive(txid) ? 'unconfirmed' : 'dropped'
}
