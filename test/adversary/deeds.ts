import type { Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { AnchorPlan } from '../../src/channel/onchain/anchor.ts'
import type { WalletState } from '../../src/wallet/state.ts'

interface Deed {
  readonly tx: Transaction
  readonly kind: string
  /** What it may cost at most beyond what the protocol fixed; null: what it may cost is in the transaction itself. */
  readonly budgetSat: bigint | null
}

const highest = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => (a > b ? a : b))

/** Every transaction that a node made, and what it may pay for it. */
export class Deeds {
  readonly made = new Map<Txid, Deed>()
  /** Of the children of a channel's commitments, by the last two plans: what the first found in its way is paid for after the second. */
  readonly #budgets = new Map<string, readonly bigint[]>()
  #noted: WalletState['txs'] | null = null

  note(tx: Transaction, kind: string, budgetSat: bigint | null): void {
    const id = txidOf(tx)
    const known = this.made.get(id)
    if (!known || (budgetSat !== null && known.budgetSat !== null && known.budgetSat < budgetSat))
      this.made.set(id, { tx, kind, budgetSat })
  }

  /** One of these is going to be paid for. */
  plans(localId: string, plans: readonly AnchorPlan[]): void {
    const [before = 0n] = this.#budgets.get(localId) ?? []
    this.#budgets.set(localId, [highest(plans.map((p) => p.budgetSat)), before])
  }

  /** What the bumper had the wallet make for commitments. */
  noteChildren({ txs }: WalletState): void {
    if (txs === this.#noted) return
    this.#noted = txs
    for (const { tx, label } of txs.values()) {
      const localId = label?.match(/^fee of the close of channel (.*)$/)?.[1]
      if (localId !== undefined) this.note(tx, 'child', highest(this.#budgets.get(localId)!))
    }
  }
}
