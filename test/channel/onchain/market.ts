import { outpointKey } from '../../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../../src/bitcoin/transaction.ts'
import type { ChainState, TipChange } from '../../../src/chain/embedded/chainstate.ts'
import { Mempool } from '../../../src/chain/embedded/mempool.ts'
import { ancestorsOf, byDependency, totals } from '../../../src/chain/embedded/mempoolEntry.ts'
import { ScriptCache } from '../../../src/chain/embedded/txRules.ts'
import { TestChain } from './chain.ts'

type Block = TipChange['connected'][number]

/**
 * A chain whose mempool is the embedded chain's: real policy, replacement by all rules of BIP 125, real scripts. Its miner takes only
 * what pays the floor, each transaction with the unconfirmed ones that it builds on.
 */
export class Market extends TestChain {
  /** sat per 1,000 weight units. */
  floor = 0
  readonly refusals: string[] = []
  readonly #pool: Mempool
  #change: (change: TipChange) => void = () => {}

  constructor(...args: ConstructorParameters<typeof TestChain>) {
    super(...args)
    const coin = (key: string) => {
      const found = this.coins().get(key)
      return found && { ...found, coinbase: false }
    }
    const height = (): number => this.height
    const state = {
      get height() {
        return height()
      },
      coin,
      nextLocks: () => ({ height: height() + 1, medianTimePast: 1_700_000_000, medianTimeAt: () => 0 }),
      onChange: (f: (change: TipChange) => void) => {
        this.#change = f
      },
    }
    this.#pool = new Mempool({ chain: state as unknown as ChainState, scripts: new ScriptCache(), now: () => 0 })
  }

  override inMempool(id: ReturnType<typeof txidOf>): boolean {
    return this.#pool.get(id) !== undefined
  }

  override broadcast(tx: Transaction): string | null {
    const id = txidOf(tx)
    if (this.inMempool(id) || this.fees.has(id)) return null
    const result = this.#pool.accept(tx)
    if (result.ok) return null
    const { reason } = result.error
    this.refusals.push(reason)
    if (reason === 'bad-txns-inputs-missingorspent') return 'missing inputs'
    return reason === 'insufficient fee' ? 'insufficient fee to replace' : reason
  }

  override mine(choose: (tx: Transaction) => boolean = () => true): readonly Transaction[] {
    const chosen = new Set<NonNullable<ReturnType<Mempool['get']>>>()
    for (const entry of this.#pool.entries()) {
      const family = [...ancestorsOf(entry.parents), entry]
      const { fee, vsize } = totals(family.filter((e) => !chosen.has(e)))
      const pays = Number(fee) * 1000 >= this.floor * vsize * 4 - 4_000
      if (pays && family.every((e) => choose(e.tx))) for (const e of family) chosen.add(e)
    }
    const entries = byDependency(chosen)
    for (const e of entries) this.fees.set(e.txid, e.fee)
    const txs = this.connect(entries.map((e) => e.tx))
    const node = { block: { transactions: txs }, txids: entries.map((e) => e.txid), height: this.height }
    this.#change({ disconnected: [], connected: [node as unknown as Block] })
    return txs
  }

  /** What spends an output in the mempool. */
  spender(outpoint: Parameters<typeof outpointKey>[0]): Transaction | undefined {
    return this.#pool.spender(outpointKey(outpoint))?.tx
  }
}
