import type { NodeId } from '../base/ids.ts'
import type { DirectedChannel } from './types.ts'

/** What payments of ours have shown of a direction, msat: it had lower, and not upper. */
export interface Bounds {
  readonly lower: number
  /** Infinity where nothing was refused. */
  readonly upper: number
}

/** One direction that an HTLC of ours took, or was to take. */
export interface Crossing {
  readonly key: DirectedChannel
  /** The direction back. */
  readonly back: DirectedChannel
  readonly from: NodeId
  readonly to: NodeId
  /** msat */
  readonly amount: number
}

interface Entry extends Bounds {
  readonly to: NodeId
  /** Unix ms. */
  readonly at: number
}

/** After so long, half of what a bound says is left: others pay over the same channels. */
const HALF_LIFE_MS = 6 * 3_600_000
/** What is as old as this says nothing any more. */
const OLDEST_MS = 8 * HALF_LIFE_MS
const MAX_ENTRIES = 2_000
export const UNKNOWN: Bounds = { lower: 0, upper: Number.POSITIVE_INFINITY }

/**
 * What payments have taught about where money is, in memory only: after a restart it is learned anew. Each direction is known
 * by what the nodes at its own ends have proved, so that nobody can speak ill of the channels of others. Of the directions that
 * were last learned about, 2,000 are kept.
 */
export class Liquidity {
  readonly #entries = new Map<DirectedChannel, Entry>()

  get size(): number {
    return this.#entries.size
  }

  /** That directions lead to of which something is known. */
  *nodes(): Iterable<NodeId> {
    for (const { to } of this.#entries.values()) yield to
  }

  /** @param now Unix ms */
  bounds(key: DirectedChannel, now: number): Bounds {
    const entry = this.#entries.get(key)
    const age = entry === undefined ? OLDEST_MS : Math.max(0, now - entry.at)
    if (entry === undefined || age >= OLDEST_MS) return UNKNOWN
    const left = 2 ** (-age / HALF_LIFE_MS)
    return { lower: Math.floor(entry.lower * left), upper: Math.ceil(entry.upper / left) }
  }

  /** An HTLC went over it, and came back. */
  carried({ key, to, amount }: Crossing, now: number): void {
    const { lower, upper } = this.bounds(key, now)
    this.#set(key, { to, lower: Math.max(lower, amount), upper: upper > amount ? upper : UNKNOWN.upper }, now)
  }

  /** The node that it comes from did not send an HTLC on. */
  refused({ key, to, amount }: Crossing, now: number): void {
    const { lower, upper } = this.bounds(key, now)
    this.#set(key, { to, lower: lower < amount ? lower : 0, upper: Math.min(upper, amount) }, now)
  }

  /** An HTLC was paid: its amount is at the other end now. */
  settled(crossing: Crossing, now: number): void {
    const { key, back, from, to, amount } = crossing
    this.carried(crossing, now)
    const { lower, upper } = this.bounds(key, now)
    this.#set(key, { to, lower: lower - amount, upper: upper - amount }, now)
    const behind = this.bounds(back, now)
    this.#set(back, { to: from, lower: behind.lower + amount, upper: behind.upper + amount }, now)
  }

  #set(key: DirectedChannel, bounds: Bounds & { readonly to: NodeId }, now: number): void {
    this.#entries.delete(key)
    this.#entries.set(key, { ...bounds, at: now })
    if (this.#entries.size <= MAX_ENTRIES) return
    const [oldest] = this.#entries.keys()
    this.#entries.delete(oldest!)
  }
}

/** What it is worth to us to avoid a chance of 1 in e that a payment gets through, beside what it costs: msat, and millionths of the amount. */
const PRICE_MSAT = 10_000
const PRICE_MILLIONTHS = 200
/** A chance below this counts as this: what was learned may be wrong, and where nothing else is left, it is tried. */
const LEAST_CHANCE = 1e-6

/**
 * The price of the chance that a direction cannot carry an amount, when all that its capacity allows is as likely.
 * @param capacity msat
 * @returns msat, whole
 */
export function priceOfChance(amount: number, capacity: number, { lower, upper }: Bounds): number {
  if (amount <= lower) return 0
  const most = Math.min(upper, capacity)
  const chance = Math.max(LEAST_CHANCE, (most - amount) / (most - lower + 1))
  return Math.floor(-Math.log(Math.min(1, chance)) * (PRICE_MSAT + (amount * PRICE_MILLIONTHS) / 1_000_000))
}
