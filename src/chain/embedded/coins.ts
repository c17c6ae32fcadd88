import { type Outpoint, outpointKey, type Txid } from '../../base/ids.ts'
import { isUnspendable } from '../../bitcoin/script.ts'
import type { Transaction, TxOutput } from '../../bitcoin/transaction.ts'

/** An unspent output. */
export interface Coin {
  readonly output: TxOutput
  /** Of the block that made it. */
  readonly height: number
  readonly coinbase: boolean
}

export interface CoinSource {
  get(key: string): Coin | undefined
}

/** The unspent outputs of a chain, by `txid:index`. */
export type CoinSet = Map<string, Coin>

/** Changes over a coin set that are kept apart until they are known to be good. */
export class CoinOverlay implements CoinSource {
  readonly #base: CoinSource
  /** null: spent here. */
  readonly #changes = new Map<string, Coin | null>()

  constructor(base: CoinSource) {
    this.#base = base
  }

  get(key: string): Coin | undefined {
    const changed = this.#changes.get(key)
    return changed === undefined ? this.#base.get(key) : (changed ?? undefined)
  }

  spend(outpoint: Outpoint): void {
    this.#changes.set(outpointKey(outpoint), null)
  }

  /** Every spendable output of a transaction. */
  addOutputs(tx: Transaction, id: Txid, made: Omit<Coin, 'output'>): void {
    for (const [index, output] of tx.outputs.entries()) {
      if (!isUnspendable(output.scriptPubKey)) this.#changes.set(outpointKey({ txid: id, index }), { output, ...made })
    }
  }

  applyTo(coins: CoinSet): void {
    for (const [key, coin] of this.#changes) {
      if (coin) coins.set(key, coin)
      else coins.delete(key)
    }
  }
}

/**
 * Takes a block's transactions back out of the set.
 * @param undo what each transaction spent, as connecting the block gave it back
 */
export function disconnectCoins(
  coins: CoinSet,
  txs: readonly Transaction[],
  txids: readonly Txid[],
  undo: readonly (readonly Coin[])[],
): void {
  for (let t = txs.length - 1; t >= 0; t--) {
    const tx = txs[t]!
    for (let index = 0; index < tx.outputs.length; index++) coins.delete(outpointKey({ txid: txids[t]!, index }))
    for (const [i, coin] of undo[t]!.entries()) coins.set(outpointKey(tx.inputs[i]!), coin)
  }
}
