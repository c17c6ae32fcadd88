import { outpointKey, type Txid } from '../../base/ids.ts'
import { err, ok, type Result } from '../../base/result.ts'
import type { Sat } from '../../base/units.ts'
import { checkTransaction, isCoinbase } from '../../bitcoin/checkTransaction.ts'
import type { Transaction } from '../../bitcoin/transaction.ts'
import { CONSENSUS_FLAGS, STANDARD_FLAGS } from '../../bitcoin/verifyFlags.ts'
import type { ChainState, TipChange } from './chainstate.ts'
import type { Coin } from './coins.ts'
import { checkFamily } from './familyLimits.ts'
import { isFinal } from './locks.ts'
import { byDependency, type MempoolEntry, type MempoolTx, mempoolTx, withDescendants } from './mempoolEntry.ts'
import { type Rejection, reject } from './rejection.ts'
import { checkReplacementFee, replacedBy } from './replacement.ts'
import { checkStandard, checkStandardInputs } from './standard.ts'
import { checkTruc, TRUC_VERSION } from './truc.ts'
import { checkAmounts, findCoins, locksPassed, type ScriptCache } from './txRules.ts'

/** sat per vbyte below which nothing is relayed. */
const MIN_RELAY_FEERATE = 1n
const MAX_POOL_VSIZE = 100_000_000

/** A transaction that may enter the pool, with what its entry would change. */
export interface Candidate extends MempoolTx {
  readonly fee: Sat
  readonly coins: readonly Coin[]
  readonly parents: ReadonlySet<MempoolEntry>
  readonly conflicts: ReadonlySet<MempoolEntry>
  /** Conflicts and what builds on them: they go. */
  readonly replaced: ReadonlySet<MempoolEntry>
}

/** What is not asked of a transaction. */
interface Leniency {
  /** 'single': pays for itself. 'package': the package pays. 'reorg': was in a block, and gets in whatever it pays. */
  readonly fees: 'single' | 'package' | 'reorg'
}

export interface MempoolOptions {
  readonly chain: ChainState
  readonly scripts: ScriptCache
  /** Unix seconds. */
  readonly now: () => number
}

/** Transactions that wait for a block, by the rules that Bitcoin nodes relay by. */
export class Mempool {
  readonly #chain: ChainState
  readonly #scripts: ScriptCache
  readonly #now: () => number
  readonly #entries = new Map<Txid, MempoolEntry>()
  /** Who spends an output, by `txid:index`. */
  readonly #spenders = new Map<string, MempoolEntry>()
  /** sat per 1,000 vbytes that a transaction, or its package, must pay: as a pool asks that has had to throw out what paid less. */
  minFeerate = MIN_RELAY_FEERATE * 1000n
  #vsize = 0
  #fees = 0n

