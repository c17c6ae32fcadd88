import { outpointKey } from '../base/ids.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import type { AnchorPlan } from '../channel/onchain/anchor.ts'
import type { ChannelEntry } from './channels.ts'
import { channelOfLabel } from './claimLabels.ts'
import type { NodeParts } from './parts.ts'
import type { TurnScope } from './reactor.ts'

/** Has a channel publish again what it has to, now that coins are free that it lacked. */
export type Retry = (entry: ChannelEntry, scope: TurnScope) => void

export interface RefusalsOptions {
  readonly parts: () => NodeParts
  readonly retry: Retry
  /** Channels for whose transactions the wallet lacked coins. */
  readonly poor: () => Iterable<ChannelEntry>
}

interface Refusal {
  /** In the words of the Bitcoin node. */
  readonly reason?: string | undefined
  /** Of a child. */
  readonly plan?: AnchorPlan | undefined
}

/** What is spent is spent by another, or is not there (yet). @param reason of a refusal, in the words of the Bitcoin node */
export const isGone = (reason: string | undefined): boolean =>
  reason?.includes('bad-txns-inputs-missingorspent') ?? false

/** Names what the wallet pays for, whatever versions there are of it. */
export const firstInput = (tx: Transaction): string => outpointKey(tx.inputs[0]!)

/** What the mempool has refused of what the wallet pays for, since the last block: it is paid for again with the next one. */
export class Refusals {
  readonly #options: RefusalsOptions
  /** By first inputs. */
  #since = { height: 0, refused: new Set<string>(), hurried: new Map<string, number>() }
  /** Channels that lacked coins when some became free. */
  readonly #wanting = new Set<ChannelEntry>()

  constructor(options: RefusalsOptions) {
    this.#options = options
  }

  has(tx: Transaction): boolean {
    return this.#now().refused.has(firstInput(tx))
  }

  /** The feerate that something else needs this transaction to have, sat per 1,000 weight units; 0 as a rule. */
  hurry(tx: Transaction): number {
    return this.#now().hurried.get(firstInput(tx)) ?? 0
  }

  /**
   * What a transaction of the peer's keeps out of the mempool must not hold coins that others of ours can be paid for with: they go
   * first until the next block. So does what failed only because it spends the change of such a one. What a reorganisation took the
   * coins of is not made again with the same ones: no earlier version of it can confirm either.
   * @returns false where the refusal says nothing
   */
  add(entry: ChannelEntry, tx: Transaction, { reason, plan }: Refusal): boolean {
    const { reactor, wallet, chain } = this.#options.parts()
    // A Bitcoin node that builds its chain anew, or is an older copy, refuses what spends outputs that it has yet to see.
    if ((chain.status.tipHeight ?? chain.height) < chain.height) return false
    const input = firstInput(tx)
    reactor.post(() => {
      const isOrphan = wallet.spenderOf(input) === undefined
      if (!isOrphan) this.#now().refused.add(input)
      wallet.abandon(txidOf(tx))
      if (isGone(reason)) for (const txid of wallet.versionsOf(input)) wallet.abandon(txid)
      const hurried = plan ? this.#hurryParents(tx, plan.feeratePerKw) : []
      this.again([...this.#options.poor(), ...(isOrphan ? [entry] : []), ...hurried])
    })
    return true
  }

  /** Has channels publish again what they have to, in a turn of its own. */
  again(entries: readonly ChannelEntry[]): void {
    if (entries.length > 0 && this.#wanting.size === 0) {
      this.#options.parts().reactor.post((later) => this.#tryAgain(later))
    }
    for (const e of entries) this.#wanting.add(e)
  }
  /** Once for all refusals that have come meanwhile: a peer can bring about hundreds. */
  #tryAgain(scope: TurnScope): void {
    const wanting = [...this.#wanting]
    this.#wanting.clear()
    for (const entry of wanting) this.#options.retry(entry, scope)
  }

  /**
   * Where a peer has put as many children under its commitment as mempools take, they take ours only when it builds on nothing else there;
   * so they do with a package in the place of that commitment. The child's coin has to be in the chain first: what waits for a block with
   * it is paid for like the child, up to its own budget.
   * @returns the channels of that
   */
  #hurryParents(child: Transaction, feeratePerKw: number): readonly ChannelEntry[] {
    const { wallet, channels } = this.#options.parts()
    return wallet.waitingParents(child).flatMap(({ tx, label }) => {
      const localId = channelOfLabel(label)
      if (localId === null) return []
      this.#now().hurried.set(firstInput(tx), feeratePerKw)
      return channels.get(localId) ?? []
    })
  }

  #now() {
    const { height } = this.#options.parts().chain
    if (this.#since.height !== height) this.#since = { height, refused: new Set(), hurried: new Map() }
    return this.#since
  }
}
