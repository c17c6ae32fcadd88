import { type Outpoint, outpointKey, type Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { BroadcastResult, ChainSource } from '../../src/chain/source.ts'
import type { Chain } from './chain.ts'

/** Somebody was faster, or is in the way for now. The last one: a coin that a reorganisation made unconfirmed again. */
const RACES = [
  'bad-txns-inputs-missingorspent',
  'insufficient fee',
  'txn-mempool-conflict',
  'too-long-mempool-chain',
  'too many potential replacements',
  'replacement-adds-unconfirmed',
]

/** A node's way to the mempool: what is refused without an excuse is a complaint. */
export class Outlet {
  readonly #chain: Chain
  readonly #complaints: Set<string>

  constructor(chain: Chain, complaints: Set<string>) {
    this.#chain = chain
    this.#complaints = complaints
  }

  broadcast(tx: Transaction, purpose: string): void {
    // An agreed close may have the height of its making for a lock time, which a reorganisation takes back.
    this.hand(tx, purpose === 'mutual-close' ? [...RACES, 'non-final'] : RACES)
  }

  hand(tx: Transaction, excuses = RACES): BroadcastResult {
    const result = this.#chain.broadcast(tx)
    const { accepted, reason } = result
    if (!accepted && !excuses.some((r) => reason!.startsWith(r)))
      this.#complaints.add(`refused ${txidOf(tx)}: ${reason}`)
    return result
  }

  spendsOf(outpoints: readonly Outpoint[]): readonly Transaction[] {
    return outpoints.flatMap((o) => this.#chain.mempool.spender(outpointKey(o))?.tx ?? [])
  }

  /** As the bumper sees it. */
  source(): ChainSource {
    const chain = this.#chain
    return {
      broadcast: async (tx: Transaction) => this.hand(tx),
      broadcastPackage: async (txs: readonly Transaction[]) => chain.broadcastPackage(txs),
      tip: async () => ({ height: chain.height, hash: chain.hash(chain.height) }),
      mempoolSpends: async (outpoints: readonly Outpoint[]) => this.spendsOf(outpoints),
      transaction: async (txid: Txid) => chain.find(txid),
      locate: async (txid: Txid) => {
        const waiting = chain.mempool.get(txid)
        return waiting ? { tx: waiting.tx, confirmations: 0 } : null
      },
      utxo: async (outpoint: Outpoint) => {
        const coin = chain.coins().get(outpointKey(outpoint))
        return coin ? { output: coin.output, confirmations: chain.height - coin.height + 1 } : null
      },
    } as unknown as ChainSource
  }
}
