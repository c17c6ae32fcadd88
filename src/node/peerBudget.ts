import type { ChannelId, NodeId } from '../base/ids.ts'
import { type Bucket, takeToken } from '../peer/limits.ts'

export interface BudgetSizes {
  /** What may happen at once, and how long each takes to be forgiven, in milliseconds: for one peer, and for all together. */
  readonly perPeer: { readonly burst: number; readonly refillMs: number }
  readonly total: { readonly burst: number; readonly refillMs: number }
}

/** Peers whose buckets are remembered: identities cost nothing, so the total is what bounds those beyond it. */
const REMEMBERED = 1_000

/** How often peers may cause something that costs us disk or memory: token buckets, one for each peer and one for all of them. */
export class PeerBudget {
  readonly #sizes: BudgetSizes
  readonly #now: () => number
  readonly #peers = new Map<NodeId | ChannelId, Bucket>()
  #total: Bucket

  /** @param now milliseconds of a clock that never goes back */
  constructor(sizes: BudgetSizes, now: () => number) {
    this.#sizes = sizes
    this.#now = now
    this.#total = { tokens: sizes.total.burst, at: now() }
  }

  /**
   * Whether it may happen once more; counts it when it may.
   * @param isChosen not held against what all together may, so that strangers take nothing from it
   */
  take(peer: NodeId | ChannelId, isChosen = false): boolean {
    const after = this.#after(peer, isChosen)
    if (after === null) return false
    this.#total = after.total
    this.#peers.delete(peer)
    this.#peers.set(peer, after.own)
    if (this.#peers.size > REMEMBERED) this.#peers.delete(this.#peers.keys().next().value!)
    return true
  }

  /** It was worth it after all: as if it had not happened, or another time had not. */
  giveBack(peer: NodeId, isChosen = false): void {
    const { perPeer, total } = this.#sizes
    const own = this.#peers.get(peer)
    if (own) this.#peers.set(peer, { ...own, tokens: Math.min(perPeer.burst, own.tokens + 1) })
    if (!isChosen) this.#total = { ...this.#total, tokens: Math.min(total.burst, this.#total.tokens + 1) }
  }

  /** Whether it may, without counting. The same parameters. */
  has(peer: NodeId, isChosen = false): boolean {
    return this.#after(peer, isChosen) !== null
  }

  #after(peer: NodeId | ChannelId, isChosen: boolean): { readonly own: Bucket; readonly total: Bucket } | null {
    const { perPeer, total } = this.#sizes
    const now = this.#now()
    const known = this.#peers.get(peer) ?? { tokens: perPeer.burst, at: now }
    const own = takeToken(known, now, perPeer.burst, perPeer.refillMs)
    const all = isChosen ? this.#total : takeToken(this.#total, now, total.burst, total.refillMs)
    return own && all && { own, total: all }
  }
}
