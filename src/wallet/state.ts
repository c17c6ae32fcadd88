import { toHex } from '../base/bytes.ts'
import { type BlockHash, type Outpoint, outpointKey, type Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import { type Branch, CHANGE, RECEIVE, type WalletAccount, walletScript } from './keys.ts'

/** BIP 44 §address-gap-limit: unused addresses after the last one handed out or used, which are still looked for in blocks. */
export const GAP_LIMIT = 20
/** What a wallet restored from its seed looks for: more than the standard, since it costs a tenth of a second once. */
export const RESTORE_GAP = 200
/** What is this deep is settled: no longer kept for a reorganisation. */
export const SETTLED_DEPTH = 100

/** An output of ours, confirmed or not. What spends it, if anything, follows from the transactions. */
export interface Coin {
  readonly outpoint: Outpoint
  readonly amountSat: Sat
  readonly branch: Branch
  readonly keyIndex: number
  /** Null while unconfirmed. */
  readonly height: number | null
  readonly coinbase: boolean
}

/** A transaction that pays us, spends from us, or was handed to the wallet to be seen through. */
export interface WalletTx {
  readonly txid: Txid
  readonly tx: Transaction
  /** Null while unconfirmed. */
  readonly height: number | null
  /** Lowest block with a transaction that spends one of the same outputs: while it stands, this one cannot confirm. */
  readonly conflictHeight: number | null
  /** Given up: its coins are free again. */
  readonly abandoned: boolean
  /** 0, 1, 2 … as they were first seen; of two that conflict while unconfirmed, the later counts. */
  readonly order: number
  /** Received less sent, sat. */
  readonly netSat: bigint
  /** Null when not all inputs are known. */
  readonly feeSat: Sat | null
  readonly label: string | null
  /** Unix seconds: when it was made here, or of its block. */
  readonly seenAt: number
}

export interface KeyRef {
  readonly branch: Branch
  readonly keyIndex: number
}

/**
 * The whole wallet: immutable, without secrets. `coins`, `txs`, `locks` and the numbers are stored (see records.ts), the rest is
 * derived. Settled transactions leave memory; their records stay in the store as history.
 */
export interface WalletState {
  readonly account: WalletAccount
  /** The last block that was applied. */
  readonly height: number
  readonly hash: BlockHash
  /** The next key index of each branch. */
  readonly next: readonly [number, number]
  readonly nextOrder: number
  readonly gapLimit: number
  /** By outpoint. */
  readonly coins: ReadonlyMap<string, Coin>
  readonly txs: ReadonlyMap<Txid, WalletTx>
  /** Who keeps a coin from being selected, by outpoint. */
  readonly locks: ReadonlyMap<string, string>
  /** Transactions in `txs` by the outpoints they spend. */
  readonly spends: ReadonlyMap<string, readonly Txid[]>
  /** Our output scripts, as hex. */
  readonly scripts: ReadonlyMap<string, KeyRef>
}

export interface WalletStart {
  readonly account: WalletAccount
  readonly tip: { readonly height: number; readonly hash: BlockHash }
  readonly gapLimit?: number
  /** The next key index of each branch. */
  readonly next?: readonly [number, number]
}

/** A wallet that has seen nothing yet and takes in the blocks after `tip`. */
export function emptyWallet({ account, tip, gapLimit = GAP_LIMIT, next = [0, 0] }: WalletStart): WalletState {
  const state: WalletState = {
    account,
    height: tip.height,
    hash: tip.hash,
    next,
    nextOrder: 0,
    gapLimit,
    coins: new Map(),
    txs: new Map(),
    locks: new Map(),
    spends: new Map(),
    scripts: new Map(),
  }
  return { ...state, scripts: scriptsFor(state) }
}

/** Our scripts for every key index up to the gap limit behind the next one; what is there already is kept. */
export function scriptsFor(state: Pick<WalletState, 'account' | 'next' | 'gapLimit' | 'scripts'>): Map<string, KeyRef> {
  const scripts = new Map(state.scripts)
  const have = [0, 0]
  for (const { branch, keyIndex } of scripts.values()) have[branch] = Math.max(have[branch]!, keyIndex + 1)
  for (const branch of [RECEIVE, CHANGE] as const) {
    for (let keyIndex = have[branch]!; keyIndex < state.next[branch] + state.gapLimit; keyIndex++) {
      scripts.set(toHex(walletScript(state.account, branch, keyIndex)), { branch, keyIndex })
    }
  }
  return scripts
}

const isP2wpkh = (s: Uint8Array): boolean => s.length === 22 && s[0] === 0 && s[1] === 20

/** The first four bytes of each key hash, by the scripts they are of: rules out nearly all of a block's outputs cheaply. */
const prefixes = new WeakMap<ReadonlyMap<string, KeyRef>, ReadonlySet<number>>()

function prefixesOf(scripts: ReadonlyMap<string, KeyRef>): ReadonlySet<number> {
  let known = prefixes.get(scripts)
  if (!known) {
    known = new Set(Array.from(scripts.keys(), (hex) => Number.parseInt(hex.slice(4, 12), 16) | 0))
    prefixes.set(scripts, known)
  }
  return known
}

/** Which of our keys a script pays; null when it is not ours. */
export function keyOf(scripts: ReadonlyMap<string, KeyRef>, scriptPubKey: Uint8Array): KeyRef | null {
  const s = scriptPubKey
  if (!isP2wpkh(s)) return null
  const prefix = (s[2]! << 24) | (s[3]! << 16) | (s[4]! << 8) | s[5]!
  return prefixesOf(scripts).has(prefix) ? (scripts.get(toHex(s)) ?? null) : null
}

/** Adds a transaction to the index of what spends what. */
export function indexSpends(spends: Map<string, readonly Txid[]>, txid: Txid, tx: Transaction): void {
  for (const input of tx.inputs) {
    const key = outpointKey(input)
    const known = spends.get(key) ?? []
    if (!known.includes(txid)) spends.set(key, [...known, txid])
  }
}
