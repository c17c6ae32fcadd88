import type { Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import type { AnchorPlan } from '../../src/channel/onchain/anchor.ts'
import { childLabel } from '../../src/node/claimLabels.ts'
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

  note(tx: Transaction, kind: string, budgetSat: bigint | null): void {
    const id = txidOf(tx)
    const known = this.made.get(id)
    if (!known || (budgetSat !== null && known.budgetSat !== null && known.budgetSat < budgetSat))
      this.made.set(id, { tx, kind, budgetSat })
  }

  /** What the bumper has just had the wallet make for a commitment: by one of these plans, whichever is in the mempool. */
  noteChild({ txs }: WalletState, localId: string, plans: readonly AnchorPlan[]): void {
    const budgetSat = highest(plans.map((p) => p.budgetSat))
    for (const { tx, txid, label } of txs.values()) {
      if (label === childLabel(localId) && !this.made.has(txid)) this.note(tx, 'child', budgetSat)
    }
  }
}
