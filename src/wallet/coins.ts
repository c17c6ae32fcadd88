import { InvariantError } from '../base/errors.ts'
import { type BlockHash, type Outpoint, outpointKey, type Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { encodeAddress } from '../bitcoin/address.ts'
import { isCoinbase } from '../bitcoin/checkTransaction.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import type { ChainBlock, UnspentOutput } from '../chain/source.ts'
import { type Branch, RECEIVE, walletPath, walletScript } from './keys.ts'
import {
  type Coin,
  indexSpends,
  type KeyRef,
  keyOf,
  SETTLED_DEPTH,
  scriptsFor,
  type WalletState,
  type WalletTx,
} from './state.ts'

/** A state in the making: its collections are copies that may be changed. */
interface Draft {
  readonly account: WalletState['account']
  readonly gapLimit: number
  height: number
  hash: BlockHash
  next: [number, number]
  nextOrder: number
  coins: Map<string, Coin>
  txs: Map<Txid, WalletTx>
  locks: Map<string, string>
  spends: Map<string, readonly Txid[]>
  scripts: ReadonlyMap<string, KeyRef>
}

const draftOf = (s: WalletState): Draft => ({
  ...s,
  next: [s.next[0], s.next[1]],
  coins: new Map(s.coins),
  txs: new Map(s.txs),
  locks: new Map(s.locks),
  spends: new Map(s.spends),
})

interface Seen {
  readonly height: number | null
  readonly seenAt: number
  readonly feeSat?: Sat
  readonly label?: string
}

/**
 * Takes in the next block. The state keeps its collections' references when the block has nothing of ours.
 * @throws InvariantError when the block does not follow the last one
 */
export function applyBlock(state: WalletState, block: ChainBlock): WalletState {
  if (block.hash === state.hash) return state
  if (block.previousHash !== state.hash) {
    throw new InvariantError(`block ${block.height} does not follow the wallet's block ${state.height}`)
  }
  let draft: Draft | null = null
  for (let i = 0; i < block.transactions.length; i++) {
    const tx = block.transactions[i]!
    const txid = block.txids[i]!
    const at: WalletState | Draft = draft ?? state
    const { ours, rivals } = concern(at, tx)
    if (!ours && !rivals) continue
    draft ??= draftOf(state)
    if (ours || draft.txs.has(txid)) insert(draft, txid, tx, { height: block.height, seenAt: block.time })
    markConflicts(draft, txid, tx, block.height)
  }
  draft = settle(draft, state, block.height)
  return { ...(draft ?? state), height: block.height, hash: block.hash }
}

/** Undoes all blocks above `height`. */
export function rollback(state: WalletState, height: number, hash: BlockHash): WalletState {
  if (height >= state.height) return state
  const draft = draftOf(state)
  for (const [txid, entry] of draft.txs) {
    const coinbase = isCoinbase(entry.tx)
    const undone = entry.height !== null && entry.height > height
    const uncontested = !coinbase && entry.conflictHeight !== null && entry.conflictHeight > height
    if (!undone && !uncontested) continue
    draft.txs.set(txid, {
      ...entry,
      height: undone ? null : entry.height,
      // A coinbase dies with its block.
      conflictHeight: coinbase ? height + 1 : uncontested ? null : entry.conflictHeight,
    })
  }
  for (const [key, coin] of draft.coins) {
    if (coin.height === null || coin.height <= height) continue
    // Found by a scan, its transaction was never seen: it comes back with its block.
    if (!draft.txs.has(coin.outpoint.txid)) draft.coins.delete(key)
    else draft.coins.set(key, { ...coin, height: null })
  }
  return { ...draft, height, hash }
}

/**
 * Takes in a transaction that was made here and is, or will be, broadcast: its inputs are spent, its outputs to us are coins.
 * @param seen.now Unix seconds
 */
export function addTransaction(
  state: WalletState,
  tx: Transaction,
  seen: { readonly now: number; readonly feeSat?: Sat; readonly label?: string },
): WalletState {
  const txid = txidOf(tx)
  const known = state.txs.get(txid)
  if (known && !known.abandoned) return state
  const draft = draftOf(state)
  const { now, ...rest } = seen
  insert(draft, txid, tx, { height: null, seenAt: now, ...rest })
  const confirmedRivals = tx.inputs
    .flatMap((input) => draft.spends.get(outpointKey(input)) ?? [])
    .map((id) => draft.txs.get(id)?.height ?? null)
    .filter((h) => h !== null)
  if (confirmedRivals.length > 0) {
    draft.txs.set(txid, { ...draft.txs.get(txid)!, conflictHeight: Math.min(...confirmedRivals) })
  }
  return draft
}

/** Gives up on an unconfirmed transaction, which frees its coins. If it confirms after all, it counts. */
export function abandonTransaction(state: WalletState, txid: Txid): WalletState {
  const entry = state.txs.get(txid)
  if (!entry || entry.height !== null || entry.abandoned) return state
  return { ...state, txs: new Map(state.txs).set(txid, { ...entry, abandoned: true }) }
}

/** Keeps coins from being selected until they are unlocked or spent. */
export function lockCoins(state: WalletState, coins: readonly Outpoint[], owner: string): WalletState {
  const locks = new Map(state.locks)
  for (const coin of coins) locks.set(outpointKey(coin), owner)
  return { ...state, locks }
}

/** Frees whatever this owner has locked. */
export function unlockCoins(state: WalletState, owner: string): WalletState {
  const locks = new Map([...state.locks].filter(([, o]) => o !== owner))
  return locks.size === state.locks.size ? state : { ...state, locks }
}

export interface IssuedAddress {
  readonly state: WalletState
  readonly address: string
  readonly scriptPubKey: Uint8Array
  readonly path: string
  /** More unused addresses are out than other wallets look for when they restore the seed. */
  readonly beyondGap: boolean
}

/** The next address, never handed out before. */
export function issueAddress(state: WalletState, branch: Branch = RECEIVE): IssuedAddress {
  const keyIndex = state.next[branch]
  const scriptPubKey = walletScript(state.account, branch, keyIndex)
  const next: [number, number] = [state.next[0], state.next[1]]
  next[branch] = keyIndex + 1
  const { network } = state.account
  const used = [...state.coins.values()].filter((c) => c.branch === branch).map((c) => c.keyIndex)
  return {
    state: { ...state, next, scripts: scriptsFor({ ...state, next }) },
    address: encodeAddress(scriptPubKey, network) ?? '',
    scriptPubKey,
    path: walletPath(network, branch, keyIndex),
    beyondGap: keyIndex - Math.max(-1, ...used) > state.gapLimit,
  }
}

/** At least so many addresses of each branch have been given out: none of them is again, and what is paid to them is seen. */
export function skipIssued(state: WalletState, issued: readonly [number, number]): WalletState {
  const next = [Math.max(state.next[0], issued[0]), Math.max(state.next[1], issued[1])] as const
  return { ...state, next, scripts: scriptsFor({ ...state, next }) }
}

/** Takes in what a scan of the unspent set found at the wallet's own block or later. */
export function importUnspent(state: WalletState, found: readonly UnspentOutput[]): WalletState {
  const draft = draftOf(state)
  for (const { outpoint, output, height, coinbase } of found) {
    const key = keyOf(draft.scripts, output.scriptPubKey)
    if (!key) continue
    draft.coins.set(outpointKey(outpoint), { outpoint, amountSat: output.amountSat, ...key, height, coinbase })
    markUsed(draft, key)
  }
  return draft
}

/**
 * `ours`: it spends from us or pays us. `rivals`: it spends what a transaction that we know spends, be it itself.
 */
function concern(s: WalletState | Draft, tx: Transaction): { readonly ours: boolean; readonly rivals: boolean } {
  let ours = false
  let rivals = false
  for (const input of tx.inputs) {
    const key = outpointKey(input)
    ours ||= s.coins.has(key)
    rivals ||= s.spends.has(key)
  }
  ours ||= tx.outputs.some((o) => keyOf(s.scripts, o.scriptPubKey) !== null)
  return { ours, rivals }
}

function markUsed(draft: Draft, key: KeyRef): void {
  if (key.keyIndex < draft.next[key.branch]) return
  draft.next[key.branch] = key.keyIndex + 1
  draft.scripts = scriptsFor(draft)
}

/** Adds a transaction, or notes that a known one is now in a block. */
function insert(draft: Draft, txid: Txid, tx: Transaction, seen: Seen): void {
  const coinbase = isCoinbase(tx)
  const addCoins = (): bigint => {
    let received = 0n
    tx.outputs.forEach(({ amountSat, scriptPubKey }, index) => {
      const key = keyOf(draft.scripts, scriptPubKey)
      if (!key) return
      received += amountSat
      const outpoint = { txid, index }
      draft.coins.set(outpointKey(outpoint), { outpoint, amountSat, ...key, height: seen.height, coinbase })
      markUsed(draft, key)
    })
    return received
  }
  // An output may have widened the gap for one before it.
  const before = draft.scripts
  let received = addCoins()
  if (draft.scripts !== before) received = addCoins()

  const known = draft.txs.get(txid)
  draft.txs.set(txid, {
    txid,
    tx,
    height: seen.height,
    conflictHeight: null,
    abandoned: false,
    order: known?.order ?? draft.nextOrder++,
    ...amounts(draft, tx, received, seen.feeSat ?? known?.feeSat ?? null),
    label: seen.label ?? known?.label ?? null,
    seenAt: known?.seenAt ?? seen.seenAt,
  })
  indexSpends(draft.spends, txid, tx)
  for (const input of tx.inputs) draft.locks.delete(outpointKey(input))
}

function amounts(
  draft: Draft,
  tx: Transaction,
  received: bigint,
  feeSat: Sat | null,
): Pick<WalletTx, 'netSat' | 'feeSat'> {
  const spent = tx.inputs.map((i) => draft.coins.get(outpointKey(i))?.amountSat)
  const sent = spent.reduce<bigint>((sum, a) => sum + (a ?? 0n), 0n)
  const out = tx.outputs.reduce<bigint>((sum, o) => sum + o.amountSat, 0n)
  const known = spent.every((a) => a !== undefined)
  return { netSat: received - sent, feeSat: known ? ((sent - out) as Sat) : feeSat }
}

/** The block's transaction rules out all others that spend one of its outputs. */
function markConflicts(draft: Draft, txid: Txid, tx: Transaction, height: number): void {
  for (const input of tx.inputs) {
    for (const other of draft.spends.get(outpointKey(input)) ?? []) {
      const entry = draft.txs.get(other)
      if (other === txid || !entry || entry.height !== null || entry.conflictHeight !== null) continue
      draft.txs.set(other, { ...entry, conflictHeight: height })
    }
  }
}

/** Lets go of what no reorganisation can change any more. Returns the draft, made if needed. */
function settle(draft: Draft | null, state: WalletState, height: number): Draft | null {
  const deep = (h: number | null): boolean => h !== null && h <= height - SETTLED_DEPTH
  const at = draft ?? state
  const confirmed: WalletTx[] = []
  const lost: WalletTx[] = []
  for (const entry of at.txs.values()) {
    if (deep(entry.height)) confirmed.push(entry)
    else if (entry.height === null && (entry.abandoned || deep(entry.conflictHeight))) lost.push(entry)
  }
  if (confirmed.length === 0 && lost.length === 0) return draft
  const d = draft ?? draftOf(state)
  for (const entry of lost) forgetLost(d, entry)
  for (const entry of confirmed) {
    for (const input of entry.tx.inputs) d.coins.delete(outpointKey(input))
    forget(d, entry)
  }
  return d
}

/** What was to spend its outputs is given up with it, and leaves memory a block later. */
function forgetLost(draft: Draft, entry: WalletTx): void {
  forget(draft, entry)
  entry.tx.outputs.forEach((_, index) => {
    const key = outpointKey({ txid: entry.txid, index })
    draft.coins.delete(key)
    for (const child of draft.spends.get(key) ?? []) {
      const lost = draft.txs.get(child)
      if (lost) draft.txs.set(child, { ...lost, abandoned: true })
    }
  })
}

function forget(draft: Draft, entry: WalletTx): void {
  draft.txs.delete(entry.txid)
  for (const input of entry.tx.inputs) {
    const key = outpointKey(input)
    const left = (draft.spends.get(key) ?? []).filter((id) => id !== entry.txid)
    if (left.length > 0) draft.spends.set(key, left)
    else draft.spends.delete(key)
  }
}