  constructor({ chain, scripts, now }: MempoolOptions) {
    this.#chain = chain
    this.#scripts = scripts
    this.#now = now
    chain.onChange((change) => this.#follow(change))
  }

  get size(): number {
    return this.#entries.size
  }
  get vsize(): number {
    return this.#vsize
  }
  get fees(): bigint {
    return this.#fees
  }
  get(id: Txid): MempoolEntry | undefined {
    return this.#entries.get(id)
  }
  entries(): IterableIterator<MempoolEntry> {
    return this.#entries.values()
  }
  spender(outpoint: string): MempoolEntry | undefined {
    return this.#spenders.get(outpoint)
  }

  /** Whether an output is in the chain and unspent there, whatever spends it here. */
  hasCoin(outpoint: string): boolean {
    return this.#chain.coin(outpoint) !== undefined
  }

  /** Takes a transaction in, in the place of those that it replaces. */
  accept(tx: Transaction): Result<{ entry: MempoolEntry; replaced: readonly MempoolEntry[] }, Rejection> {
    const candidate = this.test(mempoolTx(tx))
    if (!candidate.ok) return candidate
    return ok({ entry: this.add(candidate.value), replaced: [...candidate.value.replaced] })
  }

  /** Whether accept would take it; changes nothing. @returns the fee and all that the entry would change, or why not */
  test(t: MempoolTx, { fees }: Leniency = { fees: 'single' }): Result<Candidate, Rejection> {
    const alone = this.#checkAlone(t)
    if (alone) return err(alone)
    const found = this.#findSpent(t)
    if ('reason' in found) return err(found)
    const { coins, parents } = found
    const amounts = this.#checkSpending(t, coins)
    if ('reason' in amounts) return err(amounts)
    const { fee } = amounts
    const relay = BigInt(t.vsize) * MIN_RELAY_FEERATE
    const pays = fees === 'reorg' || fee >= relay || (fees === 'package' && t.tx.version === TRUC_VERSION)
    if (!pays) return err(reject('min relay fee not met', `${fee} < ${relay}`))
    const poor = fees === 'single' ? this.checkFee(fee, t.vsize) : null
    if (poor) return err(poor)

    const conflicts = new Set(t.tx.inputs.flatMap((i) => this.#spenders.get(outpointKey(i)) ?? []))
    if (fees === 'reorg' && conflicts.size > 0) return err(reject('txn-mempool-conflict'))
    const truc = checkTruc(t, parents, conflicts)
    if (truc && 'reason' in truc) return err(truc)
    if (truc) conflicts.add(truc.sibling)
    const replaced = replacedBy(t, parents, conflicts)
    if ('reason' in replaced) return err(replaced)
    if (fees === 'single' && conflicts.size > 0) {
      const outbid = checkReplacementFee({ txid: t.txid, fee, vsize: t.vsize }, conflicts, replaced)
      if (outbid) return err(outbid)
    }
    const limits = fees === 'reorg' ? null : this.#checkLimits(t, parents, replaced)
    const failure = limits ?? this.#scripts.verify({ tx: t.tx, wtxid: t.wtxidBytes, coins }, STANDARD_FLAGS, 'mempool')
    if (failure) return err(failure)
    this.#scripts.remember(t.wtxidBytes, CONSENSUS_FLAGS)
    return ok({ ...t, fee, coins, parents, conflicts, replaced })
  }

  /** Whether a transaction, or a package as a whole, pays what the pool asks now. */
  checkFee(fee: bigint, vsize: number): Rejection | null {
    const least = (this.minFeerate * BigInt(vsize) + 999n) / 1000n
    if (fee >= least) return null
    const isFloor = this.minFeerate <= MIN_RELAY_FEERATE * 1000n
    return reject(isFloor ? 'min relay fee not met' : 'mempool min fee not met', `${fee} < ${least}`)
  }

  /** Enters a candidate that was just found good, and drops what it replaces. */
  add(candidate: Candidate): MempoolEntry {
    for (const e of candidate.replaced) this.#unlink(e)
    const { parents: _, conflicts: __, replaced: ___, ...kept } = candidate
    const entry: MempoolEntry = {
      ...kept,
      time: this.#now(),
      height: this.#chain.height,
      parents: new Set(),
      children: new Set(),
    }
    this.#link(entry)
    return entry
  }

  /** Takes back an `add` that nothing was built on since. */
  undoAdd(entry: MempoolEntry, replaced: Iterable<MempoolEntry>): void {
    this.#unlink(entry)
    for (const e of replaced) this.#link(e)
  }

  #checkAlone(t: MempoolTx): Rejection | null {
    const basic = checkTransaction(t.tx)
    if (basic) return reject(basic)
    if (isCoinbase(t.tx)) return reject('coinbase')
    const standard = checkStandard(t)
    if (standard) return standard
    if (!isFinal(t.tx, this.#chain.nextLocks())) return reject('non-final')
    const known = this.#entries.get(t.txid)
    if (!known) return null
    return reject(known.wtxid === t.wtxid ? 'txn-already-in-mempool' : 'txn-same-nonwitness-data-in-mempool')
  }

  #findSpent(t: MempoolTx): { coins: Coin[]; parents: Set<MempoolEntry> } | Rejection {
    const parents = new Set<MempoolEntry>()
    const coins = findCoins(t.tx, {
      get: (key) => {
        const parent = this.#entries.get(key.slice(0, 64) as Txid)
        if (!parent) return this.#chain.coin(key)
        const output = parent.tx.outputs[Number(key.slice(65))]
        if (output) parents.add(parent)
        return output && { output, height: this.#chain.height + 1, coinbase: false }
      },
    })
    if (coins) return { coins, parents }
    const mined = t.tx.outputs.some((_, index) => this.#chain.coin(outpointKey({ txid: t.txid, index })))
    return reject(mined ? 'txn-already-known' : 'bad-txns-inputs-missingorspent')
  }

  #checkSpending(t: MempoolTx, coins: readonly Coin[]): { fee: Sat } | Rejection {
    const locks = this.#chain.nextLocks()
    if (!locksPassed(t.tx, coins, locks)) return reject('non-BIP68-final')
    const amounts = checkAmounts(t.tx, coins, locks.height)
    if ('reason' in amounts) return amounts
    return checkStandardInputs(t.tx, coins) ?? amounts
  }

  #checkLimits(t: MempoolTx, parents: ReadonlySet<MempoolEntry>, leaving: ReadonlySet<MempoolEntry>): Rejection | null {
    if (this.#vsize + t.vsize > MAX_POOL_VSIZE) return reject('mempool full')
    return checkFamily(t, parents, leaving)
  }

  #link(entry: MempoolEntry): void {
    this.#entries.set(entry.txid, entry)
    this.#vsize += entry.vsize
    this.#fees += entry.fee
    for (const input of entry.tx.inputs) {
      this.#spenders.set(outpointKey(input), entry)
      const parent = this.#entries.get(input.txid)
      if (!parent) continue
      parent.children.add(entry)
      entry.parents.add(parent)
    }
    for (const index of entry.tx.outputs.keys()) {
      const child = this.#spenders.get(outpointKey({ txid: entry.txid, index }))
      if (!child) continue
      child.parents.add(entry)
      entry.children.add(child)
    }
  }

  #unlink(entry: MempoolEntry): void {
    if (!this.#entries.delete(entry.txid)) return
    this.#vsize -= entry.vsize
    this.#fees -= entry.fee
    for (const input of entry.tx.inputs) this.#spenders.delete(outpointKey(input))
    for (const p of entry.parents) p.children.delete(entry)
    for (const c of entry.children) c.parents.delete(entry)
    entry.parents.clear()
    entry.children.clear()
  }

  #follow({ disconnected, connected }: TipChange): void {
    for (const { block, txids } of connected) {
      for (const [i, tx] of block.transactions.entries()) {
        const mined = this.#entries.get(txids[i]!)
        if (mined) this.#unlink(mined)
        for (const input of tx.inputs) {
          const rival = this.#spenders.get(outpointKey(input))
          if (rival) for (const e of withDescendants([rival])) this.#unlink(e)
        }
      }
    }
    if (disconnected.length > 0) this.#refill(disconnected)
  }

  /** After a reorganisation: what left the chain comes back, and everything is looked at anew. */
  #refill(disconnected: TipChange['disconnected']): void {
    const old = byDependency(this.#entries.values())
    for (const e of [...old].reverse()) this.#unlink(e)
    const returned = [...disconnected].reverse().flatMap((n) => n.block.transactions.slice(1))
    for (const t of [...returned.map(mempoolTx), ...old]) {
      const candidate = this.test(t, { fees: 'reorg' })
      if (candidate.ok) this.add(candidate.value)
    }
  }
}
