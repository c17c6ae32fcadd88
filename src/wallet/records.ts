import { type BlockHash, outpointKey, type Txid } from '../base/ids.ts'
import type { WalletAccount } from './keys.ts'
import { type Coin, emptyWallet, GAP_LIMIT, indexSpends, scriptsFor, type WalletState, type WalletTx } from './state.ts'

/** One stored record: plain data under a key of the wallet's own; without a value it is to be deleted. */
export interface WalletRecord {
  readonly key: string
  readonly value?: WalletNumbers | Coin | StoredTx | string
}

/** `settled`: it left memory and is history, of which nothing follows any more. */
export type StoredTx = WalletTx & { readonly settled?: true }

/** Record `numbers`. The others: `coin/<outpoint>`, `tx/<txid>`, `lock/<outpoint>`. */
interface WalletNumbers {
  readonly height: number
  readonly hash: BlockHash
  readonly next: readonly [number, number]
  readonly nextOrder: number
  /** The other records, but for history: one that is lost without a trace is missed by it. */
  readonly count?: number
  /** Of a wallet that was restored: addresses that it had given out before are still to be looked for. */
  readonly gapLimit?: number
}

/**
 * What to write to turn the stored wallet `before` into `after`; everything when there is none yet. To be called for every block,
 * so that no transaction comes and goes unrecorded.
 */
export function walletRecords(before: WalletState | null, after: WalletState): readonly WalletRecord[] {
  if (before === after) return []
  const { height, hash, next, nextOrder, gapLimit } = after
  const count = countOf(after)
  const numbers = { height, hash, next, nextOrder, count, ...(gapLimit !== GAP_LIMIT && { gapLimit }) }
  const records: WalletRecord[] = [{ key: 'numbers', value: numbers }]
  difference('coin', before?.coins, after.coins, records)
  difference('lock', before?.locks, after.locks, records)
  if (before?.txs === after.txs) return records
  for (const [txid, entry] of after.txs) {
    if (before?.txs.get(txid) !== entry) records.push({ key: `tx/${txid}`, value: entry })
  }
  for (const [txid, entry] of before?.txs ?? []) {
    if (after.txs.has(txid)) continue
    records.push({ key: `tx/${txid}`, value: { ...entry, abandoned: entry.height === null, settled: true } })
  }
  return records
}

function difference<T extends Coin | string>(
  prefix: string,
  before: ReadonlyMap<string, T> | undefined,
  after: ReadonlyMap<string, T>,
  records: WalletRecord[],
): void {
  if (before === after) return
  for (const [key, value] of after) if (before?.get(key) !== value) records.push({ key: `${prefix}/${key}`, value })
  for (const key of before?.keys() ?? []) if (!after.has(key)) records.push({ key: `${prefix}/${key}` })
}

const countOf = ({ coins, txs, locks }: Pick<WalletState, 'coins' | 'txs' | 'locks'>): number =>
  coins.size + txs.size + locks.size

/** How many records there are fewer, or more, than when they were written; 0 where they were not counted then. */
export function miscounted(records: Iterable<readonly [key: string, value: unknown]>, wallet: WalletState): number {
  for (const [key, value] of records) {
    if (key === 'numbers') return Math.abs(((value as WalletNumbers).count ?? countOf(wallet)) - countOf(wallet))
  }
  return 0
}

/** Whether a record can be what its key says. */
export function isWhole(key: string, value: unknown): boolean {
  if (key.startsWith('lock/')) return typeof value === 'string'
  if (typeof value !== 'object' || value === null) return false
  if (key === 'numbers') return 'height' in value && 'next' in value
  return key.startsWith('coin/') ? 'outpoint' in value : 'txid' in value && 'tx' in value
}

/** The wallet from all its records, in any order; null when there are none. */
export function loadWallet(
  account: WalletAccount,
  records: Iterable<readonly [key: string, value: unknown]>,
  gapLimit?: number,
): WalletState | null {
  const coins = new Map<string, Coin>()
  const txs = new Map<Txid, WalletTx>()
  const locks = new Map<string, string>()
  let numbers: WalletNumbers | null = null
  const loadTx = (entry: StoredTx): void => {
    if (!entry.settled) txs.set(entry.txid, entry)
  }
  for (const [key, value] of records) {
    if (key === 'numbers') numbers = value as WalletNumbers
    else if (key.startsWith('coin/')) coins.set(outpointKey((value as Coin).outpoint), value as Coin)
    else if (key.startsWith('tx/')) loadTx(value as StoredTx)
    else if (key.startsWith('lock/')) locks.set(key.slice('lock/'.length), value as string)
  }
  if (!numbers) return null
  const spends = new Map<string, readonly Txid[]>()
  for (const { txid, tx } of txs.values()) indexSpends(spends, txid, tx)
  const empty = emptyWallet({ account, tip: numbers, gapLimit: gapLimit ?? numbers.gapLimit ?? GAP_LIMIT })
  const { height, hash, next, nextOrder } = numbers
  const state = { ...empty, height, hash, next, nextOrder, coins, txs, locks, spends }
  return { ...state, scripts: scriptsFor(state) }
}
