import { type Txid, txidFromBytes } from '../../base/ids.ts'
import type { Sat } from '../../base/units.ts'
import { type Transaction, txidOf, weightOf, wtxidBytes } from '../../bitcoin/transaction.ts'
import type { Coin } from './coins.ts'

/** A transaction with what is asked of it again and again. */
export interface MempoolTx {
  readonly tx: Transaction
  readonly txid: Txid
  /** Display order, as Core shows it. */
  readonly wtxid: Txid
  /** Wire order. */
  readonly wtxidBytes: Uint8Array
  readonly vsize: number
  readonly weight: number
}

export function mempoolTx(tx: Transaction): MempoolTx {
  const bytes = wtxidBytes(tx)
  const weight = weightOf(tx)
  return { tx, txid: txidOf(tx), wtxid: txidFromBytes(bytes), wtxidBytes: bytes, weight, vsize: Math.ceil(weight / 4) }
}

/** A transaction that waits for a block, linked to those in the pool that it spends and that spend it. */
export interface MempoolEntry extends MempoolTx {
  readonly fee: Sat
  readonly coins: readonly Coin[]
  /** Unix seconds of its arrival, and the height of the tip then. */
  readonly time: number
  readonly height: number
  readonly parents: Set<MempoolEntry>
  readonly children: Set<MempoolEntry>
}

/** All that an entry builds on in the pool, without itself. */
export function ancestorsOf(parents: Iterable<MempoolEntry>): Set<MempoolEntry> {
  const found = new Set(parents)
  for (const entry of found) for (const p of entry.parents) found.add(p)
  return found
}

/** Entries and all that builds on them. */
export function withDescendants(entries: Iterable<MempoolEntry>): Set<MempoolEntry> {
  const found = new Set(entries)
  for (const entry of found) for (const c of entry.children) found.add(c)
  return found
}

export interface Totals {
  readonly count: number
  readonly vsize: number
  readonly fee: bigint
}

export function totals(entries: Iterable<Pick<MempoolEntry, 'vsize' | 'fee'>>): Totals {
  let [count, vsize, fee] = [0, 0, 0n]
  for (const e of entries) {
    count++
    vsize += e.vsize
    fee += e.fee
  }
  return { count, vsize, fee }
}

/** Whether a pays more per vbyte than b, exactly. */
export const paysMore = (a: { fee: bigint; vsize: number }, b: { fee: bigint; vsize: number }): boolean =>
  a.fee * BigInt(b.vsize) > b.fee * BigInt(a.vsize)

/** Parents before children. */
export function byDependency(entries: Iterable<MempoolEntry>): MempoolEntry[] {
  const pending = new Set(entries)
  const ordered: MempoolEntry[] = []
  const visit = (e: MempoolEntry): void => {
    if (!pending.delete(e)) return
    for (const p of e.parents) visit(p)
    ordered.push(e)
  }
  for (const e of [...pending]) visit(e)
  return ordered
}
