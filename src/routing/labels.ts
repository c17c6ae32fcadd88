const NODE = 0
const AMOUNT = 1
const CLTV = 2
const HOPS = 3
const REST = 4
const INDEX = 5
const NEXT = 6
const COST = 7
const STRIDE = 8

/** No label, no index. */
export const NONE = -1

/** A way from a node to the target, found from its end. */
export interface Label {
  readonly node: number
  /** What the HTLC that reaches the node must carry, msat, and its expiry. */
  readonly amount: number
  /** The amount, and a price for what may go wrong; what the search makes least, msat. */
  readonly cost: number
  readonly cltv: number
  readonly hops: number
  /** The label of the way from the next node on, and which of the directions into that one leads there; NONE at the target. */
  readonly rest: number
  readonly index: number
}

/** Labels by number, in one array of numbers: a search makes tens of thousands, and nothing is left for the collector. */
export class Labels {
  #rows = new Float64Array(64 * STRIDE)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** @returns its number */
  add({ node, amount, cost, cltv, hops, rest, index }: Label): number {
    const at = this.#count * STRIDE
    if (at === this.#rows.length) {
      const larger = new Float64Array(2 * at)
      larger.set(this.#rows)
      this.#rows = larger
    }
    const rows = this.#rows
    rows[at + NODE] = node
    rows[at + AMOUNT] = amount
    rows[at + COST] = cost
    rows[at + CLTV] = cltv
    rows[at + HOPS] = hops
    rows[at + REST] = rest
    rows[at + INDEX] = index
    rows[at + NEXT] = NONE
    return this.#count++
  }

  node(label: number): number {
    return this.#rows[label * STRIDE + NODE]!
  }
  amount(label: number): number {
    return this.#rows[label * STRIDE + AMOUNT]!
  }
  cost(label: number): number {
    return this.#rows[label * STRIDE + COST]!
  }
  cltv(label: number): number {
    return this.#rows[label * STRIDE + CLTV]!
  }
  hops(label: number): number {
    return this.#rows[label * STRIDE + HOPS]!
  }
  rest(label: number): number {
    return this.#rows[label * STRIDE + REST]!
  }
  index(label: number): number {
    return this.#rows[label * STRIDE + INDEX]!
  }
  /** The next in a list of labels. */
  next(label: number): number {
    return this.#rows[label * STRIDE + NEXT]!
  }
  setNext(label: number, next: number): void {
    this.#rows[label * STRIDE + NEXT] = next
  }

  /** Cheapest first; among equals the sooner expiry, then the shorter. */
  isBefore(a: number, b: number): boolean {
    return this.isBetter(this.cost(a), this.cltv(a), this.hops(a), b)
  }

  /** Whether a label of these numbers would be before another. */
  isBetter(cost: number, cltv: number, hops: number, than: number): boolean {
    const rows = this.#rows
    const at = than * STRIDE
    const theirs = rows[at + COST]!
    if (cost !== theirs) return cost < theirs
    const theirCltv = rows[at + CLTV]!
    return cltv !== theirCltv ? cltv < theirCltv : hops < rows[at + HOPS]!
  }
}
